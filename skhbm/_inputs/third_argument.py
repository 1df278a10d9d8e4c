"""Weights in the place of labels: what follows y is `groups`, not `sample_weight`."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._inputs.warning import DataWarning, warn

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["warns_of_weights"]

#: Whole numbers are as likely to be weights as labels if they have no more values than these.
FEW_VALUES = 10
#: Numbers above this are numbers of something rather than weights.
LARGEST_WEIGHT = 1000


def warns_of_weights[**P, R](method: Callable[P, R]) -> Callable[P, R]:
    """Warn if the third argument of a method (X, y, groups) has no name and could be weights.

    Estimators of scikit-learn take `sample_weight` in this place. Labels that are given by the
    name of their argument are never taken for weights.
    """

    @wraps(method)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        # The estimator itself is the first of the arguments.
        groups = args[3] if len(args) > 3 else None
        if len(args) == 4 and "sample_weight" not in kwargs and _may_be_weights(groups):
            warn(
                f"The third argument of `{method.__name__}` is `groups`, and what it was given "
                "are numbers that could be weights. Name the argument: `groups=` if they are "
                "labels, `sample_weight=` if they are weights.",
                DataWarning,
            )
        return method(*args, **kwargs)

    return checked


def _may_be_weights(groups: Any) -> bool:
    """Tell whether labels have no name, and are positive numbers, fractions or few of them."""
    if getattr(groups, "name", None) is not None or hasattr(groups, "columns"):
        return False
    try:
        numbers = np.asarray(groups)
    except ValueError:
        return False
    if numbers.ndim != 1 or numbers.dtype.kind not in "iuf" or not numbers.size:
        return False
    if not np.all((numbers > 0) & (numbers <= LARGEST_WEIGHT)):
        return False
    # Whole numbers of which there are many are labels.
    whole = numbers.dtype.kind != "f" or bool(np.all(numbers == np.rint(numbers)))
    return not whole or len(np.unique(numbers)) <= FEW_VALUES
