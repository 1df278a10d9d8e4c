"""From coordinates that are close to independent standard normals to effects, in numba.

`skhbm._density.coordinates` states the formulas. The functions for one term, in the estimates l
and variances e, are the functions for several terms written out.
"""

from __future__ import annotations

import numpy as np

from skhbm._numba.jit import JIT_INNER, njit

__all__ = ["place", "place_gradient", "place_terms", "place_terms_gradient"]

#: Rows of the information on the effects of one term.
ESTIMATE, VARIANCE = 0, 1


@njit(**JIT_INNER)
def place(information, tau, z, share, size, out):
    """Fill out (K,) with the effects of coordinates z (K,), and share and size (K,).

    The information (2, K) has the estimates l and the variances e; share is a, size sqrt(a e).
    """
    estimate, variance = information[ESTIMATE], information[VARIANCE]
    for i in range(len(z)):
        share[i] = tau * tau / (tau * tau + variance[i])
        size[i] = np.sqrt(share[i] * variance[i])
        out[i] = share[i] * estimate[i] + size[i] * z[i]  # derivation (12)


@njit(**JIT_INNER)
def place_gradient(information, share, size, z, d, grad):
    """Pull derivatives d in the effects back to z.

    Return the log Jacobian and the derivative in log tau, with the one of the Jacobian.
    """
    estimate = information[ESTIMATE]
    logp, d_log_tau, product = 0.0, 0.0, 1.0
    for i in range(len(z)):
        grad[i] = d[i] * size[i]
        through_size = 2.0 * share[i] * estimate[i] + size[i] * z[i]
        d_log_tau += (1.0 - share[i]) * (1.0 + d[i] * through_size)
        # A logarithm of the product of four sizes takes the time of one.
        product *= size[i]
        if i % 4 == 3:
            logp += np.log(product)
            product = 1.0
    return logp + np.log(product), d_log_tau


@njit(**JIT_INNER)
def conditional(information, L, AL, F, P, c):
    """Fill AL, F, P and c of a group with information [A b]: effects are P (c + z).

    A is (q, q) and b (q,): derivation (12), where c is P'b.
    """
    q = len(L)
    for a in range(q):
        for b in range(q):
            AL[a, b] = 0.0
            for k in range(b, q):
                AL[a, b] += information[a, k] * L[k, b]
    for a in range(q):
        for b in range(a + 1):
            t = 1.0 if a == b else 0.0
            for k in range(a, q):
                t += L[k, a] * AL[k, b]
            for k in range(b):
                t -= F[a, k] * F[b, k]
            F[a, b] = np.sqrt(t) if a == b else t / F[b, b]
    for a in range(q):
        for b in range(q):
            t = L[a, b] if b <= a else 0.0
            for k in range(b):
                t -= P[a, k] * F[b, k]
            P[a, b] = t / F[b, b]
    for b in range(q):
        c[b] = 0.0
        for a in range(q):
            c[b] += P[a, b] * information[a, q]


@njit(**JIT_INNER)
def place_terms(information, L, z, out):
    """Fill out (q, K) with the effects of coordinates z (q, K).

    The information is (K, q, q + 1); see `conditional`.
    """
    q, K = z.shape
    AL, F, P = np.empty((q, q)), np.zeros((q, q)), np.zeros((q, q))
    c = np.empty(q)
    for i in range(K):
        conditional(information[i], L, AL, F, P, c)
        for a in range(q):
            out[a, i] = 0.0
            for b in range(q):
                out[a, i] += P[a, b] * (c[b] + z[b, i])  # derivation (12)


@njit(**JIT_INNER)
def place_terms_gradient(information, L, z, d, grad, dL):
    """Pull derivatives d (q, K) in the effects back to z, add those in L; return log Jacobian.

    This is reverse differentiation of `conditional`. The step through its Cholesky factor is
    Murray's (2016, https://arxiv.org/abs/1602.07527, eq. 10).
    """
    q, K = z.shape
    AL, F, P = np.empty((q, q)), np.zeros((q, q)), np.zeros((q, q))
    c, H, dF, S = np.empty(q), np.empty((q, q)), np.empty((q, q)), np.empty((q, q))
    logp = 0.0
    for i in range(K):
        conditional(information[i], L, AL, F, P, c)
        for b in range(q):
            grad[b, i] = 0.0
            for a in range(q):
                grad[b, i] += P[a, b] * d[a, i]
        # H = dP F^-1, where dP = d (c + z)' + b grad'.
        for a in range(q):
            for b in range(q - 1, -1, -1):
                t = d[a, i] * (c[b] + z[b, i]) + information[i, a, q] * grad[b, i]
                for k in range(b + 1, q):
                    t -= H[a, k] * F[k, b]
                H[a, b] = t / F[b, b]
        product = 1.0
        for a in range(q):
            product *= F[a, a]
            for b in range(a + 1):
                dL[a, b] += H[a, b]
                dF[a, b] = 0.0
                for k in range(q):
                    dF[a, b] -= H[k, a] * P[k, b]
            dF[a, a] -= 1.0 / F[a, a]
        logp -= np.log(product)
        cholesky_adjoint(F, dF, S)
        for a in range(q):
            for b in range(a + 1):
                for k in range(q):
                    dL[a, b] += AL[a, k] * (S[k, b] + S[b, k])
    for a in range(q):
        logp += K * np.log(L[a, a])
        dL[a, a] += K / L[a, a]
    return logp


@njit(**JIT_INNER)
def cholesky_adjoint(F, dF, S):
    """Fill S with F^-T Phi(F' dF) F^-1; (S + S') / 2 are the derivatives in FF'.

    Phi takes the lower triangle and half of the diagonal.
    """
    q = len(F)
    for a in range(q):
        for b in range(q):
            S[a, b] = 0.0
            if b <= a:
                for k in range(a, q):
                    S[a, b] += F[k, a] * dF[k, b]
                if a == b:
                    S[a, b] *= 0.5
    for b in range(q):
        for a in range(q - 1, -1, -1):
            for k in range(a + 1, q):
                S[a, b] -= F[k, a] * S[k, b]
            S[a, b] /= F[a, a]
    for a in range(q):
        for b in range(q - 1, -1, -1):
            for k in range(b + 1, q):
                S[a, b] -= S[a, k] * F[k, b]
            S[a, b] /= F[b, b]
