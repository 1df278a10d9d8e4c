"""The log posterior density with several grouping factors, as a C callback.

The unconstrained vector begins as in `skhbm._density.one_factor_kernel`, for the factor whose
effects are integrated out: this is the head. Then there are, for each of the other factors, q
standard deviations tau, the canonical partial correlations and, term by term, one coordinate z
per group. The companions are last. `skhbm._density.coordinates` states what coordinates are.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray

from skhbm._density.coordinates_kernel import (
    place,
    place_gradient,
    place_terms,
    place_terms_gradient,
)
from skhbm._density.one_factor_kernel import TABLE as HEAD
from skhbm._density.one_factor_kernel import corr_cholesky, corr_gradient
from skhbm._likelihood.given_effects import TABLE as LIKELIHOOD
from skhbm._likelihood.given_effects import patch, pull_back, shift, workspace
from skhbm._numba.jit import JIT_INNER, c_callback, njit
from skhbm._numba.pointers import as_pointer, call_density, call_prior
from skhbm._numba.records import fields
from skhbm._priors.prior import SCALAR

__all__ = [
    "DENSE",
    "FACTOR",
    "REFLECTION",
    "TABLE",
    "several_factors_density",
    "several_factors_expand",
]

#: Kinds of rotations of the groups of a factor.
DENSE, REFLECTION = 0, 1
#: Positions in `rotation` (q, 2, ...) of what takes effects to coordinates, and back.
TO_COORDINATES, TO_EFFECTS = 0, 1
#: What the callbacks read. `head_density` and `head_expand` are the addresses of the callbacks
#: of the integrated factor, `factors` that of the records of the others. `moments` is as in the
#: table of one factor.
TABLE = fields(
    *("n_head", "n_factors", "most_terms", "head_density", "head_expand", "head_table"),
    *("likelihood_table", "factors", "moments"),
)
#: What the callbacks read of a factor whose effects are sampled; `first` is the position of its
#: effects among all, `eta` the parameter of the LKJ prior.
FACTOR = np.dtype(
    [
        *fields(
            *("n_terms", "n_correlations", "n_groups", "n_dim", "n_parameters", "first"),
            *("rotation_kind", "units", "priors", "parameters", "information", "rotation"),
        ).descr,
        ("eta", np.float64),
    ]
)


@cache
def several_factors_density() -> Any:
    """Return `_several_factors_density` as a C callback, compiled once and cached on disk."""
    signature = "int64(uint64, CPointer(double), CPointer(double), CPointer(double), voidptr)"
    return c_callback(signature, _several_factors_density)


@cache
def several_factors_expand() -> Any:
    """Return `_several_factors_expand` as a C callback, compiled once and cached on disk."""
    signature = "int64(uint64, uint64, CPointer(double), CPointer(double), voidptr)"
    return c_callback(signature, _several_factors_expand)


@njit(**JIT_INNER)
def rotate(kind, V, x, out):
    """Multiply x (K,) by V' for the rows V (K, K), or by I - 2 V V' for a vector V (1, K)."""
    K = len(x)
    if kind == REFLECTION:
        t = 0.0
        for i in range(K):
            t += V[0, i] * x[i]
        for i in range(K):
            out[i] = x[i] - 2.0 * t * V[0, i]
        return
    for i in range(K):
        out[i] = 0.0
    # The compiler can vectorise the sums row by row without reordering them.
    for k in range(K):
        for i in range(K):
            out[i] += V[k, i] * x[k]


@njit(**JIT_INNER)
def effects_prior(u, tau, C, d_u, d_log_tau, dC):
    """Add u_k ~ Normal(0, diag(tau) C C' diag(tau)) of all groups; return its log density.

    With s = C^-1 diag(tau)^-1 u_k and r = C^-T s: d / du_k = -r / tau, d / dC = r s' below the
    diagonal, and -1 / C on it from the determinant.
    """
    K, q = u.shape
    s, r, inverse, diagonal = np.empty(q), np.empty(q), np.empty(q), np.empty(q)
    for a in range(q):
        inverse[a] = 1.0 / tau[a]
        diagonal[a] = 1.0 / C[a, a]
    logp = 0.0
    for k in range(K):
        for a in range(q):
            t = u[k, a] * inverse[a]
            for b in range(a):
                t -= C[a, b] * s[b]
            s[a] = t * diagonal[a]
            logp -= 0.5 * s[a] * s[a]
        for a in range(q - 1, -1, -1):
            t = s[a]
            for b in range(a + 1, q):
                t -= C[b, a] * r[b]
            r[a] = t * diagonal[a]
            scaled = r[a] * inverse[a]
            d_u[k, a] -= scaled
            d_log_tau[a] += scaled * u[k, a]
            for b in range(a + 1):
                dC[a, b] += r[a] * s[b]
    for a in range(q):
        logp -= K * np.log(tau[a] * C[a, a])
        d_log_tau[a] -= K
        dC[a, a] -= K * diagonal[a]
    return logp


@njit(**JIT_INNER)
def rotations(factor):
    """Return the rotations (q, 2, K, K), or the axes (q, 2, 1, K) of reflections."""
    q, K = factor.n_terms, factor.n_groups
    rows = 1 if factor.rotation_kind == REFLECTION else K
    return carray(as_pointer(factor.rotation), (q, 2, rows, K), np.float64)


@njit(**JIT_INNER)
def coordinates(factor, x):
    """Return a view of the coordinates (q, K) in the factor's part x of a vector."""
    q, K = factor.n_terms, factor.n_groups
    first = q + factor.n_correlations
    return x[first : first + q * K].reshape((q, K))


@njit(**JIT_INNER)
def place_factor(factor, x, scalars, C, corr, effects, shares, sizes):
    """Fill what the priors say of tau, the correlations, and effects (K, q) in working units.

    Shares and sizes (q, K) of the coordinates are filled, too. Return the log prior of tau.
    """
    q, r, K = factor.n_terms, factor.n_correlations, factor.n_groups
    units = carray(as_pointer(factor.units), (q,), np.float64)
    priors = carray(as_pointer(factor.priors), (q,), np.int64)
    parameters = carray(as_pointer(factor.parameters), (q, factor.n_parameters), np.float64)
    scalar = carray(as_pointer(factor.information), (2, K), np.float64)
    blocks = carray(as_pointer(factor.information), (K, q, q + 1), np.float64)
    V, z = rotations(factor), coordinates(factor, x)
    rotated, column, L = np.empty((q, K)), np.empty(K), np.empty((q, q))
    logp = 0.0
    for t in range(q):
        call_prior(priors[t], x[t], parameters[t].ctypes.data, scalars[t:].ctypes.data)
        logp += scalars[t].logp
    corr_cholesky(x[q : q + r], q, C, corr)
    if q == 1:
        place(scalar, scalars[0].value / units[0], z[0], shares[0], sizes[0], rotated[0])
    else:
        effect_root(scalars, units, C, L)
        place_terms(blocks, L, z, rotated)
    for t in range(q):
        rotate(factor.rotation_kind, V[t, TO_EFFECTS], rotated[t], column)
        for k in range(K):
            effects[k, t] = column[k]
    return logp


@njit(**JIT_INNER)
def effect_root(scalars, units, C, L):
    """Fill L (q, q) with the Cholesky factor of the covariance of the effects."""
    for a in range(len(L)):
        for b in range(len(L)):
            L[a, b] = scalars[a].value / units[a] * C[a, b]


@njit(**JIT_INNER)
def factor_gradient(factor, x, scalars, C, effects, d_effects, shares, sizes, grad):
    """Return a factor's log prior and Jacobian; fill the gradient in its part of x."""
    q, r, K = factor.n_terms, factor.n_correlations, factor.n_groups
    units = carray(as_pointer(factor.units), (q,), np.float64)
    scalar = carray(as_pointer(factor.information), (2, K), np.float64)
    blocks = carray(as_pointer(factor.information), (K, q, q + 1), np.float64)
    V, z, d_z = rotations(factor), coordinates(factor, x), coordinates(factor, grad)
    tau, d_log_tau, dC = np.empty(q), np.zeros(q), np.zeros((q, q))
    for t in range(q):
        tau[t] = scalars[t].value / units[t]
    logp = effects_prior(effects, tau, C, d_effects, d_log_tau, dC)
    column, rotated = np.empty(K), np.empty((q, K))
    for t in range(q):
        for k in range(K):
            column[k] = d_effects[k, t]
        rotate(factor.rotation_kind, V[t, TO_COORDINATES], column, rotated[t])
    if q == 1:
        jacobian, d = place_gradient(scalar, shares[0], sizes[0], z[0], rotated[0], d_z[0])
        logp += jacobian
        d_log_tau[0] += d
    else:
        L, dL = np.empty((q, q)), np.zeros((q, q))
        effect_root(scalars, units, C, L)
        logp += place_terms_gradient(blocks, L, z, rotated, d_z, dL)
        for a in range(q):
            for b in range(a + 1):
                d_log_tau[a] += dL[a, b] * L[a, b]
                dC[a, b] += dL[a, b] * tau[a]
    for t in range(q):
        grad[t] = scalars[t].gradient + d_log_tau[t] * scalars[t].derivative / scalars[t].value
    if r > 0:
        logp += corr_gradient(x[q : q + r], q, factor.eta, dC, grad[q : q + r])
    return logp


def _several_factors_density(n_dim, x_, grad_, logp_, table_):
    """Evaluate log density and gradient, in the form that nutpie's `LogpFunc` calls."""
    table = carray(table_, (1,), TABLE)[0]
    n_head, n_factors, q_max = table.n_head, table.n_factors, table.most_terms
    likelihood = carray(as_pointer(table.likelihood_table), (1,), LIKELIHOOD)
    factors = carray(as_pointer(table.factors), (n_factors,), FACTOR)
    x, grad, out = carray(x_, (n_dim,)), carray(grad_, (n_dim,)), carray(logp_, (1,))
    n_effects = likelihood[0].n_effects
    effects, d_effects = np.empty(n_effects), np.empty(n_effects)
    shares, sizes = np.empty(n_effects), np.empty(n_effects)
    scalars = np.empty((n_factors, q_max), SCALAR)
    C = np.zeros((n_factors, q_max, q_max))
    logp = 0.0
    at = n_head
    for f in range(n_factors):
        q, K = factors[f].n_terms, factors[f].n_groups
        first, last = factors[f].first, factors[f].first + K * q
        logp += place_factor(
            factors[f],
            x[at:],
            scalars[f],
            C[f],
            np.empty(factors[f].n_correlations),
            effects[first:last].reshape((K, q)),
            shares[first:last].reshape((q, K)),
            sizes[first:last].reshape((q, K)),
        )
        at += factors[f].n_dim
    status = head_density(table, likelihood, x, grad, out, effects, d_effects)
    at = n_head
    for f in range(n_factors):
        q, K = factors[f].n_terms, factors[f].n_groups
        first, last = factors[f].first, factors[f].first + K * q
        logp += factor_gradient(
            factors[f],
            x[at:],
            scalars[f],
            C[f],
            effects[first:last].reshape((K, q)),
            d_effects[first:last].reshape((K, q)),
            shares[first:last].reshape((q, K)),
            sizes[first:last].reshape((q, K)),
            grad[at:],
        )
        at += factors[f].n_dim
    for i in range(at, n_dim):
        logp -= 0.5 * x[i] * x[i]
        grad[i] = -x[i]
    out[0] += logp
    finite = np.isfinite(out[0])
    for i in range(n_head, n_dim):
        finite = finite and np.isfinite(grad[i])
    return status if finite else 1


@njit(**JIT_INNER)
def head_density(table, likelihood, x, grad, out, effects, d_effects):
    """Evaluate the density of the integrated factor given the effects of the others.

    Fill the derivatives in the effects, and return the status of the call.
    """
    form = np.empty(likelihood[0].n_forms)
    response, W, adjoint = workspace(likelihood[0])
    shift(likelihood[0], effects, form, response, W)
    patched = patch(likelihood, response, W, adjoint)
    head = carray(as_pointer(table.head_table), (1,), HEAD).copy()
    head[0].likelihood_table = patched.ctypes.data
    head[0].moments = table.moments
    status = call_density(
        table.head_density, table.n_head, x.ctypes.data, grad.ctypes.data, out.ctypes.data,
        head.ctypes.data,
    )  # fmt: skip
    pull_back(patched, adjoint, form, d_effects)
    # Reading the copy keeps it alive: numba frees an array after its last use.
    return status if head[0].kind >= 0 else 1


def _several_factors_expand(n_dim, n_natural, x_, natural_, table_):
    """Evaluate the natural values, in the form that nutpie's `ExpandFunc` calls.

    The last value is what the companions add to the log density.
    """
    table = carray(table_, (1,), TABLE)[0]
    n_head, n_factors = table.n_head, table.n_factors
    factors = carray(as_pointer(table.factors), (n_factors,), FACTOR)
    x, natural = carray(x_, (n_dim,)), carray(natural_, (n_natural,))
    call_density(
        table.head_expand, n_head, n_head + 1, x.ctypes.data, natural.ctypes.data,
        table.head_table,
    )  # fmt: skip
    at = n_head
    for f in range(n_factors):
        q, K = factors[f].n_terms, factors[f].n_groups
        units = carray(as_pointer(factors[f].units), (q,), np.float64)
        scalars, C = np.empty(q, SCALAR), np.zeros((q, q))
        effects = coordinates(factors[f], natural[at:]).reshape((K, q))
        corr = natural[at + q : at + q + factors[f].n_correlations]
        shares, sizes = np.empty((q, K)), np.empty((q, K))
        place_factor(factors[f], x[at:], scalars, C, corr, effects, shares, sizes)
        for t in range(q):
            natural[at + t] = scalars[t].value
            for k in range(K):
                effects[k, t] *= units[t]
        at += factors[f].n_dim
    natural[at] = 0.0
    for i in range(at, n_dim):
        natural[at] -= 0.5 * x[i] * x[i]
    return 0
