"""Averages over draws of exp and of the logistic function, in vector instructions.

Linear predictors are arrays (n, m, LANES), whose last lanes are filled up with `NOTHING`.
"""

from __future__ import annotations

import math

import numpy as np

from skhbm._numba.elementary import exp
from skhbm._numba.jit import JIT, JIT_INNER, njit
from skhbm._numba.lanes import LANES, at_least, load, root, splat, total

__all__ = [
    "LANES",
    "NOTHING",
    "add_effects",
    "add_variances",
    "exponential_moments",
    "fill_predictors",
    "logistic_moments",
    "normal_logistic_moments",
]

#: A linear predictor whose exponential, and logistic function, is next to zero.
NOTHING = -1e300
#: exp(-25) is 1e-11: what the exponent of the error of a sum over nodes must reach.
DIGITS = 25.0
#: Nodes reach so many standard deviations; 6e-10 of a normal distribution is beyond.
REACH = 6.2
#: The distance between nodes, where the integrand is next to the density.
WIDEST = 0.9


@njit(**JIT)
def fill_predictors(fixed, coefficients, out):
    """Fill out (n, n_draws or more) with fixed (n, p) times coefficients (p, n_draws)."""
    n_draws = coefficients.shape[1]
    for i in range(len(fixed)):
        row = out[i]
        if fixed.shape[1] % 2:
            x, draws = fixed[i, 0], coefficients[0]
            for s in range(n_draws):
                row[s] = x * draws[s]
        else:
            for s in range(n_draws):
                row[s] = 0.0
        for k in range(fixed.shape[1] % 2, fixed.shape[1], 2):
            x, draws = fixed[i, k], coefficients[k]
            x2, draws2 = fixed[i, k + 1], coefficients[k + 1]
            for s in range(n_draws):
                row[s] += x * draws[s] + x2 * draws2[s]
        for s in range(n_draws, out.shape[1]):
            row[s] = NOTHING


@njit(**JIT)
def add_effects(z, where, effects, out):
    """Add z'u to out (n, n_draws or more), with effects (n_groups, q, n_draws).

    Rows with a negative `where` (n,) have none.
    """
    for i in range(len(z)):
        if where[i] < 0:
            continue
        row = out[i]
        for a in range(z.shape[1]):
            x, draws = z[i, a], effects[where[i], a]
            for s in range(len(draws)):
                row[s] += x * draws[s]


@njit(**JIT)
def add_variances(z, where, covariances, out):
    """Add z'Cz to out (n, n_draws or more) for rows with a negative `where`.

    covariances are of shape (q, q, n_draws).
    """
    for i in range(len(z)):
        if where[i] >= 0:
            continue
        row = out[i]
        for a in range(z.shape[1]):
            for b in range(z.shape[1]):
                x, draws = z[i, a] * z[i, b], covariances[a, b]
                for s in range(len(draws)):
                    row[s] += x * draws[s]


@njit(**JIT)
def logistic_moments(mean, n_draws):
    """Return the averages over draws of p and of p^2 (n, 2), for p = 1 / (1 + exp(-mean))."""
    out = np.empty((len(mean), 2))
    for i in range(len(mean)):
        first, second = splat(0.0), splat(0.0)
        for j in range(mean.shape[1]):
            p = 1.0 / (exp(load(mean, (i, j)) * -1.0) + 1.0)
            first = first + p
            second = second + p * p
        out[i, 0], out[i, 1] = total(first) / n_draws, total(second) / n_draws
    return out


@njit(**JIT)
def normal_logistic_moments(mean, variance, n_draws):
    """Return the averages over draws of E p and E p^2 (n, 2) under Normal(mean, variance).

    Sums over equidistant nodes z of the density times the function converge exponentially
    (Trefethen & Weideman 2014, https://doi.org/10.1137/130932132). The pole of the logistic
    function at z = pi i / sd leaves an error of exp(-2 pi^2 / (sd h) + pi^2 / (2 sd^2)), for
    nodes at distance h.
    """
    out = np.empty((len(mean), 2))
    for i in range(len(mean)):
        first, second = 0.0, 0.0
        for j in range(mean.shape[1]):
            m, sd = load(mean, (i, j)), root(at_least(load(variance, (i, j)), splat(0.0)))
            h = _distance(_largest(variance[i, j]))
            n, weights = int(REACH / h) + 1, 0.0
            p_sum, square_sum = splat(0.0), splat(0.0)
            for k in range(-n, n + 1):
                z = k * h
                weight = math.exp(-0.5 * z * z)
                p = 1.0 / (exp((m + sd * z) * -1.0) + 1.0)
                p_sum = p_sum + p * weight
                square_sum = square_sum + p * p * weight
                weights += weight
            first += total(p_sum) / weights
            second += total(square_sum) / weights
        out[i, 0], out[i, 1] = first / n_draws, second / n_draws
    return out


@njit(**JIT_INNER)
def _largest(variances):
    """Return the largest standard deviation of some lanes."""
    largest = 0.0
    for l in range(LANES):
        largest = max(largest, variances[l])
    return math.sqrt(largest)


@njit(**JIT_INNER)
def _distance(sd):
    """Return the distance of nodes for this standard deviation of the linear predictor."""
    if sd < 0.4:
        return WIDEST
    pole = math.pi / sd
    return min(WIDEST, 2.0 * math.pi * pole / (DIGITS + 0.5 * pole * pole))


@njit(**JIT)
def exponential_moments(mean, variance, inverse, n_draws):
    """Return averages over draws of E r, E r^2 and E r^2 / alpha (n, 3).

    r = exp(eta) is lognormal, as eta is Normal(mean, variance). The variance of all rows may be
    the same, (1, m, LANES). The array inverse (m, LANES) has 1 / alpha of the draws.
    """
    out = np.empty((len(mean), 3))
    for i in range(len(mean)):
        first, second, last = splat(0.0), splat(0.0), splat(0.0)
        for j in range(mean.shape[1]):
            v = load(variance, (i % len(variance), j))
            r = exp(load(mean, (i, j)) + v * 0.5)
            spread = r * r * exp(v)
            first = first + r
            second = second + spread
            last = last + spread * load(inverse, (j,))
        out[i, 0], out[i, 1] = total(first) / n_draws, total(second) / n_draws
        out[i, 2] = total(last) / n_draws
    return out
