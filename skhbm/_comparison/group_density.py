"""The density of each group's rows given each draw, the group's effects integrated out.

With the roots and the within part W_j of `skhbm._design.roots` and v = (-w, 1), what is left of
a group's response in an orthonormal basis is e_j = E_j v between and ss_j = v'W_j v within.
Then

    B_j = I + R_j L L'R_j' / sigma_j^2 = F F',    y = F^-1 e_j / sigma_j,
    log p(y_j | w, L, sigma_j) = -n_j log(2 pi sigma_j^2) / 2 - log|B_j| / 2
                                 - (y'y + ss_j / sigma_j^2) / 2.

This is derivation (5) for a single group. `skhbm._likelihood.marginal` has the sum over groups,
and integrates the coefficients w out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skhbm._numba.jit import JIT, njit
from skhbm._posterior.effects import add_outer_product, scale_of
from skhbm._posterior.hierarchical import flat

if TYPE_CHECKING:
    from skhbm._design.roots import Parts
    from skhbm._posterior.posterior import Posterior
    from skhbm._types import Float


__all__ = ["Left", "densities", "density_root", "group_log_densities", "quadratics"]

#: Summands whose logs are smaller than the largest by more than this are neglected.
NOTHING = 40.0


class Left(NamedTuple):
    """What is left of the response of groups in each draw, in working units.

    Attributes
    ----------
    R : (n_groups, q, q)
    between : (n_groups, q, n_draws), in the basis of the rows of R
    within : (n_groups, n_draws), sums of squares
    n : (n_groups,), rows
    """

    R: Float
    between: Float
    within: Float
    n: Float


def group_log_densities(
    posterior: Posterior, parts: Parts, sigma: Float, *, averaged: bool = False
) -> Float:
    """Return log densities (n_groups, n_draws) of the groups' rows, per unit of y.

    Parameters
    ----------
    posterior : Posterior
    parts : Parts
        Parts of the groups that are asked for.
    sigma : ndarray of shape (n_draws, 1 or n_groups)
        The residual scale, or the scales of these groups, in working units.
    averaged : bool, default=False
        Whether to integrate the groups' own scales out.

    Returns
    -------
    ndarray of shape (n_groups, n_draws)
        Zero for a group without rows. If errors are known, they are densities of the responses
        over their errors.
    """
    R, E = np.split(parts.roots, [posterior.scales[0].tau.shape[2]], axis=2)
    w = posterior.coefficients()
    v = np.hstack([-w, np.ones((len(w), 1))])
    # derivation (3)
    within = quadratics(v, parts.W, parts.weight * posterior.design.rounding)
    return densities(posterior, Left(R, E @ v.T, within, parts.n), sigma, averaged=averaged)


def densities(
    posterior: Posterior, left: Left, sigma: Float, *, averaged: bool = False
) -> Float:
    """Return log densities (n_groups, n_draws) of what is left, per unit of y.

    `averaged` integrates residual scales by group out, whose prior is log-normal in each draw.
    The sums that do so start at their draws.
    """
    L = posterior.covariance_roots()[0]
    unit = np.log(posterior.design.scaling.y_scale)
    out = np.empty(left.within.shape)
    if averaged:
        assert posterior.log_sigma is not None, "the prior is hierarchical"
        mean, spread = flat(posterior.log_sigma).T
        _integrate(L, np.log(sigma), mean - unit, spread, *left, out)
    else:
        _fill(L, sigma, *left, out)
    return np.asarray(out - (0.5 * np.log(2 * np.pi) + unit) * left.n[:, None])


def quadratics(v: Float, W: Float, floor: Float) -> Float:
    """Return v'W_j v (n_groups, n_draws), plus the rounding (n_groups,) of a perfect fit."""
    out = np.empty((len(W), len(v)))
    _quadratics(v, W, out)
    return np.asarray(np.maximum(out, 0.0) + floor[:, None])


@njit(**JIT)
def _quadratics(v, W, out):
    """Fill out (n_groups, s) with v'W_j v of v (s, m)."""
    m = W.shape[1]
    for j in range(len(W)):
        for s in range(len(v)):
            quadratic = 0.0
            for c in range(m):
                t = 0.5 * W[j, c, c] * v[s, c]
                for d in range(c):
                    t += W[j, c, d] * v[s, d]
                quadratic += 2.0 * t * v[s, c]
            out[j, s] = quadratic


@njit(**JIT)
def density_root(L, R, sigma, RL, F):
    """Fill F (q, q) with the Cholesky factor of B, and RL with R L / sigma: derivation (4)."""
    q = len(L)
    for a in range(q):
        for b in range(q):
            RL[a, b] = 0.0
            for c in range(b, q):
                RL[a, b] += R[a, c] * L[c, b]
            RL[a, b] /= sigma
            F[a, b] = 1.0 if a == b else 0.0
    for b in range(q):
        add_outer_product(F, RL[:, b].copy())


@njit(**JIT)
def _log_density(L, R, sigma, between, within, n, RL, F, y):
    """Return the log density of a group in one draw, up to 2 pi: derivation (5).

    RL, F and y are room for what is computed on the way.
    """
    density_root(L, R, sigma, RL, F)
    half_logdet, quadratic = 0.0, within / (sigma * sigma)
    for a in range(len(L)):
        y[a] = between[a] / sigma
        for b in range(a):
            y[a] -= F[a, b] * y[b]
        y[a] /= F[a, a]
        half_logdet += math.log(F[a, a])
        quadratic += y[a] * y[a]
    return -n * math.log(sigma) - half_logdet - 0.5 * quadratic


@njit(**JIT)
def _fill(L, sigma, R, between, within, n, out):
    """Fill out (n_groups, s) with log densities in working units, up to 2 pi."""
    n_draws, q, _ = L.shape
    F, RL, y = np.empty((q, q)), np.empty((q, q)), np.empty(q)
    for j in range(len(n)):
        for s in range(n_draws):
            scale = scale_of(sigma, s, j)
            out[j, s] = _log_density(
                L[s], R[j], scale, between[j, :, s], within[j, s], n[j], RL, F, y
            )


@njit(**JIT)
def _integrate(L, start, mean, spread, R, between, within, n, out):
    """Fill out as `_fill` does, each sigma integrated out, whose log is normal.

    Trapezoidal sums in t = log sigma go both ways from a draw. The curvature of the log density
    at its mode is at most about 1 / spread^2 + 2n. Sums of normal densities, with a step of one
    standard deviation, are exact to 1e-8.
    """
    n_draws, q, _ = L.shape
    F, RL, y = np.empty((q, q)), np.empty((q, q)), np.empty(q)
    for j in range(len(n)):
        for s in range(n_draws):
            step = 1.0 / math.sqrt(spread[s] ** -2 + 2.0 * n[j])
            top, total = -np.inf, 0.0
            for side in (1, -1):
                t = start[s, j] if side == 1 else start[s, j] - step
                while True:
                    z = (t - mean[s]) / spread[s]
                    value = -0.5 * z * z + _log_density(
                        L[s], R[j], math.exp(t), between[j, :, s], within[j, s], n[j],
                        RL, F, y,
                    )  # fmt: skip
                    if value > top:
                        total = total * math.exp(top - value) + 1.0
                        top = value
                    else:
                        total += math.exp(value - top)
                        if not value > top - NOTHING:
                            break
                    t += side * step
            normal = math.log(step / spread[s]) - 0.5 * math.log(2.0 * math.pi)
            out[j, s] = top + math.log(total) + normal
