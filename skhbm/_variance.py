"""Where the variance lies: components, their shares, and R^2, from statistics of groups.

With the centred cross-products S_j and the mean of the rows of each group, the variance over
rows of a linear predictor eta = x'beta + z'u_j is exact without the rows:

    (N - 1) Var(eta) = sum_j c_j'S_j c_j + sum_j n_j (m_j - m)^2,

c_j being the group's coefficients, m_j the mean of eta in the group and m that of all rows.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from skhbm._kernels import JIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from skhbm._posterior import Posterior
    from skhbm._statistics import GroupedStatistics

    Float = NDArray[np.float64]

__all__ = [
    "fitted_variances",
    "partition_columns",
    "pooling_factor",
    "r2_columns",
    "variance_columns",
]


def variance_columns(posterior: Posterior, probability: float) -> Mapping[str, Any]:
    """Return the columns of the table of variance components, the residual last.

    The intraclass correlation is the share of the intercepts' variance in its sum with the
    residual one (Gelman & Hill 2007, p. 258), that of two rows of a group at x = 0; slopes have
    other units and none. By-group residual variances are averaged over rows.
    """
    design = posterior.design
    tau = posterior.tau.reshape(posterior.n_draws, posterior.tau.shape[2])
    residual = _residual_variance(posterior)
    sd = np.column_stack([tau, np.sqrt(residual)])
    icc = np.full((3, tau.shape[1] + 1), np.nan)
    if design.terms.varying_intercept:
        share = tau[:, 0] ** 2 / (tau[:, 0] ** 2 + residual)
        icc[:, 0] = _summary(share[:, None], probability)[:, 0]
    mean, lower, upper = _summary(sd, probability)
    names = [design.levels.name] * tau.shape[1]
    return {
        "factor": np.array([*names, "residual"], dtype=object),
        "coefficient": np.array([*design.terms.varying, ""], dtype=object),
        "sd": mean,
        "sd_lower": lower,
        "sd_upper": upper,
        "variance": (sd**2).mean(axis=0),
        "icc": icc[0],
        "icc_lower": icc[1],
        "icc_upper": icc[2],
        "pooling": np.append(_factor_pooling(posterior), np.nan),
    }


def partition_columns(
    posterior: Posterior, statistics: GroupedStatistics, probability: float
) -> tuple[list[str], Mapping[str, Any]]:
    """Return names of the parts of a row's variance, and the columns of their table.

    The variance of x'beta over rows, the mean over rows of z'Sigma z (Johnson 2014), and the
    residual variance; in each draw shares sum to one.
    """
    design = posterior.design
    parts = {}
    if design.terms.features:
        parts["population"] = _population_variance(posterior, statistics)
    if design.terms.varying:
        parts[design.levels.name] = _between_variance(posterior)
    parts["residual"] = _residual_variance(posterior)
    variance = np.column_stack(list(parts.values()))
    columns: dict[str, Any] = {}
    share = variance / variance.sum(axis=1, keepdims=True)
    for name, draws in (("variance", variance), ("share", share)):
        mean, lower, upper = _summary(draws, probability)
        columns |= {name: mean, f"{name}_lower": lower, f"{name}_upper": upper}
    return list(parts), columns


def r2_columns(
    posterior: Posterior, statistics: GroupedStatistics, probability: float
) -> tuple[list[str], Mapping[str, Any]]:
    """Return names and columns of the table of Bayesian R^2.

    Conditional on the group effects the variance of the fitted values over that plus the
    residual one (Gelman et al. 2019, eq. 3); marginally, with population coefficients only,
    the effects belong to the residual (Nakagawa & Schielzeth 2013, eq. 26).
    """
    marginal, conditional = fitted_variances(posterior, statistics)
    residual = _residual_variance(posterior)
    draws = np.column_stack(
        [
            conditional / (conditional + residual),
            marginal / (marginal + _between_variance(posterior) + residual),
        ]
    )
    mean, lower, upper = _summary(draws, probability)
    columns = {"mean": mean, "sd": draws.std(axis=0), "lower": lower, "upper": upper}
    return ["conditional", "marginal"], columns


def fitted_variances(
    posterior: Posterior, statistics: GroupedStatistics
) -> tuple[Float, Float]:
    """Return variances over rows of x'beta and of x'beta + z'u, in each draw (n_draws,).

    In squared units of y, with N - 1 in the denominator. The draws of the effects are those
    of `posterior_`.
    """
    terms = posterior.design.terms
    population = _population_variance(posterior, statistics)
    if not terms.varying:
        return population, population
    effects = posterior.effects()
    effects = effects.reshape(posterior.n_draws, *effects.shape[2:])
    beta = _coefficients(posterior)
    n, mean = statistics.n, statistics.mean[:, :-1]
    cross = statistics.cross[:, :-1, :-1]
    Z = mean[:, terms.slopes]
    Z = np.column_stack([np.ones(len(n)), Z]) if terms.varying_intercept else Z
    centred = mean - n @ mean / n.sum()
    by_slope = np.ascontiguousarray(cross[:, terms.slopes])
    extra = np.empty(posterior.n_draws)

    def fill(draws: slice) -> None:
        _add_effects(
            beta[draws], effects[draws], n, centred, Z, by_slope, terms.slopes, extra[draws]
        )

    with ThreadPoolExecutor(2) as pool:
        half = posterior.n_draws // 2
        list(pool.map(fill, (slice(0, half), slice(half, None))))
    within = np.einsum("sk,kl,sl->s", beta, cross.sum(axis=0), beta, optimize=True)
    return population, np.maximum(within + extra, 0.0) / (n.sum() - 1)


@njit(**JIT)
def _add_effects(beta, effects, n, centred, Z, cross, slopes, out):
    """Fill out (s,) with the sums over groups that involve the effects (s, J, q).

    `centred` (J, p) and `Z` (J, q) have the group means of features less those of all rows,
    and of varying terms; `cross` (J, n_slopes, p) the cross-products of slopes.
    """
    n_draws, J, q = effects.shape
    p, first = beta.shape[1], q - len(slopes)
    m = np.empty(J)
    total = n.sum()
    for s in range(n_draws):
        mean, result = 0.0, 0.0
        for j in range(J):
            t = 0.0
            for k in range(p):
                t += centred[j, k] * beta[s, k]
            for a in range(q):
                t += Z[j, a] * effects[s, j, a]
            m[j] = t
            mean += n[j] * t / total
            for a in range(len(slopes)):
                t = 0.0
                for k in range(p):
                    t += 2.0 * cross[j, a, k] * beta[s, k]
                for b in range(len(slopes)):
                    t += cross[j, a, slopes[b]] * effects[s, j, first + b]
                result += t * effects[s, j, first + a]
        for j in range(J):
            result += n[j] * (m[j] - mean) ** 2
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


def _population_variance(posterior: Posterior, statistics: GroupedStatistics) -> Float:
    """Return the variance of x'beta over rows in each draw (n_draws,)."""
    beta = _coefficients(posterior)
    n, mean = statistics.n, statistics.mean[:, :-1]
    centred = mean - n @ mean / n.sum()
    cross = statistics.cross[:, :-1, :-1].sum(axis=0) + (n[:, None] * centred).T @ centred
    # Einstein's summation of nothing is zero: there may be no features.
    quadratic = np.einsum("sk,kl,sl->s", beta, cross, beta, optimize=True)
    return np.asarray(quadratic / (n.sum() - 1))


def _between_variance(posterior: Posterior) -> Float:
    """Return the mean of z'Sigma z over rows in each draw (n_draws,)."""
    design = posterior.design
    R = design.roots[:, :, : len(design.terms.varying)]
    squares = np.einsum("jac,jad->cd", R, R) / design.n.sum()
    working = np.einsum("scd,cd->s", posterior.covariances(), squares)
    return np.asarray(design.scaling.y_scale**2 * working)


def _residual_variance(posterior: Posterior) -> Float:
    """Return the residual variance in each draw (n_draws,), averaged over rows."""
    design = posterior.design
    weight = design.n / design.n.sum() if posterior.sigma.shape[2] > 1 else np.ones(1)
    return np.asarray(posterior.sigma.reshape(posterior.n_draws, -1) ** 2 @ weight)


def _summary(draws: Float, probability: float) -> Float:
    """Return mean, lower and upper quantile of draws (n_draws, n) as (3, n)."""
    tail = (1 - probability) / 2
    quantiles = np.quantile(draws, [tail, 1 - tail], axis=0)
    return np.vstack([draws.mean(axis=0), quantiles])


def _factor_pooling(posterior: Posterior) -> Float:
    """Apply `pooling_factor` to draws of the effects."""
    effects = posterior.effects()
    if effects.shape[2] < 2:
        return np.full(effects.shape[3], np.nan)
    between = np.var(effects, axis=2, ddof=1).mean(axis=(0, 1))
    return pooling_factor(effects.mean(axis=(0, 1)), between)
