"""Scores of responses that are not normal, against sums by hand and scikit-learn's."""

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS
from scipy.special import xlogy
from sklearn import config_context
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skhbm import (
    HierarchicalBinomialRegressor,
    HierarchicalLogisticRegression,
    HierarchicalNegativeBinomialRegressor,
    HierarchicalNormalRegressor,
    HierarchicalPoissonRegressor,
    HierarchicalStudentTRegressor,
)
from skhbm.metrics import (
    coverage,
    log_score,
    neg_brier_score,
    neg_crps,
    neg_interval_score,
    neg_mean_poisson_deviance,
    neg_root_mean_squared_error,
    r2,
)

pytestmark = FEW_DRAWS
RNG = np.random.default_rng(5)
N, J = 60, 5
GROUPS = np.array(list("abcde"))[np.arange(N) % J]
X = RNG.normal(size=(N, 1))
ETA = 0.3 + 0.5 * X[:, 0] + RNG.normal(size=J)[np.arange(N) % J] * 0.4
SIZE = RNG.integers(1, 7, N).astype(float)
DATA = {
    "logistic": (
        HierarchicalLogisticRegression,
        np.where(RNG.random(N) < 1 / (1 + np.exp(-ETA)), "yes", "no"),
        {},
    ),
    "binomial": (
        HierarchicalBinomialRegressor,
        RNG.binomial(SIZE.astype(int), 1 / (1 + np.exp(-ETA))).astype(float),
        {"trials": SIZE},
    ),
    "poisson": (
        HierarchicalPoissonRegressor,
        RNG.poisson(SIZE * np.exp(ETA)).astype(float),
        {"exposure": SIZE},
    ),
    "negative_binomial": (
        HierarchicalNegativeBinomialRegressor,
        RNG.poisson(SIZE * np.exp(ETA)).astype(float),
        {"exposure": SIZE},
    ),
    "student_t": (HierarchicalStudentTRegressor, ETA + RNG.standard_t(5, N), {}),
}
REGRESSORS = [name for name in DATA if name != "logistic"]


@pytest.fixture(scope="module")
def fitted():
    small = {"solver": "laplace", "draws": 100, "chains": 2, "n_jobs": 1, "random_state": 0}
    return {
        name: make(**small).fit(X, y, groups=GROUPS, **size)
        for name, (make, y, size) in DATA.items()
    }


@pytest.mark.parametrize("name", DATA)
def test_log_score_is_the_mean_of_the_method(name, fitted):
    model, (_, y, size) = fitted[name], DATA[name]
    values = model.log_predictive_density(X, y, groups=GROUPS, **size)
    found = log_score(model, X, y, groups=GROUPS, **size)
    assert found == pytest.approx(values.mean(), rel=1e-12)
    weights = np.arange(N) % 3
    found = log_score(model, X, y, groups=GROUPS, sample_weight=weights, **size)
    assert found == pytest.approx(np.average(values, weights=weights), rel=1e-12)


def test_log_score_of_classes_is_the_log_loss(fitted):
    y, p = DATA["logistic"][1], fitted["logistic"].predict_proba(X, groups=GROUPS)
    found = log_score(fitted["logistic"], X, y, groups=GROUPS)
    assert found == pytest.approx(-log_loss(y, p, labels=["no", "yes"]), rel=1e-9)


def test_brier_score_of_classes_is_scikit_learns(fitted):
    y, p = DATA["logistic"][1], fitted["logistic"].predict_proba(X, groups=GROUPS)[:, 1]
    expected = -brier_score_loss(y, p, pos_label="yes")
    assert neg_brier_score(fitted["logistic"], X, y, groups=GROUPS) == pytest.approx(expected)
    # For probabilities the ranked probability score is the Brier score.
    assert neg_crps(fitted["logistic"], X, y, groups=GROUPS) == pytest.approx(expected)
    other = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    p = other.predict_proba(X)[:, 1]
    assert neg_brier_score(other, X, y) == pytest.approx(-np.mean((p - (y == "yes")) ** 2))


def test_brier_score_of_successes_is_that_of_their_trials(fitted):
    model, (_, y, size) = fitted["binomial"], DATA["binomial"]
    p = model.predict(X, groups=GROUPS, trials=SIZE) / SIZE
    trials = np.concatenate(
        [[1.0] * int(k) + [0.0] * int(n - k) for k, n in zip(y, SIZE, strict=True)]
    )
    expected = -np.mean((np.repeat(p, SIZE.astype(int)) - trials) ** 2)
    found = neg_brier_score(model, X, y, groups=GROUPS, **size)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", REGRESSORS)
def test_crps_is_the_mean_quantile_loss_over_all_probabilities(name, fitted):
    model, (_, y, size) = fitted[name], DATA[name]
    # Gneiting & Ranjan (2011), eq. 11: twice the integral of the quantile loss.
    shares = (np.arange(800) + 0.5) / 800
    quantiles = model.predict_quantiles(X, groups=GROUPS, quantiles=shares, **size)
    loss = (shares - (y[:, None] < quantiles)) * (y[:, None] - quantiles)
    found = neg_crps(model, X, y, groups=GROUPS, **size)
    assert found == pytest.approx(-2 * loss.mean(), rel=1e-2)


@pytest.mark.parametrize("name", REGRESSORS)
def test_sizes_reach_all_scores(name, fitted):
    model, (_, y, size) = fitted[name], DATA[name]
    low, high = model.predict_interval(X, groups=GROUPS, **size).T
    inside = (low <= y) & (y <= high)
    assert coverage(model, X, y, groups=GROUPS, **size) == pytest.approx(inside.mean())
    outside = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    score = neg_interval_score(model, X, y, groups=GROUPS, **size)
    assert score == pytest.approx(-np.mean(high - low + 20 * outside))
    mean = model.predict(X, groups=GROUPS, **size)
    error = neg_root_mean_squared_error(model, X, y, groups=GROUPS, **size)
    assert error == pytest.approx(-np.sqrt(np.mean((y - mean) ** 2)))
    share = r2(model, X, y, groups=GROUPS, **size)
    assert share == pytest.approx(1 - np.mean((y - mean) ** 2) / np.var(y))


@pytest.mark.parametrize("name", ["poisson", "negative_binomial"])
def test_deviance_is_poissons(name, fitted):
    model, (_, y, size) = fitted[name], DATA[name]
    mean = model.predict(X, groups=GROUPS, **size)
    expected = -np.mean(2 * (xlogy(y, y / mean) - y + mean))
    found = neg_mean_poisson_deviance(model, X, y, groups=GROUPS, **size)
    assert found == pytest.approx(expected, rel=1e-12)


def test_deviance_is_of_any_regressor():
    y = DATA["poisson"][1]
    model = PoissonRegressor().fit(X, y)
    expected = cross_val_score(model, X, y, scoring="neg_mean_poisson_deviance", cv=3)
    found = cross_val_score(model, X, y, scoring=neg_mean_poisson_deviance, cv=3)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "scorer", [log_score, neg_crps, neg_interval_score, coverage, r2, neg_mean_poisson_deviance]
)
def test_sizes_that_a_model_does_not_take_are_refused(scorer, fitted):
    y = np.abs(DATA["student_t"][1])
    with pytest.raises(ValueError, match=r"was given `exposure`, which `.*` of Hierarchical"):
        scorer(fitted["student_t"], X, y, groups=GROUPS, exposure=SIZE)
    normal = HierarchicalNormalRegressor(solver="laplace", draws=100, chains=2, random_state=0)
    normal.fit(X, y, groups=GROUPS)
    with pytest.raises(ValueError, match=r"was given `trials`, which `.*` of Hierarchical"):
        scorer(normal, X, y, groups=GROUPS, trials=SIZE)


def test_known_errors_are_of_normal_responses(fitted):
    y, size = DATA["poisson"][1:]
    for scorer in (log_score, neg_crps, neg_interval_score):
        with pytest.raises(ValueError, match="only HierarchicalNormalRegressor knows of"):
            scorer(fitted["poisson"], X, y, groups=GROUPS, y_err=SIZE, **size)


def test_what_has_no_probabilities_is_named(fitted):
    y = DATA["logistic"][1]
    three = np.array(list("xyz"))[np.arange(N) % 3]
    with pytest.raises(ValueError, match=r"probabilities of two classes .* Got 3 classes"):
        neg_brier_score(LogisticRegression().fit(X, three), X, three)
    with pytest.raises(ValueError, match=r"must have the classes \[.*no.*yes.*\] of the fit"):
        neg_brier_score(LogisticRegression().fit(X, y), X, three)
    with pytest.raises(TypeError, match=r"needs a classifier .* Got LinearRegression"):
        neg_brier_score(LinearRegression().fit(X, SIZE), X, SIZE)
    with pytest.raises(ValueError, match="`X` has 60 rows but `y` has 59"):
        neg_brier_score(LogisticRegression().fit(X, y), X, y[1:])
    with pytest.raises(ValueError, match=r"which `predict_proba` of LogisticRegression does"):
        neg_brier_score(LogisticRegression().fit(X, y), X, y, trials=SIZE)


@pytest.mark.parametrize("scorer", [log_score, neg_crps])
def test_targets_that_cannot_be_are_refused(scorer, fitted):
    with pytest.raises(ValueError, match="must hold counts from 0"):
        scorer(fitted["poisson"], X, np.full(N, -1.0), groups=GROUPS, exposure=SIZE)
    with pytest.raises(ValueError, match="are larger"):
        scorer(fitted["binomial"], X, SIZE + 1, groups=GROUPS, trials=SIZE)


@pytest.mark.parametrize("name", ["logistic", "poisson"])
def test_cross_validation_hands_labels_and_sizes_on(name):
    make, y, size = DATA[name]
    model = make(solver="laplace", draws=100, chains=2, n_jobs=1, random_state=0)
    scorer = neg_brier_score if name == "logistic" else neg_crps
    with config_context(enable_metadata_routing=True):
        for argument in size:
            model = model.set_fit_request(**{argument: True})
        params = {"groups": GROUPS, **size}
        found = cross_val_score(model, X, y, scoring=scorer, cv=2, params=params)
    assert np.all(np.isfinite(found))
    assert np.all(found < 0)
    table = pd.DataFrame({"x": X[:, 0], "g": GROUPS})
    by_column = make(
        group_features="g", solver="laplace", draws=100, chains=2, n_jobs=1, random_state=0
    )
    if not size:
        again = cross_val_score(by_column, table, y, scoring=scorer, cv=2)
        np.testing.assert_allclose(again, found, rtol=1e-6)
