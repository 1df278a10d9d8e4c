"""More rows of seen and new groups of one factor: the weights of draws, and the design.

The weight of a draw is the ratio of the densities of groups that get rows, after and before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from skhbm._comparison.group_density import group_log_densities
from skhbm._design.design import add_rows
from skhbm._design.roots import Parts, make_parts
from skhbm._inputs.levels import hashables
from skhbm._posterior.hierarchical import flat
from skhbm._sampling.psis import log_mean_exp

if TYPE_CHECKING:
    from skhbm._posterior.posterior import Posterior
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float, Int


__all__ = ["add_to_groups", "choose_scales", "insert_scales", "scale_candidates"]

#: Candidates in each draw for the residual scale of a new group, if scales are by group.
CANDIDATES = 32


def add_to_groups(
    posterior: Posterior, fitted: GroupedStatistics, new: GroupedStatistics
) -> tuple[Posterior, Float, GroupedStatistics]:
    """Return the draws with the design of all rows, log ratios, and all statistics."""
    design = posterior.design
    earlier, merged = fitted.among(new.levels), fitted + new
    before, after = (
        make_parts(s, design.scaling, design.terms) for s in (earlier, earlier + new)
    )
    sigma = posterior.sigma
    if design.terms.by_group:
        labels = hashables(new.levels.labels)
        codes, _, _ = fitted.levels.encode(new.levels.labels, len(labels))
        scales, log_ratios = _scales(posterior, before, after, codes)
        old = merged.levels.codes_of(hashables(fitted.levels.labels))
        sigma = insert_scales(
            sigma, merged.levels.codes_of(labels), scales, old, len(merged.levels)
        )
    else:
        log_ratios = _log_ratios(posterior, before, after, flat(sigma))
    extended = add_rows(design, merged.levels, new.levels, before, after)
    return replace(posterior, design=extended, sigma=sigma), log_ratios, merged


def _log_ratios(posterior: Posterior, before: Parts, after: Parts, sigma: Float) -> Float:
    """Return log p(new rows | draw, old rows) (n_draws,); sigma (n_draws, 1 or n_groups)."""
    sigma = sigma / posterior.design.scaling.y_scale
    of_groups = group_log_densities(posterior, after, sigma)
    return np.sum(of_groups - group_log_densities(posterior, before, sigma), axis=0)


def _scales(
    posterior: Posterior, before: Parts, after: Parts, codes: Int
) -> tuple[Float, Float]:
    """Return residual scales (n_draws, n_groups) of groups that get rows, and log ratios.

    `codes` (n_groups,) are negative for groups that had no rows before. The scale of such a
    group is drawn given the draw and the new rows, of candidates from the distribution that
    scales of new groups have in the draw. The mean density of the candidates is the ratio.
    """
    seen = np.flatnonzero(codes >= 0)
    scales = np.empty((posterior.n_draws, len(codes)))
    scales[:, seen] = flat(posterior.sigma)[:, codes[seen]]
    seen_before, seen_after = _some(before, seen), _some(after, seen)
    log_ratios = _log_ratios(posterior, seen_before, seen_after, scales[:, seen])
    rng = np.random.default_rng([posterior.seed, 3, *posterior.sigma.shape])
    for i in np.flatnonzero(codes < 0):
        candidates = scale_candidates(posterior, rng)
        repeated = np.full(CANDIDATES, i)
        sigma = candidates / posterior.design.scaling.y_scale
        log_densities = group_log_densities(posterior, _some(after, repeated), sigma).T
        scales[:, i], _ = choose_scales(candidates, log_densities, rng)
        log_ratios += log_mean_exp(log_densities)
    return scales, log_ratios


def choose_scales(
    candidates: Float, log_densities: Float, rng: np.random.Generator
) -> tuple[Float, Float]:
    """Choose a candidate (n_draws,) in each draw in proportion to density.

    Return the candidates that are chosen and their log densities.
    """
    # The largest of log density plus Gumbel noise is a draw in proportion to density.
    chosen = np.argmax(log_densities + rng.gumbel(size=log_densities.shape), axis=1)
    draws = np.arange(len(chosen))
    return candidates[draws, chosen], log_densities[draws, chosen]


def scale_candidates(posterior: Posterior, rng: np.random.Generator) -> Float:
    """Draw residual scales of a new group (n_draws, CANDIDATES)."""
    shape = (posterior.n_draws, CANDIDATES)
    if posterior.log_sigma is None:
        # There is one draw of the prior for each draw. Shuffled, they are independent draws.
        prior = posterior.sigma_new.ravel()
        return np.column_stack([rng.permutation(prior) for _ in range(CANDIDATES)])
    mean, spread = posterior.log_sigma.reshape(posterior.n_draws, 2, 1).transpose(1, 0, 2)
    # Candidates are spread over the quantiles, so that their mean density varies less.
    z = ndtri((np.arange(CANDIDATES) + rng.random(shape)) / CANDIDATES)
    return np.asarray(np.exp(mean + spread * z))


def insert_scales(sigma: Float, codes: Int, scales: Float, old: Int, n_groups: int) -> Float:
    """Return scales of all groups (n_chains, n_draws, n_groups): sigma at old, new at codes."""
    out = np.empty((*sigma.shape[:2], n_groups))
    out[:, :, old] = sigma
    out[:, :, codes] = scales.reshape(*sigma.shape[:2], len(codes))
    return out


def _some(parts: Parts, groups: Int) -> Parts:
    """Return the parts of some groups."""
    return Parts(*(array[groups] for array in parts))
