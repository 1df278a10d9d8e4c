"""The statistics of each group, split into what its effects can explain and what is left.

The columns Z_j of the varying terms are an orthonormal basis Q_j times a root R_j. Of the fixed
terms and the response, E_j is the part that Z_j spans, and W_j has the cross-products of the
rest: equation (2) of the derivation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from skhbm._design.scaling import Scaling
    from skhbm._design.terms import Terms
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float, Int


__all__ = ["Parts", "make_parts", "spanned_directions", "split_roots"]

#: Directions of Z with less than this share of the largest are not spanned.
RANK_TOLERANCE = 1e-13


class Parts(NamedTuple):
    """What the likelihood needs of each group, before anything is summed over groups.

    Attributes
    ----------
    roots : (n_groups, q, q + m), R_j and E_j side by side
    W : (n_groups, m, m), what is left within each group
    n, weight, degrees : (n_groups,), rows, their weight, and degrees of freedom that the
        group's terms leave over
    """

    roots: Float
    W: Float
    n: Float
    weight: Float
    degrees: Float


def make_parts(statistics: GroupedStatistics, scaling: Scaling, terms: Terms) -> Parts:
    """Split each group's statistics into within and between parts; groups may be empty."""
    R, E, W, rank = split_roots(statistics, scaling, terms)
    roots = np.concatenate([R, E], axis=2)
    degrees = np.maximum(statistics.n - rank, 0.0)
    return Parts(roots, W, statistics.n, statistics.weight, degrees)


def split_roots(
    statistics: GroupedStatistics, scaling: Scaling, terms: Terms
) -> tuple[Any, Any, Any, Any]:
    """Return R (J, q, q), E (J, q, m), W (J, m, m) and the rank of each Z_j.

    The row of means is split off first, exactly. The centred rest of the varying features is
    split by an eigenvalue decomposition, which drops what a group does not span.
    """
    z, sqrt_n = terms.slopes, np.sqrt(statistics.weight)[:, None]
    R_rest, E_rest, W, rank = _split_centred(statistics, scaling, terms)
    # Each group's means are one row, whose squares add to those of the centred rows.
    R_mean = sqrt_n * ((statistics.mean[:, z] - scaling.origin_of(terms)) / scaling.x_scale[z])
    E_mean = sqrt_n * ((statistics.mean - scaling.origin) / scaling.unit)
    if terms.intercept:
        E_mean = np.hstack([sqrt_n, E_mean])
    R_all = np.concatenate([R_mean[:, None], R_rest], axis=1)
    E_all = np.concatenate([E_mean[:, None], E_rest], axis=1)
    if terms.varying_intercept:
        first = np.zeros((len(R_all), len(z) + 1, 1))
        first[:, 0] = sqrt_n
        return np.concatenate([first, R_all], axis=2), E_all, W, rank
    if not len(z):
        return R_all[:, :0], E_all[:, :0], W + E_all.mT @ E_all, rank * 0.0
    # Slopes alone span as many directions as there are slopes: the last row is left over.
    Q, R_all = np.linalg.qr(R_all, mode="complete")
    E_all = Q.mT @ E_all
    left = E_all[:, -1:]
    return R_all[:, :-1], E_all[:, :-1], W + left.mT @ left, rank


def spanned_directions(cross: Float, slopes: Int) -> tuple[Float, Float, Any]:
    """Decompose the cross-products (n, d, d) of centred slopes, which may be none.

    Return eigenvalues (n, k), eigenvectors (n, k, k) and which directions (n, k) are spanned.
    """
    values, vectors = np.linalg.eigh(cross[:, slopes[:, None], slopes[None, :]])
    return values, vectors, values > RANK_TOLERANCE * np.maximum(values[:, -1:], 0.0)


def _split_centred(
    statistics: GroupedStatistics, scaling: Scaling, terms: Terms
) -> tuple[Float, Float, Float, Float]:
    """Split the centred rows; return R (J, k, k), E (J, k, m), W (J, m, m) and ranks (J,).

    k is the number of varying slopes. The ranks count the row of means, too.
    """
    # Centred rows have no intercept. Many columns fill much memory, which is taken once.
    first, z = int(terms.intercept), terms.slopes
    J, d, _ = statistics.cross.shape
    W = np.zeros((J, d + first, d + first))
    cross = W[:, first:, first:]
    scaling.standardised(statistics.cross, out=cross)
    values, vectors, spanned = spanned_directions(cross, z)
    root = np.sqrt(np.where(spanned, values, 1.0))
    R = np.where(spanned, root, 0.0)[:, :, None] * vectors.mT
    E = np.where(spanned[:, :, None], vectors.mT @ cross[:, z], 0.0) / root[:, :, None]
    if len(z):
        cross -= E.mT @ E  # derivation (2)
    if first:
        E = np.pad(E, ((0, 0), (0, 0), (1, 0)))
    return R, E, W, spanned.sum(axis=1) + 1.0
