"""Linear predictors of new rows given each draw, effects of known groups drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._inputs.rows import Rows
    from skhbm._posterior.response_effects import DrawnEffects
    from skhbm._types import Float, Int

__all__ = ["Predictors", "make_predictors"]


class Predictors(NamedTuple):
    """What the linear predictors of rows are made of.

    Attributes
    ----------
    fixed : ndarray of shape (n, n_fixed)
    coefficients : ndarray of shape (n_fixed, n_draws)
    varying : list of ndarray of shape (n, q)
        Varying terms of each factor.
    codes : list of ndarray of int of shape (n,)
        Groups of each factor, -1 if not seen.
    effects : list of ndarray of shape (n_draws, n_groups, q)
    covariances : list of ndarray of shape (n_draws, q, q)
        Of each factor.
    """

    fixed: Float
    coefficients: Float
    varying: Sequence[Float]
    codes: Sequence[Int]
    effects: Sequence[Float]
    covariances: Sequence[Float]

    def block(self, rows: slice | Int) -> tuple[Float, Float]:
        """Return mean and variance (rows, n_draws) of some linear predictors given each draw.

        There is variance where a group was not seen.
        """
        mean = self.fixed[rows] @ self.coefficients
        variance = np.zeros_like(mean)
        for z, codes, effects, cov in zip(
            self.varying, self.codes, self.effects, self.covariances, strict=True
        ):
            some, at = z[rows], codes[rows]
            seen = at >= 0
            for a in range(some.shape[1]):
                mean[seen] += some[seen, a, None] * effects[:, at[seen], a].T
            if not np.all(seen):
                new = some[~seen]
                variance[~seen] += np.einsum("ia,sab,ib->is", new, cov, new, optimize=True)
        return mean, variance


def make_predictors(effects: DrawnEffects, rows: Rows) -> Predictors:
    """Return what the linear predictors of rows are made of; effects are drawn if need be."""
    posterior = effects.posterior
    design = posterior.design
    fixed = design.scaling.features(rows.X, design.terms)[0]
    codes = [rows.codes(f) for f in range(len(design.factors))]
    return Predictors(
        fixed,
        np.ascontiguousarray(posterior.coefficients().T),
        [design.scaling.features(rows.X, factor.terms)[1] for factor in design.factors],
        codes,
        [effects.of_factor(f, codes[f]) for f in range(len(design.factors))],
        posterior.covariances(),
    )
