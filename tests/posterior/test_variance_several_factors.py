"""R^2 and shares of variance with several factors and known errors, against rows and draws."""

import numpy as np
import pytest
from structures import (
    SEVERAL_FACTORS,
    codes_among,
    crossed_rows,
    draws_of_several_factors,
    fit,
    fit_several_factors,
)

from skhbm import HierarchicalNormalRegressor
from skhbm._posterior.variance import typical_variance

pytestmark = [
    pytest.mark.filterwarnings("ignore:Slopes of .* vary, and so do the intercepts"),
    pytest.mark.filterwarnings(
        "ignore:.*(R-hat|diverged):sklearn.exceptions.ConvergenceWarning"
    ),
]

SMALL = {"draws": 20, "tune": 30, "chains": 2}


@pytest.fixture(scope="module", params=[*SEVERAL_FACTORS, "far from zero"])
def model_and_rows(request):
    known = request.param == "known errors"
    X, y, groups, *errors = crossed_rows(1, errors=known)
    if known:
        # Cells are rows here: there are more features than anything varies by.
        groups = groups.assign(school=[f"s{i // 2}" for i in range(len(y))])
        groups["town"] = [f"t{i % 2}{i // 20}" for i in range(len(y))]
    far = request.param == "far from zero"
    name = "slopes of both" if far else request.param
    rows = (X + 300 * far, y, groups, *errors)
    return fit_several_factors(name, rows, priors=None, **SMALL), rows


def on_rows(model, rows):
    """Variances of x'beta, of each factor's z'u, the residual and the fitted values."""
    X, _, groups, *errors = rows
    codes = codes_among(model, groups)
    out = []
    for _, draw in draws_of_several_factors(model):
        fitted, between = draw.mean(X), []
        for factor, code in zip(draw.factors, codes.T, strict=True):
            Z = factor.terms(X)
            between.append(np.mean(np.einsum("ia,ab,ib->i", Z, factor.cov, Z)))
            fitted = fitted + factor.offset(X, code)
        if errors:
            w = errors[0] ** -2
            residual = (len(w) - 1) * w.sum() / (w.sum() ** 2 - np.sum(w**2))
        else:
            residual = draw.sigma[0] ** 2
        out.append([np.var(draw.mean(X), ddof=1), *between, residual, np.var(fitted, ddof=1)])
    return np.array(out).T


def summary(draws):
    return [draws.mean(), *np.quantile(draws, [0.05, 0.95])]


def test_r2_is_that_of_the_rows(model_and_rows):
    model, rows = model_and_rows
    population, *between, residual, fitted = on_rows(model, rows)
    table = model.bayesian_r2_
    expected = {
        "conditional": fitted / (fitted + residual),
        "marginal": population / (population + sum(between) + residual),
    }
    for name, draws in expected.items():
        actual = table.loc[name, ["mean", "lower", "upper"]]
        np.testing.assert_allclose(actual, summary(draws), rtol=1e-7)


def test_each_factor_has_a_part_of_the_variance(model_and_rows):
    model, rows = model_and_rows
    *parts, _ = on_rows(model, rows)
    table = model.variance_partition_
    assert list(table.index) == ["population", "school", "town", "residual"]
    for name, draws in zip(table.index, parts, strict=True):
        actual = table.loc[name, ["variance", "variance_lower", "variance_upper"]]
        np.testing.assert_allclose(actual, summary(draws), rtol=1e-7)
        actual = table.loc[name, ["share", "share_lower", "share_upper"]]
        np.testing.assert_allclose(actual, summary(draws / np.sum(parts, axis=0)), rtol=1e-7)


def test_components_have_a_row_for_each_factor_and_term(model_and_rows):
    model, rows = model_and_rows
    table = model.variance_components_
    posterior = model.posterior_["posterior"].to_dataset()
    terms = [(f, str(t)) for f in ("school", "town") for t in posterior[f"{f}_term"].to_numpy()]
    known = model.residual_scale == "known"
    assert list(zip(table["factor"], table["coefficient"], strict=True)) == (
        terms if known else [*terms, ("residual", "")]
    )
    residual = on_rows(model, rows)[-2]
    intercepts = {
        f: posterior[f"tau_{f}"].sel({f"{f}_term": "intercept"}).to_numpy().ravel() ** 2
        for f in ("school", "town")
        if (f, "intercept") in terms
    }
    total = sum(intercepts.values()) + residual
    for i, (f, term) in enumerate(zip(table["factor"], table["coefficient"], strict=True)):
        actual = table.loc[i, ["icc", "icc_lower", "icc_upper"]].astype(float)
        expected = summary(intercepts[f] / total) if term == "intercept" else [np.nan] * 3
        np.testing.assert_allclose(actual, expected)
        if f != "residual":
            tau = posterior[f"tau_{f}"].sel({f"{f}_term": term}).to_numpy().ravel()
            np.testing.assert_allclose(
                table.loc[i, ["sd", "sd_lower", "sd_upper"]].astype(float), summary(tau)
            )
            u = posterior[f"effect_{f}"].sel({f"{f}_term": term}).to_numpy()
            between = np.var(u, axis=2, ddof=1).mean()
            shrunken = np.var(u.mean(axis=(0, 1)), ddof=1)
            assert table.loc[i, "pooling"] == pytest.approx(1 - shrunken / between)


def test_intraclass_correlation_of_a_meta_analysis_is_i_squared():
    rng = np.random.default_rng(0)
    errors = rng.uniform(0.2, 1.0, size=12)
    y = 1 + rng.standard_normal(12) + errors * rng.standard_normal(12)
    model = HierarchicalNormalRegressor(random_state=0, residual_scale="known", **SMALL)
    model.fit(None, y, groups=np.arange(12), y_err=errors)
    w = errors**-2
    typical = 11 * w.sum() / (w.sum() ** 2 - np.sum(w**2))
    tau = model.posterior_["posterior"]["tau_group"].to_numpy().ravel()
    table = model.variance_components_
    assert len(table) == 1
    np.testing.assert_allclose(table["icc"], np.mean(tau**2 / (tau**2 + typical)))
    assert list(model.variance_partition_.index) == ["group", "residual"]
    assert model.variance_partition_.loc["group", "share"] == pytest.approx(table.loc[0, "icc"])


def test_typical_variance():
    n, variance = np.array([1.0, 3.0, 0.01]), 0.7
    assert typical_variance(n[:2], n[:2] / variance) == pytest.approx(variance)
    # A row of weight three is three rows.
    apart = typical_variance(np.ones(4), 1 / np.array([2.0, 0.5, 0.5, 0.5]))
    assert typical_variance(n[:2], np.array([0.5, 6.0])) == pytest.approx(apart)
    assert typical_variance(n, np.array([1.0, 3.0, 1e9])) > 0


def test_factors_apart_are_what_they_are_together():
    """A factor that says nothing leaves the other's part of the variance as it is."""
    X, y, groups = crossed_rows(3, n=300, n_towns=8)
    alone = fit((X, y, groups["school"])).variance_partition_
    shuffled = groups.assign(town=np.random.default_rng(1).permutation(groups["town"]))
    both = fit_several_factors("intercepts", (X, y, shuffled)).variance_partition_
    assert both.loc["town", "share"] < 0.1
    np.testing.assert_allclose(
        both.loc["school", "share"], alone.loc["school", "share"], atol=0.1
    )
