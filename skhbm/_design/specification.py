"""The parameters of an estimator -> the terms of its linear predictor, factor by factor."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._design.nesting import warn_of_implicit_nesting
from skhbm._design.terms import FAR, Scaling, Terms, check_range
from skhbm._inputs.columns import find_columns
from skhbm._inputs.levels import hashables
from skhbm._inputs.parameters import for_factor
from skhbm._inputs.warning import warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Int

__all__ = ["make_terms", "warn_of_far_slopes"]


def make_terms(
    estimator: Any, statistics: GroupedStatistics, *, more_to_come: bool = False
) -> tuple[Terms, ...]:
    """Return the terms of each grouping factor, of one that does not vary if there is none.

    A variance that is not identified is an error, or a warning if there is more data to come.

    Raises
    ------
    ValueError
        If the parameters do not fit the data.
    """
    check_range(statistics)
    _check_residual_scale(estimator, statistics)
    columns, names = _feature_columns(estimator)
    features = tuple(f"x{i}" if names is None else str(names[i]) for i in columns)
    factors = [levels.name for levels in statistics.factors]
    if not factors:
        _warn_ungrouped()
        none = np.empty(0, dtype=np.int64)
        intercept, residual = estimator.fit_intercept, estimator.residual_scale
        return (Terms(features, none, intercept, False, True, residual),)
    if len(factors) == 1 and len(statistics.levels) == 1:
        warn(
            f"There is one group only ({hashables(statistics.levels.labels)[0]!r}): the "
            "standard deviation between groups (tau) is then known from its prior alone.",
        )
    terms = tuple(
        _factor_terms(estimator, features, columns, names, f, factors) for f in factors
    )
    problems = [_unidentified(statistics, f, one) for f, one in enumerate(terms)]
    for problem in [*problems, _aliased(statistics)]:
        if problem and not more_to_come:
            raise ValueError(problem)
        if problem:
            warn(f"{problem} Or go on with more rows.")
    warn_of_implicit_nesting(statistics)
    _warn_of_features(statistics)
    return terms


def warn_of_far_slopes(terms: Sequence[Terms], scaling: Scaling) -> None:
    """Warn of varying slopes of features that are far from 0, where the intercept is.

    Lines that differ by slopes of sd t, and meet near the data at a distance d, have intercepts
    of sd d t that are correlated with the slopes up to 1 / d^2. The default priors of tau and
    of the correlation leave about d^-5 for that: none, beside slopes that are all the same.
    """
    distance = np.abs(scaling.x_mean / scaling.x_scale)
    for one in terms:
        far = one.slopes[distance[one.slopes] > FAR]
        if len(far) and one.varying_intercept:
            name = one.features[far[0]]
            mean, sd = scaling.x_mean[far[0]], scaling.x_scale[far[0]]
            warn(
                f"Slopes of {name!r} vary, and so do the intercepts at {name} = 0, which is "
                f"{distance[far[0]]:.0f} standard deviations from the data: priors that say "
                f"little of either leave no room for slopes that differ. Subtract a typical "
                f"value from {name!r} first, such as {mean:.{_digits(mean, sd)}g}.",
            )


def _digits(mean: float, sd: float) -> int:
    """Return how many digits a mean needs to be known to its standard deviation."""
    return max(int(np.log10(abs(mean) / sd)) + 2, 1)


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


def _check_residual_scale(estimator: Any, statistics: GroupedStatistics) -> None:
    """Check that `y_err` and groups are there where the model needs them, and only there."""
    known = estimator.residual_scale == "known"
    if known and not statistics.known_errors:
        msg = (
            "residual_scale='known' needs the standard error of each row. Pass `y_err=` to fit."
        )
        raise ValueError(msg)
    if statistics.known_errors and not known:
        msg = (
            f"`y_err` was given, but residual_scale={estimator.residual_scale!r} estimates the "
            "residual scale. Set residual_scale='known', or leave `y_err` out."
        )
        raise ValueError(msg)
    needs_groups = (
        estimator.varying_slopes is not None or estimator.residual_scale == "by_group"
    )
    if needs_groups and not statistics.factors:
        msg = (
            "`varying_slopes` and residual_scale='by_group' need groups. Pass `groups=` to "
            "fit, or name the column of X that holds them in `group_features`."
        )
        raise ValueError(msg)


def _warn_ungrouped() -> None:
    warn(
        "Fitted without groups, this is a regression without varying terms. "
        "Pass `groups=` to fit, or name the column of X that holds the labels in "
        "`group_features`, which reaches fit on every path of scikit-learn.",
    )


def _warn_of_features(statistics: GroupedStatistics) -> None:
    """Warn of labels that look like measurements: another column than the one that was meant.

    Half, as a bootstrap sample holds 63 % of the values of a continuous feature.
    """
    n = statistics.n.sum()
    for levels in statistics.factors:
        labels = hashables(levels.labels) if len(levels) > n / 2 else []
        if any(map(_is_fraction, labels)) and all(isinstance(x, float) for x in labels):
            warn(
                f"The labels of {levels.name!r} look like a feature: {len(labels)} numbers "
                f"with fractions in {n:g} rows. Check `groups` or `group_features`: tools that "
                "leave columns out, as BaggingRegressor(max_features=0.5), move the others.",
            )


def _unidentified(statistics: GroupedStatistics, f: int, terms: Terms) -> str | None:
    """Say why the variance between the groups of a factor is not identified, if it is not."""
    levels = statistics.factors[f]
    tau = f"the standard deviation between its groups (tau_{levels.name})"
    if len(levels) == 1 and len(statistics.factors) > 1:
        return (
            f"The grouping factor {levels.name!r} has one level only "
            f"({hashables(levels.labels)[0]!r}), so {tau} is not identified: nothing tells it "
            "from the intercept. Leave this factor out."
        )
    if not terms.varying_intercept or terms.known or len(levels) == 1:
        return None
    if len(levels) < statistics.n.sum():
        return None
    return (
        f"The grouping factor {levels.name!r} has as many levels as there are rows "
        f"({len(levels)}), so {tau} and the residual scale (sigma) are not identified: "
        "only the sum of their variances is. Leave this factor out or, if the standard "
        "errors of y are known, set residual_scale='known' and pass `y_err=` to fit."
    )


def _aliased(statistics: GroupedStatistics) -> str | None:
    """Say which two factors have the same groups under other labels, if any have."""
    for (f, a), (g, b) in combinations(enumerate(statistics.factors), 2):
        pairs = np.unique(statistics.codes[:, [f, g]], axis=0)
        if len(pairs) == len(a) == len(b) > 1:
            return (
                f"The grouping factors {a.name!r} and {b.name!r} have the same groups under "
                "other labels, so their variances are not identified: only the sum of both "
                "is. Leave one of them out."
            )
    return None


def _feature_columns(estimator: Any) -> tuple[Int, Any]:
    """Return the positions of the features among the columns of X, and these columns' names."""
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


def _is_fraction(label: Any) -> bool:
    return isinstance(label, float) and not label.is_integer()
