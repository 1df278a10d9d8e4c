"""What fit is given -> checked rows, with labels from either channel, and their statistics.

These functions read the parameters of an estimator, and set what scikit-learn wants to know of
X.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import validate_data

from skhbm._channels import (
    as_fitted,
    check_same_factor,
    refuse_no_columns,
    split_channels,
    with_columns,
)
from skhbm._columns import find_columns
from skhbm._inputs import as_errors, as_rows
from skhbm._labels import as_factors
from skhbm._statistics import GroupedStatistics, statistics_of_rows

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = ["check_statistics", "feature_names", "read_statistics"]

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
    X = with_columns(X, groups)
    if X is not None:
        validate_data(estimator, X=X, reset=known is None, skip_check_array=True)
    elif known is None:
        estimator.n_features_in_ = 0
    elif estimator.n_features_in_:
        refuse_no_columns(estimator)
    X, columns = split_channels(estimator, X, groups)
    features, target, weights = as_rows(X, y, sample_weight, estimator)
    if known is None and len(target) < 2:
        msg = (
            "Found an array with 1 sample (n_samples=1) while a minimum of 2 is required: "
            "one row says nothing about the residual scale."
        )
        raise ValueError(msg)
    if known is not None:
        check_same_factor(columns, known.factors)
        columns = as_fitted(columns, known.factors)
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
