"""Posterior predictive means and standard deviations of responses that are not normal.

Given a draw, the linear predictor of a row is Normal(m, v), with v = 0 if its groups were seen.
Means of y are averaged over it, not taken at its mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from skhbm._families.family import Family
    from skhbm._prediction.response_blocks import Block, LinearPredictors
    from skhbm._types import Float

__all__ = ["predictive_moments"]


def predictive_moments(
    family: Family,
    predictors: LinearPredictors,
    size: Float,
    dispersion: tuple[Float, ...],
    *,
    with_noise: bool = True,
) -> tuple[Float, Float]:
    """Return means and standard deviations (n,) of y or, without noise, of its expectation.

    The expectation is that given the groups of a row: it varies with the draws and, for a
    group that was not seen, with its effect.

    Parameters
    ----------
    family : Family
    predictors : LinearPredictors
    size : ndarray of shape (n,)
        Trials, exposures or 1.
    dispersion : tuple of ndarray of shape (n_draws,)
    """
    of_link = {"logit": _logit_moments, "log": _log_moments, "identity": _identity_moments}
    compute = of_link[family.link]
    out = np.empty((3, len(predictors)))

    def fill(block: Block) -> None:
        out[:, block.rows] = compute(family, block, size[block.rows], dispersion)

    predictors.for_each(fill)
    mean, of_expectation, noise = out
    variance = of_expectation + noise if with_noise else of_expectation
    return mean, np.sqrt(np.maximum(variance, 0.0))


def _logit_moments(
    family: Family, block: Block, size: Float, dispersion: tuple[Float, ...]
) -> tuple[Float, Float, Float]:
    """Return E mu, Var mu and E Var(y | mu), each (n,), of numbers of successes."""
    from skhbm._prediction import response_lanes as lanes

    if block.variance is None:
        moments = lanes.logistic_moments(block.mean, block.n_draws)
    else:
        moments = np.empty((len(size), 2))
        new = np.any(block.variance > 0, axis=(1, 2))
        moments[~new] = lanes.logistic_moments(block.mean[~new], block.n_draws)
        moments[new] = lanes.normal_logistic_moments(
            block.mean[new], block.variance[new], block.n_draws
        )
    p, square = moments.T
    return size * p, size**2 * (square - p**2), size * (p - square)


def _log_moments(
    family: Family, block: Block, size: Float, dispersion: tuple[Float, ...]
) -> tuple[Float, Float, Float]:
    """Return the same of counts, whose variance is mu, or mu + mu^2 / alpha."""
    from skhbm._prediction import response_lanes as lanes

    variance = np.zeros_like(block.mean[:1]) if block.variance is None else block.variance
    inverse = np.zeros(block.mean.shape[1:])
    if dispersion:
        inverse.reshape(-1)[: block.n_draws] = 1.0 / dispersion[0]
    moments = lanes.exponential_moments(block.mean, variance, inverse, block.n_draws)
    rate, square, over = moments.T
    with np.errstate(over="ignore", invalid="ignore"):
        of_expectation = size**2 * np.where(square < np.inf, square - rate**2, np.inf)
        return size * rate, of_expectation, size * rate + size**2 * over


def _identity_moments(
    family: Family, block: Block, size: Float, dispersion: tuple[Float, ...]
) -> tuple[Float, Float, Float]:
    """Return the same of values about the linear predictor."""
    mean, variance = block.by_draw()
    center = mean.mean(axis=1)
    spread = np.mean((mean - center[:, None]) ** 2, axis=1)
    if variance is not None:
        spread += variance.mean(axis=1)
    noise = np.mean(family.variance(1.0, np.zeros(1), dispersion))
    return center, spread, np.full(len(center), noise)
