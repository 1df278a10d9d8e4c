"""Draws of the hyperparameters, whichever solver made them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from skhbm._types import Float, Int

__all__ = ["Draws", "Watcher", "Weights"]

#: A watcher is told the numbers of finished draws of each chain, tuning included, and of
#: divergences.
type Watcher = Callable[[Sequence[int], int], None]


class Weights(NamedTuple):
    """What importance weights were like.

    Attributes
    ----------
    k : float
        Pareto shape of the weights.
    spread : ndarray of shape (n,)
        How uncertain weights make means over the draws that were chosen: see
        `skhbm._sampling.psis.resample`.
    n : int
        Number of points that had weights.
    """

    k: float
    spread: Float
    n: int


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Posterior draws of the natural hyperparameters.

    Parameters
    ----------
    values : ndarray of shape (n_chains, n_draws, n_dim)
        Natural values, in the order of the density.
    statistics : dict of ndarray of shape (n_chains, n_draws)
    solver : {"nuts", "laplace"}
        What made the draws.
    moments : ndarray of shape (n_chains * n_draws, *moments_shape) or None
        Moments of what is integrated out, if the solver has kept them: see
        `skhbm._density.evaluation`.
    weights : Weights or None
        None if draws were not weighted.
    points : ndarray of int of shape (n_chains * n_draws,) or None
        Draws of equal numbers have the same relative scales and given coefficients. Numbers
        begin at 0. None if these are of each draw alone.
    cross_products : ndarray of shape (n_points, m, m) or None
        Cross-products of fixed terms and response at each point, if the solver has kept them.
    """

    values: Float
    statistics: dict[str, NDArray[Any]]
    solver: str
    moments: Float | None = None
    weights: Weights | None = None
    points: Int | None = None
    cross_products: Float | None = None
