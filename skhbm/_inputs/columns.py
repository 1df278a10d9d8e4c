"""Find columns of X by name, index or mask, and split group columns from features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import _safe_indexing

from skhbm._inputs.parameters import as_list, is_int

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._types import Int

__all__ = ["find_columns", "split_columns"]


#: What to do if a step before has taken a column away.
DROPPED = (
    " A ColumnTransformer drops columns that none of its steps names, unless it has "
    'remainder="passthrough".'
)


def find_columns(
    parameter: str, wanted: Any, n_columns: int, names: Sequence[str] | None
) -> Int:
    """Return the positions of columns given by names, indices or a boolean mask.

    Raises
    ------
    ValueError
        If a column does not exist or is given twice.
    """
    wanted = as_list(wanted)
    if wanted and all(isinstance(w, bool | np.bool_) for w in wanted):
        if len(wanted) != n_columns:
            msg = (
                f"`{parameter}` as a mask must have one entry per column of X "
                f"({n_columns}). Got {len(wanted)}."
            )
            raise ValueError(msg)
        return np.flatnonzero(wanted)
    found = [_find(parameter, w, n_columns, names) for w in wanted]
    twice = {wanted[i] for i, position in enumerate(found) if position in found[:i]}
    if twice:
        msg = (
            f"`{parameter}` names a column twice: {sorted(map(str, twice))[:5]}. Name it once."
        )
        raise ValueError(msg)
    return np.array(found, dtype=np.int64)


def split_columns(X: Any, positions: Int) -> tuple[Any, list[Any]]:
    """Return X without the columns at `positions`, and these columns one by one."""
    others = np.setdiff1d(np.arange(X.shape[1]), positions)
    columns = [_safe_indexing(X, int(position), axis=1) for position in positions]
    rest = _safe_indexing(X, [int(i) for i in others], axis=1) if len(others) else None
    return rest, columns


def _find(parameter: str, wanted: Any, n_columns: int, names: Sequence[str] | None) -> int:
    if isinstance(wanted, str):
        if names is None:
            msg = (
                f"`{parameter}` names the column {wanted!r}, but X has no column names. Give "
                "its index, or X as a data frame: in a Pipeline, "
                'set_output(transform="pandas") keeps names.'
            )
            raise ValueError(msg)
        if wanted not in names:
            msg = (
                f"`{parameter}` names {wanted!r}, which is not a column of X. "
                f"Its columns are {list(names)[:20]}.{_renamed(wanted, names) or DROPPED}"
            )
            raise ValueError(msg)
        return list(names).index(wanted)
    if not is_int(wanted):
        msg = f"`{parameter}` must hold names, indices or a mask. Got {wanted!r}."
        raise TypeError(msg)
    if not -n_columns <= wanted < n_columns:
        msg = f"`{parameter}` has the index {wanted}, but X has {n_columns} columns.{DROPPED}"
        raise ValueError(msg)
    return int(wanted) % n_columns


def _renamed(wanted: str, names: Sequence[str]) -> str:
    """Say what ColumnTransformer and FeatureUnion call a column, if they renamed it."""
    renamed = [name for name in names if name.endswith(f"__{wanted}")]
    if not renamed:
        return ""
    return (
        f" Did you mean {renamed[0]!r}? With verbose_feature_names_out=False transformers keep "
        "names."
    )
