"""The passes over rows and cells that accumulate counts, means and cross-products."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from skhbm._numba.jit import JIT, njit
from skhbm._numba.threads import in_slices

if TYPE_CHECKING:
    from skhbm._types import Float, Int


__all__ = ["merge_cells", "reduce_rows", "sum_by_group"]

#: Two threads are worth it from so many times more rows than groups, and than in a chunk, on.
HALVED = 4
#: Rows that are converted to float64 at a time. No other copy of X is made.
CHUNK = 65_536
#: From so many columns on the rows of a chunk are taken group by group, so that the
#: cross-products of the group stay in the cache. Sums are the same to the last bit.
WIDE = 32


def reduce_rows(
    X: Any, y: Float, codes: Int, n_groups: int, weights: Float | None
) -> tuple[Float, Float, Float]:
    """Accumulate n, means and centred cross-products of coded rows, in chunks.

    X (n_samples, n_features) may have any float dtype and memory order. Rows are counted from
    the first row of their group, so that the running mean has the digits of their spread, not
    of their offset. A mean that had the digits of the offset would stop moving once a step is
    less than its last digit.

    Where there are many more rows than groups, two threads reduce a half each, whatever the
    number of CPUs.
    """
    rows, d = len(y), X.shape[1] + 1
    halves = 2 if rows >= HALVED * max(n_groups, CHUNK) else 1
    first = np.zeros((n_groups, d))
    where = _first_rows(codes, n_groups)
    there = where >= 0
    first[there, :-1], first[there, -1] = X[where[there]], y[where[there]]
    parts = [
        (np.zeros(n_groups), np.zeros((n_groups, d)), np.zeros((n_groups, d, d)))
        for _ in range(halves)
    ]

    def accumulate(half: slice) -> None:
        part = parts[half.start > 0]
        for start in range(half.start, half.stop, CHUNK):
            some: Any = slice(start, min(start + CHUNK, half.stop))
            if d > WIDE:
                some = start + np.argsort(codes[some], kind="stable")
            chunk = np.ascontiguousarray(X[some], dtype=np.float64)
            response = np.ascontiguousarray(y[some], dtype=np.float64)
            weight = np.zeros(0) if weights is None else weights[some]
            _accumulate(chunk, response, codes[some], weight, first, *part)

    in_slices(accumulate, rows, halves)
    n, mean, cross = parts[0]
    for part in parts[1:]:
        seen = np.flatnonzero(part[0])
        merge_cells(seen, *(array[seen] for array in part), n, mean, cross)
    _mirror(cross)
    return n, first + mean, cross


@njit(**JIT)
def _first_rows(codes, n_groups):
    """Return the first row of each group (n_groups,), -1 for a group without rows."""
    first = np.full(n_groups, -1)
    left = n_groups
    for i in range(len(codes)):
        if first[codes[i]] < 0:
            first[codes[i]] = i
            left -= 1
            if left == 0:
                break
    return first


@njit(**JIT)
def _accumulate(X, y, codes, weights, first, n, mean, cross):
    """Update n, means and lower triangles with each row, by Welford's method.

    West (1979) has it with weights. The means are of differences from `first`.
    """
    p = X.shape[1]
    delta = np.empty(p + 1)
    for i in range(len(y)):
        w = weights[i] if len(weights) else 1.0
        j = codes[i]
        n[j] += w
        share = w / n[j]
        for a in range(p):
            delta[a] = (X[i, a] - first[j, a]) - mean[j, a]
        delta[p] = (y[i] - first[j, p]) - mean[j, p]
        rest = w * (1.0 - share)
        for a in range(p + 1):
            mean[j, a] += share * delta[a]
            scaled = rest * delta[a]
            for b in range(a + 1):
                cross[j, a, b] += scaled * delta[b]


@njit(**JIT)
def _mirror(cross):
    """Copy the lower triangles of (n, d, d) to the upper ones."""
    n, d, _ = cross.shape
    for j in range(n):
        for a in range(d):
            for b in range(a):
                cross[j, b, a] = cross[j, a, b]


@njit(**JIT)
def merge_cells(where, weight, mean, cross, total_weight, total_mean, total_cross):
    """Merge each cell into the total of which it is a part: derivation (1).

    It is the pairwise update of Chan, Golub & LeVeque (1983). Totals are changed in place, and
    stay symmetric.
    """
    d = mean.shape[1]
    delta = np.empty(d)
    for c in range(len(where)):
        t = where[c]
        share = weight[c] / (total_weight[t] + weight[c])
        spread = total_weight[t] * share
        total_weight[t] += weight[c]
        for a in range(d):
            delta[a] = mean[c, a] - total_mean[t, a]
            total_mean[t, a] += share * delta[a]
        for a in range(d):
            for b in range(a + 1):
                # derivation (1)
                total_cross[t, a, b] += cross[c, a, b] + spread * delta[a] * delta[b]
                total_cross[t, b, a] = total_cross[t, a, b]


def sum_by_group(codes: Int, values: Float, n_groups: int) -> Float:
    """Return the sums of values (n, ...) by code (n_groups, ...)."""
    n = len(codes)
    matrix = sparse.csr_array((np.ones(n), (codes, np.arange(n))), shape=(n_groups, n))
    sums: Float = matrix @ values.reshape(n, math.prod(values.shape[1:]))
    return sums.reshape(n_groups, *values.shape[1:])
