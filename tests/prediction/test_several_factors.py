"""Predictions with several factors are those of brute force, for known and new labels."""

import numpy as np
import pandas as pd
import pytest
from brute_force import BruteForce, average
from marks import FEW_DRAWS
from posteriors import dataset
from reference import mcse
from schools_and_years import LABELS, SCHOOLS, YEARS, fit

pytestmark = FEW_DRAWS


PROBABILITIES = np.array([0.02, 0.25, 0.5, 0.9, 0.995])


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(43).normal(0.5, 1.5, size=(len(LABELS["school"]), 2))


@pytest.fixture(scope="module")
def brute(school_model, rows):
    return BruteForce(school_model, rows, LABELS)


@pytest.fixture(scope="module")
def predict(school_model, rows):
    frame = pd.DataFrame(rows, columns=["x0", "x1"])
    return lambda method, *args, **kwargs: getattr(school_model, method)(
        frame, *args, groups=LABELS, **kwargs
    )


def test_mean_is_that_of_brute_force(predict, brute):
    expected, error = average(brute.mean)
    assert np.all(np.abs(predict("predict") - expected) <= 5 * error)


@pytest.mark.parametrize("kind", ["response", "mean"])
def test_std_is_that_of_brute_force(predict, brute, kind):
    mean, std = predict("predict", return_std=True, kind=kind)
    noise = brute.sigma if kind == "response" else 0.0
    expected, error = average((brute.mean - mean) ** 2 + noise**2)
    assert np.all(np.abs(std**2 - expected) <= 5 * error)


def test_covariance_is_that_of_brute_force(predict, brute):
    mean, cov = predict("predict", return_cov=True)
    deviation = brute.mean - mean
    for i in range(len(mean)):
        expected, error = average(deviation[..., i, None] * deviation[..., :i])
        assert np.all(np.abs(cov[i, :i] - expected) <= 5 * error)


@pytest.mark.parametrize("kind", ["response", "mean"])
def test_moments_are_the_same_whatever_is_asked_for(predict, kind):
    """Moments are averaged in different orders: equal to rounding."""
    mean, std = predict("predict", return_std=True, kind=kind)
    same, cov = predict("predict", return_cov=True, kind=kind)
    np.testing.assert_allclose(mean, predict("predict"), rtol=1e-10)
    np.testing.assert_allclose(same, mean, rtol=1e-10)
    np.testing.assert_allclose(np.diag(cov), std**2, rtol=1e-9)
    assert np.array_equal(cov, cov.T)


def test_rows_that_share_new_groups_covary(schools, school_model):
    """Rows that share a group have its variance beside the covariance that all rows have."""
    X = pd.DataFrame(np.tile([0.4, -0.2], (4, 1)), columns=["x0", "x1"])
    groups = {"school": ["new", "new", "other", "third"], "year": [1, 2, 1, 3]}
    _, cov = school_model.predict(X, groups, return_cov=True)
    posterior = dataset(school_model)
    for f, (i, j) in {"school": (0, 1), "year": (0, 2)}.items():
        terms = posterior[f"{f}_term"].to_numpy().tolist()
        z = np.array([1.0 if t == "intercept" else X[t][0] for t in terms])
        tau = posterior[f"tau_{f}"].to_numpy()
        corr = posterior[f"corr_{f}"] if f"corr_{f}" in posterior else np.eye(len(terms))
        shared = np.einsum("a,cda,cdab,cdb,b->cd", z, tau, np.broadcast_to(
            corr, (*tau.shape, len(terms))), tau, z)  # fmt: skip
        np.testing.assert_allclose(cov[i, j] - cov[0, 3], shared.mean(), rtol=1e-9)


def test_mixture_has_its_probability_below_each_quantile(predict, brute):
    quantiles = predict("predict_quantiles", quantiles=PROBABILITIES)
    for k, p in enumerate(PROBABILITIES):
        share, error = average(brute.below(quantiles[:, k]))
        assert np.all(np.abs(share - p) <= 5 * error)


def test_mean_has_its_probability_below_each_quantile(predict, brute):
    quantiles = predict("predict_quantiles", quantiles=PROBABILITIES, kind="mean")
    for k, p in enumerate(PROBABILITIES):
        share, error = average((brute.mean <= quantiles[:, k]).astype(float))
        # No draw, or each, may be below: a share is known no better than to one draw.
        assert np.all(np.abs(share - p) <= np.maximum(5 * error, 5 / brute.mean[..., 0].size))


def test_log_density_is_the_derivative_of_the_probability(predict):
    """Quantiles of p and p + dp lie dp / density apart, to second order in dp."""
    p, dp = 0.4, 1e-4
    middle, low, high = predict("predict_quantiles", quantiles=[p, p - dp, p + dp]).T
    density = np.exp(predict("log_predictive_density", middle))
    # Where errors are known a mixture over draws may have no noise but that of its effects.
    np.testing.assert_allclose(2 * dp / (high - low), density, rtol=1e-4)


@pytest.mark.parametrize("kind", ["response", "mean"])
def test_samples_have_the_predicted_moments(school_model, predict, kind):
    n_samples = 3000
    samples = predict("sample_y", n_samples=n_samples, kind=kind)
    mean, cov = predict("predict", return_cov=True, kind=kind)
    n_effective = min(n_samples, school_model.diagnostics_["min_ess"])
    std = np.sqrt(np.diag(cov))
    assert np.all(np.abs(samples.mean(axis=1) - mean) <= 5 * std / np.sqrt(n_effective))
    deviation = samples - mean[:, None]
    products = deviation[:, None] * deviation[None, :]
    error = products.std(axis=2) / np.sqrt(n_effective)
    assert np.all(np.abs(products.mean(axis=2) - cov) <= 5 * error)


@pytest.mark.parametrize("absent", ["school", "year"])
def test_a_factor_that_is_not_given_is_missing(school_model, rows, absent):
    X = pd.DataFrame(rows, columns=["x0", "x1"])
    given = {f: labels for f, labels in LABELS.items() if f != absent}
    missing = {**LABELS, absent: np.full(len(rows), None)}
    for some, all_ in zip(
        school_model.predict(X, given, return_cov=True),
        school_model.predict(X, missing, return_cov=True),
        strict=True,
    ):
        assert np.array_equal(some, all_)
    named = pd.Series(given[min(given)], name=min(given))
    assert np.array_equal(school_model.predict(X, named), school_model.predict(X, missing))


def test_known_errors_predict_the_effect_itself(schools):
    """A prediction has no residual noise: it is of what was measured."""
    model = fit(schools, residual_scale="known")
    posterior = dataset(model)
    assert "sigma" not in posterior
    assert model.residual_scale_ is None
    X = np.zeros((5, 2))
    groups = {"school": SCHOOLS, "year": YEARS}
    _, std = model.predict(X, groups, return_std=True)
    draws = posterior["intercept"].to_numpy()[..., None]
    draws = draws + posterior["effect_school"].to_numpy()[..., 0]
    draws = draws + posterior["effect_year"].to_numpy()[..., 0]
    assert np.all(np.abs(std - draws.std(axis=(0, 1))) <= 5 * mcse(draws, "sd"))
