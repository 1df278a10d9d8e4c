"""BLAS is kept to one thread while ours run, and set free again."""

import threading

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from skhbm._numba.threads import in_slices, single_threaded_blas


def blas_threads():
    """Return the numbers of threads of the BLAS libraries of this process."""
    return {
        library.num_threads
        for library in ThreadpoolController().lib_controllers
        if library.user_api == "blas"
    }


@pytest.fixture(autouse=True)
def two_threads():
    """Start from two threads, whatever the machine."""
    np.linalg.eigh(np.eye(2))
    with threadpool_limits(limits=2, user_api="blas"):
        assert blas_threads() == {2}
        yield


def test_blas_has_one_thread_within_and_as_many_as_before_after():
    with single_threaded_blas():
        assert blas_threads() == {1}
    assert blas_threads() == {2}


def test_an_error_sets_the_threads_free():
    with pytest.raises(ZeroDivisionError), single_threaded_blas():
        _ = 1 / 0
    assert blas_threads() == {2}


def test_a_thread_that_leaves_last_leaves_no_limit_behind():
    """The first to enter leaves first: what the second found when it came was the limit."""
    entered, leave = threading.Event(), threading.Event()

    def second():
        with single_threaded_blas():
            entered.set()
            leave.wait()

    other = threading.Thread(target=second)
    with single_threaded_blas():
        other.start()
        entered.wait()
    leave.set()
    other.join()
    assert blas_threads() == {2}


def test_slices_in_threads_have_one_thread_of_blas():
    found = []
    in_slices(lambda _: found.append(blas_threads()), 4, 2)
    assert found == [{1}, {1}]
    assert blas_threads() == {2}
