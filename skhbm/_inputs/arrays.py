"""Validate X, y, weights and known errors of any accepted kind, with a sentence per mistake."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_regressor
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import column_or_1d

from skhbm._inputs.columns import find_columns
from skhbm._inputs.numbers import LARGEST, as_numbers, check_sizes
from skhbm._inputs.warning import DataWarning, warn

if TYPE_CHECKING:
    from skhbm._types import Float


__all__ = [
    "as_errors",
    "as_features",
    "as_rows",
    "as_target",
    "as_weights",
    "count_rows",
    "refuse_elsewhere",
    "unusable",
]

#: Names of dtypes of dates and durations begin so in NumPy, pandas, polars and pyarrow.
TIMES = ("date", "time", "duration", "period")
#: What tables have whose rows are not in memory, and what brings them there.
ELSEWHERE = {"collect": "collect", "divisions": "compute", "fetchall": "fetch"}
#: The weights of known errors below this, or above its inverse, overflow when multiplied.
LEAST_ERROR = 1 / LARGEST
#: The most rows that a double counts one by one.
MOST = 2.0**53


def as_rows(
    X: Any, y: Any, sample_weight: Any, estimator: Any = None
) -> tuple[Any, Float, Float | None]:
    """Return X (n_samples, n_features), y and weights (n_samples,), checked together.

    X keeps its float dtype and memory order: it is converted chunk by chunk later. Rows
    of weight zero are left out, as if they had not been given.
    """
    for name, values in {"y": y, "sample_weight": sample_weight}.items():
        refuse_elsewhere(values, name, "be in memory")
    target = as_target(y, estimator)
    features = as_features(X, len(target), estimator)
    if len(features) != len(target):
        msg = (
            "Found input variables with inconsistent numbers of samples: "
            f"`X` has {len(features)} rows but `y` has {len(target)} entries; "
            "they must be equal."
        )
        raise ValueError(msg)
    weights = as_weights(sample_weight, len(target))
    if weights is not None and weights.max() < 1:
        warn(
            f"All entries of `sample_weight` are below 1 (the largest is {weights.max():g}). A "
            "weight is how often a row counts: the fit takes their sum, "
            f"{weights.sum():g}, for the number of rows, of which {len(weights)} were given. "
            "Weights that say how rows compare should have mean 1.",
            DataWarning,
        )
    return features, target, weights


def as_features(X: Any, n_samples: int, estimator: Any = None) -> Any:
    """Return X as a finite float array (n_samples, n_features), without a copy if it is one."""
    if X is None or (estimator is None and getattr(X, "shape", (0,))[1:] == (0,)):
        return np.empty((n_samples, 0))
    _refuse_times(X)
    advice = (
        ". If a column holds group labels, name it in `group_features`; encode other "
        "categories first"
    )
    try:
        kinds = [np.float64, np.float32]
        return as_numbers(X, "X", advice, dtype=kinds, estimator=estimator)
    except ValueError as error:
        not_finite = str(error).startswith("Input X contains")
        fault = _first_fault(X, estimator) if not_finite else None
        if fault is None:
            raise
        raise ValueError(fault) from None


def _first_fault(X: Any, estimator: Any) -> str | None:
    """Say which column has missing or infinite values, and how many, if one is found."""
    X = X if hasattr(X, "shape") else np.asarray(X)
    columns = _columns_of(X, estimator)
    for i in range(X.shape[1]):
        values = np.asarray(_safe_indexing(X, i, axis=1), dtype=np.float64)
        for word, wrong in (("NaN", np.isnan(values)), ("infinity", np.isinf(values))):
            if np.any(wrong):
                return unusable("X", columns[i], word, int(wrong.sum()), len(values))
    return None


def _columns_of(X: Any, estimator: Any) -> list[str]:
    """Return what to call features: by their names, or by their positions in the given X."""
    names = getattr(X, "columns", None)
    if names is not None:
        return [f"the column {str(name)!r}" for name in names]
    positions = np.arange(X.shape[1])
    if getattr(estimator, "group_features", None) is not None:
        # Columns of labels have been taken out of X.
        n_columns = estimator.n_features_in_
        named = getattr(estimator, "feature_names_in_", None)
        labels = find_columns("group_features", estimator.group_features, n_columns, named)
        positions = np.delete(np.arange(n_columns), labels)
    return [f"column {position}" for position in positions]


def unusable(what: str, column: str, word: str, count: int, n: int) -> str:
    """Say how many values of a column are missing or infinite."""
    kind = "missing" if word == "NaN" else "infinite"
    values = f"{count} {kind} value{'s' * (count != 1)}"
    return (
        f"Input {what} contains {word}: {column} has {values} in {n} rows. Drop these rows, or "
        "replace the values."
    )


def _refuse_times(X: Any) -> None:
    """Refuse columns of dates and durations, whose numbers depend on the unit of a dtype."""
    dtypes = getattr(X, "dtypes", [getattr(X, "dtype", None)])
    names = getattr(X, "columns", [None])
    for name, dtype in zip(names, dtypes, strict=False):
        if str(dtype).lower().startswith(TIMES):
            what = "It" if name is None else f"The column {name!r}"
            msg = (
                f"`X` must be numeric. {what} is of dtype {dtype}, whose numbers depend on its "
                "unit. Convert it first, such as to days since a date."
            )
            raise TypeError(msg)


def refuse_elsewhere(values: Any, name: str, expected: str, advice: str = "") -> None:
    """Refuse tables whose rows are not in memory, as of Dask, DuckDB, Spark and lazy polars."""
    for attribute, verb in ELSEWHERE.items():
        if hasattr(values, attribute):
            kind = f"{type(values).__module__.split('.')[0]} {type(values).__name__}"
            msg = f"`{name}` must {expected}. Got {kind}; {verb} it first.{advice}"
            raise TypeError(msg)


def count_rows(X: Any, labels: Any) -> int:
    """Return the number of rows of X or, where there is none, of labels."""
    if X is None and labels is None:
        msg = "X is None and so are the groups: there is nothing to predict for."
        raise ValueError(msg)
    if X is not None:
        return int(X.shape[0])
    if not hasattr(labels, "__len__") or isinstance(labels, str):
        msg = f"`groups` must be one label per row. Got {labels!r}."
        raise ValueError(msg)
    return len(labels)


def as_target(y: Any, estimator: Any = None) -> Float:
    """Return y as a finite float64 array (n_samples,)."""
    if y is None:
        msg = f"{type(estimator).__name__} requires y to be passed, but the target y is None."
        raise ValueError(msg)
    options = {"ensure_2d": False, "estimator": estimator}
    values = as_numbers(y, "y", dtype=None, ensure_all_finite=False, **options)
    values = column_or_1d(values, warn=True)
    try:
        if values.dtype.kind in "mM":
            raise TypeError
        values = values.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError):
        msg = f"`y` must be numeric. Got an array of dtype {values.dtype}."
        words = values.dtype.kind not in "mM"
        if words and estimator is not None and is_regressor(estimator):
            msg += (
                f" {type(estimator).__name__} is a regressor: labels of classes are what "
                "classifiers are for."
            )
        raise ValueError(msg) from None
    values = as_numbers(values, "y", **options)
    check_sizes(values, "y")
    return np.asarray(values)


def as_weights(sample_weight: Any, n_samples: int) -> Float | None:
    """Return frequencies (n_samples,), or None where every row counts once."""
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Real):
        sample_weight = np.full(n_samples, sample_weight)
    weights = as_numbers(sample_weight, "sample_weight", ensure_2d=False, dtype=np.float64)
    if weights.shape != (n_samples,):
        msg = (
            f"`sample_weight` must have shape ({n_samples},). Got {weights.shape}; give "
            "one frequency per row."
        )
        raise ValueError(msg)
    if np.any(weights < 0):
        msg = (
            f"`sample_weight` must not be negative: a weight is how often a row counts. "
            f"Got {int(np.sum(weights < 0))} negative weights, the least {weights.min():g}."
        )
        raise ValueError(msg)
    if not np.any(weights > 0):
        msg = "`sample_weight` is zero for every row; at least one must be positive."
        raise ValueError(msg)
    least = weights[weights > 0].min()
    if least < 1 / LARGEST or weights.max() > MOST or weights.sum() > MOST:
        msg = (
            f"Positive entries of `sample_weight` must be at least {1 / LARGEST:g}, and their "
            f"sum at most 2^53 = {MOST:g}: a weight is how often a row counts. Got "
            f"{least:g} and {weights.max():g} as the least and the largest. Change their scale."
        )
        raise ValueError(msg)
    return np.asarray(weights)


def as_errors(y_err: Any, n_samples: int) -> Float | None:
    """Return known standard errors (n_samples,), or None if there are none."""
    if y_err is None:
        return None
    if _is_scalar(y_err):
        msg = f"`y_err` must have shape ({n_samples},). Got {y_err!r}; give one per row."
        raise ValueError(msg)
    errors = as_numbers(
        y_err, "y_err", ": it holds standard errors", ensure_2d=False, dtype=np.float64
    )
    if errors.ndim == 2 and errors.shape[1] == 1:
        errors = errors[:, 0]
    if errors.shape != (n_samples,):
        msg = (
            f"`y_err` must have shape ({n_samples},). Got {errors.shape}; give one standard "
            "error per row."
        )
        raise ValueError(msg)
    if not np.all(errors > 0):
        msg = (
            "`y_err` must be positive: it holds standard errors. Got "
            f"{int(np.sum(errors <= 0))} of {n_samples} that are zero or negative, the "
            f"least {errors.min():g}."
        )
        raise ValueError(msg)
    if errors.min() < LEAST_ERROR or errors.max() > 1 / LEAST_ERROR:
        msg = (
            f"`y_err` must lie between {LEAST_ERROR:g} and {1 / LEAST_ERROR:g}, as rows weigh "
            f"1 / y_err^2. Got {errors.min():g} to {errors.max():g}. Change the units of y."
        )
        raise ValueError(msg)
    return np.asarray(errors)


def _is_scalar(value: Any) -> bool:
    """Tell whether a value has no axis; NumPy would make an array of it, if it can."""
    no_axis = not hasattr(value, "__len__") or getattr(value, "shape", None) == ()
    return isinstance(value, str) or no_axis
