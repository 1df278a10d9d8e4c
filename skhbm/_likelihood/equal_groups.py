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

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from skhbm._types import Float, Int


__all__ = ["Classes", "make_classes", "share_equal_work"]

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


class Classes(NamedTuple):
    """Groups of equal R, one term varying, for a response that changes.

    Let Q be an orthonormal basis of the columns of E_x of a class, and e its response, one
    number for each group. The first slots of the class have Q'E_x and Q'e. Its last slot has no
    E_x, and the norm of the rest of e. A class of few groups has these groups themselves as its
    slots.

    Attributes
    ----------
    of_group : (n_groups,), the class of each group
    first : (n_classes + 1,), the first slot of each class
    has_rest : (n_classes,), whether its last slot is that of the rest
    Q : (n_groups, width), zero in the columns that a class does not have
    roots : (n_slots, 1, 1 + m - 1), R and E_x of the slots
    weight : (n_slots,), how many groups a slot stands for: log|B| counts so many times
    """

    of_group: Int
    first: Int
    has_rest: Int
    Q: Float
    roots: Float
    weight: Float

    def responses(self, e: Float) -> Float:
        """Return the responses of the slots (n_slots,), given e of the groups (n_groups,)."""
        out = np.zeros(self.first[-1])
        for c, (start, stop) in enumerate(zip(self.first, self.first[1:], strict=False)):
            members = self.of_group == c
            e_c, Q = e[members], self.Q[members]
            inside = Q[:, : stop - start - self.has_rest[c]].T @ e_c
            out[start : start + len(inside)] = inside
            if self.has_rest[c]:
                out[stop - 1] = np.sqrt(max(e_c @ e_c - inside @ inside, 0.0))
        return out


def make_classes(R: Float, E: Float) -> Classes:
    """Find the classes of groups with R (n_groups, 1, 1) and E_x (n_groups, 1, m - 1)."""
    n_groups, width = len(R), max(E.shape[2], 1)
    _, kind, size = np.unique(_rounded(R[:, 0, 0]), return_inverse=True, return_counts=True)
    # A class saves work only if it has more groups than slots.
    alone = size[kind] <= width + 1
    kind = np.where(alone, len(size) + np.arange(n_groups), kind)
    _, of_group = np.unique(kind, return_inverse=True)
    Q = np.zeros((n_groups, width))
    Q[alone, 0] = 1.0
    first, has_rest, roots, weights = [0], [], [], []
    members = np.split(np.argsort(of_group, kind="stable"), np.cumsum(np.bincount(of_group)))
    for equal in members[:-1]:
        E_x = E[equal, 0]
        if not alone[equal[0]]:
            Q[equal, : E_x.shape[1]], E_x = np.linalg.qr(E_x)
            E_x = np.vstack([E_x, np.zeros(E_x.shape[1])])
        roots.append(np.hstack([np.full((len(E_x), 1), R[equal[0], 0, 0]), E_x]))
        weights.append(np.eye(1, len(E_x))[0] * len(equal))
        has_rest.append(int(not alone[equal[0]]))
        first.append(first[-1] + len(E_x))
    return Classes(
        of_group.astype(np.int64),
        np.array(first, dtype=np.int64),
        np.array(has_rest, dtype=np.int64),
        Q,
        np.concatenate(roots)[:, None],
        np.concatenate(weights),
    )
