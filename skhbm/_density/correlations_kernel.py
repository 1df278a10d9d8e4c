"""Correlations of the effects of a group from canonical partial ones, and their LKJ prior."""

from __future__ import annotations

import numpy as np

from skhbm._numba.jit import JIT_INNER, njit

__all__ = ["corr_cholesky", "corr_gradient"]


@njit(**JIT_INNER)
def corr_cholesky(z, q, C, corr):
    """Fill C with the Cholesky factor of the correlations with partials tanh(z), and corr.

    An empty z is independence.
    """
    at = 0
    for i in range(q):
        rest = 1.0
        if len(z) > 0:
            for j in range(i):
                C[i, j] = rest * np.tanh(z[at + j])
                rest /= np.cosh(z[at + j])
        C[i, i] = rest
        if len(z) > 0:
            for j in range(i):
                corr[at + j] = 0.0
                for c in range(j + 1):
                    corr[at + j] += C[i, c] * C[j, c]
            at += i


@njit(**JIT_INNER)
def corr_gradient(z, q, eta, dC, grad):
    """Pull a gradient in C back to z, add that of the LKJ prior, return its log density.

    The partial of i and j given the first j variables has density (1 - w^2)^(b - 1),
    b = eta + (q - 2 - j) / 2 (Lewandowski, Kurowicka & Joe 2009, section 2.3); with the
    Jacobian of tanh, (1 - w^2)^b.
    """
    logp = 0.0
    at = 0
    for i in range(q):
        rest = np.ones(i + 1)
        for j in range(i):
            rest[j + 1] = rest[j] / np.cosh(z[at + j])
        d_rest = dC[i, i]
        for j in range(i - 1, -1, -1):
            w = np.tanh(z[at + j])
            sech = 1.0 / np.cosh(z[at + j])
            b = eta + 0.5 * (q - 2 - j)
            logp += 2.0 * b * np.log(sech)
            dw = dC[i, j] * rest[j] * sech * sech - d_rest * rest[j] * w * sech
            grad[at + j] = dw - 2.0 * b * w
            d_rest = dC[i, j] * w + d_rest * sech
        at += i
    return logp
