"""The posterior: draws of all parameters that were not integrated out, and their design.

A `Posterior` is arrays only. Fitted estimators keep it, pickle it and predict from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Self

import numpy as np

from skhbm._numba.threads import in_slices
from skhbm._posterior.effects import covariance_roots
from skhbm._posterior.effects_blocked import BlockedEffects
from skhbm._posterior.effects_one_factor import OneFactorEffects
from skhbm._posterior.nodes import all_nodes, moment_nodes, most_nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skhbm._design.design import Design
    from skhbm._posterior.effects_blocked import Nodes
    from skhbm._posterior.points import Points
    from skhbm._types import Float, Int


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
#: Effects drawn at a time.
BLOCK = 2**20


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

    def condensed(self) -> Posterior:
        """Return no more draws than can be factorised for one question to the posterior.

        With one factor they are all draws. With several they are some, evenly spread. The
        coefficients are integrated out of what is asked, so that a few hundred draws say as
        much as thousands.
        """
        if self.points is None:
            return self
        return self.thinned(-(-self.n_draws // most_nodes(self)))

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

    def joint_effects(self, nodes: Nodes | None = None) -> BlockedEffects:
        """Return coefficients and effects of several factors, given nodes.

        Nodes are those for means and variances, unless they are given.
        """
        several, points = self.design.several_factors, self.points
        assert several is not None and points is not None, "there are several factors"
        nodes = moment_nodes(self) if nodes is None else nodes
        return BlockedEffects(several.in_columns(points.columns), several.layout, points, nodes)

    def effects(self) -> list[Float]:
        """Draw the effects of all factors (n_chains, n_draws, n_groups, q) in working units."""
        shapes = [(f.n_groups, len(f.terms.varying)) for f in self.design.factors]
        out = [np.empty((self.n_draws, *shape)) for shape in shapes]
        for draws, effects in self.effect_blocks():
            for array, part in zip(out, effects, strict=True):
                array[draws] = part
        return [array.reshape(*self.shape, *array.shape[1:]) for array in out]

    def effect_blocks(self) -> Iterator[tuple[slice, list[Float]]]:
        """Yield draws of all chains, and their effects (s, n_groups, q), as `effects` has them.

        A few draws at a time, so that memory does not grow with draws times groups.
        """
        sizes = [f.n_groups * len(f.terms.varying) for f in self.design.factors]
        draw = self._draw_one_factor() if self.points is None else self._draw_jointly()
        rng = np.random.default_rng([self.seed, 1])
        n_chains, n_draws = self.shape
        longest = max(1, BLOCK // max(1, sum(sizes)))
        for chain in range(n_chains):
            before = None
            for first in range(0, n_draws, longest):
                n = min(longest, n_draws - first)
                z = innovations(rng, (1, n, sum(sizes)), before)[0]
                before = z[-1].copy()
                start = chain * n_draws + first
                yield slice(start, start + n), draw(slice(start, start + n), z)

    def _draw_one_factor(self) -> Callable[[slice, Float], list[Float]]:
        """Return what turns standard normals (s, n_groups q) into effects of some draws."""
        given, groups = self.conditional_effects(), np.arange(self.design.n_groups)

        def draw(draws: slice, z: Float) -> list[Float]:
            z = z.reshape(len(z), len(groups), -1)
            in_slices(partial(_draw_part, given, groups, z, draws.start), len(z), 2)
            return [z]

        return draw

    def _draw_jointly(self) -> Callable[[slice, Float], list[Float]]:
        """Return what turns standard normals (s, n_effects) into effects of all factors."""
        nodes, w = all_nodes(self), self.coefficients()

        def draw(draws: slice, z: Float) -> list[Float]:
            return self.joint_effects(nodes.some(draws)).draw(w[draws], z)

        return draw

    def natural_effects(self, effects: list[Float]) -> list[Float]:
        """Return the effects of all factors at x = 0, on the natural scale."""
        scaling = self.design.scaling
        return [
            scaling.natural_effects(working, factor.terms)
            for working, factor in zip(effects, self.design.factors, strict=True)
        ]


def flat(draws: Float) -> Float:
    """Return draws (n_chains, n_draws, n) of all chains together (n_chains * n_draws, n)."""
    return draws.reshape(draws.shape[0] * draws.shape[1], draws.shape[2])


def _draw_part(
    given: ConditionalEffects, groups: Int, z: Float, start: int, part: slice
) -> None:
    """Turn a part of standard normals z (s, n, q) into effects; z[0] is of the draw `start`."""
    given.draw(groups, z[part], slice(start + part.start, start + part.stop))


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
