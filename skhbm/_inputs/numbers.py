"""Make arrays of floats that can be squared, or say in a sentence why that is not possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LARGEST", "as_counts", "as_numbers", "check_sizes"]

#: Sizes of values, and inverse sizes of spreads, whose squares and ratios stay far from the
#: ends of the range of doubles, 1e-308 and 1e308, however they are multiplied.
LARGEST = 1e60


def as_numbers(values: Any, name: str, advice: str = "", **options: Any) -> Any:
    """Return what scikit-learn's `check_array` makes of values that can be numbers.

    Raises
    ------
    TypeError, ValueError
        If they cannot, with a sentence where NumPy's or pandas' own depends on the place.
    """
    try:
        return check_array(values, input_name=name, **options)
    except (TypeError, ValueError, OverflowError) as error:
        if str(error).startswith(("Input", "Complex")) or _are_numbers(values):
            raise
        what = f" of dtype {values.dtype}" if hasattr(values, "dtype") else ""
        msg = (
            f"`{name}` must be numeric{advice}. Got {type(values).__name__}{what}: "
            f"{_shortened(error)}"
        )
        # scikit-learn's checks want NumPy's TypeError for values that are no numbers at all.
        raise (TypeError if isinstance(error, TypeError) else ValueError)(msg) from None


def check_sizes(values: NDArray[Any], name: str) -> None:
    """Raise ValueError if a value is so large that squares of it overflow."""
    if not values.size:
        return
    size = max(float(values.max()), -float(values.min()))
    if not size <= LARGEST:
        msg = (
            f"`{name}` must lie between {-LARGEST:g} and {LARGEST:g}, so that squares do not "
            f"overflow. Got {size:g} in size. Change the units, or look for an error in the "
            "data."
        )
        raise ValueError(msg)


def _are_numbers(values: Any) -> bool:
    try:
        np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _shortened(error: BaseException) -> str:
    """Return the first sentence of NumPy's message, which quotes values of any length."""
    words = str(error).split(". ")[0].removesuffix(".")
    return f"{words if len(words) < 200 else words[:199] + '…'}."


def as_counts(n: NDArray[np.float64]) -> NDArray[Any]:
    """Return counts as integers if they are whole, which weights need not be."""
    whole = np.rint(n).astype(np.int64)
    return whole if np.array_equal(whole, n) else n
