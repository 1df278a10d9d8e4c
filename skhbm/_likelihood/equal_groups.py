"""Groups of equal design share their algebra.

Groups with the same R_j have the same B_j, and only the sum of the outer products of their
vec(E_j) enters the likelihood. Any other vectors with the same sum give the same likelihood.
The rows of the triangular factor of a QR decomposition are q m such vectors, however many
groups there are. With varying intercepts the work then grows with the number of distinct sizes,
not of groups.

Where effects of other factors are taken off the response, it changes with every evaluation.
Then only the columns of X are taken together in advance, and the response follows: see
`Classes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from skhbm._types import Float


__all__ = ["share_equal_work"]

#: Roots that agree in so many digits of the largest root are equal.
DIGITS = 13


def share_equal_work(R: Float, E: Float) -> tuple[Float, Float, Float]:
    """Replace groups of equal R by fewer with the same likelihood.

    Parameters
    ----------
    R : ndarray of shape (n_groups, q, q)
    E : ndarray of shape (n_groups, q, m)

    Returns
    -------
    R, E : ndarray of shape (n_rows, q, q) and (n_rows, q, m)
        No more rows than there were groups.
    weight : ndarray of shape (n_rows,)
        The number of groups that a row stands for: log|B| counts so many times.
    """
    _, q, m = E.shape
    vectors = E.reshape(len(E), q * m)
    _, kind, size = np.unique(
        _rounded(R.reshape(len(R), q * q)), axis=0, return_inverse=True, return_counts=True
    )
    alone = size[kind] <= q * m
    rows, values, weights = [R[alone]], [vectors[alone]], [np.ones(int(alone.sum()))]
    members = np.argsort(kind, kind="stable")
    last = np.cumsum(size)
    for k in np.flatnonzero(size > q * m):
        equal = members[last[k] - size[k] : last[k]]
        factor = np.linalg.qr(vectors[equal], mode="r")
        rows.append(np.repeat(R[equal[:1]], len(factor), axis=0))
        values.append(factor)
        weights.append(np.eye(1, len(factor))[0] * size[k])
    return (
        np.concatenate(rows),
        np.concatenate(values).reshape(-1, q, m),
        np.concatenate(weights),
    )


def _rounded(R: Float) -> Float:
    """Return roots without the last digits, which depend on the order of the rows."""
    return np.round(R / np.max(np.abs(R), initial=np.finfo(float).tiny), DIGITS)
