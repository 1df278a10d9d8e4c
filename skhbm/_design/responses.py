"""The design of a model whose response is not normal: its rows stay, as patterns.

Working units are those of the linear predictor: features are standardised as in
`skhbm._design.scaling`, and the response is left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skhbm._design.scaling import Scaling, feature_units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._design.terms import Terms
    from skhbm._families.family import Family
    from skhbm._inputs.levels import Levels
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._statistics.patterns import Patterns
    from skhbm._types import Float, Int

__all__ = ["ResponseDesign", "ResponseFactor", "make_response_design"]


@dataclass(frozen=True, slots=True, eq=False)
class ResponseFactor:
    """A grouping factor.

    Parameters
    ----------
    terms, levels : Terms, Levels
    n : ndarray of shape (n_groups,)
        Number of rows of each group.
    """

    terms: Terms
    levels: Levels
    n: Float

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.levels)


@dataclass(frozen=True, slots=True, eq=False)
class ResponseDesign:
    """Everything that posterior and predictions need of the data.

    Parameters
    ----------
    family : Family
    scaling : Scaling
        Of the features. The linear predictor is its own unit.
    factors : tuple of ResponseFactor
        In the user's order. A model without groups has one factor, of which nothing varies.
    patterns : Patterns
        Rows that are alike, and how often.
    """

    family: Family
    scaling: Scaling
    factors: tuple[ResponseFactor, ...]
    patterns: Patterns

    @property
    def terms(self) -> Terms:
        """Terms of the first factor, whose fixed terms are those of all."""
        return self.factors[0].terms

    @property
    def levels(self) -> Levels:
        """Levels of the first factor."""
        return self.factors[0].levels

    @property
    def location(self) -> float:
        """The linear predictor that the mean of all rows belongs to, or their median.

        One event, or one failure, is added to data that have none.
        """
        patterns, family = self.patterns, self.family
        total = float(patterns.weight @ patterns.y)
        size = float(patterns.weight @ patterns.size)
        if family.link == "identity":
            return _median(patterns.y, patterns.weight)
        if family.link == "log":
            return float(np.log(max(total, 0.5) / size))
        return float(np.log(max(total, 0.5) / max(size - total, 0.5)))

    @property
    def spread(self) -> float:
        """Unit of the linear predictor: 1, or the spread of y if that is the link's scale.

        The spread is 1.4826 times the median absolute deviation from the median, which is the
        standard deviation of a normal y and which outliers do not move, or the standard
        deviation if more than half of the rows are equal.
        """
        if self.family.link != "identity":
            return 1.0
        y, weight = self.patterns.y, self.patterns.weight
        robust = 1.4826 * _median(np.abs(y - _median(y, weight)), weight)
        share = weight / weight.sum()
        sd = float(np.sqrt(share @ (y - share @ y) ** 2))
        return robust if robust > 0 else sd

    def codes(self, factor: int) -> Int:
        """Return the group of each pattern in a factor (n_patterns,)."""
        codes = self.patterns.codes
        return codes[:, factor] if codes.shape[1] else np.zeros(len(codes), dtype=np.int64)


def make_response_design(
    family: Family,
    patterns: Patterns,
    statistics: GroupedStatistics,
    terms: Sequence[Terms],
    scaling: Scaling | None = None,
) -> ResponseDesign:
    """Return the design of rows; `statistics` are those of the same rows.

    The scaling is found, unless it is given.
    """
    if scaling is None:
        x_mean, x_scale = feature_units(statistics, centred=terms[0].intercept)
        scaling = Scaling(x_mean, x_scale, 0.0, 1.0)
    if family.link == "identity" and np.ptp(patterns.y) == 0:
        msg = (
            f"`y` is constant ({patterns.y[0]:g} in all rows), so there is no scale to "
            "estimate. Check that this is the target you mean."
        )
        raise ValueError(msg)
    levels = patterns.factors or (statistics.levels,)
    columns = patterns.codes.T if patterns.factors else [np.zeros(len(patterns.y), np.int64)]
    factors = tuple(
        ResponseFactor(of_factor, labels, np.bincount(codes, patterns.n, minlength=len(labels)))
        for of_factor, labels, codes in zip(terms, levels, columns, strict=True)
    )
    return ResponseDesign(family, scaling, factors, patterns)


def _median(values: Float, weights: Float) -> float:
    """Return the weighted median, the lower of two."""
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(below, 0.5 * below[-1])])
