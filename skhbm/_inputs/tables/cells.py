"""Have an engine reduce a table to counts, means and centred cross-products of its cells.

The engine that holds the rows is asked twice: for the sums of each cell, and for its sums of
products about the means that these give. An answer has one row for each cell, and rows of the
table never come here. Raw sums of products would need one query only, but lose all digits where
a mean is 1e8 standard deviations (Chan, Golub & LeVeque 1983).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import combinations_with_replacement
from operator import add
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import numpy as np

from skhbm._inputs.numbers import LARGEST
from skhbm._inputs.tables.engines import kept
from skhbm._inputs.tables.faults import raise_fault
from skhbm._inputs.tables.frames import array_of, as_frame, collect, number, select_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skhbm._inputs.tables.frames import Columns
    from skhbm._types import Float


__all__ = ["TableCells", "arrays_of_table", "reduce_table"]

#: A standard deviation below this share of the mean, an eighth of an ulp, is rounding.
ROUNDING = np.finfo(np.float64).eps / 8

OVERFLOW = "Sums of products of the columns overflow. Change the units of features and target."


@dataclass(frozen=True, slots=True)
class TableCells:
    """The sums of each cell, in any order.

    Parameters
    ----------
    labels : list of (str or None, object)
        Name and labels, n_cells of them, of each grouping factor.
    n, weight : ndarray of shape (n_cells,)
        Number of rows (sum of weights), and their weight in what follows.
    mean : ndarray of shape (n_cells, n_features + 1)
        Means of the features and, last, of the target.
    cross : ndarray of shape (n_cells, n_features + 1, n_features + 1)
        Cross-products about these.
    """

    labels: list[tuple[str | None, Any]]
    n: Float
    weight: Float
    mean: Float
    cross: Float


def arrays_of_table(frame: nw.DataFrame[Any], columns: Columns) -> dict[str, Any]:
    """Return the columns of a table in memory, as the arguments of `from_arrays`."""
    values = frame.select(*(number(name) for name in columns.values)).to_numpy()
    extra = {"sample_weight": columns.weight, "y_err": columns.y_err}
    return {
        "X": values[:, :-1],
        "y": values[:, -1],
        "groups": {name: frame[name].to_native() for name in columns.groups} or None,
        **{to: name and frame[name].to_numpy() for to, name in extra.items()},
    }


def reduce_table(frame: nw.LazyFrame[Any], columns: Columns) -> TableCells:
    """Have an engine reduce its rows to the sums of their cells.

    Raises
    ------
    ValueError
        If rows cannot be used; the message says what which column has.
    """
    rows, keys, d = select_rows(frame, columns), columns.keys, len(columns.values)
    query = _sums(rows, keys)
    with kept(frame.implementation.value, query.to_native()) as (here, there):
        cells = collect(query) if here is None else as_frame(here)
        n_cells = _count_cells(cells, keys)
        if not n_cells:
            raise_fault(frame, columns)
            raise ValueError(OVERFLOW)
        means = _means(as_frame(there), keys, d)
        products = _products(rows, means, keys, d)
        # The engine joins both answers, so that no label has to be looked up here.
        table = collect(products.join(means, on=keys, how="inner"))
    if len(table) != n_cells or not np.array_equal(
        array_of(table, "rows"), array_of(table, "n")
    ):
        msg = (
            "The table changed while it was read: its rows were not the same in the second "
            "query as in the first. Pass a table that does not change, such as a copy."
        )
        raise ValueError(msg)
    names = zip(columns.groups, keys, strict=False)
    return _as_cells(table, [(name, table[key].to_native()) for name, key in names], d)


def _sums(rows: Any, keys: list[str]) -> Any:
    """Return the first query: the sums of each cell, and what tells that rows are amiss."""
    names = rows.collect_schema().names()
    values = [name for name in names if name[0] == "x"]
    extra = [name for name in ("w", "e", "p") if name in names]
    share = [(nw.col("p") * nw.col(x)).alias(x) if extra else nw.col(x) for x in values]
    # A sum with a null is null, so the count of sums that are not is that of whole rows.
    whole = reduce(add, (nw.col(name) for name in (*values, *extra))).alias("whole")
    return (
        rows.select(*keys, *share, *extra, whole)
        .group_by(*keys)
        .agg(
            nw.len().alias("n"),
            nw.col("whole").count(),
            *(nw.col(x).sum() for x in values),
            *(nw.col(name).sum().alias(f"{name}_sum") for name in extra),
            *(nw.col(name).min().alias(f"{name}_min") for name in extra),
            *(nw.col(name).max().alias(f"{name}_max") for name in extra),
        )
    )


def _count_cells(cells: nw.DataFrame[Any], keys: list[str]) -> int:
    """Return how many cells have rows that count; 0 if there are rows that cannot be used."""
    names = cells.columns
    n = array_of(cells, "n")
    sums = [name for name in names if name[0] == "x" or name.endswith("_sum")]
    usable = [
        array_of(cells, "whole") == n,
        *(np.isfinite(array_of(cells, name)) for name in sums),
        *(~_is_missing(cells[key]) for key in keys),
    ]
    if "w_min" in names:
        usable.append(array_of(cells, "w_min") >= 0)
    if "e_min" in names:
        usable.append(array_of(cells, "e_min") >= 1 / LARGEST)
        usable.append(array_of(cells, "e_max") <= LARGEST)
    weight = array_of(cells, "p_sum") if "p_sum" in names else n
    return int(np.sum(weight > 0)) if np.all(usable) else 0


def _is_missing(labels: nw.Series[Any]) -> NDArray[np.bool_]:
    missing = labels.is_null()
    missing = missing | labels.is_nan() if labels.dtype.is_float() else missing
    return np.asarray(missing.to_numpy(), dtype=bool)


def _means(cells: Any, keys: list[str], d: int) -> Any:
    """Return number, weight and means of the cells that count, as a table of the engine."""
    names = cells.collect_schema().names()
    frequency, weight = (
        (nw.col(total) if total in names else number("n")) for total in ("w_sum", "p_sum")
    )
    return cells.filter(weight > 0).select(
        *keys,
        "n",
        frequency.alias("frequency"),
        weight.alias("weight"),
        *((nw.col(f"x{i}") / weight).alias(f"m{i}") for i in range(d)),
    )


def _products(rows: Any, means: Any, keys: list[str], d: int) -> Any:
    """Return the second query: sums of the distances from these means, and of their products.

    The sums of distances are not zero only because means are rounded; see `_as_cells`.
    """
    weighted = "p" in rows.collect_schema().names()
    about = means.select(*keys, *(f"m{i}" for i in range(d)))
    distances = rows.join(about, on=keys, how="inner").select(
        *keys,
        *((nw.col(f"x{i}") - nw.col(f"m{i}")).alias(f"d{i}") for i in range(d)),
        *(["p"] if weighted else []),
    )
    terms = {f"d{i}": nw.col(f"d{i}") for i in range(d)}
    terms |= {f"d{i}_{j}": nw.col(f"d{i}") * nw.col(f"d{j}") for i, j in _pairs(d)}
    if weighted:
        terms = {name: nw.col("p") * term for name, term in terms.items()}
    return (
        distances.select(*keys, *(term.alias(name) for name, term in terms.items()))
        .group_by(*keys)
        .agg(nw.len().alias("rows"), *(nw.col(name).sum() for name in terms))
    )


def _pairs(d: int) -> list[tuple[int, int]]:
    """Return the entries of the upper triangle of a matrix (d, d)."""
    return list(combinations_with_replacement(range(d), 2))


def _as_cells(
    table: nw.DataFrame[Any], labels: list[tuple[str | None, Any]], d: int
) -> TableCells:
    """Return both answers as statistics: means and products corrected for rounded means.

    This is the corrected two-pass algorithm of Chan, Golub & LeVeque (1983).
    """
    weight = array_of(table, "weight")
    distance = np.column_stack([array_of(table, f"d{i}") for i in range(d)]) / weight[:, None]
    mean = np.column_stack([array_of(table, f"m{i}") for i in range(d)]) + distance
    cross = np.empty((len(weight), d, d))
    for i, j in _pairs(d):
        with np.errstate(over="ignore", invalid="ignore"):
            rounding = weight * distance[:, i] * distance[:, j]
            cross[:, i, j] = cross[:, j, i] = array_of(table, f"d{i}_{j}") - rounding
    if not (np.all(np.isfinite(cross)) and np.all(np.abs(mean) <= LARGEST)):
        raise ValueError(OVERFLOW)
    # A column with one value in a cell was at the same distance from its mean in all rows.
    squares = np.diagonal(cross, axis1=1, axis2=2)
    same = squares <= weight[:, None] * (ROUNDING * mean) ** 2
    same |= (array_of(table, "n") == 1)[:, None]
    cross[same[:, :, None] | same[:, None, :]] = 0.0
    return TableCells(labels, array_of(table, "frequency"), weight, mean, cross)
