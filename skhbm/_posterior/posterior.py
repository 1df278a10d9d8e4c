"""The posterior: draws of all parameters that were not integrated out, and their design.

A `Posterior` is arrays only. Fitted estimators keep it, pickle it and predict from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from skhbm._numba.threads import in_slices
from skhbm._posterior.effects import covariance_roots, group_shifts
from skhbm._posterior.effects_one_factor import OneFactorEffects

if TYPE_CHECKING:
    from skhbm._design.design import Design
    from skhbm._likelihood.interface import ConditionalEffects
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
        Of each factor, in the user's order.
    sampled : ndarray of shape (n_chains, n_draws, n_effects)
        Effects of the factors that are not integrated out, in working units, by factor,
        group and term.
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
    """

    design: Design
    scales: tuple[Scales, ...]
    sampled: Float
    sigma: Float
    sigma_new: Float
    log_sigma: Float | None
    coef: Float
    working: Float
    seed: int

    @property
    def tau(self) -> Float:
        """Standard deviations of the integrated effects (n_chains, n_draws, q)."""
        return self.scales[self.design.integrated].tau

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
            sampled=self.sampled[:, ::step],
            sigma=self.sigma[:, ::step],
            sigma_new=self.sigma_new[:, ::step],
            log_sigma=None if log_sigma is None else log_sigma[:, ::step],
            coef=self.coef[:, ::step],
            working=self.working[:, ::step],
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

    def covariances(self) -> Float:
        """Return covariances of the integrated effects in working units (n_draws, q, q)."""
        design = self.design
        units = design.scaling.effect_units(design.terms)
        return self.scales[design.integrated].covariances(units)

    def other_covariances(self) -> list[Float]:
        """Return covariances of the effects of each other factor in working units."""
        design = self.design
        scales = [s for f, s in enumerate(self.scales) if f != design.integrated]
        return [
            of_factor.covariances(design.scaling.effect_units(other.terms))
            for of_factor, other in zip(scales, design.others, strict=True)
        ]

    def covariance_roots(self) -> Float:
        """Return roots of `covariances`, lower triangular (n_draws, q, q)."""
        return covariance_roots(self.covariances())

    def residual_scales(self) -> Float:
        """Return residual scales in working units (n_draws, 1 or n_groups)."""
        return flat(self.sigma) / self.design.scaling.y_scale

    def coefficients(self) -> Float:
        """Return population coefficients in working units (n_draws, n_fixed)."""
        return np.ascontiguousarray(flat(self.working))

    def conditional_effects(self) -> ConditionalEffects:
        """Return the integrated effects given each draw."""
        several = self.design.several_factors
        return OneFactorEffects(
            self.covariance_roots(),
            self.residual_scales(),
            self.coefficients(),
            self.design.roots,
            flat(self.sampled),
            several.shifts if several else None,
        )

    def mean_shifts(self) -> Float:
        """Return what the means of the sampled effects take off E_y (n_groups, q).

        With one factor there is nothing to take off, of shape (1, q).
        """
        several, q = self.design.several_factors, self.tau.shape[2]
        if several is None:
            return np.zeros((1, q))
        mean = flat(self.sampled.mean(axis=(0, 1), keepdims=True))
        return group_shifts(mean, *several.shifts, np.arange(self.design.n_groups), q)[0]

    def effects(self) -> Float:
        """Draw the integrated effects (n_chains, n_draws, n_groups, q) on the natural scale."""
        design = self.design
        rng = np.random.default_rng([self.seed, 1])
        z = innovations(rng, (*self.shape, design.n_groups, self.tau.shape[2]))
        every = z.reshape(self.n_draws, *z.shape[2:])
        given, groups = self.conditional_effects(), np.arange(design.n_groups)
        in_slices(lambda draws: given.draw(groups, every[draws], draws), self.n_draws, 2)
        return z * design.scaling.effect_units(design.terms)

    def factor_effects(self, factor: int) -> Float:
        """Return draws of the effects of a factor (n_chains, n_draws, n_groups, q), natural."""
        design = self.design
        if factor == design.integrated:
            return self.effects()
        position = design.position(factor)
        other = design.others[position]
        return self.working_effects(position) * design.scaling.effect_units(other.terms)

    def working_effects(self, position: int) -> Float:
        """Return the sampled effects of one of the others (n_chains, n_draws, n_groups, q)."""
        sizes = [other.n_groups * len(other.terms.varying) for other in self.design.others]
        first = sum(sizes[:position])
        effects = self.sampled[:, :, first : first + sizes[position]]
        return effects.reshape(*self.shape, self.design.others[position].n_groups, -1)


def flat(draws: Float) -> Float:
    """Return draws (n_chains, n_draws, n) of all chains together (n_chains * n_draws, n)."""
    return draws.reshape(draws.shape[0] * draws.shape[1], draws.shape[2])


def innovations(rng: np.random.Generator, shape: tuple[int, ...]) -> Float:
    """Return standard normals, negatively correlated along the second axis, the draws."""
    z = rng.standard_normal(shape)
    fresh = np.sqrt(1 - OVERRELAXATION**2)
    for t in range(1, shape[1]):
        z[:, t] = OVERRELAXATION * z[:, t - 1] + fresh * z[:, t]
    return z
