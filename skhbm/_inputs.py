"""X, y and weights of any accepted kind -> validated arrays; one sentence per mistake."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import column_or_1d

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float64]

__all__ = [
    "as_errors",
    "as_features",
    "as_probability",
    "as_rows",
    "as_target",
    "as_weights",
    "count_rows",
]

#: Errors below this or above its inverse have weights that overflow when multiplied.
LEAST_ERROR = 1e-60


def as_rows(
    X: Any, y: Any, sample_weight: Any, estimator: Any = None
) -> tuple[Any, Float, Float | None]:
    """Return X (n_samples, n_features), y and weights (n_samples,), checked together.

    X keeps its float dtype and memory order: it is converted chunk by chunk later. Rows
    of weight zero are left out, as if they had not been given.
    """
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
    return features, target, weights


def as_features(X: Any, n_samples: int, estimator: Any = None) -> Any:
    """Return X as a finite float array (n_samples, n_features), without a copy if it is one."""
    if X is None or (estimator is None and getattr(X, "shape", (0,))[1:] == (0,)):
        return np.empty((n_samples, 0))
    try:
        return check_array(
            X, dtype=[np.float64, np.float32], input_name="X", estimator=estimator
        )
    except ValueError as error:
        if "could not convert string" not in str(error):
            raise
        msg = (
            f"{error}: `X` must be numeric. If a column holds group labels, name it in "
            "`group_features`; encode other categories first."
        )
        raise ValueError(msg) from None


def count_rows(X: Any, labels: Any) -> int:
    """Return the number of rows of X or, where there is none, of labels."""
    if X is None and labels is None:
        msg = "X is None and so are the groups: there is nothing to predict for."
        raise ValueError(msg)
    return len(labels) if X is None else int(X.shape[0])


def as_target(y: Any, estimator: Any = None) -> Float:
    """Return y as a finite float64 array (n_samples,)."""
    if y is None:
        msg = f"{type(estimator).__name__} requires y to be passed, but the target y is None."
        raise ValueError(msg)
    values = check_array(
        y,
        ensure_2d=False,
        dtype=None,
        input_name="y",
        estimator=estimator,
        ensure_all_finite=False,
    )
    values = column_or_1d(values, warn=True)
    try:
        if values.dtype.kind in "mM":
            raise TypeError
        values = values.astype(np.float64, copy=False)
    except (TypeError, ValueError):
        msg = f"`y` must be numeric. Got an array of dtype {values.dtype}."
        raise ValueError(msg) from None
    return check_array(values, ensure_2d=False, input_name="y", estimator=estimator)


def as_weights(sample_weight: Any, n_samples: int) -> Float | None:
    """Return frequencies (n_samples,), or None where every row counts once."""
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Real):
        sample_weight = np.full(n_samples, sample_weight)
    weights = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
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
    return weights


def as_errors(y_err: Any, n_samples: int) -> Float | None:
    """Return known standard errors (n_samples,), or None if there are none."""
    if y_err is None:
        return None
    if np.ndim(y_err) == 0:
        msg = f"`y_err` must have shape ({n_samples},). Got {y_err!r}; give one per row."
        raise ValueError(msg)
    try:
        errors = check_array(y_err, ensure_2d=False, dtype=np.float64, input_name="y_err")
    except (TypeError, ValueError) as error:
        if "could not convert" not in str(error):
            raise
        msg = f"`y_err` must be numeric: it holds standard errors. {error}."
        raise ValueError(msg) from None
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
    return errors


def as_probability(value: Any, name: str) -> float:
    """Return the probability of an interval, a float in (0, 1)."""
    if not isinstance(value, Real):
        msg = f"`{name}` must be a number in (0, 1). Got {value!r}."
        raise TypeError(msg)
    inside = float(value)
    if not 0 < inside < 1:
        hint = f" Did you mean {inside / 100:g}?" if 1 < inside < 100 else ""
        msg = f"`{name}` must lie in (0, 1). Got {value!r}.{hint}"
        raise ValueError(msg)
    return inside
