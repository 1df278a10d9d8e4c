"""The sampled model as a `pm.Model` with named variables, dims and coords.

`skhbm._density.hyperparameters_kernel` evaluates the same density, after integrating out the
coefficients whose prior is normal. The observed node of the model holds the statistics of y,
and can be simulated: see `skhbm._density.pymc_statistics` and `skhbm._density.pymc_cells`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from skhbm._density.coefficients import make_coefficients
from skhbm._density.pymc_cells import observe_cells
from skhbm._density.pymc_statistics import observe_groups
from skhbm._priors.distributions import find_distribution
from skhbm._priors.prior import hierarchical_priors

if TYPE_CHECKING:
    from skhbm._design.design import Design
    from skhbm._design.terms import Terms
    from skhbm._priors.prior import Priors
    from skhbm._statistics.grouped import GroupedStatistics

__all__ = ["build_model", "coords_of", "population", "scales_of_effects", "variable"]


def build_model(design: Design, priors: Priors, statistics: GroupedStatistics) -> pm.Model:
    """Build the model of the statistics, with the effects of all groups integrated out."""
    with pm.Model(coords=coords_of(design)) as model:
        natural = population(design, priors)
        sigma = pt.atleast_1d(_residual_scale(design, priors)) / design.scaling.y_scale
        covs = [
            _covariance(design, factor, tau, priors.eta)
            for factor, tau in zip(design.factors, priors.tau, strict=True)
        ]
        coefficients = make_coefficients(design, priors)
        working = coefficients.shift + (coefficients.matrix * natural).sum(axis=1)
        if design.others:
            observe_cells(design, statistics, covs, sigma, working)
        else:
            observe_groups(design, covs[0], sigma, working)
    return model


def coords_of(design: Any) -> dict[str, Any]:
    """Return the labels of all dims of a design."""
    coords: dict[str, Any] = {"feature": list(design.terms.features)}
    for factor in design.factors:
        f, names = factor.levels.name, list(factor.terms.varying)
        coords |= {f: factor.levels.labels, f"{f}_term": names, f"{f}_term_bis": names}
    return coords


def population(design: Any, priors: Priors) -> Any:
    """Return the natural coefficients, the intercept first and where its prior is."""
    terms = design.terms
    parts = []
    coef: Any = None
    if terms.features:
        coef = _vector("coef", priors.coef, terms.features, "feature")
        parts.append(coef)
    if terms.intercept:
        shifted = priors.intercept_at_mean and coef is not None
        name = "intercept_at_mean" if shifted else "intercept"
        intercept = variable(name, priors.intercept)
        if shifted:
            pm.Deterministic("intercept", intercept - (coef * design.scaling.x_mean).sum())
        parts.insert(0, intercept[None])
    return pt.concatenate(parts) if parts else pt.zeros(0)


def variable(name: str, prior: Any, **kwargs: Any) -> Any:
    """Make the random variable of a prior."""
    parameters = {**prior.parameters, **kwargs}
    return find_distribution(name, prior)(name, **parameters)


def _vector(name: str, priors: tuple[Any, ...], entries: tuple[str, ...], dim: str) -> Any:
    """Make one vector variable, or one variable per entry if the families differ."""
    kinds = {(prior.distribution, *sorted(prior.parameters)) for prior in priors}
    if len(kinds) == 1:
        first = priors[0].parameters
        values = {key: np.array([float(p.parameters[key]) for p in priors]) for key in first}
        return find_distribution(name, priors[0])(name, **values, dims=dim)
    scalars = [
        variable(f"{name}[{entry}]", p) for entry, p in zip(entries, priors, strict=True)
    ]
    return pm.Deterministic(name, pt.stack(scalars), dims=dim)


def _covariance(design: Any, factor: Any, tau: tuple[Any, ...], eta: float) -> Any:
    """Return the covariance (q, q) of the effects of a factor, in working units."""
    if not factor.terms.varying:
        return pt.zeros((0, 0))
    sds, root = scales_of_effects(design, factor, tau, eta)
    scaled = sds / design.scaling.effect_units(factor.terms)
    return root @ root.T * pt.outer(scaled, scaled)


def scales_of_effects(
    design: Any, factor: Any, priors: tuple[Any, ...], eta: float
) -> tuple[Any, Any]:
    """Return tau (q,) and the Cholesky factor of the correlations (q, q) of a factor.

    They are those at the origin of its varying terms. If it is not x = 0, their values at x = 0
    are variables, too.
    """
    terms, f = factor.terms, factor.levels.name
    at, dim = _where(terms), f"{f}_term"
    tau = _vector(f"tau_{f}{at}", priors, terms.varying, dim)
    root = pt.eye(len(terms.varying))
    if terms.n_correlations:
        root = pm.LKJCorr(f"corr_{f}_cholesky", n=len(terms.varying), eta=eta)
        pm.Deterministic(f"corr_{f}{at}", root @ root.T, dims=(dim, f"{dim}_bis"))
    if at:
        at_zero = _map_to_zero(design, terms) @ (tau[:, None] * root)
        sds = pm.Deterministic(f"tau_{f}", pt.sqrt((at_zero**2).sum(axis=1)), dims=dim)
        corr = (at_zero / sds[:, None]) @ (at_zero / sds[:, None]).T
        pm.Deterministic(f"corr_{f}", corr, dims=(dim, f"{dim}_bis"))
    return tau, root


def _where(terms: Terms) -> str:
    """Return what the names of variables end with that are not those at x = 0."""
    return "_at_mean" if terms.centred else ""


def _map_to_zero(design: Design, terms: Terms) -> Any:
    """Return the matrix (q, q) from effects at the means to effects at x = 0, both natural."""
    scaling = design.scaling
    return scaling.natural_effects(np.diag(1 / scaling.effect_units(terms)), terms).T


def _residual_scale(design: Design, priors: Priors) -> Any:
    if design.terms.known:
        return pt.ones(())
    f = design.levels.name
    dims = f if design.terms.by_group else None
    if priors.sigma is not None:
        return variable("sigma", priors.sigma, dims=dims)
    mean, spread = hierarchical_priors(design)
    mu = variable("log_sigma_mean", mean)
    return pm.LogNormal("sigma", mu=mu, sigma=variable("log_sigma_sd", spread), dims=f)
