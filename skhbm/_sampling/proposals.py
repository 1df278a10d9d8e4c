"""Proposals for importance sampling: mixtures of Student-t distributions, with Sobol points."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import gammaincinv, logsumexp, ndtri

if TYPE_CHECKING:
    from skhbm._types import Float, Int

__all__ = ["Proposal"]

#: Degrees of freedom of a proposal: with none of the dimensions, and for each. Its tails are
#: heavier than those of the posterior, but in many dimensions a few degrees would lead away
#: from the shell where most of the posterior is.
DEGREES, BY_DIMENSION = 5.0, 0.5
#: Shares of the points of a proposal from distributions that are wider in all directions, and
#: in those of standard deviations that may be zero; and how much wider they are.
SHARE, SHARE_OF_SPREADS, WIDER = 0.1, 0.1, 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """A mixture of a multivariate Student-t distribution and wider ones of the same center.

    The wider parts are for densities that fall slowly to one side, however narrow they are. In
    many dimensions a part that is wider in all of them has few points near any: so one is wider
    in those only where such densities are expected.

    Parameters
    ----------
    center : ndarray of shape (d,)
    root : ndarray of shape (d, d)
        A lower triangular root of the matrix of scales.
    spreads : ndarray of int of shape (q,)
        Positions of standard deviations that may be zero.
    rng : Generator
        What the points are scrambled by.
    """

    center: Float
    root: Float
    spreads: Int
    rng: np.random.Generator
    sequence: Any = field(init=False)

    def __post_init__(self) -> None:
        """Scramble a sequence: an entry for each dimension, the chi-square and the part."""
        from scipy.stats import qmc

        object.__setattr__(self, "sequence", qmc.Sobol(len(self.center) + 2, rng=self.rng))

    @property
    def degrees(self) -> float:
        """Degrees of freedom."""
        return DEGREES + BY_DIMENSION * len(self.center)

    def draw(self, n: int) -> Float:
        """Return the next n points, as rows.

        Sobol's points cover the distribution evenly. Means over 512 of them have the error of
        means over some 1,000 to 6,000 independent ones with up to three dimensions.
        """
        d, degrees, tiny = len(self.center), self.degrees, np.finfo(float).tiny
        # Scrambled points can be zero.
        u = np.maximum(self._next(n), tiny)
        z = ndtri(u[:, :d])
        z /= np.sqrt(gammaincinv(degrees / 2, u[:, d]) * 2 / degrees)[:, None]
        away = z @ self.root.T
        first = 0.0
        for share, stretch in self._wider():
            part = (first <= u[:, d + 1]) & (u[:, d + 1] < first + share)
            away[part] *= stretch
            first += share
        return self.center + away

    def log_density(self, x: Float) -> Float:
        """Return log densities of rows, up to a constant that all proposals share."""
        d, degrees = len(self.center), self.degrees
        power = 0.5 * (degrees + d)
        away, wider = (x - self.center).T, self._wider()
        parts = [(1.0 - sum(share for share, _ in wider), np.ones(d)), *wider]
        logs = []
        for share, stretch in parts:
            z = solve_triangular(self.root, away / stretch[:, None], lower=True)
            tail = power * np.log1p(np.sum(z**2, axis=0) / degrees)
            logs.append(np.log(share) - tail - np.sum(np.log(stretch)))
        whole = logsumexp(logs, axis=0)
        return np.asarray(whole - np.sum(np.log(np.abs(np.diag(self.root)))))

    def _wider(self) -> list[tuple[float, Float]]:
        """Return the shares of the wider parts, and how much each entry (d,) is stretched."""
        d = len(self.center)
        everywhere = np.full(d, WIDER)
        if len(self.spreads) in (0, d):
            return [(SHARE + SHARE_OF_SPREADS, everywhere)]
        stretch = np.ones(d)
        stretch[self.spreads] = WIDER
        return [(SHARE, everywhere), (SHARE_OF_SPREADS, stretch)]

    def _next(self, n: int) -> Float:
        """Return the next n points of the sequence.

        The first comes alone, as SciPy warns of a number that is not a power of two.
        """
        if self.sequence.num_generated or n == 1:
            return np.asarray(self.sequence.random(n))
        return np.concatenate([self.sequence.random(1), self.sequence.random(n - 1)])
