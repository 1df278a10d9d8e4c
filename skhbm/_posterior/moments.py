"""Means and covariances of the effects of groups, averaged over draws when they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skhbm._posterior.effects_blocked import LevelMoments
from skhbm._posterior.hierarchical import flat
from skhbm._posterior.nodes import joint_effects

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skhbm._posterior.posterior import Posterior
    from skhbm._types import Float, Int


__all__ = ["GroupMoments", "add_moments", "start_moments"]


class GroupMoments(NamedTuple):
    """Means and covariances of coefficients in working units, averaged over draws.

    With one factor the moments of a group's effects are computed when they are first needed.

    Attributes
    ----------
    population : (n_fixed,), population_cov : (n_fixed, n_fixed)
    noise : (n_groups or 1,), noise_new : float, mean squares of the residual scales
    done : (n_groups,), whether the moments of the only factor's groups are computed
    levels : list of LevelMoments, of each factor in the user's order
    new_cov : (q, q), the mean covariance of the effects of a group of the only factor that was
        not seen
    """

    population: Float
    population_cov: Float
    noise: Float
    noise_new: float
    done: NDArray[np.bool_]
    levels: list[LevelMoments]
    new_cov: Float


def start_moments(posterior: Posterior) -> GroupMoments:
    """Return the moments of the population, and of groups, or room for the latter."""
    noise = np.mean(posterior.noise() ** 2, axis=0)
    new_cov = posterior.covariances()[0].mean(axis=0)
    n_groups, q = posterior.design.factors[0].n_groups, len(new_cov)
    if posterior.points is not None:
        effects = joint_effects(posterior)
        center, cov = effects.population_moments()
        levels, done = effects.level_moments(), np.ones(n_groups, dtype=bool)
        # Means are those given the mean of the draws of the coefficients.
        drawn = flat(posterior.working).mean(axis=0)
        gain = np.linalg.lstsq(cov, drawn - center, rcond=None)[0]
        levels = [level._replace(mean=level.mean + level.cross @ gain) for level in levels]
        center = drawn
    else:
        working = flat(posterior.working)
        center = working.mean(axis=0)
        deviation = working - center
        cov = deviation.T @ deviation / len(deviation)
        shapes = ((q,), (q, q), (q, len(center)))
        levels = [LevelMoments(*(np.zeros((n_groups, *shape)) for shape in shapes))]
        done = np.zeros(n_groups, dtype=bool)
    return GroupMoments(center, cov, noise, posterior.new_noise(), done, levels, new_cov)


def add_moments(moments: GroupMoments, posterior: Posterior, groups: Int) -> None:
    """Average the conditional moments of groups of the only factor (Rao-Blackwell)."""
    groups = groups[~moments.done[groups]]
    if not len(groups):
        return
    effects = posterior.conditional_effects()
    found = effects.posterior_moments(groups, moments.population)
    for array, part in zip(moments.levels[0], found, strict=True):
        array[groups] = part
    moments.done[groups] = True
