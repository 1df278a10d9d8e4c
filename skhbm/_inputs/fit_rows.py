"""Check what fit is given, with labels from either channel.

These functions read the parameters of an estimator, and set what scikit-learn wants to know of
X.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import validate_data

from skhbm._inputs.arrays import as_errors, as_rows
from skhbm._inputs.columns import find_columns
from skhbm._inputs.groups import (
    as_fitted,
    check_same_factor,
    refuse_no_columns,
    split_channels,
    with_columns,
)
from skhbm._inputs.levels import as_factors
from skhbm._inputs.order import warn_of_order
from skhbm._inputs.rows import FitRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._inputs.levels import Levels


__all__ = ["check_names", "feature_names", "read_fit_rows"]

#: Variables and dimensions of `posterior_`, whose names no grouping factor can have.
RESERVED = frozenset(
    [
        *("chain", "draw", "feature", "intercept", "coef", "sigma", "n", "x_mean", "y_mean"),
        *("log_sigma_mean", "log_sigma_sd", "intercept_at_mean", "statistics"),
    ]
)

#: Variables and dimensions that are named for a factor: no other factor can have their names.
DERIVED = (
    *("tau_{}", "corr_{}", "corr_{}_cholesky", "effect_{}"),
    *("{}_term", "{}_term_bis", "{}_of_cell"),
)


def read_fit_rows(
    estimator: Any,
    X: Any,
    y: Any,
    groups: Any,
    sample_weight: Any,
    y_err: Any,
    fitted: tuple[Levels, ...] | None = None,
) -> FitRows:
    """Check the rows of a fit, or more rows for a fit with the factors `fitted`."""
    warn_of_order(X=X, y=y, groups=groups, sample_weight=sample_weight, y_err=y_err)
    X = with_columns(X, groups)
    if X is not None:
        validate_data(estimator, X=X, reset=fitted is None, skip_check_array=True)
    elif fitted is None:
        estimator.n_features_in_ = 0
    elif estimator.n_features_in_:
        refuse_no_columns(estimator)
    X, columns = split_channels(estimator, X, groups)
    features, target, weights = as_rows(X, y, sample_weight, estimator)
    if fitted is None and len(target) < 2:
        msg = (
            "Found an array with 1 sample (n_samples=1) while a minimum of 2 is required: "
            "one row says nothing about the residual scale."
        )
        raise ValueError(msg)
    if fitted is not None:
        check_same_factor(columns, fitted)
        columns = as_fitted(columns, fitted)
    factors = as_factors(columns, len(target))
    check_names([name for name, _ in factors])
    errors = as_errors(y_err, len(target))
    return FitRows(features, target, factors, weights, errors, feature_names(estimator))


def feature_names(estimator: Any) -> tuple[str, ...] | None:
    """Return the names of the features, if the columns of X have any."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        return None
    if estimator.group_features is not None:
        found = find_columns("group_features", estimator.group_features, len(names), names)
        names = np.delete(names, found)
    return tuple(map(str, names))


def check_names(names: Sequence[str | None]) -> None:
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
