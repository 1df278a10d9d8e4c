"""The estimator inside pipelines and searches, and X as it arrives there.

Scorers and displays are given the estimator that the user gave to scikit-learn. A pipeline or
search has `predict`, but not the methods of the estimator inside that predict a distribution.
"""

from __future__ import annotations

from inspect import signature
from typing import Any

from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object, process_routing
from sklearn.utils.validation import check_is_fitted

__all__ = ["takes_groups", "unwrapped"]


def unwrapped(estimator: Any, X: Any = None, groups: Any = None) -> tuple[Any, Any]:
    """Return the fitted estimator inside that predicts, and X, if given, as it gets it."""
    if isinstance(estimator, type):
        msg = (
            f"`estimator` must be a fitted estimator. Got the class {estimator.__name__}; make "
            f"an instance of it, {estimator.__name__}(), and fit that."
        )
        raise TypeError(msg)
    while True:
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
            continue
        if isinstance(estimator, BaseEstimator):
            check_is_fitted(estimator)
        if isinstance(estimator, Pipeline):
            X = X if X is None else _transformed(estimator, X, groups)
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator, X


def _transformed(pipeline: Pipeline, X: Any, groups: Any) -> Any:
    """Return X after all steps but the last, which get the metadata that they request."""
    routed = None
    if groups is not None and _routes_groups(pipeline):
        routed = process_routing(pipeline, "predict", groups=groups)
    for name, step in pipeline.steps[:-1]:
        if step is not None and step != "passthrough":
            X = step.transform(X, **(routed[name].transform if routed else {}))
    return X


def _routes_groups(estimator: Any) -> bool:
    """Tell whether scikit-learn hands on `groups` that predict is given."""
    if not get_config()["enable_metadata_routing"]:
        # Only TransformedTargetRegressor hands arguments on where routing is disabled.
        return isinstance(estimator, TransformedTargetRegressor) and takes_groups(
            estimator.regressor_
        )
    return bool(get_routing_for_object(estimator).consumes("predict", ["groups"]))


def takes_groups(estimator: Any) -> bool:
    """Tell whether `predict` can be given `groups`."""
    if isinstance(estimator, Pipeline):
        return takes_groups(estimator.steps[-1][1])
    return "groups" in signature(estimator.predict).parameters or _routes_groups(estimator)
