"""The posterior: draws of all parameters that were not integrated out, and their design.

A `Posterior` is arrays only. Fitted estimators keep it, pickle it and predict from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from skhbm._posterior.effects import covariance_roots
from skhbm._posterior.effects_one_factor import OneFactorEffects

if TYPE_CHECKING:
    from skhbm._design.design import Design
    from skhbm._posterior.points import Points
    from skhbm._types import Float


__all__ = [
    "Posterior",
    "Scales",
    "flat",
    "innovations",
]

#: Correlation of successive innovations of exact conditional draws (Adler's
#: overrelaxation, Phys. Rev. D 23, 2901, 1981). The distribution of each draw stays as it is,
#: and averages over a chain converge like averages over 5/3 as many draws.
OVERRELAXATION = -0.25


@dataclass(frozen=True, slots=True, eq=False)
class Scales:
    """Draws of the standard deviations and correlations of the effects of one factor.

    Parameters
    ----------
    tau : ndarray of shape (n_chains, n_draws, q)
    corr : ndarray of shape (n_chains, n_draws, n_correlations)
        Below the diagonal, row by row.
    """

    tau: Float
    corr: Float

    @classmethod
    def of_roots(cls, root: Float, shape: tuple[int, int]) -> Self:
        """Return the scales of effects whose covariance is root root' (n_draws, q, q)."""
        q = root.shape[1]
        tau = np.sqrt(np.einsum("sab,sab->sa", root, root))
        direction = root / np.where(tau > 0, tau, 1.0)[:, :, None]
        rows, columns = np.tril_indices(q, -1)
        corr = np.einsum("scb,scb->sc", direction[:, rows], direction[:, columns])
        corr = np.clip(corr, -1.0, 1.0)
        return cls(tau.reshape(*shape, q), corr.reshape(*shape, len(rows)))

    def correlations(self) -> Float:
        """Return correlation matrices of the effects (n_draws of all chains, q, q)."""
        n_chains, n_draws, q = self.tau.shape
        rows, columns = np.tril_indices(q, -1)
        out = np.tile(np.eye(q), (n_chains * n_draws, 1, 1))
        if self.corr.shape[-1]:
            flat = self.corr.reshape(len(out), self.corr.shape[2])
            out[:, rows, columns] = out[:, columns, rows] = flat
        return out

    def covariances(self, units: Float) -> Float:
        """Return covariances of the effects in these units (n_draws of all chains, q, q)."""
        tau = flat(self.tau / units)
        return self.correlations() * tau[:, :, None] * tau[:, None, :]


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """Posterior draws, chains first, and the design they belong to.

    Parameters
    ----------
    design : Design
    scales : tuple of Scales
        Of each factor, in the user's order, at the origin of its varying terms.
    sigma : ndarray of shape (n_chains, n_draws, 1 or n_groups)
        Residual scales; 1 if errors are known, since rows are weighted by their precision.
    sigma_new : ndarray of shape (n_chains, n_draws)
        Residual scale of a group that was not seen; 0 if errors are known.
    log_sigma : ndarray of shape (n_chains, n_draws, 2) or None
        Mean and sd of log sigma_j under the hierarchical prior.
    coef : ndarray of shape (n_chains, n_draws, 1 + n_features)
        Population coefficients, the intercept first and at x = 0 (0 if there is none).
    working : ndarray of shape (n_chains, n_draws, n_fixed)
        The same for standardised features and target, without the intercept if there is none.
    seed : int
        Seed of the draws of the effects, which are made when they are asked for.
    points : Points or None
        With several factors, which draws share what effects are computed from.
    """

    design: Design
    scales: tuple[Scales, ...]
    sigma: Float
    sigma_new: Float
    log_sigma: Float | None
    coef: Float
    working: Float
    seed: int
    points: Points | None = None

    def scales_at_zero(self, factor: int) -> Scales:
        """Return the draws of the scales of a factor's effects at x = 0: derivation (13)."""
        scales, terms = self.scales[factor], self.design.factors[factor].terms
        if not terms.centred:
            return scales
        scaling = self.design.scaling
        cov = scales.covariances(scaling.effect_units(terms))
        T = scaling.natural_effects(np.eye(cov.shape[1]), terms).T
        return Scales.of_roots(T @ covariance_roots(cov), self.shape)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of chains and of draws in each."""
        n_chains, n_draws = self.sigma.shape[:2]
        return n_chains, n_draws

    @property
    def n_draws(self) -> int:
        """Number of draws of all chains."""
        return self.shape[0] * self.shape[1]

    def thinned(self, step: int) -> Posterior:
        """Return the posterior with the first of each `step` draws of a chain."""
        log_sigma = self.log_sigma
        return replace(
            self,
            scales=tuple(Scales(s.tau[:, ::step], s.corr[:, ::step]) for s in self.scales),
            sigma=self.sigma[:, ::step],
            sigma_new=self.sigma_new[:, ::step],
            log_sigma=None if log_sigma is None else log_sigma[:, ::step],
            coef=self.coef[:, ::step],
            working=self.working[:, ::step],
            points=None if self.points is None else self.points.thinned(step),
        )

    def new_noise(self) -> float:
        """Return the mean square of the residual scale of a new group, in working units."""
        unit = self.design.scaling.y_scale
        if self.log_sigma is None:
            return float(np.mean((self.sigma_new / unit) ** 2))
        mean, spread = self.log_sigma[:, :, 0], self.log_sigma[:, :, 1]
        return float(np.mean(np.exp(2 * (mean - np.log(unit)) + 2 * spread**2)))

    def noise(self) -> Float:
        """Return the draws of residual scales in predictions (n_draws, 1 or n_groups)."""
        sigma = self.residual_scales()
        return sigma * 0.0 if self.design.terms.known else sigma

    def covariances(self) -> list[Float]:
        """Return covariances of the effects of each factor in working units (n_draws, q, q)."""
        scaling = self.design.scaling
        return [
            scales.covariances(scaling.effect_units(factor.terms))
            for scales, factor in zip(self.scales, self.design.factors, strict=True)
        ]

    def covariance_roots(self) -> list[Float]:
        """Return roots of `covariances`, lower triangular (n_draws, q, q)."""
        return [covariance_roots(cov) for cov in self.covariances()]

    def residual_scales(self) -> Float:
        """Return residual scales in working units (n_draws, 1 or n_groups)."""
        return flat(self.sigma) / self.design.scaling.y_scale

    def mean_coefficients(self) -> Float:
        """Return the posterior means of `coef` (1 + n_features,), 0 where it is rounding."""
        mean, size = self.coef.mean(axis=(0, 1)), np.abs(self.coef).max(axis=(0, 1))
        return np.where(np.abs(mean) <= np.finfo(float).eps * size, 0.0, mean)

    def coefficients(self) -> Float:
        """Return population coefficients in working units (n_draws, n_fixed)."""
        return np.ascontiguousarray(flat(self.working))

    def conditional_effects(self) -> OneFactorEffects:
        """Return the effects of the only factor given each draw."""
        return OneFactorEffects(
            self.covariance_roots()[0],
            self.residual_scales(),
            self.coefficients(),
            self.design.roots,
        )


def flat(draws: Float) -> Float:
    """Return draws (n_chains, n_draws, n) of all chains together (n_chains * n_draws, n)."""
    return draws.reshape(draws.shape[0] * draws.shape[1], draws.shape[2])


def innovations(
    rng: np.random.Generator, shape: tuple[int, ...], before: Float | None = None
) -> Float:
    """Return standard normals, negatively correlated along the second axis, the draws.

    They go on from those of the draw `before`, if there is one.
    """
    z = rng.standard_normal(shape)
    first = z[:, 0].copy()
    z *= np.sqrt(1 - OVERRELAXATION**2)
    if before is None:
        z[:, 0] = first
    else:
        z[:, 0] += OVERRELAXATION * before
    for t in range(1, shape[1]):
        z[:, t] += OVERRELAXATION * z[:, t - 1]
    return z
