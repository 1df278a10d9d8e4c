"""Differences of log gamma functions and of their derivatives, without cancellation.

For x >= 16 the series of Stirling (Abramowitz & Stegun 6.1.41, 6.3.18) have 16 digits:

    log Gamma(x) = (x - 1/2) log x - x + log(2 pi) / 2 + s(x),
    s(x) = 1 / (12 x) - 1 / (360 x^3) + ...

The terms that cancel between two of them are left out by hand.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import gammaln

from skhbm._numba.jit import JIT_INNER, njit

__all__ = [
    "half_step",
    "half_step_slope",
    "log1p_less",
    "log_half_step",
    "log_rising",
    "rising",
    "rising_slope",
]

#: From here on a few terms of Stirling's series have 16 digits.
STIRLING = 16.0
#: Below this log1p(v) - v comes from its series.
SMALL = 0.05


def log_rising(y: Any, a: Any) -> Any:
    """Return log(Gamma(a + y) / Gamma(a) / a^y): of a (a + 1) ... (a + y - 1) / a^y."""
    large = np.maximum(a, STIRLING)
    top = large + y
    by_series = (top - 0.5) * np.log1p(y / large) - y + _stirling(top) - _stirling(large)
    small = np.minimum(a, STIRLING)
    direct = gammaln(small + y) - gammaln(small) - y * np.log(small)
    return np.where(np.asarray(a) >= STIRLING, by_series, direct)


def log_half_step(x: Any) -> Any:
    """Return log(Gamma(x + 1/2) / Gamma(x) / x^(1/2)) for arrays."""
    small = np.minimum(x, STIRLING)
    direct = gammaln(small + 0.5) - gammaln(small) - 0.5 * np.log(small)
    return np.where(np.asarray(x) >= STIRLING, _half_series(np.maximum(x, STIRLING)), direct)


def _stirling(x: Any) -> Any:
    v = 1.0 / (x * x)
    return (1 / 12 - v * (1 / 360 - v * (1 / 1260 - v * (1 / 1680 - v / 1188)))) / x


def _half_series(x: Any) -> Any:
    v = 1.0 / (x * x)
    return -(1 / 8 - v * (1 / 192 - v * (1 / 640 - v * (17 / 14336 - v * 31 / 18432)))) / x


_stirling_inner = njit(**JIT_INNER)(_stirling)
_half_series_inner = njit(**JIT_INNER)(_half_series)


@njit(**JIT_INNER)
def rising(y, a):
    """Return log(Gamma(a + y) / Gamma(a) / a^y): of a (a + 1) ... (a + y - 1) / a^y."""
    if a < STIRLING:
        return math.lgamma(a + y) - math.lgamma(a) - y * math.log(a)
    top = a + y
    return (top - 0.5) * math.log1p(y / a) - y + _stirling_inner(top) - _stirling_inner(a)


@njit(**JIT_INNER)
def rising_slope(y, a):
    """Return the derivative of `rising` in a."""
    if y <= STIRLING and y == math.floor(y):
        total = 0.0
        for k in range(1, int(y)):
            total += k / (a + k)
        return -total / a
    if a < STIRLING:
        return _digamma(a + y) - _digamma(a) - y / a
    top = a + y
    series = _digamma_series(top) - _digamma_series(a)
    return log1p_less(y / a) + 0.5 * y / (a * top) + series


@njit(**JIT_INNER)
def half_step(x):
    """Return log(Gamma(x + 1/2) / Gamma(x) / x^(1/2))."""
    if x < STIRLING:
        return math.lgamma(x + 0.5) - math.lgamma(x) - 0.5 * math.log(x)
    return _half_series_inner(x)


@njit(**JIT_INNER)
def half_step_slope(x):
    """Return the derivative of `half_step`."""
    if x < STIRLING:
        return _digamma(x + 0.5) - _digamma(x) - 0.5 / x
    v = 1.0 / (x * x)
    inner = 1 / 8 - v * (3 / 192 - v * (5 / 640 - v * (119 / 14336 - v * 279 / 18432)))
    return v * inner


@njit(**JIT_INNER)
def log1p_less(v):
    """Return log(1 + v) - v."""
    if abs(v) > SMALL:
        return math.log1p(v) - v
    total = 0.0
    for k in range(14, 1, -1):
        total = 1.0 / k - v * total
    return -v * v * total


@njit(**JIT_INNER)
def _digamma(x):
    """Return the derivative of log Gamma at x > 0."""
    total = 0.0
    while x < STIRLING:
        total -= 1.0 / x
        x += 1.0
    return total + math.log(x) - 0.5 / x + _digamma_series(x)


@njit(**JIT_INNER)
def _digamma_series(x):
    """Return digamma(x) - log(x) + 1 / (2 x)."""
    v = 1.0 / (x * x)
    return -v * (1 / 12 - v * (1 / 120 - v * (1 / 252 - v * (1 / 240 - v / 132))))
