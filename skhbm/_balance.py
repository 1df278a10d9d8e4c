"""Groups of equal design share their algebra.

Groups with the same R_j have the same B_j, and only the sum of the outer products of their
vec(E_j) enters the likelihood. Any rows with the same sum do: those of the triangular
factor of a QR decomposition, q m of them however many groups there are. With varying
intercepts the work is then in the number of distinct sizes, not of groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float64]

__all__ = ["share_equal_work"]


def share_equal_work(R: Float, E: Float) -> tuple[Float, Float, Float]:
    """Replace groups of equal R by fewer with the same likelihood.

    Parameters
    ----------
    R : ndarray of shape (n_groups, q, q)
    E : ndarray of shape (n_groups, q, m)

    Returns
    -------
    R, E : ndarray of shape (n_rows, q, q) and (n_rows, q, m)
        At most as many as there were.
    weight : ndarray of shape (n_rows,)
        How many groups each stands for: how often its log|B| counts.
    """
    _, q, m = E.shape
    vectors = E.reshape(len(E), q * m)
    _, kind, size = np.unique(
        R.reshape(len(R), q * q), axis=0, return_inverse=True, return_counts=True
    )
    alone = size[kind] <= q * m
    rows, values, weights = [R[alone]], [vectors[alone]], [np.ones(int(alone.sum()))]
    members = np.argsort(kind, kind="stable")
    last = np.cumsum(size)
    for k in np.flatnonzero(size > q * m):
        own = members[last[k] - size[k] : last[k]]
        factor = np.linalg.qr(vectors[own], mode="r")
        rows.append(np.repeat(R[own[:1]], len(factor), axis=0))
        values.append(factor)
        weights.append(np.eye(1, len(factor))[0] * size[k])
    return (
        np.concatenate(rows),
        np.concatenate(values).reshape(-1, q, m),
        np.concatenate(weights),
    )
