"""Posterior intervals of the coefficients of groups, as opposed to intervals of predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtri

from skhbm._posterior.nodes import condensed
from skhbm._posterior.shrinkage import (
    coefficient_sds,
    group_coefficients,
    population_map,
)
from skhbm._prediction import mixtures
from skhbm._prediction.linear_predictors import block_size, blocks, given_draws, level_terms
from skhbm._prediction.predictive import NARROWEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skhbm._posterior.moments import GroupMoments
    from skhbm._posterior.posterior import Posterior
    from skhbm._types import Float


__all__ = ["Coefficient", "estimates", "intervals", "quantiles"]

#: Coefficients of groups whose intervals are solved for in the mixture over all draws.
EXACT = 500
#: Coefficients times draws from which the skewness of more coefficients is computed.
EVALUATIONS = 2_000_000
#: Skewness is computed from so many draws at least.
FEWEST = 40


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
    natural = design.scaling.natural_effects(moments.levels[which.factor].mean, terms)
    return population + natural[:, which.term], population


def quantiles(posterior: Posterior, which: Coefficient, probabilities: Float) -> Float:
    """Return posterior quantiles of all groups (n_groups, n_quantiles), natural.

    They are quantiles of the mixture over draws of the normal distributions that the
    coefficient has given each draw.
    """
    posterior = condensed(posterior)
    design, factor = posterior.design, posterior.design.factors[which.factor]
    out = np.empty((factor.n_groups, len(probabilities)))
    scores = ndtri(probabilities)
    for block, mean, variance in _components(posterior, which):
        sd = np.maximum(np.sqrt(variance), NARROWEST)
        out[block] = mixtures.quantiles(mean, sd, probabilities, scores)
    unit = design.scaling.effect_units(factor.terms)[which.term]
    origin = population_map(design, factor.terms)[1][which.term]
    return origin * which.with_population + unit * out


def intervals(
    posterior: Posterior, moments: GroupMoments, factor: int, probability: float
) -> Float:
    """Return equal-tailed intervals (2, n_groups, q) of population + effect, natural.

    They are exact quantiles of the mixture over draws.
    For more than `EXACT` coefficients they are mean + sd (z + g (z^2 - 1) / 6), z
    being quantiles of a standard normal and g the skewness, which may come from some of the
    draws: the first terms of the expansion of Cornish & Fisher (1938). With so many groups
    they were within 0.01 sd of the exact quantiles.
    """
    design = posterior.design
    of_factor = design.factors[factor]
    q, n_groups = len(of_factor.terms.varying), of_factor.n_groups
    probabilities = np.array([1 - probability, 1 + probability]) / 2
    terms = [Coefficient(factor, term, True) for term in range(q)]
    if n_groups * q <= EXACT:
        found = [quantiles(posterior, which, probabilities).T for which in terms]
        return np.stack(found, axis=2) if q else np.empty((2, n_groups, 0))
    some = condensed(posterior)
    some = some.thinned(max(1, some.n_draws * n_groups * q // EVALUATIONS))
    skewness = np.column_stack([_skewness(some, which) for which in terms])
    center = group_coefficients(posterior, moments, factor)[
        :, of_factor.terms.varying_positions
    ]
    sd = coefficient_sds(posterior, moments, factor)
    z = ndtri(probabilities)[:, None, None]
    return np.asarray(center + sd * (z + skewness * (z**2 - 1) / 6))


def _skewness(posterior: Posterior, which: Coefficient) -> Float:
    """Return the skewness (n_groups,) of the mixtures over draws of a coefficient."""
    out = np.empty(posterior.design.factors[which.factor].n_groups)
    for block, mean, variance in _components(posterior, which):
        d = mean - mean.mean(axis=1, keepdims=True)
        square = d * d
        second = np.mean(square + variance, axis=1)
        third = np.mean(d * (square + 3 * variance), axis=1)
        out[block] = third / np.maximum(second, NARROWEST**2) ** 1.5
    return out


def _components(
    posterior: Posterior, which: Coefficient
) -> Iterator[tuple[slice, Float, Float]]:
    """Yield groups with mean and variance (groups, draws) of a coefficient given each draw.

    The coefficient is in working units, and counted from its value at zero coefficients.
    """
    design, factor = posterior.design, posterior.design.factors[which.factor]
    terms, n_groups = factor.terms, factor.n_groups
    unit = design.scaling.effect_units(terms)[which.term]
    A = population_map(design, terms)[0][which.term]
    T = design.scaling.natural_effects(np.eye(len(terms.varying)), terms)[:, which.term]
    fixed = np.tile(A / unit * which.with_population, (n_groups, 1))
    varying = np.tile(T / unit, (n_groups, 1))
    effects = given_draws(posterior)
    rows = level_terms(posterior, which.factor, fixed, varying)
    for block in blocks(n_groups, block_size(posterior)):
        yield block, *effects.predictors(rows.some(block))
