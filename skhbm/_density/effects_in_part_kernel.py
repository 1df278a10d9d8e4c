"""Rows and effects given scales and coefficients, the first factor integrated out, in numba.

The predictors of the rows without the first factor are a column of the quadrature
(`skhbm._likelihood.quadrature_kernels`) whose coefficient is 1.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray

from skhbm._density.effects_callbacks import WITH_EFFECTS, inputs_at
from skhbm._density.effects_kernel import EFFECTS, PLACED, place_effects, room
from skhbm._density.hyperparameters_kernel import TABLE, natural_values
from skhbm._likelihood.quadrature_kernels import TABLE as QUADRATURE
from skhbm._likelihood.quadrature_visits import VISIT, VISITING
from skhbm._numba.jit import JIT, JIT_INNER, c_callback, njit
from skhbm._numba.pointers import as_pointer, call_marginal
from skhbm._priors.prior import SCALAR

__all__ = ["copy_callback", "draw_first", "in_part_callback"]


@cache
def in_part_callback() -> Any:
    """Return `_in_part` as a C callback, compiled once and cached on disk."""
    return c_callback("void(int64, int64, int64, int64)", _in_part)


@cache
def copy_callback() -> Any:
    """Return `_copy` as a C callback, compiled once and cached on disk."""
    signature = "int64(uint64, uint64, CPointer(double), CPointer(double), voidptr)"
    return c_callback(signature, _copy)


def _in_part(table_, inputs_, outputs_, with_gradient):  # noqa: ARG001
    """Evaluate the log density, without its gradient, as callbacks of likelihoods do."""
    table = carray(as_pointer(table_), (1,), EFFECTS)[0]
    n_inputs = table.n_entries + table.n_dispersion + table.n_coef
    inputs = carray(as_pointer(inputs_), (n_inputs,), np.float64)
    outputs = carray(as_pointer(outputs_), (1 + n_inputs,), np.float64)
    outputs[:] = 0.0
    integral = np.zeros(1 + n_inputs)
    logp = integrate_first(table, inputs, np.empty(table.n_effects), integral.ctypes.data, 0)
    outputs[0] = logp + integral[0]


def _copy(n_dim, n_natural, x_, natural_, table_):
    """Evaluate natural hyperparameters, and copy effects, which are natural values already."""
    table = carray(table_, (1,), WITH_EFFECTS)[0]
    d = table.n_hyper
    x, natural = carray(x_, (n_dim,)), carray(natural_, (n_natural,))
    hyper = carray(as_pointer(table.hyperparameters), (1,), TABLE)[0]
    scalars, C = np.empty(hyper.n_scalars, SCALAR), np.zeros(hyper.n_entries)
    natural_values(x[:d], hyper, natural[:d], scalars, C)
    natural[d:n_dim] = x[d:]
    natural[n_dim] = 0.0
    return 0


@njit(**JIT_INNER)
def integrate_first(table, inputs, effects, outputs_, asked):
    """Have the quadrature do what is asked; return the log density of z given other effects.

    The effects of the other factors are filled in.
    """
    _, state, roots, eta = room(table)
    logp = place_effects(table, inputs, effects, state, roots, eta, False)
    if not np.isfinite(logp):
        return -np.inf
    places = carray(as_pointer(table.places), (table.n_rows,), np.int64)
    column = np.zeros(table.n_places)
    for i in range(table.n_rows):
        column[places[i]] = eta[i]
    quadrature = carray(as_pointer(table.quadrature_table), (1,), QUADRATURE).copy()
    quadrature[0].fixed, quadrature[0].n_fixed = column.ctypes.data, 1
    first = carray(as_pointer(table.factors), (table.n_factors,), PLACED)[0]
    n_cov, m = first.n_terms * first.n_terms, table.n_dispersion
    of_first = np.ones(n_cov + m + 1)
    of_first[:n_cov] = inputs[first.first_entry : first.first_entry + n_cov]
    of_first[n_cov : n_cov + m] = inputs[table.n_entries : table.n_entries + m]
    call_marginal(
        table.quadrature, quadrature.ctypes.data, of_first.ctypes.data, outputs_, asked
    )
    # Reading the arrays keeps them alive: numba frees an array after its last use.
    alive = quadrature[0].fixed == column.ctypes.data and of_first[n_cov + m] == 1.0
    return logp if alive else np.nan


@njit(**JIT)
def draw_first(tables, visits, x, natural, numbers, answers):
    """Fill the effects of all factors at points x (n, n_dim) with coordinates of the others.

    `natural` (n, n_dim) is filled with natural hyperparameters, and effects in the order of
    elimination. Those of the first factor are drawn: `numbers` (n, J, q) are uniform, and
    `answers` (n, J, q) become effects.
    """
    table = tables[0]
    copy, visit = carray(as_pointer(table.likelihood), (1,), EFFECTS).copy(), visits.copy()
    d, n_first = table.n_hyper, numbers[0].size
    for i in range(len(x)):
        inputs, z = inputs_at(table, x[i], natural[i])
        copy[0].z = z.ctypes.data
        visit[0].answers, visit[0].numbers = answers[i].ctypes.data, numbers[i].ctypes.data
        integrate_first(copy[0], inputs, natural[i, d:], visit.ctypes.data, VISITING)
        natural[i, d : d + n_first] = answers[i].ravel()
        natural[i, d] += 0.0 * z[0] * visit[0].n_answers
