"""Predictive distributions of other responses, against brute force and simulation."""

import math

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import expit, ndtri

from skhbm._families.table import FAMILIES
from skhbm._prediction.count_mixtures import CountDistribution
from skhbm._prediction.response_blocks import LinearPredictors
from skhbm._prediction.responses import ResponsePredictive

NAMES = sorted(FAMILIES)
COUNTS = ("bernoulli", "binomial", "negative_binomial", "poisson")
S, N = 203, 12


def predictive(name, *, new=False, n_draws=S, scale=0.4, intercept=0.3, threads=1, seed=0):
    """Rows of two factors, of which every other one has a new group in the first."""
    rng = np.random.default_rng(seed)
    fixed = np.column_stack([np.ones(N), rng.normal(size=(N, 2))])
    coefficients = rng.normal(size=(3, n_draws)) * 0.1
    coefficients[0] += intercept
    codes = [rng.integers(0, 4, N), rng.integers(0, 2, N)]
    if new:
        codes[0][::2] = -1
        codes[1][:3] = -1
    varying = [fixed[:, :2].copy(), np.ones((N, 1))]
    effects = [scale * rng.normal(size=(n_draws, 4, 2)), 0.2 * rng.normal(size=(n_draws, 2, 1))]
    roots = scale * (np.eye(2) + 0.3 * rng.normal(size=(n_draws, 2, 2)))
    covariances = [roots @ roots.transpose(0, 2, 1), np.full((n_draws, 1, 1), 0.04)]
    predictors = LinearPredictors(
        fixed, coefficients, varying, codes, effects, covariances, threads
    )
    dispersion = {
        "negative_binomial": (rng.gamma(5.0, 0.5, n_draws) + 0.2,),
        "student_t": (rng.gamma(20.0, 0.05, n_draws), rng.gamma(9.0, 0.6, n_draws) + 2.5),
    }.get(name, ())
    size = np.ones(N)
    if name == "binomial":
        size = rng.integers(1, 30, N).astype(float)
    if name in ("poisson", "negative_binomial"):
        size = rng.uniform(0.5, 9.0, N)
    return ResponsePredictive(FAMILIES[name], predictors, size, dispersion)


def dense(p):
    """Mean and variance of linear predictors (n, n_draws), by einsum."""
    q = p.predictors
    mean, variance = q.fixed @ q.coefficients, np.zeros((N, q.n_draws))
    for z, codes, effects, cov in zip(
        q.varying, q.codes, q.effects, q.covariances, strict=True
    ):
        seen = codes >= 0
        mean[seen] += np.einsum("ia,sia->is", z[seen], effects[:, codes[seen]])
        variance[~seen] += np.einsum("ia,sab,ib->is", z[~seen], cov, z[~seen])
    return mean, variance


def nodes(p):
    """Linear predictors (n, n_draws, n_nodes), and the weights of the nodes."""
    mean, variance = dense(p)
    if not np.any(variance):
        return mean[..., None], np.ones(1)
    z = np.linspace(-14.0, 14.0, 281)
    weights = stats.norm.pdf(z)
    return mean[..., None] + np.sqrt(variance)[..., None] * z, weights / weights.sum()


def wide(p):
    return tuple(d[:, None] for d in p.dispersion)


def target(p, seed=1):
    mean, variance = dense(p)
    rng = np.random.default_rng(seed)
    eta = mean[:, 0] + np.sqrt(variance[:, 0]) * rng.normal(size=N)
    return p.family.draw(rng, p.size, eta, tuple(d[0] for d in p.dispersion))


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_moments_are_those_of_the_mixture(name, new):
    p = predictive(name, new=new)
    eta, w = nodes(p)
    size, family = p.size[:, None, None], p.family
    expected = family.mean(size, eta, wide(p))
    noise = np.mean(family.variance(size, eta, wide(p)) @ w, axis=1)
    mean = np.mean(expected @ w, axis=1)
    of_expectation = np.mean(expected**2 @ w, axis=1) - mean**2
    found = p.moments()
    np.testing.assert_allclose(found[0], mean, rtol=1e-9)
    np.testing.assert_allclose(found[1], np.sqrt(noise + of_expectation), rtol=1e-8)
    same, sd = p.moments(with_noise=False)
    np.testing.assert_array_equal(same, found[0])
    np.testing.assert_allclose(sd, np.sqrt(of_expectation), rtol=1e-6)


@pytest.mark.parametrize("sd", [0.01, 0.3, 1.0, 2.0, 5.0, 20.0, 60.0])
@pytest.mark.parametrize("mean", [-9.0, -1.0, 0.0, 3.0])
def test_average_probability_of_a_new_group(mean, sd):
    predictors = LinearPredictors(
        np.ones((1, 1)),
        np.full((1, 3), mean),
        [np.ones((1, 1))],
        [np.array([-1])],
        [np.zeros((3, 1, 1))],
        [np.full((3, 1, 1), sd**2)],
    )
    p = ResponsePredictive(FAMILIES["bernoulli"], predictors, np.ones(1), ())

    def integrand(x, power):
        return expit(x) ** power * stats.norm.pdf(x, mean, sd)

    first, second = (
        integrate.quad(
            integrand, mean - 12 * sd, mean + 12 * sd, (power,), points=[0], limit=900,
            epsabs=1e-13, epsrel=1e-12,
        )[0]
        for power in (1, 2)
    )  # fmt: skip
    found, spread = p.moments(with_noise=False)
    assert found[0] == pytest.approx(first, rel=0, abs=2e-9)
    assert spread[0] ** 2 == pytest.approx(second - first**2, abs=1e-8)


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_log_densities_are_those_of_the_mixture(name, new):
    p = predictive(name, new=new)
    y, (eta, w) = target(p), nodes(p)
    density = np.exp(
        p.family.log_density(y[:, None, None], p.size[:, None, None], eta, wide(p))
    )
    np.testing.assert_allclose(
        p.log_density(y), np.log(np.mean(density @ w, axis=1)), atol=1e-7
    )


@pytest.mark.parametrize(
    ("name", "y", "size", "dispersion"),
    [
        ("poisson", 0.0, 1.0, ()),
        ("poisson", 40.0, 1.0, ()),
        ("poisson", 1e6, 1.0, ()),
        ("poisson", 3.0, 1e-6, ()),
        ("poisson", 0.0, 1e6, ()),
        ("binomial", 0.0, 1000.0, ()),
        ("binomial", 1000.0, 1000.0, ()),
        ("binomial", 1e6 - 3, 1e6, ()),
        ("bernoulli", 1.0, 1.0, ()),
        ("negative_binomial", 1000.0, 1.0, (0.1,)),
        ("negative_binomial", 1000.0, 1.0, (1e8,)),
        ("negative_binomial", 0.0, 1e4, (2.0,)),
        ("student_t", 0.5, 1.0, (1.0, 4.0)),
        ("student_t", 500.0, 1.0, (1.0, 1.5)),
        ("student_t", 20.0, 1.0, (1.0, 1e9)),
        ("student_t", -9.0, 1.0, (0.02, 3.0)),
        ("student_t", 3.0, 1.0, (50.0, 3.0)),
    ],
)
@pytest.mark.parametrize("sd", [0.02, 0.7, 3.0])
def test_log_densities_of_new_groups_hold_far_out(name, y, size, dispersion, sd):
    mean, family = -0.4, FAMILIES[name]
    predictors = LinearPredictors(
        np.ones((1, 1)),
        np.full((1, 2), mean),
        [np.ones((1, 1))],
        [np.array([-1])],
        [np.zeros((2, 1, 1))],
        [np.full((2, 1, 1), sd**2)],
    )
    d = tuple(np.full(2, value) for value in dispersion)
    found = ResponsePredictive(family, predictors, np.array([size]), d).log_density(
        np.array([y])
    )
    # A dense sum, refined about its largest term.
    ends = (mean - 45 * sd - 20, mean + 45 * sd + 20)
    for _ in range(6):
        eta = np.linspace(*ends, 40_001)
        log_f = family.log_density(y, size, eta, dispersion) + stats.norm.logpdf(eta, mean, sd)
        near = np.flatnonzero(log_f > log_f.max() - 45)
        low, high = max(near[0] - 1, 0), min(near[-1] + 1, len(eta) - 1)
        total = np.log(np.sum(np.exp(log_f - log_f.max())) * (eta[1] - eta[0])) + log_f.max()
        if high - low > 20_000:
            break
        ends = (eta[low], eta[high])
    assert found[0] == pytest.approx(total, rel=1e-9, abs=2e-6)


def brute_cdf(p, k):
    eta, w = nodes(p)
    values = p.family.cdf(k[:, None, None], p.size[:, None, None], eta, wide(p))
    return np.mean(values @ w, axis=1)


@pytest.mark.parametrize("name", NAMES)
def test_cdf_of_known_groups_is_that_of_the_mixture(name):
    p = predictive(name)
    y = target(p)
    exact = {"rtol": 1e-9, "atol": 1e-12}
    # The scales of a draw leave some 0.03, at random from draw to draw.
    strata = {"atol": 4 * 0.03 / math.sqrt(S)}
    for some in (y, y + 0.5, y - 1.0, y + 20.0):
        np.testing.assert_allclose(
            p.cdf(some), brute_cdf(p, some), **(exact if p.family.discrete else strata)
        )


@pytest.mark.parametrize("name", NAMES)
def test_cdf_of_new_groups_is_near_that_of_the_mixture(name):
    p = predictive(name, new=True, n_draws=200)
    y = target(p)
    np.testing.assert_allclose(p.cdf(y), brute_cdf(p, y), atol=4 * 0.03 / math.sqrt(200))


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("name", COUNTS)
def test_quantiles_of_counts_are_the_least_that_suffice(name, new):
    p = predictive(name, new=new, n_draws=100)
    shares = np.array([0.01, 0.1, 0.5, 0.9, 0.995])
    found = p.quantiles(shares)
    assert np.all(found == np.rint(found))
    assert np.all(found >= 0)
    # The strata of a draw leave some 0.01, at random from draw to draw.
    error = 4 * 0.01 / math.sqrt(100) if new else 1e-10
    for k, share in zip(found.T, shares, strict=True):
        assert np.all(brute_cdf(p, k) >= share - error)
        assert np.all(brute_cdf(p, k - 1.0) < share + error)


@pytest.mark.parametrize("new", [False, True])
def test_quantiles_of_t_are_those_of_the_mixture(new):
    p = predictive("student_t", new=new, n_draws=500)
    shares = np.array([0.005, 0.1, 0.5, 0.9, 0.995])
    found = p.quantiles(shares)
    for k, share in zip(found.T, shares, strict=True):
        # The scales of a draw leave some 0.03, at random from draw to draw.
        np.testing.assert_allclose(brute_cdf(p, k), share, atol=4 * 0.03 / math.sqrt(500))


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_quantiles_of_the_expectation(name, new):
    p = predictive(name, new=new)
    shares = np.array([0.05, 0.5, 0.9])
    found = p.quantiles(shares, with_noise=False)
    mean, variance = dense(p)
    size = p.size if p.family.size_name else np.ones(N)
    for i in range(N):
        eta = p.family.apply_link(found[i] / size[i])
        if np.all(variance[i] == 0):
            np.testing.assert_allclose(eta, np.quantile(mean[i], shares), atol=1e-9)
            continue
        below = stats.norm.cdf(eta[:, None], mean[i], np.sqrt(variance[i])).mean(axis=1)
        np.testing.assert_allclose(below, shares, atol=1e-8)


@pytest.mark.parametrize("name", COUNTS)
def test_ranked_scores_of_counts_are_their_sums(name):
    p = predictive(name, n_draws=40)
    for y in (target(p), np.zeros(N), p.size if name == "binomial" else np.full(N, 1.0)):
        k = np.arange(400.0)
        eta, _ = dense(p)
        expected = np.empty(N)
        for i in range(N):
            below = p.family.cdf(
                k[:, None], p.size[i], eta[i], tuple(d[None] for d in p.dispersion)
            ).mean(axis=1)
            expected[i] = np.sum((below - (k >= y[i])) ** 2)
        np.testing.assert_allclose(p.ranked_score(y), expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_ranked_scores_are_those_of_simulations(name, new):
    p = predictive(name, new=new, n_draws=500)
    y, (mean, variance), rng = target(p), dense(p), np.random.default_rng(2)
    found = p.ranked_score(y)
    for i in range(0, N, 3):
        chosen = rng.integers(0, 500, 40_000)
        eta = mean[i, chosen] + np.sqrt(variance[i, chosen]) * rng.normal(size=40_000)
        drawn = p.family.draw(rng, p.size[i], eta, tuple(d[chosen] for d in p.dispersion))
        first, second = drawn[:20_000], drawn[20_000:]
        terms = (np.abs(first - y[i]) + np.abs(second - y[i]) - np.abs(first - second)) / 2
        error = terms.std() / math.sqrt(len(terms)) + 1e-3 * abs(found[i])
        assert abs(found[i] - terms.mean()) < 4.5 * error


@pytest.mark.parametrize("name", ["poisson", "negative_binomial", "binomial"])
def test_counts_of_a_wide_range(name):
    rng, family = np.random.default_rng(4), FAMILIES[name]
    eta = rng.normal(0.2, 0.3, 300) + (11.0 if name != "binomial" else 0.0)
    dispersion = (np.full(300, 40.0),) if name == "negative_binomial" else ()
    size = 1e5 if name == "binomial" else 1.0
    count = CountDistribution(family, size, eta, dispersion)
    for share, k in zip(
        (0.02, 0.5, 0.98), count.quantiles(np.array([0.02, 0.5, 0.98])), strict=True
    ):
        assert count.at(k) >= share - 1e-9
        assert count.at(k - 1.0) < share + 1e-9
    # The distribution of the sum is smooth: every 50th count suffices for the sum of squares.
    step = 50.0
    k = np.arange(0.0, size if name == "binomial" else 4.0 * np.exp(eta.max()), step)
    means = family.mean(size, eta, dispersion)
    below = np.zeros(len(k))
    for m, s in zip(means, np.sqrt(family.variance(size, eta, dispersion)), strict=True):
        if name == "negative_binomial":
            below += stats.gamma.cdf(k + 0.5, 40.0, scale=m / 40.0) / len(means)
        else:
            below += stats.norm.cdf(k + 0.5, m, s) / len(means)
    for y in np.round([means.min(), means.mean(), 1.5 * means.max()]):
        y = min(y, size) if name == "binomial" else y
        y = step * round(y / step)
        expected = step * np.sum((below - (k >= y)) ** 2)
        assert count.ranked_score(y) == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_is_predicted_alike_alone_and_among_others(name):
    p, shares = predictive(name, new=True, n_draws=64), np.array([0.1, 0.8])
    y, q = target(p), p.predictors
    for i in (0, 5):
        some = slice(i, i + 1)
        alone = LinearPredictors(
            q.fixed[some],
            q.coefficients,
            [z[some] for z in q.varying],
            [c[some] for c in q.codes],
            q.effects,
            q.covariances,
        )
        one = ResponsePredictive(p.family, alone, p.size[some], p.dispersion)
        for noise in (True, False):
            np.testing.assert_array_equal(
                np.array(one.moments(with_noise=noise))[:, 0],
                np.array(p.moments(with_noise=noise))[:, i],
            )
            np.testing.assert_array_equal(
                one.quantiles(shares, with_noise=noise)[0],
                p.quantiles(shares, with_noise=noise)[i],
            )
        assert one.log_density(y[some])[0] == p.log_density(y)[i]
        assert one.ranked_score(y[some])[0] == p.ranked_score(y)[i]


def test_threads_and_blocks_change_nothing(monkeypatch):
    alone = predictive("poisson", new=True)
    monkeypatch.setattr("skhbm._prediction.response_blocks.CACHED", 500)
    threaded = predictive("poisson", new=True, threads=2)
    y = target(alone)
    np.testing.assert_array_equal(alone.moments(), threaded.moments())
    np.testing.assert_array_equal(alone.log_density(y), threaded.log_density(y))
    np.testing.assert_array_equal(alone.ranked_score(y), threaded.ranked_score(y))


def test_normal_scores_of_strata_are_even():
    from skhbm._prediction.response_components import of_row

    eta, _ = of_row(np.zeros(500), np.ones(500), ())
    shares = np.linspace(0.02, 0.98, 50)
    np.testing.assert_allclose(np.quantile(eta, shares), ndtri(shares), atol=0.01)
