"""What the parameters of an estimator say of the terms of its linear predictor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._design.identifiability import (
    check_identified,
    warn_of_features,
    warn_of_one_group,
    warn_ungrouped,
)
from skhbm._design.nesting import warn_of_implicit_nesting
from skhbm._design.scaling import check_range
from skhbm._design.terms import Terms
from skhbm._inputs.columns import find_columns
from skhbm._inputs.parameters import for_factor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._families.family import Family
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Int

__all__ = ["make_terms", "terms_of_names"]


def make_terms(
    estimator: Any,
    statistics: GroupedStatistics,
    family: Family | None = None,
    *,
    more_to_come: bool = False,
) -> tuple[Terms, ...]:
    """Return the terms of each grouping factor, or terms that do not vary if there is none.

    A variance that is not identified is an error, or a warning if there is more data to come.
    The response is normal if there is no `family`.

    Raises
    ------
    ValueError
        If the parameters do not fit the data.
    """
    check_range(statistics)
    factors = [levels.name for levels in statistics.factors]
    terms = terms_of_names(estimator, factors, known_errors=statistics.known_errors)
    if not factors:
        warn_ungrouped()
        return terms
    warn_of_one_group(statistics)
    check_identified(statistics, terms, family, more_to_come=more_to_come)
    warn_of_implicit_nesting(statistics)
    warn_of_features(statistics)
    return terms


def terms_of_names(
    estimator: Any, factors: Sequence[str], *, known_errors: bool
) -> tuple[Terms, ...]:
    """Return the terms of each factor from names of columns and factors, without rows.

    Raises
    ------
    ValueError
        If the parameters do not fit the names.
    """
    _check_residual_scale(estimator, factors, known_errors=known_errors)
    columns, names = _feature_columns(estimator)
    features = tuple(f"x{i}" if names is None else str(names[i]) for i in columns)
    if factors:
        return tuple(
            _factor_terms(estimator, features, columns, names, factor, list(factors))
            for factor in factors
        )
    none = np.empty(0, dtype=np.int64)
    intercept, residual = estimator.fit_intercept, estimator.residual_scale
    return (Terms(features, none, intercept, False, True, residual),)


def _factor_terms(
    estimator: Any, features: Any, columns: Any, names: Any, factor: str, factors: list[str]
) -> Terms:
    """Return what varies by one factor."""
    chosen = {
        parameter: for_factor(parameter, getattr(estimator, parameter), factor, factors)
        for parameter in ("varying_intercept", "correlated", "varying_slopes")
    }
    terms = Terms(
        features,
        _slopes(estimator, chosen["varying_slopes"], columns, names),
        estimator.fit_intercept,
        chosen["varying_intercept"] is not False,
        chosen["correlated"] is not False,
        estimator.residual_scale,
    )
    if len(set(terms.varying)) < len(terms.varying):
        msg = (
            'A feature with a varying slope is named "intercept", as the varying intercept is. '
            "Rename the feature."
        )
        raise ValueError(msg)
    if not terms.varying:
        what = "group" if len(factors) == 1 else repr(factor)
        msg = f"Nothing varies by {what}. Set varying_intercept=True or name `varying_slopes`."
        raise ValueError(msg)
    return terms


def _check_residual_scale(
    estimator: Any, factors: Sequence[str], *, known_errors: bool
) -> None:
    """Check that `y_err` and groups are there where the model needs them, and only there."""
    wants_errors = estimator.residual_scale == "known"
    if wants_errors and not known_errors:
        msg = (
            "residual_scale='known' needs the standard error of each row. Pass `y_err=` to fit."
        )
        raise ValueError(msg)
    if known_errors and not wants_errors:
        msg = (
            f"`y_err` was given, but residual_scale={estimator.residual_scale!r} estimates the "
            "residual scale. Set residual_scale='known', or leave `y_err` out."
        )
        raise ValueError(msg)
    needs_groups = (
        estimator.varying_slopes is not None or estimator.residual_scale == "by_group"
    )
    if needs_groups and not factors:
        msg = (
            "`varying_slopes` and residual_scale='by_group' need groups. Pass `groups=` to "
            "fit, or name the column of X that holds them in `group_features`."
        )
        raise ValueError(msg)
    if estimator.residual_scale == "by_group" and len(factors) > 1:
        msg = (
            f"residual_scale='by_group' is for one grouping factor. Got {len(factors)}: "
            f"{list(factors)}. Pass the groups whose residuals differ alone, or use "
            "residual_scale='shared'."
        )
        raise ValueError(msg)


def _feature_columns(estimator: Any) -> tuple[Int, Any]:
    """Return the positions of the features among the columns of X, and the columns' names."""
    names = getattr(estimator, "feature_names_in_", None)
    n_columns = estimator.n_features_in_
    columns = np.arange(n_columns)
    if estimator.group_features is not None:
        found = find_columns("group_features", estimator.group_features, n_columns, names)
        columns = np.delete(columns, found)
    return columns, names


def _slopes(estimator: Any, wanted: Any, columns: Any, names: Any) -> Int:
    """Return the positions, among the features, of those whose slopes vary."""
    if wanted is None:
        return np.empty(0, dtype=np.int64)
    if isinstance(wanted, str) and wanted == "all":
        return np.arange(len(columns))
    found = find_columns("varying_slopes", wanted, estimator.n_features_in_, names)
    if not np.all(np.isin(found, columns)):
        msg = "`varying_slopes` names the column of group labels; name features only."
        raise ValueError(msg)
    return np.searchsorted(columns, np.sort(found))
