"""Requests that cannot be answered: before a fit, or with arguments out of range."""

import numpy as np
import pytest
from marks import FEW_DRAWS
from sklearn.exceptions import NotFittedError
from three_sites import GROUPS, X, Y, estimator, fit, with_value

pytestmark = FEW_DRAWS


@pytest.fixture(scope="module")
def model():
    return fit()


@pytest.mark.parametrize(
    "method",
    [
        "predict", "predict_interval", "predict_quantiles", "sample_y", "score",
        "log_predictive_density",
    ],
)  # fmt: skip
def test_prediction_before_fit_is_an_error(method):
    arguments = (X, Y) if method in ("score", "log_predictive_density") else (X,)
    with pytest.raises(NotFittedError, match=r"is not fitted yet. Call 'fit'"):
        getattr(estimator(), method)(*arguments, groups=GROUPS)


@pytest.mark.parametrize(
    "attribute",
    [
        "shrinkage_",
        "variance_components_",
        "posterior_",
        "model_",
        "group_coef_",
        "group_intercept_",
    ],
)
def test_results_before_fit_are_an_error(attribute):
    with pytest.raises(NotFittedError, match=r"is not fitted yet. Call 'fit'"):
        getattr(estimator(), attribute)


def test_std_and_covariance_at_once_are_an_error(model):
    with pytest.raises(ValueError, match="At most one of `return_std` and `return_cov`"):
        model.predict(X, GROUPS, return_std=True, return_cov=True)


@pytest.mark.parametrize("coverage", [0, 1, -1, 95, np.nan])
def test_coverage_is_a_probability(coverage, model):
    hint = "Did you mean 0.95" if coverage == 95 else ""
    with pytest.raises(
        ValueError, match=rf"`coverage` must lie in \(0, 1\). Got {coverage}.*{hint}"
    ):
        model.predict_interval(X, GROUPS, coverage=coverage)


@pytest.mark.parametrize("coverage", ["x", None])
def test_coverage_is_a_number(coverage, model):
    with pytest.raises(TypeError, match="`coverage` must be a number"):
        model.predict_interval(X, GROUPS, coverage=coverage)


@pytest.mark.parametrize("quantiles", [[0, 0.5], [0.5, 1], [np.nan], [[0.5]], None])
def test_quantiles_are_probabilities(quantiles, model):
    with pytest.raises(ValueError, match=r"`quantiles` must be probabilities in \(0, 1\). Got"):
        model.predict_quantiles(X, GROUPS, quantiles=quantiles)


@pytest.mark.parametrize("n_samples", [0, -1, 1.5, "x", None])
def test_number_of_samples_is_a_positive_int(n_samples, model):
    with pytest.raises(ValueError, match=r"`n_samples` must be an int of at least 1. Got"):
        model.sample_y(X, GROUPS, n_samples=n_samples)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y[:-1], "`X` has 60 rows but `y` has 59 entries"),
        (with_value(Y, np.nan), "Input y contains NaN"),
        (np.column_stack([Y, Y]), "y should be a 1d array"),
    ],
    ids=["short", "NaN", "two columns"],
)
def test_targets_that_have_no_density_are_named(y, message, model):
    with pytest.raises(ValueError, match=message):
        model.log_predictive_density(X, y, GROUPS)
