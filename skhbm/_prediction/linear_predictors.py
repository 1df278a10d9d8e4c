"""Linear predictors of new rows: their means and variances in each draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skhbm._design.linear_forms import first_effects
from skhbm._posterior.effects import row_offsets
from skhbm._posterior.posterior import flat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skhbm._inputs.rows import Rows
    from skhbm._posterior.posterior import Posterior
    from skhbm._types import Float, Int


__all__ = ["Offsets", "blocks", "linear_predictors"]

#: Numbers in a block of rows times draws.
MIXTURE = 2**21


class Offsets(NamedTuple):
    """The groups and varying terms of rows in the factors whose effects are sampled.

    Attributes
    ----------
    codes : tuple of ndarray of int of shape (n,), negative for a group that was not seen
    terms : tuple of ndarray of shape (n, q_f)
    """

    codes: tuple[Int, ...]
    terms: tuple[Float, ...]

    @classmethod
    def of_rows(cls, posterior: Posterior, rows: Rows) -> Offsets:
        """Take the terms of all other factors from the features."""
        design = posterior.design
        terms = [design.scaling.features(rows.X, other.terms)[1] for other in design.others]
        return cls(rows.others, tuple(terms))

    def add(self, posterior: Posterior, mean: Float, variance: Float) -> None:
        """Add means and variances (n, n_draws) of what the effects add to each row.

        Effects of groups that were seen have a value in each draw. Effects of new groups have
        mean zero and the variance of the factor.
        """
        if not self.codes:
            return
        sizes = [other.n_groups for other in posterior.design.others]
        widths = np.array([z.shape[1] for z in self.terms])
        first = first_effects(self.codes, widths, sizes)
        row_offsets(flat(posterior.sampled), first, np.hstack(self.terms), widths, mean)
        for code, z, cov in zip(
            self.codes, self.terms, posterior.other_covariances(), strict=True
        ):
            new = code < 0
            spread = np.einsum("ia,sab,ib->is", z[new], cov, z[new], optimize=True)
            variance[new] += spread


def blocks(n: int, size: int) -> Iterator[slice]:
    """Cut n rows into blocks."""
    return (slice(first, min(first + size, n)) for first in range(0, n, size))


def linear_predictors(posterior: Posterior, rows: Rows) -> Iterator[tuple[Int, Float, Float]]:
    """Yield positions of rows, mean and variance (rows, draws) of their linear predictors.

    Given each draw, integrated effects are normal, and so are the effects of groups that were
    not seen. Rows come group by group.
    """
    design = posterior.design
    effects, n_draws = posterior.conditional_effects(), posterior.n_draws
    order = np.argsort(rows.keys, kind="stable")
    for block in blocks(len(rows), max(1, MIXTURE // n_draws)):
        some = rows[order[block]]
        fixed, varying = design.scaling.features(some.X, design.terms)
        unit, codes = some.units()
        mean, variance = np.zeros((2, len(some), n_draws))
        Offsets.of_rows(posterior, some).add(posterior, mean, variance)
        effects.add_predictors(fixed, varying, codes, unit, mean, variance)
        yield order[block], mean, variance
