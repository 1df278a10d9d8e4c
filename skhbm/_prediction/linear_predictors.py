"""Linear predictors of new rows: their means and variances in each draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skhbm._likelihood.interface import RowTerms
from skhbm._posterior.nodes import all_nodes, joint_effects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skhbm._inputs.rows import Rows
    from skhbm._likelihood.interface import ConditionalEffects
    from skhbm._posterior.posterior import Posterior
    from skhbm._types import Float, Int


__all__ = [
    "MIXTURE",
    "WIDER",
    "block_size",
    "blocks",
    "given_draws",
    "level_terms",
    "linear_predictors",
    "row_terms",
]

#: Numbers in a block of rows times draws.
MIXTURE = 2**21
#: The same with several factors, which are factorised anew for each block.
WIDER = 2**23


def blocks(n: int, size: int) -> Iterator[slice]:
    """Cut n rows into blocks."""
    return (slice(first, min(first + size, n)) for first in range(0, n, size))


def row_terms(posterior: Posterior, rows: Rows) -> RowTerms:
    """Return the fixed and varying terms of rows, and where the effects of their groups are."""
    design = posterior.design
    fixed = design.scaling.features(rows.X, design.terms)[0]
    varying = [design.scaling.features(rows.X, factor.terms)[1] for factor in design.factors]
    if design.several_factors is None:
        none = np.empty((len(rows), 0))
        return RowTerms(fixed, rows.codes()[:, None], none.astype(int), varying[0], none)
    layout = design.several_factors.layout
    codes = np.column_stack([rows.codes(f) for f in (layout.first, *layout.others)])
    where = [start[rows.codes(f)] for f, start in zip(layout.others, layout.where, strict=True)]
    others = np.hstack([varying[f] for f in layout.others])
    return RowTerms(fixed, codes, np.column_stack(where), varying[layout.first], others)


def level_terms(posterior: Posterior, factor: int, fixed: Float, varying: Float) -> RowTerms:
    """Return a row for each level of a factor, without effects of the other factors.

    `fixed` (n_levels, n_fixed) and `varying` (n_levels, q) are its terms.
    """
    several, n = posterior.design.several_factors, len(fixed)
    if several is None:
        none = np.empty((n, 0))
        return RowTerms(fixed, np.arange(n)[:, None], none.astype(int), varying, none)
    layout = several.layout
    order = (layout.first, *layout.others)
    codes = np.full((n, len(order)), -1)
    codes[:, order.index(factor)] = np.arange(n)
    terms = [np.zeros((n, layout.widths[f])) for f in order]
    terms[order.index(factor)] = varying
    where = [start[codes[:, 1 + g] % len(start)] for g, start in enumerate(layout.where)]
    return RowTerms(fixed, codes, np.column_stack(where), terms[0], np.hstack(terms[1:]))


def given_draws(posterior: Posterior) -> ConditionalEffects:
    """Return the effects given each draw; with several factors the coefficients, too."""
    if posterior.points is None:
        return posterior.conditional_effects()
    return joint_effects(posterior, all_nodes(posterior))


def block_size(posterior: Posterior) -> int:
    """Return how many rows to take at a time."""
    numbers = MIXTURE if posterior.points is None else WIDER
    return max(1, numbers // posterior.n_draws)


def linear_predictors(posterior: Posterior, rows: Rows) -> Iterator[tuple[Int, Float, Float]]:
    """Yield positions of rows, mean and variance (rows, draws) of their linear predictors.

    Given each draw, integrated effects are normal, and so are the effects of groups that were
    not seen. With one factor the coefficients are those of the draw, and rows come group by
    group. With several factors the coefficients are integrated out, too.
    """
    effects = given_draws(posterior)
    order = np.argsort(rows.keys[0], kind="stable")
    for block in blocks(len(rows), block_size(posterior)):
        some = order[block]
        yield some, *effects.predictors(row_terms(posterior, rows[some]))
