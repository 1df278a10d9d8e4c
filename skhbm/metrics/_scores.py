"""Scores of predictive distributions, row by row, also of an estimator in a pipeline."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._estimators.predicting import Predicting
from skhbm._estimators.response_predicting import ResponsePredicting
from skhbm._estimators.scored_rows import scored_rows
from skhbm._inputs.arrays import as_target
from skhbm._inputs.new_rows import read_scored
from skhbm._inputs.response import second_class
from skhbm._inputs.sizes import as_sizes
from skhbm._prediction import predictive
from skhbm.metrics._scorer import given_groups, given_sizes, require, scored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skhbm._types import Float

    Sizes = Mapping[str, Any]


__all__ = [
    "brier_scores",
    "interval_scores",
    "intervals",
    "log_densities",
    "ranked_scores",
]


def log_densities(
    scorer: str, estimator: Any, X: Any, y: Any, groups: Any, y_err: Any, sizes: Sizes
) -> Float:
    """Return log predictive densities (n,) at the targets."""
    model, X, groups = scored(estimator, X, groups)
    method = require(scorer, model, "log_predictive_density")
    given = given_sizes(scorer, method, sizes)
    if isinstance(model, Predicting):
        rows, target, errors = read_scored(model, X, y, groups, y_err)
        return predictive.log_density(model._posterior, rows, target, errors)
    _refuse_errors(scorer, model, y_err)
    return np.asarray(method(X, y, **given_groups(method, groups), **given))


def ranked_scores(
    scorer: str, estimator: Any, X: Any, y: Any, groups: Any, y_err: Any, sizes: Sizes
) -> Float:
    """Return continuous ranked probability scores (n,) of the targets."""
    model, X, groups = scored(estimator, X, groups)
    method = require(scorer, model, "predict_quantiles")
    if isinstance(model, Predicting):
        given_sizes(scorer, method, sizes)
        rows, target, errors = read_scored(model, X, y, groups, y_err)
        return predictive.ranked_score(model._posterior, rows, target, errors)
    if not isinstance(model, ResponsePredicting):
        msg = (
            f"`{scorer}` needs an estimator of this package, such as a "
            "HierarchicalNormalRegressor, whose predictions are mixtures over draws. Got "
            f"{type(model).__name__}; use `neg_interval_score`."
        )
        raise TypeError(msg)
    _refuse_errors(scorer, model, y_err)
    given = given_sizes(scorer, model.log_predictive_density, sizes)
    predicted, target = scored_rows(model, X, y, groups, given)
    return predicted.ranked_score(target)


def intervals(
    scorer: str,
    estimator: Any,
    X: Any,
    y: Any,
    groups: Any,
    y_err: Any,
    sizes: Sizes,
    inside: float,
) -> tuple[Float, Float, Float]:
    """Return targets and the bounds of their equal-tailed intervals (n,)."""
    model, X, groups = scored(estimator, X, groups)
    method = require(scorer, model, "predict_quantiles")
    given = given_sizes(scorer, method, sizes)
    tail = (1 - inside) / 2
    probabilities = np.array([tail, 1 - tail])
    if isinstance(model, Predicting):
        rows, target, errors = read_scored(model, X, y, groups, y_err)
        bounds = predictive.quantiles(model._posterior, rows, probabilities, errors)
    else:
        _refuse_errors(scorer, model, y_err)
        target = as_target(y, model)
        labels = given_groups(method, groups)
        bounds = np.asarray(method(X, quantiles=probabilities, **labels, **given))
    return target, bounds[:, 0], bounds[:, 1]


def brier_scores(
    scorer: str, estimator: Any, X: Any, y: Any, groups: Any, trials: Any
) -> tuple[Float, Float]:
    """Return Brier scores (n,) of a trial of each row, and numbers of trials (n,)."""
    model, X, groups = scored(estimator, X, groups)
    if hasattr(model, "predict_proba"):
        method = model.predict_proba
        given_sizes(scorer, method, {"trials": trials})
        p = np.asarray(method(X, **given_groups(method, groups)))
        happened = second_class(y, model.classes_)
        _check_length(len(p), happened)
        return (p[:, 1] - happened) ** 2, np.ones(len(p))
    if "trials" not in signature(require(scorer, model, "predict")).parameters:
        msg = (
            f"`{scorer}` needs a classifier with the method `predict_proba`, or a "
            f"HierarchicalBinomialRegressor. Got {type(model).__name__}."
        )
        raise TypeError(msg)
    target = as_target(y, model)
    size = as_sizes("trials", trials, len(target))
    expected = model.predict(X, **given_groups(model.predict, groups), trials=size)
    _check_length(len(expected), target)
    model._family.check_target(target, size)
    share, p = target / size, expected / size
    return share * (1.0 - p) ** 2 + (1.0 - share) * p**2, size


def _check_length(n_rows: int, target: Float) -> None:
    if n_rows != len(target):
        msg = f"`X` has {n_rows} rows but `y` has {len(target)} entries; they must be equal."
        raise ValueError(msg)


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
