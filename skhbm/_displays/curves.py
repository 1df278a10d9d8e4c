"""Samples drawn as curves: kernel densities and empirical distribution functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from skhbm._types import Float


__all__ = ["central_range", "densities", "distributions"]

#: Points of a curve, at most.
POINTS = 512
#: Values are cut off if they reach over more than so many interquartile ranges, ...
LONGEST = 30
#: ... and then at so many from the quartiles: six standard deviations of normals.
REACH = 4


def central_range(samples: Float) -> tuple[float, float]:
    """Return the range of all values, or of the central ones if tails would hide these."""
    low, high = float(samples.min()), float(samples.max())
    first, third = np.quantile(samples, [0.25, 0.75])
    between = third - first
    if high - low <= LONGEST * between or between == 0:
        return low, high
    return max(low, first - REACH * between), min(high, third + REACH * between)


def densities(samples: Float) -> tuple[Float, Float]:
    """Return a grid and the kernel density on it of each of the samples (n_samples, n).

    The grid is over their central range. Densities are those of all values: where some are
    beyond it, they integrate to the share within.
    """
    from arviz_stats.base import array_stats

    if not np.all(np.ptp(samples, axis=1) > 0):
        msg = (
            'kind="kde" needs different values: there is no density of one row, or of equal '
            'ones. Pass kind="ecdf".'
        )
        raise ValueError(msg)
    low, high = central_range(samples)
    # Kernels reach beyond the outermost values.
    margin = 0.15 * (high - low)

    def kde(values: Float) -> tuple[Float, Float]:
        grid, density, _ = array_stats.kde(
            values,
            grid_len=POINTS,
            custom_lims=(low - margin, high + margin),
            bound_correction=False,
        )
        return grid, density

    inside = (samples >= low) & (samples <= high)
    if inside.all():
        return kde(samples)
    # Bandwidths that tails would set are too wide for the rest.
    curves = [kde(sample[within]) for sample, within in zip(samples, inside, strict=True)]
    grids, heights = map(np.array, zip(*curves, strict=True))
    return grids, heights * inside.mean(axis=1, keepdims=True)


def distributions(samples: Float) -> tuple[Float, Float]:
    """Return values and the share at or below each, of each of the samples (n_samples, n).

    The first share is 0, where the first step begins.
    """
    n = samples.shape[1]
    at = np.unique(np.linspace(0, n - 1, min(n, POINTS)).astype(np.int64))
    at = np.append(0, at)
    share = np.append(0.0, (at[1:] + 1) / n)
    return np.sort(samples, axis=1)[:, at], np.broadcast_to(share, (len(samples), len(at)))
