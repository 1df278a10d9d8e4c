"""Files that 0.1.0 wrote can be read, and predict what they predicted then, to rounding.

`tests/data` holds an estimator with one factor, a slope and explicit priors; one with two
factors, conditioned on rows of a new group; and statistics of two factors.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from posteriors import dataset
from scipy.special import logsumexp
from scipy.stats import norm

from skhbm import GroupedStatistics, HierarchicalNormalRegressor, Prior

DATA = Path(__file__).parents[1] / "data"
WRITTEN = json.loads((DATA / "written.json").read_text())
X = pd.DataFrame(WRITTEN["X"])
ROUNDING = {"rtol": 1e-9, "atol": 1e-12}


def test_one_factor_predicts_as_when_it_was_written():
    model, then = load("one_factor"), WRITTEN["one_factor"]
    mean, std = model.predict(X, then["groups"], return_std=True)
    np.testing.assert_allclose(mean, then["mean"], **ROUNDING)
    np.testing.assert_allclose(std, then["std"], **ROUNDING)
    intervals = model.predict_interval(X, then["groups"])
    np.testing.assert_allclose(intervals, then["interval"], rtol=1e-6)
    assert model.diagnostics_["pareto_k"] == then["pareto_k"]


def test_several_factors_keep_the_draws_of_the_scales():
    """Then effects of one factor were drawn; now all follow from scales, each draw for itself.

    The oracle is the dense normal of the rows of the cells' moments: predictions are exact
    given the draws, of which all are nodes.
    """
    model, then = load("two_factors"), WRITTEN["two_factors"]
    draws = dataset(model)
    tau = [draws[f"tau_{f}"].to_numpy().ravel() for f in model.groups_]
    scales = zip(*tau, draws["sigma"].to_numpy().ravel(), strict=True)
    moments = [conditional_moments(model, then["groups"], *of_draw) for of_draw in scales]
    means, variances = (np.array(part) for part in zip(*moments, strict=True))
    mean, std = model.predict(X, then["groups"], return_std=True)
    variance = np.mean(variances, axis=0) + np.var(means, axis=0)
    np.testing.assert_allclose(std**2, variance, rtol=1e-8)
    y = mean + std
    density = logsumexp(norm(means, np.sqrt(variances)).logpdf(y), axis=0) - np.log(len(means))
    actual = model.log_predictive_density(X, y, then["groups"])
    np.testing.assert_allclose(actual, density, rtol=1e-8)
    # Means are those given the mean of the drawn coefficients, which the file keeps.
    np.testing.assert_allclose(mean[2], then["mean"][2], **ROUNDING)
    # The drawn effects of then had the Monte Carlo error of so many draws.
    assert np.all(np.abs(mean - then["mean"]) <= 3 * np.sqrt(variance / len(means)))
    assert model.diagnostics_["pareto_k"] == then["pareto_k"]


def conditional_moments(model, groups, tau_site, tau_year, sigma):
    """Return means and variances of the responses of rows with these labels, given scales."""
    statistics, priors = model._statistics, model._priors
    # The rows of a cell have the moments of a mean and of a root of its deviations.
    values, vectors = np.linalg.eigh(statistics.cross)
    roots = np.sqrt(np.maximum(values, 0.0))[:, :, None] * vectors.mT
    size = np.sqrt(statistics.n)[:, None, None]
    one = np.concatenate([size, 0.0 * roots[:, :, :1]], axis=1).ravel()
    rows = np.concatenate([size * statistics.mean[:, None], roots], axis=1)
    codes = np.repeat(statistics.codes, rows.shape[1], axis=0)
    rows = rows.reshape(len(one), -1)
    new_codes = np.column_stack(
        [pd.Index(model.groups_[f]).get_indexer(groups[f]) for f in model.groups_]
    )
    one, codes = np.append(one, np.ones(len(X))), np.vstack([codes, new_codes])
    features = np.vstack([rows[:, :-1], X.to_numpy()])
    # The default prior of the intercept is about the means of the features.
    scaling = model._posterior.design.scaling
    centred = features - one[:, None] * scaling.x_mean
    cov = priors.intercept.parameters["sigma"] ** 2 * np.outer(one, one)
    spread = [prior.parameters["sigma"] ** 2 for prior in priors.coef]
    cov += (centred * spread) @ centred.T
    for t, code in zip((tau_site, tau_year), codes.T, strict=True):
        cov += t**2 * np.outer(one, one) * (code[:, None] == code)
    y = rows[:, -1]
    fitted = np.arange(len(one)) < len(y)
    mean = priors.intercept.parameters["mu"] * one
    noisy = cov + sigma**2 * np.eye(len(one))
    gain = cov[~fitted][:, fitted] @ np.linalg.inv(noisy[np.ix_(fitted, fitted)])
    left = noisy[np.ix_(~fitted, ~fitted)] - gain @ cov[np.ix_(fitted, ~fitted)]
    return mean[~fitted] + gain @ (y - mean[fitted]), np.diag(left)


def load(name):
    return HierarchicalNormalRegressor.load(DATA / f"{name}.skhbm")


def test_parameters_come_back():
    model = load("one_factor")
    assert model.varying_slopes == ["dose"]
    assert model.priors["coef"] == {"dose": Prior("Normal", mu=0, sigma=2)}
    assert list(model.feature_names_in_) == ["age", "dose"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_conditioned_estimator_can_be_conditioned_again():
    model = load("two_factors")
    again = model.condition_on(X[:1], [4.0], {"site": ["e"], "year": [2021]})
    assert list(again.groups_["site"]) == ["a", "b", "c", "d", "e"]


def test_statistics_are_as_they_were_written():
    statistics, then = GroupedStatistics.load(DATA / "statistics.skhbm"), WRITTEN["statistics"]
    assert [list(levels.labels) for levels in statistics.factors] == [
        then["site"],
        then["year"],
    ]
    assert statistics.codes.tolist() == then["codes"]
    assert statistics.n.tolist() == then["n"]
    assert statistics.mean[:, -1].tolist() == then["mean of y"]
    assert statistics.cross[:, -1, -1].tolist() == then["square of y"]
