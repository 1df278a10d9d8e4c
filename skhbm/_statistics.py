"""Rows become cells, once: counts, means and centred cross-products.

Past this module nothing depends on the number of rows: a thousand and a billion
cost the same to sample from.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numba import njit

from skhbm._inputs import as_errors, as_rows
from skhbm._labels import Levels, as_factors, encode_levels, hashables, split_factors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Float = NDArray[np.float64]
    Int = NDArray[np.int64]

__all__ = ["GroupedStatistics", "check_alike", "reduce_rows", "statistics_of_rows"]

#: Rows converted to float64 at a time: the only copy of X that is made.
CHUNK = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class GroupedStatistics:
    """Counts, means and centred cross-products of (X, y) in each cell.

    A cell is a group or, with several grouping factors, a combination of groups that occurs.
    The statistics of disjoint rows add, so rows may arrive in any chunks, in any order, from
    any place: ``GroupedStatistics.from_arrays(...) + GroupedStatistics...``.

    Parameters
    ----------
    factors : tuple of Levels
        The labels of each grouping factor; empty if there is none.
    codes : ndarray of int of shape (n_cells, n_factors)
        The group of each cell in each factor, in lexicographic order.
    n : ndarray of shape (n_cells,)
        Number of rows (sum of weights, if weighted).
    weight : ndarray of shape (n_cells,)
        Their weight in means and cross-products: n, or the sum of 1 / y_err^2.
    mean : ndarray of shape (n_cells, n_features + 1)
        Means of the features and, last, of the target.
    cross : ndarray of shape (n_cells, n_features + 1, n_features + 1)
        Cross-products about the means of the cell.
    feature_names : tuple of str or None
        Names of the features, if the data had any.
    known_errors : bool
        Whether rows are weighted by their known errors.

    References
    ----------
    .. [1] T. F. Chan, G. H. Golub and R. J. LeVeque (1983). Algorithms for computing the
       sample variance: analysis and recommendations. The American Statistician 37(3),
       242-247. https://doi.org/10.1080/00031305.1983.10483115

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.array([[0.0], [2.0], [1.0]]), np.array([1.0, 3.0, 5.0])
    >>> first = GroupedStatistics.from_arrays(X[:2], y[:2], groups=["a", "b"])
    >>> both = first + GroupedStatistics.from_arrays(X[2:], y[2:], groups=["a"])
    >>> both.n
    array([2., 1.])
    >>> both.mean[0]
    array([0.5, 3. ])
    """

    factors: tuple[Levels, ...]
    codes: Int
    n: Float
    weight: Float
    mean: Float
    cross: Float
    feature_names: tuple[str, ...] | None = None
    known_errors: bool = False

    @classmethod
    def from_arrays(
        cls,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        sample_weight: ArrayLike | None = None,
        y_err: ArrayLike | None = None,
    ) -> Self:
        """Reduce rows to the statistics of their cells, in one pass.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or None
            Features; None for a model without any.
        y : array-like of shape (n_samples,)
            Target.
        groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
            Labels of any hashable kind, one column for each grouping factor. None puts all
            rows into one group.
        sample_weight : array-like of shape (n_samples,), default=None
            Frequencies: a weight of 2 is the row twice.
        y_err : array-like of shape (n_samples,), default=None
            Known standard errors of y, for ``residual_scale="known"``.

        Returns
        -------
        GroupedStatistics

        Raises
        ------
        ValueError
            If lengths differ, a label is missing, a value is not finite, a weight is negative
            or an error not positive.
        """
        names = tuple(map(str, X.columns)) if hasattr(X, "columns") else None
        X, y, weights = as_rows(X, y, sample_weight)
        factors = as_factors(split_factors(groups), len(y))
        errors = as_errors(y_err, len(y))
        merged = statistics_of_rows(X, y, factors, weights, errors, names)
        return cls(*(getattr(merged, field.name) for field in fields(merged)))

    def __add__(self, other: Self) -> Self:
        """Merge with the statistics of other rows (Chan, Golub & LeVeque 1983)."""
        if not isinstance(other, GroupedStatistics):
            return NotImplemented
        check_alike(self, other)
        factors = tuple(a.union(b) for a, b in zip(self.factors, other.factors, strict=True))
        ours, theirs = (_recode(statistics, factors) for statistics in (self, other))
        codes, where = _distinct(np.concatenate([ours, theirs]))
        d = self.mean.shape[1]
        total = (np.zeros(len(codes)), np.zeros((len(codes), d)), np.zeros((len(codes), d, d)))
        n = np.zeros(len(codes))
        at, more = where[: len(ours)], where[len(ours) :]
        n[at] = self.n
        for whole, part in zip(total, (self.weight, self.mean, self.cross), strict=True):
            whole[at] = part
        np.add.at(n, more, other.n)
        _merge(more, other.weight, other.mean, other.cross, *total)
        names = self.feature_names or other.feature_names
        return type(self)(factors, codes, n, *total, names, self.known_errors)

    @property
    def n_features(self) -> int:
        """Number of features, the target not counted."""
        return self.mean.shape[1] - 1

    @property
    def levels(self) -> Levels:
        """The labels of the first grouping factor, or of the one group of all rows."""
        return self.factors[0] if self.factors else encode_levels(None, 0)[0]

    def among(self, levels: Levels) -> Self:
        """Return the statistics of groups of these levels; empty for those not here."""
        codes, _, _ = self.levels.encode(levels.labels, len(levels))
        here = codes >= 0
        arrays = []
        for array in (self.n, self.weight, self.mean, self.cross):
            part = np.zeros((len(levels), *array.shape[1:]))
            part[here] = array[codes[here]]
            arrays.append(part)
        factors = (levels,) if self.factors else ()
        codes = self.codes[:1] if not factors else np.arange(len(levels))[:, None]
        return type(self)(factors, codes, *arrays, self.feature_names, self.known_errors)

    def of_cells(self, cells: NDArray[np.bool_]) -> Self:
        """Return the statistics of some cells, with the levels that occur in them."""
        factors, columns = [], []
        for levels, codes in zip(self.factors, self.codes[cells].T, strict=True):
            there, column = np.unique(codes, return_inverse=True)
            factors.append(Levels(levels.labels[there], levels.name))
            columns.append(column)
        names = ("n", "weight", "mean", "cross")
        arrays: dict[str, Any] = {name: getattr(self, name)[cells] for name in names}
        return replace(self, factors=tuple(factors), codes=np.column_stack(columns), **arrays)

    def of_factor(self, factor: int) -> Self:
        """Return the statistics of the groups of one factor, cells merged."""
        if len(self.factors) < 2:
            return self
        levels = self.factors[factor]
        where, d = self.codes[:, factor], self.mean.shape[1]
        n = np.bincount(where, self.n, minlength=len(levels))
        total = (np.zeros(len(n)), np.zeros((len(n), d)), np.zeros((len(n), d, d)))
        _merge(where, self.weight, self.mean, self.cross, *total)
        codes = np.arange(len(n))[:, None]
        return type(self)((levels,), codes, n, *total, self.feature_names, self.known_errors)


def statistics_of_rows(
    X: Any,
    y: Float,
    factors: Sequence[tuple[str | None, Any]],
    weights: Float | None = None,
    errors: Float | None = None,
    names: tuple[str, ...] | None = None,
) -> GroupedStatistics:
    """Reduce rows that are validated already; those of weight zero are left out."""
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
        codes, cells = _distinct(np.array(columns, dtype=np.int64).reshape(-1, len(y)).T)
    known = errors is not None
    precision = weights
    if errors is not None:
        precision = (1.0 if weights is None else weights) / errors**2
    weight, mean, cross = reduce_rows(X, y, cells, len(codes), precision)
    n = np.bincount(cells, weights, minlength=len(codes)) if known else weight
    return GroupedStatistics(
        levels, codes, n.astype(float), weight, mean, cross, names, known_errors=known
    )


def check_alike(first: GroupedStatistics, second: GroupedStatistics) -> None:
    """Raise ValueError if two statistics are not of the same features and factors."""
    if first.n_features != second.n_features:
        msg = (
            "Only statistics of the same features can be merged. "
            f"Got {first.n_features} and {second.n_features} features."
        )
        raise ValueError(msg)
    names = first.feature_names, second.feature_names
    if None not in names and names[0] != names[1]:
        msg = (
            "Only statistics of the same features, in the same order, can be merged. Got "
            f"{list(names[0] or ())[:10]} and {list(names[1] or ())[:10]}."
        )
        raise ValueError(msg)
    ours, theirs = ([levels.name for levels in s.factors] for s in (first, second))
    if ours != theirs:
        msg = (
            "Only statistics of the same grouping factors, in the same order, can be merged. "
            f"Got {ours} and {theirs}. Name the Series or columns of labels alike."
        )
        raise ValueError(msg)
    if first.known_errors != second.known_errors:
        msg = (
            "Statistics with known errors (`y_err`) cannot be merged with statistics without. "
            "Give `y_err` for all rows or for none."
        )
        raise ValueError(msg)


def _recode(statistics: GroupedStatistics, factors: tuple[Levels, ...]) -> Int:
    """Return the codes of the cells among more levels (n_cells, n_factors)."""
    tables = [
        new.codes_of(hashables(old.labels))
        for old, new in zip(statistics.factors, factors, strict=True)
    ]
    columns = [table[code] for table, code in zip(tables, statistics.codes.T, strict=True)]
    return np.array(columns, dtype=np.int64).reshape(-1, len(statistics.n)).T


def _distinct(codes: Int) -> tuple[Int, Int]:
    """Return distinct rows of codes, in lexicographic order, and which of them each row is."""
    if not codes.shape[1]:
        return codes[:1], np.zeros(len(codes), dtype=np.int64)
    sizes = codes.max(axis=0) + 1
    if np.prod(sizes.astype(float)) < 2.0**62:
        keys = np.ravel_multi_index(tuple(codes.T), tuple(sizes))
        keys, where = np.unique(keys, return_inverse=True)
        return np.column_stack(np.unravel_index(keys, tuple(sizes))), where
    return np.unique(codes, axis=0, return_inverse=True)


@njit(cache=True, nogil=True, error_model="numpy")
def _merge(where, weight, mean, cross, total_weight, total_mean, total_cross):
    """Merge each cell into the total of which it is a part, by the pairwise update."""
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
            for b in range(d):
                total_cross[t, a, b] += cross[c, a, b] + spread * delta[a] * delta[b]


def reduce_rows(
    X: Any, y: Float, codes: Int, n_groups: int, weights: Float | None
) -> tuple[Float, Float, Float]:
    """Accumulate n, means and centred cross-products of coded rows, in chunks.

    X (n_samples, n_features) may have any float dtype and memory order.
    """
    d = X.shape[1] + 1
    n = np.zeros(n_groups)
    mean = np.zeros((n_groups, d))
    cross = np.zeros((n_groups, d, d))
    none = np.zeros(0)
    for start in range(0, len(y), CHUNK):
        rows = slice(start, start + CHUNK)
        chunk = np.ascontiguousarray(X[rows], dtype=np.float64)
        target = np.ascontiguousarray(y[rows], dtype=np.float64)
        weight = none if weights is None else weights[rows]
        _accumulate(chunk, target, codes[rows], weight, n, mean, cross)
    lower = np.tril_indices(d, -1)
    cross[:, lower[1], lower[0]] = cross[:, lower[0], lower[1]]
    return n, mean, cross


@njit(cache=True, nogil=True, error_model="numpy")
def _accumulate(X, y, codes, weights, n, mean, cross):
    """Update the lower triangles with each row (West 1979, Welford's with weights)."""
    p = X.shape[1]
    delta = np.empty(p + 1)
    for i in range(len(y)):
        w = weights[i] if len(weights) else 1.0
        j = codes[i]
        n[j] += w
        share = w / n[j]
        for a in range(p):
            delta[a] = X[i, a] - mean[j, a]
        delta[p] = y[i] - mean[j, p]
        rest = w * (1.0 - share)
        for a in range(p + 1):
            mean[j, a] += share * delta[a]
            scaled = rest * delta[a]
            for b in range(a + 1):
                cross[j, a, b] += scaled * delta[b]
