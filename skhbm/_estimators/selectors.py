"""Feature selectors of scikit-learn, which read `coef_` as one importance for each column."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["Coefficients"]

#: Where selectors read `coef_`, as the name of a module.
SELECTORS = "sklearn.feature_selection"


class Coefficients:
    """The attribute `coef_`, which selectors cannot use beside columns of labels.

    RFE, RFECV and SelectFromModel take its entries for the columns of X in order. Columns of
    labels have none, so that other columns than those that were meant would be dropped.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, estimator: Any, owner: type | None = None) -> Any:
        if estimator is None:
            return self
        values = vars(estimator)
        if self.name not in values:
            msg = f"{type(estimator).__name__!r} object has no attribute {self.name!r}"
            raise AttributeError(msg)
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if estimator.group_features is not None and caller.startswith(SELECTORS):
            msg = (
                "Selectors of scikit-learn (RFE, RFECV, SelectFromModel) need one coefficient "
                f"for each column of X. The columns {estimator.group_features!r} of labels "
                "(`group_features`) have none. Pass labels as `groups=` with metadata routing "
                "enabled, sklearn.set_config(enable_metadata_routing=True)."
            )
            raise ValueError(msg)
        return values[self.name]

    def __set__(self, estimator: Any, value: Any) -> None:
        vars(estimator)[self.name] = value

    def __delete__(self, estimator: Any) -> None:
        del vars(estimator)[self.name]
