"""Entries of the inverse of the factorisation of several factors, where levels occur together.

With S = L L' of `skhbm._likelihood.blocked_kernels` they are all entries of S^-1 for dense
columns of L, and those on the pattern of L for sparse ones: derivation (12).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skhbm._likelihood.blocked_kernels import first_dense
from skhbm._numba.jit import JIT, JIT_INNER, njit
from skhbm._numba.lapack import turn_triangle

if TYPE_CHECKING:
    from skhbm._types import Float

__all__ = [
    "Inverse",
    "inverse_entry",
    "invert",
    "level_covariances",
    "level_spreads",
    "new_inverse",
]


class Inverse(NamedTuple):
    """Entries of S^-1: all that belong to dense columns, and those on the pattern of L.

    Attributes
    ----------
    v : (n_below,), diagonal : (n_head,), of the sparse columns
    V : (R - n_head, R - n_head), lower triangle
    """

    v: Float
    diagonal: Float
    V: Float


@njit(**JIT)
def new_inverse(blocks):
    """Return room for an inverse."""
    n_head, R = len(blocks.column_start) - 1, len(blocks.head)
    return Inverse(
        np.empty(len(blocks.column_row)), np.empty(n_head), np.empty((R - n_head, R - n_head))
    )


@njit(**JIT)
def invert(blocks, addresses, factor, inverse):
    """Fill the entries of S^-1 on the pattern of L (Takahashi, Fagan & Chin 1973)."""
    n_head, R = len(factor.diagonal), len(factor.H)
    V, v, x, start, row = inverse.V, inverse.v, factor.x, blocks.column_start, blocks.column_row
    if len(V) > 0:
        V[:] = factor.L
        turn_triangle(addresses.dpotri, V)
    w, t = np.zeros(R), np.zeros(R)
    for j in range(n_head - 1, -1, -1):
        first, last = start[j], start[j + 1]
        for p in range(first, last):
            w[row[p]] = x[p]
            t[row[p]] = 0.0
        for p in range(first, last):
            r = row[p]
            if r >= n_head:
                t[r] += V[r - n_head, r - n_head] * x[p]
                for s in range(first, p):
                    if row[s] >= n_head:
                        u = V[r - n_head, row[s] - n_head]
                        t[r] += u * x[s]
                        t[row[s]] += u * x[p]
                continue
            t[r] += inverse.diagonal[r] * x[p]
            for s in range(start[r], start[r + 1]):
                i = row[s]
                if w[i] != 0.0:
                    t[r] += v[s] * w[i]
                    t[i] += v[s] * x[p]
        total = 0.0
        for p in range(first, last):
            v[p] = -t[row[p]] / factor.diagonal[j]
            total += v[p] * x[p]
            w[row[p]] = 0.0
        inverse.diagonal[j] = (1.0 / factor.diagonal[j] - total) / factor.diagonal[j]


@njit(**JIT)
def level_spreads(blocks, factor, inverse, spreads):
    """Fill spreads (J, q, q) with Y_i S^-1 Y_i' of each level of the first factor."""
    J, q, _ = spreads.shape
    n_head, R = len(factor.diagonal), len(factor.H)
    Y, V = factor.Y, inverse.V
    for i in range(J):
        W = spreads[i]
        W[:] = 0.0
        first, last = first_dense(blocks, i, n_head), blocks.start[i + 1]
        for p in range(first, last):
            row = V[blocks.column[p] - n_head]
            for e in range(first, p + 1):
                u = row[blocks.column[e] - n_head]
                u *= 0.5 if e == p else 1.0
                for a in range(q):
                    for b in range(q):
                        W[a, b] += u * (Y[p, a] * Y[e, b] + Y[e, a] * Y[p, b])
    w = np.zeros(R if n_head > 0 else 0)
    for k in range(n_head):
        add_sparse_column(blocks, factor, inverse, k, w, spreads)


@njit(**JIT)
def level_covariances(blocks, factor, inverse, cov):
    """Fill cov (J, q, q) with F_i^-T (I + Y_i S^-1 Y_i') F_i^-1: derivation (12)."""
    J, q, _ = cov.shape
    level_spreads(blocks, factor, inverse, cov)
    for i in range(J):
        W, F = cov[i], factor.F[i]
        for a in range(q):
            W[a, a] += 1.0
        for c in range(q):
            for a in range(q - 1, -1, -1):
                for b in range(a + 1, q):
                    W[a, c] -= F[b, a] * W[b, c]
                W[a, c] /= F[a, a]
        for a in range(q):
            for c in range(q - 1, -1, -1):
                for b in range(c + 1, q):
                    W[a, c] -= W[a, b] * F[b, c]
                W[a, c] /= F[c, c]


@njit(**JIT_INNER)
def add_sparse_column(blocks, factor, inverse, k, w, cov):
    """Add what column k of S^-1 and its mirror image add to Y_i S^-1 Y_i' of each level."""
    q, Y = cov.shape[1], factor.Y
    first, last = blocks.column_start[k], blocks.column_start[k + 1]
    w[k] = 0.5 * inverse.diagonal[k]
    for p in range(first, last):
        w[blocks.column_row[p]] = inverse.v[p]
    for e in range(blocks.by_column[k], blocks.by_column[k + 1]):
        i, at = blocks.level[e], blocks.entry[e]
        for p in range(at, blocks.start[i + 1]):
            u = w[blocks.column[p]]
            for a in range(q):
                for b in range(q):
                    cov[i, a, b] += u * (Y[p, a] * Y[at, b] + Y[at, a] * Y[p, b])
    w[k] = 0.0
    for p in range(first, last):
        w[blocks.column_row[p]] = 0.0


@njit(**JIT_INNER)
def inverse_entry(blocks, inverse, r, c):
    """Return the entry (r, c), c <= r, of S^-1, which must be on the pattern of L."""
    n_head = len(inverse.diagonal)
    if c >= n_head:
        return inverse.V[r - n_head, c - n_head]
    if r == c:
        return inverse.diagonal[c]
    for p in range(blocks.column_start[c], blocks.column_start[c + 1]):
        if blocks.column_row[p] == r:
            return inverse.v[p]
    return np.nan
