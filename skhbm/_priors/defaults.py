"""The priors that the user gave, checked, and the defaults for the rest.

PyMC is asked which distributions exist and what they take. Normal and half-normal priors do not
need it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._inputs.parameters import is_number
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
    given = dict(_as_mapping(priors))
    terms, scaling = design.terms, design.scaling
    _check_keys(given, design)
    coef = _entries("coef", given.get("coef"), terms.features, _default_coef(design))
    eta = _eta(given.get("corr", Prior("LKJCorr", eta=2.0)))
    tau = tuple(_tau(given, factor, design) for factor in design.factors)
    widest = max(scaling.y_scale, *(factor.between for factor in design.factors))
    default_intercept = Prior("Normal", mu=scaling.y_mean, sigma=WIDTH * widest)
    intercept = _checked("intercept", given.get("intercept", default_intercept))
    sigma = Prior("HalfNormal", sigma=WIDTH * scaling.y_scale)
    if "sigma" in given:
        sigma = _checked("sigma", given["sigma"])
        _check_positive("sigma", sigma)
    return Priors(
        intercept if terms.intercept else None,
        "intercept" not in given,
        coef,
        tau,
        eta,
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


def _check_keys(given: Mapping[str, Any], design: Design) -> None:
    factors = [f"tau_{factor.levels.name}" for factor in design.factors]
    valid = ("intercept", "coef", "tau", *factors, "corr", "sigma")
    unknown = [key for key in given if key not in valid]
    if unknown:
        msg = f"`priors` has unknown keys: {unknown[:5]}. The keys are {list(valid)}."
        raise ValueError(msg)
    if "intercept" in given and not design.terms.intercept:
        msg = "`priors` has a prior for the intercept, but fit_intercept=False. Drop one."
        raise ValueError(msg)
    if "sigma" in given and design.terms.known:
        msg = "`priors` has a prior for sigma, but residual_scale='known'. Drop one."
        raise ValueError(msg)
    entries = given.get("tau")
    if isinstance(entries, Mapping):
        # A factor takes the entries of its terms; an entry of no factor is a mistake.
        names = sorted({name for factor in design.factors for name in factor.terms.varying})
        _refuse_unknown("tau", entries, names)


def _tau(given: Mapping[str, Any], factor: Any, design: Design) -> tuple[Any, ...]:
    """Return the priors of the standard deviations of one factor."""
    names, key = factor.terms.varying, f"tau_{factor.levels.name}"
    chosen = given.get("tau")
    if isinstance(chosen, Mapping):
        chosen = {name: prior for name, prior in chosen.items() if name in names}
    if key not in given:
        key = "tau"
    else:
        chosen = given[key]
    priors = _entries(key, chosen, names, _default_tau(factor, design.scaling))
    for name, prior in zip(names, priors, strict=True):
        _check_positive(f"{key}[{name}]", prior)
    return priors


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


def _as_mapping(priors: Any) -> Mapping[str, Any]:
    if priors is None:
        return {}
    if not isinstance(priors, Mapping):
        msg = (
            "`priors` must be a dict from a name to a Prior, such as "
            f'{{"tau": Prior("HalfNormal", sigma=10)}}. Got {type(priors).__name__}.'
        )
        raise TypeError(msg)
    return priors


def _entries(
    key: str, given: Any, names: tuple[str, ...], defaults: list[Prior]
) -> tuple[Any, ...]:
    """Return the prior of every entry: given for it, given for all, or the default."""
    if given is None or isinstance(given, Mapping):
        given = given or {}
        _refuse_unknown(key, given, names)
        chosen = [given.get(name, prior) for name, prior in zip(names, defaults, strict=True)]
    else:
        chosen = [given] * len(names)
    return tuple(
        _checked(f"{key}[{name}]", prior) for name, prior in zip(names, chosen, strict=True)
    )


def _refuse_unknown(key: str, given: Mapping[str, Any], names: Sequence[str]) -> None:
    unknown = [name for name in given if name not in names]
    if unknown:
        msg = (
            f"`priors[{key!r}]` has unknown entries: {unknown[:5]}. "
            f"The entries are {list(names[:20])}."
        )
        raise ValueError(msg)


def _eta(prior: Any) -> float:
    """Return the parameter of the only prior that correlations can have."""
    parameters = getattr(prior, "parameters", {})
    eta: Any = parameters.get("eta") if set(parameters) == {"eta"} else None
    named = getattr(prior, "distribution", None) in ("LKJCorr", "LKJ")
    if not named or not is_number(eta) or not 0 < float(eta) < np.inf:
        msg = f"`priors['corr']` must be Prior('LKJCorr', eta=positive number). Got {prior!r}."
        raise ValueError(msg)
    return float(eta)


def _checked(name: str, prior: Any) -> Any:
    """Check that a prior is a univariate continuous distribution with its arguments."""
    distribution = getattr(prior, "distribution", None)
    parameters = getattr(prior, "parameters", None)
    if not isinstance(distribution, str) or not isinstance(parameters, Mapping):
        msg = (
            f"The prior of {name} must be a Prior, such as Prior('Normal', mu=0, sigma=1). "
            f"Got {prior!r}."
        )
        raise TypeError(msg)
    wrong = {k: v for k, v in parameters.items() if not _is_number_like(v)}
    if wrong:
        msg = f"The prior of {name} takes numbers only. Got {wrong} in {prior!r}."
        raise ValueError(msg)
    if distribution not in ("Normal", "HalfNormal") or not set(parameters) <= {"mu", "sigma"}:
        from skhbm._priors.distributions import check_distribution

        check_distribution(name, prior)
    elif not float(parameters.get("sigma", 1.0)) > 0:
        msg = f"The prior of {name} must have sigma > 0. Got {prior!r}."
        raise ValueError(msg)
    elif distribution == "HalfNormal" and "mu" in parameters:
        msg = f"HalfNormal takes sigma or tau. Got {prior!r} as the prior of {name}."
        raise ValueError(msg)
    return prior


def _is_number_like(value: Any) -> bool:
    try:
        number = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        return False
    time = np.asarray(value).dtype.kind in "mM"
    return number.ndim == 0 and bool(np.isfinite(number)) and not time


def _check_positive(name: str, prior: Any) -> None:
    """Check that the prior of a scale has no mass below zero."""
    if prior.distribution == "HalfNormal":
        return
    from skhbm._priors.distributions import has_negative_support

    if has_negative_support(prior):
        msg = (
            f"The prior of {name} must be on positive numbers: it is a standard deviation. "
            f"Got {prior!r}. Use HalfNormal, Exponential, Gamma or the like."
        )
        raise ValueError(msg)
