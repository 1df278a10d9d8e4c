"""Successes among trials with a common probability, whose logit is the linear predictor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import betainc, betaincc, expit

from skhbm._numba.jit import JIT_INNER, njit

if TYPE_CHECKING:
    from skhbm._types import Float

__all__ = [
    "cdf",
    "derivatives",
    "draw",
    "expected_information",
    "log_likelihood",
    "mean",
    "observed_information",
    "panjer",
    "variance",
]


def log_likelihood(y: Any, size: Any, eta: Any) -> Any:
    """Return the log probability of the trials one by one: y successes, size - y failures."""
    failures = np.asarray(size) - y
    return -y * np.logaddexp(0.0, -eta) - failures * np.logaddexp(0.0, eta)


def mean(size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    """Return the expected number of successes."""
    return size * expit(eta)


def variance(size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    """Return the variance of the number of successes."""
    return size * expit(eta) * expit(-np.asarray(eta))


def cdf(y: Any, size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    """Return the probability of no more than y successes."""
    y, size, eta = np.broadcast_arrays(np.floor(y), size, eta)
    within = (y >= 0) & (y < size)
    k = np.where(within, y, 0.0)
    n = np.where(within, size, 1.0)
    # The smaller of p and 1 - p has all its digits.
    rare = betaincc(k + 1.0, n - k, expit(np.minimum(eta, 0.0)))
    usual = betainc(n - k, k + 1.0, expit(-np.maximum(eta, 0.0)))
    return np.where(within, np.where(eta < 0, rare, usual), np.where(y < 0, 0.0, 1.0))


def draw(rng: np.random.Generator, size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Float:
    """Return draws of the number of successes."""
    shape = np.broadcast_shapes(np.shape(size), np.shape(eta))
    trials = np.asarray(size).astype(np.int64)
    return np.asarray(rng.binomial(trials, expit(eta), shape), dtype=float)


def observed_information(y: Any, size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    """Return minus the second derivative of the log probability, in which y has no part."""
    return variance(size, eta, dispersion) + 0.0 * y


#: The information in eta is the variance of the number of successes.
expected_information = variance


def panjer(size: Any, eta: Any, dispersion: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return a and b of p(y) / p(y - 1) = a + b / y."""
    odds = np.exp(np.minimum(eta, 600.0))
    return -odds, (size + 1.0) * odds


@njit(**JIT_INNER)
def derivatives(y, size, eta, d):
    """Return the log probability of the trials one by one, and its derivatives in eta."""
    t = math.exp(-abs(eta))
    smaller = t / (1.0 + t)
    # Differences of large numbers are taken before they are multiplied.
    if eta > 0.0:
        value, first = (y - size) * eta, (y - size) + size * smaller
    else:
        value, first = y * eta, y - size * smaller
    return value - size * math.log1p(t), first, -size * smaller / (1.0 + t)
