"""Means and covariances of the effects of groups, averaged over draws when they are needed.

`skhbm._posterior.effects` states the formulas. Here they are in NumPy, the draws along the last axis: as
fast as compiled, and a process that predicts a few rows need not import numba.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skhbm._numba.threads import in_slices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skhbm._posterior.posterior import Posterior
    from skhbm._types import Float, Int


__all__ = ["GroupMoments", "add_moments", "effect_mean", "effect_root", "start_moments"]


class GroupMoments(NamedTuple):
    """Means and covariances of coefficients in working units, averaged over draws.

    Those of a group's effects are computed when they are first needed.

    Attributes
    ----------
    population : (n_fixed,), population_cov : (n_fixed, n_fixed)
    new_cov : (q, q), the mean covariance of the effects of a group that was not seen
    noise : (n_groups,), noise_new : float, mean squares of the residual scales
    done : (n_groups,), whether the following are computed
    effect : (n_groups, q), effect_cov : (n_groups, q, q)
    cross_cov : (n_groups, q, n_fixed)
    """

    population: Float
    population_cov: Float
    new_cov: Float
    noise: Float
    noise_new: float
    done: NDArray[np.bool_]
    effect: Float
    effect_cov: Float
    cross_cov: Float


def start_moments(posterior: Posterior) -> GroupMoments:
    """Return the moments of the population, and room for those of the groups."""
    working = posterior.working.reshape(posterior.n_draws, posterior.working.shape[2])
    center = working.mean(axis=0)
    deviation = working - center
    n_groups, q = posterior.design.n_groups, posterior.tau.shape[2]
    noise = np.mean(posterior.noise() ** 2, axis=0)
    return GroupMoments(
        center,
        deviation.T @ deviation / len(deviation),
        posterior.covariances().mean(axis=0),
        np.broadcast_to(noise, (n_groups,)).copy(),
        posterior.new_noise(),
        np.zeros(n_groups, dtype=bool),
        np.zeros((n_groups, q)),
        np.zeros((n_groups, q, q)),
        np.zeros((n_groups, q, len(center))),
    )


def add_moments(
    known: GroupMoments, posterior: Posterior, groups: Int, threads: int = 2
) -> None:
    """Average the conditional moments of groups over the draws (Rao-Blackwell)."""
    groups = groups[~known.done[groups]]
    if not len(groups):
        return
    q = known.effect.shape[1]
    R = posterior.design.roots[groups, :, :q].reshape(len(groups), q * q)
    groups = groups[np.lexsort(R.T)] if q else groups
    L, sigma, w = posterior.conditions()
    L = np.ascontiguousarray(L.transpose(1, 2, 0))
    # Deviations from the mean, so that no digits are lost in E[uw'] - E[u]E[w]'.
    deviation = np.ascontiguousarray((w - known.population).T)
    shifted = _shift_target(posterior.design.roots, known.population)

    def add(some: slice) -> None:
        shift = posterior.shifts(groups[some])
        root, before = L, None
        for i, j in enumerate(groups[some]):
            scale = sigma[:, j % sigma.shape[1]]
            R = shifted[j, :, :q]
            # Groups of equal R_j follow each other.
            if before is None or sigma.shape[1] > 1 or not np.array_equal(R, before):
                root, before = effect_root(L, scale, R), R
            own = shift[:, i % shift.shape[1]].T
            u = effect_mean(root, scale, deviation, own, shifted[j])
            known.effect[j] = u.mean(axis=1)
            known.cross_cov[j] = np.einsum("as,fs->af", u, deviation) / len(scale)
            spread = np.einsum("acs,bcs->ab", root, root) + np.einsum("as,bs->ab", u, u)
            known.effect_cov[j] = spread / len(scale) - np.outer(*2 * [known.effect[j]])

    in_slices(add, len(groups), threads, longest=64)
    known.done[groups] = True


def effect_root(L: Float, sigma: Float, R: Float) -> Float:
    """Return P (q, q, s) with P P' = Cov[u_j]; L (q, q, s), sigma (s,), R (q, q)."""
    q = len(L)
    RL = np.einsum("ac,cbs->abs", R, L) / sigma
    F = np.tile(np.eye(q)[:, :, None], len(sigma))
    P = L.copy()
    for x in RL:
        # As `skhbm._posterior.effects.add_outer_product`.
        for a in range(q):
            size = np.hypot(F[a, a], x[a])
            cos, sin = F[a, a] / size, x[a] / size
            F[a:, a], x[a:] = cos * F[a:, a] + sin * x[a:], cos * x[a:] - sin * F[a:, a]
    # P = L F^-T: forward substitution along the columns.
    for b in range(q):
        for c in range(b):
            P[:, b] -= P[:, c] * F[b, c]
        P[:, b] /= F[b, b]
    return P


def effect_mean(P: Float, sigma: Float, w: Float, shift: Float, roots: Float) -> Float:
    """Return E[u_j] (q, s), E_y being less shift (q, 1 or s); w (n_fixed, s)."""
    q = len(P)
    e = (roots[:, -1:] - shift - np.einsum("af,fs->as", roots[:, q:-1], w)) / sigma**2
    score = np.einsum("ac,as->cs", roots[:, :q], e)
    whitened = np.einsum("cbs,cs->bs", P, score)
    return np.asarray(np.einsum("ibs,bs->is", P, whitened))


def _shift_target(roots: Float, center: Float) -> Float:
    """Return the roots with the fixed terms at `center` taken off the target."""
    shifted = roots.copy()
    fixed = roots[:, :, -1 - len(center) : -1]
    shifted[:, :, -1] -= fixed @ center
    return shifted
