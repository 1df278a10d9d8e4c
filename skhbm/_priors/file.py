"""Priors as JSON, which a file of an estimator holds."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from skhbm._inputs.archive import JSON_TYPES, encode_scalar, require
from skhbm._priors.prior import Prior, Priors

__all__ = ["decode_prior", "decode_priors", "encode_prior", "encode_priors"]


def encode_prior(prior: Prior) -> list[Any]:
    """Return the distribution and its parameters."""
    parameters = {name: encode_scalar(value) for name, value in prior.parameters.items()}
    return [prior.distribution, parameters]


def decode_prior(content: Any) -> Prior:
    """Return a prior; whether PyMC knows its distribution is not checked."""
    distribution, parameters = content
    require(type(distribution) is str and distribution.isidentifier(), "a distribution")
    require(isinstance(parameters, dict), "a prior")
    require(all(type(value) in JSON_TYPES for value in parameters.values()), "a prior")
    return Prior(distribution, **parameters)


def encode_priors(priors: Priors) -> dict[str, Any]:
    """Return the prior of each scalar parameter as JSON has it."""
    return {
        "intercept": None if priors.intercept is None else encode_prior(priors.intercept),
        "intercept_at_mean": bool(priors.intercept_at_mean),
        "coef": _encode_several(priors.coef),
        "tau": [_encode_several(of_factor) for of_factor in priors.tau],
        "eta": float(priors.eta),
        "sigma": None if priors.sigma is None else encode_prior(priors.sigma),
        "dispersion": _encode_several(priors.dispersion),
    }


def decode_priors(content: Any, first: Any) -> Priors:
    """Return the prior of each scalar parameter.

    Before version 3 the factors other than `first` were listed apart.
    """
    at_mean, intercept, sigma = (
        content[name] for name in ("intercept_at_mean", "intercept", "sigma")
    )
    require(isinstance(at_mean, bool), "intercept_at_mean")
    return Priors(
        None if intercept is None else _decode_numeric(intercept),
        at_mean,
        _decode_several(content["coef"]),
        tuple(map(_decode_several, _by_factor(content, first))),
        _decode_eta(content["eta"]),
        None if sigma is None else _decode_numeric(sigma),
        _decode_several(content.get("dispersion", [])),
    )


def _by_factor(content: Any, first: Any) -> list[Any]:
    """Return the priors of tau of each factor."""
    tau = content["tau"]
    require(isinstance(tau, list), "priors of tau")
    if "others" not in content:
        return tau
    require(type(first) is int and first >= 0, "integrated")
    by_factor = [of_factor for of_factor, _ in content["others"]]
    by_factor.insert(first, tau)
    return by_factor


def _encode_several(priors: tuple[Prior, ...]) -> list[Any]:
    return [encode_prior(prior) for prior in priors]


def _decode_several(content: Any) -> tuple[Prior, ...]:
    require(isinstance(content, list), "priors")
    return tuple(_decode_numeric(prior) for prior in content)


def _decode_numeric(content: Any) -> Prior:
    """Return a prior whose parameters are numbers."""
    prior = decode_prior(content)
    for number in prior.parameters.values():
        real = isinstance(number, Real) and not np.isnan(float(number))
        require(real or number is None, "the parameters of a prior")
    return prior


def _decode_eta(content: Any) -> float:
    require(type(content) is float and content > 0, "eta")
    return float(content)
