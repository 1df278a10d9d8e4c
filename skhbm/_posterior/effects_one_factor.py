"""The effects of the one factor that is integrated out, given each draw.

`skhbm._posterior.effects` states the formulas and has the loops over rows. Moments of few
groups are here in NumPy, with draws along the last axis. That is as fast as compiled code, and
a process that predicts a few rows need not import numba.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skhbm._numba.threads import in_slices
from skhbm._posterior.effects import effect_draws, mean_covariances, row_mixture

if TYPE_CHECKING:
    from skhbm._likelihood.interface import ConditionalEffects, RowTerms
    from skhbm._types import Float, Int


__all__ = ["OneFactorEffects", "covariance_of_units"]

#: Threads that compute moments, and groups that each takes at a time.
THREADS, CHUNK = 2, 64


@dataclass(frozen=True, slots=True, eq=False)
class OneFactorEffects:
    """A `ConditionalEffects` of one factor.

    Parameters
    ----------
    L : ndarray of shape (n_draws, q, q)
        Roots of the covariance of the effects.
    sigma : ndarray of shape (n_draws, 1 or n_groups)
        Residual scales.
    w : ndarray of shape (n_draws, n_fixed)
        Coefficients of the population.
    roots : ndarray of shape (n_groups, q, q + m)
        R_j and E_j of all groups, as in `skhbm._design.design`.
    """

    L: Float
    sigma: Float
    w: Float
    roots: Float

    def predictors(self, rows: RowTerms) -> tuple[Float, Float]:
        """Return E and Var of x'w + z'u given each draw (n_rows, n_draws).

        Rows of a group that follow each other share its moments.
        """
        mean, variance = np.zeros((2, len(rows.fixed), len(self.L)))
        codes = np.ascontiguousarray(rows.codes[:, 0])
        row_mixture(
            self.L, self.sigma, self.w, self.roots, rows.fixed, rows.z, codes, mean, variance
        )
        return mean, variance

    def posterior_moments(self, codes: Int, center: Float) -> tuple[Float, Float, Float]:
        """Return E[u] (n, q), Cov[u] (n, q, q) and Cov[u, w] (n, q, n_fixed) over all draws."""
        n_draws, q, _ = self.L.shape
        L = np.ascontiguousarray(self.L.transpose(1, 2, 0))
        # With deviations from the mean no digits are lost in E[uw'] - E[u]E[w]'.
        deviation = np.ascontiguousarray((self.w - center).T)
        n, order = len(codes), self._alike_together(codes)
        mean, cov, cross = np.empty((n, q)), np.empty((n, q, q)), np.empty((n, q, len(center)))

        def fill(part: slice) -> None:
            some = order[part]
            roots = _shift_response(self.roots[codes[some]], center)
            for run in self._runs(roots[:, :, :q]):
                k = some[run]
                scale = self._scales(codes[k[0]])
                root = effect_root(L, scale, roots[run.start, :, :q])
                u = effect_means(root, scale, deviation, roots[run])
                mean[k] = u.mean(axis=2)
                cross[k] = u @ deviation.T / n_draws
                spread = np.einsum("acs,bcs->ab", root, root) + u @ u.mT
                cov[k] = spread / n_draws - mean[k, :, None] * mean[k, None, :]

        in_slices(fill, n, THREADS, CHUNK)
        return mean, cov, cross

    def row_covariance(self, varying: Float, codes: Int, unit: Int) -> Float:
        """Return Cov[z'u] between rows given a draw, averaged over draws (n_rows, n_rows)."""
        spread = mean_covariances(self.L, self.sigma, self.roots, codes)
        return covariance_of_units(varying, spread, unit)

    def draw(self, codes: Int, z: Float, draws: slice) -> None:
        """Turn standard normals z (s, n, q) into effects in some draws, in place."""
        given = self.L[draws], self.sigma[draws], self.w[draws]
        effect_draws(*given, self.roots, codes, z)

    def _scales(self, group: int) -> Float:
        """Return the residual scales of a group (n_draws,)."""
        return self.sigma[:, group % self.sigma.shape[1]]

    def _runs(self, R: Float) -> list[slice]:
        """Cut groups where R (n, q, q), or the residual scale, is not as in the one before."""
        changes = np.any(R[1:] != R[:-1], axis=(1, 2)) | (self.sigma.shape[1] > 1)
        ends = np.flatnonzero(np.concatenate([[True], changes, [True]])).tolist()
        return list(map(slice, ends[:-1], ends[1:]))

    def _alike_together(self, codes: Int) -> Int:
        """Return positions of the groups, in an order that puts equal R_j together."""
        q = self.L.shape[1]
        R = self.roots[codes, :, :q].reshape(len(codes), q * q)
        return np.lexsort(R.T) if q else np.arange(len(codes))


if TYPE_CHECKING:
    _: type[ConditionalEffects] = OneFactorEffects


def effect_root(L: Float, sigma: Float, R: Float) -> Float:
    """Return P (q, q, s) with P P' = Cov[u_j]; L (q, q, s), sigma (s,), R (q, q)."""
    q = len(L)
    RL = np.einsum("ac,cbs->abs", R, L) / sigma
    F = np.tile(np.eye(q)[:, :, None], len(sigma))
    P = L.copy()
    # F F' = M_j by rotations: see `skhbm._posterior.effects.add_outer_product`.
    for x in RL:  # derivation (6)
        for a in range(q):
            size = np.hypot(F[a, a], x[a])
            cos, sin = F[a, a] / size, x[a] / size
            F[a:, a], x[a:] = cos * F[a:, a] + sin * x[a:], cos * x[a:] - sin * F[a:, a]
    # Forward substitution along the columns gives P = L F^-T.
    for b in range(q):  # derivation (8)
        for c in range(b):
            P[:, b] -= P[:, c] * F[b, c]
        P[:, b] /= F[b, b]
    return P


def effect_means(P: Float, sigma: Float, w: Float, roots: Float) -> Float:
    """Return E[u_j] (n, q, s) of groups of equal R, with w (n_fixed, s)."""
    q = len(P)
    gain = np.einsum("ibs,cbs,ac->ias", P, P, roots[0, :, :q], optimize=True) / sigma**2
    e = roots[:, :, -1:] - roots[:, :, q:-1] @ w
    if q == 1:
        return gain * e
    return np.asarray(np.einsum("ias,nas->nis", gain, e))  # derivation (8)


def covariance_of_units(z: Float, covariances: Float, unit: Int) -> Float:
    """Return z_i' C z_k (n, n) for rows of a unit with covariance C, and 0 between units."""
    half = np.einsum("iab,ib->ia", covariances[unit], z)
    return np.where(unit[:, None] == unit[None, :], half @ z.T, 0.0)


def _shift_response(roots: Float, center: Float) -> Float:
    """Return the roots with the fixed terms at `center` taken off the response."""
    shifted = roots.copy()
    fixed = roots[:, :, -1 - len(center) : -1]
    shifted[:, :, -1] -= fixed @ center
    return shifted
