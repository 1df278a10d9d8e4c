"""Scorers: their names, their requests for metadata, and the estimator that they score."""

from __future__ import annotations

from functools import update_wrapper
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.utils.metadata_routing import UNCHANGED, MetadataRequest

from skhbm._inputs.arrays import as_weights
from skhbm._inputs.pipelines import takes_groups, unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Scorer",
    "given_groups",
    "given_sizes",
    "point_prediction",
    "require",
    "scored",
    "weighted_mean",
]

#: Metadata that scorers request by default. A weight may be meant for fit or for the score.
REQUESTS = {
    "groups": True,
    "sample_weight": None,
    "y_err": True,
    "trials": True,
    "exposure": True,
}


class Scorer:
    """A function ``score(estimator, X, y, groups=None, sample_weight=None)`` for `scoring=`.

    Scorers do not change, and are pickled by name: `set_score_request` returns another one.
    """

    def __init__(
        self,
        function: Callable[..., float],
        maker: str | None = None,
        requests: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        update_wrapper(self, function)
        taken = signature(function).parameters
        default = {name: alias for name, alias in REQUESTS.items() if name in taken}
        self._function = function
        self._maker = function.__name__ if maker is None else maker
        self._arguments = arguments
        self._requests = default if requests is None else dict(requests)

    def __call__(self, estimator: Any, X: Any, y: Any, *args: Any, **kwargs: Any) -> float:
        """Return the score of the estimator on the rows; greater is better."""
        return self._function(estimator, X, y, *args, **kwargs)

    def __repr__(self) -> str:
        if not self._arguments:
            return self._maker
        given = ", ".join(f"{name}={value!r}" for name, value in self._arguments.items())
        return f"{self._maker}({given})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (self.__module__, self._maker, self._arguments, self._requests)

    def set_score_request(self, **requests: Any) -> Self:
        """Return a scorer that requests other metadata, when routing is enabled.

        Parameters
        ----------
        **requests : {True, False, None} or str
            By name: all but "sample_weight" are requested unless this says otherwise. True
            requests it, False does not, None makes it an error to pass it, and a str requests
            it under another name.

        Returns
        -------
        Scorer
            This one stays as it is.

        Raises
        ------
        TypeError
            If the scorer does not take such metadata.
        """
        unknown = sorted(set(requests) - set(self._requests))
        if unknown:
            msg = f"{self!r} takes the metadata {list(self._requests)}. Got {unknown}."
            raise TypeError(msg)
        changed = {k: v for k, v in requests.items() if v is not UNCHANGED}
        other = type(self)(
            self._function, self._maker, {**self._requests, **changed}, **self._arguments
        )
        other.get_metadata_routing()
        return other

    def get_metadata_routing(self) -> MetadataRequest:
        """Return what the scorer requests, as scikit-learn's routing asks for it.

        Returns
        -------
        MetadataRequest
            With the requests of its method "score".
        """
        routing = MetadataRequest(owner=self)
        for name, alias in self._requests.items():
            routing.score.add_request(param=name, alias=alias)
        return routing

    def _routing_repr(self) -> str:
        """Return the name of the scorer in scikit-learn's messages about metadata."""
        return repr(self)

    def _accept_sample_weight(self) -> bool:
        """Answer searches, which ask before they hand on weights without routing."""
        return "sample_weight" in self._requests


def _remake(
    module: str, maker: str, arguments: Mapping[str, Any], requests: Mapping[str, Any]
) -> Scorer:
    """Return the scorer of a name, or that which its maker makes of the arguments."""
    found = getattr(import_module(module), maker)
    scorer: Scorer = found(**arguments) if arguments else found
    # Older pickles do not request what scorers did not know of then.
    same = {**scorer._requests, **requests} == scorer._requests
    return scorer if same else scorer.set_score_request(**requests)


def scored(estimator: Any, X: Any, groups: Any) -> tuple[Any, Any, Any]:
    """Return the estimator inside that predicts, X as it gets it, and labels if it reads them.

    Labels are left out if X has them: routing hands labels for a splitter to scorers as well.
    """
    model, X = unwrapped(estimator, X, groups)
    return model, X, groups if getattr(model, "group_features", None) is None else None


def given_groups(method: Callable[..., Any], groups: Any) -> dict[str, Any]:
    """Return the labels as arguments of a method, if it takes any: most estimators do not."""
    wanted = groups is not None and "groups" in signature(method).parameters
    return {"groups": groups} if wanted else {}


def given_sizes(
    scorer: str, method: Callable[..., Any], sizes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return trials or exposures as arguments of a method.

    Raises
    ------
    ValueError
        If the method does not take what is given.
    """
    given = {name: value for name, value in sizes.items() if value is not None}
    unknown = sorted(set(given) - set(signature(method).parameters))
    if unknown:
        owner = type(getattr(method, "__self__", None)).__name__
        msg = (
            f"`{scorer}` was given `{unknown[0]}`, which `{method.__name__}` of {owner} does "
            "not take. Leave it out to score this estimator."
        )
        raise ValueError(msg)
    return given


def point_prediction(
    scorer: str, estimator: Any, X: Any, groups: Any, sizes: Mapping[str, Any]
) -> Any:
    """Predict with any regressor, which is given labels if it, or one inside, takes them."""
    model, X, groups = scored(estimator, X, groups)
    if not hasattr(model, "predict"):
        msg = (
            f"`{scorer}` needs a regressor. Got {type(model).__name__}, which has no `predict`."
        )
        raise TypeError(msg)
    wanted = groups is not None and takes_groups(model)
    labels = {"groups": groups} if wanted else {}
    return model.predict(X, **labels, **given_sizes(scorer, model.predict, sizes))


def require(scorer: str, estimator: Any, method: str) -> Callable[..., Any]:
    """Return a method of the estimator that predicts a distribution.

    Raises
    ------
    TypeError
        If there is none.
    """
    if isinstance(estimator, TransformedTargetRegressor):
        msg = (
            f"`{scorer}` cannot score a TransformedTargetRegressor, which transforms means "
            "back but no distribution. Score its `regressor_` on the transformed target, or "
            "use `r2` or `neg_root_mean_squared_error`."
        )
        raise TypeError(msg)
    found = getattr(estimator, method, None)
    if found is None:
        msg = (
            f"`{scorer}` needs an estimator with the method `{method}`, such as "
            f"HierarchicalNormalRegressor. Got {type(estimator).__name__}, which has none. Use "
            "`r2` or `neg_root_mean_squared_error`, which score any regressor."
        )
        raise TypeError(msg)
    return found


def weighted_mean(values: Any, sample_weight: Any) -> float:
    """Return the mean of values (n,), weighted if there are weights (n,)."""
    return float(np.average(values, weights=as_weights(sample_weight, len(values))))
