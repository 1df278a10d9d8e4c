"""The density of one factor, sampled and of PyMC's model, against dense, row-wise ones."""

from functools import partial

import numpy as np
import pytest
from internals import FlatDensity, build, build_pymc, evaluate_density
from pymc_density import FlatModel, hyperparameters
from random_parts import random_points
from reference import (
    Oracle,
    Structure,
    assert_dense,
    assert_gradient,
    dense_covariance,
    gaussian_posterior,
    make_table,
)
from scipy import stats

from skhbm import Prior

STRUCTURES = {
    "shared": Structure(),
    "by group, hierarchical": Structure(by_group=True),
    "by group, independent": Structure(
        by_group=True, priors={"sigma": Prior("HalfNormal", sigma=3)}
    ),
    "correlated slope": Structure((1,)),
    "correlated slopes": Structure((0, 1)),
    "uncorrelated slopes": Structure((0, 1), correlated=False),
    "correlated slopes, by group": Structure((0, 1), by_group=True),
    "slopes only": Structure((0,), varying_intercept=False),
    "correlated slopes only": Structure((0, 1), varying_intercept=False),
    "no intercept": Structure((0,), intercept=False, varying_intercept=False),
    "no intercept in the population": Structure((1,), intercept=False),
    "non-normal coefficients": Structure(
        priors={"coef": Prior("StudentT", nu=4, mu=0.2, sigma=1.5)}
    ),
    "non-normal intercept": Structure(
        (0,), priors={"intercept": Prior("StudentT", nu=3, mu=1, sigma=4)}
    ),
    "one non-normal coefficient, by group": Structure(
        by_group=True, priors={"coef": {"x1": Prior("Laplace", mu=0.1, b=2)}}
    ),
    "positive coefficients": Structure(priors={"coef": Prior("HalfNormal", sigma=2)}),
    "one positive coefficient": Structure(
        (0,), priors={"coef": {"x0": Prior("Gamma", alpha=2, beta=1.5)}}
    ),
    "positive and other coefficients": Structure(
        priors={
            "intercept": Prior("StudentT", nu=5, mu=0, sigma=3),
            "coef": {
                "x0": Prior("LogNormal", mu=0, sigma=1),
                "x1": Prior("Normal", mu=1, sigma=2),
            },
        }
    ),
    "bounded coefficient": Structure(
        priors={"coef": {"x0": Prior("Uniform", lower=-4, upper=3)}}
    ),
    "explicit normal priors": Structure(
        (0,),
        priors={
            "intercept": Prior("Normal", mu=1, sigma=7),
            "coef": Prior("Normal", mu=-0.3, sigma=0.8),
        },
    ),
    "priors of every kind": Structure(
        (0, 1),
        priors={
            "tau": {
                "intercept": Prior("Exponential", lam=0.7),
                "x0": Prior("InverseGamma", alpha=2, beta=1),
                "x1": Prior("Uniform", lower=0, upper=5),
            },
            "corr": Prior("LKJCorr", eta=3.5),
            "sigma": Prior("HalfCauchy", beta=2),
            "intercept": Prior("Normal", mu=2, sigma=3),
        },
    ),
    "uniform correlations": Structure((0, 1), priors={"corr": Prior("LKJCorr", eta=1)}),
}

ROWS = {"sizes": (5, 1, 8, 3, 14, 2), "n_features": 2, "location": 2, "scale": 1.5}


@pytest.fixture(params=STRUCTURES, ids=str)
def structure(request):
    return STRUCTURES[request.param]


@pytest.fixture
def rows():
    return make_table(np.random.default_rng(23), **ROWS)


def test_sampled_density_is_the_dense_one(structure, rows):
    oracle = Oracle(structure, rows)
    density = FlatDensity(build(structure, rows)[2])
    dense = partial(oracle.log_density, sampled=~oracle.normal)
    assert_dense(density, dense, random_points(density.n_dim))


def test_gradient_of_the_density_is_its_differences(structure, rows):
    density = FlatDensity(build(structure, rows)[2])
    assert_gradient(density, random_points(density.n_dim, 3))


def test_density_of_the_pymc_model_is_the_dense_one(structure, rows):
    oracle = Oracle(structure, rows)
    model = build_pymc(structure, rows)
    flat = FlatModel(model, hyperparameters(model, structure, "group"))
    everything = np.ones(len(oracle.normal), dtype=bool)
    dense = partial(oracle.log_density, sampled=everything)
    assert_dense(flat, dense, random_points(flat.n_dim, 4))


def test_gradient_of_the_pymc_model_is_its_differences(rows):
    structure = STRUCTURES["priors of every kind"]
    model = build_pymc(structure, rows)
    flat = FlatModel(model, hyperparameters(model, structure, "group"))
    assert_gradient(flat, random_points(flat.n_dim, 2))


def test_sampled_and_integrated_coefficients_have_the_same_posterior_density(rows):
    structure = Structure((0,))
    oracle = Oracle(structure, rows)
    _, _, density = build(structure, rows)
    assert oracle.normal.all()
    none = np.zeros(len(oracle.normal), dtype=bool)
    _, _, natural = evaluate_density(density, np.zeros(density.n_dim))
    tau, R, scales, _ = oracle.split(natural, sampled=none)
    # p(theta) = p(coef, theta) / p(coef | theta), at any coefficients.
    everything = ~none
    rng = np.random.default_rng(6)
    sigma = np.full(len(rows.y), scales[0])
    cov = dense_covariance(oracle.Z, rows.codes, tau[:, None] * R * tau, sigma)
    mean = np.array([p.parameters["mu"] for p in oracle.coef_priors])
    sd = np.array([p.parameters["sigma"] for p in oracle.coef_priors])
    conditional = stats.multivariate_normal(
        *gaussian_posterior(oracle.H, rows.y, cov, mean, sd)
    )
    for _ in range(3):
        coef = conditional.mean + rng.standard_normal(len(mean)) * 0.3
        joint = oracle.log_density(np.concatenate([natural, coef]), sampled=everything)
        expected = oracle.log_density(natural, sampled=none)
        assert joint - conditional.logpdf(coef) == pytest.approx(expected, rel=1e-9)
