"""How far each group is pulled to the population."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._design.normal_equations import normal_equations
from skhbm._inputs.numbers import as_counts
from skhbm._posterior.effects import pooling_factors

if TYPE_CHECKING:
    from skhbm._design.design import Design
    from skhbm._design.terms import Terms
    from skhbm._posterior.moments import GroupMoments
    from skhbm._posterior.posterior import Posterior
    from skhbm._types import Float


__all__ = [
    "coefficient_sds",
    "group_coefficients",
    "population_map",
    "shrinkage_columns",
]


def group_coefficients(posterior: Posterior, moments: GroupMoments, factor: int) -> Float:
    """Return posterior means of population + effect (n_groups, 1 + n_features).

    Natural scale, the intercept at x = 0 first (0 if the model has none).
    """
    design = posterior.design
    of_factor = design.factors[factor]
    population = design.scaling.natural(moments.population, design.terms)
    out = np.tile(population, (of_factor.n_groups, 1))
    effect = moments.levels[factor].mean
    natural = design.scaling.natural_effects(effect, of_factor.terms)
    out[:, of_factor.terms.varying_positions] += natural
    return out


def shrinkage_columns(
    posterior: Posterior,
    moments: GroupMoments,
    factor: int,
    probability: float,
    interval: Float,
) -> dict[str, Any]:
    """Return the columns of the table of shrinkage, one row per group and varying term.

    `probability` is that of the interval of the pooling factors, and of the `interval`
    (2, n_groups, q) of the estimates of partial pooling.
    """
    design = posterior.design
    levels, terms = design.factors[factor].levels, design.factors[factor].terms
    positions = terms.varying_positions
    partial = group_coefficients(posterior, moments, factor)[:, positions]
    R, score = _rows_of_groups(posterior, moments, factor)
    pooling = pooling_summary(posterior, R, factor, probability)
    return {
        "factor": np.full(partial.size, levels.name, dtype=object),
        "group": np.repeat(levels.labels, len(positions)),
        "coefficient": np.tile(np.array(terms.varying, dtype=object), len(levels)),
        "n": np.repeat(as_counts(design.factors[factor].n), len(positions)),
        "no_pooling": _no_pooling(posterior, moments, terms, R, score).ravel(),
        "partial_pooling": partial.ravel(),
        "complete_pooling": np.tile(_complete_pooling(posterior)[positions], len(levels)),
        "sd": coefficient_sds(posterior, moments, factor).ravel(),
        "lower": interval[0].ravel(),
        "upper": interval[1].ravel(),
        "pooling": pooling[0].ravel(),
        "pooling_lower": pooling[1].ravel(),
        "pooling_upper": pooling[2].ravel(),
    }


def _rows_of_groups(
    posterior: Posterior, moments: GroupMoments, factor: int
) -> tuple[Float, Float]:
    """Return what the groups' own rows say: roots R and scores.

    R (n_groups, q, q) has R'R = A, and R^-1 times the score (n_groups, q) is the least squares
    estimate of the effects, all else being at its posterior mean.
    """
    design = posterior.design
    if design.several_factors is None:
        R, E = np.split(design.roots, [len(design.terms.varying)], axis=2)
        return R, E[:, :, -1] - E[:, :, :-1] @ moments.population
    several = design.several_factors
    means = [level.mean for level in moments.levels]
    A, b = normal_equations(several.blocks, several.layout, factor, moments.population, means)
    values, vectors = np.linalg.eigh(A)
    root = np.sqrt(np.maximum(values, 0.0))
    rotated = np.einsum("kba,kb->ka", vectors, b)
    score = np.divide(rotated, root, out=np.zeros_like(rotated), where=root > 0)
    return root[:, :, None] * vectors.mT, score


def _no_pooling(
    posterior: Posterior, moments: GroupMoments, terms: Terms, R: Float, score: Float
) -> Float:
    """Return the least squares of each group's rows (n_groups, q), NaN where rows are too few.

    All that does not vary by the factor is at its posterior mean.
    """
    design = posterior.design
    effects = np.einsum("jab,jb->ja", np.linalg.pinv(R, rcond=1e-10), score)
    full_rank = np.linalg.matrix_rank(R, rtol=1e-10) == R.shape[1]
    effects[~full_rank] = np.nan
    population = design.scaling.natural(moments.population, design.terms)
    natural = design.scaling.natural_effects(effects, terms)
    return natural + population[terms.varying_positions]


def pooling_summary(posterior: Posterior, R: Float, factor: int, probability: float) -> Float:
    """Return mean, lower and upper quantile of the pooling factors (3, n_groups, q)."""
    L, sigma = posterior.covariance_roots()[factor], posterior.residual_scales()
    tail = (1 - probability) / 2
    which = np.arange(len(R))
    if sigma.shape[1] == 1:
        # Groups of equal R are pooled alike.
        R, which = np.unique(R, axis=0, return_inverse=True)
    out = np.empty((3, len(R), L.shape[1]))
    for first in range(0, len(R), 64):
        last = min(first + 64, len(R))
        factors = pooling_factors(L, sigma, R, np.arange(first, last))
        out[0, first:last] = factors.mean(axis=0)
        out[1:, first:last] = np.quantile(factors, [tail, 1 - tail], axis=0)
    return out[:, which]


def _complete_pooling(posterior: Posterior) -> Float:
    """Return the least squares of all rows, groups ignored (1 + n_features,)."""
    design = posterior.design
    pooled = design.pooled()
    working = np.linalg.lstsq(pooled[:-1, :-1], pooled[:-1, -1], rcond=1e-12)[0]
    return design.scaling.natural(working, design.terms)


def coefficient_sds(posterior: Posterior, moments: GroupMoments, factor: int) -> Float:
    """Return posterior sds of population + effect (n_groups, q), on the natural scale."""
    design = posterior.design
    terms = design.factors[factor].terms
    A = population_map(design, terms)[0]
    T = design.scaling.natural_effects(np.eye(len(A)), terms).T
    variance = np.einsum("af,fg,ag->a", A, moments.population_cov, A)
    of_factor = moments.levels[factor]
    cross = np.einsum("ab,jbf,af->ja", T, of_factor.cross, A, optimize=True)
    within = np.einsum("ab,jbc,ac->ja", T, of_factor.cov, T, optimize=True)
    return np.asarray(np.sqrt(np.maximum(variance + 2 * cross + within, 0.0)))


def population_map(design: Design, terms: Terms) -> tuple[Float, Float]:
    """Return A (q, n_fixed) and b (q,) with which b + A w are natural coefficients.

    They are those of the varying terms, w being the population coefficients in working units.
    """
    scaling, positions = design.scaling, terms.varying_positions
    b = scaling.natural(np.zeros(terms.n_fixed), terms)
    A = scaling.natural(np.eye(terms.n_fixed), terms) - b
    return A.T[positions], b[positions]
