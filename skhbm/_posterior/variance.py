"""Where the variance lies: components, their shares, and R^2, from statistics of cells.

With the centred cross-products S_c and the mean of the rows of each cell, the variance over
rows of a linear predictor eta = x'beta + sum_f z_f'u_f is exact without the rows:

    (N - 1) Var(eta) = sum_c b_c'S_c b_c + sum_c n_c (m_c - m)^2,

b_c being the coefficients of the cell's groups, m_c the mean of eta in the cell and m that of
all rows. Rows count alike. Where errors are known, statistics within a cell are weighted by
precisions, and are taken as if the rows of the cell had equal errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._numba.jit import JIT, njit
from skhbm._numba.threads import in_slices
from skhbm._posterior.effect_draws import effect_blocks, natural_effects
from skhbm._posterior.hierarchical import flat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from skhbm._design.terms import Terms
    from skhbm._posterior.posterior import Posterior
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float, Int


__all__ = [
    "fitted_variances",
    "partition_columns",
    "pooling_factor",
    "r2_columns",
    "summary",
    "typical_variance",
    "variance_columns",
]

#: Effects that are drawn for a table; 4000 draws of 25,000 effects are so many.
MOST = 10**8


def variance_columns(
    posterior: Posterior, statistics: GroupedStatistics, probability: float
) -> Mapping[str, Any]:
    """Return the columns of the table of variance components, the residual last.

    The intraclass correlation of a factor is the share of its intercepts' variance in the sum
    of the variances of the intercepts of all factors and the residual (Gelman & Hill 2007,
    p. 258). It is the correlation, at x = 0, of two rows of one group that share no group of
    another factor. Slopes have other units and no such correlation. By-group residual
    variances are averaged over rows. Known errors are no component; they enter by their
    typical variance, so that the correlation is the I^2 of meta-analysis.
    """
    residual = _residual_variance(posterior, statistics)
    factors = posterior.design.factors
    sds = [flat(posterior.scales_at_zero(f).tau) for f in range(len(factors))]
    icc = _intraclass(posterior, sds, residual)
    names = [factor.levels.name for factor in factors for _ in factor.terms.varying]
    coefficients = [term for factor in factors for term in factor.terms.varying]
    pooling = _factor_poolings(_affordable(posterior))
    if not posterior.design.terms.known:
        names, coefficients = [*names, "residual"], [*coefficients, ""]
        sds.append(np.sqrt(residual)[:, None])
        icc.append(np.full((posterior.n_draws, 1), np.nan))
        pooling.append(np.array([np.nan]))
    sd = np.hstack(sds)
    mean, lower, upper = summary(sd, probability)
    columns = {
        "factor": np.array(names, dtype=object),
        "coefficient": np.array(coefficients, dtype=object),
        "sd": mean,
        "sd_lower": lower,
        "sd_upper": upper,
        "variance": (sd**2).mean(axis=0),
    }
    shares = summary(np.hstack(icc), probability)
    columns |= dict(zip(("icc", "icc_lower", "icc_upper"), shares, strict=True))
    return {**columns, "pooling": np.concatenate(pooling)}


def _intraclass(posterior: Posterior, sds: list[Float], residual: Float) -> list[Float]:
    """Return each factor's intraclass correlations (n_draws, q), NaN of slopes."""
    out = [np.full(sd.shape, np.nan) for sd in sds]
    total = residual.copy()
    factors = posterior.design.factors
    varying = [f for f, factor in enumerate(factors) if factor.terms.varying_intercept]
    for f in varying:
        total += sds[f][:, 0] ** 2
    for f in varying:
        out[f][:, 0] = sds[f][:, 0] ** 2 / total
    return out


def partition_columns(
    posterior: Posterior, statistics: GroupedStatistics, probability: float
) -> tuple[list[str], Mapping[str, Any]]:
    """Return names of the parts of a row's variance, and the columns of their table.

    The parts are the variance of x'beta over rows, the mean over rows of z'Sigma z (Johnson
    2014) of each factor, and the residual variance. In each draw shares sum to one.
    """
    between = _between_variances(posterior, statistics)
    residual = _residual_variance(posterior, statistics)
    names, parts = [*between, "residual"], [*between.values(), residual]
    if posterior.design.terms.features:
        names.insert(0, "population")
        parts.insert(0, _population_variance(posterior, statistics))
    variance = np.column_stack(parts)
    columns: dict[str, Any] = {}
    share = variance / variance.sum(axis=1, keepdims=True)
    for name, draws in (("variance", variance), ("share", share)):
        mean, lower, upper = summary(draws, probability)
        columns |= {name: mean, f"{name}_lower": lower, f"{name}_upper": upper}
    return names, columns


def r2_columns(
    posterior: Posterior, statistics: GroupedStatistics, probability: float
) -> tuple[list[str], Mapping[str, Any]]:
    """Return names and columns of the table of Bayesian R^2.

    The conditional R^2 is the variance of fitted values, group effects included, over that
    variance plus the residual one (Gelman et al. 2019, eq. 3). In the marginal R^2 the fitted
    values have population coefficients only, and the effects belong to the residual
    (Nakagawa & Schielzeth 2013, eq. 26).
    """
    posterior = _affordable(posterior)
    marginal, conditional = fitted_variances(posterior, statistics)
    residual = _residual_variance(posterior, statistics)
    between = sum(_between_variances(posterior, statistics).values())
    draws = np.column_stack(
        [
            conditional / (conditional + residual),
            marginal / (marginal + between + residual),
        ]
    )
    mean, lower, upper = summary(draws, probability)
    columns = {"mean": mean, "sd": draws.std(axis=0), "lower": lower, "upper": upper}
    return ["conditional", "marginal"], columns


def fitted_variances(
    posterior: Posterior, statistics: GroupedStatistics
) -> tuple[Float, Float]:
    """Return variances over rows of x'beta and of x'beta plus effects, in each draw.

    Variances are in squared units of y, with N - 1 in the denominator. The draws of the
    effects are the same as in `posterior_`.
    """
    population = _population_variance(posterior, statistics)
    design = posterior.design
    if not design.terms.varying:
        return population, population
    n, mean, cross = _row_moments(statistics)
    beta = _coefficients(posterior)
    every = [factor.terms for factor in design.factors]
    slopes = np.unique(np.concatenate([terms.slopes for terms in every]))
    widths = [len(terms.varying) for terms in every]
    sizes = [factor.n_groups for factor in design.factors]
    first = _first_effects(statistics.codes, widths, sizes)
    positions = np.concatenate([_positions(terms, slopes) for terms in every])
    centred = mean - n @ mean / n.sum()
    Z = np.column_stack([np.ones(len(n)), mean[:, slopes]])
    by_slope = np.ascontiguousarray(cross[:, slopes])
    extra = np.empty(posterior.n_draws)

    for block, effects in _every_effect(posterior):

        def fill(part: slice, of: slice = block, effects: Float = effects) -> None:
            draws = slice(of.start + part.start, of.start + part.stop)
            _add_effects(
                beta[draws], effects[part], first, np.array(widths), positions, n, centred, Z,
                by_slope, slopes, extra[draws],
            )  # fmt: skip

        in_slices(fill, len(effects), 2)
    within = np.einsum("sk,kl,sl->s", beta, cross.sum(axis=0), beta, optimize=True)
    return population, np.maximum(within + extra, 0.0) / (n.sum() - 1)


def _affordable(posterior: Posterior) -> Posterior:
    """Return the posterior, or every k-th draw where there would be very many effects."""
    n_effects = sum(f.n_groups * len(f.terms.varying) for f in posterior.design.factors)
    return posterior.thinned(1 + posterior.n_draws * n_effects // MOST)


def _every_effect(posterior: Posterior) -> Iterator[tuple[slice, Float]]:
    """Yield draws and their effects (s, n_effects), by factor, group and term."""
    for draws, working in effect_blocks(posterior):
        natural = natural_effects(posterior, working)
        yield draws, np.hstack([part.reshape(len(part), -1) for part in natural])


def _first_effects(codes: Int, widths: list[int], sizes: list[int]) -> Int:
    """Return where the effects of the groups of cells (n_cells, n_factors) begin among all."""
    totals = np.array(widths) * np.array(sizes)
    return codes * np.array(widths) + (np.cumsum(totals) - totals)


def _positions(terms: Terms, slopes: Int) -> Int:
    """Return the positions of a factor's varying terms among the intercept and `slopes`."""
    positions = 1 + np.searchsorted(slopes, terms.slopes)
    return np.concatenate([[0], positions]) if terms.varying_intercept else positions


@njit(**JIT)
def _add_effects(beta, effects, first, widths, positions, n, centred, Z, cross, slopes, out):
    """Fill out (s,) with the sums over cells that involve the effects (s, n_effects).

    The effects of a cell's groups begin at first (n_cells, n_factors). `positions` has the
    columns of Z that belong to the terms of all factors; its columns are 1 and the means of
    the slopes. `centred` (n_cells, p) has the means of the features less the means over all
    rows, and `cross` (n_cells, n_slopes, p) the cross-products of slopes.
    """
    n_draws, n_cells = len(effects), len(n)
    p, k = beta.shape[1], len(slopes)
    m, u = np.empty(n_cells), np.empty(k + 1)
    total = n.sum()
    for s in range(n_draws):
        mean, result = 0.0, 0.0
        for c in range(n_cells):
            u[:] = 0.0
            at = 0
            for f in range(len(widths)):
                for i in range(widths[f]):
                    u[positions[at]] += effects[s, first[c, f] + i]
                    at += 1
            t = 0.0
            for a in range(p):
                t += centred[c, a] * beta[s, a]
            for a in range(k + 1):
                t += Z[c, a] * u[a]
            m[c] = t
            mean += n[c] * t
            for a in range(k):
                t = 0.0
                for b in range(p):
                    t += 2.0 * cross[c, a, b] * beta[s, b]
                for b in range(k):
                    t += cross[c, a, slopes[b]] * u[1 + b]
                result += t * u[1 + a]
        mean /= total
        for c in range(n_cells):
            result += n[c] * (m[c] - mean) ** 2
        out[s] = result


def pooling_factor(mean: Float, between: Float) -> Float:
    r"""Measure how far the groups of a factor are pulled towards the population.

    .. math:: \lambda = 1 - \frac{\mathrm{Var}_j\, \mathrm{E}(u_j)}
                                   {\mathrm{E}\, \mathrm{Var}_j(u_j)}

    Zero means no pooling, one complete pooling.

    Parameters
    ----------
    mean : ndarray of shape (n_groups, q)
        Posterior means of the effects.
    between : ndarray of shape (q,)
        Posterior mean of the variance between the groups' effects.

    Returns
    -------
    ndarray of shape (q,)
        NaN with one group, where nothing varies.

    References
    ----------
    .. [1] A. Gelman and I. Pardoe (2006). Bayesian measures of explained variance and
       pooling in multilevel (hierarchical) models. Technometrics 48(2), 241-251.
       https://doi.org/10.1198/004017005000000517
    """
    if len(mean) < 2:
        return np.full(mean.shape[1], np.nan)
    return np.asarray(1.0 - np.var(mean, axis=0, ddof=1) / between)


def _coefficients(posterior: Posterior) -> Float:
    """Return the draws of the coefficients (n_draws, n_features), without the intercept."""
    return np.ascontiguousarray(
        posterior.coef.reshape(posterior.n_draws, posterior.coef.shape[2])[:, 1:]
    )


def _row_moments(statistics: GroupedStatistics) -> tuple[Float, Float, Float]:
    """Return counts, means and centred cross-products of the features in each cell."""
    n = statistics.n
    share = (n / statistics.weight)[:, None, None] if statistics.known_errors else 1.0
    return n, statistics.mean[:, :-1], share * statistics.cross[:, :-1, :-1]


def _population_variance(posterior: Posterior, statistics: GroupedStatistics) -> Float:
    """Return the variance of x'beta over rows in each draw (n_draws,)."""
    beta = _coefficients(posterior)
    n, mean, cross = _row_moments(statistics)
    centred = mean - n @ mean / n.sum()
    total = cross.sum(axis=0) + (n[:, None] * centred).T @ centred
    # There may be no features, of which Einstein's summation is zero.
    quadratic = np.einsum("sk,kl,sl->s", beta, total, beta, optimize=True)
    return np.asarray(quadratic / (n.sum() - 1))


def _between_variances(posterior: Posterior, statistics: GroupedStatistics) -> dict[str, Float]:
    """Return the mean of z'Sigma z over rows in each draw (n_draws,), of each factor."""
    n, mean, cross = _row_moments(statistics)
    scaling = posterior.design.scaling
    within = np.pad(cross.sum(axis=0), ((1, 0), (1, 0)))
    out = {}
    for factor, scales in zip(posterior.design.factors, posterior.scales, strict=True):
        at = factor.terms.varying_positions
        if len(at):
            terms = np.column_stack([np.ones(len(n)), mean])[:, at]
            terms[:, len(at) - len(factor.terms.slopes) :] -= scaling.origin_of(factor.terms)
            squares = (n[:, None] * terms).T @ terms + within[np.ix_(at, at)]
            cov = scales.covariances(np.ones(len(at)))
            out[factor.levels.name] = np.einsum("scd,cd->s", cov, squares / n.sum())
    return out


def _residual_variance(posterior: Posterior, statistics: GroupedStatistics) -> Float:
    """Return the residual variance in each draw (n_draws,), averaged over rows.

    If errors are known, it is their typical variance.
    """
    if statistics.known_errors:
        return np.full(posterior.n_draws, typical_variance(statistics.n, statistics.weight))
    design = posterior.design
    weight = design.n / design.n.sum() if posterior.sigma.shape[2] > 1 else np.ones(1)
    return np.asarray(posterior.sigma.reshape(posterior.n_draws, -1) ** 2 @ weight)


def typical_variance(n: Float, weight: Float) -> float:
    r"""Average known error variances as Higgins & Thompson's I^2 does.

    .. math:: s^2 = \frac{(k - 1) \sum_i w_i}{(\sum_i w_i)^2 - \sum_i w_i^2}

    Parameters
    ----------
    n : ndarray of shape (n_cells,)
        Number of rows in each cell; k is their sum.
    weight : ndarray of shape (n_cells,)
        Sum of w = 1 / y_err^2 in each cell, whose rows are taken to have equal errors.

    Returns
    -------
    float
        The variance of the errors, if all are equal.

    References
    ----------
    .. [1] J. P. T. Higgins and S. G. Thompson (2002). Quantifying heterogeneity in a
       meta-analysis. Statistics in Medicine 21(11), 1539-1558, equation 9.
       https://doi.org/10.1002/sim.1186
    """
    # A cell whose frequency is below one is taken as one row.
    squares = np.sum(weight**2 / np.maximum(n, 1.0))
    total = weight.sum()
    return float((n.sum() - 1) * total / (total**2 - squares))


def summary(draws: Float, probability: float) -> Float:
    """Return mean, lower and upper quantile of draws (n_draws, n) as (3, n)."""
    tail = (1 - probability) / 2
    quantiles = np.quantile(draws, [tail, 1 - tail], axis=0)
    return np.vstack([draws.mean(axis=0), quantiles])


def _factor_poolings(posterior: Posterior) -> list[Float]:
    """Apply `pooling_factor` to draws of the effects, by sums over a few draws at a time."""
    factors = posterior.design.factors
    shapes = [(f.n_groups, len(f.terms.varying)) for f in factors]
    totals, between = [np.zeros(shape) for shape in shapes], [np.zeros(q) for _, q in shapes]
    for _, working in effect_blocks(posterior):
        for f, effects in enumerate(natural_effects(posterior, working)):
            totals[f] += effects.sum(axis=0)
            if len(totals[f]) > 1:
                between[f] += np.var(effects, axis=1, ddof=1).sum(axis=0)
    n = posterior.n_draws
    return [pooling_factor(t / n, b / n) for t, b in zip(totals, between, strict=True)]
