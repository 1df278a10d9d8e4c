"""Group labels of any hashable kind <-> codes 0, 1, ...

Labels are mapped and checked here before anything else sees them: compiled code does
not check bounds, and would read foreign memory through a wrong code without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import ArrayLike, NDArray

    Int = NDArray[np.int64]

__all__ = ["Levels", "as_factors", "as_labels", "encode_levels", "hashables", "split_factors"]


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

    def __len__(self) -> int:
        return len(self.labels)

    def encode(self, groups: ArrayLike, n_samples: int) -> tuple[Int, list[Hashable], int]:
        """Return keys (n_samples,), the labels that were not seen, and how many are missing.

        Keys of seen labels are their codes. Each unseen label has a negative key of its
        own, and so has each row without a label, which may be of any group.
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
        if all(label in self._code_of for label in other._code_of):
            return self
        if self.labels.dtype == other.labels.dtype:
            both = np.concatenate([self.labels, other.labels])
        else:
            both = _array_of([*hashables(self.labels), *hashables(other.labels)])
        return Levels(_sorted_uniques(both), self.name)

    def codes_of(self, labels: list[Hashable]) -> Int:
        """Return the codes of labels that are known."""
        return np.array([self._code_of[label] for label in labels], dtype=np.int64)


def encode_levels(labels: Any, n_samples: int, name: str | None = None) -> tuple[Levels, Int]:
    """Find the levels of validated labels and code each (n_samples,).

    None is one group for all rows.
    """
    if labels is None:
        levels = Levels(np.zeros(1, dtype=np.int64), name or "group")
        return levels, np.zeros(n_samples, dtype=np.int64)
    name = name or getattr(labels, "name", None)
    codes, uniques = _factorize(labels)
    levels = Levels(_sorted_uniques(uniques), "group" if name is None else str(name))
    return levels, levels.codes_of(hashables(uniques))[codes]


def as_factors(
    columns: list[tuple[str | None, Any]], n_samples: int
) -> list[tuple[str | None, Any]]:
    """Return (name, labels) of each grouping factor, each checked as by `as_labels`."""
    several = len(columns) > 1
    return [
        (name, as_labels(labels, n_samples, name=name if several else None))
        for name, labels in columns
    ]


def split_factors(groups: Any) -> list[tuple[str | None, Any]]:
    """Return (name, column) of each grouping factor, unchecked.

    `groups` is one factor, or several as the columns of an array or data frame, or as the
    entries of a dict. Several without names are "group0", "group1", ...
    """
    if groups is None:
        return []
    if isinstance(groups, Mapping):
        return [(str(name), labels) for name, labels in groups.items()]
    if hasattr(groups, "columns"):
        return [(str(name), groups[name]) for name in groups.columns]
    if isinstance(groups, list) and groups and all(isinstance(g, list) for g in groups):
        groups = np.array(groups, dtype=object)
    if getattr(groups, "ndim", 1) == 2 and groups.shape[1] > 1:
        return [(f"group{i}", groups[:, i]) for i in range(groups.shape[1])]
    name = getattr(groups, "name", None)
    return [(None if name is None else str(name), groups)]


def as_labels(
    groups: Any, n_samples: int, *, missing_is_error: bool = True, name: str | None = None
) -> Any:
    """Return one label per row, a pandas Series or an array, checked for length."""
    import pandas as pd

    if groups is None:
        return None
    labels: Any
    if isinstance(groups, pd.DataFrame | pd.Series | pd.api.extensions.ExtensionArray):
        labels = groups
    else:
        labels = _as_array(groups)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels.iloc[:, 0] if hasattr(labels, "iloc") else labels[:, 0]
    if labels.ndim != 1:
        msg = (
            f"`groups` must be one label per row, of shape ({n_samples},). "
            f"Got shape {labels.shape}."
        )
        raise ValueError(msg)
    if len(labels) != n_samples:
        what = f"`groups[{name!r}]`" if name else "`groups`"
        msg = (
            f"{what} has {len(labels)} entries but `X` has {n_samples} rows; "
            "they must be equal."
        )
        raise ValueError(msg)
    if missing_is_error:
        n_missing = int(np.sum(pd.isna(labels)))
        if n_missing:
            msg = (
                f"`groups` has {n_missing} missing labels of {n_samples}. Drop these "
                "rows, or give them a label of their own."
            )
            raise ValueError(msg)
    return labels


def _as_array(groups: Any) -> NDArray[Any]:
    """Convert to an ndarray without losing what labels are: no mixing of kinds."""
    if hasattr(groups, "to_list"):
        groups = groups.to_list()
    if isinstance(groups, list | tuple):
        return _array_of(list(groups))
    array = np.asarray(groups)
    # pandas has no index of half-precision numbers.
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _array_of(labels: list[Any]) -> NDArray[Any]:
    """Return integers as such and anything else as objects."""
    if labels and {type(label) for label in labels} == {int}:
        return np.asarray(labels)
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def _factorize(labels: Any) -> tuple[Int, Any]:
    """Return codes, -1 for missing labels, and the distinct labels as they come."""
    import pandas as pd

    try:
        codes, uniques = pd.factorize(labels)
    except TypeError as error:
        msg = f"`groups` must hold hashable labels (strings, integers, dates ...). {error}."
        raise TypeError(msg) from None
    return codes.astype(np.int64, copy=False), uniques


def hashables(labels: Any) -> list[Hashable]:
    """Return labels as Python objects that compare equal across dtypes (1 == 1.0)."""
    import pandas as pd

    if isinstance(labels, np.ndarray) and labels.dtype.kind in "biufUO":
        return list(labels.tolist())
    return list(pd.Index(labels))


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
