"""Kernels of rows whose log density is y eta - c log(1 + s) or y eta - c s, s = exp(eta).

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
def bounded(x):
    """Return x, or what is nearest to it within LARGEST of zero."""
    return min(max(x, -LARGEST), LARGEST)


@njit(**JIT_INNER)
def logistic_slopes(state):
    """Fill the derivatives y - c p and c p (1 - p), p = s / (1 + s)."""
    n = state.n_blocks
    eta, c, y = lanes_at(state.eta, n), lanes_at(state.c, n), lanes_at(state.weighted_y, n)
    first, second = lanes_at(state.first, n), lanes_at(state.second, n)
    exps, growth = lanes_at(state.exps, n), np.exp(bounded(state.moved))
    for i in range(n):
        s = load(exps, (i,)) * growth if state.constant == 1 else exp(load(eta, (i,)))
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
    exps, growth = lanes_at(state.exps, n), np.exp(bounded(state.moved))
    for i in range(n):
        if state.constant == 1:
            mean = load(c, (i,)) * load(exps, (i,)) * growth
        else:
            low = at_least(load(eta, (i,)) * -1.0, splat(-LARGEST)) * -1.0
            mean = load(c, (i,)) * exp(low)
        store(first, (i,), load(y, (i,)) - mean)
        store(second, (i,), mean)


@njit(**JIT_INNER)
def constant_nodes(state, o):
    """Return what `exps` are multiplied by at the nodes o, where all rows have the same z."""
    a, b = numbers_at(state.a, 1)[0], numbers_at(state.b, 1)[0]
    place = a * (state.start + o * state.step) + state.moved
    return exp(load(lanes_at(state.offsets, 1), (0,)) * b + place)


@njit(**JIT_INNER)
def fill(state, begin, end, s, factor):
    """Fill s at the first nodes of some rows, and the factors it changes by from o to o + 1."""
    wide = lanes_at(factor.ctypes.data, CHUNK // LANES)
    eta, a = numbers_at(state.eta, end), numbers_at(state.a, end)
    b = numbers_at(state.b, end)
    if state.constant == 1:
        exps, base = numbers_at(state.exps, end), constant_nodes(state, 0)
        growth = np.exp(a[0] * state.step)
        for i in range(begin, end):
            store(s, (i - begin,), base * exps[i])
            factor[i - begin] = growth
        return
    offsets = load(lanes_at(state.offsets, 1), (0,))
    for i in range(begin, end):
        store(s, (i - begin,), exp(offsets * b[i] + (eta[i] + a[i] * state.start)))
    vectors = lanes_at(state.a, state.n_blocks)
    first = begin // LANES
    for i in range(first, (end + LANES - 1) // LANES):
        store(wide, (i - first,), exp(load(vectors, (i,)) * state.step))


@njit(**JIT_INNER)
def logistic_values(state):
    """Add -c log(1 + s)."""
    if state.constant == 1:
        constant_logistic_values(state)
        return
    values, c = lanes_at(state.values, state.n_outer), numbers_at(state.c, state.n)
    s, factor = aligned(1, CHUNK)[0], np.empty(CHUNK)
    for begin in range(0, state.n, CHUNK):
        end = min(begin + CHUNK, state.n)
        fill(state, begin, end, s, factor)
        if state.uniform == 1:
            add_products(state, values, s, factor, end - begin)
            continue
        for o in range(state.n_outer):
            value = load(values, (o,))
            for i in range(end - begin):
                s_i = load(s, (i,))
                value -= log(s_i + 1.0) * c[begin + i]
                store(s, (i,), s_i * factor[i])
            store(values, (o,), value)


@njit(**JIT_INNER)
def add_products(state, values, s, factor, n):
    """Add -log(1 + s) of n rows, four vectors of nodes at a time, a log for many rows."""
    for o in range(0, state.n_outer, 4):
        v0, v1, v2, v3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
        for first in range(0, n, state.factors):
            p0, p1, p2, p3 = splat(1.0), splat(1.0), splat(1.0), splat(1.0)
            for i in range(first, min(first + state.factors, n)):
                f, s0 = factor[i], load(s, (i,))
                s1 = s0 * f
                s2 = s1 * f
                s3 = s2 * f
                p0 *= s0 + 1.0
                p1 *= s1 + 1.0
                p2 *= s2 + 1.0
                p3 *= s3 + 1.0
                store(s, (i,), s3 * f)
            v0 += log(p0)
            v1 += log(p1)
            v2 += log(p2)
            v3 += log(p3)
        store(values, (o,), load(values, (o,)) - v0)
        if o + 1 < state.n_outer:
            store(values, (o + 1,), load(values, (o + 1,)) - v1)
        if o + 2 < state.n_outer:
            store(values, (o + 2,), load(values, (o + 2,)) - v2)
        if o + 3 < state.n_outer:
            store(values, (o + 3,), load(values, (o + 3,)) - v3)


@njit(**JIT_INNER)
def constant_logistic_values(state):
    """Add -c log(1 + s), two vectors of nodes at a time, where all rows have the same z."""
    n, n_outer = state.n, state.n_outer
    values, c = lanes_at(state.values, n_outer), numbers_at(state.c, n)
    exps, step = numbers_at(state.exps, n), state.factors if state.uniform == 1 else 1
    for o in range(0, n_outer, 2):
        base0, base1 = constant_nodes(state, o), constant_nodes(state, o + 1)
        v0, v1 = splat(0.0), splat(0.0)
        for first in range(0, n, step):
            p0, p1 = splat(1.0), splat(1.0)
            for i in range(first, min(first + step, n)):
                p0 *= base0 * exps[i] + 1.0
                p1 *= base1 * exps[i] + 1.0
            power = 1.0 if state.uniform == 1 else c[first]
            v0 += log(p0) * power
            v1 += log(p1) * power
        store(values, (o,), load(values, (o,)) - v0)
        if o + 1 < n_outer:
            store(values, (o + 1,), load(values, (o + 1,)) - v1)


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
    """Return the sum of c exp(predictor) without effects, where all rows have the same z."""
    n = state.n_blocks
    exps, c, mean = lanes_at(state.exps, n), lanes_at(state.c, n), splat(0.0)
    for i in range(n):
        mean += load(exps, (i,)) * load(c, (i,))
    return total(mean)


@njit(**JIT_INNER)
def exponential_values(state):
    """Add -c s, of all rows at once if they have the same z."""
    values, c = lanes_at(state.values, state.n_outer), numbers_at(state.c, state.n)
    if state.constant == 1:
        mean = total_mean(state)
        for o in range(state.n_outer):
            store(values, (o,), load(values, (o,)) - constant_nodes(state, o) * mean)
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
    if state.constant == 1:
        constant_exponential_scores(state)
        return
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


@njit(**JIT_INNER)
def constant_exponential_scores(state):
    """Add the expectations of y - c s, where all rows have the same z."""
    n, mean = state.n_blocks, total_mean(state)
    n_outer = state.n_outer
    weights, slopes = lanes_at(state.weights, n_outer), lanes_at(state.slopes, n_outer)
    exps, c = lanes_at(state.exps, n), lanes_at(state.c, n)
    y, score = lanes_at(state.weighted_y, n), lanes_at(state.score, n)
    all_y, s, share = splat(0.0), splat(0.0), splat(0.0)
    for i in range(n):
        all_y += load(y, (i,))
    sum_of_y = total(all_y)
    for o in range(state.n_outer):
        weight, base = load(weights, (o,)), constant_nodes(state, o)
        share += weight
        s += weight * base
        store(slopes, (o,), load(slopes, (o,)) + (sum_of_y - base * mean))
    expected, part = total(s), total(share)
    for i in range(n):
        slope = load(y, (i,)) * part - load(exps, (i,)) * load(c, (i,)) * expected
        store(score, (i,), load(score, (i,)) + slope)
