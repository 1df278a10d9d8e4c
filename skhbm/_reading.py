"""What fit and predict are given -> checked rows, with labels from either channel.

Labels come as `groups=` or as the column of X that `group_features` names. These functions read
the parameters of an estimator, and set what scikit-learn wants to know of X.
"""

from __future__ import annotations

import warnings
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from skhbm._columns import find_columns, split_columns
from skhbm._design import Terms
from skhbm._inputs import as_features, as_rows, count_rows
from skhbm._labels import as_labels, hashables
from skhbm._parameters import for_factor
from skhbm._predictive import Rows
from skhbm._statistics import statistics_of_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skhbm._labels import Levels
    from skhbm._statistics import GroupedStatistics

__all__ = [
    "factor_name",
    "make_terms",
    "read_more_rows",
    "read_new_rows",
    "read_rows",
    "read_rows_again",
    "warn_of_other_kind",
]

#: Variables and dimensions of `posterior_`: what a grouping factor cannot be named.
RESERVED = frozenset(
    [
        *("chain", "draw", "feature", "intercept", "coef", "sigma", "n", "x_mean", "y_mean"),
        *("log_sigma_mean", "log_sigma_sd", "intercept_at_mean", "statistics"),
    ]
)

#: Relative accuracy to which the means of the same rows agree, in whatever order they come.
ROUNDING = 1e-8
WITHOUT_GROUPS = (
    "`groups` was given, but the model was fitted without groups. Pass `groups=` to fit as "
    "well, or leave it out."
)


def read_rows(
    estimator: Any, X: Any, y: Any, groups: Any, sample_weight: Any
) -> tuple[Any, ...]:
    """Return features, target, labels and weights of the rows of fit."""
    X = _with_columns(X, groups)
    if X is None:
        estimator.n_features_in_ = 0
    else:
        validate_data(estimator, X=X, reset=True, skip_check_array=True)
    X, labels = _split(estimator, X, groups)
    features, target, weights = as_rows(X, y, sample_weight, estimator)
    if len(target) < 2:
        msg = (
            "Found an array with 1 sample (n_samples=1) while a minimum of 2 is required: "
            "one row says nothing about the residual scale."
        )
        raise ValueError(msg)
    return features, target, as_labels(labels, len(target)), weights


def read_new_rows(estimator: Any, X: Any, groups: Any) -> Rows:
    """Return validated rows to predict, their groups coded."""
    X, labels = _split_new(estimator, X, groups)
    features = as_features(X, count_rows(X, labels), estimator)
    return Rows(features, _keys(estimator, labels, len(features)))


def read_more_rows(estimator: Any, X: Any, y: Any, groups: Any) -> tuple[Any, Any, Any]:
    """Return features, target and labels of rows of known or new groups, as those of fit."""
    X, labels = _split_new(estimator, X, groups)
    features, target, _ = as_rows(X, y, None, estimator)
    if labels is None and estimator.n_groups_:
        msg = (
            "The model was fitted with groups, but `groups` is None: the target says "
            "something about the group that it comes from. Pass one label per row."
        )
        raise ValueError(msg)
    if labels is not None and not estimator.n_groups_:
        raise ValueError(WITHOUT_GROUPS)
    return features, target, as_labels(labels, len(target))


def read_rows_again(estimator: Any, X: Any, y: Any, groups: Any) -> tuple[Rows, Any]:
    """Return the rows that the estimator was fitted to, coded, and their target.

    They are known by their statistics: labels, counts and means.
    """
    features, target, labels = read_more_rows(estimator, X, y, groups)
    fitted = estimator._statistics
    given = statistics_of_rows(features, target, labels, None, None)
    _check_same_rows(fitted, given)
    codes = np.zeros(len(target), dtype=np.int64)
    if labels is not None:
        codes, _, _ = fitted.levels.encode(labels, len(target))
    return Rows(features, codes), target


def factor_name(estimator: Any, groups: Any) -> str | None:
    """Return the name of the column or Series that holds the labels, if it has one."""
    names = getattr(estimator, "feature_names_in_", None)
    name = getattr(groups, "name", None)
    if hasattr(groups, "columns") and len(groups.columns) == 1:
        name = groups.columns[0]
    if estimator.group_features is not None and names is not None:
        at = find_columns("group_features", estimator.group_features, len(names), names)[0]
        name = names[at]
    if name is not None and (str(name) in RESERVED or "/" in str(name)):
        msg = (
            f"The labels are named {str(name)!r}, which cannot be the name of a dimension in "
            "`posterior_`: it is one of its variables already, or has a slash. Rename the "
            "column or Series."
        )
        raise ValueError(msg)
    return None if name is None else str(name)


def make_terms(estimator: Any, labels: Any, statistics: GroupedStatistics) -> Terms:
    """Translate the parameters into the terms of the linear predictor."""
    n_columns = estimator.n_features_in_
    names = getattr(estimator, "feature_names_in_", None)
    columns = np.arange(n_columns)
    if estimator.group_features is not None:
        columns = np.delete(
            columns, find_columns("group_features", estimator.group_features, n_columns, names)
        )
    features = tuple(f"x{i}" if names is None else str(names[i]) for i in columns)
    factor = statistics.levels.name
    grouped = labels is not None
    if not grouped and (
        estimator.varying_slopes is not None or estimator.residual_scale != "shared"
    ):
        msg = (
            "`varying_slopes` and residual_scale='by_group' need groups. Pass `groups=` to "
            "fit, or name the column of X that holds them in `group_features`."
        )
        raise ValueError(msg)
    if not grouped:
        warnings.warn(
            "Fitted without groups, this is a regression without varying terms. "
            "Pass `groups=` to fit, or name the column of X that holds the labels in "
            "`group_features`, which reaches fit on every path of scikit-learn.",
            UserWarning,
            stacklevel=3,
        )
    if grouped and len(statistics.levels) == 1:
        warnings.warn(
            f"There is one group only ({hashables(statistics.levels.labels)[0]!r}): the "
            "standard deviation between groups (tau) is then known from its prior alone.",
            UserWarning,
            stacklevel=3,
        )
    varying_intercept = for_factor("varying_intercept", estimator.varying_intercept, factor)
    slopes = _slopes(estimator, columns, names, factor)
    correlated = for_factor("correlated", estimator.correlated, factor)
    terms = Terms(
        features,
        slopes,
        estimator.fit_intercept,
        grouped and varying_intercept is not False,
        correlated is not False,
        estimator.residual_scale == "by_group",
    )
    if len(set(terms.varying)) < len(terms.varying):
        msg = (
            'A feature with a varying slope is named "intercept", as the varying intercept is. '
            "Rename the feature."
        )
        raise ValueError(msg)
    if grouped and not terms.varying:
        msg = "Nothing varies by group. Set varying_intercept=True or name `varying_slopes`."
        raise ValueError(msg)
    return terms


def _split(estimator: Any, X: Any, groups: Any) -> tuple[Any, Any]:
    """Return the features of X and the labels, from whichever channel they come."""
    if estimator.group_features is None or X is None:
        if X is None and estimator.group_features is not None:
            msg = "`group_features` names a column of X, but X is None. Pass `groups=`."
            raise ValueError(msg)
        return X, groups
    names = getattr(estimator, "feature_names_in_", None)
    positions = find_columns("group_features", estimator.group_features, X.shape[1], names)
    if len(positions) != 1:
        msg = f"`group_features` must name one column. Got {len(positions)}."
        raise ValueError(msg)
    if groups is not None:
        msg = (
            "Group labels were given twice, as `groups=` and as the column "
            f"{estimator.group_features!r} of X (`group_features`). Give one of them."
        )
        raise ValueError(msg)
    features, (labels,) = split_columns(X, positions)
    return features, labels


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
    check_is_fitted(estimator)
    X = _with_columns(X, groups)
    if X is not None:
        validate_data(estimator, X=X, reset=False, skip_check_array=True)
    elif estimator.n_features_in_:
        msg = f"X is None, but the model was fitted with {estimator.n_features_in_} columns."
        raise ValueError(msg)
    return _split(estimator, X, groups)


def _check_same_rows(fitted: GroupedStatistics, given: GroupedStatistics) -> None:
    """Raise an error if statistics differ by more than rounding."""
    advice = (
        "Give the rows that the model was fitted to, all of them and no others, each as "
        "often as its `sample_weight` says."
    )
    known, found = hashables(fitted.levels.labels), hashables(given.levels.labels)
    if set(known) != set(found):
        other = sorted(set(known) ^ set(found), key=str)
        msg = f"The groups are not those of fit: {other[:5]} are in one of the two. {advice}"
        raise ValueError(msg)
    order = given.levels.codes_of(known)
    n, mean = given.n[order], given.mean[order]
    wrong = np.flatnonzero(np.abs(n - fitted.n) > ROUNDING * fitted.n)
    if len(wrong):
        j = wrong[0]
        msg = (
            f"The rows are not those of fit: group {known[j]!r} had {fitted.n[j]:g} (sum of "
            f"weights), but {n[j]:g} were given. {advice}"
        )
        raise ValueError(msg)
    size = np.abs(fitted.mean).max(axis=0) + np.sqrt(np.einsum("jkk->k", fitted.cross))
    wrong = np.flatnonzero(np.any(np.abs(mean - fitted.mean) > ROUNDING * size, axis=1))
    if len(wrong):
        msg = (
            f"The rows are not those of fit: in {len(wrong)} of {len(known)} groups, the "
            f"first {known[wrong[0]]!r}, the means of `X` or `y` differ. {advice}"
        )
        raise ValueError(msg)


def _slopes(estimator: Any, columns: Any, names: Any, factor: str) -> NDArray[np.int64]:
    """Return the positions, among the features, of those whose slopes vary."""
    wanted = for_factor("varying_slopes", estimator.varying_slopes, factor)
    if wanted is None:
        return np.empty(0, dtype=np.int64)
    if isinstance(wanted, str) and wanted == "all":
        return np.arange(len(columns))
    found = find_columns("varying_slopes", wanted, estimator.n_features_in_, names)
    if not np.all(np.isin(found, columns)):
        msg = "`varying_slopes` names the column of group labels; name features only."
        raise ValueError(msg)
    return np.searchsorted(columns, np.sort(found))


def _keys(estimator: Any, labels: Any, n_samples: int) -> NDArray[np.int64]:
    """Code the labels of new rows; see `Rows`."""
    if not estimator.n_groups_:
        if labels is not None:
            raise ValueError(WITHOUT_GROUPS)
        return np.zeros(n_samples, dtype=np.int64)
    if labels is None and estimator.new_groups == "error":
        msg = (
            "The model was fitted with groups, but asked to predict without. Pass `groups=` to "
            'predict, or new_groups="population" to predict from the population.'
        )
        raise ValueError(msg)
    if labels is None:
        warnings.warn(
            "The model was fitted with groups, but asked to predict without: every row is "
            "predicted as if of a new group. Pass `groups=` to predict, or give the labels "
            "as a column of X (`group_features`), which scikit-learn carries everywhere.",
            UserWarning,
            stacklevel=4,
        )
        return -1 - np.arange(n_samples)
    levels: Levels = estimator._posterior.design.levels
    keys, unseen, n_missing = levels.encode(labels, n_samples)
    if estimator.new_groups == "error" and (unseen or n_missing):
        total = len(unseen) + len(np.unique(keys[keys >= 0]))
        what = f"{len(unseen)} of {total} groups were not seen in fit: {unseen[:5]}"
        what = what if unseen else f"{n_missing} of {n_samples} labels are missing"
        msg = f'{what}. Pass new_groups="population" to predict them from the population.'
        raise ValueError(msg)
    warn_of_other_kind(levels, unseen, stacklevel=5)
    return keys


def _with_columns(X: Any, groups: Any) -> Any:
    """Return X as something with rows and columns, labels among numbers kept.

    None if it has no columns, while there are groups to fit intercepts of.
    """
    if X is None:
        return None
    if not hasattr(X, "shape") and not hasattr(X, "__dataframe__"):
        mixed = np.asarray(X, dtype=object)
        X = mixed if mixed.ndim == 2 else np.asarray(X)
    if len(X.shape) != 2:
        # check_array says what is wrong with any other number of dimensions.
        return check_array(X)
    return None if groups is not None and X.shape[1] == 0 else X


def _kinds(labels: Any) -> set[type]:
    """Return the types of labels; numbers of any type can be equal."""
    return {Number if isinstance(label, Number) else type(label) for label in labels}
