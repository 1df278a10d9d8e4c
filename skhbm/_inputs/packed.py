"""Arrays as compressed bytes, in the pickles of what was fitted.

Codes, counts and cross-products of cells have few distinct values, and shrink to a tenth.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

__all__ = ["pack", "unpack"]

#: Arrays of fewer bytes stay as they are.
SMALL = 4096
MARK = "zlib"


def pack(value: Any) -> Any:
    """Return an array as (mark, dtype, shape, bytes), and anything else as it is."""
    if not isinstance(value, np.ndarray) or value.nbytes < SMALL or value.dtype.hasobject:
        return value
    data = zlib.compress(np.ascontiguousarray(value), 1)
    return MARK, value.dtype.str, value.shape, data


def unpack(value: Any) -> Any:
    """Return what was packed."""
    if not (isinstance(value, tuple) and len(value) == 4 and value[0] == MARK):
        return value
    _, dtype, shape, data = value
    return np.frombuffer(bytearray(zlib.decompress(data)), dtype).reshape(shape)
