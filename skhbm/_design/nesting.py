"""Implicit nesting: labels of one factor that are numbered anew within each level of another.

Class 1 of one school has nothing to do with class 1 of the next, but if "school" and "class"
are grouping factors, both classes share an effect. Cells alone tell where labels are such.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import fdtrc

from skhbm._inputs.levels import hashables
from skhbm._inputs.warning import warn

if TYPE_CHECKING:
    from skhbm._inputs.levels import Levels
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float, Int


__all__ = ["find_implicit_nesting", "warn_of_implicit_nesting"]

#: From this share of all combinations on, factors count as crossed, and labels tell nothing.
CROSSED = 0.9
#: Largest p-value of an interaction that is there, and of a main effect that is not.
INTERACTION_LEVEL, MAIN_LEVEL = 0.01, 0.05


def warn_of_implicit_nesting(statistics: GroupedStatistics) -> None:
    """Warn once for each pair of factors of which one looks numbered within the other."""
    for parent, child in find_implicit_nesting(statistics):
        outer, inner = (statistics.factors[f] for f in (parent, child))
        label = hashables(inner.labels)[0]
        parents = statistics.codes[statistics.codes[:, child] == 0, parent]
        a, b = outer.name, inner.name
        warn(
            f"The labels of {b!r} look as if numbered anew within each level of {a!r}: "
            f"{label!r} occurs in {len(np.unique(parents))} of {len(outer)} levels of {a!r}, "
            "which now share its effect. If it does not mean the same in each, combine the "
            f'labels: `groups["{b}"] = groups["{a}"].astype(str) + "/" + '
            f'groups["{b}"].astype(str)`. If it means the same in all, nothing needs doing.',
        )


def find_implicit_nesting(statistics: GroupedStatistics) -> list[tuple[int, int]]:
    """Return pairs (parent, child) of factors that look implicitly nested.

    If labels are numbered 1, 2, ... within levels of different sizes, the labels of each level
    are the first of all labels. Where all or nearly all combinations occur, labels do not tell
    crossed factors from nested ones. The means of y in cells tell them apart, if cells have
    several rows: combinations of labels have effects then, and labels by themselves have none.
    """
    found = []
    for pair in combinations(range(len(statistics.factors)), 2):
        sizes = [len(statistics.factors[f]) for f in pair]
        if min(sizes) < 2:
            continue
        table = _two_way(statistics, *pair)
        looks_nested = (
            _by_means if len(table.weight) >= CROSSED * np.prod(sizes) else _by_labels
        )
        # Of two candidates the child is the factor with fewer labels, or the later one.
        pairs = [pair, pair[::-1]] if sizes[1] <= sizes[0] else [pair[::-1], pair]
        found += [(a, b) for a, b in pairs if looks_nested(table, statistics, a, b)][:1]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _TwoWay:
    """Cells of two factors.

    Parameters
    ----------
    codes : dict of ndarray of int of shape (n_cells,), by factor
    weight, mean : ndarray of shape (n_cells,)
        Weights, and means of y adjusted for features.
    rss, df : float
        Residual sum of squares within cells, and its degrees of freedom.
    """

    codes: dict[int, Int]
    weight: Float
    mean: Float
    rss: float
    df: float


def _two_way(statistics: GroupedStatistics, first: int, second: int) -> _TwoWay:
    """Merge cells over other factors; adjust y for features by their slopes within cells."""
    codes = statistics.codes[:, [first, second]]
    keys, where = np.unique(
        codes[:, 0] * len(statistics.factors[second]) + codes[:, 1], return_inverse=True
    )
    weight = np.bincount(where, statistics.weight)
    overall = statistics.weight @ statistics.mean / weight.sum()
    centred = statistics.mean - overall
    mean = np.column_stack([np.bincount(where, statistics.weight * c) for c in centred.T])
    mean /= weight[:, None]
    apart = (centred - mean[where]) * np.sqrt(statistics.weight)[:, None]
    within = statistics.cross.sum(axis=0) + apart.T @ apart
    # Columns are scaled first, since units must not decide about the rank.
    size = np.sqrt(np.einsum("jkk->k", statistics.cross) + statistics.weight @ centred**2)
    unit = np.where(size > 0, size, 1.0)[:-1]
    squares = within[:-1, :-1] / np.outer(unit, unit)
    slopes, _, rank, _ = np.linalg.lstsq(squares, within[:-1, -1] / unit, rcond=1e-10)
    slopes /= unit
    return _TwoWay(
        dict(
            zip((first, second), np.divmod(keys, len(statistics.factors[second])), strict=True)
        ),
        weight,
        mean[:, -1] - mean[:, :-1] @ slopes,
        max(float(within[-1, -1] - slopes @ within[:-1, -1]), 0.0),
        float(statistics.n.sum() - len(keys) - rank),
    )


def _by_labels(table: _TwoWay, statistics: GroupedStatistics, a: int, b: int) -> bool:
    """Tell whether each level of a has the first labels of b, some levels more than others."""
    size = np.bincount(table.codes[a])
    last = np.zeros(len(size), dtype=np.int64)
    np.maximum.at(last, table.codes[a], _natural_ranks(statistics.factors[b])[table.codes[b]])
    return bool(np.all(last == size - 1) and size.min() < size.max())


def _by_means(table: _TwoWay, statistics: GroupedStatistics, a: int, b: int) -> bool:
    """Tell whether there is an interaction of a and b, and no main effect of b.

    The interaction is tested against the variance within cells, and the main effect against
    the interaction. Cells weigh the same in the second test, in which it is cells that vary.
    """
    shape = len(statistics.factors[a]), len(statistics.factors[b])
    at = table.codes[a], table.codes[b]
    df_ab = len(table.weight) - sum(shape) + 1
    if table.df < 1 or df_ab < 1:
        return False
    weights, means = np.zeros(shape), np.zeros(shape)
    means[at] = table.mean
    weights[at] = table.weight
    interaction, _ = _additive_fit(weights, means)
    rounding = 1e-20 * float(np.sum(weights * means**2))
    if interaction <= rounding:
        return False
    error = max(table.rss, rounding)
    if fdtrc(df_ab, table.df, interaction / df_ab / (error / table.df)) >= INTERACTION_LEVEL:
        return False
    weights[at] = 1.0
    interaction, main = _additive_fit(weights, means)
    df_b = shape[1] - 1
    return bool(fdtrc(df_b, df_ab, main / df_b / (interaction / df_ab)) > MAIN_LEVEL)


def _additive_fit(weights: Float, means: Float) -> tuple[float, float]:
    """Return the residual sum of squares of row + column effects, and what columns explain.

    Weights are zero where there is no cell. The effects of the longer side are eliminated.
    """
    rows, columns = weights.sum(axis=1), weights.sum(axis=0)
    row_means = np.sum(weights * means, axis=1) / rows
    alone = float(np.sum(weights * (means - row_means[:, None]) ** 2))
    W, Y, long = (
        (weights, means, rows) if len(rows) >= len(columns) else (weights.T, means.T, columns)
    )
    sums = np.sum(W * Y, axis=1)
    normal = np.diag(W.sum(axis=0)) - W.T @ (W / long[:, None])
    effects = np.linalg.lstsq(normal, np.sum(W * Y, axis=0) - W.T @ (sums / long), rcond=1e-12)[
        0
    ]
    other = (sums - W @ effects) / long
    rest = float(np.sum(W * (Y - other[:, None] - effects) ** 2))
    return rest, max(alone - rest, 0.0)


def _natural_ranks(levels: Levels) -> Int:
    """Return the place of each label when numbers within words are sorted as numbers."""
    labels = hashables(levels.labels)
    if not all(isinstance(label, str) for label in labels):
        return np.arange(len(labels))
    parts = [re.split(r"(\d+)", str(label)) for label in labels]
    keys = [[_size(p) if i % 2 else p for i, p in enumerate(split)] for split in parts]
    ranks = np.empty(len(labels), dtype=np.int64)
    ranks[sorted(range(len(labels)), key=keys.__getitem__)] = np.arange(len(labels))
    return ranks


def _size(digits: str) -> tuple[int, str]:
    """Return what orders strings of digits as numbers, of any length."""
    digits = digits.lstrip("0")
    return len(digits), digits
