"""Visitors of the nodes of quadrature: see `skhbm._likelihood.quadrature_visits`.

Between nodes the log integrand is interpolated by cubic polynomials. As nodes are less than a
standard deviation apart, and the log integrand is nearly a parabola, the error is far below
that of any number of draws.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray

from skhbm._likelihood.quadrature_kernels import TABLE
from skhbm._likelihood.quadrature_nodes import on_sheet
from skhbm._likelihood.quadrature_state import (
    EVALUATE,
    PREPARE,
    REST,
    STATE,
    ask,
    lanes_at,
    numbers_at,
)
from skhbm._likelihood.quadrature_visits import VISIT
from skhbm._numba.elementary import exp
from skhbm._numba.jit import JIT_INNER, c_callback, njit
from skhbm._numba.lanes import LANES, at_least, greatest, load, splat, store, total
from skhbm._numba.pointers import as_pointer

__all__ = ["density_visitor", "draw_visitor", "left_out_visitor"]

#: Parts of the distance between two nodes, an even number.
PARTS = 4
#: Without a row the outermost nodes have no more than this part of the sum over all.
EDGE = 1e-5


@cache
def density_visitor() -> Any:
    """Return the visitor that notes the integral as a C callback, cached on disk."""
    return c_callback("void(int64)", _note_density)


@cache
def draw_visitor() -> Any:
    """Return the visitor that draws effects as a C callback, cached on disk."""
    return c_callback("void(int64)", _draw)


@cache
def left_out_visitor() -> Any:
    """Return the visitor that leaves rows out as a C callback, cached on disk."""
    return c_callback("void(int64)", _leave_out)


def _note_density(visit_):
    """Fill answers (n_answers,) with log integrals."""
    visit = carray(as_pointer(visit_), (1,), VISIT)[0]
    numbers_at(visit.answers, visit.n_answers)[visit.slot] = visit.log_integral


def _draw(visit_):
    """Turn numbers (n_answers, q), uniform on (0, 1), into effects, answers of this shape."""
    visit = carray(as_pointer(visit_), (1,), VISIT)[0]
    q = visit.n_terms
    shape = (visit.n_answers, q)
    answers = carray(as_pointer(visit.answers), shape, np.float64)[visit.slot]
    numbers = carray(as_pointer(visit.numbers), shape, np.float64)[visit.slot]
    n_outer, n_wide = visit.n_outer, visit.n_wide
    logs = carray(as_pointer(visit.logs), (n_wide, n_outer, LANES), np.float64)
    n_line = LANES * (n_outer if q == 1 else n_wide)
    line, room = np.empty(max(n_line, n_outer)), np.empty(PARTS * max(n_line, n_outer))
    if q == 1:
        for k in range(n_line):
            line[k] = logs[0, k // LANES, k % LANES]
        x = draw_on_line(line, n_line, room, numbers[0])
        answers[0] = visit.l00 * (visit.mode0 + visit.first + visit.step * x)
        return
    sum_lanes(logs, line)
    x = draw_on_line(line, n_outer, room, numbers[0])
    along_outer(logs, x, line)
    x1 = visit.first_wide + visit.step_wide * draw_on_line(line, n_line, room, numbers[1])
    x0 = visit.first + visit.step * x
    v0 = visit.mode0 + visit.c00 * x0 + visit.c01 * x1
    v1 = visit.mode1 + visit.c11 * x1
    answers[0] = visit.l00 * v0
    answers[1] = visit.l10 * v0 + visit.l11 * v1


def _leave_out(visit_):
    """Fill answers (n_rows,) with -log E[1 / p(y_i | u)] of the rows of the group.

    Terms of log p(y_i) that depend neither on eta nor on the dispersion are left out. A row
    whose nodes do not reach far enough, which would do if it were not among the group's, has an
    answer that is not a number.
    """
    visit = carray(as_pointer(visit_), (1,), VISIT)[0]
    table = carray(as_pointer(visit.table), (1,), TABLE)[0]
    starts = carray(as_pointer(visit.row_starts), (visit.n_answers + 1,), np.int64)
    n_outer, n_nodes = visit.n_outer, visit.n_outer * visit.n_wide
    answers = numbers_at(visit.answers, visit.n_rows)
    states, about, room = np.zeros(1, STATE), np.zeros(6), np.zeros((8, LANES))
    values, rests = np.empty((n_outer, LANES)), np.empty((n_nodes, LANES))
    states[0] = carray(as_pointer(visit.state), (1,), STATE)[0]
    states[0].address = states.ctypes.data
    point_to_row(states[0], room, values, n_outer)
    whole, rest = log_sum(lanes_at(visit.logs, n_nodes), n_nodes), 0.0
    for i in range(starts[visit.slot], starts[visit.slot + 1]):
        point_to_values(visit, table, states[0], about, room, i)
        fill_rests(visit, table, states[0], about, values, room, rests, i)
        without = log_sum(rests, n_nodes)
        if table.squares == 0 or i == starts[visit.slot]:
            rest = rest_of_row(visit, table, states[0], room, i)
        answers[i] = whole - without + rest
        if edge_of(visit, rests) > np.log(EDGE) + without:
            answers[i] = np.nan


@njit(**JIT_INNER)
def point_to_row(state, room, values, n_outer):
    """Point a state to memory for a single row."""
    at = room.ctypes.data
    line = 8 * LANES
    state.eta, state.a, state.b = at, at + line, at + 2 * line
    state.c, state.shift, state.offsets = at + 3 * line, at + 4 * line, at + 5 * line
    state.values, state.n_outer = values.ctypes.data, n_outer
    state.n, state.n_blocks, state.constant, state.uniform = 1, 1, 0, 0


@njit(**JIT_INNER)
def point_to_values(visit, table, state, about, room, i):
    """Point a state to what is given of a row, and describe how effects move its predictor."""
    n_rows, at = visit.n_rows, 8 * i
    state.y, state.size, state.log_size = visit.y + at, visit.size + at, visit.log_size + at
    state.weight, state.weighted_y = visit.ones + at, visit.y + at
    ask(table.rows, state, PREPARE)
    z = numbers_at(visit.z, 2 * n_rows)
    along0, along1 = z[i] * visit.l00 + z[n_rows + i] * visit.l10, z[n_rows + i] * visit.l11
    eta = numbers_at(visit.eta, n_rows)[i] + along0 * visit.mode0 + along1 * visit.mode1
    a, b = along0, along0
    if visit.n_terms == 2:
        a, b = along0 * visit.c00, along0 * visit.c01 + along1 * visit.c11
    room[0, 0], room[1, 0], room[2, 0] = eta + room[4, 0], a, b
    about[0], about[1], about[2] = eta, a, b
    about[3], about[4], about[5] = abs(room[0, 0]), abs(a), abs(b)
    state.start, state.step = visit.first, visit.step
    if visit.n_terms == 1:
        state.step = visit.step * LANES


@njit(**JIT_INNER)
def rest_of_row(visit, table, state, room, i):
    """Return what depends on the dispersion alone, the same for all rows if errors are t."""
    if state.n_dispersion == 0:
        return 0.0
    room[6, 0], room[6, 1], room[6, 2] = (
        numbers_at(visit.y, visit.n_rows)[i], numbers_at(visit.size, visit.n_rows)[i], 1.0
    )  # fmt: skip
    state.levels, state.n_levels, state.rest = room[6].ctypes.data, 1, 0.0
    state.d_dispersion = room[7].ctypes.data
    ask(table.general, state, REST)
    return state.rest


@njit(**JIT_INNER)
def fill_rests(visit, table, state, about, values, room, rests, i):
    """Fill the log integrand without a row at all nodes, sheet by sheet."""
    logs, n_outer = lanes_at(visit.logs, len(rests)), visit.n_outer
    y = numbers_at(visit.y, visit.n_rows)[i] if table.linear == 1 else 0.0
    for w in range(visit.n_wide):
        for l in range(LANES):
            room[5, l] = visit.step * l
            if visit.n_terms == 2:
                room[5, l] = visit.first_wide + visit.step_wide * (LANES * w + l)
        for o in range(n_outer):
            store(values, (o,), splat(0.0))
        vectors = on_sheet(table, state, EVALUATE, about)
        slope = y if vectors else 0.0
        offsets = load(room, (5,)) * (about[2] * slope)
        for o in range(n_outer):
            place = slope * (about[0] + about[1] * (state.start + state.step * o))
            density = load(values, (o,)) + offsets + place
            store(rests, (w * n_outer + o,), load(logs, (w * n_outer + o,)) - density)


@njit(**JIT_INNER)
def log_sum(logs, n):
    """Return the log of the sum of exp(logs), of n vectors of lanes."""
    most = load(logs, (0,))
    for o in range(1, n):
        most = at_least(load(logs, (o,)), most)
    top, every = greatest(most), splat(0.0)
    for o in range(n):
        every += exp(load(logs, (o,)) - top)
    return top + np.log(total(every))


@njit(**JIT_INNER)
def edge_of(visit, logs):
    """Return the log of the sum of exp(logs) over the outermost nodes."""
    n_outer, n_wide = visit.n_outer, visit.n_wide
    n_nodes, last = n_outer * n_wide, LANES - 1
    if visit.n_terms == 1:
        top = max(logs[0, 0], logs[n_nodes - 1, last])
        return top + np.log(np.exp(logs[0, 0] - top) + np.exp(logs[n_nodes - 1, last] - top))
    top, every = -np.inf, 0.0
    for adding in range(2):
        for w in range(n_wide):
            for o in range(n_outer):
                outer = o == 0 or o == n_outer - 1
                for l in range(LANES):
                    if outer or (w == 0 and l == 0) or (w == n_wide - 1 and l == last):
                        log = logs[w * n_outer + o, l]
                        if adding == 0:
                            top = max(top, log)
                        elif log > top - 30.0:
                            every += np.exp(log - top)
    return top + np.log(every)


@njit(**JIT_INNER)
def sum_lanes(logs, line):
    """Fill the logs of the sums over all but the nodes o."""
    n_wide, n_outer, _ = logs.shape
    for o in range(n_outer):
        top = -np.inf
        for w in range(n_wide):
            for l in range(LANES):
                top = max(top, logs[w, o, l])
        every = 0.0
        for w in range(n_wide):
            for l in range(LANES):
                every += np.exp(logs[w, o, l] - top)
        line[o] = top + np.log(every)


@njit(**JIT_INNER)
def along_outer(logs, x, line):
    """Fill the logs at a place between the nodes o, for all the others."""
    n_wide, n_outer, _ = logs.shape
    k, c0, c1, c2, c3 = cubic(x, n_outer)
    for w in range(n_wide):
        for l in range(LANES):
            line[LANES * w + l] = (
                c0 * logs[w, k, l]
                + c1 * logs[w, k + 1, l]
                + c2 * logs[w, k + 2, l]
                + c3 * logs[w, k + 3, l]
            )


@njit(**JIT_INNER)
def cubic(x, n):
    """Return k and the coefficients of the nodes k to k + 3 for the value at x, of n nodes."""
    k = min(max(int(x) - 1, 0), n - 4)
    t = x - k
    a, b, c, d = t, t - 1.0, t - 2.0, t - 3.0
    return k, -b * c * d / 6.0, a * c * d / 2.0, -a * b * d / 2.0, a * b * c / 6.0


@njit(**JIT_INNER)
def draw_on_line(line, n, room, uniform):
    """Return a draw from the density exp(line) at 0, 1, ..., n - 1.

    Its distribution function is inverted. Each distance between nodes has `PARTS` parts; of two
    parts the integral is that of the parabola through three values.
    """
    top = line[0]
    for k in range(1, n):
        top = max(top, line[k])
    n_parts = PARTS * (n - 1)
    for p in range(n_parts + 1):
        k, c0, c1, c2, c3 = cubic(p / PARTS, n)
        log = c0 * line[k] + c1 * line[k + 1] + c2 * line[k + 2] + c3 * line[k + 3]
        room[p] = np.exp(log - top)
    every = 0.0
    for p in range(0, n_parts, 2):
        every += room[p] + 4.0 * room[p + 1] + room[p + 2]
    left = uniform * every
    for p in range(0, n_parts, 2):
        mass = room[p] + 4.0 * room[p + 1] + room[p + 2]
        if left <= mass or p == n_parts - 2:
            return (p + 2.0 * on_parabola(room[p], room[p + 1], room[p + 2], left)) / PARTS
        left -= mass
    return 0.0


@njit(**JIT_INNER)
def on_parabola(low, middle, high, left):
    """Return x in (0, 1) where six times the integral of the parabola from 0 is `left`."""
    bend, slope = 2.0 * (low - 2.0 * middle + high), 4.0 * middle - 3.0 * low - high
    first, last = 0.0, 1.0
    x = min(left / (low + 4.0 * middle + high), 1.0)
    for _ in range(30):
        value = 6.0 * x * (low + x * (0.5 * slope + x * bend / 3.0)) - left
        if value > 0.0:
            last = x
        else:
            first = x
        density = 6.0 * (low + x * (slope + x * bend))
        step = value / density if density > 0.0 else 0.0
        new = x - step
        if density <= 0.0 or new < first or new > last:
            new = 0.5 * (first + last)
        if abs(new - x) < 1e-12:
            return new
        x = new
    return x
