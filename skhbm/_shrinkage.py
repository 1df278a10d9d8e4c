"""How far each group is pulled to the population."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from skhbm._posterior import GroupMoments, Posterior

    Float = NDArray[np.float64]

__all__ = ["group_coefficients", "shrinkage_columns"]


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


def _as_counts(n: Float) -> NDArray[Any]:
    """Return whole numbers as integers: weights need not be."""
    whole = np.rint(n).astype(np.int64)
    return whole if np.array_equal(whole, n) else n


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
