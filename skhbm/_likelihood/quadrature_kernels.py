"""The marginal likelihood of one grouping factor by quadrature, as a C callback.

See `skhbm._likelihood.quadrature` for the mathematics. The callbacks know no family: what they
know of rows is asked of the kernel at the address `rows`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray

from skhbm._likelihood.marginal import split_inputs
from skhbm._likelihood.quadrature_one_term import CAPACITY, gradient_one, integrate_one
from skhbm._likelihood.quadrature_nodes import describe_rows, on_sheet
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
from skhbm._numba.jit import JIT_INNER, c_callback, njit
from skhbm._numba.lanes import LANES, load, splat, store, total
from skhbm._numba.pointers import as_pointer
from skhbm._numba.records import fields

__all__ = ["TABLE", "no_term_callback", "one_term_callback"]

#: What the callbacks read: arrays of `skhbm._likelihood.quadrature.QuadratureLikelihood`, sizes,
#: and the addresses of the kernel of vectors and of the general one. `n_blocks` and `n_longest`
#: are numbers of vectors of all rows and of the largest group. `vectors` is 1 if there is a
#: kernel of vectors, `linear` if it leaves y eta out, `squares` if it takes squares of residuals.
TABLE = np.dtype(
    [
        *fields(
            *("n_terms", "n_fixed", "n_within", "n_groups", "n_blocks", "n_longest"),
            *("n_levels", "vectors", "linear", "squares", "concave", "constant", "uniform"),
            *("y", "size", "log_size", "weight", "weighted_y", "fixed", "varying"),
            *("first", "counts", "levels", "rows", "general"),
        ).descr,
        *[(name, np.float64) for name in ("largest_y", "largest_dispersion")],
    ]
)


@cache
def no_term_callback() -> Any:
    """Return `_no_term` as a C callback, compiled once and cached on disk."""
    return c_callback("void(int64, int64, int64, int64)", _no_term)


@cache
def one_term_callback() -> Any:
    """Return `_one_term` as a C callback, compiled once and cached on disk."""
    return c_callback("void(int64, int64, int64, int64)", _one_term)


def _no_term(table_, inputs_, outputs_, with_gradient):
    """Evaluate the likelihood without effects: all rows are one group."""
    table = carray(as_pointer(table_), (1,), TABLE)[0]
    k, n_within, n = table.n_fixed, table.n_within, table.n_blocks
    inputs = carray(as_pointer(inputs_), (n_within + k,), np.float64)
    outputs = carray(as_pointer(outputs_), (1 + n_within + k,), np.float64)
    _, dispersion, coef = split_inputs(inputs, 0, n_within)
    _, d_dispersion, d_coef = split_inputs(outputs[1:], 0, n_within)
    states = np.zeros(1, STATE)
    room, longest, sheet = zeros(4, n), zeros(7, n), zeros(5, 1)
    state = states[0]
    for i in range(len(outputs)):
        outputs[i] = 0.0
    begin(table, states, room, longest, sheet, dispersion, d_dispersion)
    outputs[0] = state.rest
    predict(lanes_of_terms(table.fixed, k, n), coef, room[0])
    set_group(table, states, room, 0, 0, n)
    base, shift = lanes_at(state.eta, n), lanes_at(state.shift, n)
    for i in range(n):
        store(base, (i,), load(room[0], (i,)) + load(shift, (i,)))
    about = np.empty(6)
    describe_rows(state, table.linear, about)
    state.constant, state.n_outer, state.start, state.step = 1, 1, 0.0, 0.0
    state.values, state.weights = sheet[1].ctypes.data, sheet[2].ctypes.data
    state.slopes = sheet[3].ctypes.data
    vectors = on_sheet(table, state, EVALUATE, about)
    outputs[0] += sheet[1, 0, 0] + (about[0] if vectors else 0.0)
    if with_gradient == 0:
        return
    sheet[2, 0, 0] = 1.0
    on_sheet(table, state, SCORES, about)
    coefficient_gradient(lanes_of_terms(table.fixed, k, n), room[3], d_coef)


def _one_term(table_, inputs_, outputs_, with_gradient):
    """Evaluate the likelihood with one varying term.

    Inputs: variance (1,), dispersion (n_within,), coefficients (k,), one after another.
    Outputs: the log density, and its gradient in the order of the inputs.
    """
    table = carray(as_pointer(table_), (1,), TABLE)[0]
    k, n_within, n = table.n_fixed, table.n_within, table.n_blocks
    inputs = carray(as_pointer(inputs_), (1 + n_within + k,), np.float64)
    outputs = carray(as_pointer(outputs_), (2 + n_within + k,), np.float64)
    cov, dispersion, coef = split_inputs(inputs, 1, n_within)
    d_cov, d_dispersion, d_coef = split_inputs(outputs[1:], 1, n_within)
    first = carray(as_pointer(table.first), (table.n_groups + 1,), np.int64)
    fixed, varying = lanes_of_terms(table.fixed, k, n), lanes_of_terms(table.varying, 1, n)
    states = np.zeros(1, STATE)
    room, longest, sheet = zeros(4, n), zeros(7, table.n_longest), zeros(1, 1)
    nodes, about, place = aligned(4, CAPACITY), np.empty(6), np.empty(4)
    for i in range(len(outputs)):
        outputs[i] = 0.0
    begin(table, states, room, longest, sheet, dispersion, d_dispersion)
    predict(fixed, coef, room[0])
    scale, d_scale = np.sqrt(max(cov[0, 0], 0.0)), 0.0
    logp = states[0].rest
    for j in range(table.n_groups):
        set_group(table, states, room, j, first[j], first[j + 1])
        eta, z = room[0, first[j] : first[j + 1]], varying[0, first[j] : first[j + 1]]
        logp += integrate_one(table, states[0], eta, z, scale, nodes, about, place)
        if with_gradient == 1:
            d_scale += gradient_one(table, states[0], nodes, about, place)
    outputs[0] = logp
    if with_gradient == 1:
        # The variance is the square of the scale.
        d_cov[0, 0] = 0.5 * d_scale / scale if scale > 0.0 else 0.0
        coefficient_gradient(fixed, room[3], d_coef)


@njit(**JIT_INNER)
def lanes_of_terms(address, k, n):
    """Return a view of k columns of n vectors of lanes."""
    return carray(as_pointer(address), (k, n, LANES), np.float64)


@njit(**JIT_INNER)
def zeros(k, n):
    """Return (k, n) aligned vectors of zeros."""
    out = aligned(k, n)
    for a in range(k):
        for i in range(n):
            store(out, (a, i), splat(0.0))
    return out


@njit(**JIT_INNER)
def begin(table, states, room, longest, sheet, dispersion, d_dispersion):
    """Fill what all groups share, and have the kernels prepare all rows.

    `room` are eta, c, shift and score of all rows; `longest` what is needed of one group.
    """
    state = states[0]
    state.address, state.n, state.n_blocks = states.ctypes.data, table.n_blocks * LANES, len(room[0])
    state.q, state.n_dispersion, state.n_levels = max(table.n_terms, 1), len(dispersion), table.n_levels
    state.stride, state.constant, state.uniform = state.n, table.constant, table.uniform
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
    state.dispersion, state.d_dispersion = dispersion.ctypes.data, d_dispersion.ctypes.data
    ask(table.rows, state, PREPARE)
    if len(dispersion) > 0:
        ask(table.general, state, REST)


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
    state.score = room[3].ctypes.data + at


@njit(**JIT_INNER)
def predict(fixed, coef, eta):
    """Fill the linear predictors of all rows without effects."""
    for i in range(len(eta)):
        s = splat(0.0)
        for c in range(len(coef)):
            s += load(fixed, (c, i)) * coef[c]
        store(eta, (i,), s)


@njit(**JIT_INNER)
def coefficient_gradient(fixed, score, d_coef):
    """Fill the derivatives in the coefficients."""
    for c in range(len(d_coef)):
        s = splat(0.0)
        for i in range(len(score)):
            s += load(fixed, (c, i)) * load(score, (i,))
        d_coef[c] = total(s)
