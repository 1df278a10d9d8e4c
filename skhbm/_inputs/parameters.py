"""Check the parameters of a constructor, at fit, and the arguments of methods."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skhbm._types import Float

__all__ = [
    "as_count",
    "as_list",
    "as_probabilities",
    "as_probability",
    "as_random_state",
    "check_choice",
    "check_chosen",
    "check_parameters",
    "for_factor",
    "has_noise",
    "is_int",
    "is_number",
]

_CHOICES = {
    "residual_scale": ("shared", "by_group", "known"),
    "solver": ("auto", "nuts", "laplace"),
    "new_groups": ("population", "error"),
}
#: What can be predicted: y with its residual noise, or its expectation given its group.
_KINDS = ("response", "mean")
_COUNTS = {"draws": 4, "tune": 1, "chains": 1}


def check_parameters(estimator: Any) -> None:
    """Raise ValueError or TypeError at the first parameter that is not valid."""
    name = type(estimator).__name__
    for parameter in _CHOICES:
        check_chosen(estimator, parameter)
    for parameter, least in _COUNTS.items():
        value = getattr(estimator, parameter)
        if not is_int(value) or int(value) < least:
            _refuse(name, parameter, f"an int of at least {least}", value)
    value = estimator.target_accept
    if not is_number(value) or not 0 < float(value) < 1:
        _refuse(name, "target_accept", "a float in the range (0, 1)", value)
    if not isinstance(estimator.fit_intercept, bool | np.bool_):
        _refuse(name, "fit_intercept", "a bool", estimator.fit_intercept)
    for parameter in ("varying_intercept", "correlated"):
        value = getattr(estimator, parameter)
        entries = value.values() if isinstance(value, dict) else [value]
        if not all(isinstance(entry, bool | np.bool_) for entry in entries):
            _refuse(name, parameter, "a bool or a dict from a factor to a bool", value)
    value = estimator.n_jobs
    if value is not None and (not is_int(value) or value == 0):
        _refuse(name, "n_jobs", "None or an int other than 0", value)
    as_random_state(estimator.random_state)
    value = estimator.verbose
    if not (is_int(value) or isinstance(value, bool)) or int(value) < 0:
        _refuse(name, "verbose", "an int of at least 0", value)


def check_chosen(estimator: Any, parameter: str) -> None:
    """Raise ValueError if a parameter has none of the values that it can have."""
    value, choices = getattr(estimator, parameter), _CHOICES[parameter]
    if not isinstance(value, str) or value not in choices:
        _refuse(type(estimator).__name__, parameter, " or ".join(map(repr, choices)), value)


def for_factor(parameter: str, value: Any, factor: str, factors: list[str]) -> Any:
    """Return the entry of a dict by factor, or the value itself; None if there is none."""
    if not isinstance(value, dict):
        return value
    unknown = [key for key in value if key not in factors]
    if unknown:
        what = "grouping factors are" if len(factors) > 1 else "only grouping factor is"
        valid = factors if len(factors) > 1 else repr(factors[0])
        msg = (
            f"`{parameter}` has entries for {unknown[:5]}, but the {what} {valid}. Name the "
            "columns or Series of `groups` like the entries, or rename these."
        )
        raise ValueError(msg)
    return value.get(factor)


def is_number(value: Any) -> bool:
    """Tell whether a value is real; NumPy's durations are registered as integers."""
    return isinstance(value, Real) and not isinstance(value, np.timedelta64)


def is_int(value: Any) -> bool:
    """Tell whether a value is a whole number; truth values are none."""
    return isinstance(value, Integral) and is_number(value) and not isinstance(value, bool)


def as_count(value: Any, name: str) -> int:
    """Return a positive integer."""
    if not is_int(value) or value < 1:
        msg = f"`{name}` must be an int of at least 1. Got {value!r}."
        raise ValueError(msg)
    return int(value)


def as_list(names: Any) -> list[Any]:
    """Return a name or names as a list, unchecked; None is no name."""
    if names is None:
        return []
    return [names] if isinstance(names, str) or not np.iterable(names) else list(names)


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise ValueError if a value is none of the choices."""
    if not isinstance(value, str) or value not in choices:
        msg = f"`{name}` must be one of {list(choices)}. Got {value!r}."
        raise ValueError(msg)


def has_noise(kind: Any) -> bool:
    """Tell whether predictions of a kind have residual noise, once the kind is checked."""
    check_choice("kind", kind, _KINDS)
    return bool(kind == "response")


def as_probability(value: Any, name: str) -> float:
    """Return the probability of an interval, a float in (0, 1)."""
    if not is_number(value):
        msg = f"`{name}` must be a number in (0, 1). Got {value!r}."
        raise TypeError(msg)
    inside = float(value)
    if not 0 < inside < 1:
        hint = f" Did you mean {inside / 100:g}?" if 1 < inside < 100 else ""
        msg = f"`{name}` must lie in (0, 1). Got {value!r}.{hint}"
        raise ValueError(msg)
    return inside


def as_probabilities(values: Any, name: str) -> Float:
    """Return probabilities (n,) in (0, 1), given one or several."""
    given = np.atleast_1d(np.asarray(values))
    numeric = given.dtype.kind in "fiu" and given.ndim == 1
    probabilities = given.astype(np.float64) if numeric else np.full(1, np.nan)
    if not np.all((probabilities > 0) & (probabilities < 1)):
        msg = f"`{name}` must be probabilities in (0, 1). Got {values!r}."
        raise ValueError(msg)
    return probabilities


def as_random_state(value: Any) -> np.random.RandomState:
    """Return the generator of a seed, or a generator itself, as scikit-learn does."""
    try:
        return check_random_state(value)
    except (TypeError, ValueError):
        msg = (
            "`random_state` must be None, an int from 0 to 2^32 - 1, or a RandomState. Got "
            f"{value!r}."
        )
        raise ValueError(msg) from None


def _refuse(name: str, parameter: str, allowed: str, value: Any) -> None:
    msg = f"The {parameter!r} parameter of {name} must be {allowed}. Got {value!r} instead."
    raise ValueError(msg)
