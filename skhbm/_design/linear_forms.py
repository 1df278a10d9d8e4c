"""Linear forms of the sampled effects, which are all that the likelihood needs of them.

In the letters of `skhbm._design.pseudo_rows` the forms are d_j = sum_i Q_i o_i for each group,
the sums of x~_i o_i and y~_i o_i for each within part, and forms whose squares add up to the
squares of the o_i. They are the rows of one sparse matrix, so that one product gives all of
them, and one product with its transpose gives the gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from skhbm._design.pseudo_rows import PseudoRows
    from skhbm._types import Float, Int


__all__ = ["Forms", "first_effects", "make_forms", "shift_forms"]

#: Entries below this share of the largest of their kind are rounding.
ROUNDING = 1e-14


class Forms(NamedTuple):
    """A sparse matrix by rows: n_groups q forms d, n_within m for W, and then the squares.

    Attributes
    ----------
    start : (n_forms + 1,), column : (n_entries,), value : (n_entries,)
        Entries of row i are those from start[i] to start[i + 1].
    within : (n_squares,), the within part that each square belongs to
    n_effects : int
    """

    start: Int
    column: NDArray[np.int32]
    value: Float
    within: Int
    n_effects: int


def first_effects(codes: Sequence[Int], widths: Any, sizes: Sequence[int]) -> Int:
    """Return the position of the first effect of each row's groups (n_rows, n_factors).

    Effects are ordered by factor, group and term. The position is -1 where a code is negative.
    """
    totals = np.array(sizes) * np.array(widths)
    groups = np.stack(codes, axis=1)
    first: Int = np.cumsum(totals) - totals + groups * np.array(widths)
    return np.where(groups < 0, -1, first)


def shift_forms(pseudo_rows: PseudoRows, sizes: Sequence[int], n_groups: int) -> Any:
    """Return the sparse matrix of the forms d (n_groups q, n_effects)."""
    rows, z, n_effects = _entries(pseudo_rows, sizes)
    q = pseudo_rows.Q.shape[1]
    form = pseudo_rows.group[:, None] * q + np.arange(q)
    shape = n_groups * q, n_effects
    return _matrix(form, pseudo_rows.Q, rows, z, shape)  # derivation (11), E_y


def make_forms(
    pseudo_rows: PseudoRows, sizes: Sequence[int], n_groups: int, n_within: int, columns: Float
) -> Forms:
    """Collect all forms; `columns` has the columns of the basis in terms of the fixed ones."""
    rows, z, n_effects = _entries(pseudo_rows, sizes)
    within = pseudo_rows.within @ columns
    m = within.shape[1]
    part = pseudo_rows.group if n_within > 1 else np.zeros_like(pseudo_rows.group)
    form = part[:, None] * m + np.arange(m)
    of_within = _matrix(form, within, rows, z, (n_within * m, n_effects))  # derivation (11), W
    squares, square_part = _squares(pseudo_rows, part, rows, n_effects)
    matrix = sparse.vstack(
        [shift_forms(pseudo_rows, sizes, n_groups), of_within, squares]
    ).tocsr()
    return Forms(
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.int32),
        matrix.data,
        square_part,
        n_effects,
    )


def _entries(pseudo_rows: PseudoRows, sizes: Sequence[int]) -> tuple[Int, Float, int]:
    """Return the effects of each pseudo-row and what multiplies them (n_rows, n_terms)."""
    widths = [z.shape[1] for z in pseudo_rows.terms]
    first = first_effects(pseudo_rows.codes, widths, sizes)
    effects = [first[:, [f]] + np.arange(width) for f, width in enumerate(widths)]
    return np.hstack(effects), np.hstack(pseudo_rows.terms), int(np.dot(sizes, widths))


def _matrix(form: Int, weight: Float, effect: Int, z: Float, shape: tuple[int, int]) -> Any:
    """Sum weight[i, a] z[i, t] into row form[i, a] and column effect[i, t]."""
    data = weight[:, :, None] * z[:, None, :]
    rows, columns = (
        np.broadcast_to(x, data.shape) for x in (form[:, :, None], effect[:, None])
    )
    matrix = sparse.coo_array((data.ravel(), (rows.ravel(), columns.ravel())), shape).tocsr()
    if matrix.nnz:
        matrix.data[np.abs(matrix.data) < ROUNDING * np.abs(matrix.data).max()] = 0.0
        matrix.eliminate_zeros()
    return matrix


def _squares(
    pseudo_rows: PseudoRows, part: Int, effect: Int, n_effects: int
) -> tuple[Any, Int]:
    """Return forms whose squares sum to the squares of the rows' offsets, and their parts.

    Pseudo-rows of the same groups share as many forms as they have terms.
    """
    z = np.hstack(pseudo_rows.terms)
    keys = np.column_stack([part, *pseudo_rows.codes])
    _, first, kind = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    n_terms = z.shape[1]
    cross = np.zeros((len(first), n_terms, n_terms))
    np.add.at(cross, kind, z[:, :, None] * z[:, None, :])
    values, vectors = np.linalg.eigh(cross)
    spanned = values > ROUNDING * values[:, -1:]
    cell, direction = np.nonzero(spanned)
    roots = vectors[cell, :, direction] * np.sqrt(values[cell, direction])[:, None]
    row = np.broadcast_to(np.arange(len(cell))[:, None], roots.shape)
    entries = (roots.ravel(), (row.ravel(), effect[first[cell]].ravel()))
    return sparse.coo_array(entries, (len(cell), n_effects)).tocsr(), part[first[cell]]
