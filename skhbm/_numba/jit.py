"""A decorator like numba's `njit`, which imports numba when a function is first called.

The import of numba and its first call take some 0.2 s each, which a server that predicts one
row does not need.
"""

from __future__ import annotations

import os
import warnings
from functools import cache, update_wrapper
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["JIT", "JIT_CALLBACK", "JIT_INNER", "Kernel", "c_callback", "njit"]

#: error_model="numpy": a division without a branch for zero can be vectorised.
JIT: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
#: These options are for functions that only compiled functions call.
JIT_INNER: dict[str, Any] = {**JIT, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
JIT_CALLBACK: dict[str, Any] = {"cache": True, "error_model": "numpy"}

DECORATING = Lock()


class Kernel:
    """A function that numba compiles, or finds compiled, when it is first called.

    Compiled functions can call it too.
    """

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self.function = function
        self.options = options
        self._compiled: Any = None
        update_wrapper(self, function)

    def __reduce__(self) -> tuple[Any, ...]:
        """Be known by name, so that compiled code that encloses this function has a cache.

        The functions that this one encloses, if any, are part of its name.
        """
        enclosed = tuple(cell.cell_contents for cell in self.function.__closure__ or ())
        return import_kernel, (self.function.__module__, self.function.__qualname__, *enclosed)

    def __call__(self, *arguments: Any) -> Any:
        return self.compiled(*arguments)

    @property
    def compiled(self) -> Any:
        """The function as numba has it, the same for all threads."""
        if self._compiled is None:
            with DECORATING:
                if self._compiled is None:
                    import numba

                    self._compiled = _decorated(self.function, numba.njit, self.options)
        return self._compiled

    @property
    def _numba_type_(self) -> Any:
        """The type that numba asks a name in a compiled function for."""
        return self.compiled._numba_type_


def import_kernel(module: str, name: str, *enclosed: Any) -> Any:
    """Return a function of a module by its name."""
    if enclosed:
        msg = f"`{name}` encloses other functions, and cannot be imported by its name."
        raise TypeError(msg)
    return getattr(import_module(module), name)


def njit(**options: Any) -> Callable[[Callable[..., Any]], Kernel]:
    """Decorate a function with the options of `numba.njit`."""
    return lambda function: Kernel(function, options)


def c_callback(signature: str, function: Callable[..., Any]) -> Any:
    """Compile a C callback, or find it compiled, as `numba.cfunc` does."""
    from numba import cfunc

    return _decorated(function, lambda **options: cfunc(signature, **options), JIT_CALLBACK)


def _decorated(
    function: Callable[..., Any], decorator: Callable[..., Any], options: dict[str, Any]
) -> Any:
    """Decorate a function, without a cache on disk where numba finds no folder for one."""
    try:
        return decorator(**options)(function)
    except RuntimeError as error:
        if not options.get("cache") or "no locator available" not in str(error):
            raise
    _warn_of_no_cache()
    return decorator(**{**options, "cache": False})(function)


@cache
def _warn_of_no_cache() -> None:
    """Warn once a process."""
    warnings.warn(
        "Compiled code cannot be kept: neither the folder of skhbm, nor the user's cache "
        "folder, nor `NUMBA_CACHE_DIR` can be written. Each process compiles anew, for some "
        "ten seconds. Set the environment variable NUMBA_CACHE_DIR to a folder that can be "
        "written and that lasts.",
        skip_file_prefixes=(os.path.join(Path(__file__).parents[1], ""),),
    )
