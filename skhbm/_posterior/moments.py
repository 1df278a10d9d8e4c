"""Means and covariances of the effects of groups, averaged over draws when they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skhbm._posterior.posterior import Posterior
    from skhbm._types import Float, Int


__all__ = ["GroupMoments", "add_moments", "start_moments"]


class GroupMoments(NamedTuple):
    """Means and covariances of coefficients in working units, averaged over draws.

    The moments of a group's effects are computed when they are first needed.

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
    """Return the moments of the population, and room for the moments of groups."""
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


def add_moments(moments: GroupMoments, posterior: Posterior, groups: Int) -> None:
    """Average the conditional moments of groups over the draws (Rao-Blackwell)."""
    groups = groups[~moments.done[groups]]
    if not len(groups):
        return
    effects = posterior.conditional_effects()
    mean, cov, cross_cov = effects.posterior_moments(groups, moments.population)
    moments.effect[groups], moments.effect_cov[groups] = mean, cov
    moments.cross_cov[groups] = cross_cov
    moments.done[groups] = True
