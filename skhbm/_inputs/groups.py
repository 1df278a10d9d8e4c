"""Labels of rows, which come as `groups=` or as columns of X that `group_features` names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._inputs.arrays import refuse_elsewhere
from skhbm._inputs.columns import find_columns, split_columns
from skhbm._inputs.levels import split_factors
from skhbm._inputs.numbers import as_numbers

if TYPE_CHECKING:
    from skhbm._inputs.levels import Levels

__all__ = [
    "as_fitted",
    "check_same_factor",
    "has_other_name",
    "refuse_no_columns",
    "split_channels",
    "with_columns",
]


def split_channels(estimator: Any, X: Any, groups: Any) -> tuple[Any, Any]:
    """Return the features of X and (name, labels) of each factor, from either channel."""
    if estimator.group_features is None or X is None:
        if X is None and estimator.group_features is not None:
            msg = "`group_features` names a column of X, but X is None. Pass `groups=`."
            raise ValueError(msg)
        return X, split_factors(groups)
    names = getattr(estimator, "feature_names_in_", None)
    positions = find_columns("group_features", estimator.group_features, X.shape[1], names)
    if not len(positions):
        msg = "`group_features` must name at least one column of X. Got none."
        raise ValueError(msg)
    if groups is not None:
        msg = (
            "Group labels were given twice, as `groups=` and as the column "
            f"{estimator.group_features!r} of X (`group_features`). Give one of them."
        )
        raise ValueError(msg)
    features, columns = split_columns(X, positions)
    factors: list[str | None]
    if names is not None:
        factors = [str(names[at]) for at in positions]
    elif len(positions) == 1:
        factors = [None]
    else:
        factors = [f"group{i}" for i in range(len(positions))]
    return features, list(zip(factors, columns, strict=True))


def with_columns(X: Any, groups: Any) -> Any:
    """Return X as something with rows and columns, labels among numbers kept.

    The result is None if X has no columns, and groups are given whose intercepts can vary.
    """
    if X is None:
        return None
    if hasattr(X, "tocsr"):
        msg = (
            f"`X` must be dense. Got a sparse {type(X).__name__}: give X.toarray(), or set "
            "sparse_threshold=0 in the ColumnTransformer that made it."
        )
        raise TypeError(msg)
    refuse_elsewhere(X, "X", "be in memory", " Or use fit_table, which takes it as it is.")
    if hasattr(X, "to_struct_array"):
        # scikit-learn knows tables of Arrow, but no record batches.
        import pyarrow as pa

        X = pa.Table.from_batches([X]) if isinstance(X, pa.RecordBatch) else X
    if not hasattr(X, "shape") and not hasattr(X, "__dataframe__"):
        mixed = _as_objects(X)
        X = mixed if mixed.ndim == 2 else X
    if len(getattr(X, "shape", ())) != 2:
        # The message of check_array names any other number of dimensions.
        return as_numbers(X, "X")
    names = [name for name in getattr(X, "columns", ()) if isinstance(name, str)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"`X` has several columns named {twice[:5]}. Give each column its own name."
        raise ValueError(msg)
    return None if groups is not None and X.shape[1] == 0 else X


def _as_objects(X: Any) -> Any:
    """Return X as an array of objects, empty if it has rows of different shapes."""
    try:
        return np.asarray(X, dtype=object)
    except ValueError:
        return np.empty(0, dtype=object)


def as_fitted(columns: Any, factors: tuple[Levels, ...]) -> list[tuple[str | None, Any]]:
    """Bring (name, labels) into the order of the factors of the fit, None where not given.

    Named factors are found by their names; factors without names are taken in order.
    """
    names = [levels.name for levels in factors]
    nameless = [f"group{i}" for i in range(len(columns))]
    given = [name for name, _ in columns]
    if len(columns) == len(names) and (len(names) == 1 or given == nameless or None in given):
        return [(name, labels) for name, (_, labels) in zip(names, columns, strict=True)]
    unknown = [name for name in given if name not in names]
    if unknown:
        count = f"{len(given)} factor{'s' * (len(given) != 1)}"
        what = f"{count} without names" if None in given else f"{count} named {given[:5]}"
        msg = (
            f"The model was fitted with the grouping factors {names}. Got {what}: pass "
            "`groups` with one column for each, named as in fit; columns may be left out."
        )
        raise ValueError(msg)
    found = dict(columns)
    return [(name, found.get(name)) for name in names]


def has_other_name(columns: Any, factors: tuple[Levels, ...]) -> bool:
    """Tell whether a lone factor has a name, and another one than in fit."""
    names = [levels.name for levels in factors]
    given = [name for name, _ in columns]
    nameless = "group"
    lone = len(names) == len(given) == 1
    return lone and given[0] not in (None, *names) and names != [nameless]


def check_same_factor(columns: Any, factors: tuple[Levels, ...]) -> None:
    """Refuse more rows whose lone factor has a name, and another one than in fit."""
    if has_other_name(columns, factors):
        given, name = columns[0][0], factors[0].name
        msg = (
            f"The model was fitted with the grouping factor {name!r}. Got {given!r}: "
            "pass `groups` named as in fit, or without a name."
        )
        raise ValueError(msg)


def refuse_no_columns(estimator: Any) -> None:
    """Refuse rows without columns if the fit had some."""
    msg = f"X is None, but the model was fitted with {estimator.n_features_in_} columns."
    raise ValueError(msg)
