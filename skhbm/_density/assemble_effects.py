"""The density of hyperparameters and all effects: its parts, chosen and joined."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._density.assemble import lay_out
from skhbm._density.assemble_responses import (
    assemble,
    fixed_columns,
    make_integrated_density,
    typical_dispersion,
)
from skhbm._density.effects_density import EffectsDensity
from skhbm._density.effects_gaussian import EffectRows
from skhbm._density.effects_likelihood import make_effects_likelihood
from skhbm._density.effects_reference import find_reference
from skhbm._density.family_rows import make_family_rows
from skhbm._density.spreads import elbows_of
from skhbm._density.start import START
from skhbm._likelihood.quadrature import MOST_TERMS
from skhbm._numba.threads import COMPILING
from skhbm._priors.compiled import compiled_prior
from skhbm._priors.prior import is_normal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._density.effects_likelihood import EffectsLikelihood
    from skhbm._density.effects_reference import Reference
    from skhbm._density.family_rows import FamilyRows
    from skhbm._density.hyperparameters import HyperparameterDensity
    from skhbm._design.responses import ResponseDesign
    from skhbm._priors.prior import Priors
    from skhbm._types import Float, Int

__all__ = ["make_effects_density", "make_response_density"]

#: Precision of coefficients whose prior is not normal, in working units.
VAGUE = 1e-4


def make_response_density(
    design: ResponseDesign, priors: Priors
) -> HyperparameterDensity | EffectsDensity:
    """Return the density, effects integrated out by quadrature if there are few in a group."""
    if len(design.factors) == 1 and len(design.terms.varying) <= MOST_TERMS:
        return make_integrated_density(design, priors)
    return make_effects_density(design, priors)


def make_effects_density(design: ResponseDesign, priors: Priors) -> EffectsDensity:
    """Return the density whose effects are sampled, in coordinates about a reference point."""
    n_effects = [factor.n_groups * len(factor.terms.varying) for factor in design.factors]
    order = np.argsort(n_effects, kind="stable")[::-1]
    rows, response = _rows(design, priors, order)
    fixed, typical = rows.fixed, typical_dispersion(design)
    coefs = [*([priors.intercept] if design.terms.intercept else []), *priors.coef]
    start = np.zeros(len(coefs))
    start[: int(design.terms.intercept)] = design.location
    sds = [np.full(z.shape[1], START * design.spread) for z in rows.terms]
    prior = _normal_priors(coefs, fixed, design.spread)
    reference = find_reference(rows, response, prior, start, [sd**2 for sd in sds], typical)
    first_entry = lay_out([factor.terms for factor in design.factors])["first_entry"]
    with COMPILING:
        likelihood, center, covariance = make_effects_likelihood(
            rows, response, reference, first_entry[order]
        )
        hyper = assemble(design, priors, likelihood)
        real = [compiled_prior(prior).transform == "identity" for prior in coefs]
    hyper = _about(hyper, reference, likelihood, order)
    hyper = _whitened(hyper, center, covariance, np.array(real, dtype=bool))
    ends = np.cumsum(n_effects)
    return EffectsDensity(
        hyper,
        hyper.table(),
        np.concatenate([np.arange(ends[f] - n_effects[f], ends[f]) for f in order]),
        tuple((factor.n_groups, len(factor.terms.varying)) for factor in design.factors),
    )


def _rows(design: ResponseDesign, priors: Priors, order: Int) -> tuple[EffectRows, FamilyRows]:
    """Return the patterns in the order of the levels of the factor that is eliminated first."""
    patterns = design.patterns
    by_level = np.argsort(patterns.codes[:, order[0]], kind="stable")
    X = patterns.X[by_level]
    rows = EffectRows(
        np.ascontiguousarray(fixed_columns(design, priors)[by_level]),
        tuple(design.scaling.features(X, design.factors[f].terms)[1] for f in order),
        np.ascontiguousarray(patterns.codes[by_level][:, order]),
        tuple(design.factors[f].n_groups for f in order),
    )
    response = make_family_rows(
        design.family, *(a[by_level] for a in (patterns.y, patterns.size, patterns.weight))
    )
    return rows, response


def _normal_priors(coefs: Sequence[Any], fixed: Float, spread: float) -> tuple[Float, Float]:
    """Return means and precisions of coefficients (k,), vague ones for other priors."""
    mean = np.zeros(len(coefs))
    precision = VAGUE * np.mean(fixed**2, axis=0) / spread**2
    for i, prior in enumerate(coefs):
        if is_normal(prior):
            mean[i] = float(prior.parameters.get("mu", 0.0))
            precision[i] = float(prior.parameters.get("sigma", 1.0)) ** -2.0
    return mean, precision


def _about(
    hyper: HyperparameterDensity,
    reference: Reference,
    likelihood: EffectsLikelihood,
    order: Int,
) -> HyperparameterDensity:
    """Return the density whose chains start at the reference point.

    At the elbow of a standard deviation between levels it cannot be told from zero.
    """
    n_factors = len(order)
    starts, information = [np.empty(0)] * n_factors, [np.empty(0)] * n_factors
    for f, cov, placed in zip(order, reference.covariances, likelihood.placed, strict=True):
        starts[f] = np.sqrt(np.diag(cov))
        squares = np.einsum("jaa->ja", placed.information) ** 2
        information[f] = 0.5 * np.sum(squares, axis=0)
    return replace(
        hyper,
        start_tau=np.concatenate(starts),
        typical=reference.dispersion,
        elbows=elbows_of(np.concatenate(information), hyper.units, hyper.tau),
    )


def _whitened(
    hyper: HyperparameterDensity, center: Float, covariance: Float, real: Any
) -> HyperparameterDensity:
    """Return the density with standardised coefficients, but for those with a transform."""
    rotation, at = np.eye(len(center)), np.ix_(real, real)
    rotation[at] = np.linalg.cholesky(covariance[at])
    return replace(hyper, center=np.where(real, center, 0.0), rotation=rotation)
