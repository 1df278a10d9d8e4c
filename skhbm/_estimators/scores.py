"""What `score` returns for responses that are not normal."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import xlogy

from skhbm._estimators.named_size import sizes_of
from skhbm._inputs.arrays import as_target, as_weights
from skhbm._inputs.order import warn_of_observed_order

__all__ = ["deviance_explained", "r2_explained"]


def deviance_explained(
    estimator: Any, X: Any, y: Any, groups: Any, sample_weight: Any, size: dict[str, Any]
) -> float:
    """Return D^2 of the predictive means: 1 - deviance / deviance of one rate for all rows.

    The deviance is that of the binomial distribution, or Poisson's for counts.
    """
    warn_of_observed_order(X, groups, y=y, sample_weight=sample_weight, **size)
    mean, target = (
        estimator.predict(X, groups, **size),
        as_target(estimator._encoded(y), estimator),
    )
    sizes = sizes_of(estimator, size, len(target), observed=True)
    estimator._family.check_target(target, sizes)
    weights = as_weights(sample_weight, len(target))
    weights = np.ones(len(target)) if weights is None else weights
    binomial = estimator._family.link == "logit"
    null = sizes * (weights @ target) / (weights @ sizes)
    deviance, of_null = (
        weights @ _deviances(target, m, sizes if binomial else None) for m in (mean, null)
    )
    return float(1.0 - deviance / of_null) if of_null > 0 else float(deviance == of_null)


def r2_explained(estimator: Any, X: Any, y: Any, groups: Any, sample_weight: Any) -> float:
    """Return R^2 of the predictive means."""
    from sklearn.metrics import r2_score

    warn_of_observed_order(X, groups, y=y, sample_weight=sample_weight)
    predicted, target = estimator.predict(X, groups), as_target(y, estimator)
    weights = as_weights(sample_weight, len(target))
    return float(r2_score(target, predicted, sample_weight=weights))


def _deviances(y: Any, mean: Any, trials: Any) -> Any:
    """Return the deviance of each row (n,): Poisson's, or that of successes of trials."""
    mean = np.maximum(mean, np.finfo(float).tiny)
    if trials is None:
        return 2.0 * (xlogy(y, y / mean) - y + mean)
    rest = np.maximum(trials - mean, np.finfo(float).tiny)
    failures = trials - y
    return 2.0 * (xlogy(y, y / mean) + xlogy(failures, failures / rest))
