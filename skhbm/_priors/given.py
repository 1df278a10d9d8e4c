"""The priors that the user gave, checked.

PyMC is asked which distributions exist and what they take. Normal and half-normal priors do not
need it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._inputs.parameters import is_number
from skhbm._priors.prior import Prior

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "as_mapping",
    "check_keys",
    "check_positive",
    "checked",
    "entries",
    "priors_of_tau",
    "shape_of_correlations",
]


def check_keys(given: Mapping[str, Any], design: Any, residual: Sequence[str]) -> None:
    """Raise ValueError if there are priors of parameters that the model does not have.

    `residual` are the names of the parameters of the response.
    """
    factors = [f"tau_{factor.levels.name}" for factor in design.factors]
    valid = ("intercept", "coef", "tau", *factors, "corr", *residual)
    unknown = [key for key in given if key not in valid]
    if unknown:
        msg = f"`priors` has unknown keys: {unknown[:5]}. The keys are {list(valid)}."
        raise ValueError(msg)
    if "intercept" in given and not design.terms.intercept:
        msg = "`priors` has a prior for the intercept, but fit_intercept=False. Drop one."
        raise ValueError(msg)
    of_tau = given.get("tau")
    if isinstance(of_tau, Mapping):
        # A factor takes the entries of its terms; an entry of no factor is a mistake.
        names = sorted({name for factor in design.factors for name in factor.terms.varying})
        _refuse_unknown("tau", of_tau, names)


def priors_of_tau(
    given: Mapping[str, Any], factor: Any, defaults: list[Prior]
) -> tuple[Any, ...]:
    """Return the priors of the standard deviations of one of the factors."""
    names, key = factor.terms.varying, f"tau_{factor.levels.name}"
    chosen = given.get("tau")
    if isinstance(chosen, Mapping):
        chosen = {name: prior for name, prior in chosen.items() if name in names}
    if key not in given:
        key = "tau"
    else:
        chosen = given[key]
    priors = entries(key, chosen, names, defaults)
    for name, prior in zip(names, priors, strict=True):
        check_positive(f"{key}[{name}]", prior)
    return priors


def as_mapping(priors: Any) -> Mapping[str, Any]:
    """Return the priors that the user gave, none for None."""
    if priors is None:
        return {}
    if not isinstance(priors, Mapping):
        msg = (
            "`priors` must be a dict from a name to a Prior, such as "
            f'{{"tau": Prior("HalfNormal", sigma=10)}}. Got {type(priors).__name__}.'
        )
        raise TypeError(msg)
    return priors


def entries(
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
        checked(f"{key}[{name}]", prior) for name, prior in zip(names, chosen, strict=True)
    )


def _refuse_unknown(key: str, given: Mapping[str, Any], names: Sequence[str]) -> None:
    unknown = [name for name in given if name not in names]
    if unknown:
        msg = (
            f"`priors[{key!r}]` has unknown entries: {unknown[:5]}. "
            f"The entries are {list(names[:20])}."
        )
        raise ValueError(msg)


def shape_of_correlations(given: Mapping[str, Any]) -> float:
    """Return the parameter of the only prior that correlations can have."""
    prior = given.get("corr", Prior("LKJCorr", eta=2.0))
    parameters = getattr(prior, "parameters", {})
    eta: Any = parameters.get("eta") if set(parameters) == {"eta"} else None
    named = getattr(prior, "distribution", None) in ("LKJCorr", "LKJ")
    if not named or not is_number(eta) or not 0 < float(eta) < np.inf:
        msg = f"`priors['corr']` must be Prior('LKJCorr', eta=positive number). Got {prior!r}."
        raise ValueError(msg)
    return float(eta)


def checked(name: str, prior: Any) -> Any:
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


def check_positive(name: str, prior: Any) -> None:
    """Check that the prior of a scale has no mass below zero."""
    if prior.distribution == "HalfNormal":
        return
    from skhbm._priors.distributions import has_negative_support

    if has_negative_support(prior):
        msg = (
            f"The prior of {name} must be on positive numbers, as {name.split('[')[0]} is. "
            f"Got {prior!r}. Use HalfNormal, Exponential, Gamma or the like."
        )
        raise ValueError(msg)
