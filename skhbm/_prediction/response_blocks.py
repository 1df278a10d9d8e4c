"""Linear predictors of some rows at a time, in threads: means and variances in each draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skhbm._numba.threads import in_slices

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from skhbm._types import Float, Int

__all__ = ["Block", "LinearPredictors"]

#: Numbers in a block of rows times draws: they stay in the cache of a processor.
CACHED = 2**17


class Block(NamedTuple):
    """Some rows, given each draw.

    Attributes
    ----------
    rows : ndarray of int of shape (n,)
        Their positions.
    mean, variance : ndarray of shape (n, m, LANES)
        Moments of the linear predictors, which are normal. Draws are filled up with
        `response_lanes.NOTHING`. Variance is None if it is zero for all.
    n_draws : int
        Number of draws.
    """

    rows: Int
    mean: Float
    variance: Float | None
    n_draws: int

    def by_draw(self) -> tuple[Float, Float | None]:
        """Return mean and variance (n, n_draws)."""
        n, some = len(self.rows), slice(self.n_draws)
        mean = np.ascontiguousarray(self.mean.reshape(n, -1)[:, some])
        if self.variance is None:
            return mean, None
        return mean, np.ascontiguousarray(self.variance.reshape(n, -1)[:, some])


@dataclass(frozen=True, slots=True, eq=False)
class LinearPredictors:
    """What the linear predictors of rows are made of, in each draw.

    Parameters
    ----------
    fixed : ndarray of shape (n, n_fixed)
        Fixed terms x.
    coefficients : ndarray of shape (n_fixed, n_draws)
    varying : sequence of ndarray of shape (n, q)
        Varying terms z of each factor.
    codes : sequence of ndarray of int of shape (n,)
        Groups of each factor, negative if not seen.
    effects : sequence of ndarray of shape (n_draws, n_groups, q)
        Effects of the groups of each factor.
    covariances : sequence of ndarray of shape (n_draws, q, q)
        Of the effects of each factor: of a group that was not seen, they are normal.
    n_threads : int
        Blocks that are computed at a time.
    """

    fixed: Float
    coefficients: Float
    varying: Sequence[Float]
    codes: Sequence[Int]
    effects: Sequence[Float]
    covariances: Sequence[Float]
    n_threads: int = 1

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.fixed)

    @property
    def n_draws(self) -> int:
        """Number of draws."""
        return self.coefficients.shape[1]

    def for_each(self, function: Callable[[Block], Any]) -> None:
        """Call a function with blocks of rows, which is to fill arrays at their positions.

        Rows of the same groups are next to each other. What is computed for a row does not
        depend on the others.
        """
        from skhbm._prediction.response_lanes import LANES

        order = np.lexsort(self.codes[::-1]) if self.codes else np.arange(len(self))
        places = [_places(c, e) for c, e in zip(self.codes, self.effects, strict=True)]
        covariances = [np.ascontiguousarray(c.transpose(1, 2, 0)) for c in self.covariances]
        shape = -(-self.n_draws // LANES), LANES
        size = max(1, CACHED // (shape[0] * LANES))

        def work(some: slice) -> None:
            for start in range(some.start, some.stop, size):
                rows = order[start : min(start + size, some.stop)]
                mean, variance = self._moments(rows, places, covariances, shape[0] * LANES)
                cut = (len(rows), *shape)
                function(
                    Block(
                        rows,
                        mean.reshape(cut),
                        None if variance is None else variance.reshape(cut),
                        self.n_draws,
                    )
                )

        threads = min(self.n_threads, -(-len(self) // size))
        in_slices(work, len(self), max(threads, 1))

    def _moments(
        self, rows: Int, places: list[tuple[Int, Float]], covariances: list[Float], width: int
    ) -> tuple[Float, Float | None]:
        """Return mean and variance (rows, width) of some linear predictors."""
        from skhbm._prediction import response_lanes as lanes

        mean, variance = np.empty((len(rows), width)), None
        lanes.fill_predictors(self.fixed[rows], self.coefficients, mean)
        for f, (where, effects) in enumerate(places):
            z, at = np.ascontiguousarray(self.varying[f][rows]), where[rows]
            lanes.add_effects(z, at, effects, mean)
            if np.any(at < 0):
                variance = np.zeros_like(mean) if variance is None else variance
                lanes.add_variances(z, at, covariances[f], variance)
        return mean, variance


def _places(codes: Int, effects: Float) -> tuple[Int, Float]:
    """Return where the groups of rows are (n,) among effects (n_there, q, n_draws).

    Only groups that occur are taken; -1 stands for those that were not seen.
    """
    there, where = np.unique(codes, return_inverse=True)
    n_new = int(np.searchsorted(there, 0))
    some = np.ascontiguousarray(effects[:, there[n_new:]].transpose(1, 2, 0))
    return np.maximum(where - n_new, -1), some
