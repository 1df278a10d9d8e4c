"""R^2 and shares of variance against the rows and draws, one draw after another."""

import tracemalloc

import numpy as np
import pytest
from structures import EXPLICIT, STRUCTURES, draws_of, fit, rows_of

from skhbm import HierarchicalNormalRegressor, Prior
from skhbm._posterior.effect_draws import draw_effects, effect_blocks

pytestmark = [
    pytest.mark.filterwarnings("ignore:Slopes of .* vary, and so do the intercepts"),
    pytest.mark.filterwarnings(
        "ignore:.*(R-hat|diverged):sklearn.exceptions.ConvergenceWarning"
    ),
]

SMALL = {"draws": 20, "tune": 30, "chains": 2}


@pytest.fixture(scope="module", params=[*STRUCTURES, "far from zero"])
def small(request):
    far = request.param == "far from zero"
    rows = rows_of(5, **({"location": 300.0} if far else {}))
    structure = {"varying_slopes": [0]} if far else STRUCTURES[request.param]
    return fit(rows, **SMALL, **structure), rows


def on_rows(model, rows):
    """Variances of x'beta, z'Sigma z, the residual and the fitted values in each draw."""
    X, _, groups = rows
    codes = np.searchsorted(model.groups_, groups)
    effects = model.posterior_["posterior"]["effect_group"].to_numpy()
    effects = effects.reshape(-1, *effects.shape[2:])
    out = []
    for s, draw in draws_of(model):
        Z = draw.terms(X)
        fitted = draw.mean(X) + np.sum(Z * effects[s, codes], axis=1)
        out.append(
            [
                np.var(draw.mean(X), ddof=1),
                np.mean(np.einsum("ia,ab,ib->i", Z, draw.cov, Z)),
                np.mean(draw.sigma[codes % len(draw.sigma)] ** 2),
                np.var(fitted, ddof=1),
            ]
        )
    return np.array(out).T


def summary(draws):
    return [draws.mean(), *np.quantile(draws, [0.05, 0.95])]


def test_r2_is_that_of_the_rows(small):
    model, rows = small
    population, between, residual, fitted = on_rows(model, rows)
    table = model.bayesian_r2_
    assert list(table.index) == ["conditional", "marginal"]
    assert list(table.columns) == ["mean", "sd", "lower", "upper"]
    expected = {
        "conditional": fitted / (fitted + residual),
        "marginal": population / (population + between + residual),
    }
    for name, draws in expected.items():
        actual = table.loc[name, ["mean", "lower", "upper"]]
        np.testing.assert_allclose(actual, summary(draws), rtol=1e-7)
        assert table.loc[name, "sd"] == pytest.approx(draws.std(), rel=1e-6)


def test_parts_of_the_variance_are_those_of_the_rows(small):
    model, rows = small
    *parts, _ = on_rows(model, rows)
    table = model.variance_partition_
    assert list(table.index) == ["population", "group", "residual"]
    for name, draws in zip(table.index, parts, strict=True):
        actual = table.loc[name, ["variance", "variance_lower", "variance_upper"]]
        np.testing.assert_allclose(actual, summary(draws), rtol=1e-7)
        actual = table.loc[name, ["share", "share_lower", "share_upper"]]
        np.testing.assert_allclose(actual, summary(draws / np.sum(parts, axis=0)), rtol=1e-7)
    assert table["share"].sum() == pytest.approx(1)


def test_marginal_r2_is_the_share_of_the_population(small):
    model, _ = small
    share = model.variance_partition_.loc["population", "share"]
    assert model.bayesian_r2_.loc["marginal", "mean"] == pytest.approx(share)


def test_intraclass_correlation_has_an_interval(small):
    model, _ = small
    posterior = model.posterior_["posterior"]
    table = model.variance_components_
    if "intercept" not in posterior["group_term"]:
        assert table[["icc", "icc_lower", "icc_upper"]].isna().all(axis=None)
        return
    tau = posterior["tau_group"].sel(group_term="intercept").to_numpy().ravel()
    sigma = posterior["sigma"].to_numpy().reshape(len(tau), -1)
    weight = model._statistics.n / model._statistics.n.sum() if sigma.shape[1] > 1 else 1.0
    residual = np.sum(sigma**2 * weight, axis=1)
    actual = table.loc[0, ["icc", "icc_lower", "icc_upper"]].astype(float)
    np.testing.assert_allclose(actual, summary(tau**2 / (tau**2 + residual)))


def test_truth_is_found():
    """Shares of a simulated population are within the error of the posterior."""
    rng = np.random.default_rng(11)
    groups = np.repeat(np.arange(300), 10)
    X = rng.standard_normal((3000, 1)) * 1.5
    slope = 1 + 0.5 * rng.standard_normal(300)[groups]
    y = X[:, 0] * slope + 2 * rng.standard_normal(300)[groups] + rng.standard_normal(3000)
    model = fit((X, y, groups), varying_slopes="all")
    # 1.5^2, 2^2 + 0.5^2 1.5^2, 1
    variance = np.array([2.25, 4 + 0.25 * 2.25, 1.0])
    table = model.variance_partition_
    spread = (table["variance_upper"] - table["variance_lower"]) / (2 * 1.645)
    # The variance of the rows' x is itself 4 % off at random.
    assert np.all(np.abs(table["variance"] - variance) <= 4 * spread + 0.04 * variance)
    r2 = model.bayesian_r2_["mean"]
    assert r2["conditional"] == pytest.approx(1 - 1 / variance.sum(), abs=0.02)
    assert r2["marginal"] == pytest.approx(2.25 / variance.sum(), abs=0.04)


def test_rows_that_come_twice_and_weights_of_two_agree():
    X, y, groups = rows_of(5)
    twice = fit([np.concatenate([a, a]) for a in (X, y, groups)], **SMALL)
    model = HierarchicalNormalRegressor(random_state=0, **SMALL)
    model.fit(X, y, groups=groups, sample_weight=np.full(len(y), 2.0))
    for table in ("bayesian_r2_", "variance_partition_"):
        np.testing.assert_allclose(getattr(model, table), getattr(twice, table), rtol=1e-5)


def test_without_groups_both_are_the_same():
    X, y, _ = rows_of(5)
    model = HierarchicalNormalRegressor(random_state=0, **SMALL)
    with pytest.warns(UserWarning, match="Fitted without groups"):
        model.fit(X, y)
    table = model.bayesian_r2_
    np.testing.assert_allclose(table.loc["conditional"], table.loc["marginal"])
    assert list(model.variance_partition_.index) == ["population", "residual"]


def test_without_features_there_is_no_population():
    _, y, groups = rows_of(5)
    model = fit((None, y, groups), **SMALL)
    assert list(model.variance_partition_.index) == ["group", "residual"]
    assert np.all(model.bayesian_r2_.loc["marginal"] == 0)


def test_conditioning_keeps_up():
    rows = rows_of(5)
    later = rows[2] == "e"
    model = fit([a[~later] for a in rows], priors={**EXPLICIT, "corr": Prior("LKJCorr", eta=2)})
    after, refit = model.condition_on(*(a[later] for a in rows)), fit(rows, priors=EXPLICIT)
    # Two Monte Carlo estimates, of some thousand draws each.
    error = 5 * np.sqrt(2) * refit.bayesian_r2_["sd"] / np.sqrt(after.diagnostics_["min_ess"])
    difference = after.bayesian_r2_["mean"] - refit.bayesian_r2_["mean"]
    assert np.all(np.abs(difference) <= error)


@pytest.mark.parametrize("block", [1, 37, 2**20])
def test_effects_are_the_same_however_few_are_drawn_at_a_time(block, monkeypatch):
    model = fit(rows_of(5), draws=13, tune=30, chains=3, varying_slopes="all")
    posterior = model._posterior
    expected, table = draw_effects(posterior)[0], model.bayesian_r2_
    monkeypatch.setattr("skhbm._posterior.effect_draws.BLOCK", block)
    again = np.concatenate([effects for _, [effects] in effect_blocks(posterior)])
    np.testing.assert_array_equal(again.reshape(expected.shape), expected)
    assert model.bayesian_r2_.equals(table)


@pytest.mark.parametrize("attribute", ["variance_components_", "bayesian_r2_"])
def test_draws_of_all_effects_are_never_in_memory_at_once(attribute):
    """Four hundred draws of 20,000 groups would be 64 MB; a block of draws is 8 MB."""
    groups = np.repeat(np.arange(20_000), 2)
    y = np.random.default_rng(0).standard_normal(len(groups))
    model = fit((None, y, groups), draws=100)
    tracemalloc.start()
    getattr(model, attribute)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48e6


@pytest.mark.parametrize("attribute", ["variance_components_", "bayesian_r2_"])
def test_tables_of_very_many_groups_are_of_some_of_the_draws(attribute, monkeypatch):
    """They agree with tables of all draws within Monte Carlo error."""
    rows = rows_of(5)
    expected = getattr(fit(rows, draws=500), attribute)
    monkeypatch.setattr("skhbm._posterior.variance.MOST", 2000 * 6 // 4)
    actual = getattr(fit(rows, draws=500), attribute)
    assert not actual.equals(expected)
    column, sd = ("mean", "sd") if attribute == "bayesian_r2_" else ("pooling", None)
    error = 5 * expected[sd] / np.sqrt(2000 / 5) if sd else 0.1
    assert np.all((actual[column] - expected[column]).abs().dropna() <= error)
