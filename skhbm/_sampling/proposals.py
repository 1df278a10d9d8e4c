"""Proposals for importance sampling: mixtures of Student-t distributions, with Sobol points."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import gammaincinv, ndtri

if TYPE_CHECKING:
    from skhbm._types import Float

__all__ = ["Proposal"]

#: Degrees of freedom of a proposal: with none of the dimensions, and for each. Its tails are
#: heavier than those of the posterior, but in many dimensions a few degrees would lead away
#: from the shell where most of the posterior is.
DEGREES, BY_DIMENSION = 5.0, 0.5
#: Share of the points of a proposal from a wider distribution, and how much wider it is.
SHARE, WIDER = 0.2, 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """A mixture of a multivariate Student-t distribution and a wider one of the same center.

    The wider part is for densities that fall slowly to one side, however narrow they are.

    Parameters
    ----------
    center : ndarray of shape (d,)
    root : ndarray of shape (d, d)
        A lower triangular root of the matrix of scales.
    rng : Generator
        What the points are scrambled by.
    """

    center: Float
    root: Float
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
        z[u[:, d + 1] < SHARE] *= WIDER
        return self.center + z @ self.root.T

    def log_density(self, x: Float) -> Float:
        """Return log densities of rows, up to a constant that all proposals share."""
        d, degrees = len(self.center), self.degrees
        power = 0.5 * (degrees + d)
        z = solve_triangular(self.root, (x - self.center).T, lower=True)
        squares = np.sum(z**2, axis=0) / degrees
        narrow = np.log1p(-SHARE) - power * np.log1p(squares)
        wide = np.log(SHARE) - power * np.log1p(squares / WIDER**2)
        both = np.logaddexp(narrow, wide - d * np.log(WIDER))
        return np.asarray(both - np.sum(np.log(np.abs(np.diag(self.root)))))

    def _next(self, n: int) -> Float:
        """Return the next n points of the sequence.

        The first comes alone, as SciPy warns of a number that is not a power of two.
        """
        if self.sequence.num_generated or n == 1:
            return np.asarray(self.sequence.random(n))
        return np.concatenate([self.sequence.random(1), self.sequence.random(n - 1)])
