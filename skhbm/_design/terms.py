"""The terms of the linear predictor: what is fixed, and what varies by a factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from skhbm._types import Int


__all__ = ["Terms"]


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What the linear predictor is made of.

    Parameters
    ----------
    features : tuple of str
        Names of the features, in the order of their coefficients.
    slopes : ndarray of int
        Positions of the features whose coefficients vary.
    intercept, varying_intercept, correlated : bool
    residual : {"shared", "by_group", "known"}
        As in the parameters of the estimator.
    centred : bool
        Whether the covariance of the effects, and its priors, are those at the means of the
        varying features. Otherwise they are those at x = 0.
    """

    features: tuple[str, ...]
    slopes: Int
    intercept: bool
    varying_intercept: bool
    correlated: bool
    residual: str
    centred: bool = False

    @property
    def by_group(self) -> bool:
        """Whether each group has a residual scale."""
        return self.residual == "by_group"

    @property
    def known(self) -> bool:
        """Whether errors are known, so that rows are weighted by 1 / y_err^2."""
        return self.residual == "known"

    @property
    def varying(self) -> tuple[str, ...]:
        """Names of the varying terms, the intercept first."""
        names = tuple(self.features[k] for k in self.slopes)
        return ("intercept", *names) if self.varying_intercept else names

    @property
    def varying_positions(self) -> Int:
        """Positions of the varying terms among (intercept, features...)."""
        slopes = self.slopes + 1
        return np.concatenate([[0], slopes]) if self.varying_intercept else slopes

    @property
    def n_fixed(self) -> int:
        """Number of population coefficients, the intercept included."""
        return len(self.features) + self.intercept

    @property
    def n_correlations(self) -> int:
        """Number of free correlations among the effects of a group."""
        q = len(self.varying)
        return q * (q - 1) // 2 if self.correlated else 0
