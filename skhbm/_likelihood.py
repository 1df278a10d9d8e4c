"""The marginal likelihood of the hyperparameters, its gradient, in numba.

Group effects and normally distributed population coefficients are integrated
out. Nothing here knows about priors of scales, PyMC, or rows of data.

The data come as the roots of `skhbm._design`: per group j a q x q matrix R_j with
R_j'R_j = Z_j'Z_j and the q x m matrix E_j = Q_j'[X y], Q_j being an orthonormal
basis of the span of Z_j. What is left of the cross-products of [X y], the within
part W, does not involve the effects. With residuals of scale sigma_j and effects of
covariance `cov`,

    B_j = I + R_j cov R_j' / sigma_j^2 = F_j F_j',
    V_j = F_j^-1 R_j / sigma_j,         Y_j = F_j^-1 E_j / sigma_j,
    K   = sum_j Y_j'Y_j + sum_j W_j / sigma_j^2,

    log p(y | w) = -sum_j n_j log sigma_j - sum_j log|B_j| / 2 - v'K v / 2,  v = (w, -1).

Groups are processed `LANES` at a time, the lane being the last axis of every array,
so that the compiler turns each innermost loop into vector instructions. Their
results do not depend on the instruction set: no sum is reordered (`fastmath` is off).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["JIT", "LANES", "from_lanes", "marginal", "to_lanes"]

LANES = 8
#: error_model="numpy": a division without a branch for zero can be vectorised.
JIT: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


def to_lanes(per_group: Any) -> Any:
    """Move the group axis (n_groups, ...) last, in blocks: (n_blocks, ..., LANES).

    Groups that fill up the last block have R = 0 and E = 0, and add nothing.
    """
    n_groups, *shape = per_group.shape
    n_blocks = -(-n_groups // LANES)
    padded = np.zeros((n_blocks * LANES, *shape))
    padded[:n_groups] = per_group
    blocks = padded.reshape(n_blocks, LANES, *shape)
    return np.ascontiguousarray(np.moveaxis(blocks, 1, -1))


def from_lanes(blocks: Any, n_groups: int) -> Any:
    """Undo `to_lanes`: (n_blocks, ..., LANES) to (n_groups, ...)."""
    groups = np.moveaxis(blocks, -1, 1)
    return groups.reshape(-1, *blocks.shape[1:-1])[:n_groups]


@njit(**JIT)
def marginal(cov, sigma, offset, T, R, E, W, counts):
    """Integrate effects and coefficients out; return the log density and gradients.

    Fixed coefficients are w = offset + T g, with g ~ Normal(0, I) integrated out.

    Parameters
    ----------
    cov : (q, q), covariance of the effects
    sigma : (1,) shared or (n_groups,), residual scales
    offset : (m - 1,)
    T : (m - 1, k); k = 0 when every coefficient is given
    R : (n_blocks, q, q, LANES)
    E : (n_blocks, q, m, LANES)
    W : (1, m, m) or (n_groups, m, m)
    counts : (1,) or (n_groups,)

    Returns
    -------
    log density, d/d cov (q, q), d/d sigma, d/d offset
    """
    m = W.shape[1]
    k = T.shape[1]
    V = np.empty(R.shape)
    Y = np.empty(E.shape)
    scale = spread(sigma, R.shape[0])
    logp = -whiten(cov, scale, R, E, V, Y)
    K = np.zeros((m, m))
    add_crossproduct(Y, K)
    for j in range(W.shape[0]):
        logp -= counts[j] * np.log(sigma[j])
        precision = 1.0 / (sigma[j] * sigma[j])
        for a in range(m):
            for b in range(m):
                K[a, b] += W[j, a, b] * precision
    H = affine(offset, T)
    U, rss, half_logdet = integrate(K, H)
    logp -= half_logdet + 0.5 * rss
    # N = U'U collects the adjoint of the small system: d logp / d (H'KH) = -N / 2.
    HU = np.zeros((m, k + 1))
    for a in range(m):
        for c in range(k + 1):
            for b in range(c + 1):
                HU[a, c] += H[a, b] * U[c, b]
    F = np.zeros((m, m))
    d_offset = np.zeros(m - 1)
    for a in range(m):
        for b in range(m):
            for c in range(k + 1):
                F[a, b] += HU[a, c] * HU[b, c]
    for a in range(m - 1):
        for b in range(m):
            d_offset[a] -= K[a, b] * HU[b, k]
        d_offset[a] *= U[k, k]
    d_cov = np.zeros(cov.shape)
    d_log_sigma = np.zeros(sigma.shape[0])
    between_gradient(cov, F, V, Y, d_cov, d_log_sigma)
    for j in range(W.shape[0]):
        precision = 1.0 / (sigma[j] * sigma[j])
        d_log_sigma[j] -= counts[j]
        for a in range(m):
            for b in range(m):
                d_log_sigma[j] += F[a, b] * W[j, a, b] * precision
        d_log_sigma[j] /= sigma[j]
    return logp, d_cov, d_log_sigma, d_offset


@njit(**JIT)
def spread(sigma, n_blocks):
    """Return the residual scale of every lane (n_blocks, LANES)."""
    scale = np.ones((n_blocks, LANES))
    for g in range(n_blocks):
        for l in range(LANES):
            j = g * LANES + l
            if sigma.shape[0] == 1:
                scale[g, l] = sigma[0]
            elif j < sigma.shape[0]:
                scale[g, l] = sigma[j]
    return scale


@njit(**JIT)
def whiten(cov, scale, R, E, V, Y):
    """Fill V (as R) and Y (as E) as in the module's formulas; return sum log|B_j| / 2."""
    n_blocks, q, m, _ = E.shape
    t = np.empty(LANES)
    d = np.empty(LANES)
    F = np.empty((q, q, LANES))
    RC = np.empty((q, q, LANES))
    half_logdet = 0.0
    for g in range(n_blocks):
        for l in range(LANES):
            d[l] = 1.0 / scale[g, l]
        for a in range(q):
            for c in range(q):
                for l in range(LANES):
                    V[g, a, c, l] = R[g, a, c, l] * d[l]
            for c in range(m):
                for l in range(LANES):
                    Y[g, a, c, l] = E[g, a, c, l] * d[l]
        for a in range(q):
            for c in range(q):
                for l in range(LANES):
                    t[l] = 0.0
                for b in range(q):
                    for l in range(LANES):
                        t[l] += V[g, a, b, l] * cov[b, c]
                for l in range(LANES):
                    RC[a, c, l] = t[l]
        # Row a of the Cholesky factor F, then row a of V and Y by forward substitution;
        # rows of R that are not solved yet are read from R itself.
        for a in range(q):
            for b in range(a + 1):
                for l in range(LANES):
                    t[l] = 1.0 if a == b else 0.0
                for c in range(q):
                    for l in range(LANES):
                        t[l] += RC[a, c, l] * (R[g, b, c, l] * d[l])
                for c in range(b):
                    for l in range(LANES):
                        t[l] -= F[a, c, l] * F[b, c, l]
                if a == b:
                    for l in range(LANES):
                        F[a, a, l] = np.sqrt(t[l])
                else:
                    for l in range(LANES):
                        F[a, b, l] = t[l] / F[b, b, l]
            for b in range(a):
                for c in range(q):
                    for l in range(LANES):
                        V[g, a, c, l] -= F[a, b, l] * V[g, b, c, l]
                for c in range(m):
                    for l in range(LANES):
                        Y[g, a, c, l] -= F[a, b, l] * Y[g, b, c, l]
            for l in range(LANES):
                half_logdet += np.log(F[a, a, l])
                t[l] = 1.0 / F[a, a, l]
            for c in range(q):
                for l in range(LANES):
                    V[g, a, c, l] *= t[l]
            for c in range(m):
                for l in range(LANES):
                    Y[g, a, c, l] *= t[l]
    return half_logdet


@njit(**JIT)
def add_crossproduct(Y, K):
    """Add sum_j Y_j'Y_j to K (m, m)."""
    n_blocks, q, m, _ = Y.shape
    acc = np.zeros((m, m, LANES))
    for g in range(n_blocks):
        for a in range(q):
            for c in range(m):
                for d in range(c + 1):
                    for l in range(LANES):
                        acc[c, d, l] += Y[g, a, c, l] * Y[g, a, d, l]
    for c in range(m):
        for d in range(c + 1):
            s = 0.0
            for l in range(LANES):
                s += acc[c, d, l]
            K[c, d] += s
            if c != d:
                K[d, c] += s


@njit(**JIT)
def affine(offset, T):
    """Return H (m, k + 1) with (w, -1) = H (g, 1) for w = offset + T g."""
    p, k = T.shape
    H = np.zeros((p + 1, k + 1))
    for a in range(p):
        for b in range(k):
            H[a, b] = T[a, b]
        H[a, k] = offset[a]
    H[p, k] = -1.0
    return H


@njit(**JIT)
def integrate(K, H):
    """Integrate g ~ Normal(0, I) out of exp(-v'Kv/2), v = H (g, 1).

    Returns U (k + 1, k + 1), whose leading rows are the inverse of the Cholesky
    factor of the precision of g and whose last row is (mean of g, 1); the residual
    sum of squares at that mean, penalty included; half the log determinant.
    """
    m, k1 = H.shape
    k = k1 - 1
    KH = np.zeros((m, k1))
    A = np.zeros((k1, k1))
    for a in range(m):
        for c in range(m):
            for b in range(k1):
                KH[a, b] += K[a, c] * H[c, b]
    for a in range(k1):
        for c in range(m):
            for b in range(k1):
                A[a, b] += H[c, a] * KH[c, b]
        if a < k:
            A[a, a] += 1.0
    U = np.zeros((k1, k1))
    half_logdet = invert_lower(A, U)
    # The last pivot is the residual sum of squares, as in MixedModels.jl's `pwrss`.
    rss = 1.0 / (U[k, k] * U[k, k])
    half_logdet += np.log(U[k, k])
    scale = 1.0 / U[k, k]
    for b in range(k1):
        U[k, b] *= scale
    return U, rss, half_logdet


@njit(**JIT)
def invert_lower(A, U):
    """Invert the Cholesky factor of A (overwritten) into U; return half of log|A|."""
    n = A.shape[0]
    half_logdet = 0.0
    for i in range(n):
        for j in range(i + 1):
            s = A[i, j]
            for k in range(j):
                s -= A[i, k] * A[j, k]
            A[i, j] = np.sqrt(s) if i == j else s / A[j, j]
        half_logdet += np.log(A[i, i])
    for j in range(n):
        U[j, j] = 1.0 / A[j, j]
        for i in range(j + 1, n):
            s = 0.0
            for k in range(j, i):
                s -= A[i, k] * U[k, j]
            U[i, j] = s / A[i, i]
    return half_logdet


@njit(**JIT)
def between_gradient(cov, F, V, Y, d_cov, d_log_sigma):
    """Add the gradients through the B_j.

    With S_j = Y_j F Y_j' - I and G_j = V_j' S_j V_j: d logp / d cov = sum_j G_j / 2 and
    d logp / d log sigma_j = tr(Y_j F Y_j') - tr(G_j cov).
    """
    n_blocks, q, m, _ = Y.shape
    t = np.empty(LANES)
    S = np.empty((q, q, LANES))
    YF = np.empty((m, LANES))
    acc = np.zeros((q, q, LANES))
    for g in range(n_blocks):
        d_scale = np.zeros(LANES)
        for a in range(q):
            for c in range(m):
                for l in range(LANES):
                    YF[c, l] = 0.0
                for d in range(m):
                    for l in range(LANES):
                        YF[c, l] += F[c, d] * Y[g, a, d, l]
            for b in range(a + 1):
                for l in range(LANES):
                    t[l] = 0.0
                for c in range(m):
                    for l in range(LANES):
                        t[l] += YF[c, l] * Y[g, b, c, l]
                if a == b:
                    for l in range(LANES):
                        d_scale[l] += t[l]
                        S[a, a, l] = t[l] - 1.0
                else:
                    for l in range(LANES):
                        S[a, b, l] = t[l]
                        S[b, a, l] = t[l]
        for c in range(q):
            for a in range(q):
                for l in range(LANES):
                    t[l] = 0.0
                for b in range(q):
                    for l in range(LANES):
                        t[l] += S[a, b, l] * V[g, b, c, l]
                for d in range(q):
                    for l in range(LANES):
                        x = V[g, a, d, l] * t[l]
                        acc[c, d, l] += x
                        d_scale[l] -= x * cov[c, d]
        for l in range(LANES):
            j = g * LANES + l
            if d_log_sigma.shape[0] == 1:
                d_log_sigma[0] += d_scale[l]
            elif j < d_log_sigma.shape[0]:
                d_log_sigma[j] += d_scale[l]
    for c in range(q):
        for d in range(q):
            for l in range(LANES):
                d_cov[c, d] += 0.5 * acc[c, d, l]
