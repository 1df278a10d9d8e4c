"""The model of a response that is not normal, as a `pm.Model` of patterns with all effects.

Sampling integrates the effects out or samples them in other coordinates: the posterior is the
same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from skhbm._density.pymc_model import coords_of, population, scales_of_effects, variable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skhbm._design.responses import ResponseDesign, ResponseFactor
    from skhbm._priors.prior import Priors

__all__ = ["build_response_model"]


def build_response_model(design: ResponseDesign, priors: Priors) -> pm.Model:
    """Build the model, whose effects are ``effect_f = root z`` of standard normal z."""
    from skhbm._density.assemble_responses import fixed_columns

    patterns = design.patterns
    coords = {**coords_of(design), "pattern": np.arange(len(patterns.y))}
    with pm.Model(coords=coords):
        given = population(design, priors)
        eta = (pt.as_tensor(fixed_columns(design, priors)) * given).sum(axis=1)
        for f, (factor, tau) in enumerate(zip(design.factors, priors.tau, strict=True)):
            if factor.terms.varying:
                eta = eta + _effects(design, factor, tau, priors.eta, design.codes(f))
        names = design.family.dispersion
        pairs = zip(names, priors.dispersion, strict=True)
        dispersion = {name: variable(name, prior) for name, prior in pairs}
        _observe(design, eta, dispersion)
        return pm.modelcontext(None)


def _effects(
    design: ResponseDesign, factor: ResponseFactor, tau: Any, eta: float, codes: Any
) -> Any:
    """Return what the effects of a factor add to the linear predictor of each pattern."""
    terms, f = factor.terms, factor.levels.name
    sds, root = scales_of_effects(design, factor, tau, eta)
    scaled = sds / design.scaling.effect_units(terms)
    z = pm.Normal(f"z_{f}", dims=(f, f"{f}_term"))
    working = z @ (scaled[:, None] * root).T
    to_zero = design.scaling.natural_effects(np.eye(len(terms.varying)), terms)
    pm.Deterministic(f"effect_{f}", working @ to_zero, dims=(f, f"{f}_term"))
    varying = design.scaling.features(design.patterns.X, terms)[1]
    return (working[codes] * varying).sum(axis=1)


def _observe(design: ResponseDesign, eta: Any, dispersion: Mapping[str, Any]) -> None:
    """Add the observed node `y`, or a potential where patterns have weights."""
    patterns, family = design.patterns, design.family
    parameters = {
        "logit": lambda: {"n": patterns.size.astype(np.int64), "p": pm.math.invlogit(eta)},
        "log": lambda: {"mu": patterns.size * pt.exp(eta)},
        "identity": lambda: {"mu": eta},
    }[family.link]()
    kinds = {
        "bernoulli": pm.Binomial,
        "binomial": pm.Binomial,
        "poisson": pm.Poisson,
        "negative_binomial": pm.NegativeBinomial,
        "student_t": pm.StudentT,
    }
    kind: Any = kinds[family.name]
    y = patterns.y.astype(np.int64) if family.discrete else patterns.y
    if np.all(patterns.weight == 1):
        kind("y", **parameters, **dispersion, observed=y, dims="pattern")
        return
    logp = pm.logp(kind.dist(**parameters, **dispersion), y)
    pm.Potential("y", patterns.weight * logp, dims="pattern")
