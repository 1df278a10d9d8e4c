"""Hyperparameters at many points, effects integrated out in part exactly, in part by draws.

The effects of the factor with the most effects are integrated out by quadrature, given those of
the other factors. These are drawn from a normal distribution, that in which their coordinates
(`skhbm._density.effects_kernel`) are independent standard normals. The mean of the ratios of the
density to that of the draws is an unbiased estimate of the density of the hyperparameters, and
a draw that is chosen by its ratio is of their posterior: importance weights of the estimates are
as exact as those of the density itself (Tran, Scharth, Pitt & Kohn 2013,
https://arxiv.org/abs/1309.3339). What the estimates vary by shows in Pareto k and in the
effective number of draws.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logsumexp

from skhbm._density.effects_callbacks import density_with_effects
from skhbm._density.effects_in_part_kernel import copy_callback, draw_first, in_part_callback
from skhbm._density.evaluation import log_densities
from skhbm._density.target import Evaluated, TargetDensity
from skhbm._likelihood.grouped_rows import GroupedRows
from skhbm._likelihood.quadrature import make_quadrature
from skhbm._likelihood.quadrature_visits import VISIT
from skhbm._likelihood.visitors import draw_visitor
from skhbm._numba.lanes import LANES
from skhbm._numba.records import make_record

if TYPE_CHECKING:
    from skhbm._density.effects_density import EffectsDensity
    from skhbm._density.target import PointDensity
    from skhbm._types import Float, Int

__all__ = ["EffectsInPart", "integrate_in_part"]

#: Draws of the other effects at each point.
DRAWS = 4
#: Points whose draws are held at a time.
BATCH = 256
#: Step of the differences that gradients are made of, in units of the density's scales.
STEP = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class EffectsInPart(TargetDensity):
    """The density of the hyperparameters, with logs of standard deviations as coordinates.

    As a density of its own it is the approximation by a single point, at which all coordinates
    of the other effects are zero; `points_about` has the estimates. Values are hyperparameters
    and effects, as those of `EffectsDensity`.

    Parameters
    ----------
    whole : EffectsDensity
        The density of hyperparameters and effects, that of the first factor integrated out: their
        coordinates do not matter.
    kept : tuple
        What its tables refer to.
    work : float
        Nanoseconds of CPU of an evaluation.
    """

    whole: EffectsDensity
    kept: tuple[Any, ...]
    work: float

    @property
    def n_dim(self) -> int:
        """Number of hyperparameters."""
        return self.whole.hyper.n_dim

    @property
    def moments_shape(self) -> tuple[int, int]:
        """Moments of coefficients are not kept."""
        return 0, 0

    @property
    def start(self) -> Float:
        """Unconstrained point where a search for the mode starts (n_dim,)."""
        return self.whole.hyper.plain_start

    @property
    def scales(self) -> Float:
        """Rough standard deviations of the entries (n_dim,)."""
        return self.whole.hyper.scales

    @property
    def spreads(self) -> Int:
        """Positions of the standard deviations of effects."""
        return self.whole.hyper.spreads

    @property
    def seconds(self) -> float:
        """Seconds of CPU of an estimate."""
        return 1e-9 * DRAWS * self.work

    def in_logs(self) -> EffectsInPart:
        """Return the density itself."""
        return self

    def points_about(self, mode: Float) -> PointDensity:  # noqa: ARG002  # all are alike
        """Return the estimates."""
        return Estimates(self)

    def acceptance(self, rate: float) -> float:
        """Return the acceptance rate that was asked for: there is no chain."""
        return rate

    def table(self, *, gradient: bool = True) -> Any:
        """Return the record that the callbacks read; valid as long as this object lives."""
        return self.whole.table(gradient=gradient)

    def callbacks(self) -> tuple[Any, Any]:
        """Return the callbacks of the density, and of the values of points with effects."""
        return density_with_effects(), copy_callback()

    def log_densities(self, x: Float, z: Float, threads: int = 1) -> Float:
        """Return log densities (n,) of hyperparameters x (n, n_dim) and coordinates z.

        z (n, n_others) are those of the effects of the other factors, in the order of
        elimination.
        """
        points = np.zeros((len(x), self.whole.n_dim))
        points[:, : self.n_dim] = x
        points[:, self.positions] = z
        return log_densities(self.whole, points, threads)[0]

    @property
    def positions(self) -> Int:
        """Positions of these coordinates in the whole vector."""
        likelihood = self.whole.hyper.likelihood
        return self.n_dim + self.whole.order[likelihood.rows.sizes[0] :]

    def value_and_gradient(self, x: Float) -> tuple[float, Float]:
        """Evaluate the density, and its gradient by differences."""
        steps = STEP * np.diag(self.scales)
        points = np.concatenate([x[None], x + steps, x - steps])
        values = self.log_densities(points, np.zeros((len(points), len(self.positions))))
        up, down = np.split(values[1:], 2)
        return float(values[0]), (up - down) / (2.0 * STEP * self.scales)


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """Unbiased estimates of the density at points; the same at the same point."""

    density: EffectsInPart

    @property
    def spreads(self) -> Int:
        """Positions of standard deviations that may be zero."""
        return self.density.spreads

    @property
    def forms(self) -> Float:
        """The identity (n_dim, n_dim)."""
        return np.eye(self.density.n_dim)

    def evaluate(self, x: Float, threads: int) -> Evaluated:
        """Estimate the density at points (n, n_dim).

        The chosen coordinates of the other effects (n, n_others) are among what is returned, as
        the lines.
        """
        parts = [self._estimate(x[i : i + BATCH], threads) for i in range(0, len(x), BATCH)]
        logp, chosen = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Evaluated(logp, np.empty((0, 0, 0)), chosen, np.empty((0, 0, 0)))

    def _estimate(self, x: Float, threads: int) -> tuple[Float, Float]:
        """Return log estimates (n,) and the chosen coordinates (n, n_others)."""
        m = len(self.density.positions)
        z, u = np.empty((len(x), DRAWS, m)), np.empty((len(x), 1))
        for i, point in enumerate(x):
            key = int.from_bytes(blake2b(point.tobytes(), digest_size=16).digest())
            rng = np.random.Generator(np.random.Philox(key=key))
            z[i], u[i] = rng.standard_normal((DRAWS, m)), rng.random()
        flat = z.reshape(-1, m)
        ratios = self.density.log_densities(np.repeat(x, DRAWS, axis=0), flat, threads)
        ratios = (ratios + 0.5 * np.sum(flat**2, axis=1)).reshape(-1, DRAWS)
        logp = logsumexp(ratios, axis=1) - np.log(DRAWS)
        with np.errstate(invalid="ignore"):
            cdf = np.cumsum(np.exp(ratios - logp[:, None]), axis=1) / DRAWS
        chosen = np.minimum(np.sum(cdf < u, axis=1), DRAWS - 1)
        return logp, z[np.arange(len(x)), chosen]

    def complete(
        self, x: Float, found: Evaluated, rng: np.random.Generator
    ) -> tuple[Float, Float]:
        """Draw the effects of the first factor: points with all effects (n, n_dim'), logs (n,)."""
        density = self.density
        whole, d = density.whole, density.n_dim
        J, q, _ = whole.hyper.likelihood.placed[0].information.shape
        tables, points = whole.table(), np.zeros((len(x), whole.n_dim))
        points[:, :d], points[:, density.positions] = x, found.lines
        out, slots = np.empty_like(points), np.arange(J)
        visits = make_record(
            VISIT, visitor=draw_visitor().address, slots=slots, n_terms=q, n_answers=J
        )
        for first in range(0, len(x), BATCH):
            some = slice(first, first + BATCH)
            numbers = rng.random((len(x[some]), J, q))
            draw_first(tables, visits, points[some], out[some], numbers, np.zeros_like(numbers))
        points[:, d + whole.order] = out[:, d:]
        return points, found.logp


if TYPE_CHECKING:
    _: type[PointDensity] = Estimates


def integrate_in_part(density: EffectsDensity) -> EffectsInPart:
    """Return the density with the effects of the first factor integrated out by quadrature."""
    likelihood = density.hyper.likelihood
    rows, response = likelihood.rows, likelihood.response
    codes = rows.codes[:, 0]
    starts = np.searchsorted(codes, np.arange(rows.n_levels[0] + 1))
    grouped = GroupedRows(
        response.y, response.size, response.weight, np.ones((len(codes), 1)), rows.terms[0],
        starts.astype(np.int64),
    )  # fmt: skip
    quadrature = make_quadrature(response.family, grouped)
    begins = LANES * quadrature.first[:-1] - starts[:-1]
    places = np.arange(len(codes)) + begins[codes]
    table = quadrature.table()
    record = likelihood.table()
    record["quadrature"], record["n_places"] = quadrature.callback().address, quadrature.y.size
    record["quadrature_table"], record["places"] = table.ctypes.data, places.ctypes.data
    hyper = replace(density.hyper.in_logs(), likelihood_table=record)
    hyper_table = hyper.table()
    hyper_table["likelihood"] = in_part_callback().address
    whole = replace(density, hyper=hyper, hyper_table=hyper_table)
    return EffectsInPart(whole, (quadrature, table, places), quadrature.work)
