"""Group effects given the other parameters: conditional moments and draws, in numba.

Given the coefficients w, the covariance L L' of the effects and the scale sigma_j,

    M_j = I + L'R_j'R_j L / sigma_j^2 = F F',    P_j = L F^-T,
    Cov[u_j] = P_j P_j',    E[u_j] = P_j P_j' R_j' (E_y - E_x w) / sigma_j^2.

These are formulas (6) and (8) of the derivation in the user guide. The moments are eq. 12 of
Lindley & Smith (1972). They are computed from the Cholesky factor of M_j as in section 5.4 of
Bates et al. (2015), so that nothing cancels as the effects' variance goes to zero. All is in
working units; axes are draws (s), groups (j), terms (q).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from skhbm._numba.jit import JIT, JIT_INNER, njit

if TYPE_CHECKING:
    from skhbm._types import Float


__all__ = [
    "add_outer_product",
    "covariance_roots",
    "effect_draws",
    "mean_covariances",
    "pooling_factors",
    "row_mixture",
]


def covariance_roots(cov: Float) -> Float:
    """Return lower Cholesky factors of covariances (s, q, q) that may be singular."""
    L = np.zeros(cov.shape)
    for i in range(cov.shape[1]):
        for j in range(i + 1):
            t = cov[:, i, j].copy()
            for k in range(j):
                t -= L[:, i, k] * L[:, j, k]
            if i == j:
                L[:, i, i] = np.sqrt(np.maximum(t, 0.0))
            else:
                np.divide(t, L[:, j, j], out=L[:, i, j], where=L[:, j, j] > 0.0)
    return L


@njit(**JIT_INNER)
def add_outer_product(F, x):
    """Change F (q, q), lower triangular, so that F F' has x x' added, by rotations.

    The eigenvalues of I + L'A L / sigma^2 are at least one. If this matrix were formed, the
    smaller eigenvalues would be lost beside the larger ones where a group is fitted all but
    perfectly. x is overwritten.
    """
    q = len(x)
    for a in range(q):
        size = math.hypot(F[a, a], x[a])
        cos, sin = F[a, a] / size, x[a] / size
        for b in range(a, q):
            t = F[b, a]
            F[b, a] = cos * t + sin * x[b]
            x[b] = cos * x[b] - sin * t


@njit(**JIT_INNER)
def scale_of(sigma, s, j):
    """Return the residual scale of group j in draw s from sigma (n_draws, 1 or n_groups)."""
    return sigma[s, 0] if sigma.shape[1] == 1 else sigma[s, j]


@njit(**JIT_INNER)
def alike(sigma, roots, j, k):
    """Tell whether Cov[u_j] and Cov[u_k] are equal: R and the residual scale are."""
    if j == k:
        return True
    q = roots.shape[1]
    for a in range(q):
        for b in range(q):
            if roots[j, a, b] != roots[k, a, b]:
                return False
    return sigma.shape[1] == 1


@njit(**JIT)
def effect_root(L, sigma, roots, P):
    """Fill P (q, q), where P P' = Cov[u_j], from the roots (q, q + m) of the group."""
    q = len(L)
    F = np.eye(q)
    x = np.empty(q)
    for a in range(q):
        for b in range(q):
            x[b] = 0.0
            for c in range(b, q):
                x[b] += roots[a, c] * L[c, b]
            x[b] /= sigma
        add_outer_product(F, x)  # derivation (6)
    # Forward substitution along the columns gives P = L F^-T: derivation (8).
    for i in range(q):
        for b in range(q):
            t = L[i, b]
            for c in range(b):
                t -= P[i, c] * F[b, c]
            P[i, b] = t / F[b, b]


@njit(**JIT_INNER)
def effect_gain(P, sigma, roots, gain):
    """Fill P P' R' / sigma^2 (q, q), by which residuals become the mean of the effects."""
    q = len(P)
    for a in range(q):
        for i in range(q):
            gain[i, a] = 0.0
        for b in range(q):
            t = 0.0
            for c in range(q):
                t += roots[a, c] * P[c, b]
            for i in range(q):
                gain[i, a] += P[i, b] * t / (sigma * sigma)


@njit(**JIT_INNER)
def effect_mean(gain, w, roots, j, u):
    """Fill u (q,) with E[u_j]: derivation (8).

    Positions are passed, and not slices: each of these counts references.
    """
    _, q, width = roots.shape
    for i in range(q):
        u[i] = 0.0
    for a in range(q):
        e = roots[j, a, width - 1]
        for c in range(width - 1 - q):
            e -= roots[j, a, q + c] * w[c]
        for i in range(q):
            u[i] += gain[i, a] * e


@njit(**JIT)
def effect_draws(L, sigma, w, roots, codes, z):
    """Turn standard normals z (s, n, q) into effects of the coded groups, in place.

    A negative code is a group that was not seen: its effects have mean zero and covariance LL'.
    """
    n_draws, n, q = z.shape
    P, gain, u = np.empty((q, q)), np.empty((q, q)), np.empty(q)
    for s in range(n_draws):
        w_of, before = w[s], -1
        for i in range(n):
            j = codes[i]
            if j >= 0:
                scale = scale_of(sigma, s, j)
                if before < 0 or not alike(sigma, roots, before, j):
                    effect_root(L[s], scale, roots[j], P)
                    effect_gain(P, scale, roots[j], gain)
                before = j
                effect_mean(gain, w_of, roots, j, u)
            else:
                before = -1
                P[:] = L[s]
                u[:] = 0.0
            for a in range(q):
                for c in range(q):
                    u[a] += P[a, c] * z[s, i, c]
            for a in range(q):
                z[s, i, a] = u[a]


@njit(**JIT)
def pooling_factors(L, sigma, roots, groups):
    """Return diag(Cov[u_j] Sigma^-1) = 1 - diag(Cov[u_j] A_j) / sigma_j^2 (s, n, q).

    For a varying intercept alone it is 1 / (1 + n_j tau^2 / sigma_j^2).
    """
    n_draws, q, _ = L.shape
    out = np.empty((n_draws, len(groups), q))
    P = np.empty((q, q))
    for k in range(len(groups)):
        j = groups[k]
        for s in range(n_draws):
            scale = scale_of(sigma, s, j)
            effect_root(L[s], scale, roots[j], P)
            for i in range(q):
                said = 0.0
                for a in range(q):
                    rp = 0.0
                    for c in range(q):
                        for b in range(q):
                            rp += roots[j, a, c] * P[c, b] * P[i, b]
                    said += rp * roots[j, a, i]
                out[s, k, i] = min(max(1.0 - said / (scale * scale), 0.0), 1.0)
    return out


@njit(**JIT)
def mean_covariances(L, sigma, roots, codes):
    """Average Cov[u_j] over draws for each code (n, q, q); LL' for a negative one."""
    n_draws, q, _ = L.shape
    out = np.zeros((len(codes), q, q))
    P = np.empty((q, q))
    for i in range(len(codes)):
        j = codes[i]
        for s in range(n_draws):
            if j >= 0:
                effect_root(L[s], scale_of(sigma, s, j), roots[j], P)
            else:
                P[:] = L[s]
            for a in range(q):
                for b in range(q):
                    for c in range(q):
                        out[i, a, b] += P[a, c] * P[b, c] / n_draws
    return out


@njit(**JIT)
def row_mixture(L, sigma, w, roots, fixed, varying, codes, mean, variance):
    """Add the moments of the rows' linear predictors to mean and variance (n_rows, s).

    A negative code is a group that was not seen, as in `effect_draws`. The moments of the
    effects are computed once for rows of a group that follow each other.
    """
    n_draws, q, _ = L.shape
    wT = w.T.copy()
    P, gain, u = np.empty((q, q)), np.empty((q, q)), np.empty(q)
    roots_of, means_of = np.empty((q, q, n_draws)), np.empty((q, n_draws))
    for i in range(len(codes)):
        j = codes[i]
        if i == 0 or codes[i] != codes[i - 1]:
            for s in range(n_draws):
                if j >= 0:
                    scale = scale_of(sigma, s, j)
                    effect_root(L[s], scale, roots[j], P)
                    effect_gain(P, scale, roots[j], gain)
                    effect_mean(gain, w[s], roots, j, u)
                else:
                    P[:] = L[s]
                    u[:] = 0.0
                for c in range(q):
                    means_of[c, s] = u[c]
                    for a in range(q):
                        roots_of[c, a, s] = P[a, c]
        for c in range(len(wT)):
            add_multiple(fixed[i, c], wT[c], mean[i])
        for c in range(q):
            add_multiple(varying[i, c], means_of[c], mean[i])
            add_square(varying[i], roots_of[c], variance[i])


@njit(**JIT_INNER)
def add_multiple(factor, values, out):
    """Add a multiple of one array to another."""
    for s in range(len(out)):
        out[s] += factor * values[s]


@njit(**JIT_INNER)
def add_square(factors, values, out):
    """Add the squares of linear combinations of the rows of values (q, n)."""
    q = len(factors)
    for s in range(len(out)):
        t = 0.0
        for a in range(q):
            t += factors[a] * values[a, s]
        out[s] += t * t
