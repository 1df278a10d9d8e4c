"""What the draws of another response say without some rows, or with more.

With one factor the effects are integrated out by quadrature: of a row that is left out,
1 / p(y_i | y_-i, theta) is the mean of 1 / p(y_i | u) over the effects of its group given all
its rows; of a group it is the density of its rows. With several factors ratios of rows are
those of densities given drawn effects, whose Pareto k is larger.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._comparison.rows_of_fit import ADVICE, check_same_labels
from skhbm._design.responses import make_response_design
from skhbm._inputs.new_rows import read_more_rows
from skhbm._inputs.rows import Rows
from skhbm._posterior.response_effects import DrawnEffects, given_draws
from skhbm._prediction.linear_predictors import blocks
from skhbm._prediction.response_rows import predictors_of
from skhbm._sampling.psis import log_mean_exp
from skhbm._statistics.pattern_moments import moments_of_patterns
from skhbm._statistics.patterns import patterns_of_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skhbm._comparison.conditioning import Origin
    from skhbm._inputs.rows import FitRows
    from skhbm._posterior.responses import ResponsePosterior
    from skhbm._prediction.response_blocks import Block
    from skhbm._statistics.patterns import Patterns
    from skhbm._types import Float, Int

    Units = Iterator[tuple[slice | Int, Float, Float]]

__all__ = [
    "add_patterns",
    "conditional_densities",
    "group_densities",
    "left_out_groups",
    "left_out_rows",
    "read_patterns_again",
]

#: Numbers in a block of rows times draws, and groups in a block.
BLOCK, GROUPS = 2**22, 256
#: Threads that integrate effects out.
THREADS = 2
#: Relative accuracy to which sums of the same rows agree, in whatever order they come.
ROUNDING = 1e-8


def read_patterns_again(
    estimator: Any, X: Any, y: Any, groups: Any, sizes: Any
) -> tuple[Rows, Float, Float]:
    """Return the rows that the estimator was fitted to, coded, their target and sizes.

    `sizes` is a function of the number of rows.
    """
    read = read_more_rows(estimator, X, y, groups)
    size = sizes(len(read.y))
    fitted = estimator._statistics
    check_same_patterns(fitted, patterns_of_rows(read, size, additive=fitted.additive))
    keys = [
        levels.encode(labels, len(read.y))[0]
        for levels, (_, labels) in zip(fitted.factors, read.factors, strict=True)
    ]
    keys = keys or [np.zeros(len(read.y), dtype=np.int64)]
    return Rows(np.asarray(read.X, dtype=float), tuple(keys)), read.y, size


def check_same_patterns(fitted: Patterns, given: Patterns) -> None:
    """Raise ValueError if patterns differ by more than rounding."""
    check_same_labels(fitted, given)
    same = len(fitted) == len(given) and np.array_equal(fitted.X, given.X)
    for name in ("y", "size", "n"):
        ours, theirs = getattr(fitted, name), getattr(given, name)
        same = same and bool(np.all(np.abs(ours - theirs) <= ROUNDING * (np.abs(ours) + 1)))
    if not same:
        msg = (
            f"The rows are not those of fit, which had {fitted.n.sum():g}, {len(fitted)} of "
            f"them different; got {given.n.sum():g}, {len(given)} of them different: features, "
            f"targets and sizes (trials or exposures) must be the same. {ADVICE}"
        )
        raise ValueError(msg)


def left_out_rows(effects: DrawnEffects, rows: Rows, y: Float, size: Float) -> Units:
    """Yield positions of rows with log p(y_i | y_-i, theta), and log p(y_i | y) of the mixture.

    The first are (rows, n_draws), the second (rows,).
    """
    posterior = effects.posterior
    one_factor = posterior.effects is None and posterior.design.terms.varying
    for block in blocks(len(rows), max(1, BLOCK // posterior.n_draws)):
        inside = _row_densities(effects, rows[block], y[block], size[block])
        left_out = inside
        if one_factor:
            left_out = _given_other_rows(posterior, rows[block], y[block], size[block])
        yield block, left_out, log_mean_exp(inside)


def left_out_groups(effects: DrawnEffects) -> Units:
    """Yield blocks of groups j with log p(y_j | theta), and log p(y_j | y) of the mixture."""
    for block, values in group_densities(effects.posterior):
        yield block, values, log_mean_exp(values)


def group_densities(posterior: ResponsePosterior) -> Iterator[tuple[slice, Float]]:
    """Yield blocks of groups of the only factor with log p(y_j | theta) (groups, n_draws)."""
    from skhbm._posterior.effects_by_quadrature import log_group_densities

    given = given_draws(posterior)
    for block in blocks(posterior.design.factors[0].n_groups, GROUPS):
        codes = np.arange(block.start, block.stop)
        yield block, log_group_densities(*given, codes, THREADS).T


def conditional_densities(
    posterior: ResponsePosterior, rows: Rows, y: Float, size: Float
) -> Float:
    """Return log p(y_i | theta, u) of rows given the drawn effects of `posterior_`."""
    return _row_densities(DrawnEffects(posterior, thinned=False), rows, y, size)


def add_patterns(origin: Origin, fitted: Patterns, new: FitRows, size: Float) -> Any:
    """Return the origin whose draws know more rows, and the patterns of all rows.

    The weight of a draw is the density of the groups that get rows, after over before.
    """
    posterior = origin.posterior
    design = posterior.design
    merged = fitted + patterns_of_rows(new, size, additive=fitted.additive)
    terms = [factor.terms for factor in design.factors]
    moments = moments_of_patterns(merged)
    extended = make_response_design(design.family, merged, moments, terms, design.scaling)
    after = replace(posterior, design=extended)
    ratios = _log_density(after) - _log_density(posterior)
    if not np.all(np.isfinite(ratios)):
        msg = (
            "The density of the rows given the posterior cannot be computed: `X` or `y` are "
            f"out of all proportion to those of fit. Got `y` up to {np.max(new.y):g}."
        )
        raise ValueError(msg)
    log_weights = origin.log_weights + ratios
    return replace(origin, posterior=after, log_weights=log_weights), merged


def _log_density(posterior: ResponsePosterior) -> Float:
    """Return the log density of all rows given each draw (n_draws,), effects integrated out."""
    return np.sum([values.sum(axis=0) for _, values in group_densities(posterior)], axis=0)


def _row_densities(effects: DrawnEffects, rows: Rows, y: Float, size: Float) -> Float:
    """Return the log densities of rows given drawn effects (rows, n_draws)."""
    posterior = effects.posterior
    family, eta = posterior.design.family, np.empty((len(rows), posterior.n_draws))

    def fill(block: Block) -> None:
        eta[block.rows] = block.by_draw()[0]

    predictors_of(effects, rows).for_each(fill)
    values = family.log_density(y[:, None], size[:, None], eta, posterior.dispersions())
    return np.asarray(values)


def _given_other_rows(posterior: ResponsePosterior, rows: Rows, y: Float, size: Float) -> Float:
    """Return log p(y_i | other rows of its group, theta) (rows, n_draws)."""
    from skhbm._posterior.effects_by_quadrature import GivenRows, log_left_out

    design = posterior.design
    fixed, varying = design.scaling.features(rows.X, design.terms)
    some = GivenRows(y, size, fixed, varying, rows.codes())
    return log_left_out(*given_draws(posterior), some, THREADS).T
