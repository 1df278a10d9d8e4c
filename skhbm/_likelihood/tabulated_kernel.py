"""The marginal likelihood from tables, in numba; see `skhbm._likelihood.tabulated`.

Nodes are worked on `LANES` at a time, the lane being the last axis of every array.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray

from skhbm._numba.jit import JIT_INNER, c_callback, njit
from skhbm._numba.lanes import LANES, load, splat, store
from skhbm._numba.pointers import as_pointer, call_marginal
from skhbm._numba.records import fields

__all__ = ["TABLE", "tabulated_callback"]

#: What the callback reads: the fields of `Tabulated`. `exact` and `exact_table` are the
#: addresses of the likelihood where there are no panels, whose moments are `n_exact` numbers.
TABLE = np.dtype(
    [
        *fields(
            *("n_terms", "n_panels", "n_nodes", "n_blocks", "rank", "by_ratio", "from_zero"),
            *("logdet", "square", "poles", "u", "w", "coefficients"),
            *("exact", "exact_table", "n_exact"),
        ).descr,
        *[(name, np.float64) for name in ("first", "last", "count")],
    ]
)
#: The logarithm of a product of so many numbers is taken at once.
FACTORS = 8


@cache
def tabulated_callback() -> Any:
    """Return `_tabulated` as a C callback, compiled once and cached on disk."""
    return c_callback("void(int64, int64, int64, int64)", _tabulated)


@njit(**JIT_INNER)
def find_panel(table, v):
    """Return the panel of v, or -1, the place -1 < x < 1 in the panel, and dx / dv."""
    if table.n_nodes == 1:
        return 0, 0.0, 0.0
    low = np.exp(table.first)
    if table.from_zero and 0.0 <= v < low:
        return 0, 2.0 * v / low - 1.0, 2.0 / low
    if not (low <= v < np.exp(table.last)):
        return -1, 0.0, 0.0
    n_panels = table.n_panels - table.from_zero
    width = (table.last - table.first) / n_panels
    place = (np.log(v) - table.first) / width
    i = min(max(int(place), 0), n_panels - 1)
    return i + table.from_zero, 2.0 * (place - i) - 1.0, 2.0 / (width * v)


@njit(**JIT_INNER)
def interpolate(coefficients, x, weights, slopes):
    """Fill the weights of the nodes (n_blocks, LANES) at x, and their derivatives in x.

    Both are sums of Chebyshev polynomials, with T_i' = i U_(i-1).
    """
    n_nodes, n_blocks, _ = coefficients.shape
    for b in range(n_blocks):
        weight, slope = splat(0.0), splat(0.0)
        T, T_next, U_before, U = 1.0, x, 0.0, 1.0
        for i in range(n_nodes):
            c = load(coefficients, (i, b))
            weight += c * T
            slope += c * (i * U_before)
            T, T_next = T_next, 2.0 * x * T_next - T
            U_before, U = U, 2.0 * x * U - U_before
        store(weights, (b,), weight)
        store(slopes, (b,), slope)


@njit(**JIT_INNER)
def sum_node_functions(poles, u, w, z, sums):
    """Fill sums (4, LANES) of the nodes of a block.

    They are sum log(p + z), its derivative in z, sum (u z + w) / (p + z), and its derivative.
    """
    rank = len(poles)
    products = np.empty((1, LANES))
    product, logs, d_logs, squares, d_squares = (
        splat(1.0), splat(0.0), splat(0.0), splat(0.0), splat(0.0),
    )  # fmt: skip
    for l in range(rank):
        p = load(poles, (l,)) + z
        inverse = 1.0 / p
        value = (load(u, (l,)) * z + load(w, (l,))) * inverse
        squares += value
        d_squares += (load(u, (l,)) - value) * inverse
        d_logs += inverse
        product *= p
        if l % FACTORS == FACTORS - 1 or l == rank - 1:
            store(products, (0,), product)
            for lane in range(LANES):
                products[0, lane] = np.log(products[0, lane])
            logs += load(products, (0,))
            product = splat(1.0)
    store(sums, (0,), logs)
    store(sums, (1,), d_logs)
    store(sums, (2,), squares)
    store(sums, (3,), d_squares)


@njit(**JIT_INNER)
def sum_nodes(table, panel, x, z, out):
    """Fill out (2, 3): log determinant and sum of squares, their derivatives in x and z."""
    n_panels, n_blocks, rank = table.n_panels, table.n_blocks, table.rank
    small, large = (n_panels, n_blocks, LANES), (n_panels, n_blocks, rank, LANES)
    logdet = carray(as_pointer(table.logdet), small, np.float64)
    square = carray(as_pointer(table.square), small, np.float64)
    poles = carray(as_pointer(table.poles), large, np.float64)
    u = carray(as_pointer(table.u), large, np.float64)
    w = carray(as_pointer(table.w), large, np.float64)
    shape = (table.n_nodes, n_blocks, LANES)
    coefficients = carray(as_pointer(table.coefficients), shape, np.float64)
    weights, slopes = np.empty((n_blocks, LANES)), np.empty((n_blocks, LANES))
    interpolate(coefficients, x, weights, slopes)
    sums = np.empty((4, LANES))
    out[:] = 0.0
    for b in range(n_blocks):
        sum_node_functions(poles[panel, b], u[panel, b], w[panel, b], z, sums)
        for l in range(min(LANES, table.n_nodes - b * LANES)):
            log_det = logdet[panel, b, l] + sums[0, l]
            squares = square[panel, b, l] + sums[2, l]
            out[0, 0] += weights[b, l] * log_det
            out[0, 1] += slopes[b, l] * log_det
            out[0, 2] += weights[b, l] * sums[1, l]
            out[1, 0] += weights[b, l] * squares
            out[1, 1] += slopes[b, l] * squares
            out[1, 2] += weights[b, l] * sums[3, l]


def _tabulated(table_, inputs_, outputs_, with_gradient):
    """Integrate effects and coefficients out.

    Inputs: cov (q, q), sigma (1,), with q = 0 or 1. Outputs: the log density and its gradient.
    Where there is one value of sigma (known errors) the derivative in it may be left out.
    """
    table = carray(as_pointer(table_), (1,), TABLE)[0]
    q = table.n_terms
    inputs = carray(as_pointer(inputs_), (q + 1,), np.float64)
    outputs = carray(as_pointer(outputs_), (q + 2,), np.float64)
    nu = inputs[q] * inputs[q]
    t = inputs[0] / nu if q > 0 else 0.0
    by_ratio = table.by_ratio == 1
    panel, x, dx = find_panel(table, t if by_ratio else nu)
    if panel < 0:
        exact = np.empty(q + 2 + table.n_exact)
        call_marginal(table.exact, table.exact_table, inputs_, exact.ctypes.data, with_gradient)
        outputs[:] = exact[: q + 2]
        return
    sums = np.empty((2, 3))
    sum_nodes(table, panel, x, nu if by_ratio else t, sums)
    square = sums[1, 0] / nu
    outputs[0] = -0.5 * (table.count * np.log(nu) + sums[0, 0] + square)  # derivation (14)
    d_node = -0.5 * dx * (sums[0, 1] + sums[1, 1] / nu)
    d_other = -0.5 * (sums[0, 2] + sums[1, 2] / nu)
    d_t, d_nu = (d_node, d_other) if by_ratio else (d_other, d_node)
    d_nu += 0.5 * (square - table.count) / nu
    if q > 0:
        outputs[1] = d_t / nu
        d_nu -= d_t * t / nu
    outputs[q + 1] = 2.0 * inputs[q] * d_nu
