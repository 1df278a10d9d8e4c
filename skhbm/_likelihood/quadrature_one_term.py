"""The integral over the effect of a group with one varying term."""

from __future__ import annotations

import numpy as np

from skhbm._likelihood.quadrature_mode import find_mode
from skhbm._likelihood.quadrature_nodes import (
    describe_rows,
    normalize,
    on_sheet,
    slopes_along,
    tail,
)
from skhbm._likelihood.quadrature_state import EVALUATE, SCORES, lanes_at, numbers_at
from skhbm._numba.jit import JIT_INNER, njit
from skhbm._numba.lanes import LANES, load, splat, store, total

__all__ = ["CAPACITY", "gradient_one", "integrate_one"]

#: The step between nodes in units of the integrand's width at its mode; see TOLERANCE.
STEP = 0.75
#: At most so many vectors of nodes are used.
CAPACITY = 128
#: The error of the rule is about the square of that with twice the step, which the difference
#: between even and odd nodes shows: below TOLERANCE the error is below its square.
TOLERANCE = 1e-3
#: What is left out beyond the last node, relative to the integral.
TAIL = 1e-8
#: Points that matter have an integrand above exp(-DEPTH) times its largest value.
DEPTH = 21.0
#: Points at which an integrand that may have several modes is looked at.
CANDIDATES = 24


@njit(**JIT_INNER)
def integrate_one(table, state, eta, z, L, nodes, place):
    """Return the log of the integral over a group's effect.

    `nodes` are logs, values, weights (CAPACITY, LANES); `place` is filled with the first
    and the last vector that is used, the mode, the step and the effect's scale.
    """
    logs, values, weights = nodes[0], nodes[1], nodes[2]
    v, C, about = np.zeros(1), np.empty((1, 1)), np.empty(6)
    state.b = state.a
    slopes_along(state.a, z, L[0])
    low, high = 0.0, 0.0
    if table.concave == 0:
        low, high = several_modes(table, state, eta, z, L, nodes, v)
    find_mode(state, table.rows, table.concave, eta, z, L, v, C)
    describe_rows(state, table.linear, about)
    low, high, width = low - v[0], high - v[0], C[0, 0]
    h, first, last = STEP * width, CAPACITY // 2 - 1, CAPACITY // 2 + 1
    fill_nodes(table, state, about, v[0], h, first, last, nodes)
    while True:
        top, every = normalize(logs[first:last], weights[first:last])
        n_first, n_last = first, last
        left = tail(weights[first, 0], weights[first, 1])
        right = tail(weights[last - 1, LANES - 1], weights[last - 1, LANES - 2])
        if (left > TAIL * every or low < place_of(first, h)) and first > 0:
            n_first = first - 1
        if (right > TAIL * every or high > place_of(last, h)) and last < CAPACITY:
            n_last = last + 1
        if n_first < first or n_last > last:
            fill_nodes(table, state, about, v[0], h, n_first, first, nodes)
            fill_nodes(table, state, about, v[0], h, last, n_last, nodes)
            first, last = n_first, n_last
            continue
        half = CAPACITY // 2
        wider = 2 * max(half - first, last - half)
        if uneven(weights[first:last]) < TOLERANCE * every or wider > half:
            break
        h *= 0.5
        first, last = half - wider, half + wider
        fill_nodes(table, state, about, v[0], h, first, last, nodes)
    for o in range(first, last):
        store(weights, (o,), load(weights, (o,)) * (1.0 / every))
    place[0], place[1], place[2], place[3] = first, last, v[0], h
    return top + np.log(every * h) - 0.9189385332046727


@njit(**JIT_INNER)
def place_of(o, h):
    """Return the place of the first node of a vector, relative to the mode."""
    return h * (LANES * (o - CAPACITY // 2) + 0.5)


@njit(**JIT_INNER)
def set_sheet(state, h, first, last):
    """Place the nodes of the vectors first to last."""
    offsets = lanes_at(state.offsets, 1)
    for l in range(LANES):
        offsets[0, l] = h * l
    state.start, state.step, state.n_outer = place_of(first, h), LANES * h, last - first


@njit(**JIT_INNER)
def fill_nodes(table, state, about, mode, h, first, last, nodes):
    """Fill the log integrand at the vectors of nodes from first to last."""
    if first == last:
        return
    logs, values = nodes[0], nodes[1]
    set_sheet(state, h, first, last)
    values[first:last] = 0.0
    state.values = values[first:].ctypes.data
    vectors = on_sheet(table, state, EVALUATE, about)
    add_known(state, about, mode, vectors, values[first:last], logs[first:last])


@njit(**JIT_INNER)
def add_known(state, about, mode, vectors, values, logs):
    """Add what is linear in the predictor, and the density of v, to the values of a sheet."""
    offsets = load(lanes_at(state.offsets, 1), (0,))
    at_base = about[0] if vectors else 0.0
    slope = about[1] if vectors else 0.0
    for o in range(len(values)):
        x = offsets + (state.start + o * state.step)
        v = x + mode
        store(logs, (o,), load(values, (o,)) + x * slope + at_base - v * v * 0.5)


@njit(**JIT_INNER)
def uneven(weights):
    """Return the difference between the sums of even and of odd nodes."""
    every = splat(0.0)
    for o in range(len(weights)):
        every += load(weights, (o,))
    out = np.empty((1, LANES))
    store(out, (0,), every)
    difference = 0.0
    for l in range(0, LANES, 2):
        difference += out[0, l] - out[0, l + 1]
    return abs(difference)


@njit(**JIT_INNER)
def several_modes(table, state, eta, z, L, nodes, v):
    """Move v to the best of some places; return the first and the last that matter.

    They are those where a row is met exactly, and zero.
    """
    logs, values = nodes[0], nodes[1]
    n = state.n
    y, base, slope = numbers_at(state.y, n), numbers_at(state.eta, n), numbers_at(state.a, n)
    about = np.empty(6)
    flat = numbers_at(eta.ctypes.data, n)
    for i in range(n):
        base[i] = flat[i]
    shift = lanes_at(state.shift, state.n_blocks)
    for i in range(len(shift)):
        store(lanes_at(state.eta, len(shift)), (i,), load(eta, (i,)) + load(shift, (i,)))
    describe_rows(state, table.linear, about)
    offsets = lanes_at(state.offsets, 1)
    places = np.zeros((CANDIDATES // LANES, LANES))
    count = min(n, CANDIDATES - 1)
    for k in range(count):
        i = k * n // count
        if slope[i] != 0.0:
            places[(k + 1) // LANES, (k + 1) % LANES] = (y[i] - flat[i]) / slope[i]
    state.start, state.step, state.n_outer = 0.0, 0.0, 1
    best = -np.inf
    values[: len(places)] = 0.0
    for o in range(len(places)):
        widest = 0.0
        for l in range(LANES):
            offsets[0, l] = places[o, l]
            widest = max(widest, abs(places[o, l]))
        about[3] += about[5] * widest
        state.values = values[o:].ctypes.data
        vectors = on_sheet(table, state, EVALUATE, about)
        add_known(state, about, 0.0, vectors, values[o : o + 1], logs[o : o + 1])
        for l in range(LANES):
            if logs[o, l] > best:
                best, v[0] = logs[o, l], places[o, l]
    low, high = v[0], v[0]
    for o in range(len(places)):
        for l in range(LANES):
            if logs[o, l] > best - DEPTH:
                low, high = min(low, places[o, l]), max(high, places[o, l])
    return low, high


@njit(**JIT_INNER)
def gradient_one(table, state, L, nodes, place, d_cov):
    """Add the expected derivatives to the scores, those of dispersion and of the variance."""
    values, weights, slopes = nodes[1], nodes[2], nodes[3]
    first, last, mode, h = int(place[0]), int(place[1]), place[2], place[3]
    about = np.empty(6)
    describe_rows(state, table.linear, about)
    set_sheet(state, h, first, last)
    state.values = values[first:].ctypes.data
    state.weights = weights[first:].ctypes.data
    slopes[first:last] = 0.0
    state.slopes = slopes[first:].ctypes.data
    on_sheet(table, state, SCORES, about)
    offsets = load(lanes_at(state.offsets, 1), (0,))
    expected = splat(0.0)
    for o in range(first, last):
        v = offsets + (mode + state.start + (o - first) * state.step)
        expected += load(weights, (o,)) * v * load(slopes, (o,))
    # E[v g] is the derivative in the scale, which is twice the scale times that in the variance.
    if L[0, 0] > 0.0:
        d_cov[0, 0] += 0.5 * total(expected) / L[0, 0]
