"""Groups of one row to a million rows in one data set.

The oracle is the one-way model in closed form, in decimal arithmetic of 40 digits, on
sufficient statistics that are exact: y are multiples of 2^-10, whose sums are integers.
"""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from internals import evaluate_marginal, make_terms
from reference import EPS, Structure, mcse

from skhbm import GroupedStatistics, HierarchicalNormalRegressor
from skhbm._design.design import make_design

SIZES = [10**k for k in range(7)]
UNIT = 2.0**-10
#: What a residual scale is in each group, by the powers of ten of its size.
SCALES = np.array([1.0, 0.5, 2.0, 1.5, 0.7, 1.2, 0.9])


def simulate(sizes=SIZES, scales=SCALES, seed=3):
    """Return integers, to be multiplied by UNIT, and the codes of their groups."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    y = 2.0 + rng.standard_normal(len(sizes))[codes]
    y += np.asarray(scales)[codes] * rng.standard_normal(len(codes))
    return np.round(y / UNIT).astype(np.int64), codes


@pytest.fixture(scope="module")
def rows():
    return simulate()


@pytest.fixture(scope="module")
def statistics(rows):
    whole, codes = rows
    return GroupedStatistics.from_arrays(None, whole * UNIT, codes)


@pytest.fixture(scope="module")
def exact(rows):
    """Counts, means and sums of squares about them, of each group, as decimals."""
    whole, codes = rows
    out = []
    with localcontext(prec=40):
        for j in range(len(SIZES)):
            own = whole[codes == j]
            n, total, squares = len(own), int(own.sum()), int(own @ own)
            mean = Decimal(total) / n
            rest = (Decimal(squares) - total * mean) * Decimal(UNIT) ** 2
            out.append((Decimal(n), mean * Decimal(UNIT), rest))
    return out


def log_density(exact, mu, sd, tau, sigma):
    """Log density of all rows, the intercept ~ Normal(mu, sd) integrated out, less 2 pi."""
    with localcontext(prec=40):
        mu, sd, tau, *sigma = map(Decimal, map(float, (mu, sd, tau, *sigma)))
        logp = precision = score = Decimal(0)
        for (n, mean, rest), own in zip(exact, sigma * (len(exact) // len(sigma)), strict=True):
            within, between = own * own, own * own + n * tau * tau
            logp -= (n - 1) * own.ln() + between.ln() / 2 + rest / (2 * within)
            logp -= n * (mean - mu) ** 2 / (2 * between)
            precision += n / between
            score += n * (mean - mu) / between
        factor = 1 + precision * sd * sd
        return logp + score**2 * sd * sd / (2 * factor) - factor.ln() / 2


@pytest.mark.parametrize("by_group", [False, True], ids=["shared", "by group"])
def test_marginal_likelihood_is_that_of_decimal_arithmetic(exact, statistics, by_group):
    """Up to a constant; each sum of n squares carries up to n EPS, that of a million rows."""
    design = make_design(statistics, [make_terms(Structure(by_group=by_group), ())])
    center, unit = design.scaling.y_mean, design.scaling.y_scale
    values = []
    rng = np.random.default_rng(0)
    for _ in range(6):
        tau = np.exp(rng.normal(0.0, 1.5))
        sigma = np.exp(rng.normal(0.0, 0.5, len(SIZES) if by_group else 1))
        mu, sd = 3 * rng.standard_normal(), np.exp(rng.standard_normal())
        cov = np.array([[(tau / unit) ** 2]])
        working = np.array([(mu - center) / unit]), np.array([[sd / unit]])
        actual = evaluate_marginal(design, cov, sigma / unit, *working)[0]
        values.append((actual, float(log_density(exact, mu, sd, tau, sigma))))
    actual, expected = np.array(values).T
    bound = sum(SIZES) * EPS * np.abs(expected).max()
    # Relative to the first point: the working density lacks n log unit.
    assert np.all(np.abs((actual - actual[0]) - (expected - expected[0])) <= bound)
    assert np.ptp(expected) > 1e9 * bound


@pytest.fixture(scope="module")
def shared(statistics):
    return HierarchicalNormalRegressor(random_state=0).fit_statistics(statistics)


@pytest.fixture(scope="module")
def by_group(statistics):
    model = HierarchicalNormalRegressor(random_state=0, residual_scale="by_group")
    return model.fit_statistics(statistics)


@pytest.mark.parametrize("name", ["shared", "by_group"])
def test_chains_converge_whatever_the_sizes(name, request):
    found = request.getfixturevalue(name).diagnostics_
    assert found["n_divergences"] == 0
    assert found["n_rhat_above"] == 0


def test_posterior_is_that_of_quadrature(exact, statistics, shared):
    """The posterior mean and sd of tau and sigma, by sums over a grid of both logs.

    The trapezoidal rule is exact to rounding for densities that are zero at both ends.
    """
    scale = 2.5 * np.sqrt(
        sum(float(rest) for _, _, rest in exact) / sum(SIZES)
        + np.average(
            (
                statistics.mean[:, 0]
                - (center := statistics.n @ statistics.mean[:, 0] / sum(SIZES))
            )
            ** 2,
            weights=statistics.n,
        )
    )
    tau = np.exp(np.linspace(np.log(0.03), np.log(30), 61))
    best = np.sqrt(sum(float(rest) for _, _, rest in exact) / (sum(SIZES) - len(SIZES)))
    sigma = best * np.exp(np.linspace(-8, 8, 41) / np.sqrt(2 * sum(SIZES)))
    logp = np.array([[log_density(exact, center, scale, t, [s]) for s in sigma] for t in tau])
    logp = (logp - logp.max()).astype(float)
    # Half-normal priors, and the Jacobians of both logs.
    logp += np.log(tau)[:, None] + np.log(sigma)
    logp -= 0.5 * (tau[:, None] ** 2 + sigma**2) / scale**2
    weight = np.exp(logp - logp.max())
    assert (
        max(weight[0].max(), weight[-1].max(), weight[:, 0].max(), weight[:, -1].max()) < 1e-6
    )
    weight /= weight.sum()
    posterior = shared.posterior_["posterior"]
    for values, at, name in ((tau, 1, "tau_group"), (sigma, 0, "sigma")):
        share = weight.sum(axis=at)
        mean = share @ values
        sd = np.sqrt(share @ (values - mean) ** 2)
        draws = posterior[name].to_numpy().reshape(4, -1)
        assert abs(draws.mean() - mean) <= 5 * mcse(draws)
        assert abs(draws.std() - sd) <= 5 * mcse(draws, "sd")


def test_large_groups_are_their_own_means_and_scales(by_group, exact):
    """Within 5 standard errors of the posterior, plus what 7 groups can pull: 1 / n."""
    means = np.array([float(mean) for _, mean, _ in exact])
    scales = np.array([float((rest / (n - 1)).sqrt()) for n, _, rest in exact[3:]])
    n = np.array(SIZES[3:])
    error = 5 * scales / np.sqrt(n)
    assert np.all(np.abs(by_group.group_intercept_[3:] - means[3:]) <= error)
    assert np.all(np.abs(by_group.residual_scale_[3:] - scales) <= error / np.sqrt(2))


@pytest.mark.parametrize("seed", [1, 2])
def test_one_large_group_beside_many_small_ones_does_not_diverge(seed):
    """It pins the mean of log sigma_j, the more the smaller their spread: a funnel."""
    rng = np.random.default_rng(seed)
    sizes = [10_000] + 9 * [1, 2, 3] + [1, 2]
    whole, codes = simulate(sizes, np.exp(0.4 * rng.standard_normal(len(sizes))), seed)
    model = HierarchicalNormalRegressor(random_state=seed, residual_scale="by_group")
    model.fit(None, whole * UNIT, groups=codes)
    assert model.diagnostics_["n_divergences"] == 0
    assert model.diagnostics_["n_rhat_above"] == 0
