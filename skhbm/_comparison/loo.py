"""Leave-one-out cross-validation without refitting, of rows or of whole groups.

The posterior without unit i is importance-sampled from the draws with ratios
1 / p(y_i | y_-i, theta, w), theta being the hyperparameters and w the coefficients:
p(y | theta, w) = p(y_-i | theta, w) p(y_i | y_-i, theta, w). With the group effects integrated
out of them these ratios vary far less than conditional likelihoods given drawn effects.
With several factors the coefficients are integrated out as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._comparison.group_density import group_log_densities
from skhbm._comparison.reweight_several_factors import without_level
from skhbm._design.roots import Parts, make_parts
from skhbm._inputs.warning import warn
from skhbm._posterior.effect_draws import draw_effects
from skhbm._posterior.joint_draws import joint_densities
from skhbm._prediction.linear_predictors import blocks, linear_predictors
from skhbm._sampling.psis import good_k, log_mean_exp, pareto_smooth, told_apart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skhbm._inputs.rows import Rows
    from skhbm._posterior.posterior import Posterior
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float, Int

    Units = Iterator[tuple[slice | Int, Float, Float]]

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
) -> Units:
    """Yield positions of rows with log p(y_i | y_-i, theta, w) and log p(y_i | y).

    The first are (rows, n_draws). The second, (rows,), are densities of the mixture over draws
    that predicts the row. For a row with residual e_i about the conditional mean and leverage
    h_i = z_i' Cov[u_j] z_i / sigma^2, the rest of its group predicts y_i with residual
    e_i / (1 - h_i) and variance sigma^2 / (1 - h_i).
    """
    scaling = posterior.design.scaling
    standard = (y - scaling.y_mean) / scaling.y_scale
    unit = np.log(scaling.y_scale)
    for block, mean, variance in linear_predictors(posterior, rows):
        scale = _row_scales(posterior, rows, errors, block)
        # A row that is alone in its group may have a leverage of one, up to rounding.
        kept = np.maximum(1.0 - variance / scale**2, np.finfo(float).eps)
        residual = standard[block, None] - mean
        # The quadratic of derivation (10) is residual^2 / (1 - h) over sigma^2.
        left_out = _log_normal(residual / np.sqrt(kept), scale) + 0.5 * np.log(kept)
        inside = log_mean_exp(_log_normal(residual, np.sqrt(variance + scale**2)))
        yield block, left_out - unit, inside - unit


def left_out_groups(
    posterior: Posterior,
    statistics: GroupedStatistics,
    factor: int,
    rows: Rows,
    errors: Float | None = None,
) -> Units:
    """Yield blocks of a factor's groups j with log p(y_j | y_-j, theta, w), and log p(y_j | y).

    The first are (groups, n_draws), the second, (groups,), logs of their means over draws.
    """
    design = posterior.design
    found = _levels if design.several_factors else _independent
    # If errors are known, densities are of the targets over their errors.
    unit = np.zeros(design.factors[factor].n_groups)
    if errors is not None:
        unit = np.bincount(rows.keys[factor], np.log(errors))
    for block, values in found(posterior, statistics, factor):
        values -= unit[block, None]
        yield block, values, log_mean_exp(values)


def _independent(
    posterior: Posterior, statistics: GroupedStatistics, factor: int
) -> Iterator[tuple[slice, Float]]:
    """Yield densities of groups of the only factor, which are independent in each draw."""
    del factor
    design = posterior.design
    parts = make_parts(statistics, design.scaling, design.terms)
    averaged = posterior.log_sigma is not None
    for block in blocks(len(parts.n), BLOCK):
        some = Parts(*(array[block] for array in parts))
        sigma = _group_scales(posterior, np.arange(len(parts.n))[block])
        yield block, group_log_densities(posterior, some, sigma, averaged=averaged)


def _levels(
    posterior: Posterior, statistics: GroupedStatistics, factor: int
) -> Iterator[tuple[slice, Float]]:
    """Yield densities of one level after another: of all rows over those of other levels."""
    of_all, _ = joint_densities(posterior)
    for level in range(posterior.design.factors[factor].n_groups):
        values = of_all - without_level(posterior, statistics, factor, level)
        yield slice(level, level + 1), values[None]


def marginal_densities(
    posterior: Posterior,
    statistics: GroupedStatistics,
    factor: int,
    rows: Rows,
    errors: Float | None = None,
) -> Float:
    """Return log p(y_j | y_-j, theta, w) of all groups of a factor (n_groups, n_draws)."""
    found = left_out_groups(posterior, statistics, factor, rows, errors)
    return np.concatenate([values for _, values, _ in found])


def conditional_densities(
    posterior: Posterior, rows: Rows, y: Float, errors: Float | None = None
) -> Float:
    """Return log p(y_i | theta, w, u) of rows given drawn effects (n, n_draws)."""
    design, scaling = posterior.design, posterior.design.scaling
    mean = scaling.features(rows.X, design.terms)[0] @ posterior.coefficients().T
    drawn = zip(design.factors, draw_effects(posterior), strict=True)
    for f, (factor, effects) in enumerate(drawn):
        u = effects.reshape(posterior.n_draws, *effects.shape[2:])
        varying = scaling.features(rows.X, factor.terms)[1]
        for a in range(varying.shape[1]):
            mean += varying[:, a, None] * u[:, rows.codes(f), a].T
    scale = _row_scales(posterior, rows, errors, slice(None))
    residual = ((y - scaling.y_mean) / scaling.y_scale)[:, None] - mean
    return _log_normal(residual, scale) - np.log(scaling.y_scale)


def _row_scales(
    posterior: Posterior, rows: Rows, errors: Float | None, block: slice | Int
) -> Float:
    """Return residual scales of rows in working units (rows, n_draws or 1)."""
    if errors is not None:
        return errors[block, None] / posterior.design.scaling.y_scale
    return _group_scales(posterior, rows.codes()[block]).T


def _group_scales(posterior: Posterior, groups: Int) -> Float:
    """Return residual scales of groups in working units (n_draws, n_groups or 1)."""
    sigma = posterior.residual_scales()
    return sigma[:, groups] if sigma.shape[1] > 1 else sigma


def make_elpd(
    units: Units,
    n_draws: int,
    dim: str,
    labels: Any,
    efficiency: float,
) -> Any:
    """Smooth the ratios block by block and sum up, as ArviZ's ELPDData.

    `labels` (n,) name the units along `dim`.
    """
    elpd, inside, k = np.empty(len(labels)), np.empty(len(labels)), np.empty(len(labels))
    for block, left_out, within in units:
        log_weights, k[block] = pareto_smooth(-left_out, efficiency)
        elpd[block] = log_mean_exp(log_weights + left_out) + np.log(n_draws)
        inside[block] = within
    threshold = good_k(n_draws)
    n_bad = int(np.sum(k > threshold))
    if n_bad:
        largest, bound = told_apart(float(k.max()), threshold)
        warn(
            f"Pareto k is above {bound} for {n_bad} of {len(k)} units (`{dim}`), the "
            f"largest {largest}: their elpd is not reliable, as the posterior without "
            "them is far from that with them. Fit without these, or draw more.",
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
    # Before arviz-stats 1.3 there was one class for all kinds.
    return utils.ELPDData(kind="loo", **fields)


def _log_normal(residual: Float, scale: Float) -> Float:
    """Return the log density of normal residuals."""
    return np.asarray(-0.5 * (residual / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi))
