"""Densities of draws with several factors, and coefficients drawn given each draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skhbm._posterior.nodes import all_nodes, joint_effects
from skhbm._posterior.points import draw_coefficients, log_densities

if TYPE_CHECKING:
    from skhbm._posterior.posterior import Posterior
    from skhbm._types import Float, Int

__all__ = ["draw_jointly", "joint_densities"]


def joint_densities(posterior: Posterior) -> tuple[Float, Float]:
    """Return the log density of the rows given each draw (n_draws,), and K of its points.

    Effects and the coefficients with normal priors are integrated out. The density is per unit
    of y, or of the responses over their errors, if these are known.
    """
    points, design = posterior.points, posterior.design
    assert points is not None, "there are several factors"
    first, which = _distinct(posterior)
    nodes = all_nodes(posterior)
    logdet, K = joint_effects(posterior, nodes.some(first)).densities()
    count = float(design.log_counts[0])
    values = log_densities(points, logdet[which], K[which], nodes.sigma, count)
    # Responses over their errors have no unit, and their count is 0.
    unit = count * np.log(design.scaling.y_scale)
    return values - unit - 0.5 * np.log(2 * np.pi) * design.n.sum(), K


def draw_jointly(posterior: Posterior, K: Float | None, z: Float) -> Float:
    """Draw working coefficients (n_draws, n_fixed) from standard normals z (n_draws, k).

    K (n_points, m, m) are the cross-products of the points, in the order of their numbers, or
    None if they are to be computed. The draws are shifted to their mean, which is known up to
    what nodes leave of it.
    """
    points = posterior.points
    assert points is not None, "there are several factors"
    first, which = _distinct(posterior)
    if K is None:
        K = joint_effects(posterior, all_nodes(posterior).some(first)).cross_products()
    working = draw_coefficients(points, K[which], posterior.residual_scales()[:, 0], z)
    center, _ = joint_effects(posterior).population_moments()
    return working + (center - working.mean(axis=0))


def _distinct(posterior: Posterior) -> tuple[Int, Int]:
    """Return the first draw of each point, and the point of each draw, numbered."""
    assert posterior.points is not None, "there are several factors"
    index = posterior.points.index
    _, first, which = np.unique(index, return_index=True, return_inverse=True)
    return first, which.ravel()
