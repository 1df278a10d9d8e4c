"""Compiled functions: numba comes with the first call, and only then."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import skhbm
from skhbm._numba.jit import JIT_INNER, Kernel, _decorated, njit


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


@pytest.fixture
def unwritable(tmp_path):
    """Return the environment of a process that finds no folder to write compiled code to.

    A file stands where each folder would be, which root cannot write either.
    """
    package = tmp_path / "skhbm"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(skhbm.__file__).parent, package, ignore=ignored)
    for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (folder / "__pycache__").touch()
    nowhere = tmp_path / "file"
    nowhere.touch()
    names = ("HOME", "LOCALAPPDATA", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "MPLCONFIGDIR")
    return {
        **os.environ,
        **{name: str(nowhere / "folder") for name in names},
        "PYTHONPATH": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTENSOR_FLAGS": "",
    }


def test_models_are_fitted_and_asked_where_nothing_can_be_written(unwritable, tmp_path):
    code = """
import warnings
import numpy as np
import skhbm
rng = np.random.default_rng(0)
groups, y = np.repeat(np.arange(6), 8), rng.standard_normal(48)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model = skhbm.HierarchicalNormalRegressor(solver="laplace", draws=100, random_state=0)
    model.fit(None, y, groups=groups)
    model.predict_interval(None, groups)
    model.sample_y(None, groups)
    model.condition_on(None, y[:8], groups[:8])
found = [str(w.message) for w in caught if "NUMBA_CACHE_DIR" in str(w.message)]
assert len(found) == 1, found
assert caught[0].filename == "<string>", caught[0].filename
print(skhbm.__file__)
"""
    command = [sys.executable, "-c", code]
    run = subprocess.run(
        command, env=unwritable, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == str(tmp_path / "skhbm" / "__init__.py")


def test_what_numba_refuses_for_another_reason_is_an_error():
    def decorator(**options):
        msg = "another reason"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="another"):
        _decorated(np.sin, decorator, {"cache": True})


def test_all_functions_are_compiled_by_running_the_package():
    command = [sys.executable, "-m", "skhbm"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert run.stdout.startswith("skhbm is compiled, in ")
