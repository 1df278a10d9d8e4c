"""What displays of predictions show, computed from a fitted estimator and rows."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr
from sklearn.utils import check_array

from skhbm._comparison.rows_of_fit import read_rows_again
from skhbm._estimators.fitted import Fitted
from skhbm._estimators.response_predicting import ResponsePredicting
from skhbm._estimators.scored_rows import scored_rows
from skhbm._inputs.arrays import as_target
from skhbm._inputs.new_rows import read_scored
from skhbm._inputs.parameters import as_probability, as_random_state, check_choice
from skhbm._inputs.pipelines import unwrapped
from skhbm._inputs.response import second_class
from skhbm._prediction.calibration import (
    NOMINAL,
    band,
    central_coverage,
    distribution,
    reliability,
    share_below,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skhbm._types import Float

    Sizes = Mapping[str, Any]


__all__ = ["calibration", "calibration_of_quantiles", "replicated_target"]

#: What a `CalibrationDisplay` can show.
KINDS = ("coverage", "pit")
#: The fields of one that are arrays.
CURVE = ("nominal", "observed", "lower", "upper")
#: The same of an estimator of probabilities.
KINDS_OF_ESTIMATORS = (*KINDS, "reliability")


def replicated_target(
    estimator: Any, X: Any, y: Any, groups: Any, y_err: Any, n_samples: Any, random_state: Any
) -> tuple[Float, Float]:
    """Return y (n,) and replicates of it (n, n_samples) from the predictive distribution."""
    last, X = unwrapped(estimator, X, groups)
    if not hasattr(last, "sample_y"):
        msg = (
            "`estimator` must have a method `sample_y`, which draws from its predictive "
            "distribution, or be a Pipeline or search that ends in one that has. "
            f"Got {type(last).__name__}."
        )
        raise TypeError(msg)
    rng = as_random_state(random_state)
    labels = {} if groups is None else {"groups": groups}
    drawn = last.sample_y(X, n_samples=n_samples, random_state=rng, **labels)
    if not isinstance(last, Fitted):
        return as_target(y, last), drawn
    _, target, errors = read_scored(last, X, last._encoded(y), groups, y_err)
    if errors is not None:
        drawn = drawn + errors[:, None] * rng.standard_normal(drawn.shape)
    return target, drawn


def calibration(
    estimator: Any,
    X: Any,
    y: Any,
    groups: Any,
    y_err: Any,
    sizes: Sizes,
    kind: str,
    envelope_prob: float,
    n_bins: int,
) -> dict[str, Any]:
    """Return the parameters of a `CalibrationDisplay` of an estimator."""
    check_choice("kind", kind, KINDS_OF_ESTIMATORS)
    as_probability(envelope_prob, "envelope_prob")
    if kind == "reliability":
        rows = _event_probabilities(estimator, X, y, groups, sizes)
        shown = dict(zip(CURVE, reliability(*rows, n_bins, envelope_prob), strict=True))
        return {**shown, "kind": kind, "envelope_prob": envelope_prob}
    pit, in_sample = _predictive_probabilities(estimator, X, y, groups, y_err, sizes)
    # y is inside the central interval of probability p if |2 PIT - 1| <= p.
    values = np.abs(2 * pit - 1) if kind == "coverage" else pit
    shown = _curve(len(pit), NOMINAL, share_below(values, NOMINAL), kind, envelope_prob)
    return {**shown, "in_sample": in_sample}


def calibration_of_quantiles(
    y_true: Any, y_quantiles: Any, quantiles: Any, kind: str, envelope_prob: float
) -> dict[str, Any]:
    """Return the parameters of a `CalibrationDisplay` of predicted quantiles."""
    check_choice("kind", kind, KINDS)
    as_probability(envelope_prob, "envelope_prob")
    central = kind == "coverage"
    y, bounds, nominal = _read_quantiles(y_true, y_quantiles, quantiles, symmetric=central)
    observed = np.mean(y[:, None] <= bounds, axis=0)
    if central:
        nominal, observed = central_coverage(y, bounds, nominal)
    return _curve(len(y), nominal, observed, kind, envelope_prob)


def _curve(
    n: int, nominal: Float, observed: Float, kind: str, envelope_prob: float
) -> dict[str, Any]:
    """Return the parameters of a `CalibrationDisplay`, with the band for n predictions."""
    lower, upper = band(n, nominal, envelope_prob)
    return {
        "nominal": nominal,
        "observed": observed,
        "lower": lower,
        "upper": upper,
        "kind": kind,
        "envelope_prob": envelope_prob,
    }


def _event_probabilities(
    estimator: Any, X: Any, y: Any, groups: Any, sizes: Sizes
) -> tuple[Float, Float, Float]:
    """Return predicted probabilities of rows (n,), and numbers of events and of trials."""
    last, X = unwrapped(estimator, X, groups)
    given = {name: value for name, value in sizes.items() if value is not None}
    labels = {} if groups is None else {"groups": groups}
    if isinstance(last, ResponsePredicting) and last._family.link == "logit":
        predicted, events = scored_rows(last, X, y, groups, given)
        return predicted.moments()[0] / predicted.size, events, predicted.size
    if not hasattr(last, "predict_proba"):
        msg = (
            "`estimator` must predict probabilities, for kind='reliability': be a classifier "
            "with the method `predict_proba` or a HierarchicalBinomialRegressor, "
            f"or a Pipeline or search that ends in one. Got {type(last).__name__}."
        )
        raise TypeError(msg)
    p = np.asarray(last.predict_proba(X, **labels, **given))[:, 1]
    return p, second_class(y, last.classes_), np.ones(len(p))


def _response_probabilities(
    model: ResponsePredicting, X: Any, y: Any, groups: Any, sizes: Sizes
) -> Float:
    """Return the probability (n,) of a target below each y, of counts at random places.

    The probability integral transform of a count is uniform if it is drawn between the
    probabilities of less than y and of no more than y (Czado, Gneiting & Held 2009).
    """
    given = {name: value for name, value in sizes.items() if value is not None}
    predicted, target = scored_rows(model, X, y, groups, given)
    below = predicted.cdf(target)
    if not model._family.discrete:
        return below
    share = np.random.default_rng(0).random(len(target))
    return share * below + (1.0 - share) * predicted.cdf(target - 1.0)


def _predictive_probabilities(
    estimator: Any, X: Any, y: Any, groups: Any, y_err: Any, sizes: Sizes
) -> tuple[Float, bool]:
    """Return the predictive probability (n,) of a target below each y.

    The second value tells whether the rows are found to be those of fit. The distribution of
    an estimator of another kind is taken to be normal, with the mean and standard deviation
    that it predicts.
    """
    last, X = unwrapped(estimator, X, groups)
    if isinstance(last, ResponsePredicting):
        return _response_probabilities(last, X, y, groups, sizes), False
    if isinstance(last, Fitted):
        rows, target, errors = read_scored(last, X, y, groups, y_err)
        in_sample = _are_those_of_fit(last, X, y, groups, y_err)
        return distribution(last._posterior, rows, target, errors), in_sample
    predict = getattr(last, "predict", None)
    if predict is None or "return_std" not in inspect.signature(predict).parameters:
        msg = (
            "`estimator` must predict a distribution: be a HierarchicalNormalRegressor or have "
            "a method `predict` with `return_std`, or be a Pipeline or search that ends in "
            f"such a one. Got {type(last).__name__}."
        )
        raise TypeError(msg)
    mean, std = predict(X, return_std=True)
    return ndtr((as_target(y, last) - mean) / std), False


def _are_those_of_fit(model: Any, X: Any, y: Any, groups: Any, y_err: Any) -> bool:
    """Tell whether rows that were read before have the statistics of those of fit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read_rows_again(model, X, y, groups, y_err)
        except ValueError:
            return False
    return True


def _read_quantiles(
    y_true: Any, y_quantiles: Any, quantiles: Any, *, symmetric: bool
) -> tuple[Float, Float, Float]:
    """Return y (n,), its predicted quantiles (n, n_quantiles) and their probabilities."""
    y, bounds = as_target(y_true), check_array(y_quantiles, input_name="y_quantiles")
    probabilities = np.asarray(quantiles, dtype=np.float64)
    inside = (probabilities > 0) & (probabilities < 1)
    if probabilities.ndim != 1 or not inside.all() or np.any(np.diff(probabilities) <= 0):
        msg = f"`quantiles` must be increasing probabilities in (0, 1). Got {quantiles!r}."
        raise ValueError(msg)
    if bounds.shape != (len(y), len(probabilities)):
        msg = (
            f"`y_quantiles` must have shape ({len(y)}, {len(probabilities)}), a row for each "
            f"entry of `y_true` and a column for each of `quantiles`. Got {bounds.shape}."
        )
        raise ValueError(msg)
    if np.any(np.diff(bounds, axis=1) < 0):
        msg = (
            "`y_quantiles` must not decrease along a row. Some do; give its columns in the "
            "order of `quantiles`."
        )
        raise ValueError(msg)
    mirrored = np.allclose(probabilities + probabilities[::-1], 1)
    if symmetric and not (mirrored and len(probabilities) > 1):
        msg = (
            "`quantiles` must come in pairs p and 1 - p, which bound central intervals. Got "
            f'{quantiles!r}. Pass others with kind="pit".'
        )
        raise ValueError(msg)
    return y, bounds, probabilities
