"""Posterior intervals of the coefficients of groups, as opposed to intervals of predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtri

from skhbm._posterior.shrinkage import mean_effects, population_map
from skhbm._prediction import mixtures
from skhbm._prediction.linear_predictors import MIXTURE, blocks
from skhbm._prediction.predictive import NARROWEST

if TYPE_CHECKING:
    from skhbm._posterior.moments import GroupMoments
    from skhbm._posterior.posterior import Posterior
    from skhbm._types import Float


__all__ = ["Coefficient", "estimates", "quantiles"]


class Coefficient(NamedTuple):
    """One varying coefficient of a factor.

    Attributes
    ----------
    factor : int, in the user's order
    term : int, among the factor's varying terms
    with_population : bool
        Whether it is population + effect, or the effect alone.
    """

    factor: int
    term: int
    with_population: bool


def estimates(
    posterior: Posterior, moments: GroupMoments, which: Coefficient
) -> tuple[Float, float]:
    """Return posterior means of all groups (n_groups,) and of the population, natural."""
    design = posterior.design
    terms = design.factors[which.factor].terms
    population = 0.0
    if which.with_population:
        A, b = population_map(design, terms)
        population = float(b[which.term] + A[which.term] @ moments.population)
    effects = mean_effects(posterior, moments, which.factor)
    natural = design.scaling.natural_effects(effects, terms)
    return population + natural[:, which.term], population


def quantiles(posterior: Posterior, which: Coefficient, probabilities: Float) -> Float:
    """Return posterior quantiles of all groups (n_groups, n_quantiles), natural.

    If the factor is integrated out, they are quantiles of the mixture over draws of the normal
    distributions that the coefficient has given each draw. If its effects are sampled, they
    are quantiles of the draws.
    """
    design = posterior.design
    if which.factor != design.integrated:
        return _drawn(posterior, which, probabilities)
    terms = design.terms
    # The coefficient is A w + T u, in units of its effect.
    unit = design.scaling.effect_units(terms)[which.term]
    T = design.scaling.natural_effects(np.eye(len(terms.varying)), terms)[:, which.term]
    A, b = (part[which.term] for part in population_map(design, terms))
    effects, n_draws = posterior.conditional_effects(), posterior.n_draws
    fixed = np.tile(A / unit * which.with_population, (design.n_groups, 1))
    varying = np.tile(T / unit, (design.n_groups, 1))
    out = np.empty((design.n_groups, len(probabilities)))
    groups, scores = np.arange(design.n_groups), ndtri(probabilities)
    for block in blocks(design.n_groups, max(1, MIXTURE // n_draws)):
        codes = groups[block]
        mean, variance = np.zeros((2, len(codes), n_draws))
        effects.add_predictors(
            fixed[block], varying[block], codes, np.arange(len(codes)), mean, variance
        )
        sd = np.maximum(np.sqrt(variance), NARROWEST)
        out[block] = mixtures.quantiles(mean, sd, probabilities, scores)
    return b * which.with_population + unit * out


def _drawn(posterior: Posterior, which: Coefficient, probabilities: Float) -> Float:
    """Return quantiles of the draws of sampled effects (n_groups, n_quantiles)."""
    design = posterior.design
    terms = design.factors[which.factor].terms
    draws = posterior.factor_effects(which.factor)[:, :, :, which.term]
    if which.with_population:
        draws = draws + posterior.coef[:, :, None, terms.varying_positions[which.term]]
    return np.quantile(draws, probabilities, axis=(0, 1)).T
