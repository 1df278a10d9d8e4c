"""Open tables of any kind as tables of narwhals, and tell which column is what."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import numpy as np

from skhbm._inputs.parameters import as_list
from skhbm._inputs.tables.engines import open_parquet

if TYPE_CHECKING:
    from skhbm._types import Float


__all__ = [
    "Columns",
    "array_of",
    "as_columns",
    "as_frame",
    "collect",
    "is_here",
    "number",
    "open_table",
    "select_rows",
]

#: Kinds of tables for messages. Other kinds that narwhals knows are accepted too.
ACCEPTED = (
    "a DataFrame of pandas, polars (eager or lazy), Dask or PySpark, a pyarrow Table, a "
    "relation of DuckDB, or the path of a Parquet file, folder or glob"
)


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table are what, by name.

    Parameters
    ----------
    target : str
        The target.
    features, groups : tuple of str
        Features and grouping factors, in order.
    weight : str or None
        Frequencies.
    y_err : str or None
        Known standard errors of the target.
    """

    target: str
    features: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    weight: str | None = None
    y_err: str | None = None

    @property
    def values(self) -> tuple[str, ...]:
        """Features and, last, the target."""
        return (*self.features, self.target)

    @property
    def keys(self) -> list[str]:
        """What the labels are called in queries; one for all rows if there are none."""
        return [f"g{i}" for i in range(max(len(self.groups), 1))]


def open_table(table: Any) -> Any:
    """Return a table of any kind as one of narwhals, lazy unless it is worked on here.

    Raises
    ------
    TypeError
        If it is no table that narwhals knows.
    ValueError
        If two columns have the same name.
    """
    native = open_parquet(table) if isinstance(table, str | os.PathLike) else table
    try:
        frame = as_frame(native)
        frame.collect_schema()
    except nw.exceptions.DuplicateError:
        msg = "Columns of `table` must have different names. Rename those that are equal."
        raise ValueError(msg) from None
    except TypeError:
        msg = f"`table` must be {ACCEPTED}. Got {type(table).__name__}."
        raise TypeError(msg) from None
    # Lazily, polars reduces in parallel and needs no memory for products.
    return frame.lazy() if frame.implementation.is_polars() else frame


def as_frame(native: Any) -> Any:
    """Return a native table as one of narwhals."""
    with warnings.catch_warnings():
        # Narwhals warns that Dask will need another package, which users here cannot act on.
        warnings.filterwarnings("ignore", "Dask support is moving", FutureWarning)
        return nw.from_native(native)


def is_here(frame: Any) -> bool:
    """Tell whether the rows of a table are in this process, and no engine works on them."""
    return isinstance(frame, nw.DataFrame)


def as_columns(
    frame: Any, target: Any, features: Any, groups: Any, weight: Any, y_err: Any
) -> Columns:
    """Return the names of columns, which must exist and be of fitting types.

    Raises
    ------
    TypeError
        If a name is not a string, or labels cannot be hashed.
    ValueError
        If a column does not exist, is given twice or is not numeric.
    """
    schema = frame.collect_schema()
    lone = {"target": target, "weight": weight, "y_err": y_err}
    for parameter, given in lone.items():
        if not isinstance(given, str) and (given is not None or parameter == "target"):
            msg = f"`{parameter}` must be the name of a column. Got {given!r}."
            raise TypeError(msg)
    several = {"features": features, "groups": groups}
    found = {name: _names(name, given, schema) for name, given in {**lone, **several}.items()}
    for parameter, names in found.items():
        if parameter != "target" and target in names:
            msg = f"`{parameter}` names {target!r}, which is the target. Leave it out there."
            raise ValueError(msg)
        for name in names:
            _check_type(parameter, name, schema[name])
    return Columns(target, found["features"], found["groups"], weight, y_err)


def select_rows(frame: Any, columns: Columns) -> Any:
    """Select what is needed, under names of which none is another column's.

    Labels are g0, g1, ...; features and target x0, x1, ...; w is the frequency, e the known
    error, and p the weight in means and products: w, or w / e^2.
    """
    w, e = (None if name is None else number(name) for name in (columns.weight, columns.y_err))
    selected = {f"g{i}": nw.col(name) for i, name in enumerate(columns.groups)}
    selected = selected or {"g0": nw.lit(0)}
    selected |= {f"x{i}": number(name) for i, name in enumerate(columns.values)}
    if w is not None:
        selected |= {"w": w, "p": w}
    if e is not None:
        selected |= {"e": e, "p": (1.0 if w is None else w) / (e * e)}
    return frame.select(*(column.alias(name) for name, column in selected.items()))


def number(name: str) -> nw.Expr:
    """Return a column as doubles."""
    return nw.col(name).cast(nw.Float64)


def collect(query: Any) -> nw.DataFrame[Any]:
    """Have a query run, and return its answer as a table in memory."""
    if is_here(query):
        return query
    if query.implementation.is_polars():
        return query.collect(engine="streaming")
    return query.collect()


def array_of(table: nw.DataFrame[Any], name: str) -> Float:
    """Return a column of numbers of a table in memory."""
    return np.asarray(table[name].to_numpy(), dtype=np.float64)


def _names(parameter: str, given: Any, schema: Any) -> tuple[str, ...]:
    """Return names of columns, which must exist and differ."""
    names = as_list(given)
    if not all(isinstance(name, str) for name in names):
        msg = f"`{parameter}` must be names of columns. Got {given!r}."
        raise TypeError(msg)
    missing = [name for name in names if name not in schema]
    if missing:
        msg = (
            f"`{parameter}` names {missing[:5]}, which the table does not have. "
            f"Its columns are {list(schema)[:20]}."
        )
        raise ValueError(msg)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"`{parameter}` names a column twice: {twice[:5]}. Name it once."
        raise ValueError(msg)
    return tuple(names)


def _check_type(parameter: str, name: str, dtype: Any) -> None:
    if parameter == "groups":
        if dtype.is_nested():
            msg = (
                "`groups` must hold hashable labels (strings, integers, dates ...). The column "
                f"{name!r} is of type {dtype}."
            )
            raise TypeError(msg)
    elif not (dtype.is_numeric() or dtype == nw.Boolean):
        msg = (
            f"`{parameter}` must be numeric. The column {name!r} is of type {dtype}. If it "
            "holds group labels, name it in `groups`; encode other categories first."
        )
        raise ValueError(msg)
