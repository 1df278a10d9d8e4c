"""Leave-one-out cross-validation without refitting, of rows or of whole groups.

The posterior without unit i is importance-sampled from the draws with ratios
1 / p(y_i | y_-i, theta, w), theta being the hyperparameters and w the coefficients:
p(y | theta, w) = p(y_-i | theta, w) p(y_i | y_-i, theta, w). With the group effects integrated
out of them these ratios vary far less than conditional likelihoods given drawn effects.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._design import Parts, make_parts
from skhbm._group_density import group_log_densities
from skhbm._predictive import mixtures
from skhbm._psis import good_k, log_mean_exp, pareto_smooth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from skhbm._posterior import Posterior
    from skhbm._rows import Rows
    from skhbm._statistics import GroupedStatistics

    Float = NDArray[np.float64]

__all__ = [
    "conditional_densities",
    "left_out_groups",
    "left_out_rows",
    "make_elpd",
    "marginal_densities",
]

#: Groups whose densities are computed at a time.
BLOCK = 512


def left_out_rows(
    posterior: Posterior, rows: Rows, y: Float, errors: Float | None = None
) -> Iterator[tuple[slice, Float, Float]]:
    """Yield blocks of rows with log p(y_i | y_-i, theta, w) and log p(y_i | y).

    The first are (rows, n_draws), the second, (rows,), densities of the mixture over draws
    that a prediction for the row would be. Of a row with residual e_i about the conditional
    mean and leverage h_i = z_i' Cov[u_j] z_i / sigma^2 the rest of its group predicts
    y_i with residual e_i / (1 - h_i) and variance sigma^2 / (1 - h_i). Effects of other
    factors, which are sampled, belong to theta. sigma is the row's known error, if there are.
    """
    scaling = posterior.design.scaling
    standard = (y - scaling.y_mean) / scaling.y_scale
    _, sigma, _ = posterior.conditions()
    for block, mean, sd in mixtures(posterior, rows):
        if errors is None:
            scale = sigma[:, rows.codes[block] % sigma.shape[1]].T
        else:
            scale = errors[block, None] / scaling.y_scale
            sd = np.hypot(sd, scale)
        # sd^2 = sigma^2 (1 + h); an h of one but for rounding is a row alone in its group.
        kept = np.maximum(2.0 - (sd / scale) ** 2, np.finfo(float).eps)
        residual = standard[block, None] - mean
        # Both sides of the density's quadratic are multiplied by 1 - h.
        left_out = _log_normal(residual / np.sqrt(kept), scale) + 0.5 * np.log(kept)
        inside = log_mean_exp(_log_normal(residual, sd))
        unit = np.log(scaling.y_scale)
        yield block, left_out - unit, inside - unit


def left_out_groups(
    posterior: Posterior, statistics: GroupedStatistics, log_errors: Float | None = None
) -> Iterator[tuple[slice, Float, Float]]:
    """Yield blocks of groups with log p(y_j | theta, w), and the log of its mean over draws.

    The first are (groups, n_draws): with its effects integrated out the rows of a group are
    independent of those of others, given the draw. `log_errors` (n_groups,) are the sums of the
    logs of known errors, which statistics do not have.
    """
    design = posterior.design
    parts = make_parts(statistics, design.scaling, design.terms)
    _, sigma, _ = posterior.conditions()
    for first in range(0, len(parts.n), BLOCK):
        block = slice(first, min(first + BLOCK, len(parts.n)))
        own = sigma if sigma.shape[1] == 1 else sigma[:, block]
        some = Parts(*(array[block] for array in parts))
        values = group_log_densities(posterior, some, own)
        if log_errors is not None:
            values -= log_errors[block, None]
        yield block, values, log_mean_exp(values)


def marginal_densities(
    posterior: Posterior, statistics: GroupedStatistics, log_errors: Float | None = None
) -> Float:
    """Return log p(y_j | theta, w) of all groups (n_groups, n_draws)."""
    blocks = left_out_groups(posterior, statistics, log_errors)
    return np.concatenate([values for _, values, _ in blocks])


def conditional_densities(
    posterior: Posterior, rows: Rows, y: Float, errors: Float | None = None
) -> Float:
    """Return log p(y_i | theta, w, u) of rows given drawn effects (n, n_draws)."""
    scaling, terms = posterior.design.scaling, posterior.design.terms
    _, sigma, w = posterior.conditions()
    u = posterior.effects() / scaling.effect_units(terms)
    u = u.reshape(posterior.n_draws, *u.shape[2:])
    fixed, varying = scaling.features(rows.X, terms)
    residual = ((y - scaling.y_mean) / scaling.y_scale)[:, None] - fixed @ w.T
    for a in range(varying.shape[1]):
        residual -= varying[:, a, None] * u[:, rows.codes, a].T
    for f, (other, codes) in enumerate(zip(posterior.design.others, rows.others, strict=True)):
        varying = scaling.features(rows.X, other.terms)[1]
        u = posterior.working_effects(f).reshape(posterior.n_draws, other.n_groups, -1)
        for a in range(varying.shape[1]):
            residual -= varying[:, a, None] * u[:, codes, a].T
    if errors is not None:
        scale = errors[:, None] / scaling.y_scale
    else:
        scale = sigma[:, rows.codes % sigma.shape[1]].T
    return _log_normal(residual, scale) - np.log(scaling.y_scale)


def make_elpd(
    blocks: Iterator[tuple[slice, Float, Float]],
    n_draws: int,
    dim: str,
    labels: Any,
    efficiency: float,
) -> Any:
    """Smooth the ratios block by block and sum up, as ArviZ's ELPDData.

    `labels` (n,) name the units along `dim`.
    """
    elpd, inside, k = np.empty(len(labels)), np.empty(len(labels)), np.empty(len(labels))
    for block, left_out, within in blocks:
        log_weights, k[block] = pareto_smooth(-left_out, efficiency)
        elpd[block] = log_mean_exp(log_weights + left_out) + np.log(n_draws)
        inside[block] = within
    threshold = good_k(n_draws)
    n_bad = int(np.sum(k > threshold))
    if n_bad:
        warnings.warn(
            f"Pareto k is above {threshold:.2f} for {n_bad} of {len(k)} units (`{dim}`), the "
            f"largest {k.max():.2f}: their elpd is not reliable, as the posterior without "
            "them is far from that with them. Fit without these, or draw more.",
            UserWarning,
            stacklevel=3,
        )
    return _elpd_data(elpd, inside, k, n_draws, dim, labels)


def _elpd_data(
    elpd: Float, inside: Float, k: Float, n_draws: int, dim: str, labels: Any
) -> Any:
    """Put pointwise values and their sums into the class that ArviZ compares and plots."""
    import xarray as xr
    from arviz_stats import utils

    fields = {
        "elpd": float(elpd.sum()),
        "se": float(np.sqrt(len(elpd)) * np.std(elpd, ddof=1)) if len(elpd) > 1 else np.nan,
        "p": float(np.sum(inside - elpd)),
        "n_samples": n_draws,
        "n_data_points": len(elpd),
        "scale": "log",
        "warning": bool(np.any(k > good_k(n_draws))),
        "good_k": good_k(n_draws),
        "elpd_i": xr.DataArray(elpd, dims=[dim], coords={dim: labels}),
        "pareto_k": xr.DataArray(k, dims=[dim], coords={dim: labels}),
    }
    if hasattr(utils, "ELPDDataLOO"):
        return utils.ELPDDataLOO(**fields)
    # Before arviz-stats 1.3 one class served all kinds.
    return utils.ELPDData(kind="loo", **fields)


def _log_normal(residual: Float, scale: Float) -> Float:
    return np.asarray(-0.5 * (residual / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi))
