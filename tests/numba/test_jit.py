"""Compiled functions: numba comes with the first call, and only then."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from skhbm._numba.jit import JIT_INNER, Kernel, njit
from skhbm._posterior.effects import FEW, group_shifts


@njit(error_model="numpy")
def halved(x):
    """Return half of x."""
    return x / 2.0


@njit(**{**JIT_INNER, "cache": False})
def squared(x):
    return x * x


@njit(nogil=True)
def total(values):
    out = 0.0
    for value in values:
        out += squared(halved(value))
    return out


def test_kernel_does_what_its_function_does():
    assert halved(3.0) == halved.function(3.0) == 1.5


def test_kernels_call_kernels():
    values = np.arange(5.0)
    assert total(values) == np.sum((values / 2) ** 2)


def test_kernel_keeps_name_and_docstring():
    assert halved.__name__ == "halved"
    assert halved.__doc__ == "Return half of x."


def test_options_reach_numba():
    """Division by zero is an error but where NumPy's rules are asked for."""
    inverse = njit(error_model="numpy")(lambda x: 1.0 / x)
    assert inverse(0.0) == np.inf


def test_threads_share_one_compiled_function():
    kernel = Kernel(lambda x: x + 1, {})
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: kernel.compiled, range(64)))
    assert len(set(map(id, found))) == 1


def test_numba_is_imported_by_the_first_call():
    code = """
import sys
import numpy as np
from skhbm._statistics.reduction import reduce_rows
assert "numba" not in sys.modules
n, mean, cross = reduce_rows(np.ones((2, 1)), np.array([1.0, 3.0]), np.zeros(2, int), 1, None)
assert "numba" in sys.modules
assert mean.tolist() == [[1.0, 2.0]]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_shifts_of_few_groups_are_those_of_many_to_the_last_bit():
    rng = np.random.default_rng(0)
    q, n_groups, n_effects = 2, 3 * FEW, 7
    sizes = rng.integers(0, n_effects, n_groups * q)
    start = np.concatenate([[0], np.cumsum(sizes)])
    forms = start, rng.integers(0, n_effects, start[-1]), rng.standard_normal(start[-1])
    effects = rng.standard_normal((50, n_effects))
    every = group_shifts(effects, *forms, np.arange(n_groups), q)
    for group in range(n_groups):
        assert np.array_equal(group_shifts(effects, *forms, [group], q)[:, 0], every[:, group])
