"""Coordinates of standard deviations in which their densities are close to normal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

if TYPE_CHECKING:
    from skhbm._types import Float, Int


__all__ = ["HalfT"]

#: The coordinate of the center: P(T < 1) = 1 / sqrt(3), T being half-t with two degrees.
MODE = float(ndtri(1 / np.sqrt(3)))


class HalfT(NamedTuple):
    """Coordinates z with tau = s T(Phi(z)), T being quantiles of the half-t distribution.

    The likelihood of J groups leaves of a standard deviation tau a density that is finite at
    zero and falls like a power beyond its mode. That of log tau thus has an exponential left
    tail, however narrow it is about the mode, and Student-t distributions do not cover
    such tails of several standard deviations at once. With two degrees of freedom
    Phi(z) = t / sqrt(2 + t^2) for t = tau / s: the left tail of z is that of a normal
    distribution, and its right tail is shorter.

    Attributes
    ----------
    positions : ndarray of int of shape (q,)
        Entries of the unconstrained vector that are logs of standard deviations.
    center : ndarray of shape (q,)
        Logs of the scales s.
    """

    positions: Int
    center: Float

    def unconstrained(self, z: Float) -> tuple[Float, Float]:
        """Return unconstrained points (n, d) of rows, and dx/dz of the positions (n, q)."""
        at = z[:, self.positions]
        below, above = log_ndtr(at), log_ndtr(-at)
        x = z.copy()
        x[:, self.positions] = (
            self.center + below + 0.5 * (np.log(2.0) - above - np.log1p(ndtr(at)))
        )
        log_normal = -0.5 * (at**2 + np.log(2 * np.pi))
        slope = np.exp(log_normal - below) + 0.5 * (
            np.exp(log_normal - above) - np.exp(log_normal) / (1.0 + ndtr(at))
        )
        return x, slope

    def at_center(self, x: Float) -> tuple[Float, Float]:
        """Return coordinates (d,) of a point that has the center's scales, and dx/dz (d,)."""
        z, slope = x.copy(), np.ones(len(x))
        z[self.positions] = MODE
        slope[self.positions] = self.unconstrained(z[None])[1][0]
        return z, slope
