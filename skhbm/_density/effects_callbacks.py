"""The log density of hyperparameters and effects as a C callback, and their natural values.

The unconstrained vector holds the hyperparameters (`skhbm._density.hyperparameters_kernel`),
the coordinates of the effects (`skhbm._density.effects_kernel`), and after these independent
standard normals, the companions of `skhbm._sampling.nuts`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray

from skhbm._density.effects_kernel import EFFECTS, place_effects, room
from skhbm._density.hyperparameters_kernel import (
    TABLE,
    likelihood_inputs,
    natural_values,
)
from skhbm._numba.jit import c_callback
from skhbm._numba.pointers import as_pointer, call_density
from skhbm._numba.records import fields
from skhbm._priors.prior import SCALAR

__all__ = ["WITH_EFFECTS", "density_with_effects", "expand_with_effects"]

#: What the callbacks read: addresses of the callback of the density of the hyperparameters, of
#: its table, and of the table of the likelihood given effects, and `order` (n_effects,), the
#: positions of the effects in the vector, in the order of elimination. There are no `moments`.
WITH_EFFECTS = fields(
    *("n_hyper", "n_effects", "density", "hyperparameters", "likelihood", "order", "moments")
)


@cache
def density_with_effects() -> Any:
    """Return `_density` as a C callback, compiled once and cached on disk."""
    signature = "int64(uint64, CPointer(double), CPointer(double), CPointer(double), voidptr)"
    return c_callback(signature, _density)


@cache
def expand_with_effects() -> Any:
    """Return `_expand` as a C callback, compiled once and cached on disk."""
    signature = "int64(uint64, uint64, CPointer(double), CPointer(double), voidptr)"
    return c_callback(signature, _expand)


def _density(n_dim, x_, grad_, logp_, table_):
    """Evaluate log density and gradient, in the form that nutpie's `LogpFunc` calls."""
    table = carray(table_, (1,), WITH_EFFECTS)[0]
    d, n_effects = table.n_hyper, table.n_effects
    x, grad, logp = carray(x_, (n_dim,)), carray(grad_, (n_dim,)), carray(logp_, (1,))
    order = carray(as_pointer(table.order), (n_effects,), np.int64)
    z, d_z = np.empty(n_effects), np.zeros(n_effects)
    for i in range(n_effects):
        z[i] = x[d + order[i]]
    # The tables of all chains are the same: what changes goes into copies.
    inner = carray(as_pointer(table.hyperparameters), (1,), TABLE).copy()
    likelihood = carray(as_pointer(table.likelihood), (1,), EFFECTS).copy()
    likelihood[0].z, likelihood[0].d_z = z.ctypes.data, d_z.ctypes.data
    inner[0].likelihood_table = likelihood.ctypes.data
    status = call_density(
        table.density, d, x.ctypes.data, grad.ctypes.data, logp.ctypes.data, inner.ctypes.data
    )
    # Reading the copies keeps them alive: numba frees an array after its last use.
    if inner[0].likelihood_table != likelihood.ctypes.data or likelihood[0].z != z.ctypes.data:
        status = 1
    for i in range(n_effects):
        grad[d + order[i]] = d_z[i]
        if not np.isfinite(d_z[i]):
            status = 1
    for i in range(d + n_effects, n_dim):
        logp[0] -= 0.5 * x[i] * x[i]
        grad[i] = -x[i]
    return status


def _expand(n_dim, n_natural, x_, natural_, table_):
    """Evaluate the natural values, in the form that nutpie's `ExpandFunc` calls.

    These are those of the hyperparameters, and effects in working units. The last value is
    what the companions add to the log density.
    """
    table = carray(table_, (1,), WITH_EFFECTS)[0]
    d, n_effects = table.n_hyper, table.n_effects
    x, natural = carray(x_, (n_dim,)), carray(natural_, (n_natural,))
    hyper = carray(as_pointer(table.hyperparameters), (1,), TABLE)[0]
    scalars, C = np.empty(hyper.n_scalars, SCALAR), np.zeros(hyper.n_entries)
    natural_values(x[:d], hyper, natural[:d], scalars, C)
    inputs = np.empty(hyper.n_entries + hyper.n_within + hyper.n_sampled)
    likelihood_inputs(hyper, natural[:d], scalars, C, inputs)
    order = carray(as_pointer(table.order), (n_effects,), np.int64)
    z, copy = np.empty(n_effects), carray(as_pointer(table.likelihood), (1,), EFFECTS).copy()
    for i in range(n_effects):
        z[i] = x[d + order[i]]
    copy[0].z = z.ctypes.data
    effects, state, roots, eta = room(copy[0])
    logp = place_effects(copy[0], inputs, effects, state, roots, eta)
    for i in range(n_effects):
        natural[d + order[i]] = effects[i]
    last = n_natural - 1
    natural[last] = 0.0 * z[0]
    for i in range(last, n_dim):
        natural[last] -= 0.5 * x[i] * x[i]
    return 0 if np.isfinite(logp) else 1
