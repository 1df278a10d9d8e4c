"""What data cannot tell: refusals and warnings before anything is computed."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import qr

from skhbm._inputs.levels import hashables
from skhbm._inputs.warning import DataWarning, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from skhbm._design.design import Design
    from skhbm._design.scaling import Scaling
    from skhbm._design.terms import Terms
    from skhbm._families.family import Family
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float, Int

__all__ = [
    "FAR",
    "check_identified",
    "warn_of_columns",
    "warn_of_far_slopes",
    "warn_of_features",
    "warn_of_one_group",
    "warn_ungrouped",
]

#: From so many standard deviations off x = 0 on, varying slopes are hard to sample, and left to
#: the prior.
FAR = 5.0
#: Eigenvalues of correlations below this, times their number, are rounding.
DEPENDENT = 1e-13
#: Families whose rows have a scale that is estimated.
SCALED = ("student_t",)
#: Columns with less than this share in a linear relation are not part of it.
SHARED = 1e-5


def check_identified(
    statistics: GroupedStatistics,
    terms: Sequence[Terms],
    family: Family | None = None,
    *,
    more_to_come: bool,
) -> None:
    """Refuse factors whose variances the data cannot tell; warn if there is more to come.

    The response is normal if there is no `family`.
    """
    problems = [_one_level(statistics, f) for f in range(len(terms))]
    # The number of a row, of trials or of events, has a spread that is known: its excess tells.
    if family is None or family.name in SCALED:
        normal = family is None
        problems += [
            _one_row_each(statistics, f, varying, normal=normal)
            for f, varying in enumerate(terms)
        ]
    if family is not None and family.name == "bernoulli":
        problems += [_one_event_each(statistics, f, terms[f]) for f in range(len(terms))]
    for problem in [*problems, _aliased(statistics)]:
        if problem and not more_to_come:
            raise ValueError(problem)
        if problem:
            warn(f"{problem} Or go on with more rows.")


def warn_of_one_group(statistics: GroupedStatistics) -> None:
    """Warn if the only factor has one group only."""
    if len(statistics.factors) == 1 and len(statistics.levels) == 1:
        warn(
            f"There is one group only ({hashables(statistics.levels.labels)[0]!r}): the "
            "standard deviation between groups (tau) is then known from its prior alone.",
        )


def warn_ungrouped() -> None:
    """Warn that there are no groups."""
    warn(
        "Fitted without groups, this is a regression without varying terms. "
        "Pass `groups=` to fit, or name the column of X that holds the labels in "
        "`group_features`, which reaches fit on every path of scikit-learn.",
    )


def warn_of_features(statistics: GroupedStatistics) -> None:
    """Warn of labels that look like measurements: another column than the one that was meant.

    Labels are suspect where there are more than half as many as rows, since a bootstrap
    sample holds 63 % of the values of a continuous feature.
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


def warn_of_far_slopes(terms: Sequence[Terms], scaling: Scaling) -> None:
    """Warn of priors for x = 0, of intercepts there or of correlations, far from the data.

    Lines that differ by slopes of sd t, and meet near the data at a distance d, have intercepts
    of sd d t that are perfectly correlated with the slopes, but for about 1 / d^2. The default
    priors of tau and of the correlation give such lines about d^-5 of their mass, which is
    nothing beside that of slopes that are all the same.
    """
    distance = np.abs(scaling.x_mean / scaling.x_scale)
    for varying in terms:
        far = varying.slopes[distance[varying.slopes] > FAR]
        if len(far) and varying.varying_intercept and not varying.centred:
            name = varying.features[far[0]]
            mean, sd = scaling.x_mean[far[0]], scaling.x_scale[far[0]]
            warn(
                f"Slopes of {name!r} vary, and a prior was given for the intercepts (tau) or "
                f"the correlations (corr) at {name} = 0, which is {distance[far[0]]:.0f} "
                "standard deviations from the data: such priors leave little room for slopes "
                f"that differ. Subtract a typical value from {name!r} first, such as "
                f"{mean:.{_digits(mean, sd)}g}, or leave these priors to their defaults, which "
                "hold at the mean.",
            )


def warn_of_columns(design: Design) -> None:
    """Warn of features that are constant, and of features that are linearly dependent."""
    names = np.array(design.terms.features, dtype=object)
    constant = design.constant
    if np.any(constant):
        warn(
            f"{_listed(names[constant])} of X {'is' if constant.sum() == 1 else 'are'} "
            "constant: the data say nothing of the coefficient, which stays as its prior has "
            "it. Leave such columns out.",
            DataWarning,
        )
    sets = _dependent_sets(design.pooled()[:-1, :-1][-len(names) :, -len(names) :], ~constant)
    # With more columns than rows there is always one, and leaving out one does not help.
    if sets and design.n.sum() > len(names):
        more = f" So are {len(sets) - 1} more such sets." if len(sets) > 1 else ""
        warn(
            f"{_listed(names[sets[0]])} of X are linearly dependent: the data say nothing of "
            "how what they share splits into their coefficients; their priors do. Leave "
            f'one of them out: OneHotEncoder(drop="first") does so for categories.{more}',
            DataWarning,
        )


def _dependent_sets(cross: Float, used: NDArray[np.bool_]) -> list[Int]:
    """Return positions of columns with a linear relation, given their cross-products (p, p)."""
    positions = np.flatnonzero(used)
    cross = cross[np.ix_(positions, positions)]
    scale = np.sqrt(np.diag(cross))
    values, vectors = np.linalg.eigh(cross / np.outer(scale, scale))
    if not len(values) or values[0] > DEPENDENT * len(values):
        return []
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    R, order = qr(root, mode="r", pivoting=True)
    rank = int(np.sum(values > DEPENDENT * len(values)))
    relations = np.linalg.solve(R[:rank, :rank], R[:rank, rank:])
    return [
        positions[np.sort(np.append(order[:rank][np.abs(column) > SHARED], dropped))]
        for column, dropped in zip(relations.T, order[rank:], strict=True)
    ]


def _listed(names: NDArray[Any]) -> str:
    """Return the subject of a sentence on columns: five names at most."""
    shown = ", ".join(map(repr, map(str, names[:5])))
    rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"The column{'s' * (len(names) != 1)} {shown}{rest}"


def _one_level(statistics: GroupedStatistics, f: int) -> str | None:
    """Say that one of several factors has one level only, if it has."""
    levels = statistics.factors[f]
    if len(levels) > 1 or len(statistics.factors) == 1:
        return None
    return (
        f"The grouping factor {levels.name!r} has one level only "
        f"({hashables(levels.labels)[0]!r}), so the standard deviation between its groups "
        f"(tau_{levels.name}) is not identified: nothing tells it from the intercept. Leave "
        "this factor out."
    )


def _one_event_each(statistics: GroupedStatistics, f: int, terms: Terms) -> str | None:
    """Say that each group has one row only, of two values, if it has."""
    levels = statistics.factors[f]
    if not terms.varying_intercept or len(levels) == 1 or len(levels) < statistics.n.sum():
        return None
    return (
        f"The grouping factor {levels.name!r} has as many levels as there are rows "
        f"({len(levels)}), so the standard deviation between its groups (tau_{levels.name}) is "
        "not identified: one event says nothing of how groups differ. Leave this factor out."
    )


def _one_row_each(
    statistics: GroupedStatistics, f: int, terms: Terms, *, normal: bool
) -> str | None:
    """Say why the variance between the groups of a factor is not identified, if it is not."""
    levels = statistics.factors[f]
    tau = f"the standard deviation between its groups (tau_{levels.name})"
    if not terms.varying_intercept or terms.known or len(levels) == 1:
        return None
    n = statistics.n.sum()
    if len(levels) < n:
        return None
    # Rows of whole weights are at least as many as levels: smaller sums are of fractions.
    if len(levels) > n or np.any(statistics.n % 1 != 0):
        return (
            f"The sum of `sample_weight` ({n:g}) is not above the number of levels of "
            f"{levels.name!r} ({len(levels)}), so {tau} and the residual scale (sigma) are not "
            "identified: a weight is how often a row counts. Weights that say how rows compare "
            "should have mean 1."
        )
    otherwise = (
        " or, if the standard errors of y are known, set residual_scale='known' and pass "
    )
    otherwise += "`y_err=` to fit"
    return (
        f"The grouping factor {levels.name!r} has as many levels as there are rows "
        f"({len(levels)}), so {tau} and the residual scale (sigma) are not identified: "
        f"only the sum of their variances is. Leave this factor out{otherwise * normal}."
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


def _digits(mean: float, sd: float) -> int:
    """Return how many digits a mean needs to be known to its standard deviation."""
    return max(int(np.log10(abs(mean) / sd)) + 2, 1)


def _is_fraction(label: Any) -> bool:
    return isinstance(label, float) and not label.is_integer()
