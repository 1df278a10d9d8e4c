"""Rows of any combination of groups, given relative scales: moments of z'u, in numba.

With b = F_i^-1 T_0'z_0 for the level i of a row in the first factor, and the sparse vector
c = T_r'z_r - Y_i'b over the coefficients of the rest,

    Var[z'u] = sigma^2 (b'b + c'S^-1 c),    E[z'u] = z'T b_D (-w, 1),    derivation (12),

b_D being M^-1 T'Z'D. The effects of a group that was not seen have no part in these; they add
z'Sigma z.
"""

from __future__ import annotations

import numpy as np

from skhbm._likelihood.blocked_inverse import inverse_entry
from skhbm._numba.jit import JIT, JIT_INNER, njit

__all__ = ["diagonal_blocks", "row_moments", "row_vectors"]


@njit(**JIT)
def row_moments(blocks, factor, inverse, spreads, T, rest, first, others, codes, where, z,
                terms, variance, mean):  # fmt: skip
    """Fill variance (n,) with that of z'u over sigma^2, and mean (n, m) with z'T b_D.

    Parameters
    ----------
    spreads : ndarray of shape (J, q, q)
        Y_i S^-1 Y_i' of each level of the first factor.
    first, others : ndarray of shape (J, q, m), (R, m)
        b_D of the first factor and of the rest.
    codes : ndarray of int of shape (n, n_factors)
        Levels of the rows, in the order of elimination, negative for a group not seen.
    where : ndarray of int of shape (n, n_factors - 1)
        Positions of the first coefficients of their levels among the rest.
    z, terms : ndarray of shape (n, q), (n, sum of widths)
        Varying terms of the first factor, and of the others side by side.
    """
    R, q, m = len(factor.H), len(T), mean.shape[1]
    dense = len(factor.diagonal) == 0
    w, used, mark = np.zeros(R), np.empty(R, np.int64), np.full(R, -1)
    b = np.empty(q)
    for i in range(len(codes)):
        mean[i] = 0.0
        n_used = 0
        total = 0.0
        times_root(T, z[i], b)
        j = codes[i, 0]
        if j >= 0:
            for a in range(q):
                for c in range(m):
                    mean[i, c] += b[a] * first[j, a, c]
            if dense:
                forward(factor.F[j], b)
            else:
                n_used = whiten_level(blocks, factor, j, b, i, w, used, mark, n_used)
            for a in range(q):
                total += b[a] * b[a]
        at = 0
        for g in range(len(blocks.widths)):
            for a in range(blocks.widths[g]):
                t = 0.0
                for d in range(a, blocks.widths[g]):
                    t += rest[g, d, a] * terms[i, at + d]
                if codes[i, 1 + g] < 0:
                    continue
                r = where[i, g] + a
                for c in range(m):
                    mean[i, c] += t * others[r, c]
                n_used = touch(r, i, w, used, mark, n_used)
                w[r] += t
            at += blocks.widths[g]
        if dense:
            total += across(blocks, factor, inverse, spreads, j, b, w, used, n_used)
        else:
            total += quadratic(blocks, factor, inverse, i, w, used, mark, n_used)
        variance[i] = total


@njit(**JIT_INNER)
def across(blocks, factor, inverse, spreads, j, b, w, used, n_used):
    """Return c'S^-1 c for c = w - Y_j'b, with S^-1 as a dense matrix."""
    V, total = inverse.V, 0.0
    for e in range(n_used):
        u = used[e]
        t = 0.5 * V[u, u] * w[u]
        for d in range(e):
            v = used[d]
            t += (V[u, v] if u > v else V[v, u]) * w[v]
        total += 2.0 * w[u] * t
    if j < 0:
        return total
    for a in range(len(b)):
        for d in range(len(b)):
            total += b[a] * spreads[j, a, d] * b[d]
    for p in range(blocks.start[j], blocks.start[j + 1]):
        v = blocks.column[p]
        t = 0.0
        for e in range(n_used):
            u = used[e]
            t += (V[u, v] if u > v else V[v, u]) * w[u]
        for a in range(len(b)):
            total -= 2.0 * t * factor.Y[p, a] * b[a]
    return total


@njit(**JIT)
def row_vectors(blocks, factor, T, rest, codes, where, z, terms, b, c):
    """Fill b (n, q) and c (R, n) of rows; Cov[z'u] is that of b and L^-1 c over sigma^2.

    Groups that were not seen have no part in them.
    """
    n = len(z)
    w, used, mark = np.zeros(len(c)), np.empty(len(c), np.int64), np.full(len(c), -1)
    for i in range(n):
        b[i] = 0.0
        n_used = 0
        if codes[i, 0] >= 0:
            times_root(T, z[i], b[i])
            n_used = whiten_level(blocks, factor, codes[i, 0], b[i], i, w, used, mark, n_used)
        at = 0
        for g in range(len(blocks.widths)):
            for a in range(blocks.widths[g]):
                if codes[i, 1 + g] >= 0:
                    r = where[i, g] + a
                    n_used = touch(r, i, w, used, mark, n_used)
                    for d in range(a, blocks.widths[g]):
                        w[r] += rest[g, d, a] * terms[i, at + d]
            at += blocks.widths[g]
        for e in range(n_used):
            c[used[e], i] = w[used[e]]


@njit(**JIT_INNER)
def times_root(T, z, out):
    """Fill out (q,) with T'z."""
    for a in range(len(T)):
        out[a] = 0.0
        for d in range(a, len(T)):
            out[a] += T[d, a] * z[d]


@njit(**JIT_INNER)
def forward(F, b):
    """Turn b (q,) into F^-1 b, for a lower triangular F."""
    for a in range(len(b)):
        for d in range(a):
            b[a] -= F[a, d] * b[d]
        b[a] /= F[a, a]


@njit(**JIT_INNER)
def touch(r, i, w, used, mark, n_used):
    """Put r on the list of entries of row i, with the value zero, if it is new."""
    if mark[r] == i:
        return n_used
    mark[r] = i
    w[r] = 0.0
    used[n_used] = r
    return n_used + 1


@njit(**JIT_INNER)
def whiten_level(blocks, factor, j, b, i, w, used, mark, n_used):
    """Turn b (q,) into F_j^-1 b, and put -Y_j'b into the vector w of row i."""
    forward(factor.F[j], b)
    for p in range(blocks.start[j], blocks.start[j + 1]):
        r = blocks.column[p]
        n_used = touch(r, i, w, used, mark, n_used)
        for a in range(len(b)):
            w[r] -= factor.Y[p, a] * b[a]
    return n_used


@njit(**JIT_INNER)
def quadratic(blocks, factor, inverse, i, w, used, mark, n_used):
    """Return w'S^-1 w of a sparse vector, which is changed; L has sparse columns.

    These are solved with along the paths of the elimination tree: the parent of a column is
    the first row below its diagonal. For dense columns there are entries of S^-1.
    """
    n_head = len(factor.diagonal)
    for e in range(n_used):
        r = used[e]
        while r < n_head and blocks.column_start[r] < blocks.column_start[r + 1]:
            for p in range(blocks.column_start[r], blocks.column_start[r + 1]):
                n_used = touch(blocks.column_row[p], i, w, used, mark, n_used)
            r = blocks.column_row[blocks.column_start[r]]
    used[:n_used].sort()
    total = 0.0
    first = 0
    while first < n_used and used[first] < n_head:
        j = used[first]
        y = w[j] / factor.diagonal[j]
        total += y * y
        for p in range(blocks.column_start[j], blocks.column_start[j + 1]):
            w[blocks.column_row[p]] -= factor.x[p] * y
        first += 1
    V = inverse.V
    for e in range(first, n_used):
        u = used[e]
        t = 0.5 * V[u - n_head, u - n_head] * w[u]
        for d in range(first, e):
            v = used[d]
            t += (V[u - n_head, v - n_head] if u > v else V[v - n_head, u - n_head]) * w[v]
        total += 2.0 * w[u] * t
    return total


@njit(**JIT)
def diagonal_blocks(blocks, inverse, where, out):
    """Fill out (n_levels, q, q) with the blocks of S^-1 of levels that begin at `where`."""
    q = out.shape[1]
    for k in range(len(where)):
        for a in range(q):
            for b in range(a + 1):
                r, c = where[k] + a, where[k] + b
                out[k, a, b] = inverse_entry(blocks, inverse, r, c)
                out[k, b, a] = out[k, a, b]
