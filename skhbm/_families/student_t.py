"""Values with outliers: Student's t about the linear predictor, with scale sigma."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtr

from skhbm._families.family import Family
from skhbm._families.gamma_functions import (
    half_step,
    half_step_slope,
    log1p_less,
    log_half_step,
)
from skhbm._numba.jit import JIT_INNER, njit

if TYPE_CHECKING:
    from skhbm._types import Float

__all__ = ["STUDENT_T"]


def _check_target(y: Float, size: Any) -> None:
    """Accept all finite values."""


def _log_density(y: Any, size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    sigma, nu = dispersion
    squared = ((y - eta) / sigma) ** 2
    constant = log_half_step(0.5 * nu) - 0.5 * math.log(2.0 * math.pi) - np.log(sigma)
    return constant - 0.5 * (nu + 1.0) * np.log1p(squared / nu)


def _mean(size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    """Return the centre, which is the mean if nu > 1."""
    return eta + 0.0 * (size + dispersion[0])


def _variance(size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    sigma, nu = dispersion
    excess = np.maximum(nu - 2.0, 0.0)
    with np.errstate(divide="ignore"):
        inflation = np.where(excess > 0, 1.0 + 2.0 / excess, np.inf)
    return sigma**2 * inflation + 0.0 * (np.asarray(size) + eta)


def _cdf(y: Any, size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    sigma, nu = dispersion
    return stdtr(nu, (y - eta) / sigma)


def _draw(rng: np.random.Generator, size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Float:
    sigma, nu = dispersion
    shape = np.broadcast_shapes(np.shape(size), np.shape(eta), np.shape(sigma), np.shape(nu))
    return np.asarray(eta + sigma * rng.standard_t(nu, shape))


def _observed_information(y: Any, size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    """Return minus the second derivative, which is negative for outliers."""
    sigma, nu = dispersion
    squared = ((y - eta) / sigma) ** 2 / nu
    return (nu + 1.0) / (nu * sigma**2) * (1.0 - squared) / (1.0 + squared) ** 2


def _expected_information(size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    sigma, nu = dispersion
    return (nu + 1.0) / ((nu + 3.0) * sigma**2) + 0.0 * (np.asarray(size) + eta)


@njit(**JIT_INNER)
def _eta_derivatives(y, size, eta, d):
    sigma, nu = d[0], d[1]
    z = (y - eta) / sigma
    squared = z * z / nu
    near = 1.0 / (1.0 + squared)
    weight = (1.0 + 1.0 / nu) * near / sigma
    value = -0.5 * (nu + 1.0) * math.log1p(squared)
    return value, weight * z, -weight * (1.0 - squared) * near / sigma


@njit(**JIT_INNER)
def _eta_dispersion_gradient(y, size, eta, d, out):
    sigma, nu = d[0], d[1]
    z = (y - eta) / sigma
    squared = z * z / nu
    share = squared / (1.0 + squared)
    out[0] = (nu + 1.0) * share / sigma
    slope = log1p_less(-share) if share < 0.5 else share - math.log1p(squared)
    out[1] = 0.5 * (slope + share / nu)


@njit(**JIT_INNER)
def _rest(y, size, d):
    return half_step(0.5 * d[1]) - math.log(d[0])


@njit(**JIT_INNER)
def _rest_gradient(y, size, d, out):
    out[0] = -1.0 / d[0]
    out[1] = 0.5 * half_step_slope(0.5 * d[1])


@njit(**JIT_INNER)
def _derivatives(y, size, eta, d):
    value, first, second = _eta_derivatives(y, size, eta, d)
    return value + _rest(y, size, d), first, second


@njit(**JIT_INNER)
def _dispersion_gradient(y, size, eta, d, out):
    _eta_dispersion_gradient(y, size, eta, d, out)
    out[0] -= 1.0 / d[0]
    out[1] += 0.5 * half_step_slope(0.5 * d[1])


STUDENT_T = Family(
    name="student_t",
    link="identity",
    dispersion=("sigma", "nu"),
    size_name=None,
    additive=False,
    discrete=False,
    check_target=_check_target,
    log_density=_log_density,
    mean=_mean,
    variance=_variance,
    cdf=_cdf,
    draw=_draw,
    observed_information=_observed_information,
    expected_information=_expected_information,
    panjer=None,
    derivatives=_derivatives,
    dispersion_gradient=_dispersion_gradient,
    eta_derivatives=_eta_derivatives,
    eta_dispersion_gradient=_eta_dispersion_gradient,
    rest=_rest,
    rest_gradient=_rest_gradient,
)
