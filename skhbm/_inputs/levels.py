"""Levels of grouping factors: labels of any hashable kind and their codes 0, 1, ...

Labels are mapped and checked here before anything else sees them: compiled code does
not check bounds, and would read foreign memory through a wrong code without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._inputs.arrays import refuse_elsewhere
from skhbm._inputs.warning import DataWarning, warn

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from numpy.typing import ArrayLike, NDArray

    from skhbm._types import Int


__all__ = [
    "Levels",
    "as_factors",
    "as_labels",
    "encode_levels",
    "hashables",
    "split_factors",
    "warn_of_other_kind",
]

#: Whole numbers as floats differ from the next ones up to here.
EXACT = 2.0**53


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """The distinct labels of a grouping factor, sorted where they can be.

    Parameters
    ----------
    labels : ndarray of shape (n_groups,)
        One label per group; its position is the group's code.
    name : str
        Name of the factor, and of its dimension in the posterior.
    """

    labels: NDArray[Any]
    name: str = "group"
    _code_of: dict[Hashable, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        code_of = {label: code for code, label in enumerate(hashables(self.labels))}
        object.__setattr__(self, "_code_of", code_of)

    def __getstate__(self) -> list[Any]:
        """Leave out the codes by label, which are made of the labels and can be of any type."""
        return [self.labels, self.name]

    def __setstate__(self, state: list[Any]) -> None:
        labels, name, *_ = state
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "name", name)
        self.__post_init__()

    def __len__(self) -> int:
        return len(self.labels)

    def encode(self, groups: ArrayLike, n_samples: int) -> tuple[Int, list[Hashable], int]:
        """Return keys (n_samples,), the labels that were not seen, and how many are missing.

        Keys of seen labels are their codes. Unseen labels, and rows without a label, which may
        be of any group, have different negative keys.
        """
        codes, uniques = _factorize(as_labels(groups, n_samples, missing_is_error=False))
        labels = hashables(uniques)
        unseen = [label for label in labels if label not in self._code_of]
        fresh = {label: -1 - i for i, label in enumerate(unseen)}
        table = [self._code_of.get(label, fresh.get(label, 0)) for label in labels]
        missing = codes < 0
        n_missing = int(missing.sum())
        keys = np.array([*table, 0], dtype=np.int64)[codes]
        keys[missing] = -1 - len(unseen) - np.arange(n_missing)
        return keys, unseen, n_missing

    def union(self, other: Levels) -> Levels:
        """Return the levels of either, sorted where they can be."""
        unseen = [label for label in other._code_of if label not in self._code_of]
        if not unseen:
            return self
        warn_of_other_kind(self, unseen)
        kind = self.labels.dtype.kind
        if kind == other.labels.dtype.kind and kind in "iufUMm":
            both = np.concatenate([self.labels, other.labels])
        else:
            both = _array_of([*self._code_of, *other._code_of])
        return Levels(_sorted_uniques(both), self.name)

    def codes_of(self, labels: Iterable[Hashable]) -> Int:
        """Return the codes of labels that all are levels."""
        return np.array([self._code_of[label] for label in labels], dtype=np.int64)

    def codes_among(self, more: Levels) -> Int:
        """Return the codes (n_levels,) that these levels have among more levels."""
        return np.arange(len(self)) if more is self else more.codes_of(self._code_of)


def encode_levels(labels: Any, n_samples: int, name: str | None = None) -> tuple[Levels, Int]:
    """Find the levels of validated labels and code each (n_samples,).

    Labels that are None make one group of all rows.
    """
    if labels is None:
        levels = Levels(np.zeros(1, dtype=np.int64), name or "group")
        return levels, np.zeros(n_samples, dtype=np.int64)
    name = name or getattr(labels, "name", None)
    codes, uniques = _factorize(labels, name)
    levels = Levels(_sorted_uniques(uniques), "group" if name is None else str(name))
    return levels, levels.codes_of(hashables(uniques))[codes]


def as_factors(
    columns: list[tuple[str | None, Any]], n_samples: int
) -> list[tuple[str | None, Any]]:
    """Return (name, labels) of each grouping factor, each checked as by `as_labels`."""
    several = len(columns) > 1
    missing = [name for name, labels in columns if labels is None]
    if missing:
        msg = f"The labels of {missing[:5]} are missing. Pass them in `groups`."
        raise ValueError(msg)
    lengths = {len(labels) if hasattr(labels, "__len__") else 0 for _, labels in columns}
    if several and len(columns) == n_samples and n_samples not in lengths:
        msg = (
            f"`groups` must have shape (n_samples, n_factors), with n_samples={n_samples}. Got "
            f"shape ({lengths.pop()}, {n_samples}): transpose it, so that each factor is a "
            "column."
        )
        raise ValueError(msg)
    return [
        (name, as_labels(labels, n_samples, name=name if several else None))
        for name, labels in columns
    ]


def split_factors(groups: Any) -> list[tuple[str | None, Any]]:
    """Return (name, column) of each grouping factor, unchecked.

    `groups` is one factor, or several as the columns of an array or data frame, the levels of
    a MultiIndex, or the entries of a dict. Several without names are "group0", "group1", ...
    """
    if groups is None:
        return []
    if getattr(groups, "nlevels", 1) > 1:
        groups = groups.to_frame(index=False)
    expected = (
        "hold labels in memory: an array, a Series, a pandas or polars DataFrame, a pyarrow "
        "Table, or a dict of columns"
    )
    if isinstance(groups, Mapping):
        for labels in groups.values():
            refuse_elsewhere(labels, "groups", expected)
        return _named(list(groups), list(groups.values()))
    refuse_elsewhere(groups, "groups", expected)
    if hasattr(groups, "column_names"):
        return _named(list(groups.column_names), list(groups.columns))
    if hasattr(groups, "columns"):
        return _named(list(groups.columns), _columns(groups))
    if isinstance(groups, list | tuple) and groups:
        groups = _as_table(groups)
    if getattr(groups, "ndim", 1) == 2 and groups.shape[1] != 1:
        columns = list(np.asarray(groups).T)
        return _named([f"group{i}" for i in range(len(columns))], columns)
    name = getattr(groups, "name", None)
    return [(None if name is None else str(name), groups)]


def _named(names: list[Any], columns: list[Any]) -> list[tuple[str | None, Any]]:
    """Return (name, column) of factors whose names must differ."""
    words = [str(name) for name in names]
    if not words:
        msg = "`groups` has no columns. Leave it out to fit without groups."
        raise ValueError(msg)
    twice = sorted({word for word in words if words.count(word) > 1})
    if twice:
        msg = f"`groups` has several columns named {twice[:5]}. Give each factor its own name."
        raise ValueError(msg)
    return list(zip(words, columns, strict=True))


def _columns(frame: Any) -> list[Any]:
    """Return the columns of a pandas or polars DataFrame, whatever their names."""
    if hasattr(frame, "iloc"):
        return [frame.iloc[:, i] for i in range(frame.shape[1])]
    return list(frame)


def _as_table(groups: list[Any] | tuple[Any, ...]) -> Any:
    """Return rows of labels as an array, any other labels as they are.

    Raises
    ------
    TypeError
        If they are columns: nothing tells two columns of two labels from two rows.
    """
    if hasattr(groups[0], "dtype") and np.ndim(groups[0]) == 1:
        msg = (
            f"`groups` must have one row per sample. Got a {type(groups).__name__} of "
            f"{len(groups)} objects of type {type(groups[0]).__name__}: give several factors "
            "as a dict from their names to their labels, or as the columns of a data frame or "
            "array."
        )
        raise TypeError(msg)
    if not all(isinstance(row, list) for row in groups):
        return groups
    lengths = sorted({len(row) for row in groups})
    if len(lengths) > 1:
        msg = (
            "`groups` must hold hashable labels, or as many of them in each row as there are "
            f"grouping factors. Got lists of lengths {lengths[:5]}."
        )
        raise TypeError(msg)
    rows = np.empty((len(groups), lengths[0]), dtype=object)
    for i, row in enumerate(groups):
        rows[i] = row
    return rows


def as_labels(
    groups: Any, n_samples: int, *, missing_is_error: bool = True, name: str | None = None
) -> Any:
    """Return one label per row, a pandas Series or an array, checked for length."""
    import pandas as pd

    if groups is None:
        return None
    what = f"`groups[{name!r}]`" if name else "`groups`"
    labels: Any
    if isinstance(groups, pd.DataFrame | pd.Series | pd.api.extensions.ExtensionArray):
        labels = groups
    else:
        labels = _as_array(groups)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels.iloc[:, 0] if hasattr(labels, "iloc") else labels[:, 0]
    if labels.ndim != 1:
        msg = (
            f"{what} must be one label per row, of shape ({n_samples},). "
            f"Got shape {labels.shape}."
        )
        if isinstance(groups, str):
            msg += f" If {groups!r} is a column, leave it in X: name it in `group_features`."
        raise ValueError(msg)
    if len(labels) != n_samples:
        names = isinstance(groups, list | tuple) and all(isinstance(x, str) for x in groups)
        hint = " If they are names of columns of X, give them as `group_features`."
        msg = (
            f"{what} has {len(labels)} entries but `X` has {n_samples} rows; "
            f"they must be equal.{hint if names else ''}"
        )
        raise ValueError(msg)
    _warn_of_large_floats(labels, what)
    if missing_is_error:
        n_missing = int(np.sum(pd.isna(labels)))
        if n_missing:
            msg = (
                f"{what} has {n_missing} missing labels of {n_samples}. Drop these "
                "rows, or give them a label of their own."
            )
            raise ValueError(msg)
    return labels


def _warn_of_large_floats(labels: Any, what: str) -> None:
    """Warn of whole numbers that have lost their last digits as floats."""
    import pandas as pd

    if getattr(labels.dtype, "kind", "O") != "f":
        return
    values = pd.to_numeric(pd.Series(labels), errors="coerce").to_numpy(np.float64, na_value=0)
    largest = np.nanmax(np.abs(values), initial=0.0)
    if EXACT <= largest < np.inf:
        warn(
            f"Labels in {what} are floats of up to {largest:.2g}, which tell whole numbers "
            "apart up to 2^53 = 9e15 only: different ids may have become one group. Give them "
            "as integers or strings, such as in a data frame with a dtype for each column.",
            DataWarning,
        )


def _as_array(groups: Any) -> NDArray[Any]:
    """Convert to an ndarray without losing what labels are: no mixing of kinds."""
    # NumPy would make floats of integers of polars or pyarrow that have a null among them.
    for method in ("to_list", "to_pylist"):
        if hasattr(groups, method):
            groups = getattr(groups, method)()
    if isinstance(groups, list | tuple):
        return _array_of(list(groups))
    array = np.asarray(groups)
    # pandas has no index of half-precision numbers.
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _array_of(labels: list[Any]) -> NDArray[Any]:
    """Return integers as such and anything else as objects."""
    if labels and {type(label) for label in labels} == {int}:
        numbers = np.asarray(labels)
        # Integers below and above 2^63 together would become floats.
        if numbers.dtype.kind in "iu":
            return numbers
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def _factorize(labels: Any, name: str | None = None) -> tuple[Int, Any]:
    """Return codes, -1 for missing labels, and the distinct labels as they come."""
    import pandas as pd

    try:
        codes, uniques = pd.factorize(labels)
    except TypeError as error:
        what = f"`groups[{name!r}]`" if name else "`groups`"
        msg = f"{what} must hold hashable labels (strings, integers, dates ...). {error}."
        raise TypeError(msg) from None
    return codes.astype(np.int64, copy=False), uniques


def warn_of_other_kind(levels: Levels, unseen: Any) -> None:
    """Warn if labels that were not seen have another type than all that were."""
    if unseen and _kinds(hashables(levels.labels)).isdisjoint(_kinds(unseen)):
        warn(
            f"Labels like {unseen[0]!r} cannot be groups of the fit, whose labels are like "
            f"{hashables(levels.labels)[0]!r}: give both the same type.",
        )


def _kinds(labels: Any) -> set[type]:
    """Return the types of labels; numbers of any type can be equal."""
    return {Number if isinstance(label, Number) else type(label) for label in labels}


def hashables(labels: Any) -> list[Hashable]:
    """Return labels as Python objects that compare equal across dtypes (1 == 1.0)."""
    import pandas as pd

    if isinstance(labels, np.ndarray) and labels.dtype.kind in "biufUO":
        return list(labels.tolist())
    return list(pd.Index(labels).tolist())


def _sorted_uniques(labels: Any) -> NDArray[Any]:
    """Return distinct labels, sorted, or by type and text if they do not compare."""
    import pandas as pd

    index = pd.Index(pd.unique(labels))
    numpy_kind = isinstance(index.dtype, np.dtype)
    values = np.asarray(index) if numpy_kind else _array_of(hashables(index))
    try:
        return np.sort(values)
    except TypeError:
        order = sorted(range(len(values)), key=lambda i: (str(type(values[i])), str(values[i])))
        return values[order]
