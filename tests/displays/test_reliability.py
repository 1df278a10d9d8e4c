"""Reliability of probabilities, and calibration of responses that are not normal."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from marks import FEW_DRAWS
from sklearn.linear_model import LinearRegression, LogisticRegression

from skhbm import (
    CalibrationDisplay,
    HierarchicalBinomialRegressor,
    HierarchicalLogisticRegression,
    HierarchicalPoissonRegressor,
    HierarchicalStudentTRegressor,
)
from skhbm._prediction.calibration import reliability

pytestmark = FEW_DRAWS
SMALL = {"solver": "laplace", "draws": 100, "chains": 2, "n_jobs": 1, "random_state": 0}


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def rows(seed, n=400, n_groups=20):
    rng = np.random.default_rng(seed)
    groups, X = np.arange(n) % n_groups, rng.normal(size=(n, 1))
    eta = 0.2 + 0.8 * X[:, 0] + 0.5 * rng.normal(size=n_groups)[groups]
    return rng, X, groups, eta


def test_bins_hold_all_rows_in_order_of_their_probabilities():
    rng = np.random.default_rng(0)
    p, n = np.round(rng.random(300), 2), rng.integers(1, 5, 300).astype(float)
    events = rng.binomial(n.astype(int), p).astype(float)
    nominal, observed, lower, upper = reliability(p, events, n, 7, 0.9)
    assert len(nominal) == 7
    assert np.all(np.diff(nominal) > 0)
    assert np.all((lower <= nominal) & (nominal <= upper))
    order = np.argsort(p)
    # By hand: the runs of rows that have these means.
    ends = np.flatnonzero(np.diff(p[order])) + 1
    cumulated = np.cumsum(n[order])
    found, start = 0, 0
    for mean, share in zip(nominal, observed, strict=True):
        for end in [*ends[ends > start], 300]:
            some = order[start:end]
            if np.average(p[some], weights=n[some]) == pytest.approx(mean, abs=1e-12):
                assert events[some].sum() / n[some].sum() == pytest.approx(share)
                assert n[some].sum() == pytest.approx(cumulated[-1] / 7, abs=25)
                found, start = found + 1, end
                break
    assert (found, start) == (7, 300)


def test_calibrated_probabilities_stay_within_the_bounds_with_their_probability():
    rng, inside = np.random.default_rng(1), 0
    for _ in range(400):
        p = rng.beta(2, 3, 500)
        _, observed, lower, upper = reliability(
            p, (rng.random(500) < p).astype(float), np.ones(500), 10, 0.8
        )
        inside += np.all((lower <= observed) & (observed <= upper))
    # The bounds are of whole numbers of events: the probability is at least 0.8.
    assert 0.8 - 4 * 0.4 / 20 < inside / 400 < 0.97
    p = rng.beta(2, 3, 500)
    _, observed, lower, upper = reliability(
        p, (rng.random(500) < p**2).astype(float), np.ones(500), 10, 0.8
    )
    assert not np.all((lower <= observed) & (observed <= upper))


def test_few_distinct_probabilities_are_bins():
    p = np.repeat([0.2, 0.7], [30, 10])
    nominal, observed, _, _ = reliability(p, (p > 0.5).astype(float), np.ones(40), 10, 0.9)
    np.testing.assert_allclose(nominal, [0.2, 0.7])
    np.testing.assert_allclose(observed, [0.0, 1.0])


def test_reliability_of_a_classifier():
    rng, X, groups, eta = rows(2)
    y = np.where(rng.random(400) < 1 / (1 + np.exp(-eta)), "yes", "no")
    model = HierarchicalLogisticRegression(**SMALL).fit(X, y, groups=groups)
    display = CalibrationDisplay.from_estimator(model, X, y, groups, kind="reliability")
    p = model.predict_proba(X, groups=groups)[:, 1]
    expected = reliability(p, (y == "yes").astype(float), np.ones(400), 10, 0.95)
    for name, values in zip(("nominal", "observed", "lower", "upper"), expected, strict=True):
        np.testing.assert_allclose(getattr(display, name), values)
    np.testing.assert_allclose(display.line_.get_ydata(), expected[1])
    assert display.ax_.get_xlabel() == "Predicted probability"
    plain = LogisticRegression().fit(X, y)
    display = CalibrationDisplay.from_estimator(plain, X, y, kind="reliability", n_bins=4)
    assert len(display.nominal) == 4
    with pytest.raises(ValueError, match="must have the classes"):
        CalibrationDisplay.from_estimator(plain, X, groups, kind="reliability")
    with pytest.raises(ValueError, match="`n_bins` must be"):
        CalibrationDisplay.from_estimator(plain, X, y, kind="reliability", n_bins=0)
    with pytest.raises(TypeError, match="must predict probabilities"):
        CalibrationDisplay.from_estimator(
            LinearRegression().fit(X, eta), X, eta, kind="reliability"
        )


def test_reliability_of_successes_counts_trials():
    rng, X, groups, eta = rows(3)
    trials = rng.integers(1, 9, 400).astype(float)
    y = rng.binomial(trials.astype(int), 1 / (1 + np.exp(-eta))).astype(float)
    model = HierarchicalBinomialRegressor(**SMALL).fit(X, y, groups=groups, trials=trials)
    display = CalibrationDisplay.from_estimator(
        model, X, y, groups, trials=trials, kind="reliability"
    )
    p = model.predict(X, groups=groups, trials=trials) / trials
    expected = reliability(p, y, trials, 10, 0.95)
    np.testing.assert_allclose(display.observed, expected[1])
    np.testing.assert_allclose(display.lower, expected[2])


@pytest.mark.parametrize("kind", ["coverage", "pit"])
@pytest.mark.parametrize("name", ["poisson", "student_t"])
def test_true_models_are_calibrated_on_rows_that_were_held_out(name, kind):
    rng, X, groups, eta = rows(4, n=800)
    train = np.arange(800) % 40 < 20
    if name == "poisson":
        exposure = rng.uniform(0.5, 4, 800)
        y, make = (
            rng.poisson(exposure * np.exp(eta)).astype(float),
            HierarchicalPoissonRegressor,
        )
        size = [{"exposure": exposure[some]} for some in (train, ~train)]
    else:
        y, make = eta + rng.standard_t(4, 800), HierarchicalStudentTRegressor
        size = [{}, {}]
    model = make(**SMALL).fit(X[train], y[train], groups=groups[train], **size[0])
    display = CalibrationDisplay.from_estimator(
        model, X[~train], y[~train], groups[~train], kind=kind, envelope_prob=0.999, **size[1]
    )
    assert np.all(display.lower <= display.observed)
    assert np.all(display.observed <= display.upper)
    wrong = CalibrationDisplay.from_estimator(
        model,
        X[~train],
        3 * y[~train],
        groups[~train],
        kind=kind,
        envelope_prob=0.999,
        **size[1],
    )
    assert not np.all((wrong.lower <= wrong.observed) & (wrong.observed <= wrong.upper))
