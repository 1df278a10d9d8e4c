"""Work in threads: their number, a slice of an array for each, and what must be done alone."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["COMPILING", "in_slices", "n_threads", "single_threaded_blas"]

#: Whoever compiles holds this lock, as PyTensor is not made for threads and what is compiled is
#: shared.
COMPILING = threading.Lock()


#: Held by the thread that keeps BLAS to one thread.
LIMITING = threading.Lock()


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep NumPy's and SciPy's BLAS to one thread.

    BLAS divides matrices of a hundred columns among threads that wait for each other in busy
    loops, which takes several times the CPU. The limit is of the whole process. The thread that
    set it lifts it; if others are at work they do without, so that none can leave it behind.
    """
    if not LIMITING.acquire(blocking=False):
        yield
        return
    try:
        with _blas().limit(limits=1, user_api="blas"):
            yield
    finally:
        LIMITING.release()


@cache
def _blas() -> Any:
    """Return the handle of the libraries that NumPy and SciPy have loaded, found once."""
    import scipy.linalg  # noqa: F401  # SciPy's library is loaded with it
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def in_slices(
    function: Callable[[slice], Any], n: int, threads: int, longest: int | None = None
) -> None:
    """Call a function with slices that cover range(n), one for each thread.

    With `longest` there are as many slices as it takes for none to be longer.
    """
    n_slices = threads if longest is None else -(-n // longest)
    ends = np.linspace(0, n, n_slices + 1).astype(int).tolist()
    if n_slices == 1:
        function(slice(0, n))
        return
    with single_threaded_blas(), ThreadPoolExecutor(threads) as pool:
        list(pool.map(function, map(slice, ends[:-1], ends[1:])))


def n_threads(n_jobs: int | None, most: int) -> int:
    """Return how many threads run at once: all that the CPUs allow, unless told otherwise.

    With n_jobs=None it is a single one within a joblib worker, and no more than
    OMP_NUM_THREADS, which joblib's processes set to their share.
    """
    import joblib

    if n_jobs is not None:
        return max(1, min(most, joblib.effective_n_jobs(n_jobs)))
    backend = joblib.parallel.get_active_backend()[0]
    if getattr(backend, "nesting_level", 0):
        return 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    cpus = joblib.cpu_count()
    return max(1, min(most, int(limit) if limit.isdigit() else cpus, cpus))
