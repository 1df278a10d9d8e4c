"""What the rows of each level say of its effects, if all else in the model is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from skhbm._design.blocks import Blocks, Layout
    from skhbm._types import Float, Int

__all__ = ["normal_equations"]


def normal_equations(
    blocks: Blocks, layout: Layout, factor: int, w: Float, effects: list[Float]
) -> tuple[Float, Float]:
    """Return Z_k'Z_k (n_levels, q, q) and Z_k'r_k (n_levels, q) of the levels of a factor.

    r is what fixed terms with the coefficients w (n_fixed,), and the effects (n_levels, q) of
    all other factors, leave of the response. All is in working units.
    """
    v = np.append(-w, 1.0)
    first = effects[layout.first]
    rest = np.empty(len(blocks.head))
    for f, where in zip(layout.others, layout.where, strict=True):
        for a in range(layout.widths[f]):
            rest[where + a] = effects[f][:, a]
    across = _across(blocks)
    if factor == layout.first:
        A = blocks.A
        b = blocks.E @ v - np.column_stack([N @ rest for N in across])
        return A, b
    gram = _gram(blocks)
    left = blocks.B @ v - gram @ rest
    for a, N in enumerate(across):
        left -= N.T @ first[:, a]
    at = layout.where[layout.others.index(factor)][:, None] + np.arange(layout.widths[factor])
    A = _diagonal_blocks(gram, at)
    return A, left[at] + np.einsum("kab,kb->ka", A, effects[factor])


def _across(blocks: Blocks) -> list[Any]:
    """Return Z_0'Z_rest of each term of the first factor as sparse arrays (J, R)."""
    from scipy import sparse

    shape = len(blocks.start) - 1, len(blocks.head)
    return [
        sparse.csr_array((blocks.value[:, a], blocks.column, blocks.start), shape)
        for a in range(blocks.value.shape[1])
    ]


def _gram(blocks: Blocks) -> Any:
    """Return Z_rest'Z_rest as a sparse array (R, R)."""
    from scipy import sparse

    n, row = (
        len(blocks.head),
        np.repeat(np.arange(len(blocks.head)), np.diff(blocks.gram_start)),
    )
    column = blocks.gram_column
    value = blocks.pairs[blocks.gram_pair, blocks.term[row], blocks.term[column]]
    lower = sparse.csr_array((value, column, blocks.gram_start), (n, n))
    return (lower + sparse.tril(lower, -1).T).tocsr()


def _diagonal_blocks(gram: Any, at: Int) -> Float:
    """Return the blocks (n, q, q) of a sparse array at positions (n, q)."""
    q = at.shape[1]
    out = np.empty((len(at), q, q))
    for a in range(q):
        for b in range(q):
            out[:, a, b] = gram[at[:, a], at[:, b]]
    return out
