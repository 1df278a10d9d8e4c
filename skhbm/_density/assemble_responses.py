"""The density of a model whose response is not normal: its parts, chosen and joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._density.assemble import lay_out, places
from skhbm._density.hyperparameters import HyperparameterDensity
from skhbm._density.hyperparameters_kernel import INDEPENDENT, KNOWN, SHARED
from skhbm._density.residual_scales_kernel import LOG_RESIDUAL
from skhbm._density.spreads import elbows_of, no_elbows
from skhbm._density.start import START
from skhbm._density.whitening import Rough, WeightedRows, whiten
from skhbm._likelihood.quadrature import make_quadrature
from skhbm._likelihood.response_rows import rows_of_groups
from skhbm._numba.threads import COMPILING
from skhbm._priors.compiled import as_table, compiled_prior

if TYPE_CHECKING:
    from skhbm._design.responses import ResponseDesign
    from skhbm._priors.prior import Prior, Priors
    from skhbm._types import Float

__all__ = [
    "assemble",
    "fixed_columns",
    "make_integrated_density",
    "typical_dispersion",
    "working_map",
]

#: Kinds of residual scale by the number of parameters of a response.
KINDS = (KNOWN, SHARED, INDEPENDENT)
#: Where chains start: degrees of freedom and the like, which say that data are close to normal,
#: or to counts that are Poisson.
LARGE = 8.0


def make_integrated_density(design: ResponseDesign, priors: Priors) -> HyperparameterDensity:
    """Return the density of the hyperparameters and coefficients, effects integrated out."""
    with COMPILING:
        rows = rows_of_groups(design, fixed_columns(design, priors))
        return assemble(design, priors, make_quadrature(design.family, rows))


def working_map(design: ResponseDesign, priors: Priors) -> Float:
    """Return the matrix (n_fixed, n_fixed) from natural to working coefficients.

    The natural intercept is where its prior holds.
    """
    scaling, terms = design.scaling, design.terms
    matrix = np.diag(scaling.x_scale)
    if not terms.intercept:
        return matrix
    row = np.zeros_like(scaling.x_mean) if priors.intercept_at_mean else scaling.x_mean
    return np.block([[np.ones((1, 1)), row[None]], [np.zeros((len(row), 1)), matrix]])


def fixed_columns(design: ResponseDesign, priors: Priors) -> Float:
    """Return what natural coefficients are multiplied by in each pattern (n, n_fixed)."""
    fixed, _ = design.scaling.features(design.patterns.X, design.terms)
    return fixed @ working_map(design, priors)


def assemble(design: ResponseDesign, priors: Priors, likelihood: Any) -> HyperparameterDensity:
    """Collect what the compiled density reads."""
    tau = tuple(prior for of_factor in priors.tau for prior in of_factor)
    coefs = [*([priors.intercept] if design.terms.intercept else []), *priors.coef]
    factors = lay_out([factor.terms for factor in design.factors])
    address, parameters = as_table([*tau, *priors.dispersion, *coefs])
    typical = typical_dispersion(design)
    units = [design.scaling.effect_units(factor.terms) for factor in design.factors]
    center, rotation, information = _whitening(design, priors, coefs, typical)
    # A density of all effects of several factors finds its own elbows.
    elbows = no_elbows(len(tau))
    if len(information) == len(tau):
        elbows = elbows_of(information, np.concatenate(units), tau)
    residuals = np.zeros(len(typical), LOG_RESIDUAL)
    residuals["variance"] = 1.0
    return HyperparameterDensity(
        KINDS[len(typical)],
        factors,
        tuple(factor.n_groups for factor in design.factors),
        float(np.sum(design.patterns.n)),
        np.concatenate(units),
        priors.eta,
        1.0,
        address,
        parameters,
        places(factors, len(typical)),
        residuals,
        elbows,
        center,
        rotation,
        tau,
        priors.dispersion,
        typical,
        START * design.spread,
        likelihood,
        likelihood.table(),
        None,
        priors,
    )


def typical_dispersion(design: ResponseDesign) -> Float:
    """Return natural values of the parameters of the response that chains start at."""
    names = design.family.dispersion
    return np.array([START * design.spread if name == "sigma" else LARGE for name in names])


def _whitening(
    design: ResponseDesign, priors: Priors, coefs: list[Prior], typical: Float
) -> Rough:
    """Return where the coefficients are, a root of their covariance, and what rows tell of tau.

    Coefficients with a transform (of positive priors, say) are left as they are.
    """
    center, rotation = np.zeros(len(coefs)), np.eye(len(coefs))
    transforms = [compiled_prior(prior).transform for prior in coefs]
    real = np.array([transform == "identity" for transform in transforms], dtype=bool)
    patterns, factor = design.patterns, design.factors[0]
    varying = design.scaling.features(patterns.X, factor.terms)[1]
    fixed = fixed_columns(design, priors)[:, real]
    rows = WeightedRows(
        patterns.y,
        patterns.size,
        patterns.weight,
        fixed,
        varying,
        design.codes(0),
        factor.n_groups,
    )
    start = np.zeros(int(real.sum()))
    if len(real) and design.terms.intercept and real[0]:
        start[0] = design.location
    variance = np.full(varying.shape[1], (START * design.spread) ** 2)
    rough = whiten(design.family, rows, typical, variance, start)
    center[real] = rough.center
    rotation[np.ix_(real, real)] = rough.root
    return Rough(center, rotation, rough.information)
