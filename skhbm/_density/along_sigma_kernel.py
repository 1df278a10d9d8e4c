"""The density along the line of the residual scale, given relative scales, in numba.

At given tau / sigma, correlations and coefficients the likelihood of several factors is a
function of sigma alone, once M has been factorised. With K_gg = Q diag(l) Q', u = 1 / sigma^2

    log p = -n log sigma - log|M| / 2 - sum log(1 + l_i u) / 2
            - (c u + mean'mean - sum (b_i u + a_i)^2 / (1 + l_i u)) / 2,

where a = Q'mean, b = Q'K_g,rest v and c = v'K_rest,rest v for v = (given, -1): a point costs k
operations. The priors of the tau and of sigma vary along the line, too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import carray

from skhbm._density.correlations_kernel import corr_gradient
from skhbm._density.hyperparameters_kernel import (
    FACTOR,
    correlations,
    fill_covariances,
    natural_values,
)
from skhbm._numba.jit import JIT, JIT_INNER, njit
from skhbm._numba.pointers import as_pointer, call_marginal, call_prior
from skhbm._priors.prior import SCALAR

__all__ = ["FIRST", "HALF", "STEP", "VALUES", "evaluate_lines"]

#: Nodes to either side of the middle one, and their distance in standard deviations. The error
#: of trapezoidal sums of a normal density is exp(-2 pi^2 / 0.5^2), beyond rounding.
HALF, SPACING = 16, 0.5
#: Eigenvalues of cross-products that are more negative than this share are no rounding.
INDEFINITE = 1e-6
#: Columns of a line: its first node, the distance of nodes, and log densities at the nodes.
FIRST, STEP, VALUES = 0, 1, 2
#: Step of the difference of slopes that the curvature is made of.
DIFFERENCE = 1e-3
#: Steps to the mode, at most, and the longest.
STEPS, LONGEST = 50, 1.0


class Line(NamedTuple):
    """What the log density along a line depends on.

    Attributes
    ----------
    constant : float
    n : float, number of rows
    l, a, b : (k,), c : float, as above
    log_unit : float, log of the response's working unit
    log_ratio : (n_tau,), logs of tau / sigma
    priors : (n_tau + 1,), addresses of the priors of the tau and of sigma
    parameters : (n_tau + 1, n_parameters)
    """

    constant: float
    n: float
    l: np.ndarray
    a: np.ndarray
    b: np.ndarray
    c: float
    log_unit: float
    log_ratio: np.ndarray
    priors: np.ndarray
    parameters: np.ndarray


@njit(**JIT)
def evaluate_lines(table, relative, n, mean, guess, x, logp, lines, cross):
    """Integrate over log sigma at points x (n_points, d).

    `table` is the record of the density and `relative` the address of the callback of relative
    covariances; n is the number of rows, `guess` where log sigma is looked for. Fill log
    densities (n_points,), lines (n_points, VALUES + 2 HALF + 1) and, if there is room for
    them, cross-products (n_points, m, m).
    """
    record, m = table[0], len(mean) + table[0].n_sampled + 1
    outputs = np.empty(1 + m * m)
    for i in range(len(x)):
        line = line_at(record, relative, n, mean, x[i], outputs)
        logp[i] = integrate_line(line, guess, lines[i])
        if len(cross) > 0:
            cross[i] = outputs[1:].reshape((m, m))


@njit(**JIT_INNER)
def line_at(table, relative, n, mean, x, outputs):
    """Return the line at a point; `outputs` is filled with log|M| and K."""
    q, s, n_effects = table.n_tau, table.n_sampled, table.n_effects
    # At sigma = 1 the tau are the relative ones.
    whole, natural = np.empty(table.n_dim), np.empty(table.n_dim)
    whole[:n_effects] = x[:n_effects]
    whole[n_effects] = 0.0
    whole[n_effects + 1 :] = x[n_effects:]
    scalars, C = np.empty(table.n_scalars, SCALAR), np.zeros(table.n_entries)
    natural_values(whole, table, natural, scalars, C)
    covariances = np.empty(table.n_entries)
    fill_covariances(table, scalars, C, covariances)
    covariances *= table.response_unit * table.response_unit
    call_marginal(
        relative, table.likelihood_table, covariances.ctypes.data, outputs.ctypes.data, 0
    )
    if not np.isfinite(outputs[0]) or covariances[0] < 0.0:
        outputs[0], outputs[1:] = np.inf, 0.0
    constant = correlations_prior(table, whole) - 0.5 * outputs[0]
    for c in range(table.n_scalars - s, table.n_scalars):
        constant += scalars[c].logp
    m = len(mean) + s + 1
    l, a, b, c = diagonalise(outputs[1:].reshape((m, m)), mean, natural[len(natural) - s :])
    if len(l) > 0 and l[0] < -INDEFINITE * (1.0 + l[-1]):
        # Rounding has left no cross-products.
        constant = -np.inf
    l = np.maximum(l, 0.0)
    log_ratio = np.empty(q)
    for i in range(q):
        log_ratio[i] = np.log(scalars[i].value)
    priors = carray(as_pointer(table.priors), (q + 1,), np.int64)
    shape = (q + 1, table.n_parameters)
    parameters = carray(as_pointer(table.parameters), shape, np.float64)
    log_unit = np.log(table.response_unit)
    return Line(constant, n, l, a, b, c, log_unit, log_ratio, priors, parameters)


@njit(**JIT_INNER)
def correlations_prior(table, x):
    """Return the log prior of the correlations of all factors."""
    factors = carray(as_pointer(table.factors), (table.n_factors,), FACTOR)
    logp = 0.0
    for f in range(len(factors)):
        first, last = correlations(factors[f])
        if first < last:
            q = factors[f].n_terms
            unused = np.zeros((q, q)), np.empty(last - first)
            logp += corr_gradient(x[first:last], q, table.eta, unused[0], unused[1])
    return logp


@njit(**JIT_INNER)
def diagonalise(K, mean, given):
    """Return l, a, b and c of the line."""
    k, m = len(mean), len(K)
    v = np.full(m - k, -1.0)
    v[: m - k - 1] = given
    score, c = np.zeros(k), 0.0
    for i in range(m):
        for j in range(m - k):
            if i < k:
                score[i] += K[i, k + j] * v[j]
            else:
                c += v[i - k] * K[i, k + j] * v[j]
    l, a, b = np.zeros(k), np.zeros(k), np.zeros(k)
    if k == 0:
        return l, a, b, c
    values, Q = np.linalg.eigh(np.ascontiguousarray(K[:k, :k]))
    for i in range(k):
        l[i] = values[i]
        for j in range(k):
            a[i] += Q[j, i] * mean[j]
            b[i] += Q[j, i] * score[j]
    return l, a, b, c


@njit(**JIT_INNER)
def along(line, log_sigma):
    """Return the log density at log sigma and its derivative."""
    scaled = log_sigma - line.log_unit
    u = np.exp(-2.0 * scaled)
    value, d_u = 0.0, 0.0
    squares, d_squares = line.c * u, line.c
    for i in range(len(line.l)):
        l, a, b = line.l[i], line.a[i], line.b[i]
        p, h = 1.0 + l * u, b * u + a
        value -= 0.5 * np.log(p)
        d_u -= 0.5 * l / p
        squares += a * a - h * h / p
        d_squares += h * (l * h / p - 2.0 * b) / p
    value += line.constant - line.n * scaled - 0.5 * squares
    slope = -line.n - 2.0 * u * (d_u - 0.5 * d_squares)
    scalar = np.empty(1, SCALAR)
    q = len(line.log_ratio)
    for i in range(q + 1):
        t = log_sigma + (line.log_ratio[i] if i < q else 0.0)
        call_prior(line.priors[i], t, line.parameters[i].ctypes.data, scalar.ctypes.data)
        value += scalar[0].logp
        slope += scalar[0].gradient
    return value, slope


@njit(**JIT_INNER)
def integrate_line(line, guess, out):
    """Return the log of the integral over log sigma; fill the row of the line."""
    middle, sd = find_middle(line, guess)
    out[STEP] = SPACING * sd
    out[FIRST] = middle - HALF * out[STEP]
    n, top = 2 * HALF + 1, -np.inf
    for i in range(n):
        out[VALUES + i] = along(line, out[FIRST] + i * out[STEP])[0]
        top = max(top, out[VALUES + i])
    total = 0.0
    for i in range(n):
        total += np.exp(out[VALUES + i] - top)
    logp = top + np.log(total * out[STEP])
    return logp if np.isfinite(logp) else -np.inf


@njit(**JIT_INNER)
def find_middle(line, guess):
    """Return the mode of log sigma, nearly, and the standard deviation by its curvature."""
    at, sd = guess, 1.0
    for _ in range(STEPS):
        slope = along(line, at)[1]
        curvature = (along(line, at + DIFFERENCE)[1] - slope) / DIFFERENCE
        step = -slope / curvature if curvature < 0.0 else np.sign(slope) * LONGEST
        sd = 1.0 / np.sqrt(-curvature) if curvature < 0.0 else 1.0
        step = min(max(step, -LONGEST), LONGEST)
        if not np.isfinite(step):
            break
        at += step
        if abs(step) < 0.1 * sd:
            break
    return at, min(sd, LONGEST)
