"""Rows whose labels in pandas's index come in another order than those of X."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from skhbm._inputs.warning import DataWarning, warn

__all__ = ["warn_of_observed_order", "warn_of_order"]


def warn_of_observed_order(X: Any, groups: Any, **given: Any) -> None:
    """Warn of arguments in another order than the rows that are predicted."""
    warn_of_order(**({"groups": groups} if X is None else {"X": X}), **given)


def warn_of_order(**given: Any) -> None:
    """Warn of arguments whose index has the labels of the first one's in another order.

    As in scikit-learn, rows are matched by position. Arguments without an index of pandas, and
    those with other labels, are left alone: their order is meant.
    """
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return
    indices: dict[str, Any] = {}
    for name, value in given.items():
        parts = value.items() if isinstance(value, Mapping) else [(None, value)]
        for key, part in parts:
            if isinstance(part, pandas.Series | pandas.DataFrame):
                indices[name if key is None else f"{name}[{key!r}]"] = part.index
    if len(indices) < 2:
        return
    first = next(iter(indices))
    wrong = [f"`{name}`" for name in indices if _is_reordered(indices[name], indices[first])]
    if wrong:
        warn(
            f"The index of {', '.join(wrong)} has the labels of the index of `{first}` in "
            "another order. Rows are matched by position, as everywhere in scikit-learn, and "
            f"not by their index. Bring them into the order of `{first}`, as by "
            f".loc[{first}.index], or reset the index if their positions are right.",
            DataWarning,
        )


def _is_reordered(index: Any, other: Any) -> bool:
    """Tell whether two indices hold the same labels, in another order.

    Sums of hashes do not depend on the order, and take no sorting.
    """
    if index is other or len(index) != len(other) or index.equals(other):
        return False
    from pandas.util import hash_pandas_object

    first, second = (hash_pandas_object(labels).to_numpy() for labels in (index, other))
    same = np.sum(first) == np.sum(second)
    same &= np.bitwise_xor.reduce(first) == np.bitwise_xor.reduce(second)
    return bool(same) and not np.array_equal(first, second)
