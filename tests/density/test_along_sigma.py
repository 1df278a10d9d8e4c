"""The density of several factors whose residual scale is integrated along its line."""

import numpy as np
import pytest
from internals import build
from random_parts import random_codes, structures_by
from reference import make_several_factors_table
from scipy import stats
from scipy.integrate import simpson

from skhbm import Prior
from skhbm._density.along_sigma import AlongSigma
from skhbm._density.evaluation import WholeVector

NON_NORMAL = {"coef": Prior("StudentT", nu=4, mu=0.2, sigma=1.5)}
STRUCTURES = {
    "intercepts": structures_by((), ()),
    "three factors": structures_by((), (), ()),
    "correlated slopes": structures_by((0,), (0, 1)),
    "non-normal coefficients": structures_by((), (0,), priors=NON_NORMAL),
    "other priors": structures_by(
        (),
        (),
        priors={"tau": Prior("Exponential", lam=0.7), "sigma": Prior("HalfCauchy", beta=2)},
    ),
}
#: Where log sigma is integrated; the density is below 1e-20 of its mode at either end.
GRID = np.linspace(-5, 6, 8801)


def density_of(structures):
    rng = np.random.default_rng(7)
    codes = random_codes(rng, 40, *(6, 4, 3)[: len(structures)])
    return build(structures, make_several_factors_table(rng, codes, 2, location=1))[2]


@pytest.fixture(params=STRUCTURES, ids=str)
def density(request):
    return density_of(STRUCTURES[request.param])


def along_grid(density, x):
    """Return log densities of the whole vectors of a point along the grid."""
    whole = np.insert(np.tile(x, (len(GRID), 1)), density.n_effects, GRID, axis=1)
    whole[:, density.spreads] += GRID[:, None]
    return WholeVector(density).evaluate(whole, 1).logp


def points(density, n=4):
    about = 0.5 * np.random.default_rng(1).standard_normal((n, density.n_dim))
    of_points = density.points_about(np.zeros(density.n_dim))
    assert isinstance(of_points, AlongSigma)
    return of_points, about @ of_points.forms.T


def test_density_is_the_integral_over_sigma(density):
    of_points, x = points(density)
    for row, found in zip(x, of_points.evaluate(x, 1).logp, strict=True):
        logs = along_grid(density, row)
        expected = np.log(simpson(np.exp(logs - logs.max()), x=GRID)) + logs.max()
        assert found == pytest.approx(expected, rel=1e-9)


def test_it_is_the_same_wherever_the_mode_is_looked_for(density):
    _, x = points(density)
    near, far = (AlongSigma(density, guess).evaluate(x, 1).logp for guess in (0.0, 3.0))
    np.testing.assert_allclose(near, far, rtol=1e-9)


def test_sigma_is_drawn_from_its_distribution(density):
    of_points, x = points(density, 1)
    many = np.zeros(5000, dtype=np.int64)
    found = of_points.evaluate(x, 1).take(many)
    whole, logp = of_points.complete(x[many], found, np.random.default_rng(3))
    logs = along_grid(density, x[0])
    heights = np.exp(logs - logs.max())
    cdf = np.concatenate([[0], np.cumsum(heights[1:] + heights[:-1])])
    uniform = np.interp(whole[:, density.n_effects], GRID, cdf / cdf[-1])
    assert stats.kstest(uniform, "uniform").pvalue > 1e-4
    expected = WholeVector(density).evaluate(whole[:100], 1).logp
    np.testing.assert_allclose(logp[:100], expected, atol=1e-3)
    np.testing.assert_allclose(whole @ of_points.forms.T, x[many], atol=1e-12)


def test_threads_do_not_matter(density):
    of_points, x = points(density, 7)
    one, three = (of_points.evaluate(x, threads) for threads in (1, 3))
    for a, b in zip(one, three, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_point_far_away_has_no_density():
    of_points, x = points(density_of(STRUCTURES["intercepts"]), 1)
    assert of_points.evaluate(x + 800.0, 1).logp[0] == -np.inf


@pytest.mark.parametrize(
    "structures",
    [
        structures_by((), (), known=True),
        structures_by((), (), priors={"sigma": Prior("Uniform", lower=0, upper=5)}),
        structures_by((), (), priors={"tau": Prior("Uniform", lower=0, upper=5)}),
    ],
    ids=["known errors", "prior of sigma", "prior of tau"],
)
def test_without_logs_points_are_whole_vectors(structures):
    rng = np.random.default_rng(7)
    errors = 0.3 if structures[0].known else None
    table = make_several_factors_table(
        rng, random_codes(rng, 30, 5, 3), 2, location=1, errors=errors
    )
    density = build(structures, table)[2]
    assert isinstance(density.points_about(np.zeros(density.n_dim)), WholeVector)
