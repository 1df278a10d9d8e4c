"""Where the variance lies when the response is not normal.

Components, their shares and intraclass correlations are on the scale of the link, to which a
row adds a variance that belongs to its distribution (Nakagawa, Johnson & Schielzeth 2017,
https://doi.org/10.1098/rsif.2017.0213): pi^2 / 3 for the logit, psi'(1 / (1 / m + 1 / alpha))
for counts of mean m, psi' being the trigamma function, and the variance of Student's t.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import polygamma

from skhbm._posterior.hierarchical import flat
from skhbm._posterior.variance import pooling_factor, summary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skhbm._design.responses import ResponseDesign
    from skhbm._posterior.response_effects import DrawnEffects
    from skhbm._posterior.responses import ResponsePosterior
    from skhbm._types import Float

__all__ = ["response_partition", "response_r2", "response_variances"]

#: Numbers in a block of draws times patterns.
BLOCK = 2**22


def response_variances(effects: DrawnEffects, probability: float) -> Mapping[str, Any]:
    """Return the columns of the table of variance components, the distribution's last."""
    posterior = effects.posterior
    factors = posterior.design.factors
    sds = [flat(posterior.scales_at_zero(f).tau) for f in range(len(factors))]
    residual = _latent_variance(posterior)
    icc = [np.full(sd.shape, np.nan) for sd in sds]
    varying = [f for f, factor in enumerate(factors) if factor.terms.varying_intercept]
    total = residual + sum(sds[f][:, 0] ** 2 for f in varying)
    for f in varying:
        icc[f][:, 0] = sds[f][:, 0] ** 2 / total
    pooling = []
    for f, factor in enumerate(factors):
        drawn = effects.of_factor(f)
        natural = posterior.design.scaling.natural_effects(drawn, factor.terms)
        if natural.shape[1] < 2:
            pooling.append(np.full(natural.shape[2], np.nan))
        else:
            between = np.var(natural, axis=1, ddof=1).mean(axis=0)
            pooling.append(pooling_factor(natural.mean(axis=0), between))
    names = [factor.levels.name for factor in factors for _ in factor.terms.varying]
    terms = [term for factor in factors for term in factor.terms.varying]
    sd = np.hstack([*sds, np.sqrt(residual)[:, None]])
    columns = {
        "factor": np.array([*names, "residual"], dtype=object),
        "coefficient": np.array([*terms, ""], dtype=object),
        **_with_bounds("sd", sd, probability),
        "variance": (sd**2).mean(axis=0),
        **_with_bounds("icc", np.hstack([*icc, np.full((len(sd), 1), np.nan)]), probability),
    }
    return {**columns, "pooling": np.concatenate([*pooling, [np.nan]])}


def response_partition(
    posterior: ResponsePosterior, probability: float
) -> tuple[list[str], Mapping[str, Any]]:
    """Return names of the parts of a row's variance, and the columns of their table."""
    between = between_variances(posterior)
    names = [factor.levels.name for factor in posterior.design.factors if factor.terms.varying]
    parts = [*between, _latent_variance(posterior)]
    names = [*names, "residual"]
    if posterior.design.terms.features:
        names.insert(0, "population")
        parts.insert(0, _population_variance(posterior))
    variance = np.column_stack(parts)
    # The variance of Student's t is infinite in draws with nu below 2: it is all there is.
    infinite = np.isinf(variance)
    finite = np.where(infinite.any(axis=1, keepdims=True), infinite, variance)
    share = finite / finite.sum(axis=1, keepdims=True)
    columns = _with_bounds("variance", variance, probability)
    return names, {**columns, **_with_bounds("share", share, probability)}


def response_r2(
    effects: DrawnEffects, probability: float
) -> tuple[list[str], Mapping[str, Any]]:
    """Return names and columns of the table of Bayesian R^2 (Gelman et al. 2019).

    The conditional R^2 is the variance over rows of their means, given effects, over that plus
    the mean of the rows' variances. The marginal R^2 is that of linear predictors without
    effects, on the scale of the link (Nakagawa & Schielzeth 2013).
    """
    posterior = effects.posterior
    explained, residual = _fitted_variances(effects)
    population = _population_variance(posterior)
    total = population + sum(between_variances(posterior)) + _latent_variance(posterior)
    draws = np.column_stack([explained / (explained + residual), population / total])
    mean, lower, upper = summary(draws, probability)
    columns = {"mean": mean, "sd": draws.std(axis=0), "lower": lower, "upper": upper}
    return ["conditional", "marginal"], columns


def between_variances(posterior: ResponsePosterior) -> list[Float]:
    """Return the mean of z'Sigma z over rows in each draw (n_draws,), of factors that vary."""
    design = posterior.design
    n, out = design.patterns.n, []
    for factor, cov in zip(design.factors, posterior.covariances(), strict=True):
        if factor.terms.varying:
            z = design.scaling.features(design.patterns.X, factor.terms)[1]
            products = (n[:, None] * z).T @ z / n.sum()
            out.append(np.einsum("sab,ab->s", cov, products))
    return out


def _population_variance(posterior: ResponsePosterior) -> Float:
    """Return the variance of x'beta over rows in each draw (n_draws,)."""
    design = posterior.design
    fixed = design.scaling.features(design.patterns.X, design.terms)[0]
    n = design.patterns.n
    centred = fixed - n @ fixed / n.sum()
    products = (n[:, None] * centred).T @ centred / max(n.sum() - 1, 1.0)
    w = posterior.coefficients()
    return np.asarray(np.einsum("sa,ab,sb->s", w, products, w, optimize=True))


def _latent_variance(posterior: ResponsePosterior) -> Float:
    """Return the variance of a row on the scale of the link, given its mean (n_draws,)."""
    family, dispersion = posterior.design.family, posterior.dispersions()
    if family.link == "logit":
        return np.full(posterior.n_draws, np.pi**2 / 3)
    if family.link == "identity":
        return np.asarray(family.variance(1.0, 0.0, dispersion))
    mean = _mean_count(posterior)
    alpha = dispersion[0] if dispersion else np.inf
    return np.asarray(polygamma(1, 1 / (1 / mean + 1 / alpha)))


def _mean_count(posterior: ResponsePosterior) -> Float:
    """Return the mean count of a row of average linear predictor and exposure (n_draws,)."""
    design = posterior.design
    patterns = design.patterns
    fixed = design.scaling.features(patterns.X, design.terms)[0]
    share = patterns.n / patterns.n.sum()
    center = (fixed.T @ share) @ posterior.coefficients().T + np.log(_mean_size(design))
    return np.exp(center + 0.5 * sum(between_variances(posterior)))


def _mean_size(design: ResponseDesign) -> float:
    """Return the mean exposure of a row, whatever rows are taken together in patterns."""
    patterns = design.patterns
    return float(patterns.weight @ patterns.size / patterns.n.sum())


def _fitted_variances(effects: DrawnEffects) -> tuple[Float, Float]:
    """Return variances of rows' means, and means of rows' variances, in each draw (n_draws,).

    Of binomial responses a row is a trial. Of counts rows have the mean exposure, and count in
    proportion to their exposure. Either way it does not matter which rows are alike, and thus
    taken together.
    """
    posterior = effects.posterior
    design, patterns = posterior.design, posterior.design.patterns
    family, weight = design.family, patterns.weight * patterns.size
    size = _mean_size(design) if family.link == "log" else 1.0
    explained, residual = np.empty(posterior.n_draws), np.empty(posterior.n_draws)
    w, dispersion = posterior.coefficients(), posterior.dispersions()
    fixed = design.scaling.features(patterns.X, design.terms)[0]
    terms = [design.scaling.features(patterns.X, f.terms)[1] for f in design.factors]
    share = weight / weight.sum()
    step = max(1, BLOCK // len(share))
    for first in range(0, len(w), step):
        some = slice(first, first + step)
        eta = w[some] @ fixed.T
        for f, z in enumerate(terms):
            drawn = effects.of_factor(f)[some]
            for a in range(z.shape[1]):
                eta += z[:, a] * drawn[:, design.codes(f), a]
        given = tuple(draws[some, None] for draws in dispersion)
        mean = family.mean(size, eta, given)
        explained[some] = (mean - (mean @ share)[:, None]) ** 2 @ share
        residual[some] = family.variance(size, eta, given) @ share
    return explained, residual


def _with_bounds(name: str, draws: Float, probability: float) -> dict[str, Float]:
    """Return mean and bounds of draws (n_draws, n) as columns."""
    mean, lower, upper = summary(draws, probability)
    return {name: mean, f"{name}_lower": lower, f"{name}_upper": upper}
