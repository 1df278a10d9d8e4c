"""Rows that are alike made one: the patterns of responses that are not normal."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skhbm._inputs.levels import Levels, encode_levels
from skhbm._inputs.packed import pack, unpack
from skhbm._statistics.alike import sort_alike
from skhbm._statistics.cells import distinct
from skhbm._statistics.grouped import check_same_columns, recode

if TYPE_CHECKING:
    from skhbm._inputs.rows import FitRows
    from skhbm._types import Float, Int

__all__ = ["Patterns", "patterns_of_rows"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Patterns:
    """The different rows of some data, with how often each occurs, in order of their groups.

    Of an additive family, rows with the same groups and features are one pattern, whose y and
    size are their sums. Of others, rows with the same y and size, too, are one pattern, whose
    weight is their number. Either way the sum over patterns of weight times log density is that
    over rows, up to a constant. The patterns of disjoint rows add.

    Parameters
    ----------
    factors : tuple of Levels
        The labels of each grouping factor; empty if there is none.
    codes : ndarray of int of shape (n_patterns, n_factors)
        The group of each pattern in each factor. Patterns are in lexicographic order of codes.
    X : ndarray of shape (n_patterns, n_features)
        Features.
    y : ndarray of shape (n_patterns,)
        Response: successes, count or value; of an additive family the sum over rows.
    size : ndarray of shape (n_patterns,)
        Trials or exposure, or 1; of an additive family the sum over rows.
    weight : ndarray of shape (n_patterns,)
        How often the pattern counts: 1 if the family is additive, otherwise n.
    n : ndarray of shape (n_patterns,)
        Number of rows (sum of weights, if weighted).
    additive : bool
        Whether y and size are sums.
    feature_names : tuple of str or None
        Names of the features, if the data had any.
    """

    factors: tuple[Levels, ...]
    codes: Int
    X: Float
    y: Float
    size: Float
    weight: Float
    n: Float
    additive: bool
    feature_names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        """Return the number of patterns."""
        return len(self.n)

    def __repr__(self) -> str:
        """Say how much there is, not what."""
        groups = ", ".join(f"{len(levels)} of {levels.name!r}" for levels in self.factors)
        return (
            f"<Patterns: {len(self)} of {self.n.sum():g} rows, groups: {groups or None}, "
            f"{self.n_features} features>"
        )

    def __getstate__(self) -> list[Any]:
        return [pack(getattr(self, field.name)) for field in fields(self)]

    def __setstate__(self, state: list[Any]) -> None:
        for field, value in zip(fields(self), state, strict=True):
            object.__setattr__(self, field.name, unpack(value))

    def __add__(self, other: Self) -> Self:
        """Merge with the patterns of other rows, of the same family."""
        if not isinstance(other, Patterns):
            return NotImplemented
        check_same_columns(self, other)
        if self.additive != other.additive:
            msg = (
                "Only statistics of the same response can be merged. Got one that can be "
                "summed over rows, and one that cannot."
            )
            raise ValueError(msg)
        both = (self, other)
        factors = tuple(a.union(b) for a, b in zip(self.factors, other.factors, strict=True))
        codes = np.concatenate([recode(p.codes, p.factors, factors) for p in both])
        codes, cells = distinct(codes)
        X, y, size, n = (
            np.concatenate([getattr(p, name) for p in both]) for name in ("X", "y", "size", "n")
        )
        names = self.feature_names or other.feature_names
        # y and size of an additive family are sums already.
        counts = np.ones(len(n)) if self.additive else n
        merged = _merge(codes, cells, X, y, size, counts, n, additive=self.additive)
        return type(self)(factors, *merged, self.additive, names)

    def __radd__(self, other: Any) -> Self:
        """Let ``sum(patterns)`` begin with 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    @property
    def known_errors(self) -> bool:
        """Whether rows are weighted by known errors, as normal ones may be."""
        return False

    @property
    def n_features(self) -> int:
        """Number of features."""
        return self.X.shape[1]

    @property
    def levels(self) -> Levels:
        """The labels of the first grouping factor, or of the one group of all rows."""
        return self.factors[0] if self.factors else encode_levels(None, 0)[0]

    def order_by(self, factor: int) -> Int:
        """Return the order (n_patterns,) that sorts patterns by their groups in a factor.

        Within a group they stay in order. For the first factor, and without any, it is the
        order that they are in.
        """
        if factor == 0:
            return np.arange(len(self))
        return np.argsort(self.codes[:, factor], kind="stable")

    def starts(self, factor: int = 0) -> Int:
        """Return where each group of a factor starts in `order_by`, and the end of the last."""
        if not self.factors:
            return np.array([0, len(self)])
        counts = np.bincount(self.codes[:, factor], minlength=len(self.factors[factor]))
        return np.concatenate([[0], np.cumsum(counts)])


def patterns_of_rows(rows: FitRows, size: Any = 1.0, *, additive: bool) -> Patterns:
    """Find the patterns of checked rows; those of weight zero are left out.

    Parameters
    ----------
    rows : FitRows
        Rows without known errors.
    size : ndarray of shape (n,) or float
        Trials, exposures, or 1.
    additive : bool
        Whether y and size of rows that share groups and features can be summed.
    """
    X, y, factors, weights, _, names = rows
    size = np.broadcast_to(np.asarray(size, dtype=float), y.shape)
    if weights is not None and not np.all(weights > 0):
        kept = weights > 0
        X, y, size, weights = X[kept], y[kept], size[kept], weights[kept]
        factors = [(name, labels[kept]) for name, labels in factors]
    encoded = [encode_levels(labels, len(y), name) for name, labels in factors]
    levels = tuple(level for level, _ in encoded)
    if len(levels) == 1:
        codes, cells = np.arange(len(levels[0]))[:, None], encoded[0][1]
    else:
        columns = [code for _, code in encoded]
        codes, cells = distinct(np.array(columns, dtype=np.int64).reshape(-1, len(y)).T)
    n = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=float)
    merged = _merge(codes, cells, X, y, size, n, n, additive=additive)
    return Patterns(levels, *merged, additive, names)


def _merge(
    codes: Int, cells: Int, X: Any, y: Float, size: Float, counts: Float, n: Float, *,
    additive: bool,
) -> tuple[Int, Float, Float, Float, Float, Float]:  # fmt: skip
    """Return codes, X, y, size, weight and n of the patterns among rows.

    codes (n_cells, n_factors) are those of the cells (n,) of rows. A row counts `counts` times
    in sums, and is n rows of data.
    """
    columns = [X[:, k] for k in range(X.shape[1])] + ([] if additive else [y, size])
    order, starts = sort_alike(cells, len(codes), columns)
    first = order[starts]
    kinds = codes[cells[first]], np.ascontiguousarray(X[first], dtype=np.float64) + 0.0
    n = np.add.reduceat(n[order], starts)
    if not additive:
        return *kinds, y[first] + 0.0, size[first] + 0.0, n, n.copy()
    y, size = (np.add.reduceat((values * counts)[order], starts) for values in (y, size))
    return *kinds, y, size, np.ones(len(n)), n
