"""Posterior predictive means, variances, quantiles, densities and samples of new rows.

Rows are computed in blocks, so that memory grows with the rows and not with rows times draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from skhbm._posterior.effects_one_factor import covariance_of_units
from skhbm._posterior.nodes import all_nodes, condensed, joint_effects
from skhbm._prediction import mixtures as of_mixtures
from skhbm._prediction.linear_predictors import (
    WIDER,
    blocks,
    linear_predictors,
    row_terms,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skhbm._inputs.rows import Rows
    from skhbm._posterior.moments import GroupMoments
    from skhbm._posterior.posterior import Posterior
    from skhbm._types import Float, Int


__all__ = [
    "at_targets",
    "covariance",
    "log_density",
    "mixtures",
    "moments",
    "quantiles",
    "ranked_score",
    "samples",
]

#: Rows whose moments are computed at a time.
BLOCK = 16_384
#: Smallest standard deviation of a component of a mixture, in working units.
NARROWEST = 1e-9


def moments(
    posterior: Posterior,
    of_groups: GroupMoments,
    rows: Rows,
    *,
    with_sd: bool,
    with_noise: bool = True,
) -> tuple[Float, Float | None]:
    """Return predictive means (n,) and standard deviations (n,) in units of y.

    Without noise, here and in the functions below, predictions are of the expectation of y
    given its group, not of y.
    """
    scaling = posterior.design.scaling
    mean = np.empty(len(rows))
    for block in blocks(len(rows), BLOCK):
        mean[block] = _means(posterior, of_groups, rows[block])
    if not with_sd:
        return scaling.y_mean + scaling.y_scale * mean, None
    if posterior.points is not None:
        variance = _joint_variances(posterior, rows)
    else:
        variance = np.empty(len(rows))
        for block in blocks(len(rows), BLOCK):
            variance[block] = _variances(posterior, of_groups, rows[block])
    if with_noise:
        variance += _mean_noise(posterior)[rows.codes()]
    return (
        scaling.y_mean + scaling.y_scale * mean,
        scaling.y_scale * np.sqrt(np.maximum(variance, 0.0)),
    )


def _means(posterior: Posterior, of_groups: GroupMoments, rows: Rows) -> Float:
    """Return the means (n,) of the linear predictors of rows."""
    design = posterior.design
    fixed = design.scaling.features(rows.X, design.terms)[0]
    # One row at a time, so that a row is predicted alike alone and among others.
    out = np.einsum("if,f->i", fixed, of_groups.population)
    for f, (factor, level) in enumerate(zip(design.factors, of_groups.levels, strict=True)):
        varying = design.scaling.features(rows.X, factor.terms)[1]
        # The entry at index -1 is that of a group that was not seen.
        out += np.sum(varying * _with_new(level.mean)[rows.codes(f)], axis=1)
    return out


def _variances(posterior: Posterior, of_groups: GroupMoments, rows: Rows) -> Float:
    """Return the variances (n,) of the linear predictors of rows, with one factor."""
    design, level = posterior.design, of_groups.levels[0]
    fixed, varying = design.scaling.features(rows.X, design.terms)
    code = rows.codes()
    effect_cov = np.concatenate([level.cov, of_groups.new_cov[None]])[code]
    cross_cov = _with_new(level.cross)[code]
    variance = np.sum((fixed @ of_groups.population_cov) * fixed, axis=1)
    for a in range(varying.shape[1]):
        half = 0.5 * np.sum(effect_cov[:, a] * varying, axis=1)
        half += np.sum(cross_cov[:, a] * fixed, axis=1)
        variance += 2.0 * varying[:, a] * half
    return variance


def _joint_variances(posterior: Posterior, rows: Rows) -> Float:
    """Return the variances (n,) of the linear predictors of rows, with several factors.

    Effects of different factors depend on each other: they are those of the row's combination
    of groups, whether it occurs in the data or not.
    """
    effects, out = joint_effects(posterior), np.empty(len(rows))
    weight = effects.nodes.weight
    for block in blocks(len(rows), max(1, WIDER // len(weight))):
        mean, variance = effects.seen_predictors(row_terms(posterior, rows[block]))
        center = mean @ weight
        out[block] = variance @ weight + (mean - center[:, None]) ** 2 @ weight
    for f, cov in enumerate(posterior.covariances()):
        new = rows.codes(f) < 0
        z = posterior.design.scaling.features(rows.X[new], posterior.design.factors[f].terms)[1]
        out[new] += np.einsum("ia,ab,ib->i", z, cov.mean(axis=0), z)
    return out


def _with_new(effect: Float) -> Float:
    """Append zero, the average of a group that was not seen."""
    return np.concatenate([effect, np.zeros((1, *effect.shape[1:]))])


def _mean_noise(posterior: Posterior) -> Float:
    """Return the mean residual variance of each group and, last, of a new one."""
    noise = np.mean(posterior.noise() ** 2, axis=0)
    n_groups = posterior.design.factors[0].n_groups
    return np.append(np.broadcast_to(noise, n_groups), posterior.new_noise())


def covariance(posterior: Posterior, rows: Rows, *, with_noise: bool = True) -> Float:
    """Return the joint predictive covariance (n, n): noise, effects and parameters.

    It is the covariance of the conditional means plus the mean of the conditional
    covariances, which are zero between rows of different units.
    """
    design = posterior.design
    scaling = design.scaling
    if posterior.points is not None:
        total = joint_effects(posterior).row_covariance(row_terms(posterior, rows))
        for f, cov in enumerate(posterior.covariances()):
            unit, codes = rows.units(f)
            new = np.where(codes[:, None, None] < 0, cov.mean(axis=0), 0.0)
            z = scaling.features(rows.X, design.factors[f].terms)[1]
            total += covariance_of_units(z, new, unit)
    else:
        total = _one_factor_covariance(posterior, rows)
    if with_noise:
        total += np.diag(_mean_noise(posterior)[rows.codes()])
    return scaling.y_scale**2 * 0.5 * (total + total.T)


def _one_factor_covariance(posterior: Posterior, rows: Rows) -> Float:
    """Return the covariance (n, n) of the linear predictors of rows, with one factor."""
    design = posterior.design
    fixed, varying = design.scaling.features(rows.X, design.terms)
    center = posterior.coefficients().mean(axis=0)
    unit, codes = rows.units()
    mean = np.empty((len(rows), posterior.n_draws))
    for block, predictors, _ in linear_predictors(posterior, rows):
        mean[block] = predictors - (fixed[block] @ center)[:, None]
    mean -= mean.mean(axis=1, keepdims=True)
    total = mean @ mean.T / posterior.n_draws
    return total + posterior.conditional_effects().row_covariance(varying, codes, unit)


def quantiles(
    posterior: Posterior,
    rows: Rows,
    probabilities: Float,
    errors: Float | None = None,
    *,
    with_noise: bool = True,
) -> Float:
    """Return quantiles (n, n_quantiles) of the mixture over draws.

    Where no component has variance, they are quantiles of the draws. If y has known `errors`
    (n,) of its own, they are part of the mixture, as in the functions below.
    """
    out = np.empty((len(rows), len(probabilities)))
    scores = ndtri(probabilities)
    for block, mean, sd in mixtures(posterior, rows, errors, with_noise=with_noise):
        points = np.all(sd <= NARROWEST, axis=1)
        wide = np.flatnonzero(~points)
        out[block[wide]] = of_mixtures.quantiles(mean[wide], sd[wide], probabilities, scores)
        out[block[points]] = np.quantile(mean[points], probabilities, axis=1).T
    scaling = posterior.design.scaling
    return scaling.y_mean + scaling.y_scale * out


def log_density(
    posterior: Posterior, rows: Rows, y: Float, errors: Float | None = None
) -> Float:
    """Return the log density (n,) of the mixture over draws at y."""
    values = at_targets(of_mixtures.log_densities, posterior, rows, y, errors)
    return values - np.log(posterior.design.scaling.y_scale)


def ranked_score(
    posterior: Posterior, rows: Rows, y: Float, errors: Float | None = None
) -> Float:
    """Return the continuous ranked probability score (n,) of the mixture, in units of y."""
    values = at_targets(of_mixtures.ranked_scores, posterior, rows, y, errors)
    return values * posterior.design.scaling.y_scale


def at_targets(
    function: Callable[[Float, Float, Float], Float],
    posterior: Posterior,
    rows: Rows,
    y: Float,
    errors: Float | None,
) -> Float:
    """Return a function (n,) of mean, sd and target of each row's mixture, in working units."""
    scaling = posterior.design.scaling
    standard = (y - scaling.y_mean) / scaling.y_scale
    out = np.empty(len(rows))
    for block, mean, sd in mixtures(posterior, rows, errors):
        out[block] = function(mean, sd, standard[block])
    return out


def samples(
    posterior: Posterior,
    rows: Rows,
    n_samples: int,
    rng: np.random.RandomState,
    *,
    with_noise: bool = True,
) -> Float:
    """Draw y (n, n_samples) jointly, with the same effects in all rows of a unit.

    Noise is drawn in any case, so that a seed gives the same effects with and without it.
    """
    scaling, w = posterior.design.scaling, posterior.coefficients()
    unit_of, codes = rows.units()
    noise, noise_new = posterior.noise(), posterior.sigma_new.ravel() / scaling.y_scale
    chosen = _spread_draws(len(w), n_samples, rng)
    out = np.empty((len(rows), n_samples))
    drawn = _drawn_effects(posterior, rows, chosen, rng)
    for k, (s, effects) in enumerate(zip(chosen, drawn, strict=True)):
        scale = np.where(codes >= 0, noise[s][codes % noise.shape[1]], noise_new[s])
        scale = scale if with_noise else np.zeros_like(scale)
        for block in blocks(len(rows), BLOCK):
            some = rows[block]
            out[block, k] = scaling.features(some.X, posterior.design.terms)[0] @ w[s]
            for factor, (effect, unit) in zip(posterior.design.factors, effects, strict=True):
                varying = scaling.features(some.X, factor.terms)[1]
                out[block, k] += np.sum(varying * effect[unit[block]], axis=1)
            unit = unit_of[block]
            out[block, k] += scale[unit] * rng.standard_normal(len(unit))
    return scaling.y_mean + scaling.y_scale * out


def _drawn_effects(
    posterior: Posterior, rows: Rows, chosen: Int, rng: np.random.RandomState
) -> Iterator[list[tuple[Float, Int]]]:
    """Yield for each chosen draw the effects of units (n_units, q) and the rows' units.

    There is a pair of them for each factor.
    """
    units = [rows.units(f) for f in range(len(rows.keys))]
    if posterior.points is None:
        effects, (unit, codes) = posterior.conditional_effects(), units[0]
        q = len(posterior.design.terms.varying)
        for s in chosen:
            effect = rng.standard_normal((1, len(codes), q))
            effects.draw(codes, effect, slice(s, s + 1))
            yield [(effect[0], unit)]
        return
    nodes, w = all_nodes(posterior), posterior.coefficients()
    roots = posterior.covariance_roots()
    for s in chosen:
        given = joint_effects(posterior, nodes.some(slice(s, s + 1)))
        drawn = given.draw(w[s : s + 1], rng.standard_normal((1, given.n_effects)))
        out = []
        for root, effect, (unit, codes) in zip(roots, drawn, units, strict=True):
            new = rng.standard_normal((len(codes), root.shape[1])) @ root[s].T
            out.append((np.where(codes[:, None] < 0, new, effect[0][codes]), unit))
        yield out


def _spread_draws(n_draws: int, n_samples: int, rng: np.random.RandomState) -> Int:
    """Choose draws at random, of which none comes twice before all were used once."""
    rounds = -(-n_samples // n_draws)
    return np.concatenate([rng.permutation(n_draws) for _ in range(rounds)])[:n_samples]


def mixtures(
    posterior: Posterior, rows: Rows, errors: Float | None = None, *, with_noise: bool = True
) -> Iterator[tuple[Int, Float, Float]]:
    """Yield positions of rows with the mean and sd (rows, draws) of their mixtures.

    They are mixtures of y, which has known errors (n,) of its own if these are given.
    """
    posterior = condensed(posterior)
    scale = posterior.design.scaling.y_scale
    noise = np.ascontiguousarray(posterior.noise().T)
    new = posterior.sigma_new.ravel() / scale
    if not with_noise:
        noise, new = np.zeros((1, len(new))), np.zeros_like(new)
    extra = np.zeros(len(rows)) if errors is None else errors / scale
    codes = rows.codes()
    for block, mean, variance in linear_predictors(posterior, rows):
        # A linear predictor without variance in a draw gets a narrow distribution.
        of_mixtures.add_noise(variance, noise, new, codes[block], extra[block], NARROWEST)
        yield block, mean, variance
