"""Responses that are normal in the limit, and data at the edges of what a response can be."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from skhbm import (
    HierarchicalBinomialRegressor,
    HierarchicalLogisticRegression,
    HierarchicalNegativeBinomialRegressor,
    HierarchicalNormalRegressor,
    HierarchicalPoissonRegressor,
    HierarchicalStudentTRegressor,
    Prior,
)

SETTINGS = {"solver": "laplace", "random_state": 0}
N_GROUPS = 15


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(5)
    codes = np.repeat(np.arange(N_GROUPS), 12)
    x = rng.standard_normal((len(codes), 1))
    eta = 0.4 + 0.3 * x[:, 0] + 0.5 * rng.standard_normal(N_GROUPS)[codes]
    return rng, x, eta, codes


def moments(model):
    """Return means and sds of what two responses on the same scale have in common."""
    draws = model.posterior_["posterior"]
    names = ("intercept", "coef", "tau_group")
    return np.array([[f(draws[n].to_numpy()) for n in names] for f in (np.mean, np.std)])


def assert_alike(one, other, slack=0.0):
    """Means agree to five Monte Carlo errors of a thousand draws, and a share of the sd."""
    (mean, sd), (mean_of_other, sd_of_other) = moments(one), moments(other)
    assert np.all(np.abs(mean - mean_of_other) < (5 * np.sqrt(2 / 1000) + slack) * sd)
    np.testing.assert_allclose(sd, sd_of_other, rtol=0.15 + slack)


def shared(scale):
    return {
        "intercept": Prior("Normal", mu=0, sigma=5 * scale),
        "coef": Prior("Normal", mu=0, sigma=5 * scale),
        "tau": Prior("HalfNormal", sigma=2 * scale),
    }


def test_t_with_many_degrees_of_freedom_is_normal(rows):
    rng, x, eta, codes = rows
    y = 7 * (eta + 0.6 * rng.standard_normal(len(codes)))
    priors = {**shared(7.0), "sigma": Prior("HalfNormal", sigma=20)}
    nu = Prior("Normal", mu=1e6, sigma=1.0)
    normal = HierarchicalNormalRegressor(**SETTINGS, priors=priors).fit(x, y, groups=codes)
    nu = Prior("TruncatedNormal", mu=1e6, sigma=10.0, lower=0.0)
    other = HierarchicalStudentTRegressor(**SETTINGS, priors={**priors, "nu": nu})
    other.fit(x, y, groups=codes)
    assert_alike(normal, other)


def test_many_trials_are_normal_on_the_logit_scale(rows):
    """Of so many trials the empirical logit is normal with a variance that is known."""
    rng, x, eta, codes = rows
    trials = 200_000
    successes = rng.binomial(trials, expit(eta))
    share = successes / trials
    binomial = HierarchicalBinomialRegressor(**SETTINGS, priors=shared(1.0))
    binomial.fit(x, successes, groups=codes, trials=trials)
    normal = HierarchicalNormalRegressor(
        **SETTINGS, priors=shared(1.0), residual_scale="known"
    ).fit(
        x, np.log(share / (1 - share)), groups=codes,
        y_err=1 / np.sqrt(trials * share * (1 - share)),
    )  # fmt: skip
    assert_alike(binomial, normal)


def test_large_counts_are_normal_on_the_log_scale(rows):
    rng, x, eta, codes = rows
    counts = rng.poisson(1e6 * np.exp(eta))
    poisson = HierarchicalPoissonRegressor(**SETTINGS, priors=shared(1.0))
    poisson.fit(x, counts, groups=codes, exposure=1e6)
    normal = HierarchicalNormalRegressor(
        **SETTINGS, priors=shared(1.0), residual_scale="known"
    ).fit(x, np.log(counts / 1e6), groups=codes, y_err=1 / np.sqrt(counts))
    assert_alike(poisson, normal)


def test_much_overdispersion_apart_counts_are_poisson(rows):
    rng, x, eta, codes = rows
    counts = rng.poisson(np.exp(eta))
    poisson = HierarchicalPoissonRegressor(**SETTINGS, priors=shared(1.0))
    alpha = Prior("TruncatedNormal", mu=1e8, sigma=1e4, lower=0.0)
    other = HierarchicalNegativeBinomialRegressor(
        **SETTINGS, priors={**shared(1.0), "alpha": alpha}
    )
    assert_alike(poisson.fit(x, counts, groups=codes), other.fit(x, counts, groups=codes))


def test_trials_one_by_one_are_trials_together(rows):
    """And a classifier of the two classes is a binomial regression of single trials."""
    rng, x, eta, codes = rows
    x = np.round(x)
    y = (rng.random(len(codes)) < expit(eta)).astype(int)
    together = (
        pd.DataFrame({"x": x[:, 0], "g": codes, "y": y, "n": 1})
        .groupby(["g", "x"], as_index=False)
        .sum()
    )
    binomial = HierarchicalBinomialRegressor(**SETTINGS, priors=shared(1.0))
    one = binomial.fit(x, y, groups=codes)
    coef, tau = one.coef_.copy(), one.group_scale_.copy()
    other = binomial.fit(
        together[["x"]], together["y"], groups=together["g"], trials=together["n"]
    )
    np.testing.assert_allclose(other.coef_, coef, rtol=0.2, atol=0.02)
    np.testing.assert_allclose(other.group_scale_, tau, rtol=0.05)
    classifier = HierarchicalLogisticRegression(**SETTINGS, priors=shared(1.0))
    classifier.fit(x, y, groups=codes)
    np.testing.assert_allclose(classifier.coef_, coef, rtol=1e-6)


@pytest.mark.parametrize("all_ones", [True, False])
def test_groups_of_one_kind_have_a_posterior(all_ones):
    """All 0 or all 1 in some groups, and in the data: maximum likelihood is infinite there."""
    codes = np.repeat(np.arange(8), 6)
    y = np.ones(48) if all_ones else (codes % 2).astype(float)
    model = HierarchicalBinomialRegressor(**SETTINGS).fit(None, y, groups=codes)
    p = model.predict(None, groups=np.arange(8))
    assert np.all((p > 0) & (p < 1))
    assert model.diagnostics_["pareto_k"] < 0.7
    if all_ones:
        assert np.all(p > 0.8)
        assert np.all(np.isnan(model.shrinkage_["no_pooling"]))
    else:
        assert np.all(p[1::2] > 0.5)
        assert np.all(p[::2] < 0.5)


@pytest.mark.parametrize("exposure", [1e-6, 1e6])
def test_units_of_the_exposure_move_the_intercept_only(exposure):
    rng = np.random.default_rng(1)
    codes = np.repeat(np.arange(10), 8)
    y = rng.poisson(np.exp(1 + 0.5 * rng.standard_normal(10)[codes]))
    usual = HierarchicalPoissonRegressor(**SETTINGS).fit(None, y, groups=codes)
    other = HierarchicalPoissonRegressor(**SETTINGS)
    other.fit(None, y, groups=codes, exposure=exposure)
    assert other.intercept_ + np.log(exposure) == pytest.approx(usual.intercept_, abs=1e-6)
    np.testing.assert_allclose(other.group_scale_, usual.group_scale_, rtol=1e-6)
    np.testing.assert_allclose(
        other.predict(None, groups=[0, 3], exposure=exposure),
        usual.predict(None, groups=[0, 3]),
        rtol=1e-6,
    )


def test_a_shift_of_a_feature_changes_nothing_else():
    rng = np.random.default_rng(2)
    codes = np.repeat(np.arange(12), 15)
    x = rng.standard_normal((180, 1))
    slopes = 0.5 * rng.standard_normal(12)
    y = rng.poisson(np.exp(0.5 + (0.3 + slopes[codes]) * x[:, 0]))
    model = HierarchicalPoissonRegressor(**SETTINGS, varying_slopes="all")
    near = model.fit(x, y, groups=codes).predict(x[:5], groups=codes[:5])
    far = model.fit(x + 1000, y, groups=codes).predict(x[:5] + 1000, groups=codes[:5])
    np.testing.assert_allclose(far, near, rtol=1e-5)


def test_one_group_of_many_rows_and_groups_of_one_row():
    rng = np.random.default_rng(3)
    codes = np.concatenate([np.zeros(100_000, dtype=int), np.arange(1, 60)])
    y = rng.random(len(codes)) < expit(0.5 + rng.standard_normal(60)[codes])
    model = HierarchicalLogisticRegression(**SETTINGS).fit(None, y, groups=codes)
    logit = np.log(y[:100_000].mean() / (1 - y[:100_000].mean()))
    error = 1 / np.sqrt(100_000 * 0.2)
    assert abs(model.group_intercept_[0] - logit) < 5 * error
    assert model.diagnostics_["pareto_k"] < 0.7
