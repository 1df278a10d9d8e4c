"""Checks of the constructor's parameters, at fit."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np

from skhbm._inputs.arrays import as_random_state

__all__ = ["check_parameters", "for_factor"]

_CHOICES = {
    "residual_scale": ("shared", "by_group", "known"),
    "solver": ("nuts", "laplace"),
    "new_groups": ("population", "error"),
}
_COUNTS = {"draws": 4, "tune": 1, "chains": 1}


def check_parameters(estimator: Any) -> None:
    """Raise ValueError or TypeError at the first parameter that cannot be."""
    name = type(estimator).__name__
    for parameter, choices in _CHOICES.items():
        value = getattr(estimator, parameter)
        if not isinstance(value, str) or value not in choices:
            allowed = " or ".join(map(repr, choices))
            _refuse(name, parameter, allowed, value)
    for parameter, least in _COUNTS.items():
        value = getattr(estimator, parameter)
        if not _is_int(value) or int(value) < least:
            _refuse(name, parameter, f"an int of at least {least}", value)
    value = estimator.target_accept
    if not _is_number(value) or not 0 < float(value) < 1:
        _refuse(name, "target_accept", "a float in the range (0, 1)", value)
    if not isinstance(estimator.fit_intercept, bool | np.bool_):
        _refuse(name, "fit_intercept", "a bool", estimator.fit_intercept)
    for parameter in ("varying_intercept", "correlated"):
        value = getattr(estimator, parameter)
        entries = value.values() if isinstance(value, dict) else [value]
        if not all(isinstance(entry, bool | np.bool_) for entry in entries):
            _refuse(name, parameter, "a bool or a dict from a factor to a bool", value)
    value = estimator.n_jobs
    if value is not None and (not _is_int(value) or value == 0):
        _refuse(name, "n_jobs", "None or an int other than 0", value)
    as_random_state(estimator.random_state)
    value = estimator.verbose
    if not (_is_int(value) or isinstance(value, bool)) or int(value) < 0:
        _refuse(name, "verbose", "an int of at least 0", value)


def _is_number(value: Any) -> bool:
    """Whether a value is real; NumPy's durations are registered as integers."""
    return isinstance(value, Real) and not isinstance(value, np.timedelta64)


def _is_int(value: Any) -> bool:
    return isinstance(value, Integral) and _is_number(value) and not isinstance(value, bool)


def for_factor(parameter: str, value: Any, factor: str, factors: list[str]) -> Any:
    """Return the entry of a dict by factor, or the value itself; None if there is none."""
    if not isinstance(value, dict):
        return value
    unknown = [key for key in value if key not in factors]
    if unknown:
        what = "grouping factors are" if len(factors) > 1 else "only grouping factor is"
        known = factors if len(factors) > 1 else repr(factors[0])
        msg = (
            f"`{parameter}` has entries for {unknown[:5]}, but the {what} {known}. Name the "
            "columns or Series of `groups` like the entries, or rename these."
        )
        raise ValueError(msg)
    return value.get(factor)


def _refuse(name: str, parameter: str, allowed: str, value: Any) -> None:
    msg = f"The {parameter!r} parameter of {name} must be {allowed}. Got {value!r} instead."
    raise ValueError(msg)
