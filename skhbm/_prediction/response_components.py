"""A row's posterior predictive distribution as an equal mixture of a family's distributions.

There is a component for each draw. Where the linear predictor is not certain given a draw, as
for a group that was not seen, there are `STRATA` of them: quantiles of its normal distribution,
one at random place in each stratum. The places come from the multiples of an irrational number,
which fill the interval evenly, so that the error for all draws together is that of some ten
thousand evenly spaced values, far less than that of the draws.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaincinv, ndtri

if TYPE_CHECKING:
    from skhbm._types import Float

__all__ = ["of_row", "scale_mixture"]

STRATA = 8
#: The fractional parts of the golden ratio and of the root of two.
GOLDEN, ROOT = 0.6180339887498949, 0.41421356237309515
#: Where the gamma distribution is this narrow it is a point.
NORMAL = 1e8


@lru_cache(maxsize=4)
def _places(n_draws: int, irrational: float) -> Float:
    """Return a probability (STRATA, n_draws) in each stratum."""
    shift = (np.arange(n_draws) + 0.5) * irrational % 1.0
    return (np.arange(STRATA)[:, None] + shift) / STRATA


def of_row(
    mean: Float, variance: Float | None, dispersion: tuple[Float, ...]
) -> tuple[Float, tuple[Float, ...]]:
    """Return linear predictors and dispersions of components (n,), from those of the draws.

    Mean and variance of the linear predictor given each draw are of shape (n_draws,).
    """
    if variance is None or not np.any(variance > 0):
        return mean, dispersion
    scores = ndtri(_places(len(mean), GOLDEN))
    eta = (mean + np.sqrt(variance) * scores).ravel()
    return eta, tuple(np.tile(d, STRATA) for d in dispersion)


def scale_mixture(
    mean: Float, variance: Float | None, sigma: Float, nu: Float
) -> tuple[Float, Float]:
    """Return means and standard deviations (n, n_components) of normals that make up t's.

    Given g ~ Gamma(nu / 2, nu / 2), a t variable is normal with variance sigma^2 / g. The
    normal effect of a group adds to it.
    """
    heavy = np.minimum(nu, NORMAL)
    g = gammaincinv(0.5 * heavy, _places(len(nu), ROOT)) / (0.5 * heavy)
    noise = (sigma**2 / np.maximum(g, np.finfo(float).tiny)).ravel()
    means = np.tile(mean, (1, STRATA))
    added = 0.0 if variance is None else np.tile(variance, (1, STRATA))
    return means, np.sqrt(added + noise)
