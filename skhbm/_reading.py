"""What fit and predict are given -> checked rows, with labels from either channel.

Labels come as `groups=` or as the columns of X that `group_features` names. These functions
read the parameters of an estimator, and set what scikit-learn wants to know of X.
"""

from __future__ import annotations

import warnings
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from skhbm._columns import find_columns, split_columns
from skhbm._inputs import as_errors, as_features, as_rows, as_target, count_rows
from skhbm._labels import as_factors, hashables, split_factors
from skhbm._numbers import as_numbers, check_sizes
from skhbm._rows import Rows
from skhbm._same_rows import check_same_rows
from skhbm._statistics import GroupedStatistics, statistics_of_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from skhbm._labels import Levels

    Float = NDArray[np.float64]

__all__ = [
    "check_statistics",
    "feature_names",
    "read_more_rows",
    "read_new_rows",
    "read_observed",
    "read_rows_again",
    "read_scored",
    "read_statistics",
    "warn_of_other_kind",
]

#: Variables and dimensions of `posterior_`: what a grouping factor cannot be named.
RESERVED = frozenset(
    [
        *("chain", "draw", "feature", "intercept", "coef", "sigma", "n", "x_mean", "y_mean"),
        *("log_sigma_mean", "log_sigma_sd", "intercept_at_mean", "statistics"),
    ]
)

#: What a factor gives its name to: no other one can have these.
DERIVED = (
    *("tau_{}", "corr_{}", "corr_{}_cholesky", "effect_{}"),
    *("{}_term", "{}_term_bis", "{}_of_cell"),
)

WITHOUT_GROUPS = (
    "`groups` was given, but the model was fitted without groups. Pass `groups=` to fit as "
    "well, or leave it out."
)


def read_statistics(
    estimator: Any,
    X: Any,
    y: Any,
    groups: Any,
    sample_weight: Any,
    y_err: Any,
    known: GroupedStatistics | None = None,
) -> GroupedStatistics:
    """Check rows and reduce them, as a fit's or as more rows beside `known` ones."""
    X = _with_columns(X, groups)
    if X is not None:
        validate_data(estimator, X=X, reset=known is None, skip_check_array=True)
    elif known is None:
        estimator.n_features_in_ = 0
    elif estimator.n_features_in_:
        _refuse_no_columns(estimator)
    X, columns = _split(estimator, X, groups)
    features, target, weights = as_rows(X, y, sample_weight, estimator)
    if known is None and len(target) < 2:
        msg = (
            "Found an array with 1 sample (n_samples=1) while a minimum of 2 is required: "
            "one row says nothing about the residual scale."
        )
        raise ValueError(msg)
    if known is not None:
        _check_same_factor(columns, known.factors)
        columns = _as_fitted(columns, known.factors)
    factors = as_factors(columns, len(target))
    _check_names([name for name, _ in factors])
    return statistics_of_rows(
        features,
        target,
        factors,
        weights,
        as_errors(y_err, len(target)),
        feature_names(estimator),
    )


def check_statistics(
    estimator: Any, statistics: Any, columns: Sequence[str] | None = None
) -> None:
    """Check statistics that are given instead of rows; set what is known of the columns.

    Of rows of a table `columns` are those that X would have, labels among them.
    """
    if not isinstance(statistics, GroupedStatistics):
        msg = (
            "`statistics` must be GroupedStatistics, as from GroupedStatistics.from_arrays. "
            f"Got {type(statistics).__name__}."
        )
        raise TypeError(msg)
    if estimator.group_features is not None and columns is None:
        msg = (
            "`group_features` names columns of X, but statistics come with their groups. Set "
            "group_features=None to fit statistics."
        )
        raise ValueError(msg)
    if statistics.n.sum() < 2:
        msg = f"A fit needs at least 2 rows. The statistics are of {statistics.n.sum():g}."
        raise ValueError(msg)
    _check_names([levels.name for levels in statistics.factors])
    names = columns or statistics.feature_names
    estimator.n_features_in_ = statistics.n_features if columns is None else len(columns)
    if names is not None:
        estimator.feature_names_in_ = np.array(names, dtype=object)


def read_new_rows(estimator: Any, X: Any, groups: Any) -> Rows:
    """Return validated rows to predict, their groups coded."""
    check_is_fitted(estimator)
    X, columns = _split_new(estimator, X, groups)
    n_samples = _count_rows(X, columns)
    features = as_features(X, n_samples, estimator)
    check_sizes(features, "X")
    factors = estimator._statistics.factors
    if not factors:
        if columns:
            raise ValueError(WITHOUT_GROUPS)
        return Rows(features, np.zeros(n_samples, dtype=np.int64))
    _check_given(estimator, columns)
    keys = [
        _keys(estimator, levels, labels, n_samples)
        for levels, (_, labels) in zip(factors, _as_fitted(columns, factors), strict=True)
    ]
    integrated = keys.pop(estimator._posterior.design.integrated)
    return Rows(features, integrated, tuple(keys))


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
    """Return rows, their target, and the errors that a target has where they are known."""
    rows = read_new_rows(estimator, X, groups)
    target, errors = read_observed(estimator, len(rows), y, y_err)
    if errors is None and estimator._statistics.known_errors:
        msg = (
            "The model has residual_scale='known': `y` differs from what is predicted by known "
            "errors. Pass `y_err=`, as to fit; searches and cross-validation hand it on if "
            "metadata routing is enabled."
        )
        raise ValueError(msg)
    return rows, target, errors


def read_more_rows(
    estimator: Any, X: Any, y: Any, groups: Any, y_err: Any = None
) -> tuple[Any, Float, list[tuple[str | None, Any]], Float | None]:
    """Return features, target, factors and errors of rows of known or new groups."""
    check_is_fitted(estimator)
    X, columns = _split_new(estimator, X, groups)
    features, target, _ = as_rows(X, y, None, estimator)
    check_sizes(features, "X")
    factors = estimator._statistics.factors
    if columns and not factors:
        raise ValueError(WITHOUT_GROUPS)
    columns = _as_fitted(columns, factors)
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
    return features, target, as_factors(columns, len(target)), errors


def read_rows_again(
    estimator: Any, X: Any, y: Any, groups: Any, y_err: Any = None
) -> tuple[Rows, Float, Float | None]:
    """Return the rows that the estimator was fitted to, coded, their target and errors.

    They are known by their statistics: labels, counts and means.
    """
    features, target, factors, errors = read_more_rows(estimator, X, y, groups, y_err)
    fitted = estimator._statistics
    check_same_rows(fitted, statistics_of_rows(features, target, factors, None, errors))
    keys = [
        levels.encode(labels, len(target))[0]
        for levels, (_, labels) in zip(fitted.factors, factors, strict=True)
    ]
    keys = keys or [np.zeros(len(target), dtype=np.int64)]
    integrated = keys.pop(estimator._posterior.design.integrated)
    return Rows(features, integrated, tuple(keys)), target, errors


def feature_names(estimator: Any) -> tuple[str, ...] | None:
    """Return the names of the features, if the columns of X have any."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        return None
    if estimator.group_features is not None:
        found = find_columns("group_features", estimator.group_features, len(names), names)
        names = np.delete(names, found)
    return tuple(map(str, names))


def _check_names(names: Sequence[str | None]) -> None:
    """Raise ValueError if a factor has the name of a variable or dimension of `posterior_`."""
    taken = set(RESERVED)
    if len(names) > 1:
        taken |= {"cell"}
        taken |= {form.format(name) for name in names for form in DERIVED}
    for name in names:
        if name is not None and (name in taken or "/" in name):
            msg = (
                f"The labels are named {name!r}, which cannot be the name of a dimension in "
                "`posterior_`: it is one of its variables already, or has a slash. Rename the "
                "column or Series."
            )
            raise ValueError(msg)


def _refuse_no_columns(estimator: Any) -> None:
    msg = f"X is None, but the model was fitted with {estimator.n_features_in_} columns."
    raise ValueError(msg)


def _split(estimator: Any, X: Any, groups: Any) -> tuple[Any, Any]:
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


def warn_of_other_kind(levels: Levels, unseen: Any, stacklevel: int) -> None:
    """Warn if labels that were not seen have another type than all that were."""
    if unseen and _kinds(hashables(levels.labels)).isdisjoint(_kinds(unseen)):
        warnings.warn(
            f"Labels like {unseen[0]!r} cannot be groups of the fit, whose labels are like "
            f"{hashables(levels.labels)[0]!r}: give both the same type.",
            UserWarning,
            stacklevel=stacklevel,
        )


def _split_new(estimator: Any, X: Any, groups: Any) -> tuple[Any, Any]:
    """Check the columns of new rows against those of fit; return features and labels."""
    X = _with_columns(X, groups)
    if X is not None:
        validate_data(estimator, X=X, reset=False, skip_check_array=True)
    elif estimator.n_features_in_:
        _refuse_no_columns(estimator)
    X, columns = _split(estimator, X, groups)
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


def _as_fitted(columns: Any, factors: tuple[Levels, ...]) -> list[tuple[str | None, Any]]:
    """Bring (name, labels) into the order of the factors of the fit, None where not given.

    Named factors are found by their names; those without are taken in order.
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


def _check_same_factor(columns: Any, factors: tuple[Levels, ...]) -> None:
    """Refuse more rows whose lone factor has a name, and another one than in fit."""
    names = [levels.name for levels in factors]
    given = [name for name, _ in columns]
    nameless = "group"
    if len(names) == len(given) == 1 and given[0] not in (None, *names) and names != [nameless]:
        msg = (
            f"The model was fitted with the grouping factor {names[0]!r}. Got {given[0]!r}: "
            "pass `groups` named as in fit, or without a name."
        )
        raise ValueError(msg)


def _check_given(estimator: Any, columns: Any) -> None:
    """Warn, or refuse if new_groups says so, if a model with groups is given none."""
    if columns:
        return
    if estimator.new_groups == "error":
        msg = (
            "The model was fitted with groups, but asked to predict without. Pass `groups=` to "
            'predict, or new_groups="population" to predict from the population.'
        )
        raise ValueError(msg)
    warnings.warn(
        "The model was fitted with groups, but asked to predict without: every row is "
        "predicted as if of a new group. Pass `groups=` to predict, or give the labels "
        "as a column of X (`group_features`), which scikit-learn carries everywhere.",
        UserWarning,
        stacklevel=4,
    )


def _keys(estimator: Any, levels: Levels, labels: Any, n_samples: int) -> NDArray[np.int64]:
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
    warn_of_other_kind(levels, unseen, stacklevel=6)
    return keys


def _with_columns(X: Any, groups: Any) -> Any:
    """Return X as something with rows and columns, labels among numbers kept.

    None if it has no columns, while there are groups to fit intercepts of.
    """
    if X is None:
        return None
    if hasattr(X, "tocsr"):
        msg = (
            f"`X` must be dense. Got a sparse {type(X).__name__}: give X.toarray(), or set "
            "sparse_threshold=0 in the ColumnTransformer that made it."
        )
        raise TypeError(msg)
    if hasattr(X, "collect"):
        msg = f"`X` must be in memory. Got {type(X).__name__}; collect it first."
        raise TypeError(msg)
    if not hasattr(X, "shape") and not hasattr(X, "__dataframe__"):
        mixed = _as_objects(X)
        X = mixed if mixed.ndim == 2 else X
    if len(getattr(X, "shape", ())) != 2:
        # check_array says what is wrong with any other number of dimensions.
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


def _kinds(labels: Any) -> set[type]:
    """Return the types of labels; numbers of any type can be equal."""
    return {Number if isinstance(label, Number) else type(label) for label in labels}
