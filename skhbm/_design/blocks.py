"""Cross-products of the effects of several factors, in the order in which they are eliminated.

    y = D v + sum_f Z_f u_f + e

The first factor, which has the most coefficients, has block-diagonal cross-products and is
eliminated level by level. The coefficients of all other factors, the rest, come after it, and
last the columns D = [fixed terms, response]. All values are in working units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skhbm._design.cell_sums import Sums, fixed_columns, varying_columns
from skhbm._design.elimination import Pattern, find_pattern, order_levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._design.scaling import Scaling
    from skhbm._design.terms import Terms
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float, Int

__all__ = ["Blocks", "Layout", "first_factor", "make_blocks"]

#: Variance of a row's response, in working units, that is rounding: for a level of one row, and
#: times the rows of the largest. With a smaller residual variance sigma^2 the sums of squares
#: of terms over sigma^2, to which M adds one, would leave no digits of it.
ROUNDING = 1e-12


class Blocks(NamedTuple):
    """Cross-products of Z and D, of J levels of the first factor and R coefficients of others.

    Attributes
    ----------
    A : (J, q, q), Z_0'Z_0
    E : (J, q, m), Z_0'D
    B : (R, m), Z_rest'D
    C : (m, m), D'D
    start : (J + 1,), column : (n_entries,), value : (n_entries, q)
        Z_0'Z_rest: level i of the first factor occurs with the coefficients
        ``column[start[i]:start[i + 1]]``, in ascending order.
    by_column : (R + 1,), level, entry : (n_entries,)
        The same by columns: levels, and positions of the entries among `value`.
    gram_start : (R + 1,), gram_column, gram_pair : (n_gram,)
        Z_rest'Z_rest up to the diagonal, row by row: column of each entry, and the pair of
        levels that it belongs to.
    pairs : (n_pairs, width, width), cross-products of the terms of the later and of the
        earlier level
    largest : (1,), the largest sum of squares of a varying term in a level
    widths : (n_others,), number of terms of each of the other factors
    factor, term, head : (R,)
        Factor of each coefficient, counted among the others, its term, and the position of the
        first term of its level.
    row_start, row_column, column_start, column_row
        The pattern of the Cholesky factor of S: `skhbm._design.elimination.Pattern`.
    """

    A: Float
    E: Float
    B: Float
    C: Float
    start: Int
    column: Int
    value: Float
    by_column: Int
    level: Int
    entry: Int
    gram_start: Int
    gram_column: Int
    gram_pair: Int
    pairs: Float
    largest: Float
    widths: Int
    factor: Int
    term: Int
    head: Int
    row_start: Int
    row_column: Int
    column_start: Int
    column_row: Int

    def in_columns(self, columns: Float) -> Blocks:
        """Return the blocks with other columns D, per old column (m, m')."""
        return self._replace(
            E=np.ascontiguousarray(self.E @ columns),
            B=np.ascontiguousarray(self.B @ columns),
            C=np.ascontiguousarray(columns.T @ self.C @ columns),
        )

    @property
    def work(self) -> float:
        """Nanoseconds of CPU that a factorisation takes, as predicted.

        What depends on the cost of an evaluation may not depend on the clock: a seed gives the
        same draws everywhere.
        """
        J, q, m = self.E.shape
        counts, R = np.diff(self.start).astype(float), len(self.head)
        pattern = Pattern(self.row_start, self.row_column, self.column_start, self.column_row)
        levels = 6.0 * q * (q + m) * (J * q + counts.sum())
        return float(0.9 * q * np.sum(counts**2) + levels + pattern.work + m * R * m + 3000.0)


class Layout(NamedTuple):
    """Where the coefficients of each factor are.

    Attributes
    ----------
    first : int, the position of the first factor among all, in the user's order
    others : tuple of int, the positions of the other factors
    widths : tuple of int, the numbers of terms of all factors, in the user's order
    where : tuple of ndarray of shape (n_levels,), for each of the others the position of the
        first coefficient of each level
    """

    first: int
    others: tuple[int, ...]
    widths: tuple[int, ...]
    where: tuple[Int, ...]

    def in_users_order[T](self, of_first: T, of_others: Sequence[T]) -> list[T]:
        """Return what belongs to the factors, given in the order of elimination."""
        parts = dict(zip((self.first, *self.others), (of_first, *of_others), strict=True))
        return [parts[f] for f in range(len(parts))]


def first_factor(sizes: Sequence[int], terms: Sequence[Terms]) -> int:
    """Return the position of the factor with the most coefficients."""
    counts = [size * len(part.varying) for size, part in zip(sizes, terms, strict=True)]
    return int(np.argmax(counts))


def make_blocks(
    statistics: GroupedStatistics, scaling: Scaling, terms: Sequence[Terms]
) -> tuple[Blocks, Layout]:
    """Sum the statistics of cells to cross-products; factors are in the user's order."""
    sums = Sums(statistics, [varying_columns(statistics, scaling, part) for part in terms])
    layout, n_head = _lay_out(statistics, terms)
    first, fixed = layout.first, fixed_columns(statistics, scaling, terms[0])
    factor, term, head = _coefficients(layout)
    n = len(head)
    start, column, value = _of_levels(sums, layout)
    level = np.repeat(np.arange(len(start) - 1), np.diff(start))
    entry = np.argsort(column, kind="stable")
    pattern = find_pattern(_incidence(level, column, (len(start) - 1, n)), n_head)
    A, gram = sums.by_group(first, sums.varying[first]), _gram(sums, layout, n)
    largest = max(np.einsum("iaa->ia", A).max(), np.abs(gram[-1]).max())
    B = np.empty((n, len(fixed.feature)))
    for f, where in zip(layout.others, layout.where, strict=True):
        of_factor = sums.by_group(f, fixed)
        for a in range(layout.widths[f]):
            B[where + a] = of_factor[:, a]
    return Blocks(
        A,
        sums.by_group(first, fixed),
        B,
        _with_rounding(sums.total(fixed), statistics, largest),
        start,
        column,
        value,
        _starts(column, n),
        level[entry],
        entry,
        *gram,
        np.array([largest]),
        np.array([layout.widths[f] for f in layout.others], dtype=np.int64),
        factor,
        term,
        head,
        *pattern,
    ), layout


def _with_rounding(C: Float, statistics: GroupedStatistics, largest: float) -> Float:
    """Add to the sum of squares of the response what rounding may have taken off it."""
    rows = 1.0 if statistics.known_errors else max(largest, 1.0)
    C[-1, -1] += statistics.weight.sum() * ROUNDING * rows
    return C


def _lay_out(statistics: GroupedStatistics, terms: Sequence[Terms]) -> tuple[Layout, int]:
    """Find the order of elimination; return the number of sparse columns, too."""
    sizes = [len(levels) for levels in statistics.factors]
    widths = tuple(len(part.varying) for part in terms)
    first = first_factor(sizes, terms)
    # Larger factors come first: nested levels then fill nothing in.
    others = sorted(set(range(len(terms))) - {first}, key=lambda f: (-sizes[f], f))
    ends = np.cumsum([0, *(sizes[f] for f in others)])
    level = statistics.codes[:, others] + ends[:-1]
    shape = (sizes[first], int(ends[-1]))
    of_first = np.repeat(statistics.codes[:, first], len(others))
    width_of = np.repeat([widths[f] for f in others], [sizes[f] for f in others])
    order, n_sparse = order_levels(_incidence(of_first, level.ravel(), shape), width_of)
    after = np.cumsum(width_of[order])
    position = np.empty(len(order), dtype=np.int64)
    position[order] = after - width_of[order]
    where = tuple(np.split(position, ends[1:-1]))
    return Layout(first, tuple(others), widths, where), int(
        after[n_sparse - 1] * (n_sparse > 0)
    )


def _coefficients(layout: Layout) -> tuple[Int, Int, Int]:
    """Return factor, term, and position of the level's first term, of each coefficient."""
    widths = [layout.widths[f] for f in layout.others]
    n = sum(len(where) * q for where, q in zip(layout.where, widths, strict=True))
    factor, term, head = np.empty((3, n), dtype=np.int64)
    for g, (where, q) in enumerate(zip(layout.where, widths, strict=True)):
        for a in range(q):
            factor[where + a], term[where + a], head[where + a] = g, a, where
    return factor, term, head


def _of_levels(sums: Sums, layout: Layout) -> tuple[Int, Int, Float]:
    """Return starts, columns and values of the rows of Z_0'Z_rest, by level."""
    rows, columns, values = [], [], []
    for f, where in zip(layout.others, layout.where, strict=True):
        row, level, products = sums.by_pair(layout.first, f)
        for b in range(layout.widths[f]):
            rows.append(row)
            columns.append(where[level] + b)
            values.append(products[:, :, b])
    row, column, value = np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
    order = np.lexsort((column, row))
    n_first = len(sums.statistics.factors[layout.first])
    return _starts(row, n_first), column[order], np.ascontiguousarray(value[order])


def _gram(sums: Sums, layout: Layout, n: int) -> tuple[Int, Int, Int, Float]:
    """Return Z_rest'Z_rest up to the diagonal, row by row, and the pairs of levels."""
    width = max(layout.widths[f] for f in layout.others)
    rows, columns, pair, values, n_pairs = [], [], [], [], 0
    for g, f in enumerate(layout.others):
        for h in range(g + 1):
            products, later, earlier, swapped = _pairs(sums, layout, g, h)
            padded = np.zeros((len(later), width, width))
            padded[:, : products.shape[1], : products.shape[2]] = products
            values.append(np.where(swapped[:, None, None], padded.mT, padded))
            q_f, q_h = layout.widths[f], layout.widths[layout.others[h]]
            of_later, of_earlier = np.where(swapped, q_h, q_f), np.where(swapped, q_f, q_h)
            for a in range(width):
                for b in range(width):
                    there = (a < of_later) & (b < of_earlier) & (earlier + b <= later + a)
                    rows.append(later[there] + a)
                    columns.append(earlier[there] + b)
                    pair.append(n_pairs + np.flatnonzero(there))
            n_pairs += len(later)
    row = np.concatenate(rows)
    order = np.argsort(row, kind="stable")
    column, of_pair = np.concatenate(columns)[order], np.concatenate(pair)[order]
    return _starts(row, n), column, of_pair, np.concatenate(values)


def _pairs(sums: Sums, layout: Layout, g: int, h: int) -> tuple[Float, Int, Int, Any]:
    """Return the products of pairs of levels of two of the others, and their positions.

    The last is whether the level of h is eliminated later than that of g.
    """
    f = layout.others[g]
    if g == h:
        products, where = sums.by_group(f, sums.varying[f]), layout.where[g]
        return products, where, where, np.zeros(len(where), dtype=bool)
    of_g, of_h, products = sums.by_pair(f, layout.others[h])
    at, other = layout.where[g][of_g], layout.where[h][of_h]
    return products, np.maximum(at, other), np.minimum(at, other), other > at


def _incidence(row: Int, column: Int, shape: tuple[int, int]) -> Any:
    """Return a sparse array of ones at these places, some of which may be given twice."""
    from scipy import sparse

    out = sparse.csr_array((np.ones(len(row)), (row, column)), shape)
    out.sum_duplicates()
    out.data[:] = 1.0
    return out


def _starts(numbers: Int, n: int) -> Int:
    """Return where each of n numbers begins among sorted ones (n + 1,)."""
    return np.concatenate([[0], np.cumsum(np.bincount(numbers, minlength=n))])
