"""Posterior predictive means, variances, quantiles, densities and samples of new rows.

Rows are computed in blocks, so that memory grows with the rows and not with rows times draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from skhbm._inputs.rows import numbered
from skhbm._posterior.effects import covariance_roots
from skhbm._posterior.effects_one_factor import covariance_of_units
from skhbm._prediction import mixtures as of_mixtures
from skhbm._prediction.linear_predictors import blocks, linear_predictors

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
#: Combinations of groups whose moments are computed at a time.
COMBINATIONS = 64
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
    design = posterior.design
    scaling = design.scaling
    if with_sd and design.others:
        return _joint_moments(posterior, rows, with_noise)
    codes, mean = rows.codes, np.empty(len(rows))
    sd = np.empty(len(rows)) if with_sd else None
    # The entry at index -1 is that of a group that was not seen.
    effect = _with_new(of_groups.effect)
    effect_cov = np.concatenate([of_groups.effect_cov, of_groups.new_cov[None]])
    cross_cov = _with_new(of_groups.cross_cov)
    noise = np.append(of_groups.noise, of_groups.noise_new)
    noise = noise if with_noise else np.zeros_like(noise)
    others = [
        _with_new(posterior.working_effects(f).mean(axis=(0, 1)))
        for f in range(len(rows.others))
    ]
    for block in blocks(len(rows), BLOCK):
        fixed, varying = scaling.features(rows.X[block], design.terms)
        code = codes[block]
        # One row at a time, so that a row is predicted alike alone and among others.
        mean[block] = np.einsum("if,f->i", fixed, of_groups.population) + np.sum(
            varying * effect[code], axis=1
        )
        for other, keys, u in zip(design.others, rows.others, others, strict=True):
            z = scaling.features(rows.X[block], other.terms)[1]
            mean[block] += np.sum(z * u[np.maximum(keys[block], -1)], axis=1)
        if sd is not None:
            variance = noise[code] + np.sum((fixed @ of_groups.population_cov) * fixed, axis=1)
            for a in range(varying.shape[1]):
                half = 0.5 * np.sum(effect_cov[code, a] * varying, axis=1)
                half += np.sum(cross_cov[code, a] * fixed, axis=1)
                variance += 2.0 * varying[:, a] * half
            sd[block] = scaling.y_scale * np.sqrt(np.maximum(variance, 0.0))
    return scaling.y_mean + scaling.y_scale * mean, sd


def _with_new(effect: Float) -> Float:
    """Append zero, the average of a group that was not seen."""
    return np.concatenate([effect, np.zeros((1, *effect.shape[1:]))])


def _joint_moments(posterior: Posterior, rows: Rows, with_noise: bool) -> tuple[Float, Float]:
    """Return predictive means (n,) and standard deviations (n,) with several factors.

    Effects of different factors depend on each other. So the joint moments of coefficients and
    effects are computed for each combination of groups, once for all rows that have it.
    """
    design = posterior.design
    scaling = design.scaling
    keys = np.column_stack([np.maximum(k, -1) for k in (rows.keys, *rows.others)])
    distinct, which = np.unique(keys, axis=0, return_inverse=True)
    mean, variance = np.empty(len(rows)), _mean_noise(posterior, with_noise)[rows.codes]
    order = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[order], np.arange(len(distinct) + 1))
    for some in blocks(len(distinct), COMBINATIONS):
        center, cov = _combination_moments(posterior, distinct[some])
        with_these = order[ends[some.start] : ends[some.stop]]
        for part in blocks(len(with_these), BLOCK):
            at = with_these[part]
            X = rows.X[at]
            fixed, varying = scaling.features(X, design.terms)
            others = [scaling.features(X, other.terms)[1] for other in design.others]
            a = np.hstack([fixed, varying, *others])
            c = which[at] - some.start
            mean[at] = np.sum(a * center[c], axis=1)
            variance[at] += np.einsum("id,ide,ie->i", a, cov[c], a, optimize=True)
    sd = scaling.y_scale * np.sqrt(np.maximum(variance, 0.0))
    return scaling.y_mean + scaling.y_scale * mean, sd


def _combination_moments(posterior: Posterior, keys: Int) -> tuple[Float, Float]:
    """Return means (n, d) and covariances (n, d, d) of (w, u of each factor) of combinations.

    keys (n, n_factors), the integrated factor's first, are -1 for a new group.
    """
    w = posterior.coefficients()
    n, n_draws, p = len(keys), *w.shape
    # Combinations come in order, so that there are few groups of the integrated factor here.
    groups, unit = np.unique(keys[:, 0], return_inverse=True)
    u, cov_u = posterior.conditional_effects().conditional_moments(groups)
    parts = [np.broadcast_to(w[:, None], (n_draws, n, p)), u[:, unit]]
    extra = [np.zeros((n, p, p)), cov_u[unit]]
    for f, cov in enumerate(posterior.other_covariances()):
        code = keys[:, 1 + f]
        drawn = posterior.working_effects(f).reshape(n_draws, -1, cov.shape[1])
        parts.append(np.where(code[:, None] < 0, 0.0, drawn[:, code]))
        extra.append(np.where(code[:, None, None] < 0, cov.mean(axis=0), 0.0))
    v = np.concatenate(parts, axis=2).transpose(1, 2, 0)
    center = v.mean(axis=2)
    v = v - center[:, :, None]
    total = v @ v.mT / n_draws
    first = 0
    for block in extra:
        last = first + block.shape[1]
        total[:, first:last, first:last] += block
        first = last
    return center, total


def _mean_noise(posterior: Posterior, with_noise: bool) -> Float:
    """Return the mean residual variance of each group and, last, of a new one."""
    if not with_noise:
        return np.zeros(posterior.design.n_groups + 1)
    noise = np.mean(posterior.noise() ** 2, axis=0)
    return np.append(np.broadcast_to(noise, posterior.design.n_groups), posterior.new_noise())


def covariance(posterior: Posterior, rows: Rows, *, with_noise: bool = True) -> Float:
    """Return the joint predictive covariance (n, n): noise, effects and parameters.

    It is the covariance of the conditional means plus the mean of the conditional
    covariances, which are zero between rows of different units.
    """
    design = posterior.design
    scaling, n = design.scaling, len(rows)
    fixed, varying = scaling.features(rows.X, design.terms)
    center = posterior.coefficients().mean(axis=0)
    unit, codes = rows.units()
    mean = np.empty((n, posterior.n_draws))
    for block, predictors, _ in linear_predictors(posterior, rows):
        mean[block] = predictors - (fixed[block] @ center)[:, None]
    mean -= mean.mean(axis=1, keepdims=True)
    total = mean @ mean.T / posterior.n_draws
    total += posterior.conditional_effects().row_covariance(varying, codes, unit)
    for other, keys, cov in zip(
        design.others, rows.others, posterior.other_covariances(), strict=True
    ):
        unit, codes = numbered(keys)
        new = np.where(codes[:, None, None] < 0, cov.mean(axis=0), 0.0)
        z = scaling.features(rows.X, other.terms)[1]
        total += covariance_of_units(z, new, unit)
    total += np.diag(_mean_noise(posterior, with_noise)[rows.codes])
    return scaling.y_scale**2 * 0.5 * (total + total.T)


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
    design = posterior.design
    scaling = design.scaling
    effects, w = posterior.conditional_effects(), posterior.coefficients()
    q = len(design.terms.varying)
    unit_of, codes = rows.units()
    noise, noise_new = posterior.noise(), posterior.sigma_new.ravel() / scaling.y_scale
    chosen = _spread_draws(len(w), n_samples, rng)
    out = _sampled_offsets(posterior, rows, chosen, rng)
    for k, s in enumerate(chosen):
        effect = rng.standard_normal((1, len(codes), q))
        effects.draw(codes, effect, slice(s, s + 1))
        scale = np.where(codes >= 0, noise[s][codes % noise.shape[1]], noise_new[s])
        scale = scale if with_noise else np.zeros_like(scale)
        for block in blocks(len(rows), BLOCK):
            fixed, varying = scaling.features(rows.X[block], design.terms)
            unit = unit_of[block]
            out[block, k] += fixed @ w[s] + np.sum(varying * effect[0, unit], axis=1)
            out[block, k] += scale[unit] * rng.standard_normal(len(unit))
    return scaling.y_mean + scaling.y_scale * out


def _sampled_offsets(
    posterior: Posterior, rows: Rows, chosen: Int, rng: np.random.RandomState
) -> Float:
    """Return what the other factors add (n, n_samples), after drawing effects of new groups."""
    design = posterior.design
    out = np.zeros((len(rows), len(chosen)))
    covariances = posterior.other_covariances()
    for f, (other, keys) in enumerate(zip(design.others, rows.others, strict=True)):
        unit, codes = numbered(keys)
        draws = posterior.working_effects(f).reshape(posterior.n_draws, other.n_groups, -1)
        z = design.scaling.features(rows.X, other.terms)[1]
        roots = covariance_roots(covariances[f])
        for k, s in enumerate(chosen):
            new = rng.standard_normal((len(codes), z.shape[1])) @ roots[s].T
            effect = np.where(codes[:, None] < 0, new, draws[s, codes])
            out[:, k] += np.sum(z * effect[unit], axis=1)
    return out


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
    scale = posterior.design.scaling.y_scale
    noise = np.ascontiguousarray(posterior.noise().T)
    new = posterior.sigma_new.ravel() / scale
    if not with_noise:
        noise, new = np.zeros((1, len(new))), np.zeros_like(new)
    extra = np.zeros(len(rows)) if errors is None else errors / scale
    codes = rows.codes
    for block, mean, variance in linear_predictors(posterior, rows):
        # A linear predictor without variance in a draw gets a narrow distribution.
        of_mixtures.add_noise(variance, noise, new, codes[block], extra[block], NARROWEST)
        yield block, mean, variance
