"""Parameters of an estimator as JSON, which keeps their types.

A value that JSON has no type for is an object named for its type: ``{"tuple": [1, 2]}``.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from skhbm._inputs.archive import JSON_TYPES, encode_scalar, require
from skhbm._priors.file import decode_prior, encode_prior
from skhbm._priors.prior import Prior

__all__ = ["decode", "encode_parameters"]

#: Kinds of NumPy's dtypes of arrays in parameters, which are columns of X or masks.
ARRAY_KINDS = "biufUO"
#: The deepest nesting of lists; a tuple counts as two.
DEEPEST = 40
#: The most columns in a range.
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


def _encode(value: Any, depth: int = 0) -> Any:
    if depth > DEEPEST // 2:
        raise TypeError(depth)

    def encoded(entries: Any) -> list[Any]:
        return [_encode(entry, depth + 1) for entry in entries]

    if isinstance(value, list):
        return encoded(value)
    if isinstance(value, tuple):
        return {"tuple": encoded(value)}
    if isinstance(value, range):
        return {"range": [value.start, value.stop, value.step]}
    if isinstance(value, Mapping):
        return {"dict": [encoded(item) for item in value.items()]}
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
        # The strings are as long as the longest entry, whatever length the file names.
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


DECODERS: dict[str, Any] = {
    "range": lambda content: _decode_range(*content),
    "Prior": decode_prior,
    "RandomState": _decode_state,
    "array": _decode_array,
}
