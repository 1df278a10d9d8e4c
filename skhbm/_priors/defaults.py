"""One prior for each parameter of a normal model: those of the user, and the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._priors.given import (
    as_mapping,
    check_keys,
    check_positive,
    checked,
    entries,
    priors_of_tau,
    shape_of_correlations,
)
from skhbm._priors.prior import Prior, Priors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._design.design import Design, OtherFactor
    from skhbm._design.scaling import Scaling
    from skhbm._design.terms import Terms

__all__ = ["hold_at_means", "resolve_priors"]

#: Default scales are this many standard deviations: wide, yet on the scale of the data.
WIDTH = 2.5


def resolve_priors(priors: Mapping[str, Any] | None, design: Design) -> Priors:
    """Check the priors that the user gave and fill in the defaults.

    Raises
    ------
    TypeError, ValueError
        If a key, an entry, a distribution or an argument is unknown.
    """
    given = as_mapping(priors)
    terms, scaling = design.terms, design.scaling
    check_keys(given, design, ("sigma",))
    if "sigma" in given and terms.known:
        msg = "`priors` has a prior for sigma, but residual_scale='known'. Drop one."
        raise ValueError(msg)
    coef = entries("coef", given.get("coef"), terms.features, _default_coef(design))
    tau = tuple(
        priors_of_tau(given, factor, _default_tau(factor, scaling)) for factor in design.factors
    )
    widest = max(scaling.y_scale, *(factor.between for factor in design.factors))
    default_intercept = Prior("Normal", mu=scaling.y_mean, sigma=WIDTH * widest)
    intercept = checked("intercept", given.get("intercept", default_intercept))
    sigma = Prior("HalfNormal", sigma=WIDTH * scaling.y_scale)
    if "sigma" in given:
        sigma = checked("sigma", given["sigma"])
        check_positive("sigma", sigma)
    return Priors(
        intercept if terms.intercept else None,
        "intercept" not in given,
        coef,
        tau,
        shape_of_correlations(given),
        None if terms.known or (terms.by_group and "sigma" not in given) else sigma,
    )


def hold_at_means(priors: Any, terms: Sequence[Terms], factors: Sequence[str]) -> list[bool]:
    """Return for each factor whether its priors hold at the means of its varying features.

    They do, unless they say something that refers to x = 0: an explicit prior of the
    correlations, or of the standard deviation of the intercepts. Without a fixed and a varying
    intercept x = 0 is where all lines meet.
    """
    given = priors if isinstance(priors, Mapping) else {}
    out = []
    for varying, name in zip(terms, factors, strict=True):
        chosen = given.get(f"tau_{name}", given.get("tau"))
        explicit = "intercept" in chosen if isinstance(chosen, Mapping) else chosen is not None
        has_lines = varying.intercept and varying.varying_intercept and len(varying.slopes) > 0
        out.append(has_lines and not explicit and "corr" not in given)
    return out


def _default_coef(design: Design) -> list[Prior]:
    scale = WIDTH * design.scaling.y_scale / design.scaling.x_scale
    return [Prior("Normal", mu=0.0, sigma=float(s)) for s in scale]


def _default_tau(factor: Design | OtherFactor, scaling: Scaling) -> list[Prior]:
    """Return half-normal priors, of WIDTH times the sd that would alone account for that of y.

    It is the sd of rows or, where that is larger, the sd of groups that count once each: a
    group with most of the rows, or a precise study, lies close to the mean of all rows, and
    says nothing of the others. An intercept at x = 0 also carries what varying slopes add up
    to between there and the mean of X.
    """
    terms = factor.terms
    widening = max(1.0, factor.between / scaling.y_scale)
    scale = WIDTH * scaling.effect_units(terms) * widening
    if terms.varying_intercept and not terms.centred:
        reach = scaling.x_mean[terms.slopes] / scaling.x_scale[terms.slopes]
        scale[0] *= np.sqrt(1.0 + np.sum(reach**2))
    return [Prior("HalfNormal", sigma=float(s)) for s in scale]
