"""More rows with several factors: the weights of draws, their coefficients, and the design.

All effects and the coefficients with normal priors are integrated out. The weight of a draw is
the ratio of the marginal densities of all rows and of the rows of fit, given scales,
correlations and coefficients that were sampled. The other coefficients are drawn anew, given
all rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from skhbm._design.design import make_design
from skhbm._posterior.hierarchical import flat
from skhbm._posterior.joint_draws import draw_jointly, joint_densities
from skhbm._posterior.points import make_points
from skhbm._posterior.posterior import innovations

if TYPE_CHECKING:
    from skhbm._posterior.posterior import Posterior
    from skhbm._priors.prior import Priors
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float


__all__ = ["add_cells", "without_level"]


def add_cells(
    posterior: Posterior, fitted: GroupedStatistics, new: GroupedStatistics, priors: Priors
) -> tuple[Posterior, Float, GroupedStatistics]:
    """Return the draws with the design of all rows, log ratios, and all statistics."""
    merged = fitted + new
    before, _ = joint_densities(posterior)
    extended = _with_design(posterior, merged)
    after, K = joint_densities(extended)
    points = posterior.points
    assert points is not None, "there are several factors"
    rng = np.random.default_rng([posterior.seed, 4, len(merged.n)])
    z = flat(innovations(rng, (*posterior.shape, len(points.mean))))
    working = draw_jointly(extended, K, z)
    design = extended.design
    coef = design.scaling.natural(working, design.terms).reshape(posterior.coef.shape)
    extended = replace(
        extended,
        coef=coef,
        working=working.reshape(posterior.working.shape),
        points=make_points(design, priors, points.index, coef),
    )
    return extended, after - before, merged


def without_level(
    posterior: Posterior, statistics: GroupedStatistics, factor: int, level: int
) -> Float:
    """Return log densities (n_draws,) of the rows that are not of a level of a factor."""
    kept = statistics.codes[:, factor] != level
    if not np.any(kept):
        return np.zeros(posterior.n_draws)
    return joint_densities(_with_design(posterior, statistics.of_cells(kept)))[0]


def _with_design(posterior: Posterior, statistics: GroupedStatistics) -> Posterior:
    """Return the same draws with the design of other statistics, in the same coordinates."""
    design = posterior.design
    terms = [factor.terms for factor in design.factors]
    return replace(posterior, design=make_design(statistics, terms, design.scaling))
