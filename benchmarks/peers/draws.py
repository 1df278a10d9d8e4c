"""What a package's fit gives back, in one shape, and how good it is."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Draws", "Estimate", "judge"]


class Draws(NamedTuple):
    """Posterior draws of the same quantities from every package.

    Attributes
    ----------
    hyper : ndarray of shape (n_chains, n_draws, n_hyper)
        In the order of ``Case.names``; NaN what the package does not have.
    b : ndarray of shape (n_chains, n_draws, n_judged, q)
        Coefficients of the judged groups, population + effect.
    divergences : int
    effective : float
        Effective number of the weights, of draws that were weighted.
    extra : dict
        What else there is to tell.
    """

    hyper: np.ndarray
    b: np.ndarray
    divergences: int
    effective: float = np.inf
    extra: Mapping = MappingProxyType({})


class Estimate(NamedTuple):
    """Point estimates of the hyperparameters, in the order of ``Case.names``."""

    hyper: np.ndarray


def judge(result, names):
    """Return means of hyperparameters, and of draws the worst bulk ESS and R-hat.

    Over hyperparameters and coefficients of the judged groups.
    """
    if isinstance(result, Estimate):
        return {"hyper": dict(zip(names, map(float, result.hyper), strict=True))}
    from arviz_stats.base import array_stats

    axes = {"chain_axis": 0, "draw_axis": 1}
    hyper, b = (v.astype(float) for v in (result.hyper, result.b))
    present = [k for k in range(len(names)) if np.isfinite(hyper[..., k]).all()]
    scalars = np.concatenate([hyper[..., present], b.reshape(*b.shape[:2], -1)], axis=2)
    scalars = list(np.moveaxis(scalars, 2, 0))
    means = {
        names[k]: {
            "mean": float(hyper[..., k].mean()),
            "sd": float(hyper[..., k].std()),
            "mcse": float(array_stats.mcse(hyper[..., k], method="mean", **axes)),
        }
        for k in present
    }
    sizes = [array_stats.ess(v, method="bulk", **axes) for v in scalars]
    return {
        "hyper": means,
        "ess": float(min(result.effective, *sizes)),
        "rhat": float(np.max([array_stats.rhat(v, **axes) for v in scalars])),
        "divergences": int(result.divergences),
        **result.extra,
    }
