"""Reduce rows to cells: the combinations of groups that occur, and their moments.

Cells are in lexicographic order of their codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skhbm._inputs.levels import Levels, as_factors, encode_levels
from skhbm._inputs.numbers import check_sizes
from skhbm._statistics.reduction import reduce_rows

if TYPE_CHECKING:
    from skhbm._inputs.rows import FitRows
    from skhbm._inputs.tables import TableCells
    from skhbm._types import Float, Int

__all__ = ["Cells", "cells_of_rows", "cells_of_table", "distinct"]


class Cells(NamedTuple):
    """The cells of some rows, as `GroupedStatistics` has them."""

    factors: tuple[Levels, ...]
    codes: Int
    n: Float
    weight: Float
    mean: Float
    cross: Float


def cells_of_rows(rows: FitRows) -> Cells:
    """Reduce checked rows in one pass; those of weight zero are left out."""
    X, y, factors, weights, errors, _ = rows
    if weights is not None and not np.all(weights > 0):
        kept = weights > 0
        X, y, weights = X[kept], y[kept], weights[kept]
        factors = [(name, labels[kept]) for name, labels in factors]
        errors = errors if errors is None else errors[kept]
    encoded = [encode_levels(labels, len(y), name) for name, labels in factors]
    levels = tuple(level for level, _ in encoded)
    if len(levels) == 1:
        cells, codes = encoded[0][1], np.arange(len(levels[0]))[:, None]
    else:
        columns = [code for _, code in encoded]
        codes, cells = distinct(np.array(columns, dtype=np.int64).reshape(-1, len(y)).T)
    precision = weights
    if errors is not None:
        precision = (1.0 if weights is None else weights) / errors**2
    weight, mean, cross = reduce_rows(X, y, cells, len(codes), precision)
    if not np.all(np.isfinite(cross)):
        check_sizes(X, "X")
    if errors is None:
        n = weight
    else:
        n = np.bincount(cells, weights, minlength=len(codes)).astype(float)
    return Cells(levels, codes, n, weight, mean, cross)


def cells_of_table(cells: TableCells) -> Cells:
    """Bring the cells that the engine of a table has summed into lexicographic order."""
    n_cells = len(cells.n)
    factors = as_factors(cells.labels, n_cells)
    encoded = [encode_levels(labels, n_cells, name) for name, labels in factors]
    columns = [codes for _, codes in encoded]
    codes, where = distinct(np.array(columns, dtype=np.int64).reshape(-1, n_cells).T)
    if len(codes) < n_cells:
        msg = (
            f"{n_cells} combinations of labels in the table are only {len(codes)} in Python, "
            "as of times finer than microseconds. Cast the columns of `groups` to strings."
        )
        raise ValueError(msg)
    order = np.argsort(where)
    levels = tuple(level for level, _ in encoded)
    moments = (cells.n, cells.weight, cells.mean, cells.cross)
    return Cells(levels, codes, *(moment[order] for moment in moments))


def distinct(codes: Int) -> tuple[Int, Int]:
    """Return distinct rows of codes, in lexicographic order, and which of them each row is."""
    if not codes.shape[1]:
        return codes[:1], np.zeros(len(codes), dtype=np.int64)
    sizes = codes.max(axis=0) + 1
    if np.prod(sizes.astype(float)) < 2.0**62:
        keys = np.ravel_multi_index(tuple(codes.T), tuple(sizes))
        keys, where = np.unique(keys, return_inverse=True)
        return np.column_stack(np.unravel_index(keys, tuple(sizes))), where
    codes, where = np.unique(codes, axis=0, return_inverse=True)
    return codes, where.reshape(-1)
