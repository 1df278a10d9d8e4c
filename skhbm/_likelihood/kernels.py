"""The algebra of the marginal likelihood, group by group, in numba.

`skhbm._likelihood.marginal` states the formulas. Groups are processed `LANES` at a time, the
lane being the last axis of every array (`skhbm._numba.lanes`).
"""

from __future__ import annotations

import numpy as np

from skhbm._numba.jit import JIT_INNER, njit
from skhbm._numba.lanes import LANES, at_least, load, root, splat, store, total

__all__ = [
    "add_crossproduct",
    "between_gradient",
    "integrate",
    "products",
    "whiten",
]

#: The logarithm of a product of pivots is taken when the product is larger than this.
LARGE = 1e100


@njit(**JIT_INNER)
def whiten(cov, sigma, roots, response, weight, Y):
    """Fill Y with F_j^-1 [roots_j response_j] / sigma_j; return sum log|B_j| / 2."""
    n_blocks, q, width, _ = Y.shape
    inverse = np.empty((1, LANES))
    pivots = np.ones((1, LANES))
    F = np.empty((q, q, LANES))
    RC = np.empty((q, q, LANES))
    half_logdet = 0.0
    for g in range(n_blocks):
        if g == 0 or len(sigma) > 1:
            for l in range(LANES):
                inverse[0, l] = 1.0 / sigma[min(g * LANES + l, len(sigma) - 1)]
        d = load(inverse, (0,))
        for a in range(q):
            for c in range(width - 1):
                store(Y, (g, a, c), load(roots, (g, a, c)) * d)
            store(Y, (g, a, width - 1), load(response, (g, a)) * d)
            for c in range(q):
                x = splat(0.0)
                for b in range(q):
                    x += load(Y, (g, a, b)) * cov[b, c]
                store(RC, (a, c), x)
        # Each row of the Cholesky factor F of B is followed by the same row of Y, by forward
        # substitution: derivation (4). Rows of R above it are solved already in Y; the roots
        # still have them.
        for a in range(q):
            for b in range(a):
                x = splat(0.0)
                for c in range(q):
                    x += load(RC, (a, c)) * (load(roots, (g, b, c)) * d)
                for c in range(b):
                    x -= load(F, (a, c)) * load(F, (b, c))
                store(F, (a, b), x / load(F, (b, b)))
            x = splat(1.0)
            for c in range(q):
                x += load(RC, (a, c)) * (load(roots, (g, a, c)) * d)
            for c in range(a):
                x -= load(F, (a, c)) * load(F, (a, c))
            # Rounding may take a pivot below one where a group is fitted all but perfectly.
            pivot = root(at_least(x, splat(1.0)))
            store(F, (a, a), pivot)
            store(pivots, (0,), load(pivots, (0,)) * pivot)
            scale = 1.0 / pivot
            for c in range(width):
                x = load(Y, (g, a, c))
                for b in range(a):
                    x -= load(F, (a, b)) * load(Y, (g, b, c))
                store(Y, (g, a, c), x * scale)
        half_logdet += log_product(pivots[0], weight, g)
    return half_logdet


@njit(**JIT_INNER)
def log_product(pivots, weight, g):
    """Return the weighted sum of the logs of pivots up to block g, or 0 to take them later.

    Logarithms cost more than all else. Where each lane is one group they wait until the product
    of the lane's pivots, which are all at least one, is large.
    """
    largest = 0.0
    for l in range(LANES):
        largest = max(largest, pivots[l])
    if g + 1 < len(weight) and largest < LARGE:
        single = 0
        for l in range(LANES):
            single += weight[g, l] == 1.0 and weight[g + 1, l] == 1.0
        if single == LANES:
            return 0.0
    sum_of_logs = 0.0
    for l in range(LANES):
        sum_of_logs += weight[g, l] * np.log(pivots[l])
        pivots[l] = 1.0
    return sum_of_logs


@njit(**JIT_INNER)
def add_crossproduct(Y, K):
    """Add the cross-products of the last m columns of Y to the lower triangle of K (m, m)."""
    n_blocks, q, _, _ = Y.shape
    m = len(K)
    acc = np.zeros((m, m, LANES))
    for g in range(n_blocks):
        for a in range(q):
            for c in range(m):
                y = load(Y, (g, a, q + c))
                for d in range(c + 1):
                    store(acc, (c, d), load(acc, (c, d)) + y * load(Y, (g, a, q + d)))
    for c in range(m):
        for d in range(c + 1):
            K[c, d] += total(load(acc, (c, d)))
            K[d, c] = K[c, d]


@njit(**JIT_INNER)
def integrate(K, mean, given, U, F, d_given):
    """Integrate g ~ Normal(-mean, I) out of exp(-v'Kv/2), v = (g, given, -1): derivation (9).

    Fill U (k + 1, k + 1), whose leading rows are the inverse of the Cholesky factor of the
    precision of g and whose last row is (mean of g, 1); the adjoint F (m, m) with
    d log density / dK = -F/2; and the derivative in given. Return minus the log density: half
    the residual sum of squares, penalty included, plus half the log determinant.
    """
    m, k = len(K), len(mean)
    # v = H (g, 1), where H has the identity and, below it, the column rest = (given, -1).
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
def products(F, weight, Y, S):
    """Fill S (n_blocks, q, q, LANES) with Y_j F Y_j' - I, I times the weight."""
    n_blocks, q, _, _ = Y.shape
    m = len(F)
    half = np.empty((q, m, LANES))
    for g in range(n_blocks):
        # Y F Y' is half Y' + Y half' where `half` is Y times the lower triangle of F, with
        # half of its diagonal.
        for a in range(q):
            for c in range(m):
                x = load(Y, (g, a, q + c)) * (0.5 * F[c, c])
                for d in range(c):
                    x += load(Y, (g, a, q + d)) * F[c, d]
                store(half, (a, c), x)
            for b in range(a + 1):
                x = splat(0.0)
                if a == b:
                    x -= load(weight, (g,))
                for c in range(m):
                    x += load(half, (a, c)) * load(Y, (g, b, q + c))
                    x += load(half, (b, c)) * load(Y, (g, a, q + c))
                store(S, (g, a, b), x)
                store(S, (g, b, a), x)


@njit(**JIT_INNER)
def between_gradient(cov, S, weight, Y, d_cov, d_log_sigma):
    """Add the gradients of the log density through the B_j.

    With S_j of `products` and G_j = V_j' S_j V_j:
    d logp / d cov = sum_j G_j / 2 and
    d logp / d log sigma_j = tr(Y_j F Y_j') - tr(G_j cov).
    """
    n_blocks, q, _, _ = Y.shape
    d_scale = np.empty((1, LANES))
    acc = np.zeros((q, q, LANES))
    for g in range(n_blocks):
        of_scale = load(weight, (g,)) * float(q)
        for c in range(q):
            of_scale += load(S, (g, c, c))
            for a in range(q):
                t = splat(0.0)
                for b in range(q):
                    t += load(S, (g, a, b)) * load(Y, (g, b, c))
                for d in range(q):
                    x = load(Y, (g, a, d)) * t
                    store(acc, (c, d), load(acc, (c, d)) + x)
                    of_scale -= x * cov[c, d]
        store(d_scale, (0,), of_scale)
        for l in range(LANES):
            j = 0 if len(d_log_sigma) == 1 else g * LANES + l
            if j < len(d_log_sigma):
                d_log_sigma[j] += d_scale[0, l]
    for c in range(q):
        for d in range(q):
            d_cov[c, d] += 0.5 * total(load(acc, (c, d)))
