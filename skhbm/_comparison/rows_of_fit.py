"""The rows of a fit, given again: their statistics tell whether they are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._inputs.levels import hashables
from skhbm._inputs.new_rows import read_more_rows
from skhbm._inputs.rows import Rows
from skhbm._statistics.grouped import statistics_of_rows

if TYPE_CHECKING:
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float

__all__ = ["ADVICE", "check_same_labels", "check_same_rows", "read_rows_again"]

#: Relative accuracy to which the means of the same rows agree, in whatever order they come.
ROUNDING = 1e-8
#: What every refusal ends with.
ADVICE = (
    "Give the rows that the model was fitted to, all of them and no others, each as "
    "often as its `sample_weight` says."
)


def read_rows_again(
    estimator: Any, X: Any, y: Any, groups: Any, y_err: Any = None
) -> tuple[Rows, Float, Float | None]:
    """Return the rows that the estimator was fitted to, coded, their target and errors.

    Labels, counts and means tell whether they are the same.
    """
    rows = read_more_rows(estimator, X, y, groups, y_err)
    fitted = estimator._statistics
    check_same_rows(fitted, statistics_of_rows(rows))
    keys = [
        levels.encode(labels, len(rows.y))[0]
        for levels, (_, labels) in zip(fitted.factors, rows.factors, strict=True)
    ]
    keys = keys or [np.zeros(len(rows.y), dtype=np.int64)]
    return Rows(rows.X, tuple(keys)), rows.y, rows.errors


def check_same_rows(fitted: GroupedStatistics, given: GroupedStatistics) -> None:
    """Raise an error if statistics differ by more than rounding."""
    _check_same_groups(fitted, given)
    n, weight = fitted.n, fitted.weight
    wrong = np.flatnonzero(np.abs(given.n - n) > ROUNDING * n)
    if len(wrong):
        j = wrong[0]
        msg = (
            f"The rows are not those of fit: {_cell(fitted, j)} had {n[j]:g} (sum of "
            f"weights), but {given.n[j]:g} were given. {ADVICE}"
        )
        raise ValueError(msg)
    size = np.abs(fitted.mean).max(axis=0) + np.sqrt(np.einsum("jkk->k", fitted.cross))
    differences = {
        "the errors `y_err`": np.abs(given.weight - weight) > ROUNDING * weight,
        "the means of `X` or `y`": np.any(
            np.abs(given.mean - fitted.mean) > ROUNDING * size, axis=1
        ),
    }
    for what, differs in differences.items():
        wrong = np.flatnonzero(differs)
        if len(wrong):
            msg = (
                f"The rows are not those of fit: in {len(wrong)} of {len(n)} groups, the "
                f"first {_cell(fitted, wrong[0])}, {what} differ. {ADVICE}"
            )
            raise ValueError(msg)


def check_same_labels(fitted: Any, given: Any) -> None:
    """Raise an error if the labels of a factor differ."""
    for ours, theirs in zip(fitted.factors, given.factors, strict=True):
        other = set(hashables(ours.labels)) ^ set(hashables(theirs.labels))
        if other:
            some = sorted(other, key=str)[:5]
            msg = f"The groups are not those of fit: {some} are in one of the two. {ADVICE}"
            raise ValueError(msg)


def _check_same_groups(fitted: GroupedStatistics, given: GroupedStatistics) -> None:
    """Raise an error if labels or their combinations differ."""
    check_same_labels(fitted, given)
    # The same labels have the same codes, and cells are in order.
    if not np.array_equal(fitted.codes, given.codes):
        msg = f"The combinations of groups are not those of fit. {ADVICE}"
        raise ValueError(msg)


def _cell(statistics: GroupedStatistics, j: int) -> str:
    """Describe a cell by the labels of its groups."""
    labels = [
        repr(hashables(levels.labels)[code])
        for levels, code in zip(statistics.factors, statistics.codes[j], strict=True)
    ]
    return f"group {', '.join(labels)}" if labels else "the data"
