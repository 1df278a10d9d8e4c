"""Kernels of rows whose log density depends on s = exp(eta) through y eta - c log(1 + s) or - c s.

The former are Bernoulli and binomial rows, c being the number of trials, and negative binomial
ones, where c is y + alpha and s the mean over alpha. The latter are Poisson rows. Nodes are
worked on `LANES` at a time; from one vector of them to the next s changes by a factor. See
`skhbm._likelihood.quadrature_state` for what a kernel is asked.
"""

from __future__ import annotations

import numpy as np
from numba import carray

from skhbm._likelihood.quadrature_state import (
    CHUNK,
    EVALUATE,
    PREPARE,
    SCORES,
    SLOPES,
    STATE,
    aligned,
    lanes_at,
    numbers_at,
)
from skhbm._numba.elementary import exp, log
from skhbm._numba.jit import JIT_INNER, njit
from skhbm._numba.lanes import LANES, at_least, load, splat, store, total
from skhbm._numba.pointers import as_pointer

__all__ = ["logit_rows", "negative_binomial_rows", "poisson_rows"]

#: Beyond this predictor slopes are those at it, so that they are finite.
LARGEST = 300.0


def logit_rows(state_):
    """Answer for binomial rows."""
    state = carray(as_pointer(state_), (1,), STATE)[0]
    if state.op == PREPARE:
        trials(state)
    elif state.op == SLOPES:
        logistic_slopes(state)
    elif state.op == EVALUATE:
        logistic_values(state)
    elif state.op == SCORES:
        logistic_scores(state, False)


def negative_binomial_rows(state_):
    """Answer for negative binomial rows."""
    state = carray(as_pointer(state_), (1,), STATE)[0]
    if state.op == PREPARE:
        mean_over_alpha(state)
    elif state.op == SLOPES:
        logistic_slopes(state)
    elif state.op == EVALUATE:
        logistic_values(state)
    elif state.op == SCORES:
        logistic_scores(state, True)


def poisson_rows(state_):
    """Answer for Poisson rows."""
    state = carray(as_pointer(state_), (1,), STATE)[0]
    if state.op == PREPARE:
        exposures(state)
    elif state.op == SLOPES:
        exponential_slopes(state)
    elif state.op == EVALUATE:
        exponential_values(state)
    elif state.op == SCORES:
        exponential_scores(state)


@njit(**JIT_INNER)
def trials(state):
    """Fill c with the numbers of trials."""
    weight, size = lanes_at(state.weight, state.n_blocks), lanes_at(state.size, state.n_blocks)
    c = lanes_at(state.c, state.n_blocks)
    for i in range(state.n_blocks):
        store(c, (i,), load(weight, (i,)) * load(size, (i,)))


@njit(**JIT_INNER)
def mean_over_alpha(state):
    """Fill c with y + alpha; shift eta so that exp(eta) is the mean over alpha."""
    n = state.n_blocks
    weight, weighted_y = lanes_at(state.weight, n), lanes_at(state.weighted_y, n)
    c, log_size, shift = (
        lanes_at(state.c, n),
        lanes_at(state.log_size, n),
        lanes_at(state.shift, n),
    )
    alpha = numbers_at(state.dispersion, 1)[0]
    log_alpha = np.log(alpha)
    for i in range(n):
        store(c, (i,), load(weighted_y, (i,)) + load(weight, (i,)) * alpha)
        store(shift, (i,), load(log_size, (i,)) - log_alpha)


@njit(**JIT_INNER)
def exposures(state):
    """Fill c with the weights; shift eta by the logs of the exposures."""
    n = state.n_blocks
    weight, log_size = lanes_at(state.weight, n), lanes_at(state.log_size, n)
    shift, c = lanes_at(state.shift, n), lanes_at(state.c, n)
    for i in range(n):
        store(c, (i,), load(weight, (i,)))
        store(shift, (i,), load(log_size, (i,)))


@njit(**JIT_INNER)
def logistic_slopes(state):
    """Fill the derivatives y - c p and c p (1 - p), p = s / (1 + s)."""
    n = state.n_blocks
    eta, c, y = lanes_at(state.eta, n), lanes_at(state.c, n), lanes_at(state.weighted_y, n)
    first, second = lanes_at(state.first, n), lanes_at(state.second, n)
    for i in range(n):
        s = exp(load(eta, (i,)))
        left = 1.0 / (s + 1.0)
        cp = load(c, (i,)) * (s * left)
        store(first, (i,), load(y, (i,)) - cp)
        store(second, (i,), cp * left)


@njit(**JIT_INNER)
def exponential_slopes(state):
    """Fill the derivatives y - c s and c s."""
    n = state.n_blocks
    eta, c, y = lanes_at(state.eta, n), lanes_at(state.c, n), lanes_at(state.weighted_y, n)
    first, second = lanes_at(state.first, n), lanes_at(state.second, n)
    for i in range(n):
        bounded = at_least(load(eta, (i,)) * -1.0, splat(-LARGEST)) * -1.0
        mean = load(c, (i,)) * exp(bounded)
        store(first, (i,), load(y, (i,)) - mean)
        store(second, (i,), mean)


@njit(**JIT_INNER)
def fill(state, begin, end, s, factor):
    """Fill s at the first nodes of rows begin to end, and what they change by from o to o + 1."""
    n = state.n_blocks
    offsets = load(lanes_at(state.offsets, 1), (0,))
    eta, a, b = lanes_at(state.eta, n), lanes_at(state.a, n), lanes_at(state.b, n)
    wide = lanes_at(factor.ctypes.data, CHUNK // LANES)
    first, last = begin // LANES, (end + LANES - 1) // LANES
    if state.constant == 1:
        base = exp(offsets * b[0, 0] + a[0, 0] * state.start)
        for i in range(first, last):
            store(wide, (i - first,), exp(load(eta, (i,))))
        for i in range(end - begin):
            store(s, (i,), base * factor[i])
        growth = np.exp(a[0, 0] * state.step)
        for i in range(end - begin):
            factor[i] = growth
        return
    eta_, a_, b_ = (
        numbers_at(state.eta, end), numbers_at(state.a, end), numbers_at(state.b, end)
    )  # fmt: skip
    for i in range(begin, end):
        store(s, (i - begin,), exp(offsets * b_[i] + (eta_[i] + a_[i] * state.start)))
    for i in range(first, last):
        store(wide, (i - first,), exp(load(a, (i,)) * state.step))


@njit(**JIT_INNER)
def logistic_values(state):
    """Add -c log(1 + s)."""
    values, c = lanes_at(state.values, state.n_outer), numbers_at(state.c, state.n)
    s, factor = aligned(1, CHUNK)[0], np.empty(CHUNK)
    for begin in range(0, state.n, CHUNK):
        end = min(begin + CHUNK, state.n)
        fill(state, begin, end, s, factor)
        for o in range(state.n_outer):
            value = load(values, (o,))
            if state.uniform == 1:
                for first in range(0, end - begin, state.factors):
                    product = splat(1.0)
                    for i in range(first, min(first + state.factors, end - begin)):
                        s_i = load(s, (i,))
                        product *= s_i + 1.0
                        store(s, (i,), s_i * factor[i])
                    value -= log(product)
            else:
                for i in range(end - begin):
                    s_i = load(s, (i,))
                    value -= log(s_i + 1.0) * c[begin + i]
                    store(s, (i,), s_i * factor[i])
            store(values, (o,), value)


@njit(**JIT_INNER)
def logistic_scores(state, with_dispersion):
    """Add the expectations of y - c p, and of the derivative in alpha."""
    n = state.n
    weights, c = lanes_at(state.weights, state.n_outer), numbers_at(state.c, n)
    y, score = numbers_at(state.weighted_y, n), numbers_at(state.score, n)
    z0, z1 = numbers_at(state.z, n), numbers_at(state.z + 8 * state.stride, n)
    slopes, weight = (
        lanes_at(state.slopes, state.n_outer * state.q),
        numbers_at(state.weight, n),
    )
    s, sums, factor = aligned(1, CHUNK)[0], aligned(1, CHUNK)[0], np.empty(CHUNK)
    slope_of_log, expected, share = 0.0, 0.0, 0.0
    for o in range(state.n_outer):
        share += total(load(weights, (o,)))
    for begin in range(0, n, CHUNK):
        end = min(begin + CHUNK, n)
        fill(state, begin, end, s, factor)
        for i in range(end - begin):
            store(sums, (i,), splat(0.0))
        for o in range(state.n_outer):
            w, logs = load(weights, (o,)), splat(0.0)
            slope0, slope1 = splat(0.0), splat(0.0)
            for i in range(end - begin):
                row = begin + i
                s_i = load(s, (i,))
                larger = s_i + 1.0
                slope = y[row] - s_i / larger * c[row]
                store(sums, (i,), load(sums, (i,)) + w * slope)
                slope0 += slope * z0[row]
                if state.q > 1:
                    slope1 += slope * z1[row]
                if with_dispersion:
                    logs += log(larger) * weight[row]
                store(s, (i,), s_i * factor[i])
            add_slopes(state, o, slope0, slope1, slopes)
            slope_of_log += total(w * logs)
        for i in range(end - begin):
            mean_slope = total(load(sums, (i,)))
            score[begin + i] += mean_slope
            expected += y[begin + i] * share - mean_slope
    if with_dispersion:
        alpha, d = numbers_at(state.dispersion, 1)[0], numbers_at(state.d_dispersion, 1)
        d[0] += expected / alpha - slope_of_log


@njit(**JIT_INNER)
def add_slopes(state, o, slope0, slope1, slopes):
    """Add to the sums of z times the derivatives at the nodes o."""
    store(slopes, (o * state.q,), load(slopes, (o * state.q,)) + slope0)
    if state.q > 1:
        store(slopes, (o * state.q + 1,), load(slopes, (o * state.q + 1,)) + slope1)


@njit(**JIT_INNER)
def total_mean(state):
    """Return the sum of c exp(eta), and exp of the predictor at the first nodes."""
    n = state.n_blocks
    eta, c = lanes_at(state.eta, n), lanes_at(state.c, n)
    mean = splat(0.0)
    for i in range(n):
        mean += exp(load(eta, (i,))) * load(c, (i,))
    a, b = numbers_at(state.a, 1)[0], numbers_at(state.b, 1)[0]
    s = exp(load(lanes_at(state.offsets, 1), (0,)) * b + a * state.start)
    return total(mean), s


@njit(**JIT_INNER)
def exponential_values(state):
    """Add -c s, of all rows at once if they have the same z."""
    values, c = lanes_at(state.values, state.n_outer), numbers_at(state.c, state.n)
    if state.constant == 1:
        mean, s_i = total_mean(state)
        growth = np.exp(numbers_at(state.a, 1)[0] * state.step)
        for o in range(state.n_outer):
            store(values, (o,), load(values, (o,)) - s_i * mean)
            s_i *= growth
        return
    s, factor = aligned(1, CHUNK)[0], np.empty(CHUNK)
    for begin in range(0, state.n, CHUNK):
        end = min(begin + CHUNK, state.n)
        fill(state, begin, end, s, factor)
        for o in range(state.n_outer):
            value = load(values, (o,))
            for i in range(end - begin):
                s_i = load(s, (i,))
                value -= s_i * c[begin + i]
                store(s, (i,), s_i * factor[i])
            store(values, (o,), value)


@njit(**JIT_INNER)
def exponential_scores(state):
    """Add the expectations of y - c s."""
    n = state.n
    weights, c = lanes_at(state.weights, state.n_outer), numbers_at(state.c, n)
    y, score = numbers_at(state.weighted_y, n), numbers_at(state.score, n)
    z0, z1 = numbers_at(state.z, n), numbers_at(state.z + 8 * state.stride, n)
    slopes = lanes_at(state.slopes, state.n_outer * state.q)
    s, sums, factor = aligned(1, CHUNK)[0], aligned(1, CHUNK)[0], np.empty(CHUNK)
    for begin in range(0, n, CHUNK):
        end = min(begin + CHUNK, n)
        fill(state, begin, end, s, factor)
        for i in range(end - begin):
            store(sums, (i,), splat(0.0))
        for o in range(state.n_outer):
            w, slope0, slope1 = load(weights, (o,)), splat(0.0), splat(0.0)
            for i in range(end - begin):
                row = begin + i
                s_i = load(s, (i,))
                slope = y[row] - s_i * c[row]
                store(sums, (i,), load(sums, (i,)) + w * slope)
                slope0 += slope * z0[row]
                if state.q > 1:
                    slope1 += slope * z1[row]
                store(s, (i,), s_i * factor[i])
            add_slopes(state, o, slope0, slope1, slopes)
        for i in range(end - begin):
            score[begin + i] += total(load(sums, (i,)))
