"""Work on slices of an array, on several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_slices"]


def in_slices(function: Callable[[slice], Any], n: int, threads: int) -> None:
    """Call a function with slices that cover range(n), each in a thread."""
    ends = np.linspace(0, n, threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(function, map(slice, ends[:-1], ends[1:])))
