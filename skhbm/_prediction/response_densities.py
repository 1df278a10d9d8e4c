"""Log densities of responses whose linear predictor is normal, by quadrature about the mode."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logsumexp

from skhbm._families.gamma_functions import half_step
from skhbm._numba.jit import njit

if TYPE_CHECKING:
    from skhbm._families.family import Family
    from skhbm._types import Float

__all__ = ["log_densities"]

#: Functions that take functions are compiled into each of their callers.
JIT_GENERIC: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
#: Distances between nodes: in standard deviations at the mode, and on the scale of a log or
#: logit link, whose functions have singularities at pi i.
NODES, LINK = 0.7, 0.4
#: What is e^-38 of the largest value adds nothing.
NEGLIGIBLE = 38.0
#: The most steps towards a mode, and how many standard deviations nodes reach.
MOST_STEPS, REACH = 200, 8.7
#: Nodes for a t distribution are this far apart, times its scale and the root of nu.
NEAR_POLE = 0.3
#: From so many of them on a t distribution is taken for the mixture of normals that it is, and
#: with so many degrees of freedom for one normal: the normal about it is far wider.
MOST_NODES, NORMAL = 4000.0, 100.0


def log_densities(
    family: Family,
    mean: Float,
    variance: Float | None,
    y: Float,
    size: Float,
    dispersion: tuple[Float, ...],
) -> Float:
    """Return the log densities (n,) of the mixtures over draws at y (n,).

    mean and variance (n, n_draws) are of the linear predictors given each draw.
    """
    values = family.log_density(y[:, None], size[:, None], mean, dispersion)
    if variance is not None:
        new = np.any(variance > 0, axis=1)
        values[new] = _of_normal_predictors(
            family, mean[new], variance[new], y[new], size[new], dispersion
        )
    averages: Float = logsumexp(values, axis=1) - math.log(mean.shape[1])
    return averages


def _of_normal_predictors(
    family: Family,
    mean: Float,
    variance: Float,
    y: Float,
    size: Float,
    dispersion: tuple[Float, ...],
) -> Float:
    """Return the log densities (n, n_draws) given each draw."""
    d = np.empty((mean.shape[1], len(dispersion)))
    for k, draws in enumerate(dispersion):
        d[:, k] = draws
    out, at_mean = np.empty(mean.shape), np.empty((len(mean), 1))
    fill, first = _kernel(family), np.ascontiguousarray(mean[:, :1])
    fill(mean, variance, y, size, d, out)
    # What compiled log densities leave out depends on y and size alone.
    fill(first, np.zeros_like(first), y, size, d[:1], at_mean)
    complete = family.log_density(y[:, None], size[:, None], first, tuple(d[:1].T))
    return out + (complete - at_mean)


@cache
def _kernel(family: Family) -> Any:
    """Return a compiled function that fills out (n, n_draws) with log densities."""
    eta_derivatives, rest = family.eta_derivatives, family.rest
    integral: Any = _integral_about_mode if family.link != "identity" else _integral_of_t

    @njit(nogil=True)
    def fill(mean, variance, y, size, d, out):
        for i in range(len(mean)):
            for s in range(mean.shape[1]):
                m, v = mean[i, s], variance[i, s]
                if v > 0.0:
                    value = integral(eta_derivatives, m, v, y[i], size[i], d[s])
                else:
                    value = eta_derivatives(y[i], size[i], m, d[s])[0]
                out[i, s] = value + rest(y[i], size[i], d[s])

    return fill


@njit(**JIT_GENERIC)
def _integral_about_mode(derivatives, m, v, y, size, d):
    """Return the log of E f(eta) for a log-concave f and eta ~ Normal(m, v)."""
    mode, curvature = _mode(derivatives, m, v, y, size, d)
    top = derivatives(y, size, mode, d)[0] - 0.5 * (mode - m) ** 2 / v
    h = min(NODES / math.sqrt(curvature), LINK)
    total = 1.0
    for side in (-1.0, 1.0):
        k = 0
        while True:
            k += 1
            eta = mode + side * k * h
            value = derivatives(y, size, eta, d)[0] - 0.5 * (eta - m) ** 2 / v - top
            if not value > -NEGLIGIBLE:
                break
            total += math.exp(value)
    return top + math.log(total * h) - 0.5 * math.log(2.0 * math.pi * v)


@njit(**JIT_GENERIC)
def _mode(derivatives, m, v, y, size, d):
    """Return the mode of log f(eta) - (eta - m)^2 / (2 v), and minus its second derivative.

    As f is log-concave, the mode is between m and m + v (log f)'(m). Newton steps that leave
    what is known of it, or do not halve it, are replaced by bisection.
    """
    slope = derivatives(y, size, m, d)[1]
    low, high = min(m, m + v * slope), max(m, m + v * slope)
    eta, before = m, high - low
    for _ in range(MOST_STEPS):
        _, first, second = derivatives(y, size, eta, d)
        first -= (eta - m) / v
        curvature = 1.0 / v - second
        if first > 0.0:
            low = eta
        else:
            high = eta
        step = first / curvature
        if not (low <= eta + step <= high and abs(step) <= 0.5 * before):
            step = 0.5 * (low + high) - eta
        before = abs(step)
        eta += step
        if abs(step) <= 1e-6 / math.sqrt(curvature):
            break
    return eta, 1.0 / v - derivatives(y, size, eta, d)[2]


@njit(**JIT_GENERIC)
def _integral_of_t(derivatives, m, v, y, size, d):
    """Return the log of E f(eta) for f of a t distribution and eta ~ Normal(m, v).

    Nodes resolve the normal density and the poles of the t, and lie about m and towards y.
    """
    sigma, nu = d[0], d[1]
    sd = math.sqrt(v)
    h = min(NODES * sd, sigma * min(NEAR_POLE * math.sqrt(nu), NODES))
    toward = min(max(y - m, -40.0 * sd), 40.0 * sd)
    low, high = m + min(toward, 0.0) - REACH * sd, m + max(toward, 0.0) + REACH * sd
    if (high - low) / h > MOST_NODES:
        log_density = _density_of_scale_mixture(y - m, v, sigma, nu)
        return (
            log_density + 0.5 * math.log(2.0 * math.pi) - half_step(0.5 * nu) + math.log(sigma)
        )
    n = int((high - low) / h) + 1
    top, total = -np.inf, 0.0
    for k in range(n + 1):
        eta = low + k * h
        value = derivatives(y, size, eta, d)[0] - 0.5 * (eta - m) ** 2 / v
        if value > top:
            total = total * math.exp(top - value) + 1.0
            top = value
        else:
            total += math.exp(value - top)
    return top + math.log(total * h) - 0.5 * math.log(2.0 * math.pi * v)


@njit(**JIT_GENERIC)
def _density_of_scale_mixture(r, v, sigma, nu):
    """Return the log density at r of a t distribution plus a normal with variance v.

    The t distribution is normal with variance sigma^2 / g given g ~ Gamma(nu / 2, nu / 2).
    The integral over log g, by the trapezoidal rule, costs the same however wide v is.
    """
    squared = sigma * sigma
    if nu > NORMAL:
        variance = v + squared * nu / (nu - 2.0)
        return -0.5 * (r * r / variance + math.log(2.0 * math.pi * variance))
    h = min(0.25, 0.5 * math.sqrt(2.0 / (nu + 1.0)))
    low = -2.0 * math.log(max(math.sqrt(v), abs(r)) / sigma) - 80.0 / (nu + 1.0)
    high = math.log(1.0 + 80.0 / nu) + 0.7
    top, total = -np.inf, 0.0
    for k in range(int((high - low) / h) + 1):
        t = low + k * h
        variance = v + squared * math.exp(-t)
        value = 0.5 * nu * (t - math.exp(t)) - 0.5 * (math.log(variance) + r * r / variance)
        if value > top:
            total = total * math.exp(top - value) + 1.0
            top = value
        else:
            total += math.exp(value - top)
    constant = 0.5 * nu * math.log(0.5 * nu) - math.lgamma(0.5 * nu)
    return top + math.log(total * h) + constant - 0.5 * math.log(2.0 * math.pi)
