"""Pareto-smoothed importance sampling, which ArviZ does.

Vehtari, Simpson, Gelman, Yao & Gabry (2024), https://jmlr.org/papers/v25/19-556.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from skhbm._types import Float, Int


__all__ = ["good_k", "log_mean_exp", "pareto_smooth", "systematic"]


def pareto_smooth(log_ratios: Float, efficiency: float = 1.0) -> tuple[Float, Float]:
    """Smooth the largest of importance ratios.

    Parameters
    ----------
    log_ratios : ndarray of shape (n, n_draws)
        Log importance ratios of the draws, up to a constant for each of n distributions.
    efficiency : float
        Effective sample size of the draws over their number.

    Returns
    -------
    log_weights : ndarray of shape (n, n_draws)
        Normalised: the exponentials of each row sum to one.
    k : ndarray of shape (n,)
        Shape of the generalised Pareto distribution fitted to the largest ratios: -inf
        if they are all equal, inf if it cannot be fitted.
    """
    from arviz_stats.base import array_stats

    log_weights, k = np.empty(log_ratios.shape), np.empty(len(log_ratios))
    # A weight that is too small for a double is zero, whatever errors a user has raised.
    with np.errstate(under="ignore"):
        for i, ratios in enumerate(log_ratios):
            if np.ptp(ratios) == 0:
                log_weights[i], k[i] = ratios, -np.inf
            else:
                log_weights[i], k[i] = _smooth(array_stats, ratios, efficiency)
        top = log_weights.max(axis=1, keepdims=True)
        total = np.sum(np.exp(log_weights - top), axis=1, keepdims=True)
        return log_weights - top - np.log(total), k


def good_k(n_draws: int) -> float:
    """Return the largest k at which so many draws suffice; 0.7 from 2200 draws on."""
    return min(1 - 1 / np.log10(max(n_draws, 2)), 0.7)


def log_mean_exp(values: Float, axis: int = -1) -> Float:
    """Return the log of the mean of exponentials along an axis, without overflow."""
    top = values.max(axis=axis, keepdims=True)
    mean = np.mean(np.exp(values - top), axis=axis)
    return np.asarray(np.log(mean) + np.squeeze(top, axis=axis))


def systematic(weights: Float, n: int, rng: np.random.Generator) -> Int:
    """Choose n draws in proportion to their weights, in the order they came.

    Systematic resampling (Kitagawa 1996, https://doi.org/10.1080/10618600.1996.10474692,
    appendix).
    """
    places = (rng.random() + np.arange(n)) / n
    return np.minimum(np.searchsorted(np.cumsum(weights), places), len(weights) - 1)


def _smooth(array_stats: Any, ratios: Float, efficiency: float) -> tuple[Float, float]:
    """Smooth the ratios of a distribution; with k = inf leave a tail that cannot be fitted."""
    try:
        smoothed, k = array_stats.psislw(-ratios, r_eff=min(efficiency, 1.0), axis=-1)
    except ValueError:
        # The tail has fewer than five draws, or a few draws many times.
        return ratios, np.inf
    # If all but a few ratios underflow, k is not a number.
    return (ratios, np.inf) if np.isnan(k) else (smoothed, float(k))
