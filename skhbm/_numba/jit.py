"""A decorator like numba's `njit`, which imports numba when a function is first called.

The import of numba and its first call take some 0.2 s each, which a server that predicts one
row does not need.
"""

from __future__ import annotations

from functools import update_wrapper
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["JIT", "JIT_CALLBACK", "JIT_INNER", "Kernel", "njit"]

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

    def __call__(self, *arguments: Any) -> Any:
        return self.compiled(*arguments)

    @property
    def compiled(self) -> Any:
        """The function as numba has it, the same for all threads."""
        if self._compiled is None:
            with DECORATING:
                if self._compiled is None:
                    import numba

                    self._compiled = numba.njit(**self.options)(self.function)
        return self._compiled

    @property
    def _numba_type_(self) -> Any:
        """The type that numba asks a name in a compiled function for."""
        return self.compiled._numba_type_


def njit(**options: Any) -> Callable[[Callable[..., Any]], Kernel]:
    """Decorate a function with the options of `numba.njit`."""
    return lambda function: Kernel(function, options)
