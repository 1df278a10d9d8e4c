"""How far each group is pulled to the population, and where the variance lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from skhbm._posterior import GroupMoments, Posterior

    Float = NDArray[np.float64]

__all__ = ["group_coefficients", "pooling_factor", "shrinkage_columns", "variance_columns"]


def group_coefficients(posterior: Posterior, known: GroupMoments) -> Float:
    """Return posterior means of population + effect (n_groups, 1 + n_features).

    Natural scale, the intercept at x = 0 first (0 if the model has none).
    """
    design = posterior.design
    population = design.scaling.natural(known.population, design.terms)
    out = np.tile(population, (design.n_groups, 1))
    effect = known.effect * design.scaling.effect_units(design.terms)
    out[:, design.terms.varying_positions] += effect
    return out


def shrinkage_columns(
    posterior: Posterior, known: GroupMoments, pooling: Float
) -> Mapping[str, Any]:
    """Return the columns of the table of shrinkage, one row per group and varying term.

    `pooling` (3, n_groups, q) has the mean and the bounds of the pooling factors.
    """
    design = posterior.design
    terms = design.terms
    positions = terms.varying_positions
    partial = group_coefficients(posterior, known)[:, positions]
    return {
        "factor": np.full(partial.size, design.levels.name, dtype=object),
        "group": np.repeat(design.levels.labels, len(positions)),
        "coefficient": np.tile(np.array(terms.varying, dtype=object), design.n_groups),
        "n": np.repeat(_as_counts(design.n), len(positions)),
        "no_pooling": _no_pooling(posterior, known).ravel(),
        "partial_pooling": partial.ravel(),
        "complete_pooling": np.tile(_complete_pooling(posterior)[positions], design.n_groups),
        "sd": _sds(posterior, known).ravel(),
        "pooling": pooling[0].ravel(),
        "pooling_lower": pooling[1].ravel(),
        "pooling_upper": pooling[2].ravel(),
    }


def variance_columns(posterior: Posterior, probability: float) -> Mapping[str, Any]:
    """Return the columns of the table of variance components, the residual last.

    The intraclass correlation is the share of the intercepts' variance in its sum with the
    residual one (Gelman & Hill 2007, p. 258), that of two rows of a group at x = 0; slopes have
    other units and none. By-group residual variances are averaged over rows.
    """
    design = posterior.design
    tau = posterior.tau.reshape(posterior.n_draws, posterior.tau.shape[2])
    weight = design.n / design.n.sum() if posterior.sigma.shape[2] > 1 else np.ones(1)
    residual = posterior.sigma.reshape(posterior.n_draws, -1) ** 2 @ weight
    sd = np.column_stack([tau, np.sqrt(residual)])
    icc = np.full(tau.shape[1] + 1, np.nan)
    if design.terms.varying_intercept:
        icc[0] = np.mean(tau[:, 0] ** 2 / (tau[:, 0] ** 2 + residual))
    tail = (1 - probability) / 2
    lower, upper = np.quantile(sd, [tail, 1 - tail], axis=0)
    names = [design.levels.name] * tau.shape[1]
    return {
        "factor": np.array([*names, "residual"], dtype=object),
        "coefficient": np.array([*design.terms.varying, ""], dtype=object),
        "sd": sd.mean(axis=0),
        "sd_lower": lower,
        "sd_upper": upper,
        "variance": (sd**2).mean(axis=0),
        "icc": icc,
        "pooling": np.append(_factor_pooling(posterior), np.nan),
    }


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


def _as_counts(n: Float) -> NDArray[Any]:
    """Return whole numbers as integers: weights need not be."""
    whole = np.rint(n).astype(np.int64)
    return whole if np.array_equal(whole, n) else n


def _factor_pooling(posterior: Posterior) -> Float:
    """Apply `pooling_factor` to draws of the effects."""
    effects = posterior.effects()
    if effects.shape[2] < 2:
        return np.full(effects.shape[3], np.nan)
    between = np.var(effects, axis=2, ddof=1).mean(axis=(0, 1))
    return pooling_factor(effects.mean(axis=(0, 1)), between)


def _no_pooling(posterior: Posterior, known: GroupMoments) -> Float:
    """Return each group's own least squares (n_groups, q), NaN where it has none.

    Coefficients that do not vary are at their posterior means.
    """
    design = posterior.design
    R, E = np.split(design.roots, [len(design.terms.varying)], axis=2)
    score = E[:, :, -1] - E[:, :, :-1] @ known.population
    own = np.einsum("jab,jb->ja", np.linalg.pinv(R, rcond=1e-10), score)
    full_rank = np.linalg.matrix_rank(R, rtol=1e-10) == R.shape[1]
    own[~full_rank] = np.nan
    population = design.scaling.natural(known.population, design.terms)
    own = own * design.scaling.effect_units(design.terms)
    return own + population[design.terms.varying_positions]


def _complete_pooling(posterior: Posterior) -> Float:
    """Return the least squares of all rows, groups ignored (1 + n_features,)."""
    design = posterior.design
    pooled = design.pooled()
    working = np.linalg.lstsq(pooled[:-1, :-1], pooled[:-1, -1], rcond=1e-12)[0]
    return design.scaling.natural(working, design.terms)


def _sds(posterior: Posterior, known: GroupMoments) -> Float:
    """Return posterior sds of population + effect (n_groups, q), on the natural scale."""
    design = posterior.design
    units = design.scaling.effect_units(design.terms)
    # Natural population coefficients are linear in the working ones.
    base = design.scaling.natural(np.zeros(design.terms.n_fixed), design.terms)
    rows = [
        design.scaling.natural(e, design.terms) - base for e in np.eye(design.terms.n_fixed)
    ]
    A = np.array(rows).reshape(design.terms.n_fixed, -1)[:, design.terms.varying_positions].T
    variance = np.einsum("af,fg,ag->a", A, known.population_cov, A)
    cross = np.einsum("jaf,af->ja", known.cross_cov, A) * units
    own = np.einsum("jaa->ja", known.effect_cov) * units**2
    return np.asarray(np.sqrt(np.maximum(variance + 2 * cross + own, 0.0)))
