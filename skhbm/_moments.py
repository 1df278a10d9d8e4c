"""Means and covariances of the effects of groups, averaged over draws when they are needed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skhbm._effects import effect_moments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skhbm._posterior import Posterior

    Float = NDArray[np.float64]

__all__ = ["GroupMoments", "add_moments", "start_moments"]


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
    known: GroupMoments, posterior: Posterior, groups: NDArray[np.int64], threads: int = 2
) -> None:
    """Average the conditional moments of groups over the draws (Rao-Blackwell)."""
    groups = groups[~known.done[groups]]
    if not len(groups):
        return
    q = known.effect.shape[1]
    R = posterior.design.roots[groups, :, :q].reshape(len(groups), q * q)
    groups = groups[np.lexsort(R.T)] if q else groups
    L, sigma, w = posterior.conditions()
    # Deviations from the mean, so that no digits are lost in E[uw'] - E[u]E[w]'.
    deviation = w - known.population
    shifted = _shift_target(posterior.design.roots, known.population)
    mean, cross, second = (
        np.zeros_like(a) for a in (known.effect, known.cross_cov, known.effect_cov)
    )

    def add(some: NDArray[np.int64]) -> None:
        shift = posterior.shifts(some)
        effect_moments(L, sigma, deviation, shift, shifted, some, mean, cross, second)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(add, np.array_split(groups, -(-len(groups) // 64))))
    known.effect[groups] = mean[groups]
    known.cross_cov[groups] = cross[groups]
    own = mean[groups]
    known.effect_cov[groups] = second[groups] - own[:, :, None] * own[:, None, :]
    known.done[groups] = True


def _shift_target(roots: Float, center: Float) -> Float:
    """Return the roots with the fixed terms at `center` taken off the target."""
    shifted = roots.copy()
    fixed = roots[:, :, -1 - len(center) : -1]
    shifted[:, :, -1] -= fixed @ center
    return shifted
