"""The log density of rows and effects given scales and coefficients, as a C callback.

It has the form of a marginal likelihood (`skhbm._likelihood.interface`), so that the density
of the hyperparameters (`skhbm._density.hyperparameters_kernel`) calls it, but integrates
nothing out: the effects come in coordinates z behind the pointers of its table.

Factors are in the order of elimination, the one with the most effects first. Given the
coefficients and the factors after it, the effects of a factor are placed at the mean of a
normal approximation (`skhbm._density.effects_reference`) plus their coordinates. For the first
factor this is a weighted regression of working responses on the varying terms, level by level,
for the others a linear map of what is given. Within a factor coordinates are stretched along
the axes in which their covariance is far from the identity in the approximation.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray

from skhbm._density.effects_levels_kernel import place_levels, place_levels_backward
from skhbm._density.small_matrices import factorise, factorise_backward
from skhbm._numba.jit import JIT_INNER, c_callback, njit
from skhbm._numba.lanes import LANES, load, splat, store, total
from skhbm._numba.pointers import as_pointer, call_marginal
from skhbm._numba.records import fields

__all__ = ["EFFECTS", "PLACED", "effects_callback", "place_effects", "room"]

#: What is read of a factor: its numbers of levels and of terms, where its covariance begins
#: among the inputs, where its effects begin among all effects, and where its G begin; addresses
#: of positions (n_rows,) among all effects, of its varying terms (n_terms, n_rows), of the
#: information and the scores of its levels; those of a sparse matrix that maps coefficients and
#: effects to scores, its starts of rows, columns and values; and of axes (n_turns, n) along
#: which coordinates are stretched, with gains (n_turns,).
PLACED = fields(
    *("n_levels", "n_terms", "first_entry", "first", "first_root", "n_turns"),
    *("where", "terms", "information", "scores"),
    *("map_start", "map_column", "map_value", "turns", "gains"),
)
#: What the callback reads. `fixed` (n_blocks, n_coef, LANES) are columns of the coefficients in
#: rows that are filled up to whole blocks. Rows are in the order of the levels of the first
#: factor. `weight` and `working` (n_rows,) are weights and working responses of the normal
#: approximation. `rows` is the address of a callback of `skhbm._density.family_rows_kernel`,
#: `rows_table` of its table. `z` and `d_z` are the addresses of coordinates, and of where their
#: derivatives go.
EFFECTS = fields(
    *("n_rows", "n_blocks", "n_factors", "n_coef", "n_dispersion", "n_entries", "n_effects"),
    *("n_roots", "factors", "fixed", "weight", "working", "rows", "rows_table", "z", "d_z"),
)


@cache
def effects_callback() -> Any:
    """Return `_effects` as a C callback, compiled once and cached on disk."""
    return c_callback("void(int64, int64, int64, int64)", _effects)


def _effects(table_, inputs_, outputs_, with_gradient):
    """Evaluate the log density, in the form of the callbacks of marginal likelihoods."""
    table = carray(as_pointer(table_), (1,), EFFECTS)[0]
    n, n_entries, k = table.n_blocks * LANES, table.n_entries, table.n_coef
    n_inputs = n_entries + table.n_dispersion + k
    inputs = carray(as_pointer(inputs_), (n_inputs,), np.float64)
    outputs = carray(as_pointer(outputs_), (1 + n_inputs,), np.float64)
    outputs[:] = 0.0
    effects, state, roots, eta = room(table)
    logp = place_effects(table, inputs, effects, state, roots, eta)
    if not np.isfinite(logp):
        outputs[0] = -np.inf
        return
    for i in range(table.n_dispersion):
        eta[n + i] = inputs[n_entries + i]
    of_rows = np.empty(1 + len(eta))
    call_marginal(
        table.rows, table.rows_table, eta.ctypes.data, of_rows.ctypes.data, with_gradient
    )
    outputs[0] = logp + of_rows[0] + 0.0 * eta[0]
    for i in range(table.n_dispersion):
        outputs[1 + n_entries + i] = of_rows[1 + n + i]
    if with_gradient:
        backward(table, outputs[1:], of_rows[1 : 1 + n], state, roots)


@njit(**JIT_INNER)
def room(table):
    """Return arrays to be filled: effects, state (3, n_effects), roots, and predictors.

    The rows of the state are scores s, G^-1 L's and w of `effects_levels_kernel`. The roots are
    those of the covariances and after these all G.
    """
    return (
        np.empty(table.n_effects),
        np.empty((3, table.n_effects)),
        np.empty(table.n_entries + table.n_roots),
        np.empty(table.n_blocks * LANES + table.n_dispersion),
    )


@njit(**JIT_INNER)
def place_effects(table, inputs, effects, state, roots, eta):
    """Fill effects, state, roots and predictors; return the log density of z given effects."""
    factors = carray(as_pointer(table.factors), (table.n_factors,), PLACED)
    z = carray(as_pointer(table.z), (table.n_effects,), np.float64)
    coef = inputs[table.n_entries + table.n_dispersion :]
    turned = np.empty(table.n_effects)
    logp = 0.0
    for f in range(table.n_factors - 1, -1, -1):
        factor = factors[f]
        J, q, first = factor.n_levels, factor.n_terms, factor.first
        some = slice(first, first + J * q)
        L = square(roots, factor.first_entry, q)
        if not factorise(square(inputs, factor.first_entry, q), L):
            return -np.inf
        scores = carray(as_pointer(factor.scores), (J * q,), np.float64)
        state[0, some] = scores
        if f == 0:
            predict_others(table, coef, effects, eta)
            add_scores(table, factor, eta, state[0])
        else:
            start, column, value = score_map(factor)
            apply_map(start, column, value, coef, effects, state[0, some])
        turn(factor, z[some], turned[some])
        shape = J, q
        H = carray(as_pointer(factor.information), (J, q, q), np.float64)
        logp += place_levels(
            L, H, state[0, some].reshape(shape), turned[some].reshape(shape),
            roots[factor.first_root : factor.first_root + J * q * q].reshape((J, q, q)),
            state[1, some].reshape(shape), state[2, some].reshape(shape),
            effects[some].reshape(shape),
        )  # fmt: skip
    add_effects(table, factors[0], effects, eta)
    return logp


@njit(**JIT_INNER)
def backward(table, d_inputs, d_eta, state, roots):
    """Fill derivatives in z and in the inputs from those in the predictors."""
    factors = carray(as_pointer(table.factors), (table.n_factors,), PLACED)
    d_z = carray(as_pointer(table.d_z), (table.n_effects,), np.float64)
    d_coef = d_inputs[table.n_entries + table.n_dispersion :]
    d_effects, d_s = np.zeros(table.n_effects), np.empty(table.n_effects)
    d_turned = np.empty(table.n_effects)
    add_effects_backward(table, factors[0], d_eta, d_effects)
    for f in range(table.n_factors):
        factor = factors[f]
        J, q, first = factor.n_levels, factor.n_terms, factor.first
        some, shape = slice(first, first + J * q), (J, q)
        H = carray(as_pointer(factor.information), (J, q, q), np.float64)
        L, d_L = square(roots, factor.first_entry, q), np.zeros((q, q))
        place_levels_backward(
            L, H, state[0, some].reshape(shape),
            roots[factor.first_root : factor.first_root + J * q * q].reshape((J, q, q)),
            state[1, some].reshape(shape), state[2, some].reshape(shape),
            d_effects[some].reshape(shape), d_turned[some].reshape(shape),
            d_s[some].reshape(shape), d_L,
        )  # fmt: skip
        factorise_backward(L, d_L, square(d_inputs, factor.first_entry, q))
        if f == 0:
            add_scores_backward(table, factor, d_s, d_eta)
            predict_others_backward(table, d_eta, d_coef, d_effects)
        else:
            start, column, value = score_map(factor)
            apply_transposed(start, column, value, d_s[some], d_coef, d_effects)
        turn(factor, d_turned[some], d_z[some])


@njit(**JIT_INNER)
def square(values, first, q):
    """Return a view of a matrix (q, q) in an array."""
    return values[first : first + q * q].reshape((q, q))


@njit(**JIT_INNER)
def score_map(factor):
    """Return starts of rows, columns and values of the map to scores."""
    n = factor.n_levels * factor.n_terms
    start = carray(as_pointer(factor.map_start), (n + 1,), np.int64)
    column = carray(as_pointer(factor.map_column), (start[n],), np.int64)
    value = carray(as_pointer(factor.map_value), (start[n],), np.float64)
    return start, column, value


@njit(**JIT_INNER)
def turn(factor, z, out):
    """Fill out with (I + U diag(d) U') z, which is symmetric."""
    n, r = len(z), factor.n_turns
    U = carray(as_pointer(factor.turns), (r, n), np.float64)
    d = carray(as_pointer(factor.gains), (r,), np.float64)
    out[:] = z
    for k in range(r):
        share, axis = 0.0, U[k]
        for i in range(n):
            share += axis[i] * z[i]
        share *= d[k]
        for i in range(n):
            out[i] += share * axis[i]


@njit(**JIT_INNER)
def apply_map(start, column, value, head, tail, out):
    """Add a sparse matrix times [head tail] to out."""
    k = len(head)
    for i in range(len(out)):
        total = 0.0
        for e in range(start[i], start[i + 1]):
            c = column[e]
            total += value[e] * (head[c] if c < k else tail[c - k])
        out[i] += total


@njit(**JIT_INNER)
def apply_transposed(start, column, value, x, head, tail):
    """Add a transposed sparse matrix times x to [head tail]."""
    k = len(head)
    for i in range(len(x)):
        for e in range(start[i], start[i + 1]):
            c = column[e]
            if c < k:
                head[c] += value[e] * x[i]
            else:
                tail[c - k] += value[e] * x[i]


@njit(**JIT_INNER)
def predict_others(table, coef, effects, eta):
    """Fill the predictors of rows without the effects of the first factor."""
    n_blocks, k = table.n_blocks, len(coef)
    fixed = carray(as_pointer(table.fixed), (n_blocks, k, LANES), np.float64)
    blocks = eta[: n_blocks * LANES].reshape((n_blocks, LANES))
    for b in range(n_blocks):
        sums = splat(0.0)
        for c in range(k):
            sums += load(fixed, (b, c)) * coef[c]
        store(blocks, (b,), sums)
    factors = carray(as_pointer(table.factors), (table.n_factors,), PLACED)
    for f in range(1, len(factors)):
        add_effects(table, factors[f], effects, eta)


@njit(**JIT_INNER)
def predict_others_backward(table, d_eta, d_coef, d_effects):
    """Add derivatives in coefficients and effects of the other factors."""
    n_blocks, k = table.n_blocks, len(d_coef)
    fixed = carray(as_pointer(table.fixed), (n_blocks, k, LANES), np.float64)
    blocks = d_eta.reshape((n_blocks, LANES))
    totals = np.zeros((k, LANES))
    for b in range(n_blocks):
        d = load(blocks, (b,))
        for c in range(k):
            store(totals, (c,), load(totals, (c,)) + load(fixed, (b, c)) * d)
    for c in range(k):
        d_coef[c] += total(load(totals, (c,)))
    factors = carray(as_pointer(table.factors), (table.n_factors,), PLACED)
    for f in range(1, len(factors)):
        add_effects_backward(table, factors[f], d_eta, d_effects)


@njit(**JIT_INNER)
def rows_of(table, factor):
    """Return where the effects of the rows are (n,), and their varying terms (q, n)."""
    shape = factor.n_terms, table.n_rows
    where = carray(as_pointer(factor.where), (table.n_rows,), np.int64)
    return where, carray(as_pointer(factor.terms), shape, np.float64)


@njit(**JIT_INNER)
def add_effects(table, factor, effects, eta):
    """Add the effects of a factor to the predictors of rows."""
    where, terms = rows_of(table, factor)
    for c in range(len(terms)):
        z = terms[c]
        for i in range(len(where)):
            eta[i] += z[i] * effects[where[i] + c]


@njit(**JIT_INNER)
def add_effects_backward(table, factor, d_eta, d_effects):
    """Add derivatives in the effects of a factor."""
    where, terms = rows_of(table, factor)
    for c in range(len(terms)):
        z = terms[c]
        for i in range(len(where)):
            d_effects[where[i] + c] += z[i] * d_eta[i]


@njit(**JIT_INNER)
def add_scores(table, factor, eta, s):
    """Add the scores of the levels of the first factor, given predictors without it."""
    where, terms = rows_of(table, factor)
    weight = carray(as_pointer(table.weight), (table.n_rows,), np.float64)
    working = carray(as_pointer(table.working), (table.n_rows,), np.float64)
    for c in range(len(terms)):
        z = terms[c]
        for i in range(len(where)):
            s[where[i] + c] += z[i] * (weight[i] * (working[i] - eta[i]))


@njit(**JIT_INNER)
def add_scores_backward(table, factor, d_s, d_eta):
    """Add derivatives in the predictors without the first factor through the scores."""
    where, terms = rows_of(table, factor)
    weight = carray(as_pointer(table.weight), (table.n_rows,), np.float64)
    for c in range(len(terms)):
        z = terms[c]
        for i in range(len(where)):
            d_eta[i] -= weight[i] * (z[i] * d_s[where[i] + c])
