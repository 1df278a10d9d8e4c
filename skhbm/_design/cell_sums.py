"""Sums of products of the columns of a model over rows, from the statistics of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from skhbm._design.scaling import Scaling
    from skhbm._design.terms import Terms
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float, Int

__all__ = ["Columns", "Sums", "fixed_columns", "varying_columns"]


class Columns(NamedTuple):
    """Columns of Z or D in each cell.

    Attributes
    ----------
    mean : (n_cells, c), their means
    feature : (c,), their features, -1 for a column of ones
    unit : (c,), the units of these
    """

    mean: Float
    feature: Int
    unit: Float


class Sums(NamedTuple):
    """The statistics of cells and the columns of each factor, from which all sums are made."""

    statistics: GroupedStatistics
    varying: list[Columns]

    def products(self, left: Columns, a: int, right: Columns) -> Float:
        """Return the products of a column with others, summed over the rows of each cell."""
        weight, cross = self.statistics.weight, self.statistics.cross
        out = (weight * left.mean[:, a])[:, None] * right.mean
        i, features = left.feature[a], right.feature
        if i >= 0:
            some = features >= 0
            out[:, some] += cross[:, i, features[some]] / (left.unit[a] * right.unit[some])
        return out

    def by_group(self, factor: int, right: Columns) -> Float:
        """Return Z_f'right of the levels of a factor (n_levels, q, c)."""
        indicator = self._indicator(factor)
        left = self.varying[factor]
        sums = [indicator @ self.products(left, a, right) for a in range(len(left.feature))]
        return np.stack(sums, axis=1)

    def by_pair(self, f: int, g: int) -> tuple[Int, Int, Float]:
        """Return the levels of pairs that occur, and Z_f'Z_g of each (n_pairs, q_f, q_g)."""
        codes, size = self.statistics.codes, len(self.statistics.factors[g])
        keys = codes[:, f].astype(np.int64) * size + codes[:, g]
        keys, which = np.unique(keys, return_inverse=True)
        left, right = self.varying[f], self.varying[g]
        out = np.empty((len(keys), len(left.feature), len(right.feature)))
        for a in range(out.shape[1]):
            products = self.products(left, a, right)
            for b in range(out.shape[2]):
                out[:, a, b] = np.bincount(which, products[:, b], minlength=len(keys))
        return keys // size, keys % size, out

    def total(self, columns: Columns) -> Float:
        """Return the cross-products of the columns over all rows (c, c)."""
        weight, cross = self.statistics.weight, self.statistics.cross
        out = (weight[:, None] * columns.mean).T @ columns.mean
        some = np.flatnonzero(columns.feature >= 0)
        within = cross.sum(axis=0)[np.ix_(*[columns.feature[some]] * 2)]
        out[np.ix_(some, some)] += within / np.outer(columns.unit[some], columns.unit[some])
        return out

    def _indicator(self, factor: int) -> Any:
        """Return which cells are of each level, a sparse array (n_levels, n_cells)."""
        from scipy import sparse

        codes = self.statistics.codes[:, factor]
        cells = np.arange(len(codes))
        shape = len(self.statistics.factors[factor]), len(codes)
        return sparse.csr_array((np.ones(len(codes)), (codes, cells)), shape)


def fixed_columns(statistics: GroupedStatistics, scaling: Scaling, terms: Terms) -> Columns:
    """Return the columns D: the fixed terms and the response."""
    columns = np.arange(statistics.n_features + 1)
    mean = (statistics.mean - scaling.origin) / scaling.unit
    return _with_ones(Columns(mean, columns, scaling.unit), wanted=terms.intercept)


def varying_columns(statistics: GroupedStatistics, scaling: Scaling, terms: Terms) -> Columns:
    """Return the columns of the varying terms of a factor."""
    unit = scaling.x_scale[terms.slopes]
    mean = (statistics.mean[:, terms.slopes] - scaling.origin_of(terms)) / unit
    return _with_ones(Columns(mean, terms.slopes, unit), wanted=terms.varying_intercept)


def _with_ones(columns: Columns, *, wanted: bool) -> Columns:
    """Put a column of ones before others, if it is wanted."""
    if not wanted:
        return columns
    ones = np.ones((len(columns.mean), 1))
    return Columns(
        np.hstack([ones, columns.mean]),
        np.concatenate([[-1], columns.feature]),
        np.concatenate([[1.0], columns.unit]),
    )
