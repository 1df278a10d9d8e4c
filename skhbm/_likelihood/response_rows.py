"""The patterns of a design as rows by group, which a likelihood by quadrature reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skhbm._likelihood.grouped_rows import GroupedRows

if TYPE_CHECKING:
    from skhbm._design.responses import ResponseDesign
    from skhbm._types import Float

__all__ = ["rows_of_groups"]


def rows_of_groups(design: ResponseDesign, fixed: Float | None = None) -> GroupedRows:
    """Return the patterns by the groups of the only factor.

    `fixed` (n_patterns, k) are the columns of the coefficients, in working units if not given.
    """
    patterns, factor = design.patterns, design.factors[0]
    working, varying = design.scaling.features(patterns.X, factor.terms)
    starts = np.searchsorted(design.codes(0), np.arange(factor.n_groups + 1))
    return GroupedRows(
        patterns.y,
        patterns.size,
        patterns.weight,
        working if fixed is None else fixed,
        varying,
        starts.astype(np.int64),
    )
