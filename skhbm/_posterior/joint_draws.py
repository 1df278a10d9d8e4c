"""Coefficients of models with several factors, drawn from their exact distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skhbm._posterior.nodes import all_nodes
from skhbm._posterior.points import draw_coefficients

if TYPE_CHECKING:
    from skhbm._posterior.posterior import Posterior
    from skhbm._types import Float

__all__ = ["draw_jointly"]


def draw_jointly(posterior: Posterior, K: Float | None, z: Float) -> Float:
    """Draw working coefficients (n_draws, n_fixed) from standard normals z (n_draws, k).

    K (n_points, m, m) are the cross-products of the points, in the order of their numbers, or
    None if they are to be computed.
    """
    points = posterior.points
    assert points is not None, "there are several factors"
    _, first, which = np.unique(points.index, return_index=True, return_inverse=True)
    if K is None:
        K = posterior.joint_effects(all_nodes(posterior).some(first)).cross_products()
    sigma = posterior.residual_scales()[:, 0]
    return draw_coefficients(points, K[which.ravel()], sigma, z)
