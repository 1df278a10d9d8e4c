"""Pareto-smoothed importance sampling, which ArviZ does.

Vehtari, Simpson, Gelman, Yao & Gabry (2024), https://jmlr.org/papers/v25/19-556.html
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from skhbm._types import Float, Int


__all__ = [
    "effective_size",
    "good_k",
    "log_mean_exp",
    "pareto_smooth",
    "resample",
    "systematic",
    "told_apart",
]


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


def told_apart(k: float, threshold: float) -> tuple[str, str]:
    """Write a k with two digits, rounded up, and the threshold below it, rounded down."""
    up = math.ceil(100 * k) / 100 if math.isfinite(k) else k
    return f"{up:.2f}", f"{math.floor(100 * threshold + 1e-9) / 100:.2f}"


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


def resample(weights: Float, n: int, rng: np.random.Generator) -> tuple[Int, Float]:
    """Choose n draws in proportion to their weights, and say how uncertain their means are.

    The order is random, and what is chosen several times follows each other.

    Returns
    -------
    chosen : ndarray of int of shape (n,)
        Positions of the chosen draws.
    spread : ndarray of shape (n,)
        Factors s_i for which the mean of a function f over the chosen draws has about the
        variance mean(s_i (f_i - mean(f))^2), as `effective_size` has it. With the normalised
        weights w of all draws, that of the weighted mean is sum(w_i^2 (f_i - mean(f))^2)
        (Owen 2013, Monte Carlo theory, methods and examples, equation 9.9): a draw has
        s_i = w_i. To this comes the chance with which n w_i is rounded.
    """
    order = rng.permutation(len(weights))
    chosen = order[systematic(weights[order], n, rng)]
    copies = n * weights[chosen]
    rest = copies % 1.0
    return chosen, (copies + rest * (1.0 - rest) / copies) / n


def effective_size(draws: Float, spread: Float) -> float:
    """Return how many independent draws the mean and the variance are worth, the lesser.

    `draws` (n,) are resampled, and `spread` (n,) is that of `resample`.
    """
    squares = (draws - draws.mean()) ** 2
    scatter = (squares - squares.mean()) ** 2
    sizes = [f.mean() / np.mean(spread * f) for f in (squares, scatter) if f.any()]
    return float(min(sizes))


def _smooth(array_stats: Any, ratios: Float, efficiency: float) -> tuple[Float, float]:
    """Smooth the ratios of a distribution; with k = inf leave a tail that cannot be fitted."""
    try:
        smoothed, k = array_stats.psislw(-ratios, r_eff=min(efficiency, 1.0), axis=-1)
    except ValueError:
        # The tail has fewer than five draws, or a few draws many times.
        return ratios, np.inf
    # If all but a few ratios underflow, k is not a number.
    return (ratios, np.inf) if np.isnan(k) else (smoothed, float(k))
