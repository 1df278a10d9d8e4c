"""The tabulated likelihood of one varying term against dense densities and the exact kernel."""

import numpy as np
import pytest
from internals import build
from numpy.polynomial.chebyshev import chebvander
from reference import (
    Structure,
    Table,
    dense_covariance,
    dense_log_density,
    gaussian_posterior,
    mcse,
    working_rows,
)
from scipy import linalg
from scipy.stats import special_ortho_group

from skhbm import HierarchicalNormalRegressor, Prior
from skhbm._density.coefficients import make_coefficients
from skhbm._likelihood.panels import interpolation, locate, make_panels
from skhbm._likelihood.tabulated import Tabulated
from skhbm._likelihood.tabulated_draws import _normal, draw_coefficients, n_innovations

STRUCTURES = {
    "intercepts": Structure(),
    "a slope alone": Structure(slopes=(0,), varying_intercept=False),
    "no intercept": Structure(intercept=False),
    "known errors": Structure(known=True),
    "explicit intercept": Structure(
        priors={"intercept": Prior("Normal", mu=1.0, sigma=4.0)},
    ),
}
#: Rows, groups and features: fewer coefficients than groups, more, more than rows.
SHAPES = {"by ratio": (150, 40, 7), "by variance": (160, 9, 21), "wide": (30, 6, 45)}


def simulate(shape, structure, seed=0):
    """Return rows with two collinear features, one that is constant within groups."""
    n, J, p = SHAPES[shape]
    rng = np.random.default_rng(seed)
    codes = np.sort(np.concatenate([np.arange(J), rng.integers(0, J, n - J)]))
    X = rng.standard_normal((n, p)) + 0.5
    X[:, 1] = rng.standard_normal(J)[codes]
    X[:, 3] = X[:, 2] - 2 * X[:, 4]
    y = 1 + X[:, 0] + rng.standard_normal(J)[codes] + rng.standard_normal(n)
    errors = np.exp(0.3 * rng.standard_normal(n)) if structure.known else None
    return Table(X, y, codes, errors)


@pytest.fixture(params=[(s, name) for s in SHAPES for name in STRUCTURES], ids=str)
def case(request, monkeypatch):
    """Return a structure, its rows, design, priors and density."""
    monkeypatch.setattr("skhbm._density.assemble.TABULATED", 0)
    shape, name = request.param
    structure = STRUCTURES[name]
    table = simulate(shape, structure)
    design, priors, density = build(structure, table)
    assert isinstance(density.likelihood, Tabulated)
    assert density.likelihood.by_ratio == (shape == "by ratio")
    return structure, table, design, priors, density


def points(case, seed=1, n=25):
    """Return covariances (n, 1, 1) and residual scales (n, 1), from tiny to large."""
    structure, _, design, _, _ = case
    rng = np.random.default_rng(seed)
    cov = np.exp(rng.uniform(-12, 3, (n, 1, 1)))
    sigma = np.exp(rng.uniform(-1.5, 1, (n, 1)))
    if structure.known:
        sigma[:] = 1 / design.scaling.y_scale
    return zip(cov, sigma, strict=True)


def dense_parts(case, cov, sigma):
    """Return prior mean and root of w, the rows, and the covariance of y given w."""
    structure, table, design, priors, _ = case
    coefficients = make_coefficients(design, priors)
    fixed, varying, y = working_rows(design, structure, table)
    row_sigma = sigma[0] * (table.errors if structure.known else np.ones(len(y)))
    covariance = dense_covariance(varying, table.codes, cov, row_sigma)
    return coefficients.offset, coefficients.T, fixed, y, covariance


def test_log_density_is_the_dense_one(case):
    ours, dense = [], []
    for cov, sigma in points(case):
        ours.append(case[-1].likelihood.value_and_gradient(cov, sigma, np.empty(0))[0])
        offset, T, fixed, y, covariance = dense_parts(case, cov, sigma)
        FT = fixed @ T
        dense.append(dense_log_density(y - fixed @ offset, covariance + FT @ FT.T))
    difference = np.subtract(ours, dense)
    assert np.ptp(difference) <= 1e-9 * np.max(np.abs(dense))


def test_value_and_gradient_are_those_of_the_exact_kernel(case):
    likelihood = case[-1].likelihood
    for cov, sigma in points(case, seed=2, n=100):
        value, *gradient = likelihood.value_and_gradient(cov, sigma, np.empty(0))
        expected, *slope = likelihood.exact.value_and_gradient(cov, sigma, np.empty(0))
        np.testing.assert_allclose(value, expected, rtol=1e-11, atol=1e-10)
        # Derivatives in the logarithms have the size of a log density.
        size = 1 + abs(expected)
        # With known errors nobody asks for the derivative in sigma.
        scales = (cov,) if case[0].known else (cov, sigma)
        for found, by, at in zip(gradient, slope, scales, strict=False):
            np.testing.assert_allclose(found * at, by * at, atol=1e-10 * size)


def test_draws_have_the_conditional_mean_and_covariance(case):
    """Draws are linear in their normals: those of zero are the mean, of units a root."""
    density = case[-1]
    likelihood, basis = density.likelihood, density.basis
    size = n_innovations(likelihood)
    z = np.vstack([np.zeros(size), np.eye(size)])
    for cov, sigma in points(case, n=5):
        variance = np.repeat(sigma**2, len(z))
        ratio = cov.ravel() / variance
        g = draw_coefficients(likelihood, basis.rotation, ratio, variance, z)
        w = basis.base + g @ basis.rotated.T
        root = w[1:] - w[0]
        offset, T, fixed, y, covariance = dense_parts(case, cov, sigma)
        k = T.shape[1]
        mean, exact = gaussian_posterior(
            fixed @ T, y - fixed @ offset, covariance, np.zeros(k), np.ones(k)
        )
        exact = T @ exact @ T.T
        sd = np.sqrt(np.diag(exact))
        assert np.all(np.abs(w[0] - offset - T @ mean) <= 1e-6 * sd)
        np.testing.assert_allclose(root.T @ root, exact, atol=1e-6 * np.outer(sd, sd).max())


def test_draws_do_not_depend_on_the_rotation_among_equal_eigenvalues(monkeypatch):
    """Orthonormal columns of a balanced design leave their eigenvectors open."""
    monkeypatch.setattr("skhbm._density.assemble.TABULATED", 0)
    for J in (16, 3):
        rng = np.random.default_rng(3)
        codes = np.repeat(np.arange(J), 8)
        inside = linalg.hadamard(8)[:, 1:6]
        table = Table(np.tile(inside, (J, 1)), rng.standard_normal(8 * J), codes)
        _, _, density = build(Structure(), table)
        likelihood, basis = density.likelihood, density.basis
        equal = np.isclose(likelihood.groups.d, likelihood.groups.d.max())
        turn = np.eye(len(equal))
        turn[np.ix_(equal, equal)] = special_ortho_group(equal.sum(), seed=0).rvs()
        groups = likelihood.groups
        turned = likelihood._replace(
            groups=groups._replace(
                E=groups.E @ linalg.block_diag(turn, 1.0),
                score=groups.score @ turn,
                mean=groups.mean @ turn,
            )
        )
        z = rng.standard_normal((20, n_innovations(likelihood)))
        points = np.full(20, 0.7), np.full(20, 0.6)
        g = draw_coefficients(likelihood, basis.rotation, *points, z)
        h = draw_coefficients(turned, basis.rotation @ turn, *points, z)
        np.testing.assert_allclose(
            g @ basis.rotation.T, h @ (basis.rotation @ turn).T, atol=1e-9
        )


def test_interpolation_errs_by_rounding_for_groups_of_any_size():
    """All functions of t that are tabulated are made of 1 / (1 + n t) and its logarithm."""
    n = np.array([1.0, 3.0, 60.0, 1000.0])
    panels = make_panels(0.5 / n.max(), 1e4, from_zero=True)
    t = np.concatenate([[0.0], np.geomspace(1e-9, 1e4 * (1 - 1e-12), 4000)])
    panel, x = locate(panels, t)
    assert panel.min() == 0
    assert panel.max() == len(panels.nodes) - 1
    n_nodes = panels.nodes.shape[1]
    weights = chebvander(x, n_nodes - 1) @ interpolation(n_nodes)
    for function in (lambda v: 1 / (1 + v), np.log1p):
        nodes = function(np.multiply.outer(panels.nodes, n))
        found = np.einsum("ti,tin->tn", weights, nodes[panel])
        exact = function(np.multiply.outer(t, n))
        np.testing.assert_allclose(found, exact, atol=2e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_beyond_the_panels_is_the_exact_kernel(shape, monkeypatch):
    monkeypatch.setattr("skhbm._density.assemble.TABULATED", 0)
    likelihood = build(Structure(), simulate(shape, Structure()))[2].likelihood
    by_ratio, by_variance = [(1e12, 0.5), (np.nan, 1.0)], [(0.3, 1e-9), (0.2, np.inf)]
    for cov, sigma in by_ratio if likelihood.by_ratio else by_variance:
        point = np.full((1, 1), cov), np.array([sigma]), np.empty(0)
        found = likelihood.value_and_gradient(*point)
        expected = likelihood.exact.value_and_gradient(*point)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_precision_that_rounding_made_indefinite_is_at_least_that_of_the_prior():
    """Otherwise the draws of a direction that the data do not span would be lost."""
    vectors = special_ortho_group(3, seed=1).rvs()
    precision = (vectors * [-1e-3, 5.0, 4e12]) @ vectors.T
    root = np.array([_normal(precision, np.zeros(3), z) for z in np.eye(3)])
    variances = np.linalg.eigvalsh(root.T @ root)
    np.testing.assert_allclose(variances[-2:], [0.2, 1.0], rtol=1e-3)


def test_many_columns_without_groups_have_the_posterior_of_a_ridge_regression():
    """Given sigma the coefficients are normal, of mean (X'X / sigma^2 + P)^-1 X'y / sigma^2."""
    rng = np.random.default_rng(8)
    X = rng.standard_normal((200, 40))
    X -= X.mean(axis=0)
    y = X[:, 0] - X[:, 1] + rng.standard_normal(200)
    y -= y.mean()
    with pytest.warns(UserWarning, match="without groups"):
        model = HierarchicalNormalRegressor(random_state=0).fit(X, y)
    posterior = model.posterior_["posterior"]
    prior_sd = 2.5 * y.std() / X.std(axis=0)
    variances = posterior["sigma"].to_numpy().ravel()[::40] ** 2
    precisions = [X.T @ X / v + np.diag(prior_sd**-2) for v in variances]
    means = [
        np.linalg.solve(P, X.T @ y / v) for P, v in zip(precisions, variances, strict=True)
    ]
    coef = posterior["coef"].to_numpy()
    error = 5 * np.array([mcse(coef[:, :, k]) for k in range(40)])
    assert np.all(np.abs(model.coef_ - np.mean(means, axis=0)) <= error)
    sd = np.sqrt(np.mean([np.diag(np.linalg.inv(P)) for P in precisions], axis=0))
    error = 5 * np.array([mcse(coef[:, :, k], "sd") for k in range(40)])
    assert np.all(np.abs(coef.std(axis=(0, 1)) - sd) <= error)


def test_without_varying_terms_the_tables_are_exact(monkeypatch):
    monkeypatch.setattr("skhbm._density.assemble.TABULATED", 0)
    structure = Structure(varying_intercept=False)
    density = build(structure, simulate("by ratio", structure))[2]
    likelihood, cov = density.likelihood, np.empty((0, 0))
    assert isinstance(likelihood, Tabulated)
    for sigma in (np.array([0.2]), np.array([3.0])):
        value, _, d_sigma, _ = likelihood.value_and_gradient(cov, sigma, np.empty(0))
        expected, _, slope, _ = likelihood.exact.value_and_gradient(cov, sigma, np.empty(0))
        np.testing.assert_allclose(value, expected, rtol=1e-11)
        np.testing.assert_allclose(d_sigma, slope, rtol=1e-9)
    z = np.zeros((3, n_innovations(likelihood)))
    g = draw_coefficients(likelihood, density.basis.rotation, z[:, 0], np.full(3, 0.3), z)
    assert np.all(np.isfinite(g))
