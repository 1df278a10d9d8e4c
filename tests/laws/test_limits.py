"""Limits whose answer is known, and predictions against brute force over draws."""

from dataclasses import dataclass

import numpy as np
import pytest
from reference import dense_covariance, gaussian_posterior, mcse
from scipy import stats
from sklearn.linear_model import LinearRegression

from skhbm import HierarchicalNormalRegressor, Prior

SIZES = [6, 9, 14, 20, 11, 8]
NAMES = np.array(["a", "b", "c", "d", "e", "f"])


@dataclass
class Data:
    X: np.ndarray
    y: np.ndarray
    codes: np.ndarray

    @property
    def groups(self):
        return NAMES[self.codes]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(41)
    codes = np.repeat(np.arange(len(SIZES)), SIZES)
    X = np.array([1.0, -0.5]) + rng.standard_normal((len(codes), 2))
    slopes = rng.normal([1.0, -1.0], 0.7, size=(len(SIZES), 2))
    y = rng.normal(3, 1, size=len(SIZES))[codes] + np.sum(slopes[codes] * X, axis=1)
    return Data(X, y + 0.8 * rng.standard_normal(len(codes)), codes)


def known(value, precision):
    """A prior that leaves a positive parameter little doubt."""
    return Prior("LogNormal", mu=float(np.log(value)), sigma=precision)


#: Priors so wide that they shrink coefficients of size one by 1e-8 only.
WIDE = {"intercept": Prior("Normal", mu=0, sigma=1e4), "coef": Prior("Normal", mu=0, sigma=1e4)}


def fit(data, **parameters):
    model = HierarchicalNormalRegressor(random_state=0, **parameters)
    return model.fit(data.X, data.y, groups=data.groups)


def group_draws(model, term):
    """Draws (chains, draws, groups) of population + effect."""
    posterior = model.posterior_["posterior"]
    effect = posterior["effect_group"].sel(group_term=term).to_numpy()
    population = (
        posterior["intercept"] if term == "intercept" else posterior["coef"].sel(feature=term)
    )
    return population.to_numpy()[:, :, None] + effect


def test_no_variance_between_groups_is_complete_pooling(data):
    model = fit(data, priors={**WIDE, "tau": Prior("HalfNormal", sigma=1e-3)})
    pooled = LinearRegression().fit(data.X, data.y)
    posterior = model.posterior_["posterior"]
    # tau <= 4e-3 moves estimates by its square over the variance of group means, 1e-4.
    for name, expected in (("intercept", pooled.intercept_), ("coef", pooled.coef_)):
        draws = posterior[name].to_numpy()
        error = np.abs(draws.mean(axis=(0, 1)) - expected)
        assert np.all(error <= 5 * mcse(draws) + 1e-4)


def test_no_variance_between_groups_leaves_none(data):
    model = fit(data, priors={**WIDE, "tau": Prior("HalfNormal", sigma=1e-3)})
    assert np.ptp(model.group_intercept_) < 1e-3
    assert np.all(model.shrinkage_["pooling"] > 0.99)


@pytest.fixture(scope="module")
def unpooled(data):
    priors = {**WIDE, "tau": known(1e4, 0.05), "corr": Prior("LKJCorr", eta=50)}
    return fit(data, varying_slopes="all", priors=priors)


def test_great_variance_between_groups_is_least_squares_of_each(data, unpooled):
    for j, name in enumerate(unpooled.groups_):
        rows = data.groups == name
        least_squares = LinearRegression().fit(data.X[rows], data.y[rows])
        for k, term in enumerate(["intercept", "x0", "x1"]):
            draws = group_draws(unpooled, term)[:, :, j]
            expected = least_squares.intercept_ if k == 0 else least_squares.coef_[k - 1]
            assert abs(draws.mean() - expected) <= 5 * mcse(draws) + 1e-4


def test_no_pooling_column_is_least_squares_of_each(data, unpooled):
    table = unpooled.shrinkage_.set_index(["group", "coefficient"])["no_pooling"]
    for name in unpooled.groups_:
        rows = data.groups == name
        least_squares = LinearRegression().fit(data.X[rows], data.y[rows])
        actual = table[name][["intercept", "x0", "x1"]].to_numpy()
        np.testing.assert_allclose(
            actual, [least_squares.intercept_, *least_squares.coef_], rtol=1e-8
        )


def test_great_variance_between_groups_is_no_pooling(unpooled):
    assert np.all(unpooled.shrinkage_["pooling"] < 1e-4)


def test_complete_pooling_column_is_least_squares_of_all_rows(data, unpooled):
    table = unpooled.shrinkage_.set_index(["group", "coefficient"])["complete_pooling"]
    least_squares = LinearRegression().fit(data.X, data.y)
    actual = table["a"][["intercept", "x0", "x1"]].to_numpy()
    np.testing.assert_allclose(
        actual, [least_squares.intercept_, *least_squares.coef_], rtol=1e-8
    )


TAU, SIGMA = np.array([0.9, 0.6]), 0.8
BY_GROUP = np.array([0.5, 0.8, 1.1, 0.7, 0.9, 0.6])
PRECISION = 1e-3


def exact_posterior(data, tau, sigma):
    """Return moments of coefficients and effects given hyperparameters, by dense algebra."""
    n, J = len(data.y), len(SIZES)
    Z = np.column_stack([np.ones(n), data.X[:, 0]])
    effects = np.zeros((n, J, 2))
    effects[np.arange(n), data.codes] = Z
    H = np.hstack([np.ones((n, 1)), data.X, effects.reshape(n, 2 * J)])
    mean = np.concatenate([[1.0, 0.5, 0.5], np.zeros(2 * J)])
    sd = np.concatenate([[2.0, 1.5, 1.5], np.tile(tau, J)])
    return gaussian_posterior(H, data.y, np.diag(np.broadcast_to(sigma, n) ** 2), mean, sd)


@pytest.fixture(scope="module")
def informed(data):
    """Fit with priors that fix all hyperparameters to 0.1 %."""
    priors = {
        "intercept": Prior("Normal", mu=1, sigma=2),
        "coef": Prior("Normal", mu=0.5, sigma=1.5),
        "tau": {"intercept": known(TAU[0], PRECISION), "x0": known(TAU[1], PRECISION)},
        "sigma": known(SIGMA, PRECISION),
    }
    return fit(data, varying_slopes=[0], correlated=False, priors=priors)


@pytest.fixture(scope="module")
def exact(data):
    """Mean, covariance, and what 0.2 % of the hyperparameters change in them."""
    mean, cov = exact_posterior(data, TAU, SIGMA)
    sd = np.sqrt(np.diag(cov))
    mean_change, sd_change = np.zeros_like(mean), np.zeros_like(sd)
    for i in range(3):
        factor = np.ones(3)
        factor[i] += 2 * PRECISION
        other, other_cov = exact_posterior(data, TAU * factor[:2], SIGMA * factor[2])
        mean_change += np.abs(other - mean)
        sd_change += np.abs(np.sqrt(np.diag(other_cov)) - sd)
    return mean, cov, mean_change, sd_change


def all_draws(model):
    """Draws in the order of `exact_posterior`."""
    posterior = model.posterior_["posterior"]
    effect = posterior["effect_group"].to_numpy()
    return np.concatenate(
        [
            posterior["intercept"].to_numpy()[:, :, None],
            posterior["coef"].to_numpy(),
            effect.reshape(*effect.shape[:2], -1),
        ],
        axis=2,
    )


def test_draws_have_the_exact_means_where_hyperparameters_are_known(informed, exact):
    mean, _, change, _ = exact
    draws = all_draws(informed)
    assert np.all(np.abs(draws.mean(axis=(0, 1)) - mean) <= 5 * mcse(draws) + change)


def test_draws_have_the_exact_sds_where_hyperparameters_are_known(informed, exact):
    _, cov, _, change = exact
    draws = all_draws(informed)
    error = np.abs(draws.std(axis=(0, 1)) - np.sqrt(np.diag(cov)))
    assert np.all(error <= 5 * mcse(draws, "sd") + change)


def test_draws_have_the_exact_correlations_where_hyperparameters_are_known(informed, exact):
    """The error of a correlation of n draws is (1 - r^2) / sqrt(n)."""
    _, cov, _, _ = exact
    draws = all_draws(informed).reshape(-1, len(cov))
    sd = np.sqrt(np.diag(cov))
    expected = cov / np.outer(sd, sd)
    error = np.abs(np.corrcoef(draws.T) - expected)
    n_effective = 3000
    assert np.all(error <= 5 * (1 - expected**2) / np.sqrt(n_effective) + 4 * PRECISION)


def test_sd_column_is_the_exact_sd_where_hyperparameters_are_known(informed, exact):
    _, cov, _, change = exact
    table = informed.shrinkage_["sd"].to_numpy().reshape(len(SIZES), 2)
    draws = {t: group_draws(informed, t) for t in ("intercept", "x0")}
    for k, term in enumerate(("intercept", "x0")):
        for j in range(len(SIZES)):
            at = [k, 3 + 2 * j + k]
            expected = np.sqrt(cov[np.ix_(at, at)].sum())
            tolerance = 5 * mcse(draws[term][:, :, j], "sd") + change[at].sum()
            assert abs(table[j, k] - expected) <= tolerance


def test_predictions_are_exact_where_hyperparameters_are_known(data, informed, exact):
    mean, cov, mean_change, sd_change = exact
    X = np.array([[0.3, -1.0], [2.0, 0.5]])
    H = np.zeros((2, len(mean)))
    H[:, 0], H[:, 1:3] = 1, X
    for i, j in enumerate([1, 4]):
        H[i, 3 + 2 * j : 5 + 2 * j] = 1, X[i, 0]
    actual, std = informed.predict(X, groups=NAMES[[1, 4]], return_std=True)
    expected = np.sqrt(np.einsum("ia,ab,ib->i", H, cov, H) + SIGMA**2)
    draws = all_draws(informed) @ H.T
    assert np.all(np.abs(actual - H @ mean) <= 5 * mcse(draws) + np.abs(H) @ mean_change)
    slack = np.abs(H) @ sd_change + 2 * PRECISION * SIGMA
    assert np.all(np.abs(std - expected) <= 5 * mcse(draws, "sd") + slack)


def test_residual_scales_by_group_are_those_of_their_groups(data):
    """Generalised least squares gives the marginal moments once group scales are fixed."""
    priors = {
        "intercept": Prior("Normal", mu=1, sigma=2),
        "coef": Prior("Normal", mu=0.5, sigma=1.5),
        "tau": known(TAU[0], PRECISION),
    }
    model = fit(data, residual_scale="by_group", priors=priors)
    sigma = model.posterior_["posterior"]["sigma"].to_numpy()
    rng = np.random.default_rng(3)
    H = np.column_stack([np.ones(len(data.y)), data.X])
    means = []
    for s in rng.choice(sigma.shape[0] * sigma.shape[1], 200, replace=False):
        scale = sigma.reshape(-1, len(SIZES))[s][data.codes]
        cov = dense_covariance(
            np.ones((len(scale), 1)), data.codes, np.array([[TAU[0] ** 2]]), scale
        )
        sd = np.array([2.0, 1.5, 1.5])
        means.append(gaussian_posterior(H, data.y, cov, np.array([1, 0.5, 0.5]), sd)[0])
    means = np.array(means)
    draws = np.concatenate(
        [
            model.posterior_["posterior"]["intercept"].to_numpy()[:, :, None],
            model.posterior_["posterior"]["coef"].to_numpy(),
        ],
        axis=2,
    )
    error = np.hypot(mcse(draws), means.std(axis=0) / np.sqrt(len(means)))
    assert np.all(np.abs(draws.mean(axis=(0, 1)) - means.mean(axis=0)) <= 5 * error + 1e-3)


STRUCTURES = {
    "intercepts": {},
    "correlated slopes": {"varying_slopes": "all"},
    "by group, hierarchical": {"residual_scale": "by_group"},
    "by group, independent": {
        "residual_scale": "by_group",
        "varying_slopes": [1],
        "priors": {"sigma": Prior("HalfNormal", sigma=2)},
    },
    "no intercept": {"fit_intercept": False},
}

#: Known, new and missing labels, mixed; rows 3 and 4 are of one new group.
LABELS = np.array(["a", "a", "d", "new", "new", "other", None, None, "f"], dtype=object)
PROBABILITIES = np.array([0.02, 0.25, 0.5, 0.9, 0.995])


@pytest.fixture(scope="module", params=STRUCTURES, ids=str)
def model(request, data):
    return fit(data, **STRUCTURES[request.param])


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(43)
    return rng.normal(0.5, 1.5, size=(len(LABELS), 2))


class BruteForce:
    """Predictions from the draws in `posterior_`, one normal distribution per draw and row."""

    def __init__(self, model, X):
        posterior = model.posterior_["posterior"]
        terms = list(posterior["group_term"].to_numpy())
        Z = np.column_stack(
            [np.ones(len(X)) if t == "intercept" else X[:, int(t[1])] for t in terms]
        )
        tau = posterior["tau_group"].to_numpy()
        shape = tau.shape[:2]
        corr = (
            posterior["corr_group"].to_numpy()
            if "corr_group" in posterior
            else np.eye(len(terms))
        )
        cov = corr * tau[..., :, None] * tau[..., None, :]
        intercept = (
            posterior["intercept"].to_numpy() if "intercept" in posterior else np.zeros(shape)
        )
        mean = intercept[..., None] + posterior["coef"].to_numpy() @ X.T
        sigma = posterior["sigma"].to_numpy()
        by_group = sigma.ndim == 3
        rng = np.random.default_rng(47)
        if not by_group:
            sigma_new = sigma
        elif "log_sigma_mean" in posterior:
            z = rng.standard_normal(shape)
            sigma_new = np.exp(
                posterior["log_sigma_mean"].to_numpy()
                + posterior["log_sigma_sd"].to_numpy() * z
            )
        else:
            sigma_new = np.abs(2 * rng.standard_normal(shape))
        known = {name: j for j, name in enumerate(posterior["group"].to_numpy())}
        unit = {}
        effects = []
        self.sigma = np.empty((*shape, len(X)))
        root = np.linalg.cholesky(cov + 1e-12 * np.eye(len(terms)) * tau.max() ** 2)
        for i, label in enumerate(LABELS):
            key = label if label is not None else f"missing {i}"
            if label in known:
                effect = posterior["effect_group"].to_numpy()[:, :, known[label]]
                self.sigma[..., i] = sigma[:, :, known[label]] if by_group else sigma
            else:
                if key not in unit:
                    z = rng.standard_normal((*shape, len(terms)))
                    unit[key] = np.einsum("cdab,cdb->cda", root, z)
                effect, self.sigma[..., i] = unit[key], sigma_new
            effects.append(effect @ Z[i])
        self.mean = mean + np.stack(effects, axis=-1)
        self.y = self.mean + self.sigma * rng.standard_normal(self.mean.shape)

    def average(self, values):
        """Mean over draws and its Monte Carlo error."""
        return values.mean(axis=(0, 1)), mcse(values)


@pytest.fixture(scope="module")
def brute(model, rows):
    return BruteForce(model, rows)


def test_mean_is_that_of_brute_force(model, rows, brute):
    expected, error = brute.average(brute.mean)
    assert np.all(np.abs(model.predict(rows, groups=LABELS) - expected) <= 5 * error)


def test_std_is_that_of_brute_force(model, rows, brute):
    mean, std = model.predict(rows, groups=LABELS, return_std=True)
    expected, error = brute.average((brute.mean - mean) ** 2 + brute.sigma**2)
    # A new group's residual scale is drawn once per draw in both, independently.
    assert np.all(np.abs(std**2 - expected) <= 5 * np.sqrt(2) * error)


def test_covariance_is_that_of_brute_force(model, rows, brute):
    mean, cov = model.predict(rows, groups=LABELS, return_cov=True)
    deviation = brute.mean - mean
    for i in range(len(LABELS)):
        expected, error = brute.average(deviation[..., i, None] * deviation[..., :i])
        assert np.all(np.abs(cov[i, :i] - expected) <= 5 * error)


def test_diagonal_of_the_covariance_is_the_square_of_std(model, rows):
    """The variances of a new group's draws are averaged in the same way: equal to rounding."""
    _, std = model.predict(rows, groups=LABELS, return_std=True)
    _, cov = model.predict(rows, groups=LABELS, return_cov=True)
    np.testing.assert_allclose(np.diag(cov), std**2, rtol=1e-9)


def test_covariance_is_symmetric_and_positive_definite(model, rows):
    _, cov = model.predict(rows, groups=LABELS, return_cov=True)
    assert np.array_equal(cov, cov.T)
    np.linalg.cholesky(cov)


def test_rows_of_one_new_group_covary_more_than_rows_of_two(model, rows):
    X = np.repeat(rows[:1], 5, axis=0)
    labels = np.array(["new", "new", "other", None, "a"], dtype=object)
    _, cov = model.predict(X, groups=labels, return_cov=True)
    assert cov[0, 1] > cov[0, 2]
    assert cov[0, 2] == pytest.approx(cov[0, 3], rel=1e-9)


def test_mean_is_the_same_whatever_is_asked_for(model, rows):
    alone = model.predict(rows, groups=LABELS)
    with_std, _ = model.predict(rows, groups=LABELS, return_std=True)
    with_cov, _ = model.predict(rows, groups=LABELS, return_cov=True)
    assert np.array_equal(alone, with_std)
    assert np.array_equal(alone, with_cov)


def test_mixture_has_its_probability_below_each_quantile(model, rows, brute):
    quantiles = model.predict_quantiles(rows, groups=LABELS, quantiles=PROBABILITIES)
    for k, p in enumerate(PROBABILITIES):
        below = stats.norm.cdf((quantiles[:, k] - brute.mean) / brute.sigma)
        share, error = brute.average(below)
        assert np.all(np.abs(share - p) <= 5 * np.sqrt(2) * error)


def test_intervals_are_quantiles(model, rows):
    interval = model.predict_interval(rows, groups=LABELS, coverage=0.5)
    quantiles = model.predict_quantiles(rows, groups=LABELS, quantiles=[0.25, 0.75])
    assert np.array_equal(interval, quantiles)


def test_log_density_is_that_of_brute_force(model, rows, brute):
    y = brute.y[0, 0]
    density, error = brute.average(stats.norm.pdf(y, brute.mean, brute.sigma))
    actual = model.log_predictive_density(rows, y, groups=LABELS)
    assert np.all(np.abs(np.exp(actual) - density) <= 5 * np.sqrt(2) * error)


def test_log_density_is_the_derivative_of_the_probability(model, rows):
    """Quantiles of p and p + dp lie dp / density apart, to second order in dp."""
    p, dp = 0.4, 1e-4
    middle, low, high = model.predict_quantiles(
        rows, groups=LABELS, quantiles=[p, p - dp, p + dp]
    ).T
    density = np.exp(model.log_predictive_density(rows, middle, groups=LABELS))
    np.testing.assert_allclose(2 * dp / (high - low), density, rtol=1e-5)


N_SAMPLES = 4000


@pytest.fixture(scope="module")
def samples(model, rows):
    return model.sample_y(rows, groups=LABELS, n_samples=N_SAMPLES)


@pytest.fixture(scope="module")
def n_effective(model):
    """Samples take each posterior draw once: they are worth no more than these."""
    return min(N_SAMPLES, model.diagnostics_["min_ess"])


def test_samples_have_the_predicted_means(model, rows, samples, n_effective):
    mean, std = model.predict(rows, groups=LABELS, return_std=True)
    assert np.all(np.abs(samples.mean(axis=1) - mean) <= 5 * std / np.sqrt(n_effective))


def test_samples_have_the_predicted_covariance(model, rows, samples, n_effective):
    mean, cov = model.predict(rows, groups=LABELS, return_cov=True)
    deviation = samples - mean[:, None]
    products = deviation[:, None] * deviation[None, :]
    error = products.std(axis=2) / np.sqrt(n_effective)
    assert np.all(np.abs(products.mean(axis=2) - cov) <= 5 * error)


def test_samples_lie_below_quantiles_as_often_as_they_should(model, rows, samples, n_effective):
    quantiles = model.predict_quantiles(rows, groups=LABELS, quantiles=PROBABILITIES)
    share = np.mean(samples[:, None] <= quantiles[:, :, None], axis=2)
    error = np.sqrt(PROBABILITIES * (1 - PROBABILITIES) / n_effective)
    assert np.all(np.abs(share - PROBABILITIES) <= 5 * error)
