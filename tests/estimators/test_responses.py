"""What all estimators of other responses promise, whatever the response."""

import pickle
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
from response_cases import CLASSES, SIZES, fitted, make, simulate
from scipy.special import expit

import skhbm

#: A few groups of the fit, and two that are new: the same label is the same group.
GROUPS = pd.Series(["s00", "s05", "s11", "new", "newer", "new"], name="site")


@pytest.fixture(params=CLASSES)
def response(request):
    return request.param


@pytest.fixture
def asked(response):
    """Rows to predict, with sizes of six."""
    data = simulate(response)
    size = {SIZES[response]: 6} if response in SIZES else {}
    return {"X": data.X.iloc[:6], "groups": GROUPS, **size}


def expectations(model, asked):
    """Return draws of the expectation of rows (n, n_draws) by brute force from `posterior_`.

    Effects of new groups are drawn, many times for each draw.
    """
    draws = model.posterior_["posterior"]
    X = asked["X"].to_numpy()
    flat = {name: v.to_numpy().reshape(4000, -1) for name, v in draws.data_vars.items()}
    rng = np.random.default_rng(1)
    columns = []
    for x, label in zip(X, asked["groups"], strict=True):
        eta = flat["intercept"][:, 0] + flat["coef"] @ x
        if label in draws["site"].to_numpy():
            eta = eta + draws["effect_site"].sel(site=label)[..., 0].to_numpy().ravel()
            columns.append(np.repeat(eta, 50))
        else:
            u = rng.standard_normal((4000, 50)) * flat["tau_site"][:, :1]
            columns.append((eta[:, None] + u).ravel())
    family = model._family
    size = next((v for k, v in asked.items() if k not in ("X", "groups")), 1.0)
    values = np.array(columns)
    by_link = {"logit": expit, "log": np.exp, "identity": np.asarray}
    scale = size if family.link != "identity" else 1.0
    return scale * by_link[family.link](values)


def test_means_are_averages_over_draws_and_over_new_groups(response, asked):
    model = fitted(response)
    draws = expectations(model, asked)
    if response == "logistic":
        mean = model.predict_proba(**asked)[:, 1]
    else:
        mean = model.predict(**asked)
    # There are 4000 draws, and 200,000 of them where effects of new groups are drawn too.
    error = draws.std(axis=1) / np.sqrt(4000)
    assert np.all(np.abs(mean - draws.mean(axis=1)) < 5 * error)


def test_intervals_of_the_mean_are_quantiles_of_the_draws(response, asked):
    model = fitted(response)
    draws = expectations(model, asked)
    found = model.predict_quantiles(**asked, quantiles=[0.1, 0.5, 0.9], kind="mean")
    for p, bounds in zip((0.1, 0.5, 0.9), found.T, strict=True):
        below = np.mean(draws <= bounds[:, None], axis=1)
        assert np.all(np.abs(below - p) < 5 * np.sqrt(p * (1 - p) / 4000) + 1e-3)


def test_draws_have_the_mean_and_the_spread_that_are_predicted(response, asked):
    if response == "logistic":
        pytest.skip("classes have no standard deviation")
    model = fitted(response)
    counts = response in ("poisson", "negative binomial")
    with pytest.warns(skhbm.DataWarning, match="standard") if counts else nullcontext():
        mean, std = model.predict(**asked, return_std=True)
    draws = model.sample_y(**asked, n_samples=8000)
    if response == "student t":
        # Its variance is infinite in draws with nu below 2: quantiles are compared.
        found = np.quantile(draws, [0.1, 0.9], axis=1).T
        expected = model.predict_interval(**asked, coverage=0.8)
        assert np.all(np.abs(found - expected) < 0.1)
        return
    # The rate of a new group has no standard deviation: the first three rows are of known ones.
    rows = slice(3) if counts else slice(None)
    error = std / np.sqrt(4000)
    assert np.all(np.abs(draws.mean(axis=1) - mean)[rows] < 5 * error[rows])
    np.testing.assert_allclose(draws.std(axis=1)[rows], std[rows], rtol=0.1)


def test_rows_of_one_new_group_share_its_effect(response, asked):
    """Rows 3 and 5 are of one new group, row 4 is of another."""
    model = fitted(response)
    draws = model.sample_y(**asked, n_samples=4000, kind="mean")
    draws = np.log(draws) if response != "student t" else draws
    # Given the coefficients, which all rows share, the effects of two groups are independent.
    correlations = np.corrcoef(draws)
    assert correlations[3, 5] > correlations[3, 4] + 0.3


def test_quantiles_of_counts_are_whole_and_hold_what_they_promise(response, asked):
    if response in ("student t", "logistic"):
        pytest.skip("not of counts")
    model = fitted(response)
    found = model.predict_quantiles(**asked, quantiles=[0.05, 0.5, 0.95])
    assert np.array_equal(found, np.rint(found))
    draws = model.sample_y(**asked, n_samples=20_000)
    for p, bound in zip((0.05, 0.5, 0.95), found.T, strict=True):
        slack = 5 * np.sqrt(p * (1 - p) / 4000)
        assert np.all(np.mean(draws <= bound[:, None], axis=1) > p - slack)
        assert np.all(np.mean(draws < bound[:, None], axis=1) < p + slack)


def test_log_densities_are_those_of_the_draws(response, asked):
    """The density at y is the average over draws, and over effects of new groups."""
    model, data = fitted(response), simulate(response)
    y = data.y[:6]
    found = model.log_predictive_density(asked["X"], y, groups=asked["groups"], **{
        k: v for k, v in asked.items() if k not in ("X", "groups")
    })  # fmt: skip
    family = model._family
    mean = expectations(model, asked)
    dispersion = tuple(
        np.repeat(model.posterior_["posterior"][name].to_numpy().ravel(), 50)
        for name in family.dispersion
    )
    size = float(next((v for k, v in asked.items() if k not in ("X", "groups")), 1.0))
    scale = size if family.link != "identity" else 1.0
    links = {"logit": lambda m: np.log(m / (1 - m)), "log": np.log, "identity": np.asarray}
    numbers = (y == "yes").astype(float) if response == "logistic" else y.astype(float)
    densities = np.exp(
        family.log_density(numbers[:, None], size, links[family.link](mean / scale), dispersion)
    )
    error = densities.std(axis=1) / np.sqrt(4000)
    assert np.all(np.abs(np.exp(found) - densities.mean(axis=1)) < 5 * error + 1e-12)


def test_weights_are_repeated_rows(response):
    data = simulate(response)
    twice = np.repeat(np.arange(len(data.y)), np.where(np.arange(len(data.y)) % 3 == 0, 2, 1))
    weights = np.where(np.arange(len(data.y)) % 3 == 0, 2.0, 1.0)
    one = make(response).fit(**data.all, sample_weight=weights)
    other = make(response).fit(**data.rows(twice))
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(one.group_scale_, other.group_scale_, rtol=1e-6)


def test_the_order_of_rows_does_not_matter(response):
    data = simulate(response)
    shuffled = np.random.default_rng(3).permutation(len(data.y))
    other = make(response).fit(**data.rows(shuffled))
    np.testing.assert_allclose(fitted(response).coef_, other.coef_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(fitted(response).group_scale_, other.group_scale_, rtol=1e-6)


def test_batches_are_one_fit(response):
    data = simulate(response)
    model = make(response)
    classes = {"classes": ["yes", "no"]} if response == "logistic" else {}
    for k, batch in enumerate(np.array_split(np.arange(len(data.y)), 3)):
        model.partial_fit(**data.rows(batch), **(classes if k == 0 else {}))
    np.testing.assert_allclose(model.coef_, fitted(response).coef_, rtol=1e-6, atol=1e-8)
    assert list(model.groups_) == list(fitted(response).groups_)


def test_tables_are_rows(response):
    data = simulate(response)
    table = data.X.assign(site=data.groups, y=data.y, **data.size)
    names = {name: name for name in data.size}
    model = make(response).fit_table(table, "y", ["a", "b"], "site", **names)
    np.testing.assert_allclose(model.coef_, fitted(response).coef_, rtol=1e-6, atol=1e-8)
    found = model.predict_table(table.drop(columns="y"), **names).read_pandas()["prediction"]
    asked = {k: v for k, v in data.all.items() if k != "y"}
    if response == "logistic":
        expected = model.predict_proba(**asked)[:, 1]
    else:
        expected = model.predict(**asked)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("slopes", [False, True])
def test_copies_answer_alike(response, slopes, asked, tmp_path):
    model = fitted(response, slopes)
    model.save(tmp_path / "model.skhbm")
    loaded = type(model).load(tmp_path / "model.skhbm")
    for copy in (loaded, pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(copy.predict(**asked), model.predict(**asked))
        np.testing.assert_array_equal(copy.group_intercept_, model.group_intercept_)
        assert copy.diagnostics_ == model.diagnostics_


def test_more_rows_are_as_good_as_a_fit_of_all(response):
    """`condition_on` agrees with a fit to all rows, within Monte Carlo error."""
    data = simulate(response)
    most, rest = np.arange(len(data.y) - 12), np.arange(len(data.y) - 12, len(data.y))
    first = make(response).fit(**data.rows(most))
    more = first.condition_on(**data.rows(rest))
    whole = fitted(response)
    sds = whole.posterior_["posterior"]["coef"].to_numpy().std(axis=(0, 1))
    assert np.all(np.abs(more.coef_ - whole.coef_) < 5 * sds * np.sqrt(2 / 1000))
    assert more.n_groups_ == whole.n_groups_
    assert more.diagnostics_["pareto_k"] < 0.7


def test_leaving_out_is_as_good_as_fitting_again(response):
    """Of one row, predicted by a model that was fitted to all others."""
    data, i = simulate(response), 7
    model = fitted(response)
    found = model.loo(**data.all)
    others = np.delete(np.arange(len(data.y)), i)
    expected = make(response).fit(**data.rows(others)).log_predictive_density(**data.rows([i]))
    assert abs(float(found.elpd_i[i]) - expected[0]) < 0.05


def test_bad_calls_are_refused_and_change_nothing(response):
    model = fitted(response)
    before = model.coef_.copy()
    data = simulate(response)
    bad = data.all
    bad["X"] = bad["X"].assign(a=np.nan)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(**bad)
    with pytest.raises(TypeError, match="unexpected keyword"):
        model.fit(**data.all, y_err=1.0)
    np.testing.assert_array_equal(model.coef_, before)


@pytest.mark.parametrize(
    ("response", "y", "message"),
    [
        ("poisson", [-1.0, 2.0, 3.0], "counts from 0"),
        ("negative binomial", [-1.0, 2.0, 3.0], "counts from 0"),
        ("binomial", [1.0, 2.0, 0.0], "successes among `trials`"),
        ("logistic", ["a", "b", "c"], "binary classification"),
        ("logistic", ["a", "a", "a"], "one class only"),
    ],
)
def test_targets_that_a_response_cannot_be_are_refused(response, y, message):
    with pytest.raises(ValueError, match=message):
        make(response).fit(None, y, groups=[1, 1, 2])


@pytest.mark.parametrize("size", [-1.0, 0.0, np.nan, [1.0, 2.0]])
@pytest.mark.parametrize("response", ["binomial", "poisson"])
def test_sizes_must_be_positive_numbers_one_for_each_row(response, size):
    with pytest.raises(ValueError, match=SIZES[response]):
        make(response).fit(None, [0, 1, 1], groups=[1, 1, 2], **{SIZES[response]: size})


def test_means_of_rates_that_do_not_exist_are_warned_of():
    data = simulate("poisson")
    wide = make("poisson", priors={"tau": skhbm.Prior("HalfNormal", sigma=2.5)}, draws=100)
    wide.fit(**data.all)
    with pytest.warns(skhbm.DataWarning, match="does not exist under the prior of tau"):
        wide.predict(data.X.iloc[:1], groups=pd.Series(["new"], name="site"))
    # The default prior is one under which it exists, and known groups have no such trouble.
    fitted("poisson").predict(data.X.iloc[:1], groups=pd.Series(["new"], name="site"))
    wide.predict(data.X.iloc[:1], groups=pd.Series(["s00"], name="site"))


@pytest.mark.parametrize("response", ["binomial", "poisson"])
def test_it_does_not_matter_to_tables_which_rows_are_alike(response):
    """Without features all rows of a group are one pattern, with one of noise none are."""
    data = simulate(response)
    noise = pd.DataFrame(
        {"noise": 1e-3 * np.random.default_rng(0).standard_normal(len(data.y))}
    )
    rows = {k: v for k, v in data.all.items() if k != "X"}
    one, many = make(response).fit(None, **rows), make(response).fit(noise, **rows)
    assert len(one._statistics) < len(many._statistics)
    for table in ("bayesian_r2_", "variance_components_", "shrinkage_"):
        numbers = [getattr(m, table).select_dtypes("number").to_numpy() for m in (one, many)]
        np.testing.assert_allclose(*numbers, rtol=0.15, atol=0.06)


def test_outliers_do_not_move_the_estimates_of_groups_alone():
    """Maximum likelihood of a t response is close to the median, and not to the mean."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(8), 15)
    y = rng.standard_normal(8)[codes] + 0.5 * rng.standard_t(4, 120)
    y[0] += 100
    table = make("student t").fit(None, y, groups=codes).shrinkage_
    assert abs(table["no_pooling"][0] - np.median(y[:15])) < 0.5
    assert abs(table["complete_pooling"][0] - np.median(y)) < 0.5


def test_densities_of_groups_that_are_far_apart():
    """The t distribution about a group is narrow: the density of a new one is that of tau."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(12), 20)
    y = 100 * rng.standard_normal(12)[codes] + 0.01 * rng.standard_t(8, 240)
    model = make("student t").fit(None, y, groups=codes)
    draws = model.posterior_["posterior"]
    center, tau = draws["intercept"].to_numpy(), draws["tau_group"].to_numpy()[..., 0]
    expected = np.log(np.mean(np.exp(-0.5 * ((y[0] - center) / tau) ** 2) / tau))
    found = model.log_predictive_density(None, y[:1], groups=[99])
    assert found[0] == pytest.approx(expected - 0.5 * np.log(2 * np.pi), abs=1e-5)


def test_rates_of_new_groups_of_several_factors_exist_by_default():
    data = simulate("poisson")
    groups = pd.DataFrame({"site": data.groups, "half": np.arange(len(data.y)) % 7})
    model = make("poisson", solver="auto", draws=500)
    model.fit(data.X, data.y, groups=groups, **data.size)
    new = pd.DataFrame({"site": ["new"], "half": [99]})
    assert np.isfinite(model.predict(data.X.iloc[:1] * 0, groups=new)).all()
