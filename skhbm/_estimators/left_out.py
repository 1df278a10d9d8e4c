"""The argument `unit`: what is left out of a comparison by the draws."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted

__all__ = ["left_out_factor"]


def left_out_factor(estimator: Any, unit: Any) -> int | None:
    """Return the factor whose groups are units, or None for rows."""
    check_is_fitted(estimator)
    names = [levels.name for levels in estimator._statistics.factors]
    if not isinstance(unit, str):
        msg = f"`unit` must be a str. Got {type(unit).__name__}."
        raise TypeError(msg)
    if unit == "row":
        return None
    if unit == "group" and not names:
        msg = 'unit="group" needs a model with groups. Pass `groups=` to fit.'
        raise ValueError(msg)
    if unit == "group":
        return 0
    if unit in names:
        return names.index(unit)
    what = '"row" or "group"'
    what = what if len(names) < 2 else f"{what} or one of the grouping factors {names}"
    msg = f"`unit` must be {what}. Got {unit!r}."
    raise ValueError(msg)
