"""A row's posterior predictive distribution as an equal mixture of a family's distributions.

There is a component for each draw. Where the linear predictor is not certain given a draw, as
for a group that was not seen, there are `STRATA` of them: quantiles of its normal distribution,
one in each stratum of equal probability. Where in the stratum they are differs from draw to
draw, by the multiples of an irrational number, which fill an interval evenly: what the few
values of a draw leave averages out over draws, and is far less than the error of the draws.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaincinv, ndtri

if TYPE_CHECKING:
    from skhbm._types import Float

__all__ = ["of_row", "scale_mixture"]

#: Values of a linear predictor, and of the scale of a t distribution, for each draw.
STRATA, SCALES = 8, 2
#: The fractional parts of the golden ratio and of the root of two.
GOLDEN, ROOT = 0.6180339887498949, 0.41421356237309515
#: Where the gamma distribution is this narrow it is a point.
NORMAL = 1e8


@lru_cache(maxsize=4)
def _places(n_strata: int, n_draws: int, irrational: float) -> Float:
    """Return a probability (n_strata, n_draws) in each stratum."""
    shift = (np.arange(n_draws) + 0.5) * irrational % 1.0
    return (np.arange(n_strata)[:, None] + shift) / n_strata


def of_row(
    mean: Float, variance: Float | None, dispersion: tuple[Float, ...]
) -> tuple[Float, tuple[Float, ...]]:
    """Return linear predictors and dispersions of components (n,), from those of the draws.

    Mean and variance of the linear predictor given each draw are of shape (n_draws,).
    """
    if variance is None or not np.any(variance > 0):
        return mean, dispersion
    scores = ndtri(_places(STRATA, len(mean), GOLDEN))
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
    g = gammaincinv(0.5 * heavy, _places(SCALES, len(nu), ROOT)) / (0.5 * heavy)
    noise = (sigma**2 / np.maximum(g, np.finfo(float).tiny)).ravel()
    means = np.tile(mean, (1, SCALES))
    added = np.zeros_like(means) if variance is None else np.tile(variance, (1, SCALES))
    return means, np.sqrt(added + noise)
