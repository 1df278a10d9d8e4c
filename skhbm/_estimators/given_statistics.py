"""Check statistics that are given to fit in place of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._inputs.fit_rows import check_names
from skhbm._statistics.grouped import GroupedStatistics

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_statistics"]


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
    check_names([levels.name for levels in statistics.factors])
    names = columns or statistics.feature_names
    estimator.n_features_in_ = statistics.n_features if columns is None else len(columns)
    if names is not None:
        estimator.feature_names_in_ = np.array(names, dtype=object)
