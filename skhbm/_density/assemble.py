"""The density of a design and its priors: the one place that chooses and joins its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._density.basis import make_basis
from skhbm._density.coefficients import make_coefficients
from skhbm._density.hyperparameters import HyperparameterDensity
from skhbm._density.hyperparameters_kernel import (
    FACTOR,
    HIERARCHICAL,
    INDEPENDENT,
    KNOWN,
    SHARED,
)
from skhbm._density.residual_scales_kernel import LOG_RESIDUAL
from skhbm._density.spreads import find_elbows, no_elbows
from skhbm._density.start import START
from skhbm._likelihood.blocked import make_blocked
from skhbm._likelihood.equal_groups import share_equal_work
from skhbm._likelihood.marginal import make_marginal
from skhbm._likelihood.nodes import Groups
from skhbm._likelihood.tabulated import make_tabulated
from skhbm._numba.threads import COMPILING
from skhbm._priors.compiled import as_table, compiled_prior
from skhbm._priors.prior import hierarchical_priors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._density.basis import Basis
    from skhbm._density.coefficients import Coefficients
    from skhbm._design.design import Design
    from skhbm._design.terms import Terms
    from skhbm._likelihood.interface import MarginalLikelihood
    from skhbm._priors.prior import Priors
    from skhbm._types import Float, Int

__all__ = ["Density", "make_density"]

type Density = HyperparameterDensity

#: Variance of the log residual scale of a group that says nothing about it.
UNINFORMED = 1e8
#: Work of an evaluation, rows times squared columns and their cube, above which the likelihood
#: is tabulated where it can be.
TABULATED = 2e4


def make_density(design: Design, priors: Priors) -> Density:
    """Return the density of the hyperparameters, whose priors are compiled if need be."""
    coefficients = make_coefficients(design, priors)
    basis = make_basis(design, coefficients)
    with COMPILING:
        return _make_hyperparameters(design, priors, coefficients, basis)


def _make_hyperparameters(
    design: Design, priors: Priors, coefficients: Coefficients, basis: Basis
) -> HyperparameterDensity:
    """Collect what the compiled density reads."""
    terms, scaling = design.terms, design.scaling
    kind = _kind(terms, priors)
    scales = {
        SHARED: [priors.sigma],
        INDEPENDENT: [priors.sigma] * design.n_groups,
        HIERARCHICAL: hierarchical_priors(design),
        KNOWN: [],
    }[kind]
    tau = tuple(prior for of_factor in priors.tau for prior in of_factor)
    factors = lay_out([factor.terms for factor in design.factors])
    address, parameters = as_table([*tau, *scales, *coefficients.priors])
    transforms = [compiled_prior(prior).transform for prior in coefficients.priors]
    center, rotation = _whitening(design, coefficients, transforms)
    likelihood = _make_likelihood(design, basis)
    return HyperparameterDensity(
        kind,
        factors,
        tuple(factor.n_groups for factor in design.factors),
        float(design.log_counts.sum()),
        np.concatenate([scaling.effect_units(factor.terms) for factor in design.factors]),
        priors.eta,
        scaling.y_scale,
        address,
        parameters,
        places(factors, len(scales)),
        _log_residuals(design, basis),
        no_elbows(len(tau)) if design.others else find_elbows(design, basis, tau),
        center,
        rotation,
        tau,
        tuple(scales) if kind in (SHARED, INDEPENDENT) else (),
        np.array([START * scaling.y_scale]),
        START,
        likelihood,
        likelihood.table(),
        basis,
        priors,
    )


def lay_out(terms: Sequence[Terms]) -> Any:
    """Return where the parameters of each factor are (n_factors,), one factor after another."""
    out = np.zeros(len(terms), FACTOR)
    out["n_terms"] = [len(of_factor.varying) for of_factor in terms]
    out["n_correlations"] = [of_factor.n_correlations for of_factor in terms]
    sizes = {"first_tau": out["n_terms"], "first_entry": out["n_terms"] ** 2}
    sizes["first"] = out["n_terms"] + out["n_correlations"]
    for name, size in sizes.items():
        out[name] = np.cumsum(size) - size
    return out


def _kind(terms: Terms, priors: Priors) -> int:
    if terms.known:
        return KNOWN
    if not terms.by_group:
        return SHARED
    return INDEPENDENT if priors.sigma else HIERARCHICAL


def _log_residuals(design: Design, basis: Basis) -> Any:
    """Estimate each group's log residual scale and the variance of the estimate (n_groups,).

    The estimate is of the rows that the group's terms and the pooled regression leave over. The
    log of a chi-square on d degrees has variance close to 2 / d, the log of its root a quarter.
    """
    rss = np.broadcast_to(basis.within[:, -1, -1], design.n.shape)
    informed = design.degrees >= 1
    degrees = np.where(informed, design.degrees, 1.0)
    out = np.empty(len(degrees), LOG_RESIDUAL)
    out["estimate"] = np.log(design.scaling.y_scale) + 0.5 * np.log(rss / degrees)
    out["variance"] = np.where(informed, 0.5 / degrees, UNINFORMED)
    return out


def places(factors: Any, n_scales: int) -> Int:
    """Return the positions of the standard deviations, and of as many residual scales."""
    ends = factors["first"] + factors["n_terms"]
    of_factors = [np.arange(*pair) for pair in zip(factors["first"], ends, strict=True)]
    n_effects = ends[-1] + factors["n_correlations"][-1]
    return np.concatenate([*of_factors, np.arange(n_effects, n_effects + n_scales)])


def _make_likelihood(design: Design, basis: Basis) -> MarginalLikelihood:
    """Return the marginal likelihood, equal groups taken together where they can be.

    Where an evaluation would take long it is tabulated if it can be.
    """
    if design.several_factors is not None:
        return make_blocked(
            design.several_factors.blocks,
            design.several_factors.layout,
            basis.columns,
            basis.mean,
            float(design.log_counts[0]),
        )
    q = len(design.terms.varying)
    R, E = np.split(design.roots, [q], axis=2)
    E, weight = E @ basis.columns, np.ones(design.n_groups)
    if q and not design.terms.by_group:
        R, E, weight = share_equal_work(R, E)
    roots = np.concatenate([R, E], axis=2)
    marginal = make_marginal(basis.mean, roots, weight, basis.within, design.log_counts)
    _, q, m = E.shape
    sampled = m - 1 - len(basis.mean)
    if q > 1 or sampled or design.terms.by_group:
        return marginal
    if len(E) * m**2 + m**3 < TABULATED:
        return marginal
    variance = design.scaling.y_scale**-2.0 if design.terms.known else None
    return make_tabulated(_one_term(design, basis), marginal, variance)


def _one_term(design: Design, basis: Basis) -> Groups:
    """Return the groups of a design whose terms are one, or none, in the basis."""
    q, k = len(design.terms.varying), len(basis.mean)
    roots = design.roots[:, 0] if q else np.zeros((0, 1 + k))
    roots = roots[roots[:, 0] != 0]
    within = basis.within[0]
    return Groups(
        roots[:, 0] ** 2,
        roots[:, q:] @ basis.columns,
        np.diag(within)[:-1].copy(),
        within[:-1, -1].copy(),
        float(within[-1, -1]),
        basis.mean,
        float(design.log_counts[0]),
    )


def _whitening(
    design: Design, coefficients: Coefficients, transforms: list[str]
) -> tuple[Float, Float]:
    """Return the pooled least squares of sampled coefficients, and a root of their covariance.

    Coefficients with a transform (of positive priors, say) are left as they are.
    """
    s = len(coefficients.priors)
    center, rotation = np.zeros(s), np.eye(s)
    real = np.array([transform == "identity" for transform in transforms], dtype=bool)
    if not real.any():
        return center, rotation
    pooled = design.pooled()
    slope = coefficients.slope[:, real]
    information = slope.T @ pooled[:-1, :-1] @ slope
    information += np.diag(1e-6 * np.diag(information) + np.finfo(float).tiny)
    rest = pooled[:-1, -1] - pooled[:-1, :-1] @ coefficients.offset
    center[real] = np.linalg.solve(information, slope.T @ rest)
    rotation[np.ix_(real, real)] = np.linalg.cholesky(np.linalg.inv(information))
    return center, rotation
