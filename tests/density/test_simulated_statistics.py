"""Statistics that PyMC simulates from a model have the moments of those of simulated rows."""

import numpy as np
import pymc as pm
import pytest
from internals import observed_statistics
from marks import FEW_DRAWS
from named_sites import FRAME, SITE, SITES, Y, fitted
from random_parts import random_codes

from skhbm import GroupedStatistics, HierarchicalNormalRegressor, Prior
from skhbm._design.roots import split_roots

pytestmark = [
    # PyTensor warns when it simulates from a model.
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS:UserWarning"),
    pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning"),
    pytest.mark.filterwarnings("ignore:The labels of 'group0' look as if numbered anew"),
    *FEW_DRAWS,
]

INTERCEPT, COEF, RESIDUAL = 2.0, np.array([1.0, -0.5]), 0.8
TAU = {"intercept": 1.5, "x1": 0.7}
SIZES = [1, 2, 5, 9]

ONE_FACTOR = {
    "intercepts": {},
    "independent slopes": {"varying_slopes": [1], "correlated": False},
    "a slope without intercepts": {"varying_slopes": [1], "varying_intercept": False},
    "by group": {"residual_scale": "by_group", "varying_slopes": [1], "correlated": False},
}
SEVERAL_FACTORS = {
    "slopes in both": {"varying_slopes": [1], "correlated": False},
    "slopes alone in one": {
        "varying_slopes": {"group0": [1]}, "varying_intercept": {"group0": False},
    },
    "three factors": {"varying_slopes": {"group2": [1]}, "correlated": False},
    "known errors": {"residual_scale": "known"},
}  # fmt: skip


def precise(value):
    """Return a prior narrower than the Monte Carlo error of simulations."""
    return Prior("Normal", mu=value, sigma=1e-4)


def precise_scale(value):
    return Prior("LogNormal", mu=float(np.log(value)), sigma=1e-4)


PRIORS = {
    "intercept": precise(INTERCEPT),
    "coef": {"x0": precise(COEF[0]), "x1": precise(COEF[1])},
    "sigma": precise_scale(RESIDUAL),
}


@pytest.fixture(scope="module", params=[*ONE_FACTOR, *SEVERAL_FACTORS])
def simulation(request):
    """Return statistics of PyMC (n_draws, k), of simulated rows, observed, and of the rows."""
    if request.param in ONE_FACTOR:
        return simulate_one_factor(ONE_FACTOR[request.param])
    sizes = (4, 3, 2) if request.param == "three factors" else (4, 3)
    return simulate_several_factors(SEVERAL_FACTORS[request.param], sizes)


def regressor(priors, parameters):
    return HierarchicalNormalRegressor(
        draws=4, tune=1, chains=1, random_state=0, priors=priors, **parameters
    )


def simulated_by_pymc(model, n_draws):
    tree = pm.sample_prior_predictive(draws=n_draws, model=model.model_, random_seed=0)
    return tree["prior_predictive"]["statistics"].to_numpy().reshape(n_draws, -1)


def observed_by_pymc(model):
    built = model.model_
    return built.rvs_to_values[built["statistics"]].data


def simulate_one_factor(parameters, n_draws=4000):
    rng = np.random.default_rng(83)
    codes = np.repeat(np.arange(len(SIZES)), SIZES)
    X = rng.normal(1, 2, size=(len(codes), 2))
    slopes = parameters.get("varying_slopes", [])
    terms = ["intercept"] * parameters.get("varying_intercept", True) + ["x1"] * len(slopes)
    tau = np.array([TAU[name] for name in terms])
    y = rng.standard_normal(len(codes))
    priors = {**PRIORS, "tau": {name: precise_scale(TAU[name]) for name in terms}}
    model = regressor(priors, parameters).fit(X, y, groups=codes)
    Z = np.column_stack([np.ones(len(X)) if name == "intercept" else X[:, 1] for name in terms])
    effects = tau * rng.standard_normal((n_draws, len(SIZES), len(tau)))
    rows = INTERCEPT + X @ COEF + np.einsum("ia,sia->si", Z, effects[:, codes])
    rows += RESIDUAL * rng.standard_normal(rows.shape)
    expected = np.array([response_columns(model, X, row, codes) for row in rows])
    observed = observed_by_pymc(model)
    of_rows = response_columns(model, X, y, codes)
    return simulated_by_pymc(model, n_draws), expected, observed, of_rows


def response_columns(model, X, y, codes):
    """Return the statistics of a response as the model's observed node has them."""
    design = model._posterior.design
    statistics = GroupedStatistics.from_arrays(X, y, codes)
    _, E, W, _ = split_roots(statistics, design.scaling, design.terms)
    W = W if design.terms.by_group else W.sum(axis=0, keepdims=True)
    return np.concatenate([E[:, :, -1].ravel(), W[:, :, -1].ravel()])


def simulate_several_factors(parameters, sizes, n_draws=2000):
    rng = np.random.default_rng(83)
    codes = random_codes(rng, 18, *sizes)
    X = rng.normal(1, 2, size=(len(codes), 2))
    known = parameters.get("residual_scale") == "known"
    errors = np.exp(rng.normal(0, 0.5, len(codes))) if known else None
    priors = {name: prior for name, prior in PRIORS.items() if name != "sigma" or not known}
    rows = np.tile(INTERCEPT + X @ COEF, (n_draws, 1))
    slopes, intercepts = (
        parameters.get(name, {}) for name in ("varying_slopes", "varying_intercept")
    )
    for f in range(len(sizes)):
        features = slopes.get(f"group{f}", []) if isinstance(slopes, dict) else slopes
        terms = ["intercept"] * intercepts.get(f"group{f}", True) + [f"x{k}" for k in features]
        priors[f"tau_group{f}"] = {name: precise_scale(TAU[name]) for name in terms}
        for name in terms:
            z = np.ones(len(X)) if name == "intercept" else X[:, 1]
            rows += z * (TAU[name] * rng.standard_normal((n_draws, 4)))[:, codes[:, f]]
    rows += (RESIDUAL if errors is None else errors) * rng.standard_normal(rows.shape)
    y = rng.standard_normal(len(codes))
    model = regressor(priors, parameters).fit(X, y, groups=codes, y_err=errors)
    expected = np.array([observed_statistics(model, X, row, codes, errors) for row in rows])
    observed = observed_by_pymc(model)
    of_rows = observed_statistics(model, X, y, codes, errors)
    return simulated_by_pymc(model, n_draws), expected, observed, of_rows


def test_simulated_statistics_have_the_means_of_those_of_rows(simulation):
    actual, expected, _, _ = simulation
    error = np.sqrt((actual.var(axis=0) + expected.var(axis=0)) / len(actual))
    difference = np.abs(actual.mean(axis=0) - expected.mean(axis=0))
    assert np.all(difference <= 5 * error + 1e-9 * np.abs(expected).max())


def test_simulated_statistics_have_the_covariance_of_those_of_rows(simulation):
    actual, expected = (s - s.mean(axis=0) for s in simulation[:2])
    products = [np.einsum("si,sj->sij", s, s) for s in (actual, expected)]
    error = np.sqrt(sum(p.var(axis=0) for p in products) / len(actual))
    difference = np.abs(products[0].mean(axis=0) - products[1].mean(axis=0))
    assert np.all(difference <= 5 * error + 1e-9 * np.abs(products[1]).max())


def test_observed_statistics_are_those_of_the_rows(simulation):
    np.testing.assert_allclose(simulation[2], simulation[3], rtol=1e-9, atol=1e-12)


def test_observed_statistics_of_named_rows_are_theirs():
    model, codes = fitted("intercepts"), np.searchsorted(SITES, SITE)
    expected = response_columns(model, FRAME.to_numpy(), Y.to_numpy(), codes)
    np.testing.assert_allclose(observed_by_pymc(model), expected, rtol=1e-9, atol=1e-12)
