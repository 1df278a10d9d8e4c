"""The integral over the effect of a group with one varying term."""

from __future__ import annotations

import numpy as np

from skhbm._likelihood.quadrature_mode import find_mode, largest, move
from skhbm._likelihood.quadrature_nodes import (
    FACTORS,
    SMALL,
    describe_rows,
    longest_step,
    normalize,
    on_sheet,
    tail,
)
from skhbm._likelihood.quadrature_state import (
    EVALUATE,
    SCORES,
    ask,
    lanes_at,
    numbers_at,
)
from skhbm._numba.jit import JIT_INNER, njit
from skhbm._numba.lanes import LANES, load, splat, store, total

__all__ = ["CAPACITY", "gradient_one", "integrate_one"]

#: The step between nodes in units of the integrand's width at its mode; see TOLERANCE.
STEP = 0.75
#: The nodes begin with those within so many widths of the mode.
REACH = 5.5
#: At most so many vectors of nodes are used.
CAPACITY = 128
#: The error of the rule is about the square of that with twice the step, which the difference
#: between even and odd nodes shows: below TOLERANCE the error is below its square.
TOLERANCE = 1e-3
#: What is left out beyond the last node, relative to the integral.
TAIL = 1e-8
#: Points that matter have an integrand above exp(-DEPTH) times its largest value.
DEPTH = 21.0
HALF_LOG_2PI = 0.9189385332046727
#: Points at which an integrand that may have several modes is looked at.
CANDIDATES = 24


@njit(**JIT_INNER)
def integrate_one(table, state, eta, z, scale, nodes, about, place):
    """Return the log of the integral over a group's effect.

    `nodes` are logs, values and weights (CAPACITY, LANES). `place` is filled with the first
    and the last vector that is used, the mode, and the step; `about` by `describe_rows`.
    """
    logs, values, weights = nodes[0], nodes[1], nodes[2]
    a = lanes_at(state.a, state.n_blocks)
    for i in range(len(a)):
        store(a, (i,), load(z, (i,)) * scale)
    state.b = state.a
    v, low, high = 0.0, 0.0, 0.0
    if table.concave == 0:
        v, low, high = several_modes(table, state, eta, nodes)
    v, width = find_mode(state, table.rows, table.concave, eta, a, largest(a), v)
    describe_rows(state, table.linear, about)
    low, high = low - v, high - v
    half, h = CAPACITY // 2, min(STEP * width, longest_step(table, state, about[4]))
    reach = min(int(REACH * width / (LANES * h)) + 1, half)
    first, last = half - reach, half + reach
    begin, end, top, every = first, last, 0.0, 1.0
    while True:
        fill_nodes(table, state, about, v, h, begin, end, logs, values)
        top, every = normalize(logs, first, last, weights)
        left = tail(weights[first, 0], weights[first, 1])
        right = tail(weights[last - 1, LANES - 1], weights[last - 1, LANES - 2])
        if (left > TAIL * every or low < place_of(first, h)) and first > 0:
            begin, end, first = first - 1, first, first - 1
        elif (right > TAIL * every or high > place_of(last, h)) and last < CAPACITY:
            begin, end, last = last, last + 1, last + 1
        else:
            reach = max(half - first, last - half)
            if uneven(weights, first, last) < TOLERANCE * every or 2 * reach > half:
                break
            h, first, last = 0.5 * h, half - 2 * reach, half + 2 * reach
            begin, end = first, last
    for o in range(first, last):
        store(weights, (o,), load(weights, (o,)) * (1.0 / every))
    place[0], place[1], place[2], place[3] = first, last, v, h
    return top + np.log(every * h) - HALF_LOG_2PI


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
def fill_nodes(table, state, about, mode, h, begin, end, logs, values):
    """Fill the log integrand at the vectors of nodes from begin to end."""
    set_sheet(state, h, begin, end)
    for o in range(begin, end):
        store(values, (o,), splat(0.0))
    state.values = values.ctypes.data + 8 * LANES * begin
    vectors = on_sheet(table, state, EVALUATE, about)
    # What is linear in the predictor, and the density of v, are added here.
    at_base = about[0] if vectors else 0.0
    slope = about[1] if vectors else 0.0
    offsets = load(lanes_at(state.offsets, 1), (0,))
    for o in range(begin, end):
        x = offsets + (state.start + (o - begin) * state.step)
        v = x + mode
        store(logs, (o,), load(values, (o,)) + x * slope + at_base - v * v * 0.5)


@njit(**JIT_INNER)
def uneven(weights, first, last):
    """Return the difference between the sums of even and of odd nodes."""
    difference = 0.0
    for o in range(first, last):
        for l in range(0, LANES, 2):
            difference += weights[o, l] - weights[o, l + 1]
    return abs(difference)


@njit(**JIT_INNER)
def several_modes(table, state, eta, nodes):
    """Return the best of some places in v, and the first and the last that matter.

    The places are those where a row is met exactly, and zero.
    """
    logs, places = nodes[0], nodes[1]
    n, n_places = state.n, CANDIDATES // LANES
    y, slope = numbers_at(state.y, n), numbers_at(state.a, n)
    flat = numbers_at(eta.ctypes.data, n)
    move(state, eta, lanes_at(state.a, state.n_blocks), 0.0)
    for o in range(n_places):
        store(places, (o,), splat(0.0))
    factors, farthest = 1, 0.0
    for i in range(n):
        farthest = max(farthest, abs(y[i] - flat[i]))
    if table.squares == 1:
        # No residual at a place is larger than twice the largest.
        d = numbers_at(state.dispersion, 2)
        reach = 2.0 * np.log(1.0 + 2.0 * farthest / (d[0] * np.sqrt(d[1])))
        factors = FACTORS if reach < SMALL else 1
    count = min(n, CANDIDATES - 1)
    for k in range(count):
        i = k * n // count
        if slope[i] != 0.0:
            places[(k + 1) // LANES, (k + 1) % LANES] = (y[i] - flat[i]) / slope[i]
    state.start, state.step, state.n_outer, offsets = 0.0, 0.0, 1, state.offsets
    for o in range(n_places):
        x = load(places, (o,))
        store(logs, (o,), x * x * -0.5)
        state.offsets = places.ctypes.data + 8 * LANES * o
        state.values = logs.ctypes.data + 8 * LANES * o
        state.factors = factors
        ask(table.rows, state, EVALUATE)
    state.offsets = offsets
    best, low, high = 0, 0.0, 0.0
    for k in range(CANDIDATES):
        if logs[k // LANES, k % LANES] > logs[best // LANES, best % LANES]:
            best = k
    v = places[best // LANES, best % LANES]
    low, high = v, v
    for k in range(CANDIDATES):
        if logs[k // LANES, k % LANES] > logs[best // LANES, best % LANES] - DEPTH:
            low = min(low, places[k // LANES, k % LANES])
            high = max(high, places[k // LANES, k % LANES])
    return v, low, high


@njit(**JIT_INNER)
def gradient_one(table, state, nodes, about, place):
    """Add the expected derivatives to the scores and to those of dispersion.

    Return the derivative in the scale of the effect.
    """
    values, weights, slopes = nodes[1], nodes[2], nodes[3]
    first, last, mode, h = int(place[0]), int(place[1]), place[2], place[3]
    set_sheet(state, h, first, last)
    for o in range(first, last):
        store(slopes, (o,), splat(0.0))
    at = 8 * LANES * first
    state.values, state.weights = values.ctypes.data + at, weights.ctypes.data + at
    state.slopes = slopes.ctypes.data + at
    on_sheet(table, state, SCORES, about)
    offsets = load(lanes_at(state.offsets, 1), (0,))
    expected = splat(0.0)
    for o in range(first, last):
        v = offsets + (mode + state.start + (o - first) * state.step)
        expected += load(weights, (o,)) * v * load(slopes, (o,))
    return total(expected)
