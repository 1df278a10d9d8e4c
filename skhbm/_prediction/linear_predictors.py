"""New rows, coded, and the draws of their linear predictors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skhbm._effects import row_mixture, row_offsets
from skhbm._forms import first_effects
from skhbm._posterior import flat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from skhbm._posterior import Posterior

    Float = NDArray[np.float64]
    Int = NDArray[np.int64]

__all__ = ["Offsets", "Rows", "blocks", "linear_predictors", "numbered"]

#: Numbers in a block of rows times draws.
MIXTURE = 2**21


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """New rows, with their groups as codes.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    keys : ndarray of int of shape (n,)
        The group of each row in the integrated factor. Negative keys are groups that were not
        seen: rows of the same key share their effects.
    others : tuple of ndarray of int of shape (n,)
        The same for the other factors.
    """

    X: Float
    keys: Int
    others: tuple[Int, ...] = ()

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, block: slice | Int) -> Rows:
        return Rows(self.X[block], self.keys[block], tuple(k[block] for k in self.others))

    @property
    def codes(self) -> Int:
        """The group of each row (n,), -1 if it was not seen."""
        return np.maximum(self.keys, -1)

    def of_factor(self, factor: int, integrated: int) -> Int:
        """Return the keys (n,) in one of all factors, in the user's order."""
        keys = [*self.others]
        keys.insert(integrated, self.keys)
        return keys[factor]

    def units(self) -> tuple[Int, Int]:
        """Return the unit of each row (n,), numbered, and the code of each unit."""
        return numbered(self.keys)


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

        Those of seen groups are known in each draw, those of new ones have the factor's
        variance.
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


def numbered(keys: Int) -> tuple[Int, Int]:
    """Return the unit of each key, numbered, and the code of each unit, -1 if not seen."""
    distinct, unit = np.unique(keys, return_inverse=True)
    return unit, np.maximum(distinct, -1)


def blocks(n: int, size: int) -> Iterator[slice]:
    """Cut n rows into blocks."""
    return (slice(first, min(first + size, n)) for first in range(0, n, size))


def linear_predictors(posterior: Posterior, rows: Rows) -> Iterator[tuple[Int, Float, Float]]:
    """Yield positions of rows, mean and variance (rows, draws) of their linear predictors.

    Given each draw, the effects of the integrated factor are normal, and so are those of
    groups that were not seen. Rows come group by group.
    """
    design = posterior.design
    L, sigma, w = posterior.conditions()
    order = np.argsort(rows.keys, kind="stable")
    for block in blocks(len(rows), max(1, MIXTURE // len(L))):
        own = rows[order[block]]
        fixed, varying = design.scaling.features(own.X, design.terms)
        unit, codes = own.units()
        shift = posterior.shifts(np.maximum(codes, 0))
        mean, variance = np.zeros((len(own), len(L))), np.zeros((len(own), len(L)))
        Offsets.of_rows(posterior, own).add(posterior, mean, variance)
        row_mixture(
            L, sigma, w, shift, design.roots, fixed, varying, own.codes, unit, mean, variance
        )
        yield order[block], mean, variance
