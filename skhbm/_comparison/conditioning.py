"""More rows without sampling again: the draws are reweighted, and resampled.

The weight of a draw is p(new rows | theta, w, old rows), with group effects integrated out. It
is the ratio of the densities of the groups that get rows, after and before. With several
factors the coefficients w are integrated out as well.
Log weights add up over repeated conditioning and apply to the draws of the fit, so that nothing
is lost by resampling what was resampled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skhbm._comparison.reweight_one_factor import add_to_groups
from skhbm._comparison.reweight_several_factors import add_cells
from skhbm._inputs.warning import warn
from skhbm._sampling.psis import good_k, pareto_smooth, systematic, told_apart

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skhbm._priors.prior import Priors
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float


__all__ = ["Origin", "Resampled", "condition", "resample", "warn_if_unreliable"]


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """The draws of a fit, and what was learned since.

    Parameters
    ----------
    posterior : Posterior or ResponsePosterior
        The draws as they were sampled, with the design of all rows.
    log_weights : ndarray of shape (n_draws,)
        Log density of the rows that came later, given each draw and the rows of fit.
    sample_stats : dict of ndarray of shape (n_chains, n_draws)
        Statistics of the sampler.
    efficiency : float
        Effective sample size of the draws over their number.
    """

    posterior: Any
    log_weights: Float
    sample_stats: Mapping[str, Any]
    efficiency: float


class Resampled(NamedTuple):
    """Equally weighted draws.

    Attributes
    ----------
    posterior : Posterior or ResponsePosterior
    sample_stats : dict of ndarray of shape (n_chains, n_draws)
        Statistics of the sampler for the chosen draws, without their log density, which
        refers to the old posterior.
    k : float
        Pareto shape of the weights.
    efficiency : float
        Effective number of draws over their number, of weights and chains together.
    """

    posterior: Any
    sample_stats: dict[str, Any]
    k: float
    efficiency: float


def condition(
    origin: Origin, fitted: GroupedStatistics, new: GroupedStatistics, priors: Priors
) -> tuple[Origin, GroupedStatistics]:
    """Weight the draws by the density of new rows; return the statistics of all rows too.

    Working coordinates stay those of the fit, whatever the new rows.
    """
    if origin.posterior.design.others:
        posterior, log_ratios, merged = add_cells(origin.posterior, fitted, new, priors)
    else:
        posterior, log_ratios, merged = add_to_groups(origin.posterior, fitted, new)
    if not np.all(np.isfinite(log_ratios)):
        msg = (
            "The density of the rows given the posterior cannot be computed: `X` or `y` are "
            f"out of all proportion to those of fit. Got `y` up to {_size(new):g}; check "
            "their units."
        )
        raise ValueError(msg)
    log_weights = origin.log_weights + log_ratios
    return replace(origin, posterior=posterior, log_weights=log_weights), merged


def resample(origin: Origin) -> Resampled:
    """Choose draws in proportion to their smoothed weights, from the same seed every time."""
    posterior = origin.posterior
    smoothed, k = pareto_smooth(origin.log_weights[None], origin.efficiency)
    weights = np.exp(smoothed[0])
    n = len(weights)
    chosen = systematic(weights, n, np.random.default_rng([posterior.seed, 2]))

    def take(draws: Any) -> Any:
        return draws.reshape(n, *draws.shape[2:])[chosen].reshape(draws.shape)

    stats = {name: take(a) for name, a in origin.sample_stats.items() if name != "logp"}
    # Kish's effective sample size. Resampling may lose what chains gain by alternating.
    efficiency = min(origin.efficiency, 1.0) / (n * float(np.sum(weights**2)))
    return Resampled(posterior.taken(take), stats, float(k[0]), efficiency)


def warn_if_unreliable(k: float, n_draws: int) -> None:
    """Warn if Pareto k says that so many draws cannot be reweighted."""
    threshold = good_k(n_draws)
    if k > threshold:
        written, bound = told_apart(k, threshold)
        warn(
            f"Pareto k is {written}, above {bound}: the rows change the posterior more "
            "than its draws can be reweighted for. Use `partial_fit` with these rows, or "
            "`fit` with all of them.",
            ConvergenceWarning,
        )


def _size(statistics: GroupedStatistics) -> float:
    """Return the largest mean of the target in a cell, in absolute value."""
    return float(np.abs(statistics.mean[:, -1]).max())
