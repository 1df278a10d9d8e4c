"""More rows with several factors: the weights of draws, effects of new levels, and the design.

The weight of a draw is the density of the new rows given the old rows and the draw, which has
the effects of the sampled factors. It is the ratio of the densities of the groups of the
integrated factor that get rows, after and before. Effects of new levels of the sampled factors
are integrated out, and then drawn given the draw and all rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from skhbm._comparison.group_density_given_effects import group_rows, undrawn
from skhbm._comparison.reweight_one_factor import choose_scales, insert_scales, scale_candidates
from skhbm._design.design import make_design
from skhbm._inputs.levels import hashables
from skhbm._posterior.posterior import flat
from skhbm._sampling.psis import log_mean_exp

if TYPE_CHECKING:
    from skhbm._comparison.group_density_given_effects import GroupRows
    from skhbm._posterior.posterior import Posterior
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float, Int


__all__ = ["add_cells"]


def add_cells(
    posterior: Posterior, fitted: GroupedStatistics, new: GroupedStatistics
) -> tuple[Posterior, Float, GroupedStatistics]:
    """Return the draws with the design of all rows, log ratios, and all statistics."""
    design, merged = posterior.design, fitted + new
    f = design.integrated
    codes = merged.factors[f].codes_of(hashables(new.factors[f].labels))
    touched = np.isin(merged.codes[:, f], codes)
    after = group_rows(posterior, merged.of_cells(touched))
    scales, log_ratios = _scales(posterior, merged, np.sort(codes), after)
    working = scales / design.scaling.y_scale
    new_levels = undrawn(posterior, after, working)
    log_ratios += new_levels.log_density - _before(posterior, fitted, after, working)
    rng = np.random.default_rng([posterior.seed, 4, posterior.sampled.shape[2]])
    sampled = _insert_effects(posterior, merged, new_levels.draw(rng))
    sigma = posterior.sigma
    if design.terms.by_group:
        old = merged.factors[f].codes_of(hashables(design.levels.labels))
        sigma = insert_scales(sigma, np.sort(codes), scales, old, len(merged.factors[f]))
    terms = [factor.terms for factor in design.factors]
    design = make_design(merged, terms, design.scaling, f)
    extended = replace(posterior, design=design, sigma=sigma, sampled=sampled)
    return extended, log_ratios, merged


def _before(
    posterior: Posterior, fitted: GroupedStatistics, after: GroupRows, sigma: Float
) -> Float:
    """Return the log density (n_draws,) of the rows that the groups had before."""
    seen = after.groups >= 0
    cells = np.isin(fitted.codes[:, posterior.design.integrated], after.groups[seen])
    if not np.any(cells):
        return np.zeros(posterior.n_draws)
    before = group_rows(posterior, fitted.of_cells(cells))
    if posterior.design.terms.by_group:
        place = np.empty(posterior.design.n_groups, dtype=np.int64)
        place[after.groups[seen]] = np.flatnonzero(seen)
        sigma = sigma[:, place[before.groups]]
    return undrawn(posterior, before, sigma).log_density


def _scales(
    posterior: Posterior, merged: GroupedStatistics, codes: Int, after: GroupRows
) -> tuple[Float, Float]:
    """Return residual scales (n_draws, 1 or n_groups) of groups that get rows, and log ratios.

    `codes` are the codes of the groups among all. The scale of a new group is drawn as if the
    group were alone, of candidates from the distribution that scales of new groups have in the
    draw. New levels of other factors tie groups together. So the ratio is the mean density of
    the candidates over that of the chosen one, to be multiplied by the density of all groups.
    """
    log_ratios = np.zeros(posterior.n_draws)
    if not posterior.design.terms.by_group:
        return flat(posterior.sigma), log_ratios
    unit, f = posterior.design.scaling.y_scale, posterior.design.integrated
    scales = flat(posterior.sigma)[:, np.maximum(after.groups, 0)]
    rng = np.random.default_rng([posterior.seed, 3, *posterior.sigma.shape])
    for i in np.flatnonzero(after.groups < 0):
        alone = group_rows(posterior, merged.of_cells(merged.codes[:, f] == codes[i]))
        candidates = scale_candidates(posterior, rng)
        log_densities = np.column_stack(
            [
                undrawn(posterior, alone, sigma[:, None] / unit).log_density
                for sigma in candidates.T
            ]
        )
        scales[:, i], of_chosen = choose_scales(candidates, log_densities, rng)
        log_ratios += log_mean_exp(log_densities) - of_chosen
    return scales, log_ratios


def _insert_effects(posterior: Posterior, merged: GroupedStatistics, fresh: Float) -> Float:
    """Place the effects (n_draws, d) of new levels among those that were drawn before."""
    design, out = posterior.design, []
    levels = [levels for f, levels in enumerate(merged.factors) if f != design.integrated]
    for position, (other, merged_levels) in enumerate(zip(design.others, levels, strict=True)):
        drawn = posterior.working_effects(position)
        q = drawn.shape[3]
        every = np.empty((*posterior.shape, len(merged_levels), q))
        old = merged_levels.codes_of(hashables(other.levels.labels))
        new = np.setdiff1d(np.arange(len(merged_levels)), old)
        added, fresh = np.split(fresh, [len(new) * q], axis=1)
        every[:, :, old] = drawn
        every[:, :, new] = added.reshape(*posterior.shape, len(new), q)
        out.append(every.reshape(*posterior.shape, -1))
    return np.concatenate(out, axis=2)
