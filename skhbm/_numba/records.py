"""Records that compiled code reads: the sizes of a model and the addresses of its arrays.

A record's dtype is declared in the module of the kernel that reads it. Python and compiled code
use its fields by name. All fields have 64 bits, so that records need no padding: sizes and
addresses are integers, numbers of the model are doubles.

numba frees an array after its last use, and a record does not count as a use of the array that
it was taken from. A function that must keep an array of records alive is given the array.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["fields", "make_record"]


def fields(*names: str) -> np.dtype[Any]:
    """Return the dtype of a record with these fields, sizes and addresses."""
    return np.dtype([(name, np.int64) for name in names])


def make_record(dtype: np.dtype[Any], **values: Any) -> Any:
    """Return an array of one record; the value of an array is its address.

    The record is valid as long as the arrays live. Fields that are not given are zero.
    """
    record = np.zeros(1, dtype)
    for name, value in values.items():
        record[name] = value.ctypes.data if isinstance(value, np.ndarray) else value
    return record
