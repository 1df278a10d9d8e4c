"""A density at many points at once: loops over the rows of an array in numba, in threads.

Import this module inside functions, so that a process that only predicts does without numba.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skhbm._density.target import Evaluated
from skhbm._numba.jit import JIT, njit
from skhbm._numba.pointers import call_density
from skhbm._numba.threads import in_slices

if TYPE_CHECKING:
    from skhbm._density.target import PointDensity, TargetDensity
    from skhbm._types import Float, Int


__all__ = ["WholeVector", "has_room", "log_densities", "natural_values"]

#: Bytes of moments that are kept at most.
MOMENTS = 2.5e8


@dataclass(frozen=True, slots=True, eq=False)
class WholeVector:
    """A density at points that are whole vectors."""

    density: TargetDensity

    @property
    def spreads(self) -> Int:
        """Positions of standard deviations that may be zero."""
        return self.density.spreads

    @property
    def forms(self) -> Float:
        """The identity (n_dim, n_dim)."""
        return np.eye(self.density.n_dim)

    def evaluate(self, x: Float, threads: int) -> Evaluated:
        """Evaluate the density at points (n, n_dim)."""
        logp, moments = log_densities(self.density, x, threads)
        return Evaluated(logp, moments, np.empty((0, 0)), np.empty((0, 0, 0)))

    def complete(
        self,
        x: Float,
        found: Evaluated,
        rng: np.random.Generator,  # noqa: ARG002  # nothing is drawn
    ) -> tuple[Float, Float]:
        """Return the points and their log densities."""
        return x, found.logp


if TYPE_CHECKING:
    _: type[PointDensity] = WholeVector


def has_room(n: int, size: int) -> bool:
    """Return whether n matrices (size, size) may be kept."""
    return 8 * n * size**2 <= MOMENTS


def log_densities(density: TargetDensity, x: Float, threads: int) -> tuple[Float, Float]:
    """Evaluate the density at unconstrained points (n, n_dim).

    Returns
    -------
    logp : ndarray of shape (n,)
        Log densities, -inf where they are not finite.
    moments : ndarray of shape (n, *moments_shape)
        Moments of what is integrated out, given each point. There are none of them, in an array
        of length 0, if they would need much memory.
    """
    table, address = density.table(gradient=False), density.callbacks()[0].address
    x, out = np.ascontiguousarray(x), np.empty(len(x))
    shape = density.moments_shape
    moments = np.empty((len(x) if has_room(len(x), shape[0]) else 0, *shape))

    def evaluate(some: slice) -> None:
        _log_densities(address, table, x[some], out[some], moments[some])

    in_slices(evaluate, len(x), threads)
    return out, moments


def natural_values(density: TargetDensity, x: Float) -> Float:
    """Return the natural values (n, n_dim) of unconstrained points (n, n_dim)."""
    table, address = density.table(), density.callbacks()[1].address
    out = np.empty((len(x), x.shape[1] + 1))
    _natural_values(address, table.ctypes.data, np.ascontiguousarray(x), out)
    return out[:, :-1]


@njit(**JIT)
def _log_densities(address, table, x, out, moments):
    """Fill log densities (n,) and, if there is room for them, moments at x (n, d)."""
    n, d = x.shape
    copy, gradient = table.copy(), np.empty(d)
    for i in range(n):
        if len(moments) > 0:
            copy[0].moments = moments[i].ctypes.data
        status = call_density(
            address,
            d,
            x[i].ctypes.data,
            gradient.ctypes.data,
            out[i:].ctypes.data,
            copy.ctypes.data,
        )
        # Reading the copy keeps it alive: numba frees an array after its last use.
        if status != 0 or copy[0].moments == -1:
            out[i] = -np.inf


@njit(**JIT)
def _natural_values(address, table, x, out):
    """Fill out (n, d + 1) with what the callback of natural values gives at x (n, d)."""
    n, d = x.shape
    for i in range(n):
        call_density(address, d, d + 1, x[i].ctypes.data, out[i].ctypes.data, table)
