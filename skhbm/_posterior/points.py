"""What a posterior with several factors keeps beside its draws: where effects come back from.

A point is a distinct value of the hyperparameters that the factorisation of all effects needs:
relative scales tau / sigma, correlations, and coefficients that were sampled. Draws of a point
share its factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skhbm._density.basis import make_basis
from skhbm._density.coefficients import make_coefficients

if TYPE_CHECKING:
    from skhbm._design.design import Design
    from skhbm._priors.prior import Priors
    from skhbm._types import Float, Int

__all__ = ["Points", "coefficient_roots", "draw_coefficients", "log_densities", "make_points"]


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """The points of the draws, and the coordinates of the population coefficients.

    Working coefficients are w = base + rotated @ g + slope @ c, with g ~ Normal(-mean, I)
    integrated out, and c sampled, on the natural scale.

    Parameters
    ----------
    index : ndarray of int of shape (n_chains, n_draws)
        Equal numbers are draws of one point.
    sampled : ndarray of shape (n_chains, n_draws, s)
        Draws of c.
    base : ndarray of shape (n_fixed,)
    rotated : ndarray of shape (n_fixed, k)
    slope : ndarray of shape (n_fixed, s)
    mean : ndarray of shape (k,)
    """

    index: Int
    sampled: Float
    base: Float
    rotated: Float
    slope: Float
    mean: Float

    @property
    def columns(self) -> Float:
        """The columns of (g, c, response), per fixed term and response (m, k + s + 1)."""
        k, s = self.rotated.shape[1], self.slope.shape[1]
        out = np.zeros((len(self.base) + 1, k + s + 1))
        out[:-1] = np.column_stack([self.rotated, self.slope, -self.base])
        out[-1, -1] = 1.0
        return out


def make_points(design: Design, priors: Priors, index: Int, coef: Float) -> Points:
    """Return the points of draws whose natural coefficients are `coef`, the intercept at x = 0.

    The coordinates of the coefficients are those of the design: any serve.
    """
    coefficients = make_coefficients(design, priors)
    basis = make_basis(design, coefficients)
    natural = coef.copy()
    if priors.intercept_at_mean:
        natural[..., 0] += natural[..., 1:] @ design.scaling.x_mean
    natural = natural if design.terms.intercept else natural[..., 1:]
    sampled = natural[..., ~coefficients.normal]
    return Points(index, sampled, basis.base, basis.rotated, basis.slope, basis.mean)


def coefficient_roots(
    K: Float, mean: Float, sigma: Float, sampled: Float
) -> tuple[Float, Float]:
    """Return U (n, k, k) with Cov[g] = U'U, and E[g] (n, k): derivation (9).

    K (n, m, m) are cross-products given relative scales, sigma (n,) and sampled (n, s) the rest
    that g is given.
    """
    n, k = len(K), len(mean)
    variance = (sigma**2)[:, None, None]
    P = K[:, :k, :k] / variance + np.eye(k)
    rest = np.hstack([sampled, -np.ones((n, 1))])
    score = -np.einsum("sab,sb->sa", K[:, :k, k:], rest) / variance[:, 0] - mean
    root = np.linalg.cholesky(P)
    U = np.linalg.inv(root)
    return U, np.einsum("sba,sb->sa", U, np.einsum("sab,sb->sa", U, score))


def log_densities(points: Points, logdet: Float, K: Float, sigma: Float, count: float) -> Float:
    """Return log densities (n,) in working units, up to 2 pi, given log|M| and K of draws.

    `count` is the number of rows, or 0 if errors are known: derivation (5) and (9).
    """
    sampled = points.sampled.reshape(len(sigma), points.sampled.shape[2])
    U, mean = coefficient_roots(K, points.mean, sigma, sampled)
    k = len(points.mean)
    rest = np.hstack([sampled, -np.ones((len(sigma), 1))])
    squares = np.einsum("sa,sab,sb->s", rest, K[:, k:, k:], rest) / sigma**2
    squares += points.mean @ points.mean
    # P E[g] is the score, so that E[g]'P E[g] is the square of U^-T E[g].
    whitened = np.linalg.solve(U.mT, mean[:, :, None])[:, :, 0]
    squares -= np.sum(whitened**2, axis=1)
    half = -np.sum(np.log(np.einsum("sii->si", U)), axis=1)
    return -count * np.log(sigma) - 0.5 * logdet - half - 0.5 * squares


def draw_coefficients(points: Points, K: Float, sigma: Float, z: Float) -> Float:
    """Draw working coefficients (n, n_fixed) from standard normals z (n, k).

    K (n, m, m), sigma (n,) are those of each draw. The root of the covariance is that in the
    order of the coefficients, whatever the rotation, which among equal eigenvalues is
    arbitrary.
    """
    sampled = points.sampled.reshape(len(z), points.sampled.shape[2])
    U, mean = coefficient_roots(K, points.mean, sigma, sampled)
    root = np.linalg.qr(U @ points.rotated.T, mode="r")
    sign = np.sign(np.einsum("sii->si", root[:, :, : root.shape[1]]))
    fixed = points.base + sampled @ points.slope.T + mean @ points.rotated.T
    return fixed + np.einsum("si,sij->sj", z[:, : root.shape[1]] * sign, root)
