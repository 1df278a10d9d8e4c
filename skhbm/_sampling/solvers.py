"""Draws from a density by one of the solvers: a start, what must be compiled, and the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skhbm._numba.threads import COMPILING
from skhbm._sampling.draws import Draws
from skhbm._sampling.laplace import laplace
from skhbm._sampling.nuts import JITTER, prepare, sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._density.target import TargetDensity
    from skhbm._sampling.draws import Watcher
    from skhbm._types import Float

__all__ = ["draw"]


def draw(
    density: TargetDensity,
    solver: str,
    *,
    draws: int,
    tune: int,
    chains: int,
    target_accept: float,
    seed: int,
    threads: int,
    watchers: Sequence[Watcher] = (),
) -> Draws:
    """Draw from a density by "nuts" or "laplace"."""
    if solver == "laplace":
        density = density.in_logs()
    with COMPILING:
        start = _finite_start(density)
        model = prepare(density) if solver == "nuts" else None
    if solver == "nuts":
        return sample(
            model,
            draws=draws,
            tune=tune,
            chains=chains,
            target_accept=density.acceptance(target_accept),
            seed=seed,
            threads=threads,
            watchers=watchers,
        )
    # A weight that is too small for a double is zero, whatever errors a user has raised.
    with np.errstate(under="ignore"):
        found = laplace(density, start, n=chains * draws, seed=seed, threads=threads)
    for watcher in watchers:
        watcher([tune + draws] * chains, 0)
    logp = found.logp.reshape(chains, draws)
    return Draws(
        found.values.reshape(chains, draws, -1),
        {"logp": logp, "diverging": np.zeros(logp.shape, bool)},
        found.moments if found.moments.size else None,
        found.weights,
        found.points,
        found.cross_products if found.cross_products.size else None,
    )


def _finite_start(density: TargetDensity) -> Float:
    """Return a point at the start or about it where the density is finite.

    Raises ValueError if there is none: nutpie would crash.
    """
    jitter = JITTER * np.random.default_rng(0).standard_normal((8, len(density.start)))
    for point in (density.start, *(density.start + jitter)):
        logp, gradient = density.value_and_gradient(point)
        if np.isfinite(logp) and np.all(np.isfinite(gradient)):
            return point
    msg = (
        "The posterior density is not finite where sampling starts. Check that `priors` "
        "allow what the data say: their scales, and the bounds of their support."
    )
    raise ValueError(msg)
