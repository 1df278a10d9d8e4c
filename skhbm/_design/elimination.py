"""The order in which the coefficients of several factors are eliminated, and where L fills up.

The factor with the most coefficients is eliminated first, level by level. What is left is a
matrix S over the levels of the other factors. Two levels are neighbours in S if they occur
together in a level of the first factor. Rows of its Cholesky factor L follow from the
elimination tree (Davis 2006, Direct Methods for Sparse Linear Systems, chapter 4). Up to the
column `n_head` L is sparse. From there on it is a dense matrix, left to LAPACK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skhbm._numba.jit import JIT, njit

if TYPE_CHECKING:
    from typing import Any

    from skhbm._types import Float, Int

__all__ = ["Pattern", "find_pattern", "order_levels"]

#: Speed of LAPACK on dense matrices relative to loops over sparse columns.
SPEED = 30.0
#: A sparse factor must promise less than this share of the work of a dense one.
WORTHWHILE = 0.5
#: Products of the pattern with itself, for each entry of a dense matrix, above which S is
#: dense enough not to look.
CROWDED = 8.0
#: Levels up to which a dense matrix costs next to nothing.
FEW = 50


class Pattern(NamedTuple):
    """Where the Cholesky factor L of S has entries; the last R - n_head columns are dense.

    Attributes
    ----------
    row_start : (R + 1,), row_column : columns of the entries of L left of the diagonal
    column_start : (n_head + 1,), column_row : rows of the entries below the diagonal of the
        sparse columns
    """

    row_start: Int
    row_column: Int
    column_start: Int
    column_row: Int

    @property
    def n_head(self) -> int:
        """Number of sparse columns."""
        return len(self.column_start) - 1

    @property
    def work(self) -> float:
        """Operations of the factorisation, of which those of LAPACK count less."""
        tail = len(self.row_start) - 1 - self.n_head
        counts = np.diff(self.column_start).astype(float) + 1
        return float(np.sum(counts**2) + tail**3 / 3 / SPEED)


def order_levels(meets: Any, widths: Int) -> tuple[Int, int]:
    """Order levels so that L stays sparse; return the order and the first dense level.

    Parameters
    ----------
    meets : scipy.sparse.csr_array of shape (n_first, n_levels)
        The levels of the other factors that each level of the first factor occurs with.
    widths : ndarray of int of shape (n_levels,)
        Number of terms of each level.

    Returns
    -------
    order : ndarray of int of shape (n_levels,)
    n_sparse : int
        The first so many of these levels are eliminated as sparse columns.
    """
    n = len(widths)
    natural = np.arange(n)
    counts = np.diff(meets.indptr).astype(float)
    if n <= FEW or np.sum(counts**2) > CROWDED * n**2:
        return natural, 0
    graph = _graph(meets)
    dense = float(widths.sum()) ** 3 / 3 / SPEED
    cost, n_sparse = _cheapest_split(graph, natural, widths)
    best = natural
    if cost > WORTHWHILE * dense / 10:
        order = _minimum_degree(graph)
        other, n_other = _cheapest_split(graph, order, widths)
        if other < cost:
            cost, best, n_sparse = other, order, n_other
    return (best, n_sparse) if cost < WORTHWHILE * dense else (natural, 0)


def find_pattern(meets: Any, n_head: int) -> Pattern:
    """Return the pattern of L for coefficients in their order of elimination.

    `meets` (n_first, R) is as in `order_levels`, for single coefficients.
    """
    if n_head == 0:
        nothing = np.zeros(meets.shape[1] + 1, dtype=np.int64)
        return Pattern(nothing, nothing[:0], nothing[:1], nothing[:0])
    row_start, row_column = _rows_of_factor(*_lower(_graph(meets)))
    row = np.repeat(np.arange(len(row_start) - 1), np.diff(row_start))
    sparse = row_column < n_head
    order = np.argsort(row_column[sparse], kind="stable")
    sizes = np.bincount(row_column[sparse], minlength=n_head)
    column_start = np.concatenate([[0], np.cumsum(sizes)])
    return Pattern(row_start, row_column, column_start, row[sparse][order])


def _graph(meets: Any) -> Any:
    """Return the pattern of S, all of it, as a sparse array of ones."""
    graph = (meets.T @ meets).tocsr()
    graph.data[:] = 1.0
    return graph


def _lower(graph: Any) -> tuple[Int, Int]:
    """Return starts and columns of what is left of the diagonal, row by row."""
    from scipy import sparse

    lower = sparse.tril(graph, -1).tocsr()
    lower.sort_indices()
    return lower.indptr.astype(np.int64), lower.indices.astype(np.int64)


def _minimum_degree(graph: Any) -> Int:
    """Return a fill-reducing order of the levels, by SuperLU."""
    from scipy import sparse
    from scipy.sparse.linalg import splu

    matrix = sparse.csc_matrix(graph, dtype=float)
    matrix.setdiag(graph.shape[0] + 1.0)
    options = {"SymmetricMode": True}
    factor = splu(matrix, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
    return np.argsort(factor.perm_c).astype(np.int64)


def _cheapest_split(graph: Any, order: Int, widths: Int) -> tuple[float, int]:
    """Return the least work in this order, and the number of levels that are sparse columns."""
    _, column = _rows_of_factor(*_lower(graph[order][:, order]))
    widths = widths[order].astype(float)
    counts = np.bincount(column, minlength=len(order)) * widths.mean() + widths
    head = np.concatenate([[0.0], np.cumsum(widths * counts**2)])
    left = np.concatenate([[0.0], np.cumsum(widths[::-1])])[::-1]
    cost: Float = head + left**3 / 3 / SPEED
    best = int(np.argmin(cost))
    return float(cost[best]), best


@njit(**JIT)
def _rows_of_factor(start, column):
    """Return starts and columns of the rows of L, left of the diagonal, columns in order.

    `start` (n + 1,) and `column` are those of the rows of the matrix, left of its diagonal.
    """
    n = len(start) - 1
    parent, ancestor = np.full(n, -1), np.full(n, -1)
    for k in range(n):
        for e in range(start[k], start[k + 1]):
            i = column[e]
            while i != -1 and i < k:
                above = ancestor[i]
                ancestor[i] = k
                if above == -1:
                    parent[i] = k
                i = above
    mark = np.full(n, -1)
    row_start = np.zeros(n + 1, np.int64)
    for k in range(n):
        row_start[k + 1] = row_start[k]
        mark[k] = k
        for e in range(start[k], start[k + 1]):
            i = column[e]
            while i < k and mark[i] != k:
                mark[i] = k
                row_start[k + 1] += 1
                i = parent[i]
    row_column = np.empty(row_start[n], np.int64)
    mark[:] = -1
    for k in range(n):
        mark[k] = k
        at = row_start[k]
        for e in range(start[k], start[k + 1]):
            i = column[e]
            while i < k and mark[i] != k:
                mark[i] = k
                row_column[at] = i
                at += 1
                i = parent[i]
        row_column[row_start[k] : at].sort()
    return row_start, row_column
