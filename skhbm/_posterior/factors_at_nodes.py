"""The factorisation of several factors at nodes: values of the hyperparameters.

`skhbm._likelihood.blocked_kernels` has what is computed at each of them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skhbm._numba.threads import single_threaded_blas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from skhbm._design.blocks import Blocks, Layout
    from skhbm._likelihood.blocked_inverse import Inverse
    from skhbm._likelihood.blocked_kernels import Factor
    from skhbm._types import Float, Int

__all__ = ["AtNode", "Nodes", "at_nodes"]

#: Threads that evaluate nodes.
THREADS = 2


class Nodes(NamedTuple):
    """Values of the hyperparameters, with weights that sum to one.

    Attributes
    ----------
    roots : tuple of ndarray of shape (n, q, q), relative roots of each factor
    sigma : (n,), residual scales in working units
    sampled : (n, s), natural coefficients that are not integrated out
    weight : (n,)
    """

    roots: tuple[Float, ...]
    sigma: Float
    sampled: Float
    weight: Float

    def some(self, which: slice | Int) -> Nodes:
        """Return some of the nodes; their weights are as they were."""
        return Nodes(tuple(root[which] for root in self.roots), *(a[which] for a in self[1:]))


class AtNode(NamedTuple):
    """The factor at a node: `skhbm._likelihood.blocked_kernels`.

    Attributes
    ----------
    T, rest : relative roots, factor : Factor, K : (m, m), logdet : float
    inverse : Inverse or None
    solved : the Y_i S^-1 Y_i' (J, q, q), and b_D of the first factor (J, q, m) and of the rest
        (R, m), or None
    """

    T: Float
    rest: Float
    factor: Factor
    K: Float
    logdet: float
    inverse: Inverse | None
    solved: tuple[Float, Float, Float] | None


def at_nodes(
    blocks: Blocks,
    layout: Layout,
    nodes: Nodes,
    function: Callable[[AtNode, int], Any],
    which: Sequence[int] | None = None,
    *,
    solved: bool,
) -> Iterator[Any]:
    """Yield a function of the factor at each node, and of the number of the result, in order.

    `which` are the nodes, all of them by default; `solved` inverts and solves.
    """
    which = range(len(nodes.sigma)) if which is None else which

    def evaluate(pair: tuple[int, int]) -> Any:
        return function(_factorise(blocks, layout, nodes, pair[1], solved=solved), pair[0])

    with single_threaded_blas(), ThreadPoolExecutor(THREADS) as pool:
        yield from pool.map(evaluate, enumerate(which))


def _factorise(
    blocks: Blocks, layout: Layout, nodes: Nodes, node: int, *, solved: bool
) -> AtNode:
    """Factorise the blocks at a node; solve and invert if asked to."""
    from skhbm._likelihood import blocked_inverse as inverses
    from skhbm._likelihood import blocked_kernels as kernels
    from skhbm._likelihood.blocked import addresses, stacked_roots

    order = (layout.first, *layout.others)
    roots = [root[node] for root in nodes.roots]
    T, rest = stacked_roots(order, blocks.pairs.shape[1], roots)
    factor, K = kernels.new_factor(blocks), np.empty(blocks.C.shape)
    logdet = kernels.factorise(blocks, addresses(), T, rest, factor, K)
    if not solved:
        return AtNode(T, rest, factor, K, logdet, None, None)
    inverse = inverses.new_inverse(blocks)
    inverses.invert(blocks, addresses(), factor, inverse)
    spreads = np.empty(blocks.A.shape)
    inverses.level_spreads(blocks, factor, inverse, spreads)
    of_rest, of_first = factor.H.copy(), factor.G.copy()
    kernels.solve(blocks, addresses(), factor, of_rest, True)
    kernels.first_solutions(blocks, factor, of_rest, of_first)
    return AtNode(T, rest, factor, K, logdet, inverse, (spreads, of_first, of_rest))
