"""Convergence of the chains: R-hat, effective sample size, divergences."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri
from sklearn.exceptions import ConvergenceWarning

from skhbm._design.identifiability import FAR
from skhbm._inputs.warning import warn
from skhbm._posterior.datatree import coordinates, hyperparameters
from skhbm._sampling.psis import effective_size, good_k, told_apart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skhbm._design.scaling import Scaling
    from skhbm._design.terms import Terms
    from skhbm._posterior.hierarchical import HierarchicalDraws
    from skhbm._sampling.draws import Draws

__all__ = ["diagnose", "normal_scores", "rhat_and_bulk_ess", "warn_if_not_converged"]

#: Thresholds of Vehtari et al. (2021), https://doi.org/10.1214/20-BA1221.
RHAT = 1.01
#: Effective draws that are enough for means and standard deviations, and the share of all draws
#: that should be effective.
ENOUGH, SHARE = 400, 0.1
#: Share of points that count where weights are as they should be.
COUNTING = 0.3


def diagnose(posterior: HierarchicalDraws, found: Draws) -> dict[str, Any]:
    """Return the worst rank-normalised R-hat and bulk ESS, and where, and divergences.

    All parameters are checked but the effects, which are drawn exactly. If draws were weighted,
    an effective sample size is no larger than what the weights of the draws make it.
    """
    weights, rhats, sizes = found.weights, {}, {}
    for name, draws in _scalars(posterior):
        if np.ptp(draws) == 0:
            continue
        # Ranks tell chains that are stuck or have other tails; weighted draws are no chains.
        rhats[name], sizes[name] = rhat_and_bulk_ess(draws, ranked=weights is None)
        if weights:
            size = effective_size(draws.ravel(), weights.spread)
            sizes[name] = min(sizes[name], size)
    worst = max(rhats, key=lambda name: np.nan_to_num(rhats[name], nan=np.inf))
    least = min(sizes, key=lambda name: np.nan_to_num(sizes[name], nan=0.0))
    return {
        "solver": found.solver,
        "max_rhat": rhats[worst],
        "max_rhat_parameter": worst,
        "n_rhat_above": sum(not value <= RHAT for value in rhats.values()),
        "n_parameters": len(rhats),
        "min_ess": sizes[least],
        "min_ess_parameter": least,
        "n_divergences": int(np.sum(found.statistics["diverging"])),
        "pareto_k": weights.k if weights else None,
        "n_points": weights.n if weights else None,
    }


def warn_if_not_converged(
    diagnostics: dict[str, Any], n_draws: int, terms: Terms, scaling: Scaling
) -> None:
    """Warn of R-hat and Pareto k above their thresholds, of divergences; say what to do."""
    if diagnostics["pareto_k"] is not None:
        _warn_if_not_covered(diagnostics, n_draws)
        return
    reach = np.abs(scaling.x_mean / scaling.x_scale)[terms.slopes]
    off_centre = [terms.features[k] for k in terms.slopes[(reach > FAR) & (not terms.centred)]]
    found = []
    if diagnostics["n_rhat_above"]:
        found.append(
            f"{diagnostics['n_rhat_above']} of {diagnostics['n_parameters']} parameters have "
            f"R-hat > {RHAT} (largest {diagnostics['max_rhat']:.3f}, "
            f"{diagnostics['max_rhat_parameter']}; smallest effective sample size "
            f"{diagnostics['min_ess']:.0f}, {diagnostics['min_ess_parameter']})"
        )
    if diagnostics["n_divergences"]:
        found.append(f"{diagnostics['n_divergences']} draws diverged")
    if not found:
        return
    remedies = ["`draws` and `tune`"] if diagnostics["n_rhat_above"] else []
    remedies += ["`target_accept`"] if diagnostics["n_divergences"] else []
    advice = f"Increase {' and '.join(remedies)}, or give more informative `priors`."
    if off_centre:
        advice = (
            f"Centre {', '.join(map(repr, off_centre[:5]))} first: varying slopes with x = 0 "
            f"far from the data, are hard to tell from the intercept. {advice}"
        )
    warn(
        f"{' and '.join(found)}. {advice}",
        ConvergenceWarning,
    )


def _warn_if_not_covered(diagnostics: dict[str, Any], n_draws: int) -> None:
    """Warn if the proposals of importance sampling do not cover the posterior, or are few."""
    k, n_points, size = (diagnostics[name] for name in ("pareto_k", "n_points", "min_ess"))
    threshold, least = good_k(n_points), diagnostics["min_ess_parameter"]
    found = f"effective sample size is {size:.0f} of {n_draws} draws"
    if k <= threshold and size >= min(ENOUGH, SHARE * n_draws):
        return
    if k <= threshold and size >= COUNTING * n_points:
        warn(
            f"The smallest {found} ({least}): evaluations of this posterior take long, and "
            f"{n_points} points were evaluated. More `draws` have more of them.",
            ConvergenceWarning,
        )
        return
    if k > threshold:
        written, bound = told_apart(k, threshold)
        found = f"Pareto k is {written}, above {bound}, and the smallest {found}"
    else:
        found = f"The smallest {found}"
    warn(
        f"{found} ({least}). The shape of this posterior is hard to approximate by importance "
        "sampling: a part of it may have too few draws, or none. Use solver='nuts', though it "
        "may take minutes, or let fewer slopes vary.",
        ConvergenceWarning,
    )


def rhat_and_bulk_ess(draws: Any, *, ranked: bool) -> tuple[float, float]:
    """Return ArviZ's R-hat, "rank" or "split", and bulk ESS of draws (n_chains, n_draws).

    Both are of normal scores of ranks, which take most of the time, and are computed once.
    """
    from arviz_stats.base import array_stats

    axes = {"chain_axis": 0, "draw_axis": 1}
    even = _even(draws)
    scores = normal_scores(even)
    size = float(array_stats.ess(scores, **axes, method="mean"))
    chains = even if len(draws) > 1 else _even(_chains(draws))
    if not ranked:
        return float(array_stats.rhat(chains, **axes, method="split")), size
    bulk = scores if len(draws) > 1 else normal_scores(chains)
    tail = normal_scores(np.abs(chains - np.median(chains)))
    rhats = [float(array_stats.rhat(z, **axes, method="split")) for z in (bulk, tail)]
    return max(rhats), size


def normal_scores(draws: Any) -> Any:
    """Return the normal quantiles of the ranks of draws, as of Vehtari et al. (2021)."""
    order = np.argsort(draws, axis=None)
    n = len(order)
    ascending = draws.ravel()[order]
    if np.all(ascending[1:] > ascending[:-1]):
        scores = np.empty(n)
        scores[order] = _quantiles(n)
        return scores.reshape(draws.shape)
    from scipy.stats import rankdata

    ranks = rankdata(draws, method="average", nan_policy="omit").reshape(draws.shape)
    return ndtri((ranks - 0.375) / (n + 0.25))


@cache
def _quantiles(n: int) -> Any:
    """Return the normal scores of n different numbers in ascending order."""
    return ndtri((np.arange(1, n + 1) - 0.375) / (n + 0.25))


def _even(draws: Any) -> Any:
    """Return draws without the middle one of an odd number, as their halves are compared."""
    n = draws.shape[1]
    return draws if n % 2 == 0 else np.delete(draws, n // 2, axis=1)


def _chains(draws: Any) -> Any:
    """Return the halves of a single chain as two: R-hat compares chains."""
    if len(draws) > 1:
        return draws
    half = draws.shape[1] // 2
    return np.stack([draws[0, :half], draws[0, -half:]])


def _scalars(posterior: HierarchicalDraws) -> Iterator[tuple[str, Any]]:
    """Yield names like tau_school[Days] and draws (n_chains, n_draws)."""
    variables, dims = hyperparameters(posterior, as_sampled=True)
    entries = coordinates(posterior)
    for name, draws in variables.items():
        axes = dims.get(name, [])
        for index in np.ndindex(draws.shape[2:]):
            labels = [str(entries[dim][i]) for dim, i in zip(axes, index, strict=True)]
            label = f"{name}[{', '.join(labels)}]" if labels else name
            yield label, draws[(slice(None), slice(None), *index)]
