"""What all displays ask of their arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["check_choice", "check_probability", "last_step"]


def last_step(estimator: Any, X: Any = None) -> tuple[Any, Any]:
    """Return the last step of Pipelines and searches, fitted, and X as it arrives there."""
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline):
            check_is_fitted(estimator)
            if X is not None and len(estimator) > 1:
                X = estimator[:-1].transform(X)
            estimator = estimator[-1]
        else:
            if hasattr(estimator, "fit"):
                check_is_fitted(estimator)
            return estimator, X


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise ValueError if a value is none of the choices."""
    if value not in choices:
        msg = f"`{name}` must be one of {list(choices)}. Got {value!r}."
        raise ValueError(msg)


def check_probability(name: str, value: Any) -> None:
    """Raise an error if a value is no probability in (0, 1)."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        msg = f"`{name}` must be a number in (0, 1). Got {value!r}."
        raise TypeError(msg)
    if not 0 < value < 1:
        hint = f" Did you mean {value / 100:g}?" if 1 < value < 100 else ""
        msg = f"`{name}` must lie in (0, 1). Got {value!r}.{hint}"
        raise ValueError(msg)
