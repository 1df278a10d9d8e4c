"""Probabilities of successive counts, averaged over components, in vector instructions."""

from __future__ import annotations

import numpy as np

from skhbm._numba.jit import JIT, njit
from skhbm._numba.lanes import LANES, at_least, load, splat, store, total

__all__ = ["LANES", "successive"]


@njit(**JIT)
def successive(current, a, b, first, n_counts, n_components):
    """Return average probabilities of n_counts counts from `first` on.

    current (n, LANES) has the probabilities of `first` in each component, and is left with
    those of the count that follows. p(y) / p(y - 1) = a + b / y.
    """
    out = np.empty(n_counts)
    for j in range(n_counts):
        inverse, sum_of = 1.0 / (first + j + 1.0), splat(0.0)
        for i in range(len(current)):
            p = load(current, (i,))
            sum_of = sum_of + p
            ratio = at_least(load(a, (i,)) + load(b, (i,)) * inverse, splat(0.0))
            store(current, (i,), p * ratio)
        out[j] = total(sum_of) / n_components
    return out
