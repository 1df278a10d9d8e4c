"""The marginal likelihood of one grouping factor by quadrature, as a C callback.

See `skhbm._likelihood.quadrature` for the mathematics. The callbacks know no family: what they
know of rows is asked of the kernel at the address `rows`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray

from skhbm._likelihood.quadrature_mode import largest, move
from skhbm._likelihood.quadrature_nodes import describe_rows, on_sheet
from skhbm._likelihood.quadrature_one_term import (
    CAPACITY,
    gradient_one,
    integrate_one,
    place_of,
)
from skhbm._likelihood.quadrature_state import (
    EVALUATE,
    PREPARE,
    REST,
    SCORES,
    STATE,
    aligned,
    ask,
    lanes_at,
)
from skhbm._likelihood.quadrature_two_terms import (
    GRID,
    MOST_VECTORS,
    gradient_two,
    integrate_two,
)
from skhbm._likelihood.quadrature_visits import VISIT, VISITING
from skhbm._numba.elementary import exp
from skhbm._numba.jit import JIT_INNER, c_callback, njit
from skhbm._numba.lanes import LANES, load, splat, store, total
from skhbm._numba.pointers import as_pointer, call_rows
from skhbm._numba.records import fields

__all__ = ["TABLE", "no_term_callback", "one_term_callback", "two_terms_callback"]

#: What the callbacks read: arrays of `skhbm._likelihood.quadrature.QuadratureLikelihood`,
#: sizes, and the addresses of the kernel of vectors and of the general one. `n_blocks` and
#: `n_longest` are numbers of vectors of all rows and of the largest group. `vectors` is 1 if
#: there is a kernel of vectors, `linear` if it leaves y eta out, `squares` if it takes squares
#: of residuals, and `exponential` if the density is a function of exp(eta).
TABLE = np.dtype(
    [
        *fields(
            *("n_terms", "n_fixed", "n_within", "n_groups", "n_blocks", "n_longest"),
            *(
                "n_levels",
                "vectors",
                "linear",
                "squares",
                "exponential",
                "concave",
                "constant",
                "uniform",
            ),
            *("y", "size", "log_size", "weight", "weighted_y", "fixed", "varying"),
            *("first", "counts", "levels", "rows", "general"),
        ).descr,
        *[(name, np.float64) for name in ("largest_y", "largest_dispersion")],
    ]
)

#: Exponentials of predictors within this of zero can be multiplied by those of effects.
LARGEST = 300.0


@cache
def no_term_callback() -> Any:
    """Return `_no_term` as a C callback, compiled once and cached on disk."""
    return c_callback("void(int64, int64, int64, int64)", _no_term)


@cache
def two_terms_callback() -> Any:
    """Return `_two_terms` as a C callback, compiled once and cached on disk."""
    return c_callback("void(int64, int64, int64, int64)", _two_terms)


@cache
def one_term_callback() -> Any:
    """Return `_one_term` as a C callback, compiled once and cached on disk."""
    return c_callback("void(int64, int64, int64, int64)", _one_term)


def _no_term(table_, inputs_, outputs_, with_gradient):
    """Evaluate the likelihood without effects: all rows are one group."""
    table = carray(as_pointer(table_), (1,), TABLE)[0]
    inputs = carray(as_pointer(inputs_), (table.n_within + table.n_fixed,), np.float64)
    outputs = carray(as_pointer(outputs_), (1 + len(inputs),), np.float64)
    states, n = np.zeros(1, STATE), table.n_blocks
    room, longest, sheet = zeros(5, n), zeros(7, n), zeros(4, 1)
    begin(table, states, inputs, outputs, room, longest, sheet)
    logp = all_rows(table, states, room, longest, sheet, with_gradient)
    outputs[0] = number_or_none(states[0].rest + logp)
    if with_gradient == 1:
        coefficient_gradient(table, room, outputs)


def _one_term(table_, inputs_, outputs_, with_gradient):
    """Evaluate the likelihood with one varying term.

    Inputs: variance (1,), dispersion (n_within,), coefficients (k,), one after another.
    Outputs: the log density, and its gradient in the order of the inputs.
    """
    table = carray(as_pointer(table_), (1,), TABLE)[0]
    inputs = carray(as_pointer(inputs_), (1 + table.n_within + table.n_fixed,), np.float64)
    outputs = outputs_of(outputs_, len(inputs), with_gradient)
    states, n = np.zeros(1, STATE), table.n_blocks
    room, longest, sheet = zeros(5, n), zeros(7, table.n_longest), zeros(1, 1)
    begin(table, states, inputs, outputs, room, longest, sheet)
    visits = visits_of(outputs_, states, table_, with_gradient)
    scale = np.sqrt(max(inputs[0], 0.0))
    logp, d_scale = one_term_groups(
        table, states, room, (longest, sheet), scale, visits, with_gradient
    )
    outputs[0] = number_or_none(states[0].rest + logp)
    if with_gradient == 1:
        # The variance is the square of the scale.
        outputs[1] = 0.5 * d_scale / scale if scale > 0.0 else 0.0
        coefficient_gradient(table, room, outputs)


def _two_terms(table_, inputs_, outputs_, with_gradient):
    """Evaluate the likelihood with two varying terms.

    Inputs: covariance (2, 2), dispersion (n_within,), coefficients (k,), one after another.
    Outputs: the log density, and its gradient in the order of the inputs.
    """
    table = carray(as_pointer(table_), (1,), TABLE)[0]
    inputs = carray(as_pointer(inputs_), (4 + table.n_within + table.n_fixed,), np.float64)
    outputs = outputs_of(outputs_, len(inputs), with_gradient)
    states, n = np.zeros(1, STATE), table.n_blocks
    room, longest, sheet = zeros(5, n), zeros(7, table.n_longest), zeros(1, 1)
    begin(table, states, inputs, outputs, room, longest, sheet)
    visits = visits_of(outputs_, states, table_, with_gradient)
    L, M = np.zeros((2, 2)), np.zeros((2, 2))
    triangle(inputs, L)
    logp = two_terms_groups(table, states, room, (longest, sheet), L, M, visits, with_gradient)
    outputs[0] = number_or_none(states[0].rest + logp)
    if with_gradient == 1:
        covariance_gradient(L, M, outputs)
        coefficient_gradient(table, room, outputs)


@njit(**JIT_INNER)
def number_or_none(logp):
    """Return a log density, or -inf where it has no value, beyond the range of doubles."""
    return logp if np.isfinite(logp) else -np.inf


@njit(**JIT_INNER)
def two_terms_groups(table, states, room, alive, L, M, visits, with_gradient):  # noqa: ARG001  # as it is called
    """Return the log density of all groups; fill M (2, 2) with the sums of E[v g'].

    The state has the addresses of the arrays `alive`, which live as long as this runs.
    """
    n = table.n_blocks
    first = carray(as_pointer(table.first), (table.n_groups + 1,), np.int64)
    varying = carray(as_pointer(table.varying), (2, n, LANES), np.float64)
    nodes, about, grids = aligned(5, 2 * MOST_VECTORS), np.empty(6), np.empty(1, GRID)
    logp, visit = 0.0, visits[0]
    for j in range(table.n_groups):
        if with_gradient == VISITING and not asked_for(table, visit, j):
            continue
        set_group(table, states, room, j, first[j], first[j + 1])
        eta, z = room[0, first[j] : first[j + 1]], varying[:, first[j] : first[j + 1]]
        log_integral = integrate_two(table, states[0], eta, z, L, nodes, about, grids[0])
        logp += log_integral
        if with_gradient == 1:
            gradient_two(table, states[0], nodes, about, grids[0], M)
        elif with_gradient == VISITING:
            tell_grid(visit, nodes, grids[0], L)
            visit.log_integral = log_integral
            call_rows(visit.visitor, visits.ctypes.data)
    return logp


@njit(**JIT_INNER)
def outputs_of(address, n_inputs, with_gradient):
    """Return the outputs at an address, or outputs that nobody reads."""
    if with_gradient == VISITING:
        return np.empty(1 + n_inputs)
    return carray(as_pointer(address), (1 + n_inputs,), np.float64)


@njit(**JIT_INNER)
def visits_of(address, states, table_, with_gradient):
    """Return the visit at an address, or one that nobody reads."""
    if with_gradient != VISITING:
        return np.empty(1, VISIT)
    visits = carray(as_pointer(address), (1,), VISIT)
    visits[0].state, visits[0].table = states.ctypes.data, table_
    return visits


@njit(**JIT_INNER)
def asked_for(table, visit, j):
    """Return whether a group is asked for, and note its place in the answers."""
    slots = carray(as_pointer(visit.slots), (table.n_groups,), np.int64)
    visit.slot, visit.group = slots[j], j
    return slots[j] >= 0


@njit(**JIT_INNER)
def tell_place(visit, nodes, place, scale):
    """Note where the nodes of one term are."""
    first = int(place[0])
    visit.logs = nodes[0].ctypes.data + 8 * LANES * first
    visit.n_outer, visit.n_wide = int(place[1]) - first, 1
    visit.mode0, visit.first, visit.step = place[2], place_of(first, place[3]), place[3]
    visit.l00 = scale


@njit(**JIT_INNER)
def tell_grid(visit, nodes, grid, L):
    """Note where the nodes of two terms are."""
    visit.logs, visit.n_outer, visit.n_wide = nodes[0].ctypes.data, grid.n_outer, grid.n_wide
    visit.mode0, visit.mode1 = grid.v0, grid.v1
    visit.first, visit.step = grid.first, grid.step
    visit.first_wide, visit.step_wide = grid.first_wide, grid.step_wide
    visit.c00, visit.c01, visit.c11 = grid.c00, grid.c01, grid.c11
    visit.l00, visit.l10, visit.l11 = L[0, 0], L[1, 0], L[1, 1]


@njit(**JIT_INNER)
def triangle(cov, L):
    """Fill the lower triangle L with L L' = cov, which may be singular."""
    L[0, 0] = np.sqrt(max(cov[0], 0.0))
    L[1, 0] = cov[2] / L[0, 0] if L[0, 0] > 0.0 else 0.0
    L[1, 1] = np.sqrt(max(cov[3] - L[1, 0] * L[1, 0], 0.0))


@njit(**JIT_INNER)
def covariance_gradient(L, M, outputs):
    """Fill the derivatives in the covariance, L^-T E[v g'] / 2."""
    low0 = M[1, 0] / L[1, 1] if L[1, 1] > 0.0 else 0.0
    low1 = M[1, 1] / L[1, 1] if L[1, 1] > 0.0 else 0.0
    top0 = (M[0, 0] - L[1, 0] * low0) / L[0, 0] if L[0, 0] > 0.0 else 0.0
    top1 = (M[0, 1] - L[1, 0] * low1) / L[0, 0] if L[0, 0] > 0.0 else 0.0
    outputs[1], outputs[4] = 0.5 * top0, 0.5 * low1
    outputs[2] = 0.25 * (top1 + low0)
    outputs[3] = outputs[2]


@njit(**JIT_INNER)
def all_rows(table, states, room, longest, sheet, with_gradient):
    """Return the log density of all rows without effects; fill the scores."""
    state = states[0]
    set_group(table, states, room, 0, 0, len(room[0]))
    move(state, room[0], longest[1], 0.0)
    about = np.empty(6)
    describe_rows(state, table.linear, about)
    state.n_outer, state.start, state.step, state.moved = 1, 0.0, 0.0, 0.0
    state.values, state.weights = sheet[1].ctypes.data, sheet[2].ctypes.data
    state.slopes = sheet[3].ctypes.data
    vectors = on_sheet(table, state, EVALUATE, about)
    if with_gradient == 1:
        sheet[2, 0, 0] = 1.0
        on_sheet(table, state, SCORES, about)
    return sheet[1, 0, 0] + (about[0] if vectors else 0.0)


@njit(**JIT_INNER)
def one_term_groups(table, states, room, alive, scale, visits, with_gradient):  # noqa: ARG001  # as it is called
    """Return the log density of all groups, and its derivative in the scale.

    The state has the addresses of the arrays `alive`, which live as long as this runs.
    """
    first = carray(as_pointer(table.first), (table.n_groups + 1,), np.int64)
    varying = lanes_at(table.varying, table.n_blocks)
    nodes, about, place = aligned(4, CAPACITY), np.empty(6), np.empty(4)
    logp, d_scale, visit = 0.0, 0.0, visits[0]
    for j in range(table.n_groups):
        if with_gradient == VISITING and not asked_for(table, visit, j):
            continue
        set_group(table, states, room, j, first[j], first[j + 1])
        eta, z = room[0, first[j] : first[j + 1]], varying[first[j] : first[j + 1]]
        log_integral = integrate_one(table, states[0], eta, z, scale, nodes, about, place)
        logp += log_integral
        if with_gradient == 1:
            d_scale += gradient_one(table, states[0], nodes, about, place)
        elif with_gradient == VISITING:
            tell_place(visit, nodes, place, scale)
            visit.log_integral = log_integral
            call_rows(visit.visitor, visits.ctypes.data)
    return logp, d_scale


@njit(**JIT_INNER)
def zeros(k, n):
    """Return (k, n) aligned vectors of zeros."""
    out = aligned(k, n)
    for a in range(k):
        for i in range(n):
            store(out, (a, i), splat(0.0))
    return out


@njit(**JIT_INNER)
def begin(table, states, inputs, outputs, room, longest, sheet):
    """Fill what all groups share, and have the kernels prepare all rows.

    `room` are eta, c, shift, score and exp(eta + shift) of all rows; `longest` is what is
    needed of one group.
    """
    state, q, n_within = states[0], table.n_terms, table.n_within
    for i in range(len(outputs)):
        outputs[i] = 0.0
    state.address, state.n, state.n_blocks = (
        states.ctypes.data, table.n_blocks * LANES, table.n_blocks
    )  # fmt: skip
    state.q, state.n_dispersion, state.n_levels = max(q, 1), n_within, table.n_levels
    state.stride, state.constant, state.uniform = state.n, 0, table.uniform
    state.size, state.log_size, state.weight = table.size, table.log_size, table.weight
    state.weighted_y, state.y, state.levels = table.weighted_y, table.y, table.levels
    state.c, state.shift = room[1].ctypes.data, room[2].ctypes.data
    state.eta, state.a, state.b = (
        longest[0].ctypes.data, longest[1].ctypes.data, longest[2].ctypes.data
    )  # fmt: skip
    state.first, state.second, state.major = (
        longest[3].ctypes.data, longest[4].ctypes.data, longest[5].ctypes.data
    )  # fmt: skip
    state.offsets = sheet[0].ctypes.data
    state.dispersion = inputs.ctypes.data + 8 * q * q
    state.d_dispersion = outputs.ctypes.data + 8 * (1 + q * q)
    ask(table.rows, state, PREPARE)
    if n_within > 0:
        ask(table.general, state, REST)
    predict(table, inputs[q * q + n_within :], room[0])
    if (table.constant == 1 or q == 0) and table.linear == 1:
        state.constant = exponentials(room)


@njit(**JIT_INNER)
def exponentials(room):
    """Fill exp(eta + shift); return 1 if all are within the range that may be multiplied."""
    for i in range(len(room[0])):
        store(room, (4, i), load(room, (0, i)) + load(room, (2, i)))
    if largest(room[4]) > LARGEST:
        return 0
    for i in range(len(room[0])):
        store(room, (4, i), exp(load(room, (4, i))))
    return 1


@njit(**JIT_INNER)
def set_group(table, states, room, j, first, last):
    """Point the state to the rows of a group, vectors first to last."""
    state = states[0]
    counts = carray(as_pointer(table.counts), (table.n_groups,), np.int64)
    at = 8 * LANES * first
    state.n, state.n_blocks = counts[j], last - first
    state.y, state.size, state.weight = table.y + at, table.size + at, table.weight + at
    state.weighted_y, state.z = table.weighted_y + at, table.varying + at
    state.c, state.shift = room[1].ctypes.data + at, room[2].ctypes.data + at
    state.score, state.exps = room[3].ctypes.data + at, room[4].ctypes.data + at


@njit(**JIT_INNER)
def predict(table, coef, eta):
    """Fill the linear predictors of all rows without effects."""
    n = table.n_blocks
    fixed = lanes_at(table.fixed, len(coef) * n)
    for i in range(n):
        s = splat(0.0)
        for c in range(len(coef)):
            s += load(fixed, (c * n + i,)) * coef[c]
        store(eta, (i,), s)


@njit(**JIT_INNER)
def coefficient_gradient(table, room, outputs):
    """Fill the derivatives in the coefficients from the scores of rows."""
    n, k = table.n_blocks, table.n_fixed
    fixed, score = lanes_at(table.fixed, k * n), room[3]
    for c in range(k):
        s = splat(0.0)
        for i in range(n):
            s += load(fixed, (c * n + i,)) * load(score, (i,))
        outputs[len(outputs) - k + c] = total(s)
