"""Rows become cells, once: counts, means and centred cross-products per group.

Past this module nothing depends on the number of rows: a thousand and a billion
cost the same to sample from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numba import njit

from skhbm._inputs import as_rows
from skhbm._labels import Levels, as_labels, encode_levels, hashables

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Float = NDArray[np.float64]
    Int = NDArray[np.int64]

__all__ = ["GroupedStatistics", "reduce_rows", "statistics_of_rows"]

#: Rows converted to float64 at a time: the only copy of X that is made.
CHUNK = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class GroupedStatistics:
    """Counts, means and centred cross-products of (X, y) in each group.

    The statistics of disjoint rows add, so rows may arrive in any chunks, in any order,
    from any place: ``GroupedStatistics.from_arrays(...) + GroupedStatistics...``.

    Parameters
    ----------
    levels : Levels
        The labels of the groups, in the order of the first axis of the arrays.
    n : ndarray of shape (n_groups,)
        Number of rows (sum of weights, if weighted).
    mean : ndarray of shape (n_groups, n_features + 1)
        Means of the features and, last, of the target.
    cross : ndarray of shape (n_groups, n_features + 1, n_features + 1)
        Cross-products about the means of the group.

    References
    ----------
    .. [1] T. F. Chan, G. H. Golub and R. J. LeVeque (1983). Algorithms for computing the
       sample variance: analysis and recommendations. The American Statistician 37(3),
       242-247. https://doi.org/10.1080/00031305.1983.10483115

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.array([[0.0], [2.0], [1.0]]), np.array([1.0, 3.0, 5.0])
    >>> first = GroupedStatistics.from_arrays(X[:2], y[:2], groups=["a", "b"])
    >>> both = first + GroupedStatistics.from_arrays(X[2:], y[2:], groups=["a"])
    >>> both.n
    array([2., 1.])
    >>> both.mean[0]
    array([0.5, 3. ])
    """

    levels: Levels
    n: Float
    mean: Float
    cross: Float

    @classmethod
    def from_arrays(
        cls,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Reduce rows to the statistics of their groups, in one pass.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or None
            Features; None for a model without any.
        y : array-like of shape (n_samples,)
            Target.
        groups : array-like of shape (n_samples,), default=None
            Labels of any hashable kind. None puts all rows into one group.
        sample_weight : array-like of shape (n_samples,), default=None
            Frequencies: a weight of 2 is the row twice.

        Returns
        -------
        GroupedStatistics

        Raises
        ------
        ValueError
            If lengths differ, a label is missing, a value is not finite, or a weight
            is negative.
        """
        X, y, weights = as_rows(X, y, sample_weight)
        name = getattr(groups, "name", None)
        merged = statistics_of_rows(X, y, as_labels(groups, len(y)), weights, name)
        return cls(merged.levels, merged.n, merged.mean, merged.cross)

    def __add__(self, other: Self) -> Self:
        """Merge with the statistics of other rows (Chan, Golub & LeVeque 1983)."""
        if self.n_features != other.n_features:
            msg = (
                "Only statistics of the same features can be merged. "
                f"Got {self.n_features} and {other.n_features} features."
            )
            raise ValueError(msg)
        levels = self.levels.union(other.levels)
        a, b = self._spread(levels), other._spread(levels)
        n = a.n + b.n
        share = np.divide(b.n, n, out=np.zeros_like(n), where=n > 0)
        delta = b.mean - a.mean
        mean = a.mean + delta * share[:, None]
        between = (a.n * share)[:, None, None] * delta[:, :, None] * delta[:, None, :]
        return type(self)(levels, n, mean, a.cross + b.cross + between)

    @property
    def n_features(self) -> int:
        """Number of features, the target not counted."""
        return self.mean.shape[1] - 1

    def _among(self, levels: Levels) -> Self:
        """Return the statistics of groups of these levels; empty for those not here."""
        codes, _, _ = self.levels.encode(levels.labels, len(levels))
        here = codes >= 0
        parts = []
        for array in (self.n, self.mean, self.cross):
            part = np.zeros((len(levels), *array.shape[1:]))
            part[here] = array[codes[here]]
            parts.append(part)
        return type(self)(levels, *parts)

    def _spread(self, levels: Levels) -> Self:
        """Place the groups among more levels, the new ones empty."""
        where = levels.codes_of(hashables(self.levels.labels))
        n = np.zeros(len(levels))
        mean = np.zeros((len(levels), *self.mean.shape[1:]))
        cross = np.zeros((len(levels), *self.cross.shape[1:]))
        n[where], mean[where], cross[where] = self.n, self.mean, self.cross
        return type(self)(levels, n, mean, cross)


def statistics_of_rows(
    X: Any, y: Float, labels: Any, weights: Float | None, name: str | None
) -> GroupedStatistics:
    """Reduce rows that are validated already; those of weight zero are left out."""
    if weights is not None and not np.all(weights > 0):
        kept = weights > 0
        X, y, weights = X[kept], y[kept], weights[kept]
        labels = labels if labels is None else labels[kept]
    levels, codes = encode_levels(labels, len(y), name)
    return GroupedStatistics(levels, *reduce_rows(X, y, codes, len(levels), weights))


def reduce_rows(
    X: Any, y: Float, codes: Int, n_groups: int, weights: Float | None
) -> tuple[Float, Float, Float]:
    """Accumulate n, means and centred cross-products of coded rows, in chunks.

    X (n_samples, n_features) may have any float dtype and memory order.
    """
    d = X.shape[1] + 1
    n = np.zeros(n_groups)
    mean = np.zeros((n_groups, d))
    cross = np.zeros((n_groups, d, d))
    none = np.zeros(0)
    for start in range(0, len(y), CHUNK):
        rows = slice(start, start + CHUNK)
        chunk = np.ascontiguousarray(X[rows], dtype=np.float64)
        target = np.ascontiguousarray(y[rows], dtype=np.float64)
        weight = none if weights is None else weights[rows]
        _accumulate(chunk, target, codes[rows], weight, n, mean, cross)
    lower = np.tril_indices(d, -1)
    cross[:, lower[1], lower[0]] = cross[:, lower[0], lower[1]]
    return n, mean, cross


@njit(cache=True, nogil=True, error_model="numpy")
def _accumulate(X, y, codes, weights, n, mean, cross):
    """Update the lower triangles with each row (West 1979, Welford's with weights)."""
    p = X.shape[1]
    delta = np.empty(p + 1)
    for i in range(len(y)):
        w = weights[i] if len(weights) else 1.0
        j = codes[i]
        n[j] += w
        share = w / n[j]
        for a in range(p):
            delta[a] = X[i, a] - mean[j, a]
        delta[p] = y[i] - mean[j, p]
        rest = w * (1.0 - share)
        for a in range(p + 1):
            mean[j, a] += share * delta[a]
            scaled = rest * delta[a]
            for b in range(a + 1):
                cross[j, a, b] += scaled * delta[b]
