"""Leave-one-out densities with several factors and known errors, against dense algebra."""

import arviz_stats
import numpy as np
import pytest
from reference import dense_log_density, mcse
from scipy import stats
from structures import (
    SEVERAL_FACTORS,
    codes_among,
    crossed_rows,
    draws_of_several_factors,
    fit_several_factors,
)

from skhbm import HierarchicalNormalRegressor
from skhbm._comparison.loo import left_out_rows, marginal_densities
from skhbm._comparison.rows_of_fit import read_rows_again
from skhbm._sampling.psis import log_mean_exp

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:.*(R-hat|diverged|Pareto k):sklearn.exceptions.ConvergenceWarning"
    ),
    pytest.mark.filterwarnings("ignore:(Pareto k|Estimated shape parameter):UserWarning"),
]

SMALL = {"draws": 20, "tune": 30, "chains": 2}


@pytest.fixture(scope="module", params=SEVERAL_FACTORS)
def structure(request):
    return request.param


@pytest.fixture(scope="module", params=["nuts", "laplace"])
def model_and_rows(structure, request):
    rows = crossed_rows(1, errors=structure == "known errors")
    return fit_several_factors(structure, rows, solver=request.param, **SMALL), rows


def again(model, rows):
    X, y, groups, *errors = rows
    return read_rows_again(model, X, y, groups, *errors)


def test_rows_left_out_are_conditional_densities(model_and_rows, structure):
    """Given scales and sampled coefficients; all the rest is integrated out."""
    model, rows = model_and_rows
    X, y, groups, *errors = rows
    codes = codes_among(model, groups)
    ((order, actual, _),) = left_out_rows(model._posterior, *again(model, rows))
    actual = actual[np.argsort(order)]
    for s, draw in draws_of_several_factors(model, every=7):
        mean, cov = draw.marginal(structure, X, codes, errors)
        precision = np.linalg.inv(cov)
        residual = (precision @ (y - mean)) / np.diag(precision)
        expected = stats.norm(0, np.diag(precision) ** -0.5).logpdf(residual)
        np.testing.assert_allclose(actual[:, s], expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("factor", [0, 1])
def test_levels_are_conditional_densities_of_their_rows(model_and_rows, structure, factor):
    model, rows = model_and_rows
    X, y, groups, *errors = rows
    codes = codes_among(model, groups)
    arguments, (coded, _, known) = (model._posterior, model._statistics), again(model, rows)
    actual = marginal_densities(*arguments, factor, coded, known)
    for s, draw in draws_of_several_factors(model, every=13):
        mean, cov = draw.marginal(structure, X, codes, errors)
        everything = dense_log_density(y - mean, cov)
        for level in range(actual.shape[0]):
            kept = codes[:, factor] != level
            rest = dense_log_density((y - mean)[kept], cov[np.ix_(kept, kept)])
            assert actual[level, s] == pytest.approx(everything - rest, rel=1e-6, abs=1e-6)


def test_density_inside_is_that_of_predictions(model_and_rows):
    model, rows = model_and_rows
    ((order, _, inside),) = left_out_rows(model._posterior, *again(model, rows))
    expected = model.log_predictive_density(*rows)
    np.testing.assert_allclose(inside, expected[order], rtol=1e-10, atol=1e-10)


def test_conditional_likelihood_is_normal_given_the_effects(model_and_rows):
    model, rows = model_and_rows
    X, y, groups, *errors = rows
    codes = codes_among(model, groups)
    tree = model.log_likelihood(X, y, groups, y_err=errors[0] if errors else None)
    actual = tree["log_likelihood"]["y"].to_numpy().reshape(-1, len(y))
    for s, draw in draws_of_several_factors(model, every=7):
        mean = draw.mean(X)
        for factor, code in zip(draw.factors, codes.T, strict=True):
            mean = mean + factor.offset(X, code)
        expected = stats.norm(mean, draw.noise(len(y), errors)).logpdf(y)
        np.testing.assert_allclose(actual[s], expected, rtol=1e-8)


@pytest.fixture(scope="module")
def large():
    rows = crossed_rows(2, n=150, n_schools=10, n_towns=8)
    return fit_several_factors("intercepts", rows), rows


@pytest.mark.parametrize("unit", ["row", "school", "town"])
def test_arviz_agrees(large, unit):
    """Of 4000 draws with several factors every fourth is taken."""
    model, rows = large
    actual = model.loo(*rows, unit=unit)
    tree = model.log_likelihood(*rows, unit=unit).isel(draw=slice(None, None, 4))
    assert tree["log_likelihood"]["y"].dims == ("chain", "draw", unit)
    efficiency = min(1.0, model.diagnostics_["min_ess"] / 1000)
    expected = arviz_stats.loo(tree, pointwise=True, reff=efficiency)
    if unit == "row":
        # ArviZ's ratios condition on all drawn effects, and some of them are large.
        assert actual.elpd == pytest.approx(expected.elpd, abs=0.3)
        assert actual.pareto_k.max() < 0.7
        return
    np.testing.assert_allclose(actual.elpd_i, expected.elpd_i, atol=1e-6)
    assert list(actual.elpd_i[unit].to_numpy()) == list(model.groups_[unit])


@pytest.mark.parametrize("unit", ["school", "town"])
def test_levels_left_out_equal_refits(large, unit):
    model, (X, y, groups) = large
    left_out = model.loo(X, y, groups, unit=unit).elpd_i.to_numpy()
    tree = model.log_likelihood(X, y, groups, unit=unit).isel(draw=slice(None, None, 4))
    inverse = np.exp(-tree["log_likelihood"]["y"].to_numpy())
    error = mcse(inverse / inverse.mean(axis=(0, 1)))
    for level in (0, 3):
        inside = (groups[unit] == model.groups_[unit][level]).to_numpy()
        kept = X[~inside], y[~inside], groups[~inside]
        refit = fit_several_factors("intercepts", kept, draws=500)
        codes = codes_among(refit, groups)
        densities = []
        for _, draw in draws_of_several_factors(refit):
            mean, cov = draw.marginal("intercepts", X, codes)
            densities.append(dense_log_density(y - mean, cov))
            rest = cov[np.ix_(~inside, ~inside)]
            densities[-1] -= dense_log_density((y - mean)[~inside], rest)
        expected = log_mean_exp(np.array(densities))
        share = np.exp(densities - expected).reshape(4, -1, 1)
        assert abs(left_out[level] - expected) <= 6 * np.hypot(mcse(share)[0], error[level])


@pytest.fixture(scope="module")
def studies():
    """A meta-analysis: as many groups as rows."""
    rng = np.random.default_rng(0)
    errors = rng.uniform(0.3, 1.2, size=10)
    y = 1 + rng.standard_normal(10) + errors * rng.standard_normal(10)
    groups = np.arange(10)
    model = HierarchicalNormalRegressor(random_state=0, residual_scale="known")
    return model.fit(None, y, groups=groups, y_err=errors), (None, y, groups), errors


def test_a_study_left_out_is_its_row(studies):
    model, rows, errors = studies
    by_row = model.loo(*rows, y_err=errors)
    by_group = model.loo(*rows, unit="group", y_err=errors)
    np.testing.assert_allclose(by_row.elpd_i, by_group.elpd_i, atol=1e-8)
    posterior = model.posterior_["posterior"]
    mean = posterior["intercept"].to_numpy().ravel()
    tau = posterior["tau_group"].to_numpy().ravel()
    scale = np.sqrt(tau**2 + errors[:, None] ** 2)
    tree = model.log_likelihood(*rows, unit="group", y_err=errors)
    actual = tree["log_likelihood"]["y"].to_numpy().reshape(-1, len(errors)).T
    expected = stats.norm(mean, scale).logpdf(rows[1][:, None])
    np.testing.assert_allclose(actual, expected)


def test_errors_must_be_given_where_they_belong(studies, large):
    model, rows, errors = studies
    for method in (model.loo, model.log_likelihood):
        with pytest.raises(ValueError, match="`y_err` must be given for a model with"):
            method(*rows)
        with pytest.raises(ValueError, match=r"`y_err` must have shape \(10,\)"):
            method(*rows, y_err=errors[1:])
        with pytest.raises(ValueError, match="`y_err` must be positive"):
            method(*rows, y_err=0 * errors)
        with pytest.raises(ValueError, match="1 of 10 groups, the first group 3, the errors"):
            method(*rows, y_err=errors * np.where(np.arange(10) == 3, 2, 1))
    model, rows = large
    with pytest.raises(ValueError, match="and for no other"):
        model.loo(*rows, y_err=np.ones(len(rows[1])))


def test_labels_of_each_factor_must_be_given(large):
    model, (X, y, groups) = large
    with pytest.raises(ValueError, match=r"`groups` has no labels of \['town'\]"):
        model.loo(X, y, groups[["school"]])
    with pytest.raises(ValueError, match=r"`groups` has no labels of \['school', 'town'\]"):
        model.loo(X, y)
    with pytest.raises(ValueError, match="1 missing labels"):
        model.loo(X, y, groups.assign(town=[None, *groups["town"][1:]]))
    with pytest.raises(ValueError, match="combinations of groups are not those of fit"):
        model.loo(X, y, groups.assign(town=np.roll(groups["town"], 1)))


def test_unit_names_a_factor(large):
    model, rows = large
    with pytest.raises(ValueError, match=r"one of the grouping factors .* Got 'village'"):
        model.loo(*rows, unit="village")
    first = model._statistics.factors[0].name
    assert model.loo(*rows, unit="group").elpd == model.loo(*rows, unit=first).elpd


def test_errors_of_new_rows_need_a_model_of_known_errors(model_and_rows):
    model, (X, y, groups, *errors) = model_and_rows
    if not errors:
        with pytest.raises(ValueError, match="`y_err` was given, but the residual scale"):
            model.log_predictive_density(X, y, groups, y_err=np.ones(len(y)))
    else:
        with pytest.raises(ValueError, match="`y_err` must be positive"):
            model.log_predictive_density(X, y, groups, y_err=-errors[0])
