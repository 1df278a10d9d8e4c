"""What a posterior with several factors keeps beside its draws: where effects come back from.

A point is a distinct value of the hyperparameters that the factorisation of all effects needs:
relative scales tau / sigma, correlations, and coefficients that were sampled. Draws of a point
share its factor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from skhbm._types import Float, Int

__all__ = ["Points", "coefficient_roots", "draw_coefficients"]


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
        """The columns of (g, c, response) in terms of [fixed terms, response] (m, k + s + 1)."""
        k, s = self.rotated.shape[1], self.slope.shape[1]
        out = np.zeros((len(self.base) + 1, k + s + 1))
        out[:-1] = np.column_stack([self.rotated, self.slope, -self.base])
        out[-1, -1] = 1.0
        return out

    def thinned(self, step: int) -> Points:
        """Return the points of the first of each `step` draws of a chain."""
        return replace(self, index=self.index[:, ::step], sampled=self.sampled[:, ::step])


def coefficient_roots(K: Float, mean: Float, sigma: Float, sampled: Float) -> tuple[Float, Float]:
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
