"""Many points at once: loops over the rows of an array in numba, on several threads.

It is imported inside functions, so that a process that only predicts does without numba.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skhbm._numba.jit import JIT, njit
from skhbm._numba.pointers import call_density, call_marginal
from skhbm._numba.threads import in_slices

if TYPE_CHECKING:
    from skhbm._density.one_factor import Evaluated
    from skhbm._types import Float


__all__ = ["evaluate_marginals", "log_densities", "natural_values"]

#: Moments of coefficients are kept up to this many bytes.
MOMENTS = 2.5e8


def log_densities(target: Evaluated, x: Float, threads: int) -> tuple[Float, Float]:
    """Evaluate the density at unconstrained points (n, n_dim).

    Returns
    -------
    logp : ndarray of shape (n,)
        Log densities, -inf where they are not finite.
    moments : ndarray of shape (n, k + 1, k + 1)
        U of `_likelihood.marginal`: moments of the k coefficients that are integrated out,
        given each point. There are none, and the shape is (0, k + 1, k + 1), if they would need
        much memory.
    """
    table, address = target.table(gradient=False), target.callbacks()[0].address
    x, out = np.ascontiguousarray(x), np.empty(len(x))
    width = target.n_integrated + 1
    few = 8 * len(x) * width**2 <= MOMENTS
    moments = np.empty((len(x) if few else 0, width, width))

    def evaluate(some: slice) -> None:
        _log_densities(address, table, x[some], out[some], moments[some])

    in_slices(evaluate, len(x), threads)
    return out, moments


def natural_values(target: Evaluated, x: Float) -> Float:
    """Return the natural values (n, n_dim) of unconstrained points (n, n_dim)."""
    table, address = target.table(), target.callbacks()[1].address
    out = np.empty((len(x), x.shape[1] + 1))
    _natural_values(address, table.ctypes.data, np.ascontiguousarray(x), out)
    return out[:, :-1]


@njit(**JIT)
def evaluate_marginals(address, table, inputs, outputs):
    """Fill the outputs (n, n_outputs) of a likelihood at inputs (n, n_inputs), no gradients."""
    for i in range(len(inputs)):
        call_marginal(address, table, inputs[i].ctypes.data, outputs[i].ctypes.data, 0)


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
        # Reading it keeps the copy alive: numba frees an array after its last use.
        if status != 0 or copy[0].moments == -1:
            out[i] = -np.inf


@njit(**JIT)
def _natural_values(address, table, x, out):
    """Fill out (n, d + 1) with what the callback of natural values gives at x (n, d)."""
    n, d = x.shape
    for i in range(n):
        call_density(address, d, d + 1, x[i].ctypes.data, out[i].ctypes.data, table)
