"""The gradient of the marginal likelihood of several factors, from the factor of its value.

By Fisher's identity the derivative of a log density, all effects integrated out, is the
posterior mean of the derivative given the effects. With C = M^-1, b = C T'Z'D and
-F / 2 the derivative in K, that in the relative covariance of a factor is

    -1/2 T^-T (sum_k (I - C_kk) - sum_k b_k F b_k') T^-1,    derivation (12),

with the sums over its levels k, of which the diagonal blocks C_kk (q, q) are needed only.
"""

from __future__ import annotations

import numpy as np

from skhbm._likelihood.blocked_inverse import (
    inverse_entry,
    invert,
    level_covariances,
    new_inverse,
)
from skhbm._likelihood.blocked_kernels import first_solutions, solve
from skhbm._numba.jit import JIT_INNER, njit
from skhbm._numba.lapack import multiply

__all__ = ["relative_gradient", "through_root"]


@njit(**JIT_INNER)
def relative_gradient(blocks, addresses, factor, F, gap, gaps):
    """Fill gap (q, q) of the first factor, gaps (n_others, width, width) of the others.

    They are sum_k (I - C_kk) - sum_k b_k F b_k', F being that for the relative K.
    """
    J, q, m = factor.G.shape
    inverse = new_inverse(blocks)
    invert(blocks, addresses, factor, inverse)
    cov = np.empty((J, q, q))
    level_covariances(blocks, factor, inverse, cov)
    rest, first = factor.H.copy(), factor.G.copy()
    solve(blocks, addresses, factor, rest, True)
    first_solutions(blocks, factor, rest, first)
    weighted = np.empty((J * q, m))
    multiply(addresses.dgemm, first.reshape((J * q, m)), F, False, weighted)
    gap[:] = 0.0
    for i in range(J):
        for a in range(q):
            for b in range(q):
                t = (1.0 if a == b else 0.0) - cov[i, a, b]
                for c in range(m):
                    t -= weighted[i * q + a, c] * first[i, b, c]
                gap[a, b] += t
    weighted = np.empty(rest.shape)
    multiply(addresses.dgemm, rest, F, False, weighted)
    gaps[:] = 0.0
    for r in range(len(rest)):
        g, a, head = blocks.factor[r], blocks.term[r], blocks.head[r]
        for b in range(a + 1):
            t = (1.0 if a == b else 0.0) - inverse_entry(blocks, inverse, r, head + b)
            for c in range(m):
                t -= weighted[r, c] * rest[head + b, c]
            gaps[g, a, b] += t
    for g in range(len(gaps)):
        for a in range(gaps.shape[1]):
            for b in range(a):
                gaps[g, b, a] = gaps[g, a, b]


@njit(**JIT_INNER)
def through_root(T, gap, out):
    """Fill out (q, q) with -T^-T gap T^-1 / 2; return the trace of gap: derivation (12).

    T is lower triangular.
    """
    q = len(out)
    inverse = np.zeros((q, q))
    trace = 0.0
    for b in range(q):
        trace += gap[b, b]
        for a in range(b, q):
            t = 1.0 if a == b else 0.0
            for c in range(b, a):
                t -= T[a, c] * inverse[c, b]
            inverse[a, b] = t / T[a, a]
    for a in range(q):
        for b in range(q):
            t = 0.0
            for c in range(a, q):
                for d in range(b, q):
                    t += inverse[c, a] * gap[c, d] * inverse[d, b]
            out[a, b] = -0.5 * t
    return trace
