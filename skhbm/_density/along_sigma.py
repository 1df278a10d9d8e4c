"""The density of what is not the residual scale, which is integrated along its line.

The vector x' has the logs of tau / sigma, correlations and sampled coefficients, one entry less
than the whole vector x. It is linear in x, and the volume is the same. A point costs one
factorisation, whatever sigma is, and sigma is drawn exactly afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._density.along_sigma_kernel import FIRST, HALF, STEP, VALUES, evaluate_lines
from skhbm._density.evaluation import has_room
from skhbm._density.target import Evaluated
from skhbm._numba.threads import in_slices

if TYPE_CHECKING:
    from skhbm._density.target import PointDensity
    from skhbm._types import Float, Int

__all__ = ["AlongSigma"]

#: Parts that the distance of nodes is divided into where sigma is drawn.
PARTS = 8
#: Draws of sigma made at a time.
BATCH = 2048


@dataclass(frozen=True, slots=True, eq=False)
class AlongSigma:
    """The density of x' for several factors with one residual scale.

    Parameters
    ----------
    density : HyperparameterDensity
        With logs of all standard deviations as coordinates.
    guess : float
        Where log sigma is looked for.
    """

    density: Any
    guess: float

    @property
    def spreads(self) -> Int:
        """Positions of standard deviations that may be zero."""
        return np.asarray(self.density.spreads)

    @property
    def forms(self) -> Float:
        """The matrix that takes the whole vector to x' (n_dim - 1, n_dim)."""
        out = np.eye(self.density.n_dim)
        out[self.density.spreads, self.density.n_effects] = -1.0
        return np.delete(out, self.density.n_effects, axis=0)

    def evaluate(self, x: Float, threads: int) -> Evaluated:
        """Evaluate the density at points (n, n_dim - 1)."""
        density = self.density
        likelihood, table = density.likelihood, density.table(gradient=False)
        m = len(likelihood.mean) + len(density.center) + 1
        x, logp = np.ascontiguousarray(x), np.empty(len(x))
        lines = np.empty((len(x), VALUES + 2 * HALF + 1))
        cross = np.empty((len(x) if has_room(len(x), m) else 0, m, m))
        address = likelihood.relative_callback().address

        def evaluate(some: slice) -> None:
            evaluate_lines(
                table, address, density.n_rows, likelihood.mean, self.guess,
                x[some], logp[some], lines[some], cross[some],
            )  # fmt: skip

        in_slices(evaluate, len(x), threads)
        return Evaluated(logp, np.empty((0, 0, 0)), lines, cross)

    def complete(
        self, x: Float, found: Evaluated, rng: np.random.Generator
    ) -> tuple[Float, Float]:
        """Draw sigma; return whole vectors (n, n_dim) and their log densities (n,)."""
        log_sigma, logp = np.empty((2, len(x)))
        u = rng.random(len(x))
        for first in range(0, len(x), BATCH):
            some = slice(first, first + BATCH)
            log_sigma[some], logp[some] = _draw(found.lines[some], u[some])
        n_effects = self.density.n_effects
        whole = np.insert(x, n_effects, log_sigma, axis=1)
        whole[:, self.density.spreads] += log_sigma[:, None]
        return whole, logp


def _draw(lines: Float, u: Float) -> tuple[Float, Float]:
    """Return draws of log sigma from lines, and log densities: quantiles u (n,).

    Between nodes the log density is a cubic spline.
    """
    from scipy.interpolate import CubicSpline

    spline = CubicSpline(np.arange(2 * HALF + 1), lines[:, VALUES:], axis=1)
    grid = np.linspace(0, 2 * HALF, 2 * HALF * PARTS + 1)
    values = spline(grid)
    heights = np.exp(values - values.max(axis=1, keepdims=True))
    mass = 0.5 * (heights[:, 1:] + heights[:, :-1])
    cdf = np.cumsum(mass, axis=1)
    wanted = u * cdf[:, -1]
    rows = np.arange(len(u))
    at = np.minimum(np.sum(cdf < wanted[:, None], axis=1), mass.shape[1] - 1)
    share = 1.0 - (cdf[rows, at] - wanted) / mass[rows, at]
    place = (at + share) / PARTS
    node = at // PARTS
    a, b, c, d = spline.c[:, node, rows]
    t = place - node
    logp = ((a * t + b) * t + c) * t + d
    return lines[:, FIRST] + lines[:, STEP] * place, logp


if TYPE_CHECKING:
    _: type[PointDensity] = AlongSigma
