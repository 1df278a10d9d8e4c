"""A posterior as an `xarray.DataTree`, in ArviZ's vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from skhbm._posterior import Posterior

__all__ = ["add_log_likelihood", "hyperparameters", "to_datatree"]


def hyperparameters(posterior: Posterior) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return all variables but the effects, (chain, draw, ...), and their dims."""
    terms, f = posterior.design.terms, posterior.design.levels.name
    chains, draws, q = posterior.tau.shape
    variables: dict[str, Any] = {}
    dims: dict[str, list[str]] = {}
    if terms.intercept:
        variables["intercept"] = posterior.coef[:, :, 0]
    if terms.features:
        variables["coef"] = posterior.coef[:, :, 1:]
        dims["coef"] = ["feature"]
    if q:
        variables[f"tau_{f}"], dims[f"tau_{f}"] = posterior.tau, [f"{f}_term"]
    if terms.n_correlations:
        matrices = posterior.correlations().reshape(chains, draws, q, q)
        variables[f"corr_{f}"] = matrices
        dims[f"corr_{f}"] = [f"{f}_term", f"{f}_term_bis"]
    if terms.by_group:
        variables["sigma"], dims["sigma"] = posterior.sigma, [f]
    else:
        variables["sigma"] = posterior.sigma[:, :, 0]
    if posterior.log_sigma is not None:
        variables["log_sigma_mean"] = posterior.log_sigma[:, :, 0]
        variables["log_sigma_sd"] = posterior.log_sigma[:, :, 1]
    return variables, dims


def to_datatree(
    posterior: Posterior, sample_stats: Mapping[str, Any], y_mean: Any, x_mean: Any
) -> xr.DataTree:
    """Draw the effects and put everything into one tree.

    `y_mean` (n_groups,) and `x_mean` (n_groups, n_features) are the groups' means.
    """
    from arviz_base import from_dict

    terms, levels = posterior.design.terms, posterior.design.levels
    f = levels.name
    variables, dims = hyperparameters(posterior)
    if terms.varying:
        variables[f"effect_{f}"] = posterior.effects()
        dims[f"effect_{f}"] = [f, f"{f}_term"]
    names = {"depth": "tree_depth", "logp": "lp"}
    statistics = {names.get(name, name): value for name, value in sample_stats.items()}
    return from_dict(
        {
            "posterior": variables,
            "sample_stats": statistics,
            "observed_data": {"y_mean": y_mean},
            "constant_data": {"n": posterior.design.n, "x_mean": x_mean},
        },
        coords={
            "feature": list(terms.features),
            f: np.asarray(levels.labels),
            f"{f}_term": list(terms.varying),
            f"{f}_term_bis": list(terms.varying),
        },
        dims={**dims, "y_mean": [f], "n": [f], "x_mean": [f, "feature"]},
    )


def add_log_likelihood(tree: xr.DataTree, values: Any, dim: str, labels: Any) -> None:
    """Put log likelihoods (n_chains, n_draws, n) of units along `dim` into the tree."""
    from arviz_base import from_dict

    made = from_dict(
        {"log_likelihood": {"y": values}}, dims={"y": [dim]}, coords={dim: np.asarray(labels)}
    )
    tree["log_likelihood"] = made["log_likelihood"]
