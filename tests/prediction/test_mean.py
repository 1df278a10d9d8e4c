"""The expectation of y given its group: kind="mean", which is without residual noise."""

import numpy as np
import pytest
from brute_force import BruteForce, average
from marks import FEW_DRAWS
from posteriors import dataset
from scipy.special import ndtr
from structures import STRUCTURES, crossed_rows, fit, rows_of

from skhbm import GroupEffectsDisplay, HierarchicalNormalRegressor, Prior

pytestmark = FEW_DRAWS

ROWS = rows_of(3)
#: Groups of few and of many rows, a new group of two rows, another, and two missing labels.
LABELS = np.array(["a", "f", "f", "new", "new", "other", None, None], dtype=object)
NEW = np.random.default_rng(31).normal(0.5, 1.5, size=(len(LABELS), 2))
PROBABILITIES = np.array([0.02, 0.25, 0.5, 0.9])
SMALL = {"draws": 100, "tune": 200}
METHODS = ["predict", "predict_interval", "predict_quantiles", "sample_y"]


@pytest.fixture(scope="module", params=STRUCTURES)
def model(request):
    return fit(ROWS, **STRUCTURES[request.param], draws=300, tune=300)


@pytest.fixture(scope="module")
def brute(model):
    return BruteForce(model, NEW, {"group": LABELS})


def test_mean_does_not_depend_on_the_kind(model):
    expected = model.predict(NEW, LABELS)
    assert np.array_equal(model.predict(NEW, LABELS, kind="mean"), expected)
    for which in ("return_std", "return_cov"):
        mean, _ = model.predict(NEW, LABELS, kind="mean", **{which: True})
        assert np.array_equal(mean, expected)


def test_std_of_the_mean_is_that_of_brute_force(model, brute):
    mean, std = model.predict(NEW, LABELS, return_std=True, kind="mean")
    expected, error = average((brute.mean - mean) ** 2)
    assert np.all(np.abs(std**2 - expected) <= 5 * error)


def test_covariance_of_the_mean_is_that_of_brute_force(model, brute):
    mean, cov = model.predict(NEW, LABELS, return_cov=True, kind="mean")
    deviation = brute.mean - mean
    for i in range(len(mean)):
        expected, error = average(deviation[..., i, None] * deviation[..., : i + 1])
        assert np.all(np.abs(cov[i, : i + 1] - expected) <= 5 * error)


def test_covariance_of_the_response_has_the_noise_in_addition(model):
    _, cov = model.predict(NEW, LABELS, return_cov=True, kind="mean")
    _, whole = model.predict(NEW, LABELS, return_cov=True)
    _, std = model.predict(NEW, LABELS, return_std=True, kind="mean")
    _, whole_std = model.predict(NEW, LABELS, return_std=True)
    noise = np.diag(whole - cov)
    np.testing.assert_allclose(whole - cov, np.diag(noise), atol=1e-12)
    np.testing.assert_allclose(whole_std**2 - std**2, noise, rtol=1e-9)
    sigma = dataset(model)["sigma"].to_numpy()
    of_first = sigma if sigma.ndim == 2 else sigma[..., 0]
    assert noise[0] == pytest.approx(np.mean(of_first**2), rel=1e-9)


def test_mean_has_its_probability_below_each_quantile(model, brute):
    quantiles = model.predict_quantiles(NEW, LABELS, quantiles=PROBABILITIES, kind="mean")
    least = 5 / brute.mean[..., 0].size
    for k, p in enumerate(PROBABILITIES):
        share, error = average((brute.mean <= quantiles[:, k]).astype(float))
        assert np.all(np.abs(share - p) <= np.maximum(5 * error, least))


def test_interval_is_two_quantiles(model):
    interval = model.predict_interval(NEW, LABELS, coverage=0.8, kind="mean")
    quantiles = model.predict_quantiles(NEW, LABELS, quantiles=[0.1, 0.9], kind="mean")
    np.testing.assert_allclose(interval, quantiles, rtol=1e-12)
    whole = model.predict_interval(NEW, LABELS, coverage=0.8)
    assert np.all((whole[:, 0] < interval[:, 0]) & (interval[:, 1] < whole[:, 1]))


def test_samples_have_the_moments_of_the_mean(model):
    n_samples = 3000
    samples = model.sample_y(NEW, LABELS, n_samples=n_samples, kind="mean")
    mean, cov = model.predict(NEW, LABELS, return_cov=True, kind="mean")
    n_effective = min(n_samples, model.diagnostics_["min_ess"])
    deviation = samples - mean[:, None]
    error = np.sqrt(np.diag(cov) / n_effective)
    assert np.all(np.abs(deviation.mean(axis=1)) <= 5 * error)
    products = deviation[:, None] * deviation[None, :]
    error = products.std(axis=2) / np.sqrt(n_effective)
    assert np.all(np.abs(products.mean(axis=2) - cov) <= 5 * error)


def test_samples_of_one_seed_differ_by_independent_noise(model):
    n_samples = 2000
    drawn = [
        model.sample_y(NEW, LABELS, n_samples=n_samples, random_state=4, kind=kind)
        for kind in ("response", "mean")
    ]
    noise = drawn[0] - drawn[1]
    correlation = np.corrcoef(np.vstack([noise, drawn[1]]))
    n_rows = len(LABELS)
    assert np.all(np.abs(correlation[:n_rows, n_rows:]) < 6 / np.sqrt(n_samples))
    between = correlation[:n_rows, :n_rows] - np.eye(n_rows)
    assert np.all(np.abs(between) < 6 / np.sqrt(n_samples))


def test_quantiles_are_those_of_the_mixture_over_draws():
    """Of a varying intercept alone the conditional distribution of a group's mean is known."""
    _, y, groups = ROWS
    model = HierarchicalNormalRegressor(random_state=0, **SMALL).fit(None, y, groups=groups)
    posterior = dataset(model)
    alpha, sigma = (posterior[k].to_numpy().ravel() for k in ("intercept", "sigma"))
    tau = posterior["tau_group"].to_numpy().ravel()
    labels = [*model.groups_, "new"]
    found = model.predict_quantiles(None, labels, quantiles=PROBABILITIES, kind="mean")
    for label, quantiles in zip(labels, found, strict=True):
        of_group = y[groups == label]
        n = len(of_group)
        share = tau**2 / (tau**2 + sigma**2 / max(n, 1)) if n else np.zeros_like(tau)
        mean = alpha + share * ((of_group.mean() if n else 0.0) - alpha)
        sd = tau * np.sqrt(1 - share)
        below = ndtr((quantiles[:, None] - mean) / sd).mean(axis=1)
        np.testing.assert_allclose(below, PROBABILITIES, atol=1e-9)
    pytest.importorskip("matplotlib")  # an extra, which the display needs
    display = GroupEffectsDisplay.from_estimator(model, kind="coefficient", ci_prob=0.8)
    interval = model.predict_interval(None, model.groups_, coverage=0.8, kind="mean")
    np.testing.assert_allclose(interval, np.c_[display.lower, display.upper], rtol=1e-9)


@pytest.mark.parametrize("structure", ["no groups", "groups that do not differ"])
def test_quantiles_without_variance_given_a_draw_are_those_of_the_draws(structure):
    X, y, groups = ROWS
    tau = Prior("LogNormal", mu=float(np.log(1e-12)), sigma=0.01)
    model = HierarchicalNormalRegressor(
        random_state=0, priors=None if structure == "no groups" else {"tau": tau}, **SMALL
    )
    if structure == "no groups":
        with pytest.warns(UserWarning, match="Fitted without groups"):
            model.fit(X, y)
        labels = None
    else:
        model.fit(X, y, groups=groups)
        labels = np.resize(["a", "new"], len(NEW))
    posterior = dataset(model)
    lines = posterior["intercept"].to_numpy()[..., None] + posterior["coef"].to_numpy() @ NEW.T
    lines = np.sort(lines.reshape(-1, len(NEW)), axis=0)
    found = model.predict_quantiles(NEW, labels, quantiles=PROBABILITIES, kind="mean")
    for k, p in enumerate(PROBABILITIES):
        at = round(p * len(lines))
        # Between the draws above and below, up to the widths of what stands for points.
        assert np.all(found[:, k] >= lines[at - 1] - 1e-7)
        assert np.all(found[:, k] <= lines[at] + 1e-7)
    _, std = model.predict(NEW, labels, return_std=True, kind="mean")
    np.testing.assert_allclose(std, lines.std(axis=0), rtol=1e-9)


def test_known_errors_have_no_noise_to_leave_out():
    X, y, groups, errors = crossed_rows(4, errors=True)
    model = HierarchicalNormalRegressor(residual_scale="known", random_state=0, **SMALL)
    model.fit(X, y, groups=groups["school"], y_err=errors)
    labels = np.resize(["a", "new", None], len(X)).astype(object)
    for method in METHODS:
        found = [getattr(model, method)(X, labels, kind=k) for k in ("mean", "response")]
        assert np.array_equal(*found)
    for which in ("return_std", "return_cov"):
        found = [
            model.predict(X, labels, kind=k, **{which: True})[1] for k in ("mean", "response")
        ]
        assert np.array_equal(*found)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["expectation", None, 1, ["mean"]])
def test_unknown_kind_is_an_error(method, kind):
    model = fit(ROWS, draws=20, tune=50)
    message = r"`kind` must be one of \['response', 'mean'\]. Got "
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(NEW, LABELS, kind=kind)
