"""The marginal likelihood and the sampled density against dense, row-wise ones."""

import itertools
from functools import partial

import numpy as np
import pytest
from internals import FlatDensity, build, build_pymc, evaluate_density, evaluate_marginal
from pymc_density import FlatModel, hyperparameters
from reference import (
    Oracle,
    Structure,
    assert_dense,
    assert_gradient,
    dense_covariance,
    dense_log_density,
    differentiate,
    gaussian_posterior,
    make_table,
    spread_of,
)
from scipy import stats

from skhbm import Prior

N_POINTS = 6

TABLES = {
    "groups of 1 to 50 rows": {"sizes": (1, 2, 3, 4, 5, 8, 13, 21, 34, 50), "n_features": 3},
    "fewer rows than terms": {"sizes": (1, 1, 2, 2, 1, 3, 2), "n_features": 3},
    "a slope feature constant within groups": {
        "sizes": (6, 1, 9, 4, 12), "n_features": 3, "constant_within": (0,),
    },
    "one group": {"sizes": (12,), "n_features": 2},
    "features far from zero": {"sizes": (7, 3, 11), "n_features": 2, "location": 30},
}  # fmt: skip


@pytest.fixture(params=TABLES, ids=str)
def table(request):
    return make_table(np.random.default_rng(17), **TABLES[request.param])


def random_covariance(rng, q):
    root = rng.standard_normal((q, q)) * np.exp(rng.normal(-0.5, 0.5, size=(q, 1)))
    return root @ root.T


def working_rows(design, structure, table):
    """Standardise rows by the design's scaling, written out."""
    scaling = design.scaling
    fixed = (table.X - scaling.x_mean) / scaling.x_scale
    varying = table.X[:, list(structure.slopes)] / scaling.x_scale[list(structure.slopes)]
    one = np.ones((len(fixed), 1))
    fixed = np.hstack([one, fixed]) if structure.intercept else fixed
    varying = np.hstack([one, varying]) if structure.varying_intercept else varying
    return fixed, varying, (table.y - scaling.y_mean) / scaling.y_scale


MARGINALS = [
    pytest.param(slopes, varying_intercept, by_group, share, id=(
        f"slopes {slopes}, {'' if varying_intercept else 'no '}varying intercept, "
        f"{'by group' if by_group else 'shared'}, {share} integrated"
    ))
    for slopes, varying_intercept, by_group, share in itertools.product(
        [(), (0,), (0, 1)], [True, False], [False, True], ["none", "some", "all"]
    )
    if slopes or varying_intercept
]  # fmt: skip


@pytest.mark.parametrize(("slopes", "varying_intercept", "by_group", "share"), MARGINALS)
def test_marginal_log_density_is_the_dense_one(
    table, slopes, varying_intercept, by_group, share
):
    rng = np.random.default_rng(3)
    structure = Structure(slopes, varying_intercept=varying_intercept, by_group=by_group)
    design, _, _ = build(structure, table)
    fixed, varying, y = working_rows(design, structure, table)
    p = fixed.shape[1]
    k = {"none": 0, "some": p // 2, "all": p}[share]
    ours, dense = [], []
    for _ in range(N_POINTS):
        cov = random_covariance(rng, structure.q)
        sigma = np.exp(rng.normal(-0.3, 0.4, size=table.n_groups if by_group else 1))
        offset, T = rng.standard_normal(p), rng.standard_normal((p, k))
        ours.append(evaluate_marginal(design, cov, sigma, offset, T)[0])
        row_sigma = sigma[table.codes] if by_group else np.full(len(y), sigma[0])
        FT = fixed @ T
        covariance = dense_covariance(varying, table.codes, cov, row_sigma) + FT @ FT.T
        dense.append(dense_log_density(y - fixed @ offset, covariance))
    assert spread_of(np.subtract(ours, dense)) <= 1e-9 * np.max(np.abs(dense))


@pytest.mark.parametrize(("slopes", "varying_intercept", "by_group", "share"), MARGINALS)
def test_gradients_of_the_marginal_are_its_differences(
    table, slopes, varying_intercept, by_group, share
):
    rng = np.random.default_rng(4)
    structure = Structure(slopes, varying_intercept=varying_intercept, by_group=by_group)
    design, _, _ = build(structure, table)
    q, p = structure.q, len(table.features) + 1
    T = rng.standard_normal((p, {"none": 0, "some": p // 2, "all": p}[share]))
    cov = random_covariance(rng, q) + 0.3 * np.eye(q)
    sigma = np.exp(rng.normal(-0.3, 0.4, size=table.n_groups if by_group else 1))
    x = np.concatenate([cov[np.tril_indices(q)], sigma, rng.standard_normal(p)])

    def parts(x):
        lower = np.zeros((q, q))
        lower[np.tril_indices(q)] = x[: q * (q + 1) // 2]
        cov = lower + np.tril(lower, -1).T
        return cov, *np.split(x[q * (q + 1) // 2 :], [len(sigma)])

    expected, error = differentiate(
        lambda x: evaluate_marginal(design, *parts(x), T)[0], x, 5e-4
    )
    _, d_cov, d_sigma, d_offset = evaluate_marginal(design, *parts(x), T)
    # One entry below the diagonal of a symmetric matrix stands for two.
    d_lower = (d_cov + d_cov.T - np.diag(np.diag(d_cov)))[np.tril_indices(q)]
    gradient = np.concatenate([d_lower, d_sigma, d_offset])
    assert np.all(np.abs(gradient - expected) <= 5 * error)
    assert np.all(error <= 1e-4 * (1 + np.abs(expected).max()))


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


def random_points(n_dim, n_points=N_POINTS):
    return 0.5 * np.random.default_rng(5).standard_normal((n_points, n_dim))


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
