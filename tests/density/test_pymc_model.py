"""The PyMC model of an estimator: names, coordinates and simulated statistics."""

import numpy as np
import pymc as pm
import pytest
from marks import FEW_DRAWS
from named_sites import FRAME, SITE, SITES, STRUCTURES, Y, estimator, fitted, terms_of

from skhbm import Prior

pytestmark = [
    # PyTensor's own, at simulating from a model.
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS:UserWarning"),
    pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning"),
    *FEW_DRAWS,
]


@pytest.fixture(scope="module", params=STRUCTURES)
def structure(request):
    return request.param


@pytest.fixture(scope="module")
def model(structure):
    return fitted(structure)


@pytest.fixture(scope="module")
def terms(structure):
    return terms_of(structure)


@pytest.fixture(scope="module")
def simple():
    return fitted("intercepts")


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
