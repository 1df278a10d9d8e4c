"""Leave-one-out densities against dense algebra, ArviZ and refits."""

import arviz_stats
import numpy as np
import pytest
from reference import dense_log_density, mcse
from scipy import stats
from structures import EXPLICIT, STRUCTURES, draws_of, fit, rows_of

from skhbm import HierarchicalNormalRegressor, Prior
from skhbm._comparison.loo import left_out_rows, marginal_densities
from skhbm._comparison.rows_of_fit import read_rows_again
from skhbm._sampling.psis import log_mean_exp, pareto_smooth
from skhbm.datasets import load_radon

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:.*(R-hat|diverged):sklearn.exceptions.ConvergenceWarning"
    ),
]

SMALL = {"draws": 20, "tune": 30, "chains": 2}


@pytest.fixture(scope="module", params=STRUCTURES)
def small(request):
    rows = rows_of(5)
    return fit(rows, **SMALL, **STRUCTURES[request.param]), rows


def test_rows_left_out_are_conditional_densities(small):
    model, (X, y, groups) = small
    codes = np.searchsorted(model.groups_, groups)
    rows, target, _ = read_rows_again(model, X, y, groups)
    ((order, actual, _),) = left_out_rows(model._posterior, rows, target)
    actual = actual[np.argsort(order)]
    for s, draw in draws_of(model, every=7):
        precision = np.linalg.inv(draw.covariance(X, codes))
        # Of a normal vector, given all others, y_i has variance 1 / Q_ii.
        residual = (precision @ (y - draw.mean(X))) / np.diag(precision)
        expected = stats.norm(0, np.diag(precision) ** -0.5).logpdf(residual)
        np.testing.assert_allclose(actual[:, s], expected, rtol=1e-8, atol=1e-8)


def test_groups_are_marginal_densities(small):
    model, (X, y, groups) = small
    rows, _, _ = read_rows_again(model, X, y, groups)
    actual = marginal_densities(model._posterior, model._statistics, 0, rows)
    log_sigma = model._posterior.log_sigma
    for s, draw in draws_of(model, every=7):
        for j, name in enumerate(model.groups_):
            inside = groups == name
            cov = draw.covariance(X[inside], np.full(inside.sum(), j))
            residual = y[inside] - draw.mean(X[inside])
            if log_sigma is None:
                expected = dense_log_density(residual, cov)
            else:
                # The scale of the group is integrated out.
                mean, sd = log_sigma.reshape(-1, 2)[s]
                noise = draw.sigma[j] ** 2 * np.eye(inside.sum())
                grid = mean + sd * np.linspace(-7, 7, 301)
                densities = [
                    dense_log_density(
                        residual, cov - noise + np.exp(2 * t) * np.eye(inside.sum())
                    )
                    for t in grid
                ]
                densities += stats.norm(mean, sd).logpdf(grid)
                expected = log_mean_exp(densities) + np.log(301 * (grid[1] - grid[0]))
            accuracy = 1e-8 if log_sigma is None else 1e-5
            assert actual[j, s] == pytest.approx(expected, rel=accuracy, abs=accuracy)


def test_density_inside_is_that_of_predictions(small):
    model, (X, y, groups) = small
    rows, target, _ = read_rows_again(model, X, y, groups)
    ((order, _, inside),) = left_out_rows(model._posterior, rows, target)
    expected = model.log_predictive_density(X, y, groups=groups)
    np.testing.assert_allclose(inside, expected[order], rtol=1e-10, atol=1e-10)


def test_conditional_likelihood_is_normal_given_the_effects(small):
    model, (X, y, groups) = small
    tree = model.log_likelihood(X, y, groups)
    assert tree["log_likelihood"]["y"].dims == ("chain", "draw", "row")
    actual = tree["log_likelihood"]["y"].to_numpy()
    codes = np.searchsorted(model.groups_, groups)
    effects = tree["posterior"]["effect_group"].to_numpy()
    effects = effects.reshape(-1, *effects.shape[2:])
    for s, draw in draws_of(model, every=7):
        mean = draw.mean(X) + np.sum(draw.terms(X) * effects[s, codes], axis=1)
        expected = stats.norm(mean, draw.sigma[codes % len(draw.sigma)]).logpdf(y)
        np.testing.assert_allclose(actual.reshape(-1, len(y))[s], expected, rtol=1e-8)


@pytest.fixture(scope="module")
def radon():
    data = load_radon()
    rows = data.data, data.target, data.groups
    return fit(rows), rows


def importance_error(log_likelihood):
    """Monte Carlo error of each unit's elpd, -log of the mean of 1 / p (c, d, n)."""
    ratio = np.exp(-(log_likelihood - log_likelihood.max(axis=(0, 1))))
    ratio /= ratio.mean(axis=(0, 1))
    return mcse(ratio)


def test_rows_agree_with_arviz_on_conditional_likelihoods(radon):
    model, rows = radon
    actual = model.loo(*rows)
    tree = model.log_likelihood(*rows)
    assert "log_likelihood" in model.posterior_.children
    expected = arviz_stats.loo(model.posterior_, pointwise=True)
    # Smoothing makes errors smaller than plain importance sampling has them.
    error = importance_error(tree["log_likelihood"]["y"].to_numpy())
    difference = actual.elpd_i.to_numpy() - expected.elpd_i.to_numpy()
    assert np.all(np.abs(difference) <= 6 * error)
    assert abs(difference.sum()) <= 6 * np.sqrt(len(error)) * error.mean()
    assert actual.p == pytest.approx(expected.p, abs=6 * np.sqrt(len(error)) * error.mean())
    assert actual.se == pytest.approx(expected.se, rel=0.02)
    assert actual.pareto_k.max() < expected.pareto_k.max()


@pytest.mark.filterwarnings("ignore:Pareto k is above")  # of one county
@pytest.mark.filterwarnings("ignore:Estimated shape parameter")  # in ArviZ's words
def test_groups_agree_with_arviz_on_marginal_likelihoods(radon):
    model, rows = radon
    actual = model.loo(*rows, unit="group")
    tree = model.log_likelihood(*rows, unit="group")
    assert tree["log_likelihood"]["y"].dims == ("chain", "draw", "group")
    expected = arviz_stats.loo(tree, pointwise=True, reff=1.0)
    np.testing.assert_allclose(actual.elpd_i, expected.elpd_i, atol=2e-3)
    assert actual.p == pytest.approx(expected.p, abs=0.05)
    assert list(actual.elpd_i["group"].to_numpy()) == list(model.groups_)


def test_arviz_takes_the_result(radon):
    model, rows = radon
    flat = fit(rows, priors={"tau": Prior("HalfNormal", sigma=1e-3)})
    table = arviz_stats.compare({"varying": model.loo(*rows), "flat": flat.loo(*rows)})
    assert list(table.index) == ["varying", "flat"]
    assert "elpd_loo" in str(model.loo(*rows))


def test_groups_left_out_equal_refits():
    X, y, groups = rows = rows_of(8, sizes=(4, 5, 3, 6, 4, 5, 7, 4))
    actual = fit(rows, varying_slopes=[0], priors=EXPLICIT)
    left_out = actual.loo(*rows, unit="group").elpd_i.to_numpy()
    error = importance_error(
        actual.log_likelihood(*rows, unit="group")["log_likelihood"]["y"].to_numpy()
    )
    for j, name in enumerate(actual.groups_):
        inside = groups == name
        refit = fit(
            (X[~inside], y[~inside], groups[~inside]),
            varying_slopes=[0],
            priors=EXPLICIT,
            draws=500,
        )
        codes = np.zeros(inside.sum(), dtype=int)
        densities = np.array(
            [
                dense_log_density(y[inside] - d.mean(X[inside]), d.covariance(X[inside], codes))
                for _, d in draws_of(refit)
            ]
        )
        expected = log_mean_exp(densities)
        share = np.exp(densities - expected).reshape(4, -1, 1)
        assert abs(left_out[j] - expected) <= 5 * np.hypot(error[j], mcse(share)[0])


def test_weights_count_rows(radon):
    del radon
    X, y, groups = rows_of(5)
    weights = 1 + np.arange(len(y)) % 2
    model = HierarchicalNormalRegressor(random_state=0, **SMALL)
    model.fit(X, y, groups=groups, sample_weight=weights)
    repeated = [np.repeat(a, weights, axis=0) for a in (X, y, groups)]
    with pytest.warns(UserWarning, match="Pareto k"):
        assert model.loo(*repeated).n_data_points == weights.sum()
    with pytest.raises(ValueError, match=r"group 'b' had 3 .sum of weights., but 2 .* often"):
        model.loo(X, y, groups)


def test_rows_in_any_order(small):
    model, (X, y, groups) = small
    order = np.random.default_rng(0).permutation(len(y))
    tree = model.log_likelihood(X[order], y[order], groups[order])
    shuffled = tree["log_likelihood"]["y"].to_numpy().copy()
    straight = model.log_likelihood(X, y, groups)["log_likelihood"]["y"].to_numpy()
    np.testing.assert_allclose(shuffled, straight[..., order])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y, g: (X[1:], y[1:], g[1:]), "not those of fit"),
        (
            lambda X, y, g: (X, y + (g == "c"), g),
            r"1 of 6 groups, the first group 'c', the means",
        ),
        (lambda X, y, g: (X + 1e-3, y, g), r"6 of 6 groups, the first group 'a', the means"),
        (lambda X, y, g: (X, y, np.where(g == "a", "z", g)), r"\['a', 'z'\] are in one"),
        (lambda X, y, _: (X, y, None), "`groups` has no labels of"),
        (lambda X, y, g: (X, y[1:], g), "inconsistent numbers"),
        (lambda X, y, g: (X[:, :1], y, g), "expecting 2 features"),
        (lambda X, y, g: (X, np.where(g == "a", np.nan, y), g), "contains NaN"),
    ],
)
def test_other_rows_are_an_error(change, message):
    rows = rows_of(5)
    model = fit(rows, **SMALL)
    for method in (model.loo, model.log_likelihood):
        with pytest.raises(ValueError, match=message):
            method(*change(*rows))


def test_unit_is_row_or_group():
    rows = rows_of(5)
    with pytest.raises(ValueError, match=r"`unit` must be .* Got 'rows'"):
        fit(rows, **SMALL).loo(*rows, unit="rows")


def test_without_groups_there_are_rows_only():
    X, y, _ = rows_of(5)
    model = HierarchicalNormalRegressor(random_state=0, draws=200, tune=200)
    with pytest.warns(UserWarning, match="Fitted without groups"):
        model.fit(X, y)
    assert model.loo(X, y).n_data_points == len(y)
    with pytest.raises(ValueError, match="needs a model with groups"):
        model.loo(X, y, unit="group")


def test_log_likelihood_is_replaced_and_not_pickled(radon):
    import pickle

    model, rows = radon
    model.log_likelihood(*rows, unit="group")
    model.log_likelihood(*rows)
    assert list(model.posterior_["log_likelihood"].data_vars) == ["y"]
    assert model.posterior_["log_likelihood"].to_dataset().sizes["row"] == len(rows[1])
    assert "log_likelihood" not in pickle.loads(pickle.dumps(model)).posterior_.children


def test_equal_ratios_have_no_tail():
    log_weights, k = pareto_smooth(np.zeros((1, 100)))
    np.testing.assert_allclose(log_weights, -np.log(100))
    assert k == -np.inf


def test_few_draws_cannot_tell():
    assert pareto_smooth(np.arange(12.0)[None])[1] == np.inf
