"""The statistics of rows: counts, means and centred cross-products of their cells.

After the reduction nothing depends on the number of rows: a thousand rows and a billion cost
the same to sample from.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skhbm._inputs.arrays import as_errors, as_rows
from skhbm._inputs.levels import Levels, as_factors, encode_levels, split_factors
from skhbm._inputs.order import warn_of_order
from skhbm._inputs.packed import pack, unpack
from skhbm._inputs.rows import FitRows
from skhbm._inputs.warning import warn
from skhbm._statistics.cells import cells_of_rows, cells_of_table, distinct
from skhbm._statistics.file import read_statistics_file, write_statistics_file
from skhbm._statistics.reduction import merge_cells, sum_by_group

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

    from skhbm._inputs.tables import Columns
    from skhbm._types import Float, Int


__all__ = [
    "GroupedStatistics",
    "check_alike",
    "check_same_columns",
    "recode",
    "statistics_of_rows",
]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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
        warn_of_order(X=X, y=y, groups=groups, sample_weight=sample_weight, y_err=y_err)
        columns = tuple(getattr(X, "columns", ()))
        # scikit-learn takes names of columns only if all are strings.
        names = columns if columns and all(isinstance(c, str) for c in columns) else None
        X, y, weights = as_rows(X, y, sample_weight)
        factors = as_factors(split_factors(groups), len(y))
        errors = as_errors(y_err, len(y))
        cells = cells_of_rows(FitRows(X, y, factors, weights, errors))
        return cls(*cells, names, errors is not None)

    @classmethod
    def from_table(
        cls,
        table: Any,
        *,
        target: str,
        features: str | Sequence[str] | None = None,
        groups: str | Sequence[str] | None = None,
        weight: str | None = None,
        y_err: str | None = None,
    ) -> Self:
        """Reduce the rows of a table where they are: its own engine sums, cells come back.

        Parameters
        ----------
        table : DataFrame, LazyFrame, Table, relation, str or path-like
            A DataFrame of pandas, polars, Dask or PySpark, a LazyFrame of polars, a Table of
            pyarrow, a relation of DuckDB, any other table that narwhals knows, or the path of
            a Parquet file, a folder of them or a glob, which DuckDB reads.
        target : str
            Name of the target's column.
        features : str or list of str, default=None
            Names of the features' columns, in order; None for a model without any.
        groups : str or list of str, default=None
            Names of the columns of labels, one for each grouping factor. None puts all rows
            into one group.
        weight : str, default=None
            Name of a column of frequencies: a weight of 2 is the row twice.
        y_err : str, default=None
            Name of a column of known standard errors of the target, for
            ``residual_scale="known"``.

        Returns
        -------
        GroupedStatistics
            The same as :meth:`from_arrays` gives for the same rows, to rounding.

        Raises
        ------
        ImportError
            If `table` is a path and DuckDB is not installed.
        TypeError
            If `table` is no table, or a name no string.
        ValueError
            If a column does not exist, a label is missing, a value is not finite, a weight is
            negative or an error not positive.

        Notes
        -----
        The engine runs two group-bys, so the table is read twice: for sums, and for products
        about the means [1]_. It must not change in between. Tables of pandas and pyarrow
        are in this process already, and reduced here.

        References
        ----------
        .. [1] T. F. Chan, G. H. Golub and R. J. LeVeque (1983). Algorithms for computing the
           sample variance: analysis and recommendations. The American Statistician 37(3),
           242-247. https://doi.org/10.1080/00031305.1983.10483115

        Examples
        --------
        >>> import polars as pl
        >>> table = pl.LazyFrame({"day": [0, 1, 0], "time": [250, 259, 222], "who": [8, 8, 9]})
        >>> GroupedStatistics.from_table(table, target="time", features="day", groups="who")
        <GroupedStatistics: 3 rows in 2 cells, groups: 2 of 'who', 1 features>
        """
        from skhbm._inputs.tables import as_columns, open_table

        frame = open_table(table)
        columns = as_columns(frame, target, features, groups, weight, y_err)
        return cls._of_columns(frame, columns)

    @classmethod
    def _of_columns(cls, frame: Any, columns: Columns) -> Self:
        """Reduce the rows of an open table, whose columns are checked."""
        from skhbm._inputs.tables import arrays_of_table, is_here, raise_fault, reduce_table

        names = columns.features or None
        if not is_here(frame):
            cells = reduce_table(frame, columns)
            return cls(*cells_of_table(cells), names, columns.y_err is not None)
        try:
            here = cls.from_arrays(**arrays_of_table(frame, columns))
            return replace(here, feature_names=names)
        except ValueError:
            # The error of `from_arrays` names arguments; this one names columns of the table.
            raise_fault(frame, columns)
            raise

    def __getstate__(self) -> list[Any]:
        return [pack(getattr(self, field.name)) for field in fields(self)]

    def __setstate__(self, state: list[Any]) -> None:
        for field, value in zip(fields(self), state, strict=True):
            object.__setattr__(self, field.name, unpack(value))

    def __repr__(self) -> str:
        """Say how much there is, not what."""
        groups = ", ".join(f"{len(levels)} of {levels.name!r}" for levels in self.factors)
        rows = f"{self.n.sum():g} rows in {len(self.n)} cells"
        return (
            f"<GroupedStatistics: {rows}, groups: {groups or None}, {self.n_features} features>"
        )

    def __add__(self, other: Self) -> Self:
        """Merge with the statistics of other rows (Chan, Golub & LeVeque 1983)."""
        if not isinstance(other, GroupedStatistics):
            return NotImplemented
        check_alike(self, other)
        factors = tuple(a.union(b) for a, b in zip(self.factors, other.factors, strict=True))
        ours, theirs = (recode(s.codes, s.factors, factors) for s in (self, other))
        codes, where = distinct(np.concatenate([ours, theirs]))
        d = self.mean.shape[1]
        total = (np.zeros(len(codes)), np.zeros((len(codes), d)), np.zeros((len(codes), d, d)))
        n = np.zeros(len(codes))
        at, more = where[: len(ours)], where[len(ours) :]
        n[at] = self.n
        for whole, part in zip(total, (self.weight, self.mean, self.cross), strict=True):
            whole[at] = part
        np.add.at(n, more, other.n)
        merge_cells(more, other.weight, other.mean, other.cross, *total)  # derivation (1)
        names = self.feature_names or other.feature_names
        return type(self)(factors, codes, n, *total, names, self.known_errors)

    def save(self, path: str | PathLike[str]) -> None:
        r"""Write the statistics to one file, of arrays and JSON only.

        An older file stays as it was until the new one is complete.

        Parameters
        ----------
        path : str or path-like
            Where to write, any suffix.

        Raises
        ------
        TypeError
            If labels are neither strings, numbers, bools nor datetime64.

        Warns
        -----
        UserWarning
            If rows can be read back from a cell: it has at most two rows more than features,
            or all its rows are equal.

        Notes
        -----
        What n rows z of a cell (features and target, d = p + 1 numbers each) leave behind is n,
        their mean m and cross-products S about it. This determines the rows up to an orthogonal
        transformation of the n - 1 dimensions that leave the mean alone: of one row
        nothing is hidden, of two rows their order only. In general a row can be any point with

        .. math:: (z - m)' S^{-1} (z - m) \le 1 - 1/n,

        and only a point of the surface if the rows span all n - 1 dimensions, that is if
        n <= p + 2. Then whoever knows the features of a row solves for its target: one
        value if n <= p + 1, one of two if n = p + 2. From n = p + 3 on a row may lie anywhere
        within.

        That is all that is promised. A column that is constant in a cell is known for all its
        rows, and columns of few possible values, as 0 and 1, leave fewer choices. Who knows all
        rows but one computes the last. The difference between two files of the same cell
        is the statistics of the rows that were added, be it one. A weighted row counts as
        often as its weight says, here too. The labels of the groups are in the file.
        """
        n_open = int(np.sum(self._reveals_rows()))
        if n_open:
            warn(
                f"{n_open} of {len(self.n)} cells have no more rows than there are features "
                f"and 2 ({self.n_features + 2}), or equal rows: these could be read back from "
                "the file. Merge small groups, drop features, or do not share the file.",
            )
        write_statistics_file(path, self._fields())

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read the statistics that :meth:`save` wrote.

        Nothing in the file is run, whoever has written it.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        GroupedStatistics

        Raises
        ------
        ValueError
            If the file is damaged, or is not of statistics.
        """
        return cls(**read_statistics_file(path))

    def _fields(self) -> dict[str, Any]:
        """Return what the file is written from, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _reveals_rows(self) -> NDArray[np.bool_]:
        """Tell of each cell whether its rows can be read back; see `save`."""
        squares = np.diagonal(self.cross, axis1=1, axis2=2)
        return (self.n <= self.n_features + 2) | np.all(squares == 0, axis=1)

    def __radd__(self, other: Any) -> Self:
        """Let ``sum(statistics)`` begin with 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    @property
    def n_features(self) -> int:
        """Number of features, the target not counted."""
        return self.mean.shape[1] - 1

    @property
    def levels(self) -> Levels:
        """The labels of the first grouping factor, or of the one group of all rows."""
        return self.factors[0] if self.factors else encode_levels(None, 0)[0]

    def among(self, levels: Levels) -> Self:
        """Return the statistics of groups of these levels; empty for those not here.

        Parameters
        ----------
        levels : Levels
            Of the only factor.

        Returns
        -------
        GroupedStatistics
            One cell for each level.
        """
        codes, _, _ = self.levels.encode(levels.labels, len(levels))
        here = codes >= 0

        def place(array: Float) -> Float:
            part = np.zeros((len(levels), *array.shape[1:]))
            part[here] = array[codes[here]]
            return part

        return replace(
            self,
            factors=(levels,) if self.factors else (),
            codes=np.arange(len(levels))[:, None] if self.factors else self.codes[:1],
            n=place(self.n),
            weight=place(self.weight),
            mean=place(self.mean),
            cross=place(self.cross),
        )

    def of_cells(self, cells: NDArray[np.bool_]) -> Self:
        """Return the statistics of some cells, with the levels that occur in them.

        Parameters
        ----------
        cells : ndarray of bool of shape (n_cells,)
            The cells that are wanted.

        Returns
        -------
        GroupedStatistics
            Of these cells.
        """
        factors, columns = [], []
        for levels, codes in zip(self.factors, self.codes[cells].T, strict=True):
            there, column = np.unique(codes, return_inverse=True)
            factors.append(Levels(levels.labels[there], levels.name))
            columns.append(column)
        names = ("n", "weight", "mean", "cross")
        arrays: dict[str, Any] = {name: getattr(self, name)[cells] for name in names}
        return replace(self, factors=tuple(factors), codes=np.column_stack(columns), **arrays)

    def of_factor(self, factor: int) -> Self:
        """Return the statistics of the groups of one factor, cells merged.

        Parameters
        ----------
        factor : int
            Its position in `factors`.

        Returns
        -------
        GroupedStatistics
            With this factor only, one cell for each group.
        """
        if len(self.factors) < 2:
            return self
        levels = self.factors[factor]
        where = self.codes[:, factor]
        n, weight = (
            np.bincount(where, count, minlength=len(levels)) for count in (self.n, self.weight)
        )
        share = self.weight / weight[where]
        mean = sum_by_group(where, share[:, None] * self.mean, len(n))
        # derivation (1), for all cells of a group: cross-products in cells, and of their means.
        delta = self.mean - mean[where]
        between = delta[:, :, None] * delta[:, None, :] * self.weight[:, None, None]
        cross = sum_by_group(where, self.cross + between, len(n))
        codes = np.arange(len(n))[:, None]
        names, known = self.feature_names, self.known_errors
        return type(self)((levels,), codes, n, weight, mean, cross, names, known)


def statistics_of_rows(rows: FitRows) -> GroupedStatistics:
    """Reduce rows that are checked already; those of weight zero are left out."""
    cells = cells_of_rows(rows)
    return GroupedStatistics(*cells, rows.names, known_errors=rows.errors is not None)


def check_alike(first: GroupedStatistics, second: GroupedStatistics) -> None:
    """Raise ValueError if two statistics cannot be merged."""
    check_same_columns(first, second)
    if first.known_errors != second.known_errors:
        msg = (
            "Statistics with known errors (`y_err`) cannot be merged with statistics without. "
            "Give `y_err` for all rows or for none."
        )
        raise ValueError(msg)


def check_same_columns(first: Any, second: Any) -> None:
    """Raise ValueError if two statistics are not of the same features and factors."""
    if first.n_features != second.n_features:
        msg = (
            "Only statistics of the same features can be merged. "
            f"Got {first.n_features} and {second.n_features} features. Give X the same columns."
        )
        raise ValueError(msg)
    names = first.feature_names, second.feature_names
    if None not in names and names[0] != names[1]:
        msg = (
            "Only statistics of the same features, in the same order, can be merged. Got "
            f"{list(names[0] or ())[:10]} and {list(names[1] or ())[:10]}. Give X the same "
            "columns, in the same order."
        )
        raise ValueError(msg)
    ours, theirs = ([levels.name for levels in s.factors] for s in (first, second))
    if ours != theirs:
        msg = (
            "Only statistics of the same grouping factors, in the same order, can be merged. "
            f"Got {ours} and {theirs}. Pass `groups` with the same columns, named alike."
        )
        raise ValueError(msg)


def recode(codes: Int, before: tuple[Levels, ...], after: tuple[Levels, ...]) -> Int:
    """Return codes (n, n_factors) among more levels of each factor."""
    tables = [old.codes_among(new) for old, new in zip(before, after, strict=True)]
    columns = [table[code] for table, code in zip(tables, codes.T, strict=True)]
    return np.array(columns, dtype=np.int64).reshape(-1, len(codes)).T
