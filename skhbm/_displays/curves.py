"""Samples drawn as curves: kernel densities and empirical distribution functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from skhbm._types import Float


__all__ = ["densities", "distributions"]

#: Points of a curve, at most.
POINTS = 512


def densities(samples: Float) -> tuple[Float, Float]:
    """Return a grid and the kernel density on it of each of the samples (n_samples, n)."""
    from arviz_stats.base import array_stats

    if not np.all(np.ptp(samples, axis=1) > 0):
        msg = (
            'kind="kde" needs different values: there is no density of one row, or of equal '
            'ones. Pass kind="ecdf".'
        )
        raise ValueError(msg)
    low, high = samples.min(), samples.max()
    # Kernels reach beyond the outermost values.
    margin = 0.15 * (high - low)
    grid, density, _ = array_stats.kde(
        samples,
        grid_len=POINTS,
        custom_lims=(low - margin, high + margin),
        bound_correction=False,
    )
    return grid, density


def distributions(samples: Float) -> tuple[Float, Float]:
    """Return values and the share at or below each, of each of the samples (n_samples, n).

    The first share is 0, where the first step begins.
    """
    n = samples.shape[1]
    at = np.unique(np.linspace(0, n - 1, min(n, POINTS)).astype(np.int64))
    at = np.append(0, at)
    share = np.append(0.0, (at[1:] + 1) / n)
    return np.sort(samples, axis=1)[:, at], np.broadcast_to(share, (len(samples), len(at)))
