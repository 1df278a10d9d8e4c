"""The posterior: draws of all parameters that were not integrated out, and their design.

A `Posterior` is arrays only. Fitted estimators keep it, pickle it and predict from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._posterior.effects_one_factor import OneFactorEffects
from skhbm._posterior.hierarchical import HierarchicalDraws, Scales, flat

if TYPE_CHECKING:
    from collections.abc import Callable

    from skhbm._posterior.points import Points
    from skhbm._types import Float


__all__ = [
    "Posterior",
    "innovations",
]

#: Correlation of successive innovations of exact conditional draws (Adler's
#: overrelaxation, Phys. Rev. D 23, 2901, 1981). The distribution of each draw stays as it is,
#: and averages over a chain converge like averages over 5/3 as many draws.
OVERRELAXATION = -0.25


@dataclass(frozen=True, slots=True, eq=False)
class Posterior(HierarchicalDraws):
    """Posterior draws of the normal model, chains first, and the design they belong to.

    Parameters
    ----------
    design, scales, coef, working, seed
        As in `HierarchicalDraws`, with a `Design`.
    sigma : ndarray of shape (n_chains, n_draws, 1 or n_groups)
        Residual scales; 1 if errors are known, since rows are weighted by their precision.
    sigma_new : ndarray of shape (n_chains, n_draws)
        Residual scale of a group that was not seen; 0 if errors are known.
    log_sigma : ndarray of shape (n_chains, n_draws, 2) or None
        Mean and sd of log sigma_j under the hierarchical prior.
    points : Points or None
        With several factors, which draws share what effects are computed from.
    """

    sigma: Float
    sigma_new: Float
    log_sigma: Float | None
    points: Points | None = None

    def thinned(self, step: int) -> Posterior:
        """Return the posterior with the first of each `step` draws of a chain."""
        return self.taken(lambda draws: draws[:, ::step])

    def taken(self, take: Callable[[Any], Any]) -> Posterior:
        """Return the posterior of some draws; `take` chooses them from an array."""
        points = self.points
        if points is not None:
            points = replace(points, index=take(points.index), sampled=take(points.sampled))
        return replace(
            self,
            scales=tuple(Scales(take(s.tau), take(s.corr)) for s in self.scales),
            sigma=take(self.sigma),
            sigma_new=take(self.sigma_new),
            log_sigma=None if self.log_sigma is None else take(self.log_sigma),
            coef=take(self.coef),
            working=take(self.working),
            points=points,
        )

    def response_variables(self) -> tuple[dict[str, Any], dict[str, list[str]]]:
        """Return draws (n_chains, n_draws, ...) of residual scales by name, and their dims."""
        terms, variables = self.design.terms, {}
        dims: dict[str, list[str]] = {}
        if terms.by_group:
            variables["sigma"], dims["sigma"] = self.sigma, [self.design.levels.name]
        elif not terms.known:
            variables["sigma"] = self.sigma[:, :, 0]
        if self.log_sigma is not None:
            variables["log_sigma_mean"] = self.log_sigma[:, :, 0]
            variables["log_sigma_sd"] = self.log_sigma[:, :, 1]
        return variables, dims

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

    def residual_scales(self) -> Float:
        """Return residual scales in working units (n_draws, 1 or n_groups)."""
        return flat(self.sigma) / self.design.scaling.y_scale

    def conditional_effects(self) -> OneFactorEffects:
        """Return the effects of the only factor given each draw."""
        return OneFactorEffects(
            self.covariance_roots()[0],
            self.residual_scales(),
            self.coefficients(),
            self.design.roots,
        )


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
