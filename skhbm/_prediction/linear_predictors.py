"""Linear predictors of new rows: their means and variances in each draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skhbm._posterior.effects_blocked import RowTerms
from skhbm._posterior.nodes import all_nodes, joint_effects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skhbm._inputs.rows import Rows
    from skhbm._posterior.posterior import Posterior
    from skhbm._types import Float, Int


__all__ = ["MIXTURE", "WIDER", "blocks", "level_terms", "linear_predictors", "row_terms"]

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
    several = design.several_factors
    assert several is not None, "there are several factors"
    layout = several.layout
    varying = [design.scaling.features(rows.X, factor.terms)[1] for factor in design.factors]
    codes = np.column_stack([rows.codes(f) for f in (layout.first, *layout.others)])
    where = [start[rows.codes(f)] for f, start in zip(layout.others, layout.where, strict=True)]
    return RowTerms(
        design.scaling.features(rows.X, design.terms)[0],
        codes,
        np.column_stack(where),
        varying[layout.first],
        np.hstack([varying[f] for f in layout.others]),
    )


def level_terms(posterior: Posterior, factor: int, fixed: Float, varying: Float) -> RowTerms:
    """Return a row for each level of a factor, without effects of the other factors.

    `fixed` (n_levels, n_fixed) and `varying` (n_levels, q) are its terms.
    """
    several = posterior.design.several_factors
    assert several is not None, "there are several factors"
    layout, n = several.layout, len(fixed)
    order = (layout.first, *layout.others)
    codes = np.full((n, len(order)), -1)
    codes[:, order.index(factor)] = np.arange(n)
    terms = [np.zeros((n, layout.widths[f])) for f in order]
    terms[order.index(factor)] = varying
    where = [start[codes[:, 1 + g] % len(start)] for g, start in enumerate(layout.where)]
    return RowTerms(fixed, codes, np.column_stack(where), terms[0], np.hstack(terms[1:]))


def linear_predictors(posterior: Posterior, rows: Rows) -> Iterator[tuple[Int, Float, Float]]:
    """Yield positions of rows, mean and variance (rows, draws) of their linear predictors.

    Given each draw, integrated effects are normal, and so are the effects of groups that were
    not seen. With one factor the coefficients are those of the draw, and rows come group by
    group. With several factors the coefficients are integrated out, too.
    """
    n_draws = posterior.n_draws
    if posterior.points is not None:
        effects = joint_effects(posterior, all_nodes(posterior))
        for block in blocks(len(rows), max(1, WIDER // n_draws)):
            some = np.arange(len(rows))[block]
            terms = row_terms(posterior, rows[block])
            mean, variance = effects.predictors(terms)
            yield some, mean, variance + effects.new_variances(terms)
        return
    design = posterior.design
    given = posterior.conditional_effects()
    order = np.argsort(rows.keys[0], kind="stable")
    for block in blocks(len(rows), max(1, MIXTURE // n_draws)):
        some = order[block]
        fixed, varying = design.scaling.features(rows.X[some], design.terms)
        unit, codes = rows[some].units()
        mean, variance = np.zeros((2, len(some), n_draws))
        given.add_predictors(fixed, varying, codes, unit, mean, variance)
        yield some, mean, variance
