"""Say what is amiss with the rows of a table, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw

from skhbm._inputs.arrays import unusable
from skhbm._inputs.numbers import LARGEST
from skhbm._inputs.tables.frames import collect, select_rows

if TYPE_CHECKING:
    from skhbm._inputs.tables.frames import Columns

__all__ = ["raise_fault"]


def raise_fault(frame: Any, columns: Columns) -> None:
    """Count in each column what it may not hold; return if there is nothing.

    It is a second query: the first one only tells that something is amiss.

    Raises
    ------
    ValueError
        If there is: the sentence of `from_arrays`, and the name of the column.
    """
    counts = _count(select_rows(frame, columns))
    n = counts.get("n", 0)
    if not n:
        msg = "Found a table with 0 rows (n_samples=0) while a minimum of 1 is required."
        raise ValueError(msg)
    # Of several mistakes the same is reported as by `from_arrays`, which has this order.
    last = len(columns.features)
    _check_values("y", columns.target, f"x{last}", counts)
    for i, name in enumerate(columns.features):
        _check_values("X", name, f"x{i}", counts)
    if columns.weight is not None:
        _check_values("weight", columns.weight, "w", counts)
        _check_weights(counts)
    several = len(columns.groups) > 1
    for name, key in zip(columns.groups, columns.keys, strict=False):
        if counts[f"{key}_missing"]:
            msg = (
                f"`groups{f'[{name!r}]' if several else ''}` has {counts[f'{key}_missing']} "
                f"missing labels of {n}. Drop these rows, or give them a label of their own."
            )
            raise ValueError(msg)
    if columns.y_err is not None:
        _check_values("y_err", columns.y_err, "e", counts)
        _check_errors(counts)


def _count(rows: Any) -> dict[str, Any]:
    """Return the number of rows, of missing and infinite values, and extremes of weights."""
    flags: dict[str, Any] = {}
    schema = rows.collect_schema()
    for name, dtype in schema.items():
        missing = nw.col(name).is_null()
        if dtype.is_float():
            missing = missing | nw.col(name).is_nan()
            flags[f"{name}_infinite"] = nw.col(name).abs() == float("inf")
        flags[f"{name}_missing"] = missing
    extremes = [name for name in ("w", "e") if name in schema]
    if "w" in schema:
        flags["w_bad"] = nw.col("w") < 0
    if "e" in schema:
        flags["e_bad"] = nw.col("e") <= 0
    counts = collect(
        rows.select(
            nw.lit(0).alias("all"),
            *extremes,
            *(flag.cast(nw.Int64).alias(name) for name, flag in flags.items()),
        )
        .group_by("all")
        .agg(
            nw.len().alias("n"),
            *(nw.col(name).sum() for name in flags),
            *(nw.col(name).min().alias(f"{name}_min") for name in extremes),
            *(nw.col(name).max().alias(f"{name}_max") for name in extremes),
        )
    )
    return counts.rows(named=True)[0] if len(counts) else {}


def _check_values(what: str, name: str, column: str, counts: dict[str, Any]) -> None:
    for kind, word in (("missing", "NaN"), ("infinite", "infinity")):
        if counts[f"{column}_{kind}"]:
            count, n = counts[f"{column}_{kind}"], counts["n"]
            raise ValueError(unusable(what, f"the column {name!r}", word, count, n))


def _check_weights(counts: dict[str, Any]) -> None:
    if counts["w_bad"]:
        msg = (
            "`weight` must not be negative: a weight is how often a row counts. Got "
            f"{counts['w_bad']} negative weights, the least {counts['w_min']:g}."
        )
        raise ValueError(msg)
    if not counts["w_max"] > 0:
        msg = "`weight` is zero for every row; at least one must be positive."
        raise ValueError(msg)


def _check_errors(counts: dict[str, Any]) -> None:
    if counts["e_bad"]:
        msg = (
            f"`y_err` must be positive: it holds standard errors. Got {counts['e_bad']} of "
            f"{counts['n']} that are zero or negative, the least {counts['e_min']:g}."
        )
        raise ValueError(msg)
    least, most = counts["e_min"], counts["e_max"]
    if least < 1 / LARGEST or most > LARGEST:
        msg = (
            f"`y_err` must lie between {1 / LARGEST:g} and {LARGEST:g}, as rows weigh "
            f"1 / y_err^2. Got {least:g} to {most:g}. Change the units of y."
        )
        raise ValueError(msg)
