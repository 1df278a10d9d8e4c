"""A point about which coordinates of effects and coefficients are chosen.

Covariances of the effects are updated by the EM algorithm, with the curvature at the joint mode
of effects and coefficients in place of the posterior covariance (penalised quasi-likelihood,
Breslow & Clayton 1993, https://doi.org/10.1080/01621459.1993.10594284), dispersion parameters
by maximising the likelihood at the mode. The point need not be found well: the posterior does
not depend on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.optimize import minimize

from skhbm._density.effects_gaussian import find_joint_mode, on_diagonal, predictors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._density.effects_gaussian import EffectRows, Gaussian
    from skhbm._density.family_rows import FamilyRows
    from skhbm._types import Float

__all__ = ["Reference", "find_reference"]

#: Updates of covariances at most, and the change of their logs below which there are no more.
UPDATES, SETTLED = 20, 0.05
#: Updates at most where the dense matrix has more rows than LARGE.
FEW_UPDATES, LARGE = 6, 500
#: Updates before which dispersion parameters are updated.
DISPERSION = (0, 2, 6)
#: Standard deviations of effects stay within this factor of those that the search starts from,
#: and dispersion parameters within another one.
FACTOR, DISPERSION_FACTOR = 50.0, 20.0


class Reference(NamedTuple):
    """A point, and the normal approximation there.

    Attributes
    ----------
    covariances : tuple of ndarray of shape (q, q)
    dispersion : ndarray of shape (n_dispersion,)
    gaussian : Gaussian
    """

    covariances: tuple[Float, ...]
    dispersion: Float
    gaussian: Gaussian


def find_reference(
    rows: EffectRows,
    response: FamilyRows,
    prior: tuple[Float, Float],
    start: Float,
    variances: Sequence[Float],
    dispersion: Float,
) -> Reference:
    """Find the point.

    Parameters
    ----------
    rows : EffectRows
    response : FamilyRows
    prior : tuple of ndarray of shape (k,)
        Means and precisions of the coefficients.
    start : ndarray of shape (k,)
        Coefficients that the search starts from.
    variances : sequence of ndarray of shape (q,)
        Variances of the effects of each factor that the search starts from.
    dispersion : ndarray of shape (n_dispersion,)
        Dispersion parameters that it starts from.
    """
    covariances = [np.diag(of_factor) for of_factor in variances]
    typical = dispersion
    mode = np.concatenate([np.zeros(sum(rows.sizes)), start])
    found = find_joint_mode(rows, response, prior, covariances, dispersion, mode)
    for update in range(FEW_UPDATES if len(found.left) > LARGE else UPDATES):
        if update in DISPERSION and len(dispersion):
            eta = predictors(rows, found.mode)
            dispersion = _maximise(response, eta, dispersion, typical)
        before = covariances
        expected = _expected(rows, found)
        covariances = [
            _within(cov, of_factor) for cov, of_factor in zip(expected, variances, strict=True)
        ]
        found = find_joint_mode(rows, response, prior, covariances, dispersion, found.mode)
        pairs = zip(covariances, before, strict=True)
        moved = [np.abs(np.log(np.diag(a) / np.diag(b))).max(initial=0.0) for a, b in pairs]
        if max(moved) < SETTLED:
            break
    return Reference(tuple(covariances), dispersion, found)


def _expected(rows: EffectRows, found: Gaussian) -> list[Float]:
    """Return the mean of v v' over the levels of each factor (q, q), as expected."""
    inverse, n_stages = np.linalg.inv(found.left), len(found.stages)
    out, at = [], 0
    for size, z in zip(rows.sizes[n_stages:], rows.terms[n_stages:], strict=True):
        part = inverse[at : at + size, at : at + size]
        out.append(diagonal_blocks(part, z.shape[1]).sum(axis=0))
        at += size
    # What comes after a stage is a sum of maps times independent parts.
    maps, covariances = [sparse.eye_array(len(inverse)).tocsr()], [inverse]
    for stage in found.stages[::-1]:
        J, q, _ = stage.covariance.shape
        parts = [stage.gain @ map_ for map_ in maps]
        total = stage.covariance.sum(axis=0)
        for part, covariance in zip(parts, covariances, strict=True):
            total = total + _sum_of_blocks(part, covariance, q)
        out.insert(0, total)
        after = maps[0].shape[0]
        maps = [sparse.vstack([-a, b]).tocsr() for a, b in zip(parts, maps, strict=True)]
        maps.append(sparse.eye_array(J * q + after, J * q).tocsr())
        covariances.append(on_diagonal(stage.covariance))
    *effects, _ = np.split(found.mode, np.cumsum(rows.sizes))
    for f, v in enumerate(effects):
        of_levels = v.reshape(rows.n_levels[f], -1)
        out[f] = (out[f] + of_levels.T @ of_levels) / rows.n_levels[f]
    return out


def _sum_of_blocks(part: Any, covariance: Any, q: int) -> Float:
    """Return the sum of the blocks (q, q) on the diagonal of part @ covariance @ part.T."""
    out = np.empty((q, q))
    for a in range(q):
        for b in range(q):
            out[a, b] = (part[a::q].T @ part[b::q]).multiply(covariance).sum()
    return out


def diagonal_blocks(matrix: Float, q: int) -> Float:
    """Return the blocks (J, q, q) on the diagonal of a matrix (J q, J q)."""
    J = len(matrix) // q
    return np.einsum("iaib->iab", matrix.reshape(J, q, J, q)).copy()


def _within(cov: Float, variances: Float) -> Float:
    """Return a covariance whose standard deviations are not extreme, nor its correlations."""
    sd, start = np.sqrt(np.diag(cov)), np.sqrt(variances)
    corr = 0.95 * cov / np.outer(sd, sd)
    np.fill_diagonal(corr, 1.0)
    sd = np.clip(sd, start / FACTOR, start * FACTOR)
    return corr * np.outer(sd, sd)


def _maximise(response: FamilyRows, eta: Float, dispersion: Float, typical: Float) -> Float:
    """Return the dispersion parameters that maximise the likelihood, on the scale of logs."""

    def minus(log: Float) -> tuple[float, Any]:
        value, _, gradient = response.derivatives(eta, np.exp(log))
        return -value, -gradient * np.exp(log)

    reach = np.log(DISPERSION_FACTOR)
    bounds = [(center - reach, center + reach) for center in np.log(typical)]
    return np.exp(minimize(minus, np.log(dispersion), jac=True, bounds=bounds).x)
