"""Mixtures of normals against sums over components and pairs of components, written out."""

import numpy as np
import pytest
from mixture_oracle import KINDS, N_DRAWS, double_sum, mixtures
from scipy.special import logsumexp, ndtr, ndtri
from scipy.stats import norm

from skhbm._prediction.characteristic import REACH, characteristic_function
from skhbm._prediction.mixtures import log_densities, quantiles, ranked_scores

PROBABILITIES = np.array([1e-7, 1e-3, 0.05, 0.2, 0.5, 0.75, 0.95, 0.999])


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def single(y, mean, sd):
    """The score of one normal: Gneiting & Raftery (2007), section 4.2."""
    z = (y - mean) / sd
    return sd * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))


def spreads(mean, sd):
    return np.sqrt(np.mean(sd**2, axis=1) + np.var(mean, axis=1))


def test_ranked_scores_are_the_double_sum(kind):
    mean, sd, y = mixtures(kind)
    expected = [double_sum(*row) for row in zip(mean, sd, y, strict=True)]
    # Both subtract distances that are as large as the spread, or the distance of y.
    size = 1e-11 * (spreads(mean, sd) + np.abs(y - mean.mean(axis=1)))
    np.testing.assert_array_less(np.abs(ranked_scores(mean, sd, y) - expected), size)


@pytest.mark.parametrize("n_draws", [1, 2, 129, 1000])
def test_ranked_score_of_equal_components_is_that_of_one_normal(n_draws):
    y = np.linspace(-40, 60, 101)
    mean, sd = np.full((len(y), n_draws), 10.0), np.full((len(y), n_draws), 3.0)
    np.testing.assert_allclose(ranked_scores(mean, sd, y), single(y, 10.0, 3.0), rtol=1e-11)


def test_ranked_score_of_points_is_that_of_their_distribution_function():
    """The integral of the squared difference of two step functions."""
    mean, sd, y = mixtures("nearly points")
    for score, points, at in zip(ranked_scores(mean, sd, y), mean, y, strict=True):
        steps = np.sort(np.append(points, at))
        below = np.searchsorted(np.sort(points), steps[:-1], side="right") / len(points)
        expected = np.sum(np.diff(steps) * (below - (steps[:-1] >= at)) ** 2)
        # Points are normals of sd 1e-9.
        assert score == pytest.approx(expected, abs=1e-8)


def test_ranked_score_moves_with_units(kind):
    mean, sd, y = mixtures(kind)
    moved = ranked_scores(1000 * mean - 5, 1000 * sd, 1000 * y - 5)
    np.testing.assert_allclose(moved, 1000 * ranked_scores(mean, sd, y), rtol=1e-7)


def test_quantiles_have_their_probability_below(kind):
    mean, sd, _ = mixtures(kind)
    found = quantiles(mean, sd, PROBABILITIES, ndtri(PROBABILITIES))
    slack = 1e-10 * spreads(mean, sd)[:, None]
    for k, p in enumerate(PROBABILITIES):
        below, above = (
            ndtr((found[:, [k]] + shift - mean) / sd).mean(axis=1) for shift in (-slack, slack)
        )
        # Sums of 300 probabilities round, too.
        assert np.all(below <= p + 1e-13)
        assert np.all(above >= p - 1e-13)


def test_quantiles_do_not_depend_on_which_others_are_asked_for(kind):
    mean, sd, _ = mixtures(kind)
    together = quantiles(mean, sd, PROBABILITIES, ndtri(PROBABILITIES))
    for k, p in enumerate(PROBABILITIES):
        alone = quantiles(mean, sd, np.array([p]), ndtri([p]))
        assert np.array_equal(alone[:, 0], together[:, k])


def test_quantiles_of_equal_components_are_those_of_one_normal():
    mean, sd = np.full((1, 500), -3.0), np.full((1, 500), 0.5)
    found = quantiles(mean, sd, PROBABILITIES, ndtri(PROBABILITIES))
    np.testing.assert_allclose(found[0], norm.ppf(PROBABILITIES, -3, 0.5), rtol=1e-12)


def test_log_densities_are_those_of_the_sum(kind):
    mean, sd, y = mixtures(kind)
    expected = logsumexp(norm.logpdf(y[:, None], mean, sd), axis=1) - np.log(N_DRAWS)
    np.testing.assert_allclose(log_densities(mean, sd, y), expected, rtol=1e-12, atol=1e-12)


def test_log_density_of_a_target_out_of_all_proportion_is_minus_infinity():
    mean, sd = np.zeros((1, 3)), np.ones((1, 3))
    assert log_densities(mean, sd, np.array([1e200]))[0] == -np.inf


@pytest.mark.parametrize("n_draws", [1, 7, 128, 300])
@pytest.mark.parametrize("narrowest", [0.3, 0.003])
def test_characteristic_function_is_the_mean_of_those_of_components(n_draws, narrowest):
    """With few frequencies, and with so many that powers are computed afresh."""
    rng = np.random.default_rng(89)
    mean = rng.standard_normal(n_draws)
    sd = np.append(rng.uniform(narrowest, 0.5, size=n_draws - 1), narrowest)
    h = 2 * np.pi / (2 * np.abs(mean).max() + REACH)
    re, im = characteristic_function(mean, sd, 0.0, h, narrowest, 10_000)
    t = h * np.arange(1, 1 + len(re))
    terms = np.exp(1j * t[:, None] * mean - (t[:, None] * sd) ** 2 / 2)
    np.testing.assert_allclose(re + 1j * im, terms.mean(axis=1), rtol=0, atol=1e-12)
    assert t[-1] * narrowest >= REACH


def test_characteristic_function_of_too_many_frequencies_is_not_computed():
    mean, sd = np.zeros(3), np.array([1.0, 1e-6, 1.0])
    assert characteristic_function(mean, sd, 0.0, 0.1, 1e-6, 100).shape == (2, 0)
