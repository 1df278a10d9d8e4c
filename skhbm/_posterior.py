"""Draws of all parameters that remain after integration -> moments and effect draws.

A `Posterior` is arrays only: what a fitted estimator keeps, pickles and predicts from.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skhbm._basis import coefficient_draws
from skhbm._effects import (
    covariance_roots,
    effect_draws,
    effect_moments,
    pooling_factors,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skhbm._basis import Basis
    from skhbm._design import Design
    from skhbm._target import Target

    Float = NDArray[np.float64]

__all__ = [
    "GroupMoments",
    "Posterior",
    "add_moments",
    "innovations",
    "make_posterior",
    "pooling_summary",
    "start_moments",
]

#: Correlation of successive innovations of exact conditional draws (Adler's
#: overrelaxation, Phys. Rev. D 23, 2901, 1981). It leaves each draw as it is and
#: lets averages of the draws of a chain converge as those of 5/3 as many.
OVERRELAXATION = -0.25


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """Posterior draws, chains first, and the design they belong to.

    Parameters
    ----------
    design : Design
    tau : ndarray of shape (n_chains, n_draws, q)
    corr : ndarray of shape (n_chains, n_draws, n_correlations)
        Below the diagonal, row by row.
    sigma : ndarray of shape (n_chains, n_draws, 1 or n_groups)
    sigma_new : ndarray of shape (n_chains, n_draws)
        Residual scale of a group that was not seen.
    log_sigma : ndarray of shape (n_chains, n_draws, 2) or None
        Mean and sd of log sigma_j under the hierarchical prior.
    coef : ndarray of shape (n_chains, n_draws, 1 + n_features)
        Population coefficients, the intercept first and at x = 0 (0 if there is none).
    working : ndarray of shape (n_chains, n_draws, n_fixed)
        The same for standardised features and target, without an intercept that is not there.
    seed : int
        Seed of the draws of the effects, which are made when they are asked for.
    """

    design: Design
    tau: Float
    corr: Float
    sigma: Float
    sigma_new: Float
    log_sigma: Float | None
    coef: Float
    working: Float
    seed: int

    @property
    def n_draws(self) -> int:
        """Number of draws of all chains."""
        return self.tau.shape[0] * self.tau.shape[1]

    def new_noise(self) -> float:
        """Return the mean square of the residual scale of a new group, in working units."""
        unit = self.design.scaling.y_scale
        if self.log_sigma is None:
            return float(np.mean((self.sigma_new / unit) ** 2))
        mean, spread = self.log_sigma[:, :, 0], self.log_sigma[:, :, 1]
        return float(np.mean(np.exp(2 * (mean - np.log(unit)) + 2 * spread**2)))

    def correlations(self) -> Float:
        """Return correlation matrices of the effects (n_draws of all chains, q, q)."""
        q = self.tau.shape[-1]
        rows, columns = np.tril_indices(q, -1)
        out = np.tile(np.eye(q), (self.n_draws, 1, 1))
        if self.corr.shape[-1]:
            flat = self.corr.reshape(self.n_draws, self.corr.shape[2])
            out[:, rows, columns] = out[:, columns, rows] = flat
        return out

    def covariances(self) -> Float:
        """Return covariances of the effects in working units (n_draws, q, q)."""
        units = self.design.scaling.effect_units(self.design.terms)
        tau = (self.tau / units).reshape(self.n_draws, len(units))
        return self.correlations() * tau[:, :, None] * tau[:, None, :]

    def conditions(self) -> tuple[Float, Float, Float]:
        """Return covariance roots, residual scales and coefficients in working units."""
        unit = self.design.scaling.y_scale
        sigma = self.sigma.reshape(self.n_draws, self.sigma.shape[2]) / unit
        working = np.ascontiguousarray(
            self.working.reshape(self.n_draws, self.working.shape[2])
        )
        return covariance_roots(self.covariances()), sigma, working

    def effects(self) -> Float:
        """Draw the effects (n_chains, n_draws, n_groups, q) on the natural scale."""
        design = self.design
        q = self.tau.shape[-1]
        rng = np.random.default_rng([self.seed, 1])
        z = innovations(rng, (*self.tau.shape[:2], design.n_groups, q))
        flat = z.reshape(self.n_draws, design.n_groups, q)
        L, sigma, w = self.conditions()
        groups = np.arange(design.n_groups)

        def draw(some: slice) -> None:
            effect_draws(L[some], sigma[some], w[some], design.roots, groups, flat[some])

        half = self.n_draws // 2
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(draw, (slice(0, half), slice(half, None))))
        return z * design.scaling.effect_units(design.terms)


class GroupMoments(NamedTuple):
    """Means and covariances of coefficients in working units, averaged over draws.

    Those of a group's effects are computed when they are first needed.

    Attributes
    ----------
    population : (n_fixed,), population_cov : (n_fixed, n_fixed)
    new_cov : (q, q), the mean covariance of the effects of a group that was not seen
    noise : (n_groups,), noise_new : float, mean squares of the residual scales
    done : (n_groups,), whether the following are computed
    effect : (n_groups, q), effect_cov : (n_groups, q, q)
    cross_cov : (n_groups, q, n_fixed)
    """

    population: Float
    population_cov: Float
    new_cov: Float
    noise: Float
    noise_new: float
    done: NDArray[np.bool_]
    effect: Float
    effect_cov: Float
    cross_cov: Float


def start_moments(posterior: Posterior) -> GroupMoments:
    """Return the moments of the population, and room for those of the groups."""
    working = posterior.working.reshape(posterior.n_draws, posterior.working.shape[2])
    center = working.mean(axis=0)
    deviation = working - center
    n_groups, q = posterior.design.n_groups, posterior.tau.shape[2]
    unit = posterior.design.scaling.y_scale
    noise = np.mean((posterior.sigma / unit) ** 2, axis=(0, 1))
    return GroupMoments(
        center,
        deviation.T @ deviation / len(deviation),
        posterior.covariances().mean(axis=0),
        np.broadcast_to(noise, (n_groups,)).copy(),
        posterior.new_noise(),
        np.zeros(n_groups, dtype=bool),
        np.zeros((n_groups, q)),
        np.zeros((n_groups, q, q)),
        np.zeros((n_groups, q, len(center))),
    )


def add_moments(
    known: GroupMoments, posterior: Posterior, groups: NDArray[np.int64], threads: int = 2
) -> None:
    """Average the conditional moments of groups over the draws (Rao-Blackwell)."""
    groups = groups[~known.done[groups]]
    if not len(groups):
        return
    q = known.effect.shape[1]
    R = posterior.design.roots[groups, :, :q].reshape(len(groups), q * q)
    groups = groups[np.lexsort(R.T)] if q else groups
    L, sigma, w = posterior.conditions()
    # Deviations from the mean, so that no digits are lost in E[uw'] - E[u]E[w]'.
    deviation = w - known.population
    shifted = _shift_target(posterior.design.roots, known.population)
    mean, cross, second = (
        np.zeros_like(a) for a in (known.effect, known.cross_cov, known.effect_cov)
    )

    def add(some: NDArray[np.int64]) -> None:
        effect_moments(L, sigma, deviation, shifted, some, mean, cross, second)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(add, np.array_split(groups, -(-len(groups) // 64))))
    known.effect[groups] = mean[groups]
    known.cross_cov[groups] = cross[groups]
    own = mean[groups]
    known.effect_cov[groups] = second[groups] - own[:, :, None] * own[:, None, :]
    known.done[groups] = True


def pooling_summary(posterior: Posterior, probability: float) -> Float:
    """Return mean, lower and upper quantile of the pooling factors (3, n_groups, q)."""
    L, sigma, _ = posterior.conditions()
    design = posterior.design
    tail = (1 - probability) / 2
    out = np.empty((3, design.n_groups, L.shape[1]))
    for first in range(0, design.n_groups, 64):
        last = min(first + 64, design.n_groups)
        factors = pooling_factors(L, sigma, design.roots, np.arange(first, last))
        out[0, first:last] = factors.mean(axis=0)
        out[1:, first:last] = np.quantile(factors, [tail, 1 - tail], axis=0)
    return out


def innovations(rng: np.random.Generator, shape: tuple[int, ...]) -> Float:
    """Return standard normals, negatively correlated along the second axis, the draws."""
    z = rng.standard_normal(shape)
    fresh = np.sqrt(1 - OVERRELAXATION**2)
    for t in range(1, shape[1]):
        z[:, t] = OVERRELAXATION * z[:, t - 1] + fresh * z[:, t]
    return z


def make_posterior(
    design: Design, basis: Basis, target: Target, values: Any, seed: int
) -> Posterior:
    """Split the sampler's natural values and draw the integrated coefficients."""
    n_chains, n_draws, _ = values.shape
    q, r, n_scales = target.n_terms, target.n_correlations, target.n_scales
    tau, corr, scales, sampled = np.split(values, np.cumsum([q, r, n_scales]), axis=2)
    log_sigma, sigma = None, scales
    rng = np.random.default_rng([seed, 0])
    if n_scales == design.n_groups + 2:
        log_sigma, sigma = scales[:, :, :2], np.ascontiguousarray(scales[:, :, 2:])
    posterior = Posterior(
        design, tau, corr, sigma, sigma[:, :, 0], log_sigma, sampled, sampled, seed
    )
    k = len(basis.mean)
    z = innovations(rng, (n_chains, n_draws, k)).reshape(n_chains * n_draws, k)
    c = np.ascontiguousarray(sampled.reshape(posterior.n_draws, sampled.shape[2]))
    working = coefficient_draws(
        basis,
        target.marginal,
        posterior.covariances(),
        sigma.reshape(posterior.n_draws, sigma.shape[2]) / design.scaling.y_scale,
        c,
        z,
    )
    return Posterior(
        design,
        np.ascontiguousarray(tau),
        np.ascontiguousarray(corr),
        np.ascontiguousarray(sigma),
        _new_scales(sigma, log_sigma, rng),
        log_sigma,
        design.scaling.natural(working, design.terms).reshape(
            n_chains, n_draws, 1 + len(design.terms.features)
        ),
        working.reshape(n_chains, n_draws, design.terms.n_fixed),
        seed,
    )


def _new_scales(sigma: Float, log_sigma: Float | None, rng: np.random.Generator) -> Float:
    """Draw the residual scale of a group that was not seen, one per draw."""
    if log_sigma is not None:
        z = rng.standard_normal(log_sigma.shape[:2])
        return np.exp(log_sigma[:, :, 0] + log_sigma[:, :, 1] * z)
    if sigma.shape[2] == 1:
        return sigma[:, :, 0].copy()
    # Independent priors say of a new group what they said before the data: see `infer`.
    return np.full(sigma.shape[:2], np.nan)


def _shift_target(roots: Float, center: Float) -> Float:
    """Return the roots with the fixed terms at `center` taken off the target."""
    shifted = roots.copy()
    fixed = roots[:, :, -1 - len(center) : -1]
    shifted[:, :, -1] -= fixed @ center
    return shifted
