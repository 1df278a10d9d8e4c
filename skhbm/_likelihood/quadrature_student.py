"""The kernel of rows with Student-t errors; see `skhbm._likelihood.quadrature_state`.

With the residual r = y - eta and D = 1 + r^2 / (nu sigma^2) the log density is

    -(nu + 1) / 2 log D,

which is not concave in eta: outliers have curvature of the wrong sign. The curvature of the EM
algorithm, (nu + 1) / (nu sigma^2) / D, is positive, and its steps never go down.
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
from skhbm._numba.elementary import log
from skhbm._numba.jit import JIT_INNER, njit
from skhbm._numba.lanes import load, splat, store, total
from skhbm._numba.pointers import as_pointer

__all__ = ["student_t_rows"]


def student_t_rows(state_):
    """Answer for rows with Student-t errors."""
    state = carray(as_pointer(state_), (1,), STATE)[0]
    if state.op == PREPARE:
        weights_of_rows(state)
    elif state.op == SLOPES:
        student_slopes(state)
    elif state.op == EVALUATE:
        student_values(state)
    elif state.op == SCORES:
        student_scores(state)


@njit(**JIT_INNER)
def weights_of_rows(state):
    """Fill c with the weights."""
    weight, c = lanes_at(state.weight, state.n_blocks), lanes_at(state.c, state.n_blocks)
    for i in range(state.n_blocks):
        store(c, (i,), load(weight, (i,)))


@njit(**JIT_INNER)
def student_slopes(state):
    """Fill both derivatives and the curvature of the EM algorithm."""
    n = state.n_blocks
    eta, c, y = lanes_at(state.eta, n), lanes_at(state.c, n), lanes_at(state.y, n)
    first, second = lanes_at(state.first, n), lanes_at(state.second, n)
    major = lanes_at(state.major, n)
    sigma, nu = numbers_at(state.dispersion, 2)
    precision = 1.0 / (nu * sigma * sigma)
    for i in range(n):
        r = load(y, (i,)) - load(eta, (i,))
        squared = r * r * precision
        near = 1.0 / (squared + 1.0)
        weight = load(c, (i,)) * near * ((nu + 1.0) * precision)
        store(first, (i,), weight * r)
        store(second, (i,), weight * (1.0 - squared) * near)
        store(major, (i,), weight)


@njit(**JIT_INNER)
def fill_residuals(state, begin, end, r, change):
    """Fill residuals at the first nodes of rows, and what is taken off from o to o + 1."""
    offsets = load(lanes_at(state.offsets, 1), (0,))
    y, eta = numbers_at(state.y, end), numbers_at(state.eta, end)
    a, b = numbers_at(state.a, end), numbers_at(state.b, end)
    for i in range(begin, end):
        store(r, (i - begin,), (y[i] - eta[i] - a[i] * state.start) - offsets * b[i])
        change[i - begin] = a[i] * state.step


@njit(**JIT_INNER)
def student_values(state):
    """Add -(nu + 1) / 2 log D."""
    values, c = lanes_at(state.values, state.n_outer), numbers_at(state.c, state.n)
    sigma, nu = numbers_at(state.dispersion, 2)
    precision, half = 1.0 / (nu * sigma * sigma), -0.5 * (nu + 1.0)
    r, change = aligned(1, CHUNK)[0], np.empty(CHUNK)
    for begin in range(0, state.n, CHUNK):
        end = min(begin + CHUNK, state.n)
        fill_residuals(state, begin, end, r, change)
        if state.uniform == 1:
            add_products(state, values, r, change, end - begin, precision, half)
            continue
        for o in range(state.n_outer):
            logs = splat(0.0)
            for i in range(end - begin):
                r_i = load(r, (i,))
                logs += log(r_i * r_i * precision + 1.0) * c[begin + i]
                store(r, (i,), r_i - change[i])
            store(values, (o,), load(values, (o,)) + logs * half)


@njit(**JIT_INNER)
def add_products(state, values, r, change, n, precision, half):
    """Add the log densities of n rows, two vectors of nodes at a time, a log for many rows."""
    for o in range(0, state.n_outer, 2):
        v0, v1 = splat(0.0), splat(0.0)
        for first in range(0, n, state.factors):
            p0, p1 = splat(1.0), splat(1.0)
            for i in range(first, min(first + state.factors, n)):
                r0 = load(r, (i,))
                r1 = r0 - change[i]
                p0 *= r0 * r0 * precision + 1.0
                p1 *= r1 * r1 * precision + 1.0
                store(r, (i,), r1 - change[i])
            v0 += log(p0)
            v1 += log(p1)
        store(values, (o,), load(values, (o,)) + v0 * half)
        if o + 1 < state.n_outer:
            store(values, (o + 1,), load(values, (o + 1,)) + v1 * half)


@njit(**JIT_INNER)
def student_scores(state):
    """Add the expectations of (nu + 1) / (nu sigma^2) r / D, and those in sigma and nu."""
    n, q = state.n, state.q
    weights, c = lanes_at(state.weights, state.n_outer), numbers_at(state.c, n)
    values, score = lanes_at(state.values, state.n_outer), numbers_at(state.score, n)
    z0, z1 = numbers_at(state.z, n), numbers_at(state.z + 8 * state.stride, n)
    slopes = lanes_at(state.slopes, state.n_outer * q)
    sigma, nu = numbers_at(state.dispersion, 2)
    precision = 1.0 / (nu * sigma * sigma)
    gain = (nu + 1.0) * precision
    r, sums, change = aligned(1, CHUNK)[0], aligned(1, CHUNK)[0], np.empty(CHUNK)
    shares, mean_value = 0.0, 0.0
    for begin in range(0, n, CHUNK):
        end = min(begin + CHUNK, n)
        fill_residuals(state, begin, end, r, change)
        for i in range(end - begin):
            store(sums, (i,), splat(0.0))
        for o in range(state.n_outer):
            w, share = load(weights, (o,)), splat(0.0)
            slope0, slope1 = splat(0.0), splat(0.0)
            for i in range(end - begin):
                row = begin + i
                r_i = load(r, (i,))
                weight = c[row] / (r_i * r_i * precision + 1.0)
                slope = weight * r_i * gain
                share += c[row] - weight
                store(sums, (i,), load(sums, (i,)) + w * slope)
                slope0 += slope * z0[row]
                if q > 1:
                    slope1 += slope * z1[row]
                store(r, (i,), r_i - change[i])
            shares += total(w * share)
            store(slopes, (o * q,), load(slopes, (o * q,)) + slope0)
            if q > 1:
                store(slopes, (o * q + 1,), load(slopes, (o * q + 1,)) + slope1)
        for i in range(end - begin):
            score[begin + i] += total(load(sums, (i,)))
    for o in range(state.n_outer):
        mean_value += total(load(weights, (o,)) * load(values, (o,)))
    d = numbers_at(state.d_dispersion, 2)
    d[0] += (nu + 1.0) * shares / sigma
    d[1] += mean_value / (nu + 1.0) + 0.5 * (nu + 1.0) / nu * shares
