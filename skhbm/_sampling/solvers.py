"""Draws from a density by one of the solvers: which one, what must be compiled, and the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skhbm._numba.threads import COMPILING
from skhbm._sampling.draws import Draws
from skhbm._sampling.laplace import laplace
from skhbm._sampling.nuts import JITTER, prepare, sample
from skhbm._sampling.psis import good_k

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._density.target import TargetDensity
    from skhbm._sampling.draws import Watcher
    from skhbm._types import Float

__all__ = ["Settings", "chains_seconds", "draw"]

#: Gradients that a draw of NUTS takes, and what a gradient costs in units of a value.
GRADIENTS, GRADIENT = 5.5, 2.6
#: Seconds of CPU that chains may take by "auto": at once, and where weights are not reliable.
CHEAP, AFFORDABLE = 1.0, 60.0


class Settings(NamedTuple):
    """How to draw, as in the parameters of the estimator."""

    draws: int
    tune: int
    chains: int
    target_accept: float
    seed: int
    threads: int
    watchers: Sequence[Watcher] = ()


def draw(density: TargetDensity, solver: str, settings: Settings) -> Draws:
    """Draw from a density by "nuts" or "laplace", or by "auto", which chooses.

    What chains cost is predicted, not measured: a seed gives the same draws everywhere.
    """
    seconds = chains_seconds(density, settings)
    if solver == "nuts" or (solver == "auto" and seconds < CHEAP):
        return _sample(density, settings)
    found = _weight(density.in_logs(), settings)
    weights: Any = found.weights
    if solver == "auto" and weights.k > good_k(weights.n) and seconds < AFFORDABLE:
        return _sample(density, settings)
    for watcher in settings.watchers:
        watcher([settings.tune + settings.draws] * settings.chains, 0)
    return found


def chains_seconds(density: TargetDensity, settings: Settings) -> float:
    """Return the predicted seconds of CPU of chains, 0 if evaluations take next to no time."""
    n_gradients = settings.chains * (settings.tune + settings.draws) * GRADIENTS
    return n_gradients * GRADIENT * density.seconds


def _sample(density: TargetDensity, settings: Settings) -> Draws:
    """Run chains."""
    with COMPILING:
        _finite_start(density)
        model = prepare(density)
    accept = density.acceptance(settings.target_accept)
    return sample(model, **settings._replace(target_accept=accept)._asdict())


def _weight(density: TargetDensity, settings: Settings) -> Draws:
    """Draw by importance sampling."""
    with COMPILING:
        start = _finite_start(density)
    n = settings.chains * settings.draws
    # A weight that is too small for a double is zero, whatever errors a user has raised.
    with np.errstate(under="ignore"):
        found = laplace(density, start, n=n, seed=settings.seed, threads=settings.threads)
    shape = settings.chains, settings.draws
    return Draws(
        found.values.reshape(*shape, -1),
        {"logp": found.logp.reshape(shape), "diverging": np.zeros(shape, bool)},
        "laplace",
        found.moments if found.moments.size else None,
        found.weights,
        found.points,
        found.cross_products if found.cross_products.size else None,
    )


def _finite_start(density: TargetDensity) -> Float:
    """Return a point at the start or about it where the density is finite.

    Raises ValueError if there is none: nutpie would crash.
    """
    start = density.start
    jitter = JITTER * np.random.default_rng(0).standard_normal((8, len(start)))
    for point in (start, *(start + jitter)):
        logp, gradient = density.value_and_gradient(point)
        if np.isfinite(logp) and np.all(np.isfinite(gradient)):
            return point
    msg = (
        "The posterior density is not finite where sampling starts. Check that `priors` "
        "allow what the data say: their scales, and the bounds of their support."
    )
    raise ValueError(msg)
