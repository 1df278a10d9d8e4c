"""The log density of rows and effects given scales and coefficients, as a C callback.

It has the form of a marginal likelihood (`skhbm._likelihood.interface`), so that the density
of the hyperparameters (`skhbm._density.hyperparameters_kernel`) calls it, but integrates
nothing out: the effects come in coordinates z behind the pointers of its table.

Factors are in the order of elimination, the one with the most effects first. Given the
coefficients and the factors after it, the effects of a factor are placed at the mean of a normal
approximation (`skhbm._density.effects_reference`) plus their coordinates. For the first factor
this is a weighted regression of working responses on the varying terms, level by level, for
the others a linear map of what is given. Within each of the other factors coordinates are
rotated, so that they are uncorrelated in the approximation.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray

from skhbm._density.effects_levels_kernel import place_level, place_level_backward
from skhbm._density.small_matrices import factorise, factorise_backward
from skhbm._numba.jit import JIT_INNER, c_callback, njit
from skhbm._numba.pointers import as_pointer, call_marginal
from skhbm._numba.records import fields

__all__ = ["EFFECTS", "MAP", "PLACED", "effects_callback", "place_effects", "room"]

#: A sparse matrix, row by row: addresses of the starts of rows, of columns, and of values.
MAP = ("start", "column", "value")
#: What is read of a factor: its numbers of levels and of terms, where its covariance begins
#: among the inputs, where its effects begin among all effects, and where its G begin; addresses
#: of the information and the scores of its levels; a map of coefficients and effects to
#: scores, and one of rotated coordinates to coordinates.
PLACED = fields(
    *("n_levels", "n_terms", "first_entry", "first", "first_root", "information", "scores"),
    *(f"score_{name}" for name in MAP),
    *(f"turn_{name}" for name in MAP),
)
#: What the callback reads. `where` (n_rows, n_factors) are positions among all effects, `terms`
#: (n_rows, n_terms) the varying terms, factor by factor, `fixed` (n_rows, n_coef) the columns
#: of the coefficients. Rows are in the order of the levels of the first factor. `weight` and
#: `working` (n_rows,) are weights and working responses of the normal approximation. `rows` is
#: the address of a callback of `skhbm._density.family_rows`, `rows_table` of its table. `z` and
#: `d_z` are the addresses of coordinates, and of where their derivatives go.
EFFECTS = fields(
    *("n_rows", "n_factors", "n_terms", "n_coef", "n_dispersion", "n_entries", "n_effects"),
    *("n_roots", "factors", "where", "terms", "fixed", "weight", "working"),
    *("rows", "rows_table", "z", "d_z"),
)


@cache
def effects_callback() -> Any:
    """Return `_effects` as a C callback, compiled once and cached on disk."""
    return c_callback("void(int64, int64, int64, int64)", _effects)


def _effects(table_, inputs_, outputs_, with_gradient):
    """Evaluate the log density, in the form of the callbacks of marginal likelihoods."""
    table = carray(as_pointer(table_), (1,), EFFECTS)[0]
    n, n_entries, k = table.n_rows, table.n_entries, table.n_coef
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
        backward(table, inputs, outputs[1:], of_rows[1 : 1 + n], effects, state, roots)


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
        np.empty(table.n_rows + table.n_dispersion),
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
            add_scores(table, eta, state[0])
            turned[some] = z[some]
        else:
            start, column, value = score_map(factor)
            apply_map(start, column, value, coef, effects, state[0, some])
            turned[some] = 0.0
            start, column, value = turn_map(factor)
            apply_map(start, column, value, z[some], z[:0], turned[some])
        s, a, w = state[0, some], state[1, some], state[2, some]
        H = carray(as_pointer(factor.information), (J, q, q), np.float64)
        G = roots[factor.first_root : factor.first_root + J * q * q].reshape((J, q, q))
        shape = (J, q)
        for j in range(J):
            logp += place_level(
                j, L, H, s.reshape(shape), turned[some].reshape(shape), G,
                a.reshape(shape), w.reshape(shape), effects[some].reshape(shape),
            )  # fmt: skip
    add_first(table, effects, eta)
    return logp


@njit(**JIT_INNER)
def backward(table, inputs, d_inputs, d_eta, effects, state, roots):
    """Fill derivatives in z and in the inputs from those in the predictors."""
    factors = carray(as_pointer(table.factors), (table.n_factors,), PLACED)
    d_z = carray(as_pointer(table.d_z), (table.n_effects,), np.float64)
    d_coef = d_inputs[table.n_entries + table.n_dispersion :]
    d_effects, d_s = np.zeros(table.n_effects), np.empty(table.n_effects)
    d_turned = np.empty(table.n_effects)
    add_first_backward(table, d_eta, d_effects)
    for f in range(table.n_factors):
        factor = factors[f]
        J, q, first = factor.n_levels, factor.n_terms, factor.first
        some, shape = slice(first, first + J * q), (J, q)
        H = carray(as_pointer(factor.information), (J, q, q), np.float64)
        L, d_L = square(roots, factor.first_entry, q), np.zeros((q, q))
        G = roots[factor.first_root : factor.first_root + J * q * q].reshape((J, q, q))
        s, a, w = state[0, some], state[1, some], state[2, some]
        work = np.empty((3, q, q))
        for j in range(J):
            place_level_backward(
                j, L, H, s.reshape(shape), G, a.reshape(shape), w.reshape(shape),
                d_effects[some].reshape(shape), d_turned[some].reshape(shape),
                d_s[some].reshape(shape), d_L, work,
            )  # fmt: skip
        factorise_backward(L, d_L, square(d_inputs, factor.first_entry, q))
        if f == 0:
            d_z[some] = d_turned[some]
            others_backward(table, d_eta, d_s, d_coef, d_effects)
        else:
            start, column, value = score_map(factor)
            apply_transposed(start, column, value, d_s[some], d_coef, d_effects)
            d_z[some] = 0.0
            start, column, value = turn_map(factor)
            apply_transposed(start, column, value, d_turned[some], d_z[some], d_z[:0])


@njit(**JIT_INNER)
def square(values, first, q):
    """Return a view of a matrix (q, q) in an array."""
    return values[first : first + q * q].reshape((q, q))


@njit(**JIT_INNER)
def score_map(factor):
    """Return the map of coefficients and effects to scores."""
    return as_map(
        factor.n_levels * factor.n_terms,
        factor.score_start,
        factor.score_column,
        factor.score_value,
    )


@njit(**JIT_INNER)
def turn_map(factor):
    """Return the map of rotated coordinates to coordinates."""
    return as_map(
        factor.n_levels * factor.n_terms,
        factor.turn_start,
        factor.turn_column,
        factor.turn_value,
    )


@njit(**JIT_INNER)
def as_map(n, start_, column_, value_):
    """Return starts of rows, columns and values of a sparse matrix of n rows."""
    start = carray(as_pointer(start_), (n + 1,), np.int64)
    column = carray(as_pointer(column_), (start[n],), np.int64)
    value = carray(as_pointer(value_), (start[n],), np.float64)
    return start, column, value


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
def arrays_of_rows(table):
    """Return where, terms and fixed terms of the rows."""
    n, n_factors, k = table.n_rows, table.n_factors, table.n_coef
    where = carray(as_pointer(table.where), (n, n_factors), np.int64)
    terms = carray(as_pointer(table.terms), (n, table.n_terms), np.float64)
    fixed = carray(as_pointer(table.fixed), (n, k), np.float64)
    return where, terms, fixed


@njit(**JIT_INNER)
def predict_others(table, coef, effects, eta):
    """Fill the predictors of rows without the effects of the first factor."""
    factors = carray(as_pointer(table.factors), (table.n_factors,), PLACED)
    where, terms, fixed = arrays_of_rows(table)
    for i in range(table.n_rows):
        total = 0.0
        for c in range(len(coef)):
            total += fixed[i, c] * coef[c]
        at = factors[0].n_terms
        for f in range(1, len(factors)):
            for c in range(factors[f].n_terms):
                total += terms[i, at] * effects[where[i, f] + c]
                at += 1
        eta[i] = total


@njit(**JIT_INNER)
def add_scores(table, eta, s):
    """Add the scores of the levels of the first factor, given predictors without it."""
    factors = carray(as_pointer(table.factors), (table.n_factors,), PLACED)
    where, terms, _ = arrays_of_rows(table)
    weight = carray(as_pointer(table.weight), (table.n_rows,), np.float64)
    working = carray(as_pointer(table.working), (table.n_rows,), np.float64)
    for i in range(table.n_rows):
        scaled = weight[i] * (working[i] - eta[i])
        for c in range(factors[0].n_terms):
            s[where[i, 0] + c] += terms[i, c] * scaled


@njit(**JIT_INNER)
def add_first(table, effects, eta):
    """Add the effects of the first factor to the predictors."""
    factors = carray(as_pointer(table.factors), (table.n_factors,), PLACED)
    where, terms, _ = arrays_of_rows(table)
    for i in range(table.n_rows):
        for c in range(factors[0].n_terms):
            eta[i] += terms[i, c] * effects[where[i, 0] + c]


@njit(**JIT_INNER)
def add_first_backward(table, d_eta, d_effects):
    """Add derivatives in the effects of the first factor."""
    factors = carray(as_pointer(table.factors), (table.n_factors,), PLACED)
    where, terms, _ = arrays_of_rows(table)
    for i in range(table.n_rows):
        for c in range(factors[0].n_terms):
            d_effects[where[i, 0] + c] += terms[i, c] * d_eta[i]


@njit(**JIT_INNER)
def others_backward(table, d_eta, d_s, d_coef, d_effects):
    """Add derivatives in coefficients and effects of the other factors.

    They change the predictors, and through the scores the effects of the first factor.
    """
    factors = carray(as_pointer(table.factors), (table.n_factors,), PLACED)
    where, terms, fixed = arrays_of_rows(table)
    weight = carray(as_pointer(table.weight), (table.n_rows,), np.float64)
    for i in range(table.n_rows):
        through = 0.0
        for c in range(factors[0].n_terms):
            through += terms[i, c] * d_s[where[i, 0] + c]
        d = d_eta[i] - weight[i] * through
        for c in range(len(d_coef)):
            d_coef[c] += fixed[i, c] * d
        at = factors[0].n_terms
        for f in range(1, len(factors)):
            for c in range(factors[f].n_terms):
                d_effects[where[i, f] + c] += terms[i, at] * d
                at += 1
