"""Population coefficients: natural values, working values, and which are integrated out.

Natural coefficients are c = (intercept, coef...). The default prior is for the intercept at the
mean of X, an explicit prior for the intercept at x = 0. Working coefficients, of standardised
features and response, are w = shift + matrix @ c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._priors.prior import is_normal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skhbm._design.design import Design
    from skhbm._priors.prior import Priors
    from skhbm._types import Float


__all__ = ["Coefficients", "make_coefficients"]


@dataclass(frozen=True, slots=True, eq=False)
class Coefficients:
    """The map from natural to working coefficients, and the normal priors.

    Parameters
    ----------
    shift : ndarray of shape (n_fixed,)
    matrix : ndarray of shape (n_fixed, n_fixed)
        w = shift + matrix @ c.
    normal : ndarray of bool of shape (n_fixed,)
        The coefficients that are integrated out.
    mean, sd : ndarray of shape (n_normal,)
        Means and standard deviations of the priors of integrated coefficients.
    priors : tuple of Prior
        The priors of the coefficients that are sampled.
    """

    shift: Float
    matrix: Float
    normal: NDArray[np.bool_]
    mean: Float
    sd: Float
    priors: tuple[Any, ...]

    @property
    def T(self) -> Float:
        """Working coefficients per standardised integrated coefficient (n_fixed, k)."""
        return self.matrix[:, self.normal] * self.sd

    @property
    def offset(self) -> Float:
        """Working coefficients where c is the prior mean if integrated, else 0 (n_fixed,)."""
        return self.shift + self.matrix[:, self.normal] @ self.mean

    @property
    def slope(self) -> Float:
        """Working coefficients per sampled coefficient (n_fixed, s)."""
        return self.matrix[:, ~self.normal]


def make_coefficients(design: Design, priors: Priors) -> Coefficients:
    """Find the maps and sort the coefficients by whether their prior is normal."""
    scaling, terms = design.scaling, design.terms
    matrix = np.diag(scaling.x_scale / scaling.y_scale)
    shift = np.zeros(terms.n_fixed)
    chosen = list(priors.coef)
    if terms.intercept:
        chosen.insert(0, priors.intercept)
        row = np.zeros(len(scaling.x_mean))
        if not priors.intercept_at_mean:
            row = scaling.x_mean / scaling.y_scale
        matrix = np.block(
            [[np.array([[1 / scaling.y_scale]]), row[None]], [row[:, None] * 0, matrix]]
        )
        shift[0] = -scaling.y_mean / scaling.y_scale
    normal = np.array([is_normal(prior) for prior in chosen], dtype=bool)
    integrated = [prior.parameters for prior, is_n in zip(chosen, normal, strict=True) if is_n]
    return Coefficients(
        shift,
        matrix,
        normal,
        np.array([float(p.get("mu", 0.0)) for p in integrated]),
        np.array([float(p.get("sigma", 1.0)) for p in integrated]),
        tuple(prior for prior, is_n in zip(chosen, normal, strict=True) if not is_n),
    )
