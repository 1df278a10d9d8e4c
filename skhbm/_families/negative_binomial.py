"""Counts that vary more than Poisson's: mean mu, variance mu + mu^2 / alpha.

They are Poisson counts whose means are Gamma with shape alpha. Without constants the log
density is

    log(alpha ... (alpha + y - 1) / alpha^y) + y log mu - (y + alpha) log(1 + mu / alpha),

whose terms have the limits 0, y log mu and -mu for large alpha.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import betaincc, expit, gammaln

from skhbm._families.family import Family
from skhbm._families.gamma_functions import log1p_less, log_rising, rising, rising_slope
from skhbm._families.log_link import LARGEST_ETA, draw_counts, expected_count, mean
from skhbm._families.targets import check_counts, check_exposure
from skhbm._numba.jit import JIT_INNER, njit

if TYPE_CHECKING:
    from skhbm._types import Float

__all__ = ["NEGATIVE_BINOMIAL"]


def _check_target(y: Float, size: Any) -> None:
    check_exposure(size)
    check_counts(y)


def _log_density(y: Any, size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    (alpha,) = dispersion
    log_mean = eta + np.log(size)
    shrunk = (y + alpha) * np.logaddexp(0.0, log_mean - np.log(alpha))
    return log_rising(y, alpha) + y * log_mean - shrunk - gammaln(np.asarray(y) + 1.0)


def _variance(size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    expected = mean(size, eta, dispersion)
    with np.errstate(over="ignore"):
        return expected * (1.0 + expected / dispersion[0])


def _share(size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    """Return mu / (alpha + mu)."""
    return expit(eta + np.log(size) - np.log(dispersion[0]))


def _cdf(y: Any, size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    share = _share(size, eta, dispersion)
    y, share, alpha = np.broadcast_arrays(np.floor(y), share, dispersion[0])
    return np.where(y < 0, 0.0, betaincc(np.maximum(y, 0.0) + 1.0, alpha, share))


def _draw(rng: np.random.Generator, size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Float:
    (alpha,) = dispersion
    expected = mean(size, eta, dispersion)
    shape = np.broadcast_shapes(np.shape(expected), np.shape(alpha))
    relative = rng.standard_gamma(alpha, shape) / alpha
    with np.errstate(over="ignore"):
        return draw_counts(rng, np.minimum(expected * relative, np.finfo(float).max))


def _observed_information(y: Any, size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    share = _share(size, eta, dispersion)
    return (y + dispersion[0]) * share * (1.0 - share)


def _expected_information(size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    return dispersion[0] * _share(size, eta, dispersion)


def _panjer(size: Any, eta: Any, dispersion: tuple[Any, ...]) -> tuple[Any, Any]:
    share = _share(size, eta, dispersion)
    return share, (dispersion[0] - 1.0) * share


@njit(**JIT_INNER)
def _ratio(size, eta, alpha):
    """Return mu, log(1 + mu / alpha) and mu / (alpha + mu)."""
    expected = expected_count(size, eta)
    if eta > LARGEST_ETA - 90.0:
        return expected, eta + math.log(size / alpha), 1.0
    return expected, math.log1p(expected / alpha), expected / (alpha + expected)


@njit(**JIT_INNER)
def _eta_derivatives(y, size, eta, d):
    alpha = d[0]
    expected, log_ratio, share = _ratio(size, eta, alpha)
    left = alpha / (alpha + expected)
    value = y * eta - (y + alpha) * log_ratio
    return value, left * (y - expected), -(y + alpha) * share * left


@njit(**JIT_INNER)
def _eta_dispersion_gradient(y, size, eta, d, out):
    alpha = d[0]
    _, log_ratio, share = _ratio(size, eta, alpha)
    slope = log1p_less(-share) if share < 0.5 else share - log_ratio
    out[0] = slope + share * y / alpha


@njit(**JIT_INNER)
def _rest(y, size, d):
    return rising(y, d[0])


@njit(**JIT_INNER)
def _rest_gradient(y, size, d, out):
    out[0] = rising_slope(y, d[0])


@njit(**JIT_INNER)
def _derivatives(y, size, eta, d):
    value, first, second = _eta_derivatives(y, size, eta, d)
    return value + rising(y, d[0]), first, second


@njit(**JIT_INNER)
def _dispersion_gradient(y, size, eta, d, out):
    _eta_dispersion_gradient(y, size, eta, d, out)
    out[0] += rising_slope(y, d[0])


NEGATIVE_BINOMIAL = Family(
    name="negative_binomial",
    link="log",
    dispersion=("alpha",),
    size_name="exposure",
    additive=False,
    discrete=True,
    check_target=_check_target,
    log_density=_log_density,
    mean=mean,
    variance=_variance,
    cdf=_cdf,
    draw=_draw,
    observed_information=_observed_information,
    expected_information=_expected_information,
    panjer=_panjer,
    derivatives=_derivatives,
    dispersion_gradient=_dispersion_gradient,
    eta_derivatives=_eta_derivatives,
    eta_dispersion_gradient=_eta_dispersion_gradient,
    rest=_rest,
    rest_gradient=_rest_gradient,
)
