"""Where coefficients of a model for another response are, roughly, and in which units.

Coefficients are counted from a generalized least squares fit, in units of a root of their
covariance. Both are found with the effects of the first factor integrated out of the quadratic
approximation of the likelihood (penalised quasi-likelihood, Breslow & Clayton 1993,
https://doi.org/10.1080/01621459.1993.10594284), their scales being those that chains start at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skhbm._statistics.reduction import sum_by_group

if TYPE_CHECKING:
    from skhbm._families.family import Family
    from skhbm._types import Float, Int

__all__ = ["Rough", "WeightedRows", "whiten"]

#: Iterations of Fisher's scoring; an exact solution is not needed.
ITERATIONS = 8
#: Linear predictors are at most this far from the location: weights vanish farther away.
REACH = 5.0
#: Share of the largest information that is added in each direction.
RIDGE = 1e-6
#: Least information and variance of a row.
TINY = 1e-100


class WeightedRows(NamedTuple):
    """Rows of a response, with the terms of one grouping factor.

    Attributes
    ----------
    y, size, weight : ndarray of shape (n,)
    fixed : ndarray of shape (n, k)
        What natural coefficients are multiplied by.
    varying : ndarray of shape (n, q)
    codes : ndarray of int of shape (n,)
        The group of each row.
    n_groups : int
    """

    y: Float
    size: Float
    weight: Float
    fixed: Float
    varying: Float
    codes: Int
    n_groups: int


class Rough(NamedTuple):
    """What is known before sampling.

    Attributes
    ----------
    center : ndarray of shape (k,)
        Of the coefficients.
    root : ndarray of shape (k, k)
        A root of their covariance.
    information : ndarray of shape (q,)
        Fisher information on each tau^2 at zero.
    """

    center: Float
    root: Float
    information: Float


def whiten(
    family: Family, rows: WeightedRows, dispersion: Float, variance: Float, start: Float
) -> Rough:
    """Return where coefficients are, roughly, and what the rows tell of tau.

    `variance` (q,) is that of independent effects of the factor, `dispersion` (n_dispersion,)
    what the other parameters of the response are taken for, `start` (k,) where to begin.
    """
    center = start.copy()
    information = np.eye(len(center))
    location = rows.fixed @ start
    for _ in range(ITERATIONS):
        eta = np.clip(rows.fixed @ center, location - REACH, location + REACH)
        weight, residual = _working_rows(family, rows, eta, dispersion)
        information, score = _marginal(rows, weight, residual, variance)
        diagonal = np.diag(information)
        information += np.diag(RIDGE * np.maximum(diagonal, diagonal.max(initial=0.0)) + 1e-12)
        center += np.linalg.solve(information, score)
    root = np.linalg.cholesky(np.linalg.inv(information))
    eta = np.clip(rows.fixed @ center, location - REACH, location + REACH)
    weight, _ = _working_rows(family, rows, eta, dispersion)
    squares = sum_by_group(rows.codes, weight[:, None] * rows.varying**2, rows.n_groups)
    return Rough(center, root, 0.5 * np.sum(squares**2, axis=0))


def _working_rows(
    family: Family, rows: WeightedRows, eta: Float, dispersion: Float
) -> tuple[Float, Float]:
    """Return weights (n,) and residuals (n,) on the scale of the link, of Fisher's scoring.

    The score of a residual y - mean is weight * residual, whatever the link.
    """
    given = tuple(dispersion)
    information = np.maximum(family.expected_information(rows.size, eta, given), TINY)
    mean, variance = (f(rows.size, eta, given) for f in (family.mean, family.variance))
    slope = np.sqrt(information * np.maximum(variance, TINY))
    return rows.weight * information, (rows.y - mean) / np.maximum(slope, TINY)


def _marginal(
    rows: WeightedRows, weight: Float, residual: Float, variance: Float
) -> tuple[Float, Float]:
    """Return information (k, k) and score (k,) of the coefficients, effects integrated out."""
    weighted = weight[:, None] * rows.fixed
    information, score = rows.fixed.T @ weighted, weighted.T @ residual
    q = rows.varying.shape[1]
    if not q:
        return information, score
    z = np.sqrt(variance) * rows.varying
    sums = np.hstack([rows.fixed, residual[:, None]]) * weight[:, None]
    of_z = sum_by_group(
        rows.codes, z[:, :, None] * (weight[:, None] * z)[:, None], rows.n_groups
    )
    of_all = sum_by_group(rows.codes, z[:, :, None] * sums[:, None], rows.n_groups)
    gain = np.linalg.solve(of_z + np.eye(q), of_all)
    product = np.einsum("jqa,jqb->ab", of_all, gain)
    return information - product[:-1, :-1], score - product[:-1, -1]
