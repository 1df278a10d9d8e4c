"""The Cholesky factor of all effects of several factors, block by block, in numba.

With T_f the roots of the relative covariances Sigma_f / sigma^2, T all of them along a
diagonal, and u = sigma T v for v ~ N(0, I), in the order of `skhbm._design.blocks`:

    M = I + T'Z'Z T,    V = I + Z T T'Z',    |V| = |M|,
    K = D'V^-1 D = D'D - (T'Z'D)'M^-1 (T'Z'D).

    M_i = I + T_0'A_i T_0 = F_i F_i',    Y_i = F_i^-1 T_0'N_i T_r,    G_i = F_i^-1 T_0'E_i,
    S   = I + T_r'Z_r'Z_r T_r - sum_i Y_i'Y_i = L L',
    H   = L^-1 (T_r'B - sum_i Y_i'G_i),
    K   = D'D - sum_i G_i'G_i - H'H,    log|M| = 2 sum log diag F_i + 2 sum log diag L,

i being the levels of the first factor, N_i the cross-products of its terms and those of the
rest r: derivation (11). S is made row by row and reduced by the sparse columns of L
that reach the row (up-looking). What is right of the sparse columns is dense, and LAPACK's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skhbm._numba.jit import JIT, JIT_INNER, njit
from skhbm._numba.lapack import multiply, solve_triangular, turn_triangle

if TYPE_CHECKING:
    from skhbm._types import Float

__all__ = [
    "Addresses",
    "Factor",
    "factorise",
    "first_dense",
    "first_solutions",
    "new_factor",
    "solve",
]

#: What theta^2 Z'Z may be at most, theta being a standard deviation of effects in units of
#: sigma: three digits are left then of the ones that M adds to it.
LARGEST = 1e13


class Addresses(NamedTuple):
    """Addresses of subroutines of BLAS and LAPACK: `skhbm._numba.lapack`."""

    dgemm: int
    dpotrf: int
    dtrtri: int
    dpotri: int
    dtrtrs: int


class Factor(NamedTuple):
    """The Cholesky factor of M, and what it makes of D.

    Attributes
    ----------
    F : (J, q, q), Y : (n_entries, q), G : (J, q, m), H : (R, m)
    x : (n_below,), diagonal : (n_head,), the sparse columns of L
    L : (R - n_head, R - n_head), the dense columns, lower triangular
    """

    F: Float
    Y: Float
    G: Float
    H: Float
    x: Float
    diagonal: Float
    L: Float


@njit(**JIT)
def new_factor(blocks):
    """Return room for a factor."""
    J, q, m = blocks.E.shape
    n_head, R = len(blocks.column_start) - 1, len(blocks.head)
    return Factor(
        np.zeros((J, q, q)),
        np.empty((len(blocks.column), q)),
        np.empty((J, q, m)),
        np.empty((R, m)),
        np.empty(len(blocks.column_row)),
        np.empty(n_head),
        np.empty((R - n_head, R - n_head)),
    )


@njit(**JIT)
def factorise(blocks, addresses, T, rest, factor, K):
    """Fill the factor and K (m, m); return log|M|, infinite where there is no factor.

    T (q, q) is the relative root of the first factor, `rest` (n_others, width, width) those of
    the others, filled up with zeros.
    """
    if not within_range(T, rest, blocks.largest[0]):
        return np.inf
    half = eliminate(blocks, T, rest, factor)
    reduce_response(blocks, rest, factor)
    make_tail(blocks, rest, factor)
    if not factor_rows(blocks, rest, factor):
        return np.inf
    if len(factor.L) > 0 and turn_triangle(addresses.dpotrf, factor.L) != 0:
        return np.inf
    for j in range(len(factor.diagonal)):
        half += np.log(factor.diagonal[j])
    for j in range(len(factor.L)):
        half += np.log(factor.L[j, j])
    solve(blocks, addresses, factor, factor.H, False)
    subtract_squares(blocks, addresses.dgemm, factor, K)
    if not K[-1, -1] > 0.0:
        return np.inf
    return 2.0 * half  # derivation (11)


@njit(**JIT_INNER)
def within_range(T, rest, largest):
    """Tell whether relative scales are finite and not beyond all rounding."""
    within = root_within_range(T, largest)
    for g in range(len(rest)):
        within = within and root_within_range(rest[g], largest)
    return within


@njit(**JIT_INNER)
def root_within_range(T, largest):
    """Tell whether the variances T T' times the largest sum of squares leave digits of M."""
    for a in range(len(T)):
        variance = 0.0
        for b in range(a + 1):
            variance += T[a, b] * T[a, b]
        if not variance * largest < LARGEST:
            return False
    return True


@njit(**JIT_INNER)
def eliminate(blocks, T, rest, factor):
    """Fill F, Y and G of all levels of the first factor; return sum log diag F: (11)."""
    J, q, m = blocks.E.shape
    F, Y, G = factor.F, factor.Y, factor.G
    W, t = np.empty((q, q)), np.empty(q)
    half = 0.0
    for i in range(J):
        for a in range(q):
            for b in range(q):
                W[a, b] = 0.0
                for c in range(b, q):
                    W[a, b] += blocks.A[i, a, c] * T[c, b]
        for a in range(q):
            for b in range(a + 1):
                s = 1.0 if a == b else 0.0
                for c in range(a, q):
                    s += T[c, a] * W[c, b]
                for c in range(b):
                    s -= F[i, a, c] * F[i, b, c]
                F[i, a, b] = np.sqrt(s) if a == b else s / F[i, b, b]
            half += np.log(F[i, a, a])
        for a in range(q):
            for c in range(m):
                s = 0.0
                for b in range(a, q):
                    s += T[b, a] * blocks.E[i, b, c]
                for b in range(a):
                    s -= F[i, a, b] * G[i, b, c]
                G[i, a, c] = s / F[i, a, a]
        for p in range(blocks.start[i], blocks.start[i + 1]):
            g, b = blocks.factor[blocks.column[p]], blocks.term[blocks.column[p]]
            for a in range(q):
                t[a] = 0.0
                for d in range(b, blocks.widths[g]):
                    t[a] += blocks.value[p - b + d, a] * rest[g, d, b]
            for a in range(q):
                s = 0.0
                for c in range(a, q):
                    s += T[c, a] * t[c]
                for c in range(a):
                    s -= F[i, a, c] * Y[p, c]
                Y[p, a] = s / F[i, a, a]
    return half


@njit(**JIT_INNER)
def reduce_response(blocks, rest, factor):
    """Fill H (R, m) with T_r'B less the sum of Y_i'G_i."""
    H, Y, G = factor.H, factor.Y, factor.G
    R, m = H.shape
    q = Y.shape[1]
    for r in range(R):
        g, b, head = blocks.factor[r], blocks.term[r], blocks.head[r]
        for c in range(m):
            H[r, c] = 0.0
        for d in range(b, blocks.widths[g]):
            for c in range(m):
                H[r, c] += rest[g, d, b] * blocks.B[head + d, c]
    for i in range(len(G)):
        for p in range(blocks.start[i], blocks.start[i + 1]):
            r = blocks.column[p]
            for a in range(q):
                for c in range(m):
                    H[r, c] -= Y[p, a] * G[i, a, c]


@njit(**JIT_INNER)
def gram_entry(blocks, rest, e, row):
    """Return the entry e of T_r'Z_r'Z_r T_r, in a row: derivation (11)."""
    column, pair = blocks.gram_column[e], blocks.gram_pair[e]
    f, a = blocks.factor[row], blocks.term[row]
    g, b = blocks.factor[column], blocks.term[column]
    s = 0.0
    for c in range(a, blocks.widths[f]):
        t = 0.0
        for d in range(b, blocks.widths[g]):
            t += blocks.pairs[pair, c, d] * rest[g, d, b]
        s += rest[f, c, a] * t
    return s


@njit(**JIT_INNER)
def make_tail(blocks, rest, factor):
    """Fill the dense part of S, lower triangle, before sparse columns reduce it: (11)."""
    n_head = len(factor.diagonal)
    S, Y = factor.L, factor.Y
    n, q = len(S), Y.shape[1]
    for r in range(n):
        for c in range(r):
            S[r, c] = 0.0
        S[r, r] = 1.0
        row = n_head + r
        for e in range(blocks.gram_start[row], blocks.gram_start[row + 1]):
            if blocks.gram_column[e] >= n_head:
                S[r, blocks.gram_column[e] - n_head] += gram_entry(blocks, rest, e, row)
    for i in range(len(factor.F)):
        first, last = first_dense(blocks, i, n_head), blocks.start[i + 1]
        for p in range(first, last):
            row = S[blocks.column[p] - n_head]
            for e in range(first, p + 1):
                s = 0.0
                for a in range(q):
                    s += Y[p, a] * Y[e, a]
                row[blocks.column[e] - n_head] -= s


@njit(**JIT_INNER)
def first_dense(blocks, i, n_head):
    """Return the first entry of a level of the first factor that is in a dense column."""
    first = blocks.start[i]
    while first < blocks.start[i + 1] and blocks.column[first] < n_head:
        first += 1
    return first


@njit(**JIT_INNER)
def factor_rows(blocks, rest, factor):
    """Fill the sparse columns of L, and reduce the dense part of S by them, row by row.

    Return whether all pivots are positive.
    """
    n_head, R = len(factor.diagonal), len(factor.H)
    if n_head == 0:
        return True
    x, diagonal, S = factor.x, factor.diagonal, factor.L
    w, end = np.zeros(R), blocks.column_start[:-1].copy()
    for k in range(R):
        fill_row(blocks, rest, factor, k, w)
        pivot = 1.0 + w[k]
        w[k] = 0.0
        for r in range(blocks.row_start[k], blocks.row_start[k + 1]):
            j = blocks.row_column[r]
            if j >= n_head:
                break
            l = w[j] / diagonal[j]
            w[j] = 0.0
            for p in range(blocks.column_start[j], end[j]):
                w[blocks.column_row[p]] -= l * x[p]
            x[end[j]] = l
            end[j] += 1
            pivot -= l * l
        if k < n_head:
            if not pivot > 0.0:
                return False
            diagonal[k] = np.sqrt(pivot)
        else:
            for j in range(n_head, k):
                S[k - n_head, j - n_head] += w[j]
                w[j] = 0.0
            S[k - n_head, k - n_head] += pivot - 1.0
    return True


@njit(**JIT_INNER)
def fill_row(blocks, rest, factor, k, w):
    """Add row k of S - I, up to its diagonal, to w, as far as its columns are sparse."""
    n_head, Y = len(factor.diagonal), factor.Y
    last = min(k, n_head - 1)
    for e in range(blocks.gram_start[k], blocks.gram_start[k + 1]):
        if blocks.gram_column[e] <= last:
            w[blocks.gram_column[e]] += gram_entry(blocks, rest, e, k)
    for e in range(blocks.by_column[k], blocks.by_column[k + 1]):
        i, at = blocks.level[e], blocks.entry[e]
        for p in range(blocks.start[i], blocks.start[i + 1]):
            c = blocks.column[p]
            if c > last:
                break
            for a in range(Y.shape[1]):
                w[c] -= Y[at, a] * Y[p, a]


@njit(**JIT)
def solve(blocks, addresses, factor, B, transposed):
    """Turn B (R, n) into L^-1 B, or into L^-T B if transposed, in place."""
    n_head, n = len(factor.diagonal), B.shape[1]
    if transposed:
        solve_tail(addresses, factor, B, True)
        for j in range(n_head - 1, -1, -1):
            for p in range(blocks.column_start[j], blocks.column_start[j + 1]):
                for c in range(n):
                    B[j, c] -= factor.x[p] * B[blocks.column_row[p], c]
            for c in range(n):
                B[j, c] /= factor.diagonal[j]
        return
    for j in range(n_head):
        for c in range(n):
            B[j, c] /= factor.diagonal[j]
        for p in range(blocks.column_start[j], blocks.column_start[j + 1]):
            for c in range(n):
                B[blocks.column_row[p], c] -= factor.x[p] * B[j, c]
    solve_tail(addresses, factor, B, False)


@njit(**JIT_INNER)
def solve_tail(addresses, factor, B, transposed):
    """Solve with the dense columns of L, in place."""
    n_head, n = len(factor.diagonal), B.shape[1]
    size = len(factor.L)
    if size == 0 or n == 0:
        return
    rows = np.ascontiguousarray(B[n_head:].T)
    solve_triangular(addresses.dtrtrs, factor.L, rows, transposed)
    for r in range(size):
        for c in range(n):
            B[n_head + r, c] = rows[c, r]


@njit(**JIT_INNER)
def subtract_squares(blocks, dgemm, factor, K):
    """Fill K with D'D less the squares of G and H: derivation (11)."""
    J, q, m = factor.G.shape
    K[:] = blocks.C
    products = np.empty((m, m))
    for part in (factor.G.reshape((J * q, m)), factor.H):
        multiply(dgemm, np.ascontiguousarray(part.T), part, False, products)
        for c in range(m):
            for d in range(m):
                K[c, d] -= products[c, d]


@njit(**JIT)
def first_solutions(blocks, factor, solutions, out):
    """Fill out (J, q, n) with F_i^-T (G_i - Y_i b), b (R, n) being `solutions` of the rest.

    On entry `out` has the G_i.
    """
    J, q, n = out.shape
    for i in range(J):
        for p in range(blocks.start[i], blocks.start[i + 1]):
            r = blocks.column[p]
            for a in range(q):
                for c in range(n):
                    out[i, a, c] -= factor.Y[p, a] * solutions[r, c]
        for a in range(q - 1, -1, -1):
            for b in range(a + 1, q):
                for c in range(n):
                    out[i, a, c] -= factor.F[i, b, a] * out[i, b, c]
            for c in range(n):
                out[i, a, c] /= factor.F[i, a, a]
