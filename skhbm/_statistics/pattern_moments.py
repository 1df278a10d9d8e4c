"""Means and cross-products of patterns: what the units of features and warnings need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skhbm._statistics.cells import distinct
from skhbm._statistics.grouped import GroupedStatistics
from skhbm._statistics.reduction import reduce_rows

if TYPE_CHECKING:
    from skhbm._statistics.patterns import Patterns

__all__ = ["moments_of_patterns"]


def moments_of_patterns(patterns: Patterns) -> GroupedStatistics:
    """Return the statistics of the rows, with y over size as their target."""
    codes, cells = distinct(patterns.codes)
    target = patterns.y / patterns.size
    weight, mean, cross = reduce_rows(patterns.X, target, cells, len(codes), patterns.n)
    return GroupedStatistics(
        patterns.factors, codes, weight, weight, mean, cross, patterns.feature_names
    )
