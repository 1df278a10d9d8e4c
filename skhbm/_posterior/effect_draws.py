"""Draws of the effects of all factors, which are made when they are asked for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from skhbm._numba.threads import in_slices
from skhbm._posterior.nodes import all_nodes, joint_effects
from skhbm._posterior.posterior import innovations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skhbm._posterior.effects_one_factor import OneFactorEffects
    from skhbm._posterior.hierarchical import HierarchicalDraws
    from skhbm._posterior.posterior import Posterior
    from skhbm._types import Float, Int

    Draw = Callable[[slice, Float], list[Float]]

__all__ = ["draw_effects", "effect_blocks", "natural_effects"]

#: Effects drawn at a time.
BLOCK = 2**20


def draw_effects(posterior: Posterior) -> list[Float]:
    """Draw the effects of each factor (n_chains, n_draws, n_groups, q) in working units."""
    shapes = [(f.n_groups, len(f.terms.varying)) for f in posterior.design.factors]
    out = [np.empty((posterior.n_draws, *shape)) for shape in shapes]
    for draws, effects in effect_blocks(posterior):
        for array, part in zip(out, effects, strict=True):
            array[draws] = part
    return [array.reshape(*posterior.shape, *array.shape[1:]) for array in out]


def effect_blocks(posterior: Posterior) -> Iterator[tuple[slice, list[Float]]]:
    """Yield draws of all chains, and the effects (s, n_groups, q) of each factor in them.

    A few draws at a time, so that memory does not grow with draws times groups.
    """
    sizes = [f.n_groups * len(f.terms.varying) for f in posterior.design.factors]
    draw = (_of_one_factor if posterior.points is None else _jointly)(posterior)
    rng = np.random.default_rng([posterior.seed, 1])
    n_chains, n_draws = posterior.shape
    longest = max(1, BLOCK // max(1, sum(sizes)))
    for chain in range(n_chains):
        before = None
        for first in range(0, n_draws, longest):
            n = min(longest, n_draws - first)
            z = innovations(rng, (1, n, sum(sizes)), before)[0]
            before = z[-1].copy()
            draws = slice(chain * n_draws + first, chain * n_draws + first + n)
            yield draws, draw(draws, z)


def natural_effects(posterior: HierarchicalDraws, effects: list[Float]) -> list[Float]:
    """Return effects of each factor at x = 0, on the natural scale."""
    scaling = posterior.design.scaling
    return [
        scaling.natural_effects(working, factor.terms)
        for working, factor in zip(effects, posterior.design.factors, strict=True)
    ]


def _of_one_factor(posterior: Posterior) -> Draw:
    """Return what turns standard normals (s, n_groups q) into effects of some draws."""
    given, groups = posterior.conditional_effects(), np.arange(posterior.design.n_groups)

    def draw(draws: slice, z: Float) -> list[Float]:
        z = z.reshape(len(z), len(groups), -1) if z.size else z.reshape(len(z), len(groups), 0)
        in_slices(partial(_draw_part, given, groups, z, draws.start), len(z), 2)
        return [z]

    return draw


def _draw_part(given: OneFactorEffects, groups: Int, z: Float, start: int, part: slice) -> None:
    """Turn a part of standard normals z (s, n, q) into effects; z[0] is of the draw `start`."""
    given.draw(groups, z[part], slice(start + part.start, start + part.stop))


def _jointly(posterior: Posterior) -> Draw:
    """Return what turns standard normals (s, n_effects) into effects of all factors."""
    nodes, w = all_nodes(posterior), posterior.coefficients()

    def draw(draws: slice, z: Float) -> list[Float]:
        return joint_effects(posterior, nodes.some(draws)).draw(w[draws], z)

    return draw
