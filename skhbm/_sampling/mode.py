"""The mode of a density and its curvature there, with few gradients."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

if TYPE_CHECKING:
    from skhbm._density.target import TargetDensity
    from skhbm._types import Float

__all__ = ["find_mode"]

#: Where all derivatives are below this, in units of the density's scales, is the mode: the
#: proposals that are put there need not know it better.
TOLERANCE = 5e-2
#: Step of the differences of gradients that the curvature is made of, in the same units.
STEP = 1e-2
#: Smallest curvature: no proposal is wider than ten units of the unconstrained parameters.
FLATTEST = 1e-2


def find_mode(density: TargetDensity, start: Float, threads: int) -> tuple[Float, Float]:
    """Return the mode of a density (n_dim,), and the inverse of its curvature there."""
    if not len(start):
        return start, np.empty((0, 0))
    scales = density.scales

    def minus(z: Float) -> tuple[float, Float]:
        logp, gradient = density.value_and_gradient(start + scales * z)
        finite = np.isfinite(logp) and np.all(np.isfinite(gradient))
        return (-logp, -scales * gradient) if finite else (np.inf, np.zeros(len(z)))

    options = {"gtol": TOLERANCE}
    z = minimize(minus, np.zeros(len(start)), jac=True, method="BFGS", options=options).x
    steps = STEP * np.eye(len(z))
    # Gradients are computed in threads, and come in the order of the steps.
    with ThreadPoolExecutor(threads) as pool:
        ends = list(pool.map(lambda at: minus(at)[1], [*(z + steps), *(z - steps)]))
    rows = (np.array(ends[: len(z)]) - np.array(ends[len(z) :])) / (2.0 * STEP)
    curvature = rows / np.outer(scales, scales)
    values, vectors = np.linalg.eigh(0.5 * (curvature + curvature.T))
    return start + scales * z, (vectors / np.maximum(values, FLATTEST)) @ vectors.T
