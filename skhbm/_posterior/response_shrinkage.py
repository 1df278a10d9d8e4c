"""How far each group is pulled to the population, on the scale of the link.

What the rows of a group say is their Fisher information A_j = sum_i w_i z_i z_i' at the
posterior mean of the linear predictors, w_i being the expected information of a row. Then the
share of the population is the diagonal of (A_j + Sigma^-1)^-1 Sigma^-1, as for a normal
response, for which A_j does not depend on the mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._inputs.numbers import as_counts
from skhbm._statistics.reduction import sum_by_group

if TYPE_CHECKING:
    from skhbm._design.responses import ResponseDesign
    from skhbm._posterior.response_effects import DrawnEffects
    from skhbm._posterior.responses import ResponsePosterior
    from skhbm._types import Float

__all__ = ["group_coefficient_draws", "response_group_coefficients", "response_shrinkage"]

#: Steps of Newton's method for the estimate of a group from its rows alone, the most that a
#: step moves, and how far estimates are looked for: beyond lies separation.
STEPS, LONGEST, FARTHEST = 100, 2.0, 30.0
#: Half the distance over which densities are differenced.
STEP = 1e-4


def response_group_coefficients(effects: DrawnEffects, factor: int) -> Float:
    """Return posterior means of population + effect (n_groups, 1 + n_features).

    Natural scale, the intercept at x = 0 first (0 if the model has none).
    """
    posterior = effects.posterior
    of_factor = posterior.design.factors[factor]
    out = np.tile(posterior.coef.mean(axis=(0, 1)), (of_factor.n_groups, 1))
    mean = effects.of_factor(factor).mean(axis=0)
    natural = posterior.design.scaling.natural_effects(mean, of_factor.terms)
    out[:, of_factor.terms.varying_positions] += natural
    return out


def group_coefficient_draws(
    effects: DrawnEffects, factor: int, *, with_population: bool = True
) -> Float:
    """Return draws of population + effect (n_draws, n_groups, q), on the natural scale."""
    posterior = effects.posterior
    terms = posterior.design.factors[factor].terms
    natural = posterior.design.scaling.natural_effects(effects.of_factor(factor), terms)
    if not with_population:
        return natural
    population = posterior.coef.reshape(posterior.n_draws, -1)[:, terms.varying_positions]
    return natural + population[:, None]


def response_shrinkage(
    effects: DrawnEffects, factor: int, probability: float
) -> dict[str, Any]:
    """Return the columns of the table of shrinkage, one row per group and varying term."""
    posterior = effects.posterior
    design, tail = posterior.design, (1 - probability) / 2
    levels, terms = design.factors[factor].levels, design.factors[factor].terms
    draws = group_coefficient_draws(effects, factor)
    bounds = np.quantile(draws, [tail, 1 - tail], axis=0)
    eta = _mean_predictors(effects)
    pooling = _pooling(posterior, factor, eta, tail)
    at_mean = _at_means(effects, factor, tail)
    positions = terms.varying_positions
    return {
        "factor": np.full(draws[0].size, levels.name, dtype=object),
        "group": np.repeat(levels.labels, len(positions)),
        "coefficient": np.tile(np.array(terms.varying, dtype=object), len(levels)),
        "n": np.repeat(as_counts(design.factors[factor].n), len(positions)),
        "no_pooling": _no_pooling(effects, factor, eta).ravel(),
        "partial_pooling": draws.mean(axis=0).ravel(),
        "complete_pooling": np.tile(_complete_pooling(posterior)[positions], len(levels)),
        "sd": draws.std(axis=0).ravel(),
        "lower": bounds[0].ravel(),
        "upper": bounds[1].ravel(),
        **dict(zip(("pooling", "pooling_lower", "pooling_upper"), pooling, strict=True)),
        **at_mean,
    }


def _mean_predictors(effects: DrawnEffects) -> Float:
    """Return the posterior means of the linear predictors of all patterns (n_patterns,)."""
    posterior = effects.posterior
    design = posterior.design
    fixed = design.scaling.features(design.patterns.X, design.terms)[0]
    out = fixed @ posterior.coefficients().mean(axis=0)
    for f, factor in enumerate(design.factors):
        varying = design.scaling.features(design.patterns.X, factor.terms)[1]
        mean = effects.of_factor(f).mean(axis=0)
        out += np.sum(varying * mean[design.codes(f)], axis=1)
    return np.asarray(out)


def _information(design: ResponseDesign, eta: Float, dispersion: tuple[Any, ...]) -> Float:
    """Return the expected information of each pattern (n_patterns,)."""
    patterns = design.patterns
    expected = design.family.expected_information(patterns.size, eta, dispersion)
    return np.asarray(patterns.weight * expected)


def _pooling(posterior: ResponsePosterior, factor: int, eta: Float, tail: float) -> Float:
    """Return mean, lower and upper quantile of the pooling factors (3, n_groups * q)."""
    design = posterior.design
    of_factor = design.factors[factor]
    varying = design.scaling.features(design.patterns.X, of_factor.terms)[1]
    mean = tuple(float(draws.mean()) for draws in posterior.dispersions())
    weighted = _information(design, eta, mean)[:, None] * varying
    products = varying[:, :, None] * weighted[:, None]
    A = sum_by_group(design.codes(factor), products, of_factor.n_groups)
    cov = posterior.covariances()[factor]
    identity = np.eye(cov.shape[1])
    factors = np.empty((len(cov), len(A), cov.shape[1]))
    for s, Sigma in enumerate(cov):
        # (A + Sigma^-1)^-1 Sigma^-1 = (I + Sigma A)^-1 transposed; its diagonal is the same.
        share = np.linalg.inv(identity + Sigma @ A)
        factors[s] = np.clip(np.einsum("jaa->ja", share), 0.0, 1.0)
    bounds = np.quantile(factors, [tail, 1 - tail], axis=0)
    return np.vstack([factors.mean(axis=0)[None], bounds]).reshape(3, -1)


def _no_pooling(effects: DrawnEffects, factor: int, eta: Float) -> Float:
    """Return the maximum likelihood of each group's rows (n_groups, q).

    All else is at its posterior mean. It is NaN where the rows do not determine it: too few, or
    all events of one kind.
    """
    posterior = effects.posterior
    design = posterior.design
    patterns, of_factor = design.patterns, design.factors[factor]
    codes, J = design.codes(factor), of_factor.n_groups
    varying = design.scaling.features(patterns.X, of_factor.terms)[1]
    mean = effects.of_factor(factor).mean(axis=0)
    offset = eta - np.sum(varying * mean[codes], axis=1)
    dispersion = tuple(float(draws.mean()) for draws in posterior.dispersions())
    u, moved = mean.copy(), np.full(J, np.inf)
    full = np.zeros(J, dtype=bool)
    for _ in range(STEPS):
        at = offset + np.sum(varying * u[codes], axis=1)
        weight, score = _score(design, at, dispersion)
        A = sum_by_group(codes, varying[:, :, None] * (weight[:, None] * varying)[:, None], J)
        b = sum_by_group(codes, varying * score[:, None], J)
        full = np.linalg.matrix_rank(A, rtol=1e-10) == A.shape[1]
        step = np.einsum("jab,jb->ja", np.linalg.pinv(A, rcond=1e-10), b)
        step = np.clip(step, -LONGEST * design.spread, LONGEST * design.spread)
        u, moved = u + step, np.max(np.abs(step), axis=1, initial=0.0)
    found = full & (moved < 1e-6 * design.spread)
    found &= np.all(np.abs(u) < FARTHEST * design.spread, axis=1)
    u[~found] = np.nan
    population = posterior.coef.mean(axis=(0, 1))[of_factor.terms.varying_positions]
    return design.scaling.natural_effects(u, of_factor.terms) + population


def _score(design: ResponseDesign, eta: Float, dispersion: Any) -> tuple[Float, Float]:
    """Return expected information and score of each pattern (n_patterns,).

    The score is a central difference of the log density, whose second order is enough here.
    """
    patterns, family = design.patterns, design.family
    h = STEP * design.spread
    above, below = (
        family.log_density(patterns.y, patterns.size, eta + shift, dispersion)
        for shift in (h, -h)
    )
    score = patterns.weight * (above - below) / (2 * h)
    return _information(design, eta, dispersion), np.asarray(score)


def _complete_pooling(posterior: ResponsePosterior) -> Float:
    """Return the maximum likelihood of all rows, groups ignored (1 + n_features,).

    It is NaN where there is none: where features separate events.
    """
    design = posterior.design
    fixed = design.scaling.features(design.patterns.X, design.terms)[0]
    dispersion = tuple(float(draws.mean()) for draws in posterior.dispersions())
    w = posterior.coefficients().mean(axis=0)
    for _ in range(STEPS):
        weight, score = _score(design, fixed @ w, dispersion)
        information = fixed.T @ (weight[:, None] * fixed)
        step = np.linalg.lstsq(information, fixed.T @ score, rcond=1e-12)[0]
        w = w + np.clip(step, -LONGEST * design.spread, LONGEST * design.spread)
    if np.any(np.abs(w - posterior.coefficients().mean(axis=0)) > FARTHEST * design.spread):
        w = np.full_like(w, np.nan)
    return design.scaling.natural(w, design.terms)


def _at_means(effects: DrawnEffects, factor: int, tail: float) -> dict[str, Float]:
    """Return posterior mean and interval of the mean of a row of size 1 of each group.

    All features are at their means, and effects of other factors at zero. Rows of the table
    that are no intercepts have NaN.
    """
    posterior = effects.posterior
    design = posterior.design
    terms = design.factors[factor].terms
    q, J = len(terms.varying), design.factors[factor].n_groups
    names = ("response", "response_lower", "response_upper")
    if design.family.link == "identity":
        return {}
    out = np.full((3, J, q), np.nan)
    if terms.varying_intercept:
        at = np.asarray(design.scaling.x_mean, dtype=float)[None]
        fixed, varying = design.scaling.features(at, design.factors[factor].terms)
        eta = (posterior.coefficients() @ fixed[0])[:, None]
        eta = eta + effects.of_factor(factor) @ varying[0]
        mean = design.family.inverse_link(eta)
        out[0, :, 0] = mean.mean(axis=0)
        out[1:, :, 0] = np.quantile(mean, [tail, 1 - tail], axis=0)
    return dict(zip(names, out.reshape(3, -1), strict=True))
