"""A posterior as an `xarray.DataTree`, in ArviZ's vocabulary."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._posterior.effect_draws import draw_effects, natural_effects
from skhbm._posterior.response_effects import every_effect

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from skhbm._posterior.hierarchical import HierarchicalDraws
    from skhbm._posterior.posterior import Posterior
    from skhbm._posterior.responses import ResponsePosterior
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float

__all__ = [
    "add_log_likelihood",
    "coordinates",
    "effect_dims",
    "hyperparameters",
    "response_datatree",
    "to_datatree",
]


def hyperparameters(
    posterior: HierarchicalDraws, *, as_sampled: bool = False
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return all variables but the effects, (chain, draw, ...), and their dims.

    Scales of effects are those at x = 0, or those that were sampled.
    """
    design = posterior.design
    terms, (chains, draws) = design.terms, posterior.shape
    variables: dict[str, Any] = {}
    dims: dict[str, list[str]] = {}
    if terms.intercept:
        variables["intercept"] = posterior.coef[:, :, 0]
    if terms.features:
        variables["coef"] = posterior.coef[:, :, 1:]
        dims["coef"] = ["feature"]
    for position, factor in enumerate(design.factors):
        scales = (
            posterior.scales[position] if as_sampled else posterior.scales_at_zero(position)
        )
        f, q = factor.levels.name, scales.tau.shape[2]
        if q:
            variables[f"tau_{f}"], dims[f"tau_{f}"] = scales.tau, [f"{f}_term"]
        if scales.corr.shape[2]:
            variables[f"corr_{f}"] = scales.correlations().reshape(chains, draws, q, q)
            dims[f"corr_{f}"] = [f"{f}_term", f"{f}_term_bis"]
    of_response, dims_of_response = posterior.response_variables()
    variables |= of_response
    dims |= dims_of_response
    return variables, dims


def effect_dims(posterior: HierarchicalDraws) -> dict[str, list[str]]:
    """Return the dims of the effects' variables, by name."""
    factors = [factor for factor in posterior.design.factors if factor.terms.varying]
    names = [factor.levels.name for factor in factors]
    return {f"effect_{f}": [f, f"{f}_term"] for f in names}


def coordinates(posterior: HierarchicalDraws) -> dict[str, Any]:
    """Return the labels of all dims."""
    coords: dict[str, Any] = {"feature": list(posterior.design.terms.features)}
    for factor in posterior.design.factors:
        f, names = factor.levels.name, list(factor.terms.varying)
        coords |= {f: np.asarray(factor.levels.labels)}
        coords |= {f"{f}_term": names, f"{f}_term_bis": names}
    return coords


def to_datatree(
    posterior: Posterior, statistics: GroupedStatistics, sample_stats: Mapping[str, Any]
) -> xr.DataTree:
    """Draw the effects and put everything into one tree."""
    effects = natural_effects(posterior, draw_effects(posterior))
    constant, dims, coords = _constant_data(posterior, statistics)
    observed = {"y_mean": statistics.mean[:, -1]}
    return _make_tree(posterior, effects, sample_stats, observed, constant, dims, coords)


def response_datatree(
    posterior: ResponsePosterior, sample_stats: Mapping[str, Any]
) -> xr.DataTree:
    """Draw the effects of a response that is not normal and put everything into one tree.

    The data are those of patterns: rows that are alike.
    """
    patterns = posterior.design.patterns
    effects = natural_effects(posterior, every_effect(posterior))
    constant = {"n": patterns.n, "x": patterns.X, "size": patterns.size}
    dims: dict[str, list[str]] = {name: ["pattern"] for name in ("y", "n", "size")}
    dims["x"] = ["pattern", "feature"]
    for position, levels in enumerate(patterns.factors):
        name = f"{levels.name}_of_pattern"
        constant[name] = np.asarray(levels.labels)[patterns.codes[:, position]]
        dims[name] = ["pattern"]
    coords = {"pattern": np.arange(len(patterns.y))}
    observed = {"y": patterns.y}
    return _make_tree(posterior, effects, sample_stats, observed, constant, dims, coords)


def _make_tree(
    posterior: HierarchicalDraws,
    effects: list[Float],
    sample_stats: Mapping[str, Any],
    observed: dict[str, Any],
    constant: dict[str, Any],
    dims_of_data: dict[str, list[str]],
    coords_of_data: dict[str, Any],
) -> xr.DataTree:
    """Put draws, effects on the natural scale, and data with their dims into one tree."""
    from arviz_base import from_dict

    variables, dims = hyperparameters(posterior)
    for drawn, factor in zip(effects, posterior.design.factors, strict=True):
        if factor.terms.varying:
            variables[f"effect_{factor.levels.name}"] = drawn
    names = {"depth": "tree_depth", "logp": "lp"}
    with warnings.catch_warnings():
        # A grouping factor may well be called "sample", a name that ArviZ warns of.
        warnings.filterwarnings("ignore", message="Found dimension named 'sample'")
        # Labels come in the order of `groups_`, and need not be sortable.
        warnings.filterwarnings("ignore", message=".*sort order is undefined")
        return from_dict(
            {
                "posterior": variables,
                "sample_stats": {names.get(k, k): value for k, value in sample_stats.items()},
                "observed_data": observed,
                "constant_data": constant,
            },
            coords={**coordinates(posterior), **coords_of_data},
            dims={**dims, **effect_dims(posterior), **dims_of_data},
        )


def _constant_data(
    posterior: Posterior, statistics: GroupedStatistics
) -> tuple[dict[str, Any], dict[str, list[str]], dict[str, Any]]:
    """Return counts and means of features, with dims and coords, by groups or by cells.

    With several factors they are of cells, and tell the group of each cell.
    """
    constant = {"n": statistics.n, "x_mean": statistics.mean[:, :-1]}
    cell, coords = [posterior.design.levels.name], {}
    dims: dict[str, list[str]] = {}
    if len(statistics.factors) > 1:
        cell, coords = ["cell"], {"cell": np.arange(len(statistics.n))}
        for position, levels in enumerate(statistics.factors):
            name = f"{levels.name}_of_cell"
            constant[name] = np.asarray(levels.labels)[statistics.codes[:, position]]
            dims[name] = cell
    dims |= {"y_mean": cell, "n": cell, "x_mean": [*cell, "feature"]}
    return constant, dims, coords


def add_log_likelihood(tree: xr.DataTree, values: Any, dim: str, labels: Any) -> None:
    """Put log likelihoods (n_chains, n_draws, n) of units along `dim` into the tree."""
    from arviz_base import from_dict

    made = from_dict(
        {"log_likelihood": {"y": values}}, dims={"y": [dim]}, coords={dim: np.asarray(labels)}
    )
    tree["log_likelihood"] = made["log_likelihood"]
