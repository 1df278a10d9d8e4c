"""Which columns of a table are features and labels, and the rows of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._inputs.columns import find_columns
from skhbm._inputs.parameters import as_list

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "check_there",
    "columns_of_labels",
    "names_of_fit",
    "rows_of_batch",
    "split_features",
]


def columns_of_labels(estimator: Any, groups: Any) -> dict[str, str]:
    """Return the column of labels for each factor, unless features have them."""
    factors = [levels.name for levels in estimator._statistics.factors]
    given = as_list(groups) or factors
    if estimator.group_features is not None:
        return {}
    if len(given) != len(factors):
        msg = (
            "`groups` must name one column for each grouping factor of the fit, "
            f"{factors}. Got {given}."
        )
        raise ValueError(msg)
    return dict(zip(factors, given, strict=True))


def names_of_fit(estimator: Any) -> list[str]:
    """Return the names of the columns of X in fit."""
    if estimator.n_features_in_ == 0:
        return []
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        msg = (
            "Columns of a table are found by their names, but the model was fitted to X "
            "without. Fit to a data frame or by fit_table."
        )
        raise ValueError(msg)
    return [str(name) for name in names]


def rows_of_batch(
    batch: Any, names: Sequence[str], labels: Mapping[str, str]
) -> tuple[Any, Any]:
    """Return X and groups of a batch of arrow: features by name, and labels by factor."""
    X = batch.select(list(names)).to_pandas() if names else None
    return X, {factor: batch.column(name) for factor, name in labels.items()} or None


def split_features(
    group_features: Any, columns: list[str], groups: Any
) -> tuple[list[str], list[str]]:
    """Return the names of features and of factors, which `group_features` tells apart."""
    if groups is not None:
        msg = (
            f"Group labels were given twice, as `groups` and as {group_features!r} of "
            "`features` (`group_features`). Give one of them."
        )
        raise ValueError(msg)
    found = find_columns("group_features", group_features, len(columns), columns)
    if not len(found):
        msg = "`group_features` must name at least one of `features`. Got none."
        raise ValueError(msg)
    names = np.array(columns, dtype=object)
    return list(np.delete(names, found)), list(names[found])


def check_there(wanted: list[str], columns: list[str], made: tuple[str, ...]) -> None:
    """Raise ValueError if a table lacks columns, or has some that predictions make."""
    missing = [name for name in wanted if name not in columns]
    if missing:
        msg = (
            f"The table lacks the columns {missing[:5]}, which the model was fitted to. Its "
            f"columns are {columns[:20]}. Rename them, or name those of labels in `groups`."
        )
        raise ValueError(msg)
    taken = [name for name in made if name in columns]
    if taken:
        msg = f"The table has columns {taken} already, as predictions would. Rename them."
        raise ValueError(msg)
