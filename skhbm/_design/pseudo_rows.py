"""Pseudo-rows: what the likelihood needs to know of rows when effects are sampled.

With several grouping factors the effects u of all but one are among the sampled parameters.
They shift the rows by o = Z u. Rows of a cell have the same effects, so that an orthogonal
transformation of a cell leaves as many pseudo-rows as Z has columns, however many rows there
are. If only intercepts vary that is one, the mean times the root of the count.

With an orthonormal basis Q_j of the integrated effects in group j, as in
`skhbm._likelihood.marginal`, the sums over the pseudo-rows i of equation (11) of the derivation
are

    E_y(u) = E_y - d,                    d_j = sum_i Q_i o_i over the pseudo-rows of group j,
    W_xy(u) = W_xy - sum_i x~_i o_i,     x~_i = x_i - E_x' Q_i, the part of x_i within groups,
    W_yy(u) = W_yy - 2 sum_i y~_i o_i + sum_i o_i^2 - sum_j |d_j|^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._design.roots import spanned_directions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._design.scaling import Scaling
    from skhbm._design.terms import Terms
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float, Int


__all__ = ["PseudoRows", "make_pseudo_rows"]


@dataclass(frozen=True, slots=True, eq=False)
class PseudoRows:
    """Pseudo-rows, in working units, sorted by the group whose effects are integrated out.

    Parameters
    ----------
    group : ndarray of int of shape (n_rows,)
    codes : tuple of ndarray of int of shape (n_rows,)
        The group in each of the other factors.
    terms : tuple of ndarray of shape (n_rows, q_f)
        The varying terms of each of the other factors.
    integrated : ndarray of shape (n_rows, q)
        The varying terms of the factor that is integrated out.
    Q : ndarray of shape (n_rows, q)
    xy : ndarray of shape (n_rows, m)
        Fixed terms and response.
    within : ndarray of shape (n_rows, m)
        Their part within groups, x~ and y~.
    rest : ndarray of shape (1, m, m), or (n_groups, m, m) if by_group
        Cross-products of fixed terms and response that pseudo-rows do not account for.
    """

    group: Int
    codes: tuple[Int, ...]
    terms: tuple[Float, ...]
    integrated: Float
    Q: Float
    xy: Float
    within: Float
    rest: Float


def make_pseudo_rows(
    statistics: GroupedStatistics,
    scaling: Scaling,
    terms: Sequence[Terms],
    integrated: int,
    roots: Float,
) -> PseudoRows:
    """Turn cells into pseudo-rows; `roots` (J, q, q + m) belong to the integrated factor."""
    order = np.argsort(statistics.codes[:, integrated], kind="stable")
    codes = statistics.codes[order]
    cross = scaling.standardised(statistics.cross[order])
    slopes = np.unique(np.concatenate([part.slopes for part in terms]))
    centred_cell, centred = _centred_rows(cross, slopes)
    at_zero, xy = _columns(statistics, scaling, order, centred)
    cell = np.concatenate([np.arange(len(codes)), centred_cell])
    # A cell's mean comes first, then its centred rows, and so group by group.
    sequence = np.argsort(codes[cell, integrated], kind="stable")
    cell, at_zero, xy = cell[sequence], at_zero[sequence], xy[sequence]
    values = [(xy if part.centred else at_zero)[:, part.varying_positions] for part in terms]
    if not terms[0].intercept:
        xy = xy[:, 1:]
    group = codes[cell, integrated]
    R, E = np.split(roots, [values[integrated].shape[1]], axis=2)
    Q = np.einsum("iab,ia->ib", np.linalg.pinv(R, rcond=1e-12)[group], values[integrated])
    others = [f for f in range(len(terms)) if f != integrated]
    return PseudoRows(
        group,
        tuple(codes[cell, f] for f in others),
        tuple(np.ascontiguousarray(values[f]) for f in others),
        values[integrated],
        Q,
        xy,
        xy - np.einsum("iqm,iq->im", E[group], Q),
        _rest(cross, centred_cell, centred, codes[:, integrated], terms[0]),
    )


def _columns(
    statistics: GroupedStatistics, scaling: Scaling, order: Int, centred: Float
) -> tuple[Float, Float]:
    """Return the columns of pseudo-rows: means of cells in this order, then centred rows.

    They are the intercept and the features about x = 0 (n_rows, 1 + p), and the intercept,
    features and response about their means (n_rows, 1 + p + 1).
    """
    root = np.sqrt(statistics.weight[order])[:, None]
    features = root * (statistics.mean[order, :-1] / scaling.x_scale)
    both = root * ((statistics.mean[order] - scaling.origin) / scaling.unit)
    intercept = np.concatenate([root[:, 0], np.zeros(len(centred))])[:, None]
    at_zero = np.hstack([intercept, np.vstack([features, centred[:, :-1]])])
    return at_zero, np.hstack([intercept, np.vstack([both, centred])])


def _rest(cross: Float, cell: Int, rows: Float, group: Int, terms: Terms) -> Float:
    """Return what is left of the cross-products within cells, in all or in each group."""
    part = group if terms.by_group else np.zeros_like(group)
    out = np.zeros((int(part.max()) + 1, *cross.shape[1:]))
    np.add.at(out, part, cross)
    np.add.at(out, part[cell], -rows[:, :, None] * rows[:, None, :])
    # Centred rows have no intercept.
    return np.pad(out, ((0, 0), (1, 0), (1, 0))) if terms.intercept else out


def _centred_rows(cross: Float, slopes: Int) -> tuple[Int, Float]:
    """Return the cell of each pseudo-row and the rows, which span the centred slopes."""
    values, vectors, spanned = spanned_directions(cross, slopes)
    cell, direction = np.nonzero(spanned)
    rows: Any = np.einsum("ia,iad->id", vectors[cell, :, direction], cross[cell][:, slopes])
    return cell, rows / np.sqrt(values[cell, direction])[:, None]
