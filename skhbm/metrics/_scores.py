"""Scores of predictive distributions, row by row, also of an estimator in a pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._estimators.predicting import Predicting
from skhbm._inputs.arrays import as_target
from skhbm._inputs.new_rows import read_scored
from skhbm._prediction import predictive
from skhbm.metrics._scorer import given_groups, require, scored

if TYPE_CHECKING:
    from skhbm._types import Float


__all__ = ["interval_scores", "intervals", "log_densities", "ranked_scores"]


def log_densities(
    scorer: str, estimator: Any, X: Any, y: Any, groups: Any, y_err: Any
) -> Float:
    """Return log predictive densities (n,) at the targets."""
    model, X, groups = scored(estimator, X, groups)
    method = require(scorer, model, "log_predictive_density")
    if isinstance(model, Predicting):
        rows, target, errors = read_scored(model, X, y, groups, y_err)
        return predictive.log_density(model._posterior, rows, target, errors)
    _refuse_errors(scorer, model, y_err)
    return np.asarray(method(X, y, **given_groups(method, groups)))


def ranked_scores(
    scorer: str, estimator: Any, X: Any, y: Any, groups: Any, y_err: Any
) -> Float:
    """Return continuous ranked probability scores (n,) of the targets."""
    model, X, groups = scored(estimator, X, groups)
    require(scorer, model, "predict_quantiles")
    if not isinstance(model, Predicting):
        msg = (
            f"`{scorer}` needs a HierarchicalNormalRegressor, whose predictions are mixtures "
            f"of normals. Got {type(model).__name__}; use `neg_interval_score`."
        )
        raise TypeError(msg)
    rows, target, errors = read_scored(model, X, y, groups, y_err)
    return predictive.ranked_score(model._posterior, rows, target, errors)


def intervals(
    scorer: str, estimator: Any, X: Any, y: Any, groups: Any, y_err: Any, inside: float
) -> tuple[Float, Float, Float]:
    """Return targets and the bounds of their equal-tailed intervals (n,)."""
    model, X, groups = scored(estimator, X, groups)
    method = require(scorer, model, "predict_quantiles")
    tail = (1 - inside) / 2
    probabilities = np.array([tail, 1 - tail])
    if isinstance(model, Predicting):
        rows, target, errors = read_scored(model, X, y, groups, y_err)
        bounds = predictive.quantiles(model._posterior, rows, probabilities, errors)
    else:
        _refuse_errors(scorer, model, y_err)
        target = as_target(y, model)
        labels = given_groups(method, groups)
        bounds = np.asarray(method(X, quantiles=probabilities, **labels))
    return target, bounds[:, 0], bounds[:, 1]


def interval_scores(target: Float, low: Float, high: Float, inside: float) -> Float:
    """Return Gneiting & Raftery (2007), eq. 43, row by row."""
    outside = np.maximum(low - target, 0) + np.maximum(target - high, 0)
    return np.asarray(high - low + 2 / (1 - inside) * outside)


def _refuse_errors(scorer: str, model: Any, y_err: Any) -> None:
    if y_err is not None:
        msg = (
            f"`{scorer}` was given `y_err`, which only HierarchicalNormalRegressor knows of. "
            f"Leave it out to score {type(model).__name__}."
        )
        raise ValueError(msg)
