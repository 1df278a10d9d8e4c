"""The log posterior density with several grouping factors, as a C callback.

The head of the unconstrained vector is that of `skhbm._density.one_factor_kernel`, for the factor whose effects
are integrated out. After it come, for each of the other factors, q standard deviations
tau, the canonical partial correlations and, term by term, one coordinate z per group; and last
the companions. `skhbm._density.coordinates` states what coordinates are.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray, cfunc, njit

from skhbm._density.coordinates_kernel import (
    place,
    place_gradient,
    place_terms,
    place_terms_gradient,
)
from skhbm._density.one_factor_kernel import SIZES as HEAD
from skhbm._density.one_factor_kernel import corr_cholesky, corr_gradient
from skhbm._likelihood.given_effects import TABLE, patch, pull_back, shift, workspace
from skhbm._numba.jit import JIT_CALLBACK, JIT_INNER
from skhbm._numba.pointers import as_pointer, call_density, call_prior

__all__ = ["DENSE", "FACTOR", "REFLECTION", "crossed_density", "crossed_expand"]

#: Kinds of rotations of the groups of a factor.
DENSE, REFLECTION = 0, 1
#: Length of the table of a factor: see `SampledFactor.table`.
FACTOR = 11


@cache
def crossed_density() -> Any:
    """Return `_density.several_factors_kernel` as a C callback, compiled once and cached on disk."""
    signature = "int64(uint64, CPointer(double), CPointer(double), CPointer(double), voidptr)"
    return cfunc(signature, **JIT_CALLBACK)(_crossed_density)


@cache
def crossed_expand() -> Any:
    """Return `_crossed_expand` as a C callback, compiled once and cached on disk."""
    signature = "int64(uint64, uint64, CPointer(double), CPointer(double), voidptr)"
    return cfunc(signature, **JIT_CALLBACK)(_crossed_expand)


@njit(**JIT_INNER)
def rotate(kind, V, x, out):
    """Multiply x (K,) by V' for the rows V (K, K), or by I - 2 V V' for a vector V (1, K)."""
    K = len(x)
    if kind == 1:
        t = 0.0
        for i in range(K):
            t += V[0, i] * x[i]
        for i in range(K):
            out[i] = x[i] - 2.0 * t * V[0, i]
        return
    for i in range(K):
        out[i] = 0.0
    # Row by row, which the compiler can vectorise without reordering a sum.
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
def place_factor(factor, x, says, C, corr, effects, shares, sizes):
    """Fill what the priors say of tau, the correlations, and effects (K, q), working units.

    And shares and sizes (q, K) of the coordinates. Return the log prior of tau.
    """
    q, r, K, kind, width = factor[0], factor[1], factor[2], factor[3], factor[4]
    units = carray(as_pointer(factor[6]), (q + 1,), np.float64)
    address = carray(as_pointer(factor[7]), (q,), np.int64)
    scalar = carray(as_pointer(factor[9]), (2, K), np.float64)
    own = carray(as_pointer(factor[9]), (K, q, q + 1), np.float64)
    V = carray(as_pointer(factor[10]), (q, 2, 1 if kind == 1 else K, K), np.float64)
    z = x[q + r : q + r + q * K].reshape((q, K))
    rotated, column, L = np.empty((q, K)), np.empty(K), np.empty((q, q))
    logp = 0.0
    for t in range(q):
        call_prior(address[t], x[t], factor[8] + 8 * width * t, says.ctypes.data + 32 * t)
        logp += says[t, 2]
    corr_cholesky(x[q : q + r], q, C, corr)
    if q == 1:
        place(scalar, says[0, 0] / units[0], z[0], shares[0], sizes[0], rotated[0])
    else:
        effect_root(says, units, C, L)
        place_terms(own, L, z, rotated)
    for t in range(q):
        rotate(kind, V[t, 1], rotated[t], column)
        for k in range(K):
            effects[k, t] = column[k]
    return logp


@njit(**JIT_INNER)
def effect_root(says, units, C, L):
    """Fill L (q, q) with the Cholesky factor of the covariance of the effects."""
    for a in range(len(L)):
        for b in range(len(L)):
            L[a, b] = says[a, 0] / units[a] * C[a, b]


@njit(**JIT_INNER)
def factor_gradient(factor, x, says, C, effects, d_effects, shares, sizes, grad):
    """Add a factor's prior and Jacobian to the density; fill the gradient in its part of x."""
    q, r, K, kind = factor[0], factor[1], factor[2], factor[3]
    units = carray(as_pointer(factor[6]), (q + 1,), np.float64)
    scalar = carray(as_pointer(factor[9]), (2, K), np.float64)
    own = carray(as_pointer(factor[9]), (K, q, q + 1), np.float64)
    V = carray(as_pointer(factor[10]), (q, 2, 1 if kind == 1 else K, K), np.float64)
    z = x[q + r : q + r + q * K].reshape((q, K))
    d_z = grad[q + r : q + r + q * K].reshape((q, K))
    tau, d_log_tau, dC = np.empty(q), np.zeros(q), np.zeros((q, q))
    for t in range(q):
        tau[t] = says[t, 0] / units[t]
    logp = effects_prior(effects, tau, C, d_effects, d_log_tau, dC)
    column, rotated = np.empty(K), np.empty((q, K))
    for t in range(q):
        for k in range(K):
            column[k] = d_effects[k, t]
        rotate(kind, V[t, 0], column, rotated[t])
    if q == 1:
        jacobian, d = place_gradient(scalar, shares[0], sizes[0], z[0], rotated[0], d_z[0])
        logp += jacobian
        d_log_tau[0] += d
    else:
        L, dL = np.empty((q, q)), np.zeros((q, q))
        effect_root(says, units, C, L)
        logp += place_terms_gradient(own, L, z, rotated, d_z, dL)
        for a in range(q):
            for b in range(a + 1):
                d_log_tau[a] += dL[a, b] * L[a, b]
                dC[a, b] += dL[a, b] * tau[a]
    for t in range(q):
        grad[t] = says[t, 3] + d_log_tau[t] * says[t, 1] / says[t, 0]
    if r > 0:
        logp += corr_gradient(x[q : q + r], q, units[q], dC, grad[q : q + r])
    return logp


def _crossed_density(n_dim, x_, grad_, logp_, table_):
    """Evaluate log density and gradient, in the form that nutpie's `LogpFunc` calls."""
    table = carray(table_, (9,), np.int64)
    n_head, n_others, q_max = table[0], table[1], table[2]
    head_table = carray(as_pointer(table[5]), (HEAD,), np.int64).copy()
    crossed = carray(as_pointer(table[6]), (TABLE,), np.int64)
    factors = carray(as_pointer(table[7]), (n_others, FACTOR), np.int64)
    x, grad, out = carray(x_, (n_dim,)), carray(grad_, (n_dim,)), carray(logp_, (1,))
    effects, d_effects = np.empty(crossed[14]), np.empty(crossed[14])
    shares, sizes = np.empty(crossed[14]), np.empty(crossed[14])
    says, C = np.empty((n_others, q_max, 4)), np.zeros((n_others, q_max, q_max))
    logp = 0.0
    at = n_head
    for f in range(n_others):
        q, r, K, first = factors[f, 0], factors[f, 1], factors[f, 2], factors[f, 5]
        last = first + K * q
        logp += place_factor(
            factors[f],
            x[at:],
            says[f],
            C[f],
            np.empty(r),
            effects[first:last].reshape((K, q)),
            shares[first:last].reshape((q, K)),
            sizes[first:last].reshape((q, K)),
        )
        at += q + r + K * q

    form = np.empty(crossed[12])
    target, W, adjoint = workspace(crossed)
    shift(crossed, effects, form, target, W)
    own_table = patch(crossed, target, W, adjoint)
    head_table[16] = own_table.ctypes.data
    head_table[18] = table[8]
    status = call_density(
        table[3], n_head, x.ctypes.data, grad.ctypes.data, out.ctypes.data,
        head_table.ctypes.data,
    )  # fmt: skip
    pull_back(own_table, adjoint, form, d_effects)
    at = n_head
    for f in range(n_others):
        q, r, K, first = factors[f, 0], factors[f, 1], factors[f, 2], factors[f, 5]
        last = first + K * q
        logp += factor_gradient(
            factors[f],
            x[at:],
            says[f],
            C[f],
            effects[first:last].reshape((K, q)),
            d_effects[first:last].reshape((K, q)),
            shares[first:last].reshape((q, K)),
            sizes[first:last].reshape((q, K)),
            grad[at:],
        )
        at += q + r + K * q
    for i in range(at, n_dim):
        logp -= 0.5 * x[i] * x[i]
        grad[i] = -x[i]
    out[0] += logp
    finite = np.isfinite(out[0]) and head_table[0] >= 0
    for i in range(n_head, n_dim):
        finite = finite and np.isfinite(grad[i])
    return status if finite else 1


def _crossed_expand(n_dim, n_natural, x_, natural_, table_):
    """Evaluate the natural values, in the form that nutpie's `ExpandFunc` calls.

    And, as the last of them, what the companions add to the log density.
    """
    table = carray(table_, (9,), np.int64)
    n_head, n_others = table[0], table[1]
    factors = carray(as_pointer(table[7]), (n_others, FACTOR), np.int64)
    x, natural = carray(x_, (n_dim,)), carray(natural_, (n_natural,))
    call_density(table[4], n_head, n_head + 1, x.ctypes.data, natural.ctypes.data, table[5])
    at = n_head
    for f in range(n_others):
        q, r, K = factors[f, 0], factors[f, 1], factors[f, 2]
        units = carray(as_pointer(factors[f, 6]), (q + 1,), np.float64)
        says, C = np.empty((q, 4)), np.zeros((q, q))
        effects = natural[at + q + r : at + q + r + K * q].reshape((K, q))
        corr = natural[at + q : at + q + r]
        spare = np.empty((2, q, K))
        place_factor(factors[f], x[at:], says, C, corr, effects, spare[0], spare[1])
        for t in range(q):
            natural[at + t] = says[t, 0]
            for k in range(K):
                effects[k, t] *= units[t]
        at += q + r + K * q
    natural[at] = 0.0
    for i in range(at, n_dim):
        natural[at] -= 0.5 * x[i] * x[i]
    return 0
