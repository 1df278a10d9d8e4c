"""Compiled functions of a family without dispersion parameters."""

from __future__ import annotations

from skhbm._numba.jit import JIT_INNER, njit

__all__ = ["dispersion_gradient", "rest", "rest_gradient"]


@njit(**JIT_INNER)
def dispersion_gradient(y, size, eta, d, out):
    """Leave `out`, which is empty."""


@njit(**JIT_INNER)
def rest(y, size, d):
    """Return the part of the log density that depends on d alone."""
    return 0.0


@njit(**JIT_INNER)
def rest_gradient(y, size, d, out):
    """Leave `out`, which is empty."""
