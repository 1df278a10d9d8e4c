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
    """

    k: float
    spread: Float


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Posterior draws of the natural hyperparameters.

    Parameters
    ----------
    values : ndarray of shape (n_chains, n_draws, n_dim)
        Natural values, in the order of the density.
    statistics : dict of ndarray of shape (n_chains, n_draws)
    moments : ndarray of shape (n_chains * n_draws, *moments_shape) or None
        Moments of what is integrated out, if the solver has kept them: see
        `skhbm._density.evaluation`.
    weights : Weights or None
        None if draws were not weighted.
    points : ndarray of int of shape (n_chains * n_draws,) or None
        Equal numbers mark draws of one point; None if all draws are points of their own.
    cross_products : ndarray of shape (n_points, m, m) or None
        K of each point, if the solver has kept it.
    """

    values: Float
    statistics: dict[str, NDArray[Any]]
    moments: Float | None = None
    weights: Weights | None = None
    points: Int | None = None
    cross_products: Float | None = None
