"""Check the rows that a fitted estimator is given; code their groups as in its fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from skhbm._inputs.arrays import as_errors, as_features, as_rows, as_target, count_rows
from skhbm._inputs.groups import (
    as_fitted,
    has_other_name,
    refuse_no_columns,
    split_channels,
    with_columns,
)
from skhbm._inputs.levels import as_factors, warn_of_other_kind
from skhbm._inputs.numbers import check_sizes
from skhbm._inputs.order import warn_of_observed_order, warn_of_order
from skhbm._inputs.parameters import check_chosen
from skhbm._inputs.rows import FitRows, Rows
from skhbm._inputs.warning import DataWarning, warn

if TYPE_CHECKING:
    from skhbm._inputs.levels import Levels
    from skhbm._types import Float, Int


__all__ = [
    "read_more_rows",
    "read_new_rows",
    "read_observed",
    "read_scored",
]

WITHOUT_GROUPS = (
    "`groups` was given, but the model was fitted without groups. Pass `groups=` to fit as "
    "well, or leave it out."
)


def read_new_rows(estimator: Any, X: Any, groups: Any) -> Rows:
    """Return validated rows to predict, their groups coded."""
    check_is_fitted(estimator)
    # Parameters can be set after fit.
    check_chosen(estimator, "new_groups")
    warn_of_order(X=X, groups=groups)
    X, columns = _split_new(estimator, X, groups)
    n_samples = _count_rows(X, columns)
    features = as_features(X, n_samples, estimator)
    check_sizes(features, "X")
    factors = estimator._statistics.factors
    if not factors:
        if columns:
            raise ValueError(WITHOUT_GROUPS)
        return Rows(features, (np.zeros(n_samples, dtype=np.int64),))
    _check_given(estimator, columns)
    keys = [
        _keys(estimator, levels, labels, n_samples)
        for levels, (_, labels) in zip(factors, as_fitted(columns, factors), strict=True)
    ]
    _warn_of_other_factor(columns, factors, keys)
    return Rows(features, tuple(keys))


def read_observed(
    estimator: Any, n_rows: int, y: Any, y_err: Any
) -> tuple[Float, Float | None]:
    """Return the target of rows that are predicted, and its known errors if there are any."""
    target = as_target(y, estimator)
    if n_rows != len(target):
        msg = f"`X` has {n_rows} rows but `y` has {len(target)} entries; they must be equal."
        raise ValueError(msg)
    errors = as_errors(y_err, len(target))
    if errors is not None and not estimator._statistics.known_errors:
        msg = (
            "`y_err` was given, but the residual scale was estimated. Leave it out, or fit "
            "with residual_scale='known'."
        )
        raise ValueError(msg)
    return target, errors


def read_scored(
    estimator: Any, X: Any, y: Any, groups: Any, y_err: Any
) -> tuple[Rows, Float, Float | None]:
    """Return rows to score, their target, and its known errors if there are any."""
    rows = read_new_rows(estimator, X, groups)
    warn_of_observed_order(X, groups, y=y, y_err=y_err)
    target, errors = read_observed(estimator, len(rows), y, y_err)
    if errors is None and estimator._statistics.known_errors:
        msg = (
            "The model has residual_scale='known': `y` differs from what is predicted by known "
            "errors. Pass `y_err=`, as to fit; searches and cross-validation hand it on if "
            "metadata routing is enabled."
        )
        raise ValueError(msg)
    return rows, target, errors


def read_more_rows(estimator: Any, X: Any, y: Any, groups: Any, y_err: Any = None) -> FitRows:
    """Return rows of groups of the fit, or of new groups, with their target."""
    check_is_fitted(estimator)
    warn_of_order(X=X, y=y, groups=groups, y_err=y_err)
    X, columns = _split_new(estimator, X, groups)
    features, target, _ = as_rows(X, y, None, estimator)
    check_sizes(features, "X")
    factors = estimator._statistics.factors
    if columns and not factors:
        raise ValueError(WITHOUT_GROUPS)
    columns = as_fitted(columns, factors)
    missing = [name for name, labels in columns if labels is None]
    if missing:
        msg = (
            f"The model was fitted with groups, but `groups` has no labels of {missing[:5]}: "
            "the target says something about the group that it comes from. Pass one label "
            "per row."
        )
        raise ValueError(msg)
    errors = as_errors(y_err, len(target))
    if (errors is not None) != estimator._statistics.known_errors:
        msg = (
            "`y_err` must be given for a model with residual_scale='known', and for no other. "
            f"This model has residual_scale={estimator.residual_scale!r}."
        )
        raise ValueError(msg)
    labels = as_factors(columns, len(target))
    names = estimator._statistics.feature_names
    return FitRows(features, target, labels, None, errors, names)


def _split_new(estimator: Any, X: Any, groups: Any) -> tuple[Any, Any]:
    """Check the columns of new rows against those of fit; return features and labels."""
    X = with_columns(X, groups)
    if X is not None:
        validate_data(estimator, X=X, reset=False, skip_check_array=True)
    elif estimator.n_features_in_:
        refuse_no_columns(estimator)
    X, columns = split_channels(estimator, X, groups)
    n_features, expected = 0 if X is None else X.shape[1], estimator._statistics.n_features
    if n_features != expected:
        msg = (
            f"X has {n_features} features beside its columns of group labels, but the model "
            f"was fitted with {expected}: `group_features` is {estimator.group_features!r} "
            "now. Set it as it was, or fit again."
        )
        raise ValueError(msg)
    return X, columns


def _count_rows(X: Any, columns: Any) -> int:
    given = [labels for _, labels in columns if labels is not None]
    return count_rows(X, given[0] if given else None)


def _check_given(estimator: Any, columns: Any) -> None:
    """Warn if a model with groups is given none, or refuse if `new_groups` is "error"."""
    if columns:
        return
    if estimator.new_groups == "error":
        msg = (
            "The model was fitted with groups, but asked to predict without. Pass `groups=` to "
            'predict, or new_groups="population" to predict from the population.'
        )
        raise ValueError(msg)
    warn(
        "The model was fitted with groups, but asked to predict without: every row is "
        "predicted as if of a new group. Pass `groups=` to predict, or give the labels "
        "as a column of X (`group_features`), which scikit-learn carries everywhere.",
    )


def _warn_of_other_factor(columns: Any, factors: tuple[Levels, ...], keys: list[Int]) -> None:
    """Warn if labels have another name than in fit, and not one of them is known.

    The labels of a lone factor may have any name, and all groups may be new. Both together
    are likely to be labels of something else.
    """
    if len(factors) > 1 or not has_other_name(columns, factors) or np.any(keys[0] >= 0):
        return
    given, name = columns[0][0], factors[0].name
    warn(
        f"None of the labels named {given!r} is a group of the fit, whose labels are named "
        f"{name!r}: every row is predicted as if of a new group. Pass the labels of {name!r}, "
        "or rename them if they are the same.",
        DataWarning,
    )


def _keys(estimator: Any, levels: Levels, labels: Any, n_samples: int) -> Int:
    """Code the labels of new rows; see `Rows`."""
    if labels is None:
        labels = np.full(n_samples, None, dtype=object)
        if estimator.new_groups == "population":
            return -1 - np.arange(n_samples)
    keys, unseen, n_missing = levels.encode(labels, n_samples)
    if estimator.new_groups == "error" and (unseen or n_missing):
        several = len(estimator._statistics.factors) > 1
        of_factor = f" of {levels.name!r}" if several else ""
        total = len(unseen) + len(np.unique(keys[keys >= 0]))
        what = f"{len(unseen)} of {total} groups{of_factor} were not seen in fit: {unseen[:5]}"
        what = what if unseen else f"{n_missing} of {n_samples} labels{of_factor} are missing"
        msg = f'{what}. Pass new_groups="population" to predict them from the population.'
        raise ValueError(msg)
    warn_of_other_kind(levels, unseen)
    return keys
