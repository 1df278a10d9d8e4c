"""Targets that a response is not meant for, which are told by their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import column_or_1d

from skhbm._inputs.warning import DataWarning, warn

if TYPE_CHECKING:
    from skhbm._types import Float

__all__ = ["warn_if_not_normal", "warn_if_not_whole"]

#: Whole numbers are taken for counts if they have no more values than these.
FEW_VALUES = 10
#: Fewer rows for each value say nothing of the kind of a target.
ROWS_PER_VALUE = 5


def warn_if_not_normal(y: Float) -> None:
    """Warn of a target (n_samples,) of two values, or of counts.

    Counts are whole numbers from 0 on, of few values, whose mean is less than two standard
    deviations from 0, so that a normal distribution reaches below. The last condition tells
    counts from scores of a scale, such as 0 to 10, which a normal response is often used for.
    """
    low, high = float(y.min()), float(y.max())
    if low == high or len(y) < 2 * ROWS_PER_VALUE:
        return
    if np.all((y == low) | (y == high)):
        warn(
            f"`y` has two values only, {low:g} and {high:g}, but the model is of a normal "
            "response: its predictions are neither classes nor probabilities. "
            "HierarchicalLogisticRegression is meant for two classes.",
            DataWarning,
        )
        return
    if low != 0 or high >= 2 * FEW_VALUES or not np.all(y == np.rint(y)):
        return
    n_values = int(np.count_nonzero(np.bincount(y.astype(np.int64))))
    enough = len(y) >= ROWS_PER_VALUE * n_values
    if enough and n_values <= FEW_VALUES and y.mean() < 2 * y.std():
        warn(
            f"`y` has whole numbers from 0 to {high:g} only, as counts have, but the model "
            "is of a normal response: it predicts numbers below 0, too, and one residual "
            "scale for small and large ones. "
            "HierarchicalPoissonRegressor and HierarchicalNegativeBinomialRegressor are meant "
            "for counts.",
            DataWarning,
        )


def warn_if_not_whole(y: Float) -> None:
    """Warn of numbers of events (n_samples,) that have fractions."""
    fractions = y != np.rint(y)
    if np.any(fractions):
        warn(
            f"{np.count_nonzero(fractions)} of {y.size} values of `y` are no whole numbers, "
            f"such as {float(y[fractions][0])!r} at position {int(np.argmax(fractions))}: "
            "counts are. Give the counts themselves, and what they are out of, or in, as "
            "`trials` or `exposure`.",
            DataWarning,
        )


def second_class(y: Any, classes: Any) -> Float:
    """Return 1 for targets (n,) of the second of two classes, and 0 for those of the first.

    Raises
    ------
    ValueError
        If there are not two classes, or y has others.
    """
    labels = column_or_1d(y)
    if len(classes) != 2:
        msg = (
            "Only probabilities of two classes can be scored and shown. Got "
            f"{len(classes)} classes; use scikit-learn's `neg_log_loss`, or show one class "
            "against the rest."
        )
        raise ValueError(msg)
    other = labels[~np.isin(labels, classes)]
    if len(other):
        msg = f"`y` must have the classes {list(classes)} of the fit. Got {other[0]!r}."
        raise ValueError(msg)
    return np.asarray(labels == classes[1], dtype=float)
