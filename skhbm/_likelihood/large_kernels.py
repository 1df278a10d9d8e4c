"""The parts of `skhbm._likelihood.kernels` that cost m^2 or m^3, for many columns, by LAPACK.

Groups are rows here: row (j, a) of a group's whitened E is one of `n_rows` = J q.
"""

from __future__ import annotations

import numpy as np

from skhbm._numba.jit import JIT_INNER, njit
from skhbm._numba.lanes import LANES
from skhbm._numba.lapack import invert_cholesky, multiply

__all__ = ["add_large_crossproduct", "integrate_large", "large_products", "rows_of_lanes"]


@njit(**JIT_INNER)
def rows_of_lanes(Y, m):
    """Return the last m columns of Y (n_blocks, q, q + m, LANES) as rows (n_rows, m)."""
    n_blocks, q, _, _ = Y.shape
    rows = np.empty((n_blocks * LANES * q, m))
    for g in range(n_blocks):
        for a in range(q):
            for c in range(m):
                for l in range(LANES):
                    rows[(g * LANES + l) * q + a, c] = Y[g, a, q + c, l]
    return rows


@njit(**JIT_INNER)
def add_large_crossproduct(dgemm, rows, K):
    """Add the cross-products of the rows to K (m, m)."""
    n_rows, m = rows.shape
    if n_rows == 0:
        return
    transposed = np.ascontiguousarray(rows.T)
    products = np.empty((m, m))
    multiply(dgemm, transposed, rows, False, products)
    for c in range(m):
        for d in range(m):
            K[c, d] += products[c, d]


@njit(**JIT_INNER)
def integrate_large(lapack, K, mean, given, U, F, d_given):
    """Do what `skhbm._likelihood.kernels.integrate` does; `lapack` is a record with addresses.

    The log density is minus infinity where a precision is not positive definite, which only
    numbers that are not finite make it.
    """
    m, k = len(K), len(mean)
    rest = np.full(m - k, -1.0)
    for a in range(m - 1 - k):
        rest[a] = given[a]
    A = U
    for a in range(k):
        for b in range(k):
            A[a, b] = K[a, b]
        A[a, a] += 1.0
        A[a, k] = 0.0
    A[k, k] = 0.0
    for a in range(k):
        A[k, a] = mean[a]
        A[k, k] += mean[a] * mean[a]
        for b in range(m - k):
            A[k, a] += K[a, k + b] * rest[b]
    for a in range(m - k):
        for b in range(m - k):
            A[k, k] += rest[a] * K[k + a, k + b] * rest[b]
    value = invert_cholesky(lapack.dpotrf, lapack.dtrtri, A)
    if not np.isfinite(value):
        U[:] = np.nan
        F[:] = np.nan
        return np.inf
    scale = 1.0 / U[k, k]
    value += 0.5 * scale * scale - np.log(scale)
    for b in range(k + 1):
        U[k, b] *= scale
    HU = np.empty((m, k + 1))
    for c in range(k + 1):
        for a in range(k):
            HU[a, c] = U[c, a]
        for a in range(m - k):
            HU[k + a, c] = rest[a] * U[c, k]
    multiply(lapack.dgemm, HU, HU, True, F)
    for a in range(m - 1 - k):
        d_given[a] = 0.0
        for b in range(m):
            d_given[a] -= K[k + a, b] * HU[b, k]
    return value


@njit(**JIT_INNER)
def large_products(dgemm, rows, F, weight, S):
    """Fill S (n_blocks, q, q, LANES) with Y_j F Y_j' - I, I times the weight."""
    n_blocks, q, _, _ = S.shape
    n_rows, m = rows.shape
    if n_rows == 0:
        return
    YF = np.empty((n_rows, m))
    multiply(dgemm, rows, F, False, YF)
    for g in range(n_blocks):
        for l in range(LANES):
            first = (g * LANES + l) * q
            for a in range(q):
                for b in range(a + 1):
                    x = -weight[g, l] if a == b else 0.0
                    for c in range(m):
                        x += YF[first + a, c] * rows[first + b, c]
                    S[g, a, b, l] = x
                    S[g, b, a, l] = x
