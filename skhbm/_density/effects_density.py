"""The density of hyperparameters and all effects, for responses that are not normal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._density.effects_callbacks import (
    WITH_EFFECTS,
    density_with_effects,
    expand_with_effects,
)
from skhbm._density.start import careful_acceptance
from skhbm._density.target import TargetDensity
from skhbm._numba.records import make_record

if TYPE_CHECKING:
    from skhbm._density.hyperparameters import HyperparameterDensity
    from skhbm._density.target import PointDensity
    from skhbm._types import Float, Int

__all__ = ["EffectsDensity", "effects_of"]


@dataclass(frozen=True, slots=True, eq=False)
class EffectsDensity(TargetDensity):
    """The density of hyperparameters and effects, none of which is integrated out.

    Parameters
    ----------
    hyper : HyperparameterDensity
        Its likelihood is an `EffectsLikelihood`.
    hyper_table : ndarray
        Its table, kept alive.
    order : ndarray of int of shape (n_effects,)
        Positions of the effects, which are in the user's order, in the order of elimination.
    shapes : tuple of (int, int)
        Numbers of levels and of terms of each factor, in the user's order.
    """

    hyper: HyperparameterDensity
    hyper_table: Any
    order: Int
    shapes: tuple[tuple[int, int], ...]

    @property
    def n_dim(self) -> int:
        """Length of the unconstrained vector, and of the vector of natural values."""
        return self.hyper.n_dim + len(self.order)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of values of each kind: those of `HyperparameterDensity`, and of effects."""
        return *self.hyper.sizes, len(self.order)

    @property
    def moments_shape(self) -> tuple[int, int]:
        """Nothing is integrated out."""
        return 0, 0

    @property
    def start(self) -> Float:
        """Unconstrained point about which chains start (n_dim,)."""
        return np.concatenate([self.hyper.plain_start, np.zeros(len(self.order))])

    @property
    def spreads(self) -> Int:
        """Positions of the standard deviations of effects."""
        return self.hyper.spreads

    @property
    def scales(self) -> Float:
        """Rough standard deviations of the entries (n_dim,)."""
        return np.concatenate([self.hyper.scales, np.ones(len(self.order))])

    @property
    def seconds(self) -> float:
        """Not predicted, as there is nothing to choose: 0."""
        return 0.0

    def in_logs(self) -> EffectsDensity:
        """Raise ValueError, as there is no way without a Markov chain."""
        msg = (
            "solver='laplace' integrates effects out, which for a response that is not normal "
            "it can do for one grouping factor with at most two varying terms. Use "
            "solver='nuts' or 'auto' for more."
        )
        raise ValueError(msg)

    def points_about(self, mode: Float) -> PointDensity:  # of the protocol
        """Raise ValueError, as there is no way without a Markov chain."""
        return self.in_logs().points_about(mode)

    def acceptance(self, rate: float) -> float:
        """Return the acceptance rate of steps: higher than asked for few groups per term."""
        return careful_acceptance(rate, [J / q for J, q in self.shapes])

    def table(self, *, gradient: bool = True) -> Any:  # noqa: ARG002  # it is always filled
        """Return the record that the callbacks read; valid as long as this object lives."""
        return make_record(
            WITH_EFFECTS,
            n_hyper=self.hyper.n_dim,
            n_effects=len(self.order),
            density=self.hyper.callbacks()[0].address,
            hyperparameters=self.hyper_table,
            likelihood=self.hyper.likelihood_table,
            order=self.order,
        )

    def callbacks(self) -> tuple[Any, Any]:
        """Return the callbacks of the density and of the natural values."""
        return density_with_effects(), expand_with_effects()


def effects_of(density: EffectsDensity, values: Float) -> tuple[Float, ...]:
    """Return the effects (..., n_levels, q) of each factor, in working units.

    `values` (..., n_dim) are natural values, as in draws.
    """
    sizes = [J * q for J, q in density.shapes]
    parts = np.split(values[..., density.hyper.n_dim :], np.cumsum(sizes)[:-1], axis=-1)
    return tuple(
        part.reshape(*part.shape[:-1], *shape)
        for part, shape in zip(parts, density.shapes, strict=True)
    )
