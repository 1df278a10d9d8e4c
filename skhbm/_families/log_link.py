"""Means of counts: the exposure times the exponential of the linear predictor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._numba.jit import JIT_INNER, njit

if TYPE_CHECKING:
    from skhbm._types import Float

__all__ = ["draw_counts", "expected_count", "mean"]

#: The exponential of a larger linear predictor, times an exposure, would overflow.
LARGEST_ETA = 690.0
#: A mean up to here can be drawn from; that of a larger count is known to ten digits.
LARGEST_MEAN = 1e18


def mean(size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    """Return the expected count."""
    return size * np.exp(np.minimum(eta, LARGEST_ETA))


def draw_counts(rng: np.random.Generator, expected: Any) -> Float:
    """Return draws of Poisson counts, as floats."""
    counts = rng.poisson(np.minimum(expected, LARGEST_MEAN))
    return np.where(expected <= LARGEST_MEAN, counts.astype(float), expected)


@njit(**JIT_INNER)
def expected_count(size, eta):
    """Return size * exp(eta), which is finite."""
    return size * math.exp(min(eta, LARGEST_ETA))
