"""Draws that every posterior has, whatever the response: coefficients and scales of effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skhbm._posterior.effects import covariance_roots

if TYPE_CHECKING:
    from collections.abc import Callable

    from skhbm._types import Float


__all__ = ["HierarchicalDraws", "Scales", "flat"]


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
class HierarchicalDraws:
    """Posterior draws of what all models have, chains first, and the design they belong to.

    Parameters
    ----------
    design : Design or ResponseDesign
    scales : tuple of Scales
        Of each factor, in the user's order, at the origin of its varying terms.
    coef : ndarray of shape (n_chains, n_draws, 1 + n_features)
        Population coefficients, the intercept first and at x = 0 (0 if there is none).
    working : ndarray of shape (n_chains, n_draws, n_fixed)
        The same for standardised features and target, without the intercept if there is none.
    seed : int
        Seed of the draws of the effects, which are made when they are asked for.
    """

    design: Any
    scales: tuple[Scales, ...]
    coef: Float
    working: Float
    seed: int

    def response_variables(self) -> tuple[dict[str, Any], dict[str, list[str]]]:
        """Return draws (n_chains, n_draws, ...) of what only this response has, and dims."""
        raise NotImplementedError

    def taken(self, take: Callable[[Any], Any]) -> Self:
        """Return the posterior of some draws; `take` chooses them from an array."""
        raise NotImplementedError

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
        n_chains, n_draws = self.coef.shape[:2]
        return n_chains, n_draws

    @property
    def n_draws(self) -> int:
        """Number of draws of all chains."""
        return self.shape[0] * self.shape[1]

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

    def mean_coefficients(self) -> Float:
        """Return the posterior means of `coef` (1 + n_features,), 0 where it is rounding."""
        mean, size = self.coef.mean(axis=(0, 1)), np.abs(self.coef).max(axis=(0, 1))
        return np.where(np.abs(mean) <= np.finfo(float).eps * size, 0.0, mean)

    def coefficients(self) -> Float:
        """Return population coefficients in working units (n_draws, n_fixed)."""
        return np.ascontiguousarray(flat(self.working))


def flat(draws: Float) -> Float:
    """Return draws (n_chains, n_draws, n) of all chains together (n_chains * n_draws, n)."""
    return draws.reshape(draws.shape[0] * draws.shape[1], draws.shape[2])
