"""Parameters of an estimator and priors <-> JSON, which keeps their types.

What JSON has no type for is an object with the name of the type: ``{"tuple": [1, 2]}``.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from skhbm._inputs.archive import JSON_TYPES, require
from skhbm._priors.prior import Prior, Priors

__all__ = [
    "decode",
    "decode_prior",
    "decode_priors",
    "encode_parameters",
    "encode_prior",
    "encode_priors",
    "encode_scalar",
]

#: Kinds of NumPy's dtypes of arrays in parameters, which are columns of X or masks.
ARRAY_KINDS = "biufUO"
#: Lists in lists, a tuple being two.
DEEPEST = 40
#: Columns in a range at most.
LONGEST = 10**6
#: Numbers in the state of a Mersenne Twister.
KEY = 624


def encode_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as JSON has them.

    Raises
    ------
    TypeError
        If a parameter is of another type.
    """
    encoded = {}
    for name, value in parameters.items():
        try:
            encoded[name] = _encode(value)
        except TypeError:
            msg = (
                f"`{name}` cannot be saved: a file holds None, bools, numbers and strings, "
                "lists, tuples, ranges, dicts and one-dimensional arrays of these, Prior and "
                f"RandomState. Got {reprlib.repr(value)}. Set another with "
                f"`set_params({name}=...)` first."
            )
            raise TypeError(msg) from None
    return encoded


def encode_scalar(value: Any) -> Any:
    """Return a number, bool, string or None as JSON has it."""
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) not in JSON_TYPES:
        raise TypeError(type(value))
    return value


def _encode(value: Any, depth: int = 0) -> Any:
    if depth > DEEPEST // 2:
        raise TypeError(depth)

    def each(entries: Any) -> list[Any]:
        return [_encode(entry, depth + 1) for entry in entries]

    if isinstance(value, list):
        return each(value)
    if isinstance(value, tuple):
        return {"tuple": each(value)}
    if isinstance(value, range):
        return {"range": [value.start, value.stop, value.step]}
    if isinstance(value, Mapping):
        return {"dict": [each(item) for item in value.items()]}
    if isinstance(value, Prior):
        return {"Prior": encode_prior(value)}
    if isinstance(value, np.random.RandomState):
        return {"RandomState": _encode_state(value)}
    if hasattr(value, "__array__") and not isinstance(value, np.generic):
        return {"array": _encode_array(np.asarray(value))}
    return encode_scalar(value)


def decode(value: Any, depth: int = 0) -> Any:
    """Return what `encode_parameters` has made JSON of."""
    require(depth <= DEEPEST, "the depth of a parameter")
    if isinstance(value, list):
        return [decode(entry, depth + 1) for entry in value]
    if not isinstance(value, dict):
        return value
    require(len(value) == 1, "a parameter")
    [(kind, content)] = value.items()
    if kind == "tuple":
        return tuple(decode(content, depth + 1))
    if kind == "dict":
        return {decode(k, depth + 1): decode(entry, depth + 1) for k, entry in content}
    return DECODERS[kind](content)


def _decode_range(start: Any, stop: Any, step: Any) -> range:
    span = range(start, stop, step)
    require(len(span) <= LONGEST, "the length of a range")
    return span


def _encode_array(array: Any) -> dict[str, Any]:
    if array.ndim != 1 or array.dtype.kind not in ARRAY_KINDS:
        raise TypeError(array.dtype)
    return {"dtype": array.dtype.str, "values": [encode_scalar(v) for v in array.tolist()]}


def _decode_array(content: Any) -> Any:
    values, kind = content["values"], np.dtype(content["dtype"])
    require(isinstance(values, list) and kind.kind in ARRAY_KINDS, "an array")
    require(all(type(value) in JSON_TYPES for value in values), "an array")
    if kind.kind == "U":
        # As long as its longest entry, whatever the file says.
        require(all(type(value) is str for value in values), "an array of strings")
        return np.array(values, dtype=str)
    array = np.empty(len(values), dtype=kind)
    array[:] = values
    return array


def _encode_state(generator: np.random.RandomState) -> dict[str, Any]:
    state: Any = generator.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        raise TypeError(state["bit_generator"])
    return {
        "key": state["state"]["key"].tolist(),
        "pos": int(state["state"]["pos"]),
        "has_gauss": int(state["has_gauss"]),
        "gauss": float(state["gauss"]),
    }


def _decode_state(content: Any) -> np.random.RandomState:
    """Return a generator in a state that its compiled code can be in."""
    key, pos = np.array(content["key"], dtype=np.uint32), content["pos"]
    require(key.shape == (KEY,) and np.any(key), "the state of a RandomState")
    require(type(pos) is int and 0 <= pos <= KEY, "the position of a RandomState")
    gauss, has_gauss = content["gauss"], content["has_gauss"]
    require(type(gauss) is float and np.isfinite(gauss) and has_gauss in (0, 1), "a state")
    generator = np.random.RandomState(0)
    state = {"bit_generator": "MT19937", "state": {"key": key, "pos": pos}}
    generator.set_state({**state, "has_gauss": int(has_gauss), "gauss": gauss})
    return generator


def encode_prior(prior: Prior) -> list[Any]:
    """Return the distribution and its parameters."""
    parameters = {name: encode_scalar(value) for name, value in prior.parameters.items()}
    return [prior.distribution, parameters]


def decode_prior(content: Any) -> Prior:
    """Return a prior, checked but for PyMC's knowing it."""
    distribution, parameters = content
    require(type(distribution) is str and distribution.isidentifier(), "a distribution")
    require(isinstance(parameters, dict), "a prior")
    require(all(type(value) in JSON_TYPES for value in parameters.values()), "a prior")
    return Prior(distribution, **parameters)


DECODERS: dict[str, Any] = {
    "range": lambda content: _decode_range(*content),
    "Prior": decode_prior,
    "RandomState": _decode_state,
    "array": _decode_array,
}


def encode_priors(priors: Priors) -> dict[str, Any]:
    """Return the prior of each scalar parameter as JSON has it."""

    def optional(prior: Prior | None) -> Any:
        return None if prior is None else encode_prior(prior)

    def each(some: tuple[Prior, ...]) -> list[Any]:
        return [encode_prior(prior) for prior in some]

    return {
        "intercept": optional(priors.intercept),
        "intercept_at_mean": bool(priors.intercept_at_mean),
        "coef": each(priors.coef),
        "tau": each(priors.tau),
        "eta": float(priors.eta),
        "sigma": optional(priors.sigma),
        "others": [[each(tau), float(eta)] for tau, eta in priors.others],
    }


def decode_priors(content: Any) -> Priors:
    """Return the prior of each scalar parameter."""

    def optional(prior: Any) -> Prior | None:
        return None if prior is None else decode_numeric(prior)

    def each(some: Any) -> tuple[Prior, ...]:
        require(isinstance(some, list), "priors")
        return tuple(decode_numeric(prior) for prior in some)

    def decode_numeric(content: Any) -> Prior:
        prior = decode_prior(content)
        for number in prior.parameters.values():
            real = isinstance(number, Real) and not np.isnan(float(number))
            require(real or number is None, "the parameters of a prior")
        return prior

    at_mean, eta = content["intercept_at_mean"], content["eta"]
    others = tuple((each(tau), own) for tau, own in content["others"])
    require(isinstance(at_mean, bool), "intercept_at_mean")
    etas = [eta, *(own for _, own in others)]
    require(all(type(own) is float and own > 0 for own in etas), "eta")
    return Priors(
        optional(content["intercept"]),
        at_mean,
        each(content["coef"]),
        each(content["tau"]),
        eta,
        optional(content["sigma"]),
        others,
    )
