"""The estimator's results, and its life in scikit-learn, ArviZ, PyMC and other processes."""

import io
import json
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score

from skhbm import HierarchicalNormalRegressor, Prior
from skhbm.datasets import load_radon

pytestmark = [
    # PyTensor's own, at simulating from a model.
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS:UserWarning"),
    pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*R-hat:sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*diverged:sklearn.exceptions.ConvergenceWarning"),
]

J, SIZE = 5, 16
RNG = np.random.default_rng(79)
SITES = np.array(["east", "north", "south", "west", "zenith"])
CODES = RNG.permuted(np.repeat(np.arange(J), SIZE))
FRAME = pd.DataFrame(RNG.normal(1, 2, size=(J * SIZE, 2)), columns=["age", "dose"])
SITE = pd.Series(SITES[CODES], name="site")
Y = pd.Series(
    FRAME.to_numpy() @ [1.0, -0.5]
    + np.linspace(-10, 10, J)[CODES]
    + RNG.standard_normal(len(CODES)),
    name="y",
)


def estimator(**parameters):
    return HierarchicalNormalRegressor(
        **{"draws": 50, "tune": 50, "random_state": 0, **parameters}
    )


def fit(**parameters):
    return estimator(**parameters).fit(FRAME, Y, groups=SITE)


STRUCTURES = {
    "intercepts": {},
    "one slope": {"varying_slopes": ["dose"]},
    "all slopes": {"varying_slopes": "all"},
    "independent slopes": {"varying_slopes": ["dose"], "correlated": False},
    "a slope without intercepts": {"varying_slopes": ["age"], "varying_intercept": False},
    "no intercept": {"fit_intercept": False},
    "by group": {"residual_scale": "by_group"},
    "by group, independent": {
        "residual_scale": "by_group",
        "priors": {"sigma": Prior("HalfNormal", sigma=2)},
    },
}
TERMS = {
    "one slope": ["intercept", "dose"],
    "all slopes": ["intercept", "age", "dose"],
    "independent slopes": ["intercept", "dose"],
    "a slope without intercepts": ["age"],
}


@pytest.fixture(scope="module", params=STRUCTURES)
def structure(request):
    return request.param


@pytest.fixture(scope="module")
def terms(structure):
    return TERMS.get(structure, ["intercept"])


@pytest.fixture(scope="module")
def model(structure):
    return fit(**STRUCTURES[structure])


@pytest.fixture(scope="module")
def simple():
    return fit()


def test_attributes_have_their_shapes(model, structure, terms):
    assert model.coef_.shape == (2,)
    assert isinstance(model.intercept_, float)
    assert model.group_coef_.shape == (J, 2)
    assert model.group_intercept_.shape == (J,)
    assert model.group_scale_.shape == (len(terms),)
    assert np.shape(model.residual_scale_) == ((J,) if "by group" in structure else ())
    assert isinstance(model.residual_scale_, np.ndarray if "by group" in structure else float)


def test_groups_are_named(model):
    assert list(model.groups_) == list(SITES)
    assert model.n_groups_ == J


def test_features_are_named(model):
    assert list(model.feature_names_in_) == ["age", "dose"]
    assert model.n_features_in_ == 2


def test_names_and_dims_of_the_posterior_are_those_promised(model, structure, terms):
    expected = {
        "intercept": (),
        "coef": ("feature",),
        "tau_site": ("site_term",),
        "effect_site": ("site", "site_term"),
        "sigma": ("site",) if "by group" in structure else (),
    }
    if len(terms) > 1 and structure != "independent slopes":
        expected["corr_site"] = ("site_term", "site_term_bis")
    if structure == "no intercept":
        del expected["intercept"]
    if structure == "by group":  # the hyperparameters of the default prior
        expected |= {"log_sigma_mean": (), "log_sigma_sd": ()}
    actual = {k: v.dims for k, v in model.posterior_["posterior"].data_vars.items()}
    assert actual == {k: ("chain", "draw", *dims) for k, dims in expected.items()}


def test_coordinates_of_the_posterior_are_those_promised(model, terms):
    coords = model.posterior_["posterior"].coords
    expected = {
        "chain": [0, 1, 2, 3],
        "draw": list(range(50)),
        "feature": ["age", "dose"],
        "site": list(SITES),
        "site_term": terms,
    }
    if "site_term_bis" in coords:
        expected["site_term_bis"] = terms
    assert {name: list(c.to_numpy()) for name, c in coords.items()} == expected


def test_groups_of_the_tree_are_those_of_arviz(model):
    assert isinstance(model.posterior_, xr.DataTree)
    assert set(model.posterior_.children) == {
        "posterior",
        "sample_stats",
        "observed_data",
        "constant_data",
    }


def test_sampler_statistics_have_a_value_per_draw(model):
    statistics = model.posterior_["sample_stats"]
    assert {"diverging", "tree_depth", "n_steps", "step_size", "energy", "lp"} <= set(
        statistics
    )
    assert all(v.dims == ("chain", "draw") for v in statistics.data_vars.values())


def test_data_of_the_tree_are_those_of_the_groups(model):
    means = pd.concat([FRAME, Y], axis=1).groupby(SITE).mean()
    observed, constant = model.posterior_["observed_data"], model.posterior_["constant_data"]
    np.testing.assert_allclose(observed["y_mean"].sel(site=SITES), means["y"], rtol=1e-12)
    np.testing.assert_allclose(constant["x_mean"].sel(site=SITES), means[["age", "dose"]])
    assert list(constant["n"].to_numpy()) == [SIZE] * J


def test_posterior_draws_are_finite_and_scales_positive(model):
    posterior = model.posterior_["posterior"]
    assert all(np.all(np.isfinite(v)) for v in posterior.data_vars.values())
    assert np.all(posterior["tau_site"] > 0)
    assert np.all(posterior["sigma"] > 0)


def test_point_estimates_are_posterior_means(model, structure):
    mean = model.posterior_["posterior"].to_dataset().mean(("chain", "draw"))
    np.testing.assert_allclose(model.coef_, mean["coef"], rtol=1e-9)
    np.testing.assert_allclose(model.group_scale_, mean["tau_site"], rtol=1e-9)
    np.testing.assert_allclose(model.residual_scale_, mean["sigma"], rtol=1e-9)
    if structure == "no intercept":
        assert model.intercept_ == 0
    else:
        np.testing.assert_allclose(model.intercept_, mean["intercept"], rtol=1e-9)


def test_group_coefficients_are_population_and_effect(model):
    """Conditional moments have a smaller error than the means over draws that they match."""
    posterior = model.posterior_["posterior"].to_dataset()
    effect = posterior["effect_site"]
    for term in effect["site_term"].to_numpy():
        population = (
            posterior.get("intercept", 0)
            if term == "intercept"
            else posterior["coef"].sel(feature=term)
        )
        draws = population + effect.sel(site_term=term)
        actual = (
            model.group_intercept_
            if term == "intercept"
            else model.group_coef_[:, ["age", "dose"].index(term)]
        )
        error = draws.std(("chain", "draw")) / np.sqrt(50)
        assert np.all(np.abs(actual - draws.mean(("chain", "draw"))) < 5 * error)


def test_terms_that_do_not_vary_are_those_of_the_population(model, terms):
    for k, name in enumerate(["age", "dose"]):
        if name not in terms:
            np.testing.assert_allclose(model.group_coef_[:, k], model.coef_[k], atol=0.05)
            assert np.ptp(model.group_coef_[:, k]) == 0


SHRINKAGE = [
    "factor", "group", "coefficient", "n", "no_pooling", "partial_pooling", "complete_pooling",
    "sd", "pooling", "pooling_lower", "pooling_upper",
]  # fmt: skip


def test_shrinkage_has_a_row_per_group_and_term(model, terms):
    table = model.shrinkage_
    assert list(table.columns) == SHRINKAGE
    assert list(zip(table["group"], table["coefficient"], strict=True)) == [
        (site, term) for site in SITES for term in terms
    ]
    assert set(table["factor"]) == {"site"}
    assert table["n"].tolist() == [SIZE] * len(table)


def test_shrinkage_is_a_share(model):
    table = model.shrinkage_
    assert np.all((table["pooling_lower"] >= 0) & (table["pooling_upper"] <= 1))
    assert np.all(table["pooling_lower"] <= table["pooling"])
    assert np.all(table["pooling"] <= table["pooling_upper"])


def test_shrinkage_names_the_group_coefficients(model):
    table = model.shrinkage_.set_index(["coefficient", "group"])["partial_pooling"]
    for term in table.index.levels[0]:
        k = ["age", "dose"].index(term) if term != "intercept" else None
        expected = model.group_intercept_ if k is None else model.group_coef_[:, k]
        assert np.array_equal(table[term].loc[list(SITES)], expected)


def test_variance_components_have_a_row_per_term_and_the_residual(model, terms):
    table = model.variance_components_
    assert list(table.columns) == [
        "factor", "coefficient", "sd", "sd_lower", "sd_upper", "variance", "icc", "icc_lower",
        "icc_upper", "pooling",
    ]  # fmt: skip
    assert table["factor"].tolist() == ["site"] * len(terms) + ["residual"]
    assert table["coefficient"].tolist() == [*terms, ""]
    np.testing.assert_allclose(table["sd"][: len(terms)], model.group_scale_, rtol=1e-9)


def test_diagnostics_have_their_keys(model):
    assert set(model.diagnostics_) == {
        "max_rhat", "max_rhat_parameter", "n_rhat_above", "n_parameters", "min_ess",
        "min_ess_parameter", "n_divergences", "pareto_k", "seconds",
    }  # fmt: skip
    assert 0 < model.diagnostics_["seconds"] < 600
    assert (
        model.diagnostics_["max_rhat_parameter"].partition("[")[0]
        in model.posterior_["posterior"]
    )


def test_fit_returns_the_estimator_itself():
    model = estimator()
    assert model.fit(FRAME, Y, groups=SITE) is model


def test_score_is_r2(simple):
    weight = np.arange(len(Y))
    mean = simple.predict(FRAME, SITE)
    assert simple.score(FRAME, Y, SITE) == r2_score(Y, mean)
    assert simple.score(FRAME, Y, SITE, weight) == r2_score(Y, mean, sample_weight=weight)


def test_model_without_groups_is_a_regression():
    with pytest.warns(UserWarning, match="Fitted without groups"):
        model = estimator().fit(FRAME, Y)
    assert (model.n_groups_, model.groups_.shape) == (0, (0,))
    assert (model.group_coef_.shape, model.group_intercept_.shape) == ((0, 2), (0,))
    assert len(model.shrinkage_) == 0
    assert set(model.posterior_["posterior"].data_vars) == {"intercept", "coef", "sigma"}


def test_model_without_features_has_intercepts_only():
    model = estimator().fit(None, Y, groups=SITE)
    assert model.coef_.shape == (0,)
    assert "coef" not in model.posterior_["posterior"]
    assert model.predict(None, groups=["east", "new"]).shape == (2,)


def test_clone_is_not_fitted_and_fits_the_same(simple):
    other = clone(simple)
    assert not hasattr(other, "coef_")
    assert other.get_params() == simple.get_params()
    assert np.array_equal(other.fit(FRAME, Y, groups=SITE).coef_, simple.coef_)


def predictions(model):
    labels = ["east", "new", None]
    rows = FRAME[:3]
    return [
        *model.predict(rows, labels, return_std=True),
        model.predict_quantiles(rows, labels),
        model.sample_y(rows, labels, n_samples=3),
        model.log_predictive_density(rows, Y[:3], labels),
        model.group_coef_,
        *(v.to_numpy() for v in model.posterior_["posterior"].data_vars.values()),
    ]


def assert_same_predictions(one, other):
    for a, b in zip(predictions(one), predictions(other), strict=True):
        assert np.array_equal(a, b)


def test_pickle_predicts_the_same(model):
    assert_same_predictions(pickle.loads(pickle.dumps(model)), model)


def test_joblib_predicts_the_same(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    assert_same_predictions(joblib.load(file), model)


def test_pickle_does_not_grow_by_what_is_read(model):
    fresh = pickle.loads(pickle.dumps(model))
    before = len(pickle.dumps(fresh))
    predictions(fresh), fresh.shrinkage_, fresh.variance_components_, fresh.model_
    assert len(pickle.dumps(fresh)) == before


@pytest.fixture(scope="module")
def radon():
    data = load_radon(as_frame=True)
    model = HierarchicalNormalRegressor(random_state=0)
    return model.fit(data.data, data.target, groups=data.groups)


def test_pickle_of_radon_has_at_most_two_megabytes(radon):
    assert len(pickle.dumps(radon)) <= 2e6


HEAVY = ["pymc", "pytensor", "nutpie", "arviz", "arviz_base", "arviz_stats", "matplotlib"]


def modules_after(script, *arguments):
    """Names of the heavy modules that a fresh process has loaded after a script."""
    code = f"{script}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    finished = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return set(json.loads(finished.stdout.splitlines()[-1]))


def test_import_loads_nothing_heavy():
    loaded = modules_after("import skhbm")
    assert loaded.isdisjoint([*HEAVY, "pandas", "numba", "xarray"])


def test_import_of_the_estimator_loads_no_sampler():
    loaded = modules_after("from skhbm import HierarchicalNormalRegressor, Prior")
    assert loaded.isdisjoint([*HEAVY, "xarray"])


def test_prediction_from_a_pickle_loads_no_sampler(radon, tmp_path):
    path = tmp_path / "radon.pickle"
    path.write_bytes(pickle.dumps(radon))
    script = """
import pickle, sys
import numpy as np
model = pickle.load(open(sys.argv[1], "rb"))
X, labels = np.zeros((3, 2)), ["AITKIN", "new", None]
import warnings; warnings.simplefilter("ignore")
model.predict(X, labels, return_std=True), model.predict(X, labels, return_cov=True)
model.predict_interval(X, labels), model.sample_y(X, labels)
model.log_predictive_density(X, np.zeros(3), labels), model.score(X, [0, 1, 2], labels)
model.shrinkage_, model.variance_components_, model.group_coef_
"""
    assert modules_after(script, path).isdisjoint(HEAVY)


def test_model_is_a_pymc_model_with_names_and_dims(model, structure, terms):
    built = model.model_
    assert isinstance(built, pm.Model)
    dims = {name: tuple(d) for name, d in built.named_vars_to_dims.items()}
    assert dims["coef"] == ("feature",)
    assert dims["tau_site"] == ("site_term",)
    if "by group" in structure:
        assert dims["sigma"] == ("site",)
    if len(terms) > 1 and structure != "independent slopes":
        assert dims["corr_site"] == ("site_term", "site_term_bis")
    assert ("intercept" in built.named_vars) == (structure != "no intercept")


def test_model_has_the_coordinates_of_the_posterior(model):
    coords = {k: list(v) for k, v in model.model_.coords.items()}
    for name, values in model.posterior_["posterior"].coords.items():
        if name not in ("chain", "draw"):
            assert coords[name] == list(values.to_numpy())


def test_model_names_every_variable_of_the_posterior_but_the_effects(model):
    variables = set(model.posterior_["posterior"].data_vars) - {"effect_site"}
    assert variables <= set(model.model_.named_vars)


def test_model_without_groups_can_be_built():
    with pytest.warns(UserWarning, match="Fitted without groups"):
        model = estimator().fit(FRAME, Y)
    assert {"intercept", "coef", "sigma"} <= set(model.model_.named_vars)
    assert np.isfinite(model.model_.point_logps()["statistics"])


def prior_predictive(model, draws):
    return pm.sample_prior_predictive(draws=draws, model=model.model_, random_seed=0)


def test_prior_predictive_sampling_works(model):
    tree = prior_predictive(model, 50)
    for group in ("prior", "prior_predictive"):
        for values in tree[group].data_vars.values():
            assert values.sizes["draw"] == 50
            assert np.all(np.isfinite(values))


def precise(value):
    """A prior that leaves a number less doubt than the Monte Carlo error of simulations."""
    return Prior("Normal", mu=value, sigma=1e-4)


def precise_scale(value):
    return Prior("LogNormal", mu=float(np.log(value)), sigma=1e-4)


SMALL_SIZES = [1, 2, 5, 9]
INTERCEPT, COEF, TAU, RESIDUAL = 2.0, np.array([1.0, -0.5]), np.array([1.5, 0.7]), 0.8
SIMULATED = {
    "intercepts": {},
    "independent slopes": {"varying_slopes": [1], "correlated": False},
    "a slope without intercepts": {"varying_slopes": [1], "varying_intercept": False},
    "by group": {"residual_scale": "by_group", "varying_slopes": [1], "correlated": False},
}


@pytest.fixture(scope="module", params=SIMULATED)
def simulation(request):
    """Simulated statistics (n_draws, k), and those of rows simulated by brute force."""
    return simulate(SIMULATED[request.param])


def simulate(parameters, n_draws=4000):
    rng = np.random.default_rng(83)
    codes = np.repeat(np.arange(len(SMALL_SIZES)), SMALL_SIZES)
    X = rng.normal(1, 2, size=(len(codes), 2))
    slopes = parameters.get("varying_slopes", [])
    Z = np.column_stack([np.ones(len(codes)), X[:, slopes]])
    names, tau = ["intercept", "x1"][: 1 + len(slopes)], TAU[: 1 + len(slopes)]
    if not parameters.get("varying_intercept", True):
        Z, names, tau = Z[:, 1:], names[1:], tau[1:]
    priors = {
        "intercept": precise(INTERCEPT),
        "coef": {"x0": precise(COEF[0]), "x1": precise(COEF[1])},
        "tau": {name: precise_scale(t) for name, t in zip(names, tau, strict=True)},
        "sigma": precise_scale(RESIDUAL),
    }
    y = rng.standard_normal(len(codes))
    model = estimator(priors=priors, **parameters).fit(X, y, groups=codes)
    node = prior_predictive(model, n_draws)["prior_predictive"]["statistics"]
    effects = tau * rng.standard_normal((n_draws, len(SMALL_SIZES), len(tau)))
    rows = INTERCEPT + X @ COEF + np.einsum("ia,sia->si", Z, effects[:, codes])
    rows += RESIDUAL * rng.standard_normal(rows.shape)
    expected = np.array([target_columns(model, X, row, codes) for row in rows])
    return node.to_numpy().reshape(n_draws, -1), expected


def target_columns(model, X, y, codes):
    """The statistics of a target, in the coordinates of the model's observed node."""
    from skhbm import GroupedStatistics
    from skhbm._design.roots import split_roots

    design = model._posterior.design
    statistics = GroupedStatistics.from_arrays(X, y, codes)
    _, E, W, _ = split_roots(statistics, design.scaling, design.terms)
    W = W if design.terms.by_group else W.sum(axis=0, keepdims=True)
    return np.concatenate([E[:, :, -1].ravel(), W[:, :, -1].ravel()])


def test_simulated_statistics_have_the_means_of_those_of_rows(simulation):
    actual, expected = simulation
    error = np.sqrt((actual.var(axis=0) + expected.var(axis=0)) / len(actual))
    difference = np.abs(actual.mean(axis=0) - expected.mean(axis=0))
    assert np.all(difference <= 5 * error + 1e-9 * np.abs(expected).max())


def test_simulated_statistics_have_the_covariance_of_those_of_rows(simulation):
    actual, expected = (s - s.mean(axis=0) for s in simulation)
    products = [np.einsum("si,sj->sij", s, s) for s in (actual, expected)]
    error = np.sqrt(sum(p.var(axis=0) for p in products) / len(actual))
    difference = np.abs(products[0].mean(axis=0) - products[1].mean(axis=0))
    assert np.all(difference <= 5 * error + 1e-9 * np.abs(products[1]).max())


def test_observed_statistics_are_those_of_the_rows(simple):
    built = simple.model_
    observed = built.rvs_to_values[built["statistics"]].data
    codes = np.searchsorted(SITES, SITE)
    expected = target_columns(simple, FRAME.to_numpy(), Y.to_numpy(), codes)
    np.testing.assert_allclose(observed, expected, rtol=1e-9, atol=1e-12)


def test_nothing_is_printed_by_default(capfd):
    fit()
    assert capfd.readouterr() == ("", "")


def test_chains_that_did_not_converge_are_warned_of():
    message = (
        r"\d of 5 parameters have R-hat > 1.01 \(largest \d\.\d+, (tau_site|coef|sigma|inter)"
        r".*; smallest effective sample size \d+, \w+.*Increase `draws` and `tune`.* or give "
        r"more informative `priors`"
    )
    with pytest.warns(ConvergenceWarning, match=message):
        fit(draws=4, tune=2)


def test_divergences_are_warned_of():
    message = (
        r"\d+ draws diverged. Increase .*`target_accept`, or give more informative `priors`"
    )
    with pytest.warns(ConvergenceWarning, match=message):
        fit(draws=500, tune=1, target_accept=0.01)


def test_diagnostics_of_a_model_that_did_not_converge_say_so():
    model = fit(draws=4, tune=2)
    assert model.diagnostics_["max_rhat"] > 1.01
    assert model.diagnostics_["n_rhat_above"] >= 1


def test_default_settings_converge_without_a_warning(radon):
    assert radon.diagnostics_["max_rhat"] < 1.01
    assert radon.diagnostics_["n_divergences"] == 0
    assert radon.diagnostics_["min_ess"] > 1000
