"""Univariate distributions of PyMC: which exist, what they take, and draws of them."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt

__all__ = [
    "check_distribution",
    "find_distribution",
    "has_negative_support",
    "prior_draws",
]


def check_distribution(name: str, prior: Any) -> None:
    """Check that a prior names a univariate continuous PyMC distribution and its arguments."""
    distribution = find_distribution(name, prior)
    arguments = _arguments(distribution)
    unknown = sorted(set(prior.parameters) - set(arguments))
    if unknown:
        msg = (
            f"{prior.distribution} takes {', '.join(arguments)}. Got {unknown[0]!r} for {name}."
        )
        raise ValueError(msg)
    try:
        rv = distribution.dist(**prior.parameters)
        scalar = rv.ndim == 0
        draw = pm.draw(rv, random_seed=0, mode="FAST_COMPILE") if scalar else np.nan
        proper = np.isfinite(pm.logp(rv, draw).eval(mode="FAST_COMPILE"))
    except Exception as error:
        reason = str(error).splitlines()[0]
        msg = f"PyMC cannot make {prior!r}, the prior of {name}: {reason}."
        raise ValueError(msg) from error
    if not scalar or not proper:
        msg = f"The prior of {name} must be proper, one number a draw. Got {prior!r}."
        raise ValueError(msg)


def find_distribution(name: str, prior: Any) -> Any:
    """Return the class of PyMC that a prior names: a continuous distribution, nothing else."""
    distribution: Any = getattr(pm, prior.distribution, None)
    if not _is_continuous(distribution):
        names = [n for n in dir(pm) if _is_continuous(getattr(pm, n))]
        close = difflib.get_close_matches(prior.distribution, names)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        msg = (
            f"The prior of {name} must be a continuous PyMC distribution. "
            f"Got {prior.distribution!r}.{hint}"
        )
        raise ValueError(msg)
    return distribution


def has_negative_support(prior: Any) -> bool:
    """Whether a distribution has any mass below zero."""
    rv = getattr(pm, prior.distribution).dist(**prior.parameters)
    # Draws find narrow supports, which a grid of points may miss; the grid finds thin tails.
    if np.any(pm.draw(rv, draws=1000, random_seed=0, mode="FAST_COMPILE") < 0):
        return True
    value = pt.dscalar()
    logp = pytensor.function([value], pm.logp(rv, value), mode="FAST_COMPILE")
    return any(np.isfinite(logp(point)) for point in -np.logspace(-8, 8, 33))


def prior_draws(prior: Any, shape: tuple[int, ...], seed: int) -> Any:
    """Draw numbers of this shape from a prior."""
    rv = getattr(pm, prior.distribution).dist(**prior.parameters)
    size = int(np.prod(shape))
    return pm.draw(rv, draws=size, random_seed=seed, mode="FAST_COMPILE").reshape(shape)


def _is_continuous(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, pm.Continuous)


def _arguments(distribution: Any) -> list[str]:
    signature = inspect.signature(distribution.dist)
    skipped = ("args", "kwargs", "size", "shape", "cls")
    return [name for name in signature.parameters if name not in skipped]
