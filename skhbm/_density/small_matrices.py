"""Cholesky factors of small matrices and their derivatives, without calls and new arrays."""

from __future__ import annotations

import numpy as np

from skhbm._numba.jit import JIT_INNER, njit

__all__ = ["factorise", "factorise_backward"]


@njit(**JIT_INNER)
def factorise(A, L):
    """Fill L (q, q) with the Cholesky factor of A (q, q); return whether there is one."""
    q = len(A)
    for i in range(q):
        for j in range(i + 1):
            value = A[i, j]
            for c in range(j):
                value -= L[i, c] * L[j, c]
            if i > j:
                L[i, j] = value / L[j, j]
            elif value > 0.0 and np.isfinite(value):
                L[i, i] = np.sqrt(value)
            else:
                return False
        for j in range(i + 1, q):
            L[i, j] = 0.0
    return True


@njit(**JIT_INNER)
def factorise_backward(L, d_L, d_A):
    """Fill the symmetric derivative d_A (q, q) of what has the derivative d_L in L.

    With P = L' d_L, whose upper triangle is dropped and whose diagonal is halved,
    d_A = (X + X') / 2 for X = L^-T P L^-1 (Murray 2016, https://arxiv.org/abs/1602.07527).
    """
    q = len(L)
    for i in range(q):
        for j in range(q):
            d_A[i, j] = 0.0
            if j <= i:
                for c in range(i, q):
                    d_A[i, j] += L[c, i] * d_L[c, j]
        d_A[i, i] *= 0.5
    for j in range(q):
        for i in range(q - 1, -1, -1):
            for c in range(i + 1, q):
                d_A[i, j] -= L[c, i] * d_A[c, j]
            d_A[i, j] /= L[i, i]
    for i in range(q):
        for j in range(q - 1, -1, -1):
            for c in range(j + 1, q):
                d_A[i, j] -= d_A[i, c] * L[c, j]
            d_A[i, j] /= L[j, j]
    for i in range(q):
        for j in range(i):
            half = 0.5 * (d_A[i, j] + d_A[j, i])
            d_A[i, j], d_A[j, i] = half, half
