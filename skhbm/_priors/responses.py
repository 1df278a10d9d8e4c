"""One prior for each parameter of a model whose response is not normal.

Defaults are weakly informative on the scale of the link, on which 1 is much: odds of 2.7 to 1,
or a rate that is 2.7 times another. Coefficients have Normal(0, 2.5) for two standard
deviations of a feature, the scale of Gelman, Jakulin, Pittau & Su (2008,
https://doi.org/10.1214/08-AOAS191), with normal tails as in rstanarm.
"""

from __future__ import annotations

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
    from collections.abc import Mapping

    from skhbm._design.responses import ResponseDesign, ResponseFactor

__all__ = ["resolve_response_priors"]

#: Scale of the intercept about that of all rows, and of the coefficient of a feature, in units
#: of its standard deviation.
INTERCEPT, COEF = 2.5, 1.25
#: Scales of tau by link: of intercepts, and of slopes in units of the standard deviation of the
#: feature. Under HalfNormal(s) the mean rate of a new group, E exp(tau^2 / 2), exists only if
#: s < 1: with these two it does within two standard deviations of the mean of a feature. With
#: F factors they are divided by sqrt(F), as squares add up over factors.
TAU = {"logit": (1.5, 1.0), "log": (0.8, 0.29), "identity": (2.5, 2.5)}
#: Scale of coefficients where the response has a scale itself, as for a normal response.
WIDTH = 2.5


def resolve_response_priors(priors: Mapping[str, Any] | None, design: ResponseDesign) -> Priors:
    """Check the priors that the user gave and fill in the defaults.

    Raises
    ------
    TypeError, ValueError
        If a key, an entry, a distribution or an argument is unknown.
    """
    given = as_mapping(priors)
    names = design.family.dispersion
    check_keys(given, design, names)
    spread = design.spread
    default = Prior("Normal", mu=design.location, sigma=INTERCEPT * spread)
    intercept = checked("intercept", given.get("intercept", default))
    width = WIDTH if design.family.link == "identity" else COEF
    scales = width * spread / design.scaling.x_scale
    coefs = [Prior("Normal", mu=0.0, sigma=float(scale)) for scale in scales]
    dispersion = []
    for name in names:
        prior = checked(name, given.get(name, _default_dispersion(name, spread)))
        check_positive(name, prior)
        dispersion.append(prior)
    return Priors(
        intercept if design.terms.intercept else None,
        "intercept" not in given,
        entries("coef", given.get("coef"), design.terms.features, coefs),
        tuple(priors_of_tau(given, f, _default_tau(f, design)) for f in design.factors),
        shape_of_correlations(given),
        None,
        tuple(dispersion),
    )


def _default_tau(factor: ResponseFactor, design: ResponseDesign) -> list[Prior]:
    """Return half-normal priors; an intercept at x = 0 carries what slopes add up to there."""
    terms, scaling = factor.terms, design.scaling
    of_intercept, of_slope = TAU[design.family.link]
    if design.family.link == "log":
        share = len(design.factors) ** -0.5
        of_intercept, of_slope = of_intercept * share, of_slope * share
    scale = of_slope * design.spread * scaling.effect_units(terms)
    if terms.varying_intercept:
        scale[0] = of_intercept * design.spread
        if not terms.centred:
            reach = scaling.x_mean[terms.slopes] / scaling.x_scale[terms.slopes]
            scale[0] *= np.sqrt(1.0 + np.sum((of_slope / of_intercept * reach) ** 2))
    return [Prior("HalfNormal", sigma=float(s)) for s in scale]


def _default_dispersion(name: str, spread: float) -> Prior:
    """Return the prior of a parameter of the response.

    Those of nu and alpha are Gamma(2, 0.1) (Juarez & Steel 2010,
    https://doi.org/10.1198/jbes.2009.07145, for nu), which is wide, and away from zero.
    """
    if name == "sigma":
        return Prior("HalfNormal", sigma=WIDTH * spread)
    return Prior("Gamma", alpha=2.0, beta=0.1)
