"""More rows of known and new groups of one factor: the draws' weights, and their design.

Only groups that get rows enter: a weight is the ratio of their densities after and before.
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
from skhbm._sampling.psis import log_mean_exp

if TYPE_CHECKING:
    from skhbm._posterior.posterior import Posterior
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float, Int


__all__ = ["add_to_groups", "insert_scales", "scale_candidates"]

#: Candidates for the residual scale of a new group that has one of its own, per draw.
CANDIDATES = 32


def add_to_groups(
    posterior: Posterior, known: GroupedStatistics, new: GroupedStatistics
) -> tuple[Posterior, Float, GroupedStatistics]:
    """Return the draws with the design of all rows, log ratios, and all statistics."""
    design = posterior.design
    earlier, merged = known.among(new.levels), known + new
    before, after = (
        make_parts(s, design.scaling, design.terms) for s in (earlier, earlier + new)
    )
    sigma = posterior.sigma
    if design.terms.by_group:
        labels = hashables(new.levels.labels)
        codes, _, _ = known.levels.encode(new.levels.labels, len(labels))
        own, log_ratios = _own_scales(posterior, before, after, codes)
        old = merged.levels.codes_of(hashables(known.levels.labels))
        sigma = insert_scales(
            sigma, merged.levels.codes_of(labels), own, old, len(merged.levels)
        )
    else:
        own = sigma.reshape(posterior.n_draws, 1)
        log_ratios = _log_ratios(posterior, before, after, own)
    extended = add_rows(design, merged.levels, new.levels, before, after)
    return replace(posterior, design=extended, sigma=sigma), log_ratios, merged


def _log_ratios(posterior: Posterior, before: Parts, after: Parts, sigma: Float) -> Float:
    """Return log p(new rows | draw, old rows) (n_draws,); sigma (n_draws, 1 or n_groups)."""
    sigma = sigma / posterior.design.scaling.y_scale
    each = group_log_densities(posterior, after, sigma)
    return np.sum(each - group_log_densities(posterior, before, sigma), axis=0)


def _own_scales(
    posterior: Posterior, before: Parts, after: Parts, codes: Int
) -> tuple[Float, Float]:
    """Return residual scales (n_draws, n_groups) of groups that get rows, and log ratios.

    `codes` (n_groups,) are those of the groups, negative if there were none. The scale of a
    new group is drawn given the draw and the new rows, of candidates that are
    distributed as the draw says of a new group; their mean density is the weight.
    """
    seen = np.flatnonzero(codes >= 0)
    own = np.empty((posterior.n_draws, len(codes)))
    own[:, seen] = posterior.sigma.reshape(posterior.n_draws, -1)[:, codes[seen]]
    log_ratios = _log_ratios(posterior, _some(before, seen), _some(after, seen), own[:, seen])
    rng = np.random.default_rng([posterior.seed, 3, *posterior.sigma.shape])
    draws = np.arange(posterior.n_draws)
    for i in np.flatnonzero(codes < 0):
        candidates = scale_candidates(posterior, rng)
        repeated = np.full(CANDIDATES, i)
        sigma = candidates / posterior.design.scaling.y_scale
        each = group_log_densities(posterior, _some(after, repeated), sigma).T
        # The largest of density times exponential noise is a draw in proportion to density.
        chosen = np.argmax(each + rng.gumbel(size=each.shape), axis=1)
        own[:, i] = candidates[draws, chosen]
        log_ratios += log_mean_exp(each)
    return own, log_ratios


def scale_candidates(posterior: Posterior, rng: np.random.Generator) -> Float:
    """Draw residual scales of a new group (n_draws, CANDIDATES)."""
    shape = (posterior.n_draws, CANDIDATES)
    if posterior.log_sigma is None:
        # Draws of the prior, one each: shuffled, they are as good as others.
        flat = posterior.sigma_new.ravel()
        return np.column_stack([rng.permutation(flat) for _ in range(CANDIDATES)])
    mean, spread = posterior.log_sigma.reshape(posterior.n_draws, 2, 1).transpose(1, 0, 2)
    # One in each 32nd of the distribution: the mean over candidates varies less.
    z = ndtri((np.arange(CANDIDATES) + rng.random(shape)) / CANDIDATES)
    return np.asarray(np.exp(mean + spread * z))


def insert_scales(sigma: Float, codes: Int, own: Float, old: Int, n_groups: int) -> Float:
    """Place scales of all groups (n_chains, n_draws, n_groups): `own` at `codes`."""
    out = np.empty((*sigma.shape[:2], n_groups))
    out[:, :, old] = sigma
    out[:, :, codes] = own.reshape(*sigma.shape[:2], len(codes))
    return out


def _some(parts: Parts, groups: Int) -> Parts:
    return Parts(*(array[groups] for array in parts))
