"""The effects of the levels of one factor in coordinates near independent normals, in numba.

A level has effects v = L w, where L L' is the covariance between levels and w ~ Normal(0, I).
If its likelihood were normal with information H and s = H times its maximum, w would have the
precision M = I + L'H L = G G' and the mean M^-1 L's. With this mean and precision

    w = G^-T (z + G^-1 L's),

z would be standard normal. The log density of z is that of w, and -log|G|. Where H is large
these are centred coordinates, where it is small they are not. Nothing is divided by L, so that
standard deviations between levels may be next to nothing.
"""

from __future__ import annotations

import numpy as np

from skhbm._density.small_matrices import factorise, factorise_backward
from skhbm._numba.jit import JIT_INNER, njit

#: Above this the log of a product is taken: another factor cannot overflow.
LARGE = 1e150

__all__ = ["place_levels", "place_levels_backward"]


@njit(**JIT_INNER)
def place_levels(L, H, s, z, G, a, w, v):
    """Fill G, a = G^-1 L's, w and v of all levels; return the log density of z given v.

    H and G are of shape (n_levels, q, q), s, z, a, w and v (n_levels, q), L is (q, q).
    """
    logp = 0.0
    if len(L) == 1:
        L_ = L[0, 0]
        # A product of roots in place of a sum of their logs.
        product = 1.0
        for j in range(len(v)):
            M = 1.0 + L_ * H[j, 0, 0] * L_
            G[j, 0, 0] = np.sqrt(M)
            a[j, 0] = L_ * s[j, 0] / G[j, 0, 0]
            w[j, 0] = (z[j, 0] + a[j, 0]) / G[j, 0, 0]
            v[j, 0] = L_ * w[j, 0]
            logp -= 0.5 * w[j, 0] * w[j, 0]
            product *= M
            if product > LARGE:
                logp -= 0.5 * np.log(product)
                product = 1.0
        return logp - 0.5 * np.log(product)
    for j in range(len(v)):
        logp += place_level(j, L, H, s, z, G, a, w, v)
    return logp


@njit(**JIT_INNER)
def place_levels_backward(L, H, s, G, a, w, d_v, d_z, d_s, d_L):
    """Fill derivatives in z and s of all levels from those in v, and add those in L."""
    q = len(L)
    if q == 1:
        L_, d_L_ = L[0, 0], 0.0
        for j in range(len(d_v)):
            inverse = 1.0 / G[j, 0, 0]
            d_z[j, 0] = (d_v[j, 0] * L_ - w[j, 0]) * inverse
            t = d_z[j, 0] * inverse
            d_s[j, 0] = L_ * t
            d_M = 0.5 * inverse * (-w[j, 0] * d_z[j, 0] - t * a[j, 0] - inverse)
            d_L_ += d_v[j, 0] * w[j, 0] + s[j, 0] * t + 2.0 * H[j, 0, 0] * L_ * d_M
        d_L[0, 0] += d_L_
        return
    work = np.empty((3, q, q))
    for j in range(len(d_v)):
        place_level_backward(j, L, H, s, G, a, w, d_v, d_z, d_s, d_L, work)


@njit(**JIT_INNER)
def place_level(j, L, H, s, z, G, a, w, v):
    """Fill G, a = G^-1 L's, w and v of level j; return the log density of z given v."""
    q = len(L)
    fill_precision(L, H[j], G[j])
    if not factorise(G[j], G[j]):
        return -np.inf
    logp = 0.0
    for i in range(q):
        a[j, i] = 0.0
        for c in range(i, q):
            a[j, i] += L[c, i] * s[j, c]
        for c in range(i):
            a[j, i] -= G[j, i, c] * a[j, c]
        a[j, i] /= G[j, i, i]
        logp -= np.log(G[j, i, i])
    for i in range(q - 1, -1, -1):
        w[j, i] = z[j, i] + a[j, i]
        for c in range(i + 1, q):
            w[j, i] -= G[j, c, i] * w[j, c]
        w[j, i] /= G[j, i, i]
        logp -= 0.5 * w[j, i] * w[j, i]
    for i in range(q):
        v[j, i] = 0.0
        for c in range(i + 1):
            v[j, i] += L[i, c] * w[j, c]
    return logp


@njit(**JIT_INNER)
def fill_precision(L, H, M):
    """Fill M = I + L'H L."""
    q = len(L)
    for i in range(q):
        for j in range(q):
            M[i, j] = 1.0 if i == j else 0.0
            for c in range(i, q):
                for d in range(j, q):
                    M[i, j] += L[c, i] * H[c, d] * L[d, j]


@njit(**JIT_INNER)
def place_level_backward(j, L, H, s, G, a, w, d_v, d_z, d_s, d_L, work):
    """Fill derivatives in z and s of level j from those in v, add those in L.

    Of shape (3, q, q) are arrays to work in. `d_z` and `d_s` are of shape (n_levels, q).
    """
    q = len(L)
    d_G, d_M, t = work[0], work[1], work[2, 0]
    for i in range(q):
        # The derivative in b = z + a, of w = G^-T b.
        d_z[j, i] = -w[j, i]
        for c in range(i, q):
            d_z[j, i] += L[c, i] * d_v[j, c]
        for c in range(i):
            d_z[j, i] -= G[j, i, c] * d_z[j, c]
        d_z[j, i] /= G[j, i, i]
    for i in range(q - 1, -1, -1):
        # The derivative in t = L's, of a = G^-1 t.
        t[i] = d_z[j, i]
        for c in range(i + 1, q):
            t[i] -= G[j, c, i] * t[c]
        t[i] /= G[j, i, i]
    for i in range(q):
        for c in range(i + 1):
            d_G[i, c] = -w[j, i] * d_z[j, c] - t[i] * a[j, c]
            d_L[i, c] += d_v[j, i] * w[j, c] + s[j, i] * t[c]
        d_G[i, i] -= 1.0 / G[j, i, i]
        d_s[j, i] = 0.0
        for c in range(i + 1):
            d_s[j, i] += L[i, c] * t[c]
    factorise_backward(G[j], d_G, d_M)
    for i in range(q):
        for c in range(i + 1):
            for k in range(q):
                for l in range(k, q):
                    d_L[i, c] += 2.0 * H[j, i, l] * L[l, k] * d_M[k, c]
