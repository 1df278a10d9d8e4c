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
#: Numbers of labels that levels of a parent have, at least. Two are those of crossed factors
#: with a rare last label.
SIZES = 3
#: From so many levels on, sizes that go up or down throughout are those of pairs.
TRIANGLE = 4
#: Share of a feature's variation within levels that is rounding, and tolerance of a rank.
ROUNDING, RANK = 1e-24, 1e-10


def warn_of_implicit_nesting(statistics: GroupedStatistics) -> None:
    """Warn once if labels of factors look numbered within levels of others."""
    found = find_implicit_nesting(statistics)
    if not found:
        return
    (parent, child), *more = found
    outer, inner = (statistics.factors[f] for f in (parent, child))
    label = hashables(inner.labels)[0]
    parents = statistics.codes[statistics.codes[:, child] == 0, parent]
    a, b = outer.name, inner.name
    others = [
        f" So do the labels of {statistics.factors[d].name!r} within "
        f"{statistics.factors[c].name!r}."
        for c, d in more
    ]
    warn(
        f"The labels of {b!r} look as if numbered anew within each level of {a!r}: "
        f"{label!r} occurs in {len(np.unique(parents))} of {len(outer)} levels of {a!r}, "
        f"which now share its effect.{''.join(others)} If it does not mean the same in each, "
        f'combine the labels: `groups["{b}"] = groups["{a}"].astype(str) + "/" + '
        f'groups["{b}"].astype(str)`. If it means the same in all, nothing needs doing.',
    )


def find_implicit_nesting(statistics: GroupedStatistics) -> list[tuple[int, int]]:
    """Return pairs (parent, child) of factors that look implicitly nested.

    There are three signs, and each has a reason why crossed factors do not show it:

    - The labels of a factor b have coefficients: features are its indicators, or contrasts of
      them. A random effect of b besides would say nothing. Whoever groups by b as well, and by
      a factor a, means the combination, as in blocks with a plot for each variety.
    - Where combinations are missing: the labels of each level of a are the first of all labels
      of b, for levels of three sizes or more. Crossed factors have gaps anywhere. In pairs of
      members of one set (i < j), though, sizes go up or down from one level to the next.
    - Where all combinations occur, labels do not tell. The means of y in cells do, if cells
      have several rows: combinations have effects then, and labels by themselves have none.
      Effects of further factors would be in these means, so that it takes two factors.

    A child has one parent, of several candidates that with the most levels.
    """
    factors = range(len(statistics.factors))
    sizes = [len(statistics.factors[f]) for f in factors]
    spanned = [_spanned_by_features(statistics, f) for f in factors]
    found: dict[int, int] = {}
    for pair in combinations(factors, 2):
        if min(sizes[f] for f in pair) < 2:
            continue
        # Of two candidates the child is the factor with fewer labels, or the later one.
        a, b = pair if sizes[pair[1]] <= sizes[pair[0]] else pair[::-1]
        table = _two_way(statistics, a, b)
        for outer, inner in ((a, b), (b, a)):
            if _looks_nested(table, statistics, outer, inner, spanned):
                if inner not in found or sizes[outer] > sizes[found[inner]]:
                    found[inner] = outer
                break
    return [(parent, child) for child, parent in found.items()]


def _looks_nested(
    table: _TwoWay, statistics: GroupedStatistics, a: int, b: int, spanned: list[bool]
) -> bool:
    """Tell whether one of the signs says that b is numbered within a."""
    if any(spanned[f] for f in table.codes):
        # What features explain of the means of one factor says nothing of the other.
        return spanned[b] and not spanned[a] and _in_several(table, b)
    sizes = [len(statistics.factors[f]) for f in (a, b)]
    if len(table.weight) < CROSSED * np.prod(sizes):
        return _by_labels(table, statistics, a, b)
    return len(statistics.factors) == 2 and _by_means(table, statistics, a, b)


def _spanned_by_features(statistics: GroupedStatistics, factor: int) -> bool:
    """Tell whether features that a factor's level determines tell its levels apart linearly."""
    n_levels, code = len(statistics.factors[factor]), statistics.codes[:, factor]
    n_features = statistics.mean.shape[1] - 1
    if n_levels < 2 or n_features < n_levels - 1:
        return False
    mean = statistics.mean[:, :-1] - statistics.mean[:, :-1].mean(axis=0)
    of_level = np.zeros((n_levels, n_features))
    np.add.at(of_level, code, mean)
    of_level /= np.bincount(code)[:, None]
    within = np.einsum("jkk->k", statistics.cross)[:-1]
    within += statistics.weight @ (mean - of_level[code]) ** 2
    total = within + statistics.weight @ of_level[code] ** 2
    determined = (within <= ROUNDING * total) & (total > 0)
    columns = of_level[:, determined] / np.sqrt(total[determined])
    basis = np.column_stack([np.full(n_levels, 1 / np.sqrt(n_levels)), columns])
    return int(np.linalg.matrix_rank(basis, rtol=RANK)) == n_levels


def _in_several(table: _TwoWay, b: int) -> bool:
    """Tell whether all labels of b occur in several levels of the other factor."""
    return bool(np.bincount(table.codes[b]).min() > 1)


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
    """Tell whether each level of a has the first labels of b, in several numbers."""
    size = np.bincount(table.codes[a])
    steps = np.diff(size[np.argsort(_natural_ranks(statistics.factors[a]))])
    if len(size) >= TRIANGLE and (np.all(steps > 0) or np.all(steps < 0)):
        return False
    last = np.zeros(len(size), dtype=np.int64)
    np.maximum.at(last, table.codes[a], _natural_ranks(statistics.factors[b])[table.codes[b]])
    return bool(np.all(last == size - 1) and len(np.unique(size)) >= SIZES)


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
