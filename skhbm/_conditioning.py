"""More rows without sampling again: the draws are reweighted, and resampled.

The weight of a draw is p(new rows | theta, w, old rows), the group effects integrated out. Only
groups that get new rows enter: it is the ratio of their densities after and before.
Weights add up over repeated conditioning and apply to the draws of the fit, so that nothing is
lost by resampling the resampled.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import ndtri
from sklearn.exceptions import ConvergenceWarning

from skhbm._design import Parts, add_rows, make_parts
from skhbm._group_density import group_log_densities
from skhbm._labels import hashables
from skhbm._posterior import Scales
from skhbm._psis import good_k, log_mean_exp, pareto_smooth

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from skhbm._posterior import Posterior
    from skhbm._statistics import GroupedStatistics

    Float = NDArray[np.float64]
    Int = NDArray[np.int64]

__all__ = ["Origin", "Resampled", "condition", "resample", "warn_if_unreliable"]

#: Candidates for the residual scale of a new group that has one of its own, per draw.
CANDIDATES = 32


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """The draws of a fit, and what was learned since.

    Parameters
    ----------
    posterior : Posterior
        The draws as they were sampled, with the design of all rows.
    log_weights : ndarray of shape (n_draws,)
        Log density of the rows that came later, given each draw and the rows of fit.
    sample_stats : dict of ndarray of shape (n_chains, n_draws)
        The sampler's.
    efficiency : float
        Effective sample size of the draws over their number.
    """

    posterior: Posterior
    log_weights: Float
    sample_stats: Mapping[str, Any]
    efficiency: float


class Resampled(NamedTuple):
    """Equally weighted draws.

    Attributes
    ----------
    posterior : Posterior
    sample_stats : dict of ndarray of shape (n_chains, n_draws)
        Those of the chosen draws, but their log density, which is that of the old posterior.
    k : float
        Pareto shape of the weights.
    efficiency : float
        Effective number of draws over their number, of weights and chains together.
    """

    posterior: Posterior
    sample_stats: dict[str, Any]
    k: float
    efficiency: float


def condition(
    origin: Origin, known: GroupedStatistics, new: GroupedStatistics
) -> tuple[Origin, GroupedStatistics]:
    """Weight the draws by the density of new rows; return the statistics of all rows too.

    Working coordinates stay those of the fit, whatever the new rows.
    """
    posterior, design = origin.posterior, origin.posterior.design
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
        sigma = _insert(sigma, merged.levels.codes_of(labels), own, old, len(merged.levels))
    else:
        own = sigma.reshape(posterior.n_draws, 1)
        log_ratios = _log_ratios(posterior, before, after, own)
    if not np.all(np.isfinite(log_ratios)):
        msg = (
            "The density of the rows given the posterior cannot be computed: `X` or `y` are "
            f"out of all proportion to those of fit. Got `y` up to {_size(new):g}; check "
            "their units."
        )
        raise ValueError(msg)
    extended = add_rows(design, merged.levels, new.levels, before, after)
    return (
        replace(
            origin,
            posterior=replace(posterior, design=extended, sigma=sigma),
            log_weights=origin.log_weights + log_ratios,
        ),
        merged,
    )


def resample(origin: Origin) -> Resampled:
    """Choose draws in proportion to their smoothed weights, in the order they came.

    Systematic resampling (Kitagawa 1996, https://doi.org/10.1080/10618600.1996.10474692,
    appendix), from the same seed every time.
    """
    posterior = origin.posterior
    smoothed, k = pareto_smooth(origin.log_weights[None], origin.efficiency)
    weights = np.exp(smoothed[0])
    n = len(weights)
    start = np.random.default_rng([posterior.seed, 2]).random()
    places = (start + np.arange(n)) / n
    chosen = np.minimum(np.searchsorted(np.cumsum(weights), places), n - 1)

    def take(draws: Any) -> Any:
        return draws.reshape(n, *draws.shape[2:])[chosen].reshape(draws.shape)

    names = ("sampled", "sigma", "sigma_new", "log_sigma", "coef", "working")
    fields = {name: getattr(posterior, name) for name in names}
    drawn = {name: take(a) for name, a in fields.items() if a is not None}
    drawn["scales"] = tuple(Scales(take(s.tau), take(s.corr)) for s in posterior.scales)
    stats = {name: take(a) for name, a in origin.sample_stats.items() if name != "logp"}
    # Kish's effective sample size; what chains gain by alternating, resampling may lose.
    efficiency = min(origin.efficiency, 1.0) / (n * float(np.sum(weights**2)))
    return Resampled(replace(posterior, **drawn), stats, float(k[0]), efficiency)


def warn_if_unreliable(k: float, n_draws: int) -> None:
    """Warn if Pareto k says that so many draws cannot be reweighted."""
    threshold = good_k(n_draws)
    if k > threshold:
        warnings.warn(
            f"Pareto k is {k:.2f}, above {threshold:.2f}: the rows change the posterior more "
            "than its draws can be reweighted for. Use `partial_fit` with these rows, or "
            "`fit` with all of them.",
            ConvergenceWarning,
            stacklevel=3,
        )


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
        candidates = _candidates(posterior, rng)
        repeated = np.full(CANDIDATES, i)
        sigma = candidates / posterior.design.scaling.y_scale
        each = group_log_densities(posterior, _some(after, repeated), sigma).T
        # The largest of density times exponential noise is a draw in proportion to density.
        chosen = np.argmax(each + rng.gumbel(size=each.shape), axis=1)
        own[:, i] = candidates[draws, chosen]
        log_ratios += log_mean_exp(each)
    return own, log_ratios


def _candidates(posterior: Posterior, rng: np.random.Generator) -> Float:
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


def _insert(sigma: Float, codes: Int, own: Float, old: Int, n_groups: int) -> Float:
    """Place scales of all groups (n_chains, n_draws, n_groups): `own` at `codes`."""
    out = np.empty((*sigma.shape[:2], n_groups))
    out[:, :, old] = sigma
    out[:, :, codes] = own.reshape(*sigma.shape[:2], len(codes))
    return out


def _size(statistics: GroupedStatistics) -> float:
    return float(np.abs(statistics.mean[:, -1]).max())


def _some(parts: Parts, groups: Int) -> Parts:
    return Parts(*(array[groups] for array in parts))
