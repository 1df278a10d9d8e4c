"""The marginal likelihood of the hyperparameters, its gradient, in numba.

Group effects and normally distributed population coefficients are integrated
out. Nothing here knows about priors of scales, PyMC, or rows of data.

The data come as the roots of `skhbm._design`: per group j a q x q matrix R_j with
R_j'R_j = Z_j'Z_j and the q x m matrix E_j = Q_j'[X y], Q_j being an orthonormal
basis of the span of Z_j. What is left of the cross-products of [X y], the within
part W, does not involve the effects. R_j and E_j stand side by side in `roots`. With
residuals of scale sigma_j and effects of covariance `cov`,

    B_j = I + R_j cov R_j' / sigma_j^2 = F_j F_j',
    V_j = F_j^-1 R_j / sigma_j,         Y_j = F_j^-1 E_j / sigma_j,
    K   = sum_j Y_j'Y_j + sum_j W_j / sigma_j^2,

    log p(y | w) = -sum_j n_j log sigma_j - sum_j log|B_j| / 2 - v'K v / 2,  v = (w, -1).

Groups are processed `LANES` at a time, the lane being the last axis of every array,
so that the compiler turns each innermost loop into vector instructions. Their
results do not depend on the instruction set: no sum is reordered (`fastmath` is off).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import carray, cfunc, njit, types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float64]

__all__ = [
    "JIT",
    "LANES",
    "Marginal",
    "as_pointer",
    "make_marginal",
    "marginal_callback",
]

LANES = 8
#: error_model="numpy": a division without a branch for zero can be vectorised.
JIT: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
JIT_CALLBACK: dict[str, Any] = {"cache": True, "error_model": "numpy"}


@intrinsic
def as_pointer(typingctx: Any, address: Any) -> Any:
    """Reinterpret an integer as a void pointer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), codegen


class Marginal(NamedTuple):
    """The marginal likelihood of one design, ready to be called from compiled code.

    Of the m columns of X and y the first k are those of coefficients g ~ Normal(-mean, I),
    which are integrated out, the last is the target, and the others have coefficients that are
    given: w = (g, given).

    Attributes
    ----------
    mean : (k,)
    roots : (n_blocks, q, q + m, LANES), R and E side by side
    weight : (n_blocks, LANES), how many groups each stands for
    W : (1, m, m) or (n_groups, m, m)
    counts : (1,) or (n_groups,)
    """

    mean: Float
    roots: Float
    weight: Float
    W: Float
    counts: Float

    def table(self) -> NDArray[np.int64]:
        """Return sizes and addresses; valid as long as the arrays live."""
        n_blocks, q, _, _ = self.roots.shape
        sizes = [q, self.W.shape[1], len(self.mean), len(self.W), n_blocks]
        return np.array([*sizes, *(array.ctypes.data for array in self)], np.int64)

    def value_and_gradient(
        self, cov: Float, sigma: Float, given: Float
    ) -> tuple[float, Float, Float, Float]:
        """Return the log density and its derivatives in cov (q, q), sigma and given."""
        inputs = np.concatenate([cov.ravel(), sigma, given])
        outputs = np.empty(1 + len(inputs) + (len(self.mean) + 1) ** 2)
        table = self.table()
        marginal_callback().ctypes(*(a.ctypes.data for a in (table, inputs, outputs)), 1)
        gradients = np.split(outputs[1:], np.cumsum([cov.size, len(sigma), len(given)]))
        return float(outputs[0]), gradients[0].reshape(cov.shape), gradients[1], gradients[2]


def make_marginal(
    mean: Float, roots: Float, weight: Float, W: Float, counts: Float
) -> Marginal:
    """Arrange the roots (n_groups, q, q + m) and weights (n_groups,) in lanes."""
    W = np.ascontiguousarray(W)
    return Marginal(mean, _to_lanes(roots), _to_lanes(weight), W, counts)


def _to_lanes(per_group: Float) -> Float:
    """Move the group axis (n_groups, ...) last, in blocks: (n_blocks, ..., LANES).

    The groups that fill up the last block are zero, and add nothing.
    """
    n_groups, *shape = per_group.shape
    n_blocks = -(-n_groups // LANES)
    padded = np.zeros((n_blocks * LANES, *shape))
    padded[:n_groups] = per_group
    blocks = padded.reshape(n_blocks, LANES, *shape)
    return np.ascontiguousarray(np.moveaxis(blocks, 1, -1))


@cache
def marginal_callback() -> Any:
    """Return `_marginal` as a C callback, compiled once and cached on disk.

    Called by address, it is not compiled again into each of its callers.
    """
    return cfunc("void(int64, int64, int64, int64)", **JIT_CALLBACK)(_marginal)


def _marginal(table_, inputs_, outputs_, with_gradient):
    """Integrate effects and coefficients out.

    Inputs: cov (q, q), sigma (1,) or (n_groups,), given (m - 1 - k,), one after another.
    Outputs: the log density; its gradient, in the order of the inputs; U (k + 1, k + 1) of
    `integrate`, of which the conditional mean and covariance of g are made.
    """
    table = carray(as_pointer(table_), (10,), np.int64)
    q, m, k, n_within, n_blocks = table[0], table[1], table[2], table[3], table[4]
    s = m - 1 - k
    mean = carray(as_pointer(table[5]), (k,), np.float64)
    roots = carray(as_pointer(table[6]), (n_blocks, q, q + m, LANES), np.float64)
    weight = carray(as_pointer(table[7]), (n_blocks, LANES), np.float64)
    W = carray(as_pointer(table[8]), (n_within, m, m), np.float64)
    counts = carray(as_pointer(table[9]), (n_within,), np.float64)
    at = 8 * q * q
    cov = carray(as_pointer(inputs_), (q, q), np.float64)
    sigma = carray(as_pointer(inputs_ + at), (n_within,), np.float64)
    given = carray(as_pointer(inputs_ + at + 8 * n_within), (s,), np.float64)
    logp = carray(as_pointer(outputs_), (1,), np.float64)
    d_cov = carray(as_pointer(outputs_ + 8), (q, q), np.float64)
    at += outputs_ + 8
    d_sigma = carray(as_pointer(at), (n_within,), np.float64)
    d_given = carray(as_pointer(at + 8 * n_within), (s,), np.float64)
    U = carray(as_pointer(at + 8 * (n_within + s)), (k + 1, k + 1), np.float64)

    Y = np.empty((n_blocks, q, q + m, LANES))
    K = np.zeros((m, m))
    logp[0] = -whiten(cov, sigma, roots, weight, Y)
    add_crossproduct(Y, K)
    for j in range(n_within):
        logp[0] -= counts[j] * np.log(sigma[j])
        precision = 1.0 / (sigma[j] * sigma[j])
        for a in range(m):
            for b in range(m):
                K[a, b] += W[j, a, b] * precision
    F = np.zeros((m, m))
    logp[0] -= integrate(K, mean, given, U, F, d_given)
    if with_gradient == 0:
        return
    for a in range(q):
        for b in range(q):
            d_cov[a, b] = 0.0
    for j in range(n_within):
        d_sigma[j] = 0.0
    between_gradient(cov, F, weight, Y, d_cov, d_sigma)
    for j in range(n_within):
        precision = 1.0 / (sigma[j] * sigma[j])
        d_sigma[j] -= counts[j]
        for a in range(m):
            for b in range(m):
                d_sigma[j] += F[a, b] * W[j, a, b] * precision
        d_sigma[j] /= sigma[j]


@njit(**JIT)
def whiten(cov, sigma, roots, weight, Y):
    """Fill Y, of the shape of roots, with F_j^-1 roots_j / sigma_j; return sum log|B_j| / 2."""
    n_blocks, q, width, _ = roots.shape
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
            for c in range(width):
                for l in range(LANES):
                    Y[g, a, c, l] = roots[g, a, c, l] * d[l]
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


@njit(**JIT)
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


@njit(**JIT)
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


@njit(**JIT)
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


@njit(**JIT)
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
