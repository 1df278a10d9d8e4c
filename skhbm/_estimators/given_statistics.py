"""Statistics in place of rows: their checks, and what they tell of the columns of X."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._inputs.fit_rows import check_names
from skhbm._statistics.grouped import GroupedStatistics

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_enough", "check_statistics", "set_columns"]


def check_statistics(estimator: Any, statistics: Any) -> None:
    """Check statistics that are given instead of rows; set what they tell of the columns."""
    if not isinstance(statistics, GroupedStatistics):
        msg = (
            "`statistics` must be GroupedStatistics, as from GroupedStatistics.from_arrays. "
            f"Got {type(statistics).__name__}."
        )
        raise TypeError(msg)
    if estimator.group_features is not None:
        msg = (
            "`group_features` names columns of X, but statistics come with their groups. Set "
            "group_features=None to fit statistics."
        )
        raise ValueError(msg)
    check_enough(statistics)
    check_names([levels.name for levels in statistics.factors])
    set_columns(estimator, statistics.n_features, statistics.feature_names)


def check_enough(statistics: GroupedStatistics) -> None:
    """Raise ValueError if the statistics are of fewer than two rows."""
    if statistics.n.sum() < 2:
        msg = f"A fit needs at least 2 rows. The statistics are of {statistics.n.sum():g}."
        raise ValueError(msg)


def set_columns(estimator: Any, n_columns: int, names: Sequence[str] | None) -> None:
    """Set what scikit-learn wants to know of the columns of X."""
    estimator.n_features_in_ = n_columns
    if names is not None:
        estimator.feature_names_in_ = np.array(names, dtype=object)
