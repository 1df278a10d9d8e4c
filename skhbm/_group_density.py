"""The density of each group's rows given each draw, the group's effects integrated out.

For one group, with the roots and the within part W_j of `skhbm._design`, v = (-w, 1) and

    B_j = I + R_j L L'R_j' / sigma_j^2 = F F',    y = F^-1 E_j v / sigma_j,
    log p(y_j | w, L, sigma_j) = -n_j log(2 pi sigma_j^2) / 2 - log|B_j| / 2
                                 - (y'y + v'W_j v / sigma_j^2) / 2.

`skhbm._likelihood` has the sum over groups, with the coefficients w integrated out too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from skhbm._kernels import JIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skhbm._design import Parts
    from skhbm._posterior import Posterior

    Float = NDArray[np.float64]

__all__ = ["group_log_densities"]


def group_log_densities(posterior: Posterior, parts: Parts, sigma: Float) -> Float:
    """Return log densities (n_groups, n_draws) of the groups' rows, per unit of y.

    Parameters
    ----------
    posterior : Posterior
    parts : Parts
        Those of the groups that are asked for.
    sigma : ndarray of shape (n_draws, 1 or n_groups)
        The residual scale, or those of these groups, in working units.

    Returns
    -------
    ndarray of shape (n_groups, n_draws)
        Zero for a group without rows.
    """
    L, _, w = posterior.conditions()
    W = parts.W.copy()
    # As in the density that is sampled: a perfect fit leaves the variance of rounding.
    W[:, -1, -1] = np.maximum(W[:, -1, -1], 0.0) + parts.n * posterior.design.rounding
    out = np.empty((len(parts.n), len(L)))
    _fill(L, sigma, w, parts.roots, W, parts.n, out)
    constant = 0.5 * np.log(2 * np.pi) + np.log(posterior.design.scaling.y_scale)
    return np.asarray(out - constant * parts.n[:, None])


@njit(**JIT)
def _fill(L, sigma, w, roots, W, n, out):
    """Fill out (n_groups, s) with log densities in working units, up to 2 pi."""
    n_draws, q, _ = L.shape
    m = W.shape[1]
    F, RL, v = np.empty((q, q)), np.empty((q, q)), np.empty(m)
    y = np.empty(q)
    v[m - 1] = 1.0
    for s in range(n_draws):
        for c in range(m - 1):
            v[c] = -w[s, c]
        for j in range(len(n)):
            scale = sigma[s, 0] if sigma.shape[1] == 1 else sigma[s, j]
            quadratic = 0.0
            for c in range(m):
                t = 0.5 * W[j, c, c] * v[c]
                for d in range(c):
                    t += W[j, c, d] * v[d]
                quadratic += 2.0 * t * v[c]
            quadratic /= scale * scale
            half_logdet = 0.0
            for a in range(q):
                for b in range(q):
                    RL[a, b] = 0.0
                    for c in range(b, q):
                        RL[a, b] += roots[j, a, c] * L[s, c, b]
                    RL[a, b] /= scale
                e = 0.0
                for c in range(m):
                    e += roots[j, a, q + c] * v[c]
                y[a] = e / scale
                # Row a of F, and of y by forward substitution.
                for b in range(a + 1):
                    t = 1.0 if a == b else 0.0
                    for c in range(q):
                        t += RL[a, c] * RL[b, c]
                    for c in range(b):
                        t -= F[a, c] * F[b, c]
                    F[a, b] = math.sqrt(t) if a == b else t / F[b, b]
                for b in range(a):
                    y[a] -= F[a, b] * y[b]
                y[a] /= F[a, a]
                half_logdet += math.log(F[a, a])
                quadratic += y[a] * y[a]
            out[j, s] = -n[j] * math.log(scale) - half_logdet - 0.5 * quadratic
