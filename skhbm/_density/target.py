"""What a sampler knows of a density, and all that it knows."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from skhbm._types import Float, Int

__all__ = ["Evaluated", "PointDensity", "TargetDensity"]


class TargetDensity(Protocol):
    """A log density of unconstrained vectors, with its gradient, that C callbacks evaluate."""

    __slots__ = ()

    @property
    def n_dim(self) -> int:
        """Length of the unconstrained vector, and of the vector of natural values."""

    @property
    def start(self) -> Float:
        """Unconstrained point about which chains start (n_dim,)."""

    @property
    def scales(self) -> Float:
        """Rough standard deviations of the entries, the units of a search (n_dim,)."""

    @property
    def seconds(self) -> float:
        """Predicted seconds of CPU of a value, not by a clock; 0 if it takes next to none."""

    @property
    def moments_shape(self) -> tuple[int, int]:
        """Shape of the moments of what is integrated out, which an evaluation can keep."""

    @property
    def spreads(self) -> Int:
        """Positions of standard deviations that may be zero: those between groups."""

    def table(self, *, gradient: bool = True) -> Any:
        """Return the record that the callbacks read, valid as long as this object lives.

        Without `gradient` the callback need not fill its gradient. The field `moments` is 0, or
        is made the address that the moments of what is integrated out are written to.
        """

    def callbacks(self) -> tuple[Any, Any]:
        """Return the callbacks of the density and of the natural values, as nutpie calls them.

        What comes after the n_dim entries of a vector is an independent standard normal.
        """

    def in_logs(self) -> TargetDensity:
        """Return the same density with logs of these standard deviations as coordinates."""

    def points_about(self, mode: Float) -> PointDensity:
        """Return the density for points about its mode, which has logs as coordinates."""

    def acceptance(self, rate: float) -> float:
        """Return the acceptance rate of steps: higher than asked where there is a cliff."""

    def value_and_gradient(self, x: Float) -> tuple[float, Float]:
        """Evaluate the density at an unconstrained vector."""
        table, logp, grad = self.table(), np.empty(1), np.empty(len(x))
        pointers = [a.ctypes.data_as(ctypes.POINTER(ctypes.c_double)) for a in (x, grad, logp)]
        self.callbacks()[0].ctypes(len(x), *pointers, table.ctypes.data)
        return float(logp[0]), grad


class Evaluated(NamedTuple):
    """What is known of a density at n points; of some of it there may be nothing.

    Attributes
    ----------
    logp : ndarray of shape (n,)
        Log densities, -inf where they are not finite.
    moments : ndarray of shape (n or 0, *moments_shape)
        Moments of what is integrated out, given each point.
    lines : ndarray of shape (n or 0, ...)
        Log densities along the line of the residual scale: `skhbm._density.along_sigma`.
    cross : ndarray of shape (n or 0, m, m)
        Cross-products of the fixed terms and the response, given relative scales.
    """

    logp: Float
    moments: Float
    lines: Float
    cross: Float

    def take(self, chosen: Int) -> Evaluated:
        """Return what is known of some points."""
        return Evaluated(*(a[chosen] if len(a) == len(self.logp) else a[:0] for a in self))

    def join(self, other: Evaluated) -> Evaluated:
        """Return what is known of both sets of points."""
        return Evaluated(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))


class PointDensity(Protocol):
    """A density at many points, what can be is integrated out, for importance sampling."""

    @property
    def forms(self) -> Float:
        """The matrix that takes a whole vector to a point (n_dim', n_dim)."""

    @property
    def spreads(self) -> Int:
        """Positions of standard deviations that may be zero, in a point."""

    def evaluate(self, x: Float, threads: int) -> Evaluated:
        """Evaluate the density at points (n, n_dim')."""

    def complete(
        self, x: Float, found: Evaluated, rng: np.random.Generator
    ) -> tuple[Float, Float]:
        """Draw what was integrated out: whole vectors (n, n_dim), their log densities (n,)."""
