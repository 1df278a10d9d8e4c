"""The algebra of the marginal likelihood, group by group, in numba.

`skhbm._likelihood` states the formulas. Groups are processed `LANES` at a time, the lane being
the last axis of every array, so that the compiler turns each innermost loop into vector
instructions. Results do not depend on the instruction set: no sum is reordered
(`fastmath` is off).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from skhbm._jit import JIT, JIT_CALLBACK, JIT_INNER

__all__ = [
    "JIT",
    "JIT_CALLBACK",
    "JIT_INNER",
    "LANES",
    "add_crossproduct",
    "as_pointer",
    "between_gradient",
    "call_callback",
    "integrate",
    "target_adjoint",
    "whiten",
]

LANES = 8


@intrinsic
def as_pointer(typingctx: Any, address: Any) -> Any:
    """Reinterpret an integer as a void pointer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), codegen


@intrinsic
def call_callback(
    typingctx: Any, address: Any, first: Any, second: Any, third: Any, fourth: Any, fifth: Any
) -> Any:
    """Call a callback of five integers or addresses, as a density or an expansion is."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integer = ir.IntType(64)
        function = builder.inttoptr(
            args[0], ir.FunctionType(integer, [integer] * 5).as_pointer()
        )
        return builder.call(function, args[1:])

    return types.int64(*[types.int64] * 6), codegen


@njit(**JIT_INNER)
def whiten(cov, sigma, roots, target, weight, Y):
    """Fill Y with F_j^-1 [roots_j target_j] / sigma_j; return sum log|B_j| / 2."""
    n_blocks, q, width, _ = Y.shape
    t = np.empty(LANES)
    d = np.empty(LANES)
    F = np.empty((q, q, LANES))
    RC = np.empty((q, q, LANES))
    half_logdet = 0.0
    for g in range(n_blocks):
        for l in range(LANES):
            j = 0 if len(sigma) == 1 else min(g * LANES + l, len(sigma) - 1)
            d[l] = 1.0 / sigma[j]
        for a in range(q):
            for c in range(width - 1):
                for l in range(LANES):
                    Y[g, a, c, l] = roots[g, a, c, l] * d[l]
            for l in range(LANES):
                Y[g, a, width - 1, l] = target[g, a, l] * d[l]
            for c in range(q):
                for l in range(LANES):
                    RC[a, c, l] = 0.0
                for b in range(q):
                    for l in range(LANES):
                        RC[a, c, l] += Y[g, a, b, l] * cov[b, c]
        # Row a of the Cholesky factor F of B, then row a of Y by forward substitution; the
        # rows of R that were solved already are read from the roots.
        for a in range(q):
            for b in range(a + 1):
                for l in range(LANES):
                    t[l] = 1.0 if a == b else 0.0
                for c in range(q):
                    for l in range(LANES):
                        t[l] += RC[a, c, l] * (roots[g, b, c, l] * d[l])
                for c in range(b):
                    for l in range(LANES):
                        t[l] -= F[a, c, l] * F[b, c, l]
                for l in range(LANES):
                    F[a, b, l] = np.sqrt(t[l]) if a == b else t[l] / F[b, b, l]
            for l in range(LANES):
                half_logdet += weight[g, l] * np.log(F[a, a, l])
                t[l] = 1.0 / F[a, a, l]
            for c in range(width):
                for b in range(a):
                    for l in range(LANES):
                        Y[g, a, c, l] -= F[a, b, l] * Y[g, b, c, l]
                for l in range(LANES):
                    Y[g, a, c, l] *= t[l]
    return half_logdet


@njit(**JIT_INNER)
def add_crossproduct(Y, K):
    """Add the cross-products of the last m columns of Y to the lower triangle of K (m, m)."""
    n_blocks, q, _, _ = Y.shape
    m = len(K)
    acc = np.zeros((m, m, LANES))
    for g in range(n_blocks):
        for a in range(q):
            for c in range(m):
                for d in range(c + 1):
                    for l in range(LANES):
                        acc[c, d, l] += Y[g, a, q + c, l] * Y[g, a, q + d, l]
    for c in range(m):
        for d in range(c + 1):
            for l in range(LANES):
                K[c, d] += acc[c, d, l]
            K[d, c] = K[c, d]


@njit(**JIT_INNER)
def integrate(K, mean, given, U, F, d_given):
    """Integrate g ~ Normal(-mean, I) out of exp(-v'Kv/2), v = (g, given, -1).

    Fills U (k + 1, k + 1), whose leading rows are the inverse of the Cholesky factor of the
    precision of g and whose last row is (mean of g, 1); the adjoint F (m, m) with
    d log density / dK = -F/2; the derivative in given. Returns minus the log density:
    half the residual sum of squares, penalty included, plus half the log determinant.
    """
    m, k = len(K), len(mean)
    # v = H (g, 1): the identity beside rest = (given, -1).
    rest = np.full(m - k, -1.0)
    for a in range(m - 1 - k):
        rest[a] = given[a]
    A = np.zeros((k + 1, k + 1))
    for a in range(k):
        for b in range(k):
            A[a, b] = K[a, b]
        A[a, a] += 1.0
        A[k, a] = mean[a]
        A[k, k] += mean[a] * mean[a]
        for b in range(m - k):
            A[k, a] += K[a, k + b] * rest[b]
    for a in range(m - k):
        for b in range(m - k):
            A[k, k] += rest[a] * K[k + a, k + b] * rest[b]
    value = invert_lower(A, U)
    # The last pivot is the residual sum of squares, as in MixedModels.jl's `pwrss`.
    scale = 1.0 / U[k, k]
    value += 0.5 * scale * scale - np.log(scale)
    for b in range(k + 1):
        U[k, b] *= scale
    HU = np.zeros((m, k + 1))
    for c in range(k + 1):
        for a in range(k):
            HU[a, c] = U[c, a]
        for a in range(m - k):
            HU[k + a, c] = rest[a] * U[c, k]
    for a in range(m):
        for b in range(m):
            F[a, b] = 0.0
            for c in range(k + 1):
                F[a, b] += HU[a, c] * HU[b, c]
    for a in range(m - 1 - k):
        d_given[a] = 0.0
        for b in range(m):
            d_given[a] -= K[k + a, b] * HU[b, k]
    return value


@njit(**JIT_INNER)
def invert_lower(A, U):
    """Invert the Cholesky factor of A (overwritten) into U; return half of log|A|."""
    n = len(A)
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
        for i in range(j):
            U[i, j] = 0.0
        for i in range(j + 1, n):
            s = 0.0
            for k in range(j, i):
                s -= A[i, k] * U[k, j]
            U[i, j] = s / A[i, i]
    return half_logdet


@njit(**JIT_INNER)
def between_gradient(cov, F, weight, Y, d_cov, d_log_sigma):
    """Add the gradients through the B_j.

    With S_j = Y_j F Y_j' - I (I times the weight) and G_j = V_j' S_j V_j:
    d logp / d cov = sum_j G_j / 2 and
    d logp / d log sigma_j = tr(Y_j F Y_j') - tr(G_j cov).
    """
    n_blocks, q, _, _ = Y.shape
    m = len(F)
    t = np.empty(LANES)
    half = np.empty((q, m, LANES))
    S = np.empty((q, q, LANES))
    d_scale = np.empty(LANES)
    acc = np.zeros((q, q, LANES))
    for g in range(n_blocks):
        # Y F Y' = half Y' + Y half', half being Y times the lower triangle of F with half
        # of its diagonal.
        for a in range(q):
            for c in range(m):
                for l in range(LANES):
                    half[a, c, l] = 0.5 * F[c, c] * Y[g, a, q + c, l]
                for d in range(c):
                    for l in range(LANES):
                        half[a, c, l] += F[c, d] * Y[g, a, q + d, l]
            for b in range(a + 1):
                for l in range(LANES):
                    S[a, b, l] = -weight[g, l] if a == b else 0.0
                for c in range(m):
                    for l in range(LANES):
                        S[a, b, l] += half[a, c, l] * Y[g, b, q + c, l]
                        S[a, b, l] += half[b, c, l] * Y[g, a, q + c, l]
                for l in range(LANES):
                    S[b, a, l] = S[a, b, l]
        for l in range(LANES):
            d_scale[l] = q * weight[g, l]
        for c in range(q):
            for l in range(LANES):
                d_scale[l] += S[c, c, l]
            for a in range(q):
                for l in range(LANES):
                    t[l] = 0.0
                for b in range(q):
                    for l in range(LANES):
                        t[l] += S[a, b, l] * Y[g, b, c, l]
                for d in range(q):
                    for l in range(LANES):
                        x = Y[g, a, d, l] * t[l]
                        acc[c, d, l] += x
                        d_scale[l] -= x * cov[c, d]
        for l in range(LANES):
            j = 0 if len(d_log_sigma) == 1 else g * LANES + l
            if j < len(d_log_sigma):
                d_log_sigma[j] += d_scale[l]
    for c in range(q):
        for d in range(q):
            for l in range(LANES):
                d_cov[c, d] += 0.5 * acc[c, d, l]


@njit(**JIT_INNER)
def target_adjoint(cov, sigma, F, roots, target, Y, out):
    """Fill out (n_blocks, q, LANES) with the derivatives of log p in E_y.

    They are -B_j^-1 E_j f / sigma_j^2, f being the last column of F, and with
    t = Y_j f = F_j^-1 E_j f / sigma_j it is B_j^-1 E_j f = E_j f - R_j cov V_j' t.
    """
    n_blocks, q, _, _ = Y.shape
    m = len(F)
    t = np.empty((q, LANES))
    d = np.empty(LANES)
    x = np.empty(LANES)
    back = np.empty((q, LANES))
    for g in range(n_blocks):
        for l in range(LANES):
            j = 0 if len(sigma) == 1 else min(g * LANES + l, len(sigma) - 1)
            d[l] = 1.0 / (sigma[j] * sigma[j])
        for a in range(q):
            for l in range(LANES):
                t[a, l] = 0.0
                out[g, a, l] = target[g, a, l] * F[m - 1, m - 1]
            for c in range(m):
                for l in range(LANES):
                    t[a, l] += Y[g, a, q + c, l] * F[c, m - 1]
            for c in range(m - 1):
                for l in range(LANES):
                    out[g, a, l] += roots[g, a, q + c, l] * F[c, m - 1]
        for b in range(q):
            for l in range(LANES):
                x[l] = 0.0
            for a in range(q):
                for l in range(LANES):
                    x[l] += Y[g, a, b, l] * t[a, l]
            for l in range(LANES):
                back[b, l] = x[l]
        for a in range(q):
            for c in range(q):
                for l in range(LANES):
                    x[l] = 0.0
                for b in range(q):
                    for l in range(LANES):
                        x[l] += cov[c, b] * back[b, l]
                for l in range(LANES):
                    out[g, a, l] -= roots[g, a, c, l] * x[l]
            for l in range(LANES):
                out[g, a, l] *= -d[l]
