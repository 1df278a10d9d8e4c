"""A few nodes in the place of all draws: their moments, and what effects get from them."""

import numpy as np
import pytest
from structures import crossed_rows, fit_several_factors

from skhbm._posterior.nodes import (
    MOST,
    _Coordinates,
    _cubature,
    all_nodes,
    joint_effects,
    moment_nodes,
)

pytestmark = pytest.mark.filterwarnings("ignore:Pareto k:sklearn.exceptions.ConvergenceWarning")

STRUCTURES = ["intercepts", "slopes of both", "known errors", "a sampled coefficient"]


@pytest.fixture(scope="module", params=STRUCTURES)
def posterior(request):
    rows = crossed_rows(6, 300, 12, 8, errors=request.param == "known errors")
    model = fit_several_factors(request.param, rows, solver="laplace", draws=1000)
    return model._posterior


def test_coordinates_are_those_of_the_nodes(posterior):
    draws = all_nodes(posterior)
    coordinates = _Coordinates(draws)
    again = coordinates.nodes(coordinates.of_nodes(draws))
    for root, other in zip(draws.roots, again.roots, strict=True):
        np.testing.assert_allclose(other, root, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(again.sigma, draws.sigma, rtol=1e-12)
    np.testing.assert_array_equal(again.sampled, draws.sampled)


def test_nodes_have_the_mean_and_covariance_of_the_draws(posterior):
    draws = all_nodes(posterior)
    coordinates = _Coordinates(draws)
    x, at = (coordinates.of_nodes(nodes) for nodes in (draws, _cubature(draws)))
    assert len(at) == 2 * x.shape[1]
    scale = x.std(axis=0)
    np.testing.assert_allclose(at.mean(axis=0) / scale, x.mean(axis=0) / scale, atol=1e-6)
    np.testing.assert_allclose(
        np.cov(at.T, bias=True) / np.outer(scale, scale),
        np.cov(x.T, bias=True) / np.outer(scale, scale),
        atol=1e-6,
    )


def test_moments_of_effects_are_about_those_over_all_draws(posterior):
    """To 0.05 sds, and variances to a tenth: the Monte Carlo error of 400 and 200 draws."""
    nodes = moment_nodes(posterior)
    assert len(nodes.sigma) <= MOST < posterior.n_draws
    ours, theirs = (
        joint_effects(posterior, some).level_moments() for some in (nodes, all_nodes(posterior))
    )
    for level, expected in zip(ours, theirs, strict=True):
        variance = np.einsum("jaa->ja", expected.cov)
        assert np.all(np.abs(level.mean - expected.mean) <= 0.05 * np.sqrt(variance))
        np.testing.assert_allclose(np.einsum("jaa->ja", level.cov), variance, rtol=0.1)


def test_few_draws_are_all_nodes():
    model = fit_several_factors("intercepts", crossed_rows(6), solver="laplace", draws=100)
    nodes, draws = moment_nodes(model._posterior), all_nodes(model._posterior)
    np.testing.assert_array_equal(nodes.sigma, draws.sigma)
    for root, other in zip(nodes.roots, draws.roots, strict=True):
        np.testing.assert_array_equal(root, other)


def test_draws_of_a_point_have_one_node_but_for_sigma():
    """What is factorised once must not differ in the last digit."""
    rows = crossed_rows(6)
    model = fit_several_factors("a sampled coefficient", rows, solver="laplace")
    posterior = model._posterior
    nodes, index = all_nodes(posterior), posterior.points.index.ravel()
    assert len(np.unique(index)) < len(index)
    for array in (*nodes.roots, nodes.sampled):
        assert len(np.unique(array.reshape(len(index), -1), axis=0)) == len(np.unique(index))
