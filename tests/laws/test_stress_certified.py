"""NIST's certified analyses of variance, and sums of squares far from zero, digit by digit.

Doubles near an offset m are ``spacing(m)`` apart, so that each number that is stored there, a
value of y or the mean of a cell, is off by up to u = spacing(m) / 2. By Minkowski's inequality
the root of a sum of n squares is then off by up to sqrt(n) u for each of these roundings, which
is all that is lost: every bound below is made of n, u and EPS.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from reference import EPS, mcse

from skhbm import GroupedStatistics, HierarchicalNormalRegressor

FOLDER = Path(scipy.stats.__file__).parent / "tests" / "data" / "nist_anova"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="SciPy came without its test data")

#: Simon & Lesage (1989): 9 treatments, 21 to 2001 replicates; offsets 1, 1e6 and 1e12.
NAMES = [f"SmLs0{i}" for i in range(1, 10)]


@dataclass
class Certified:
    """A data set, and what NIST certifies of its analysis of variance."""

    y: np.ndarray
    groups: np.ndarray
    between: float
    within: float
    F: float
    r2: float
    sd: float

    @property
    def u(self):
        """What rounding takes off a number near the offset, at most."""
        return np.spacing(np.abs(self.y).max()) / 2


def load(name):
    text = (FOLDER / f"{name}.dat").read_text(encoding="ascii")
    between, F = re.search(r"^Between Treatment +\d+ +(\S+) +\S+ +(\S+)", text, re.M).groups()
    within = re.search(r"^Within Treatment +\d+ +(\S+)", text, re.M)[1]
    r2 = re.search(r"R-Squared +(\S+)", text)[1]
    sd = re.search(r"Standard Deviation +(\S+)", text)[1]
    groups, y = np.loadtxt(text.splitlines()[60:], unpack=True)
    return Certified(y, groups.astype(int), *map(float, (between, within, F, r2, sd)))


def sums_of_squares(statistics):
    """Return the sums of squares between and within groups, without further rounding."""
    n = [Fraction(value) for value in statistics.n]
    means = [Fraction(value) for value in statistics.mean[:, 0]]
    center = sum(k * m for k, m in zip(n, means, strict=True)) / sum(n)
    between = sum(k * (m - center) ** 2 for k, m in zip(n, means, strict=True))
    return float(between), float(sum(map(Fraction, statistics.cross[:, 0, 0])))


def root_errors(data):
    """Bounds on the relative errors of the roots of both sums of squares.

    Rounding of y enters both, that of the means of groups the one between them. Certified
    values have 15 digits, and the sums n roundings of their own.
    """
    n = len(data.y)
    lost = np.sqrt(n) * data.u
    return (
        2 * lost / np.sqrt(data.between) + n * EPS,
        lost / np.sqrt(data.within) + n * EPS,
    )


@pytest.fixture(scope="module", params=NAMES)
def data(request):
    return load(request.param)


def test_sums_of_squares_are_the_certified_ones(data):
    actual = sums_of_squares(GroupedStatistics.from_arrays(None, data.y, data.groups))
    for value, certified, error in zip(
        actual, (data.between, data.within), root_errors(data), strict=True
    ):
        assert abs(np.sqrt(value / certified) - 1) <= error


def test_analysis_of_variance_is_the_certified_one(data):
    """F, R^2 and the residual standard deviation are functions of the sums of squares."""
    between, within = sums_of_squares(GroupedStatistics.from_arrays(None, data.y, data.groups))
    of_between, of_within = root_errors(data)
    n, J = len(data.y), len(set(data.groups))
    sd = np.sqrt(within / (n - J))
    assert abs(sd / data.sd - 1) <= of_within
    F = (between / (J - 1)) / (within / (n - J))
    assert abs(np.sqrt(F / data.F) - 1) <= 1.01 * (of_between + of_within)
    # d log R^2 = (1 - R^2) (d log B - d log W), and d log B is twice that of the root.
    r2 = between / (between + within)
    assert abs(r2 / data.r2 - 1) <= 1.01 * (1 - data.r2) * 2 * (of_between + of_within)


def test_nothing_is_lost_beyond_the_rounding_of_the_data(data):
    """The sum of squares within groups is that of the stored doubles, by rationals."""
    exact = Fraction(0)
    for group in set(data.groups):
        y = [Fraction(value) for value in data.y[data.groups == group]]
        center = sum(y) / len(y)
        exact += sum(value * value for value in y) - len(y) * center * center
    _, within = sums_of_squares(GroupedStatistics.from_arrays(None, data.y, data.groups))
    assert abs(within / float(exact) - 1) <= len(data.y) * EPS


def test_merged_chunks_lose_what_their_means_lose(data):
    """Each merge reads two means that were rounded; there are two for each part and group."""
    parts = np.array_split(np.arange(len(data.y)), 5)
    total = sum(
        GroupedStatistics.from_arrays(None, data.y[part], data.groups[part]) for part in parts
    )
    _, within = sums_of_squares(total)
    whole = GroupedStatistics.from_arrays(None, data.y, data.groups)
    _, expected = sums_of_squares(whole)
    n = len(data.y)
    lost = 2 * np.sqrt(n) * data.u / np.sqrt(expected) + 5 * n * EPS
    assert abs(np.sqrt(within / expected) - 1) <= lost


def test_a_mean_far_from_zero_goes_on_moving():
    """A running mean near 1e13 cannot move by 2 / 20000, a tenth of its last digit."""
    n = 20_000
    steps = np.repeat([-1.0, 1.0], n // 2)
    y = 1e13 + steps
    X = np.column_stack([steps, -3e13 + 4 * steps])
    statistics = GroupedStatistics.from_arrays(X, y)
    assert statistics.mean[0, 1:].tolist() == [-3e13, 1e13]
    assert abs(statistics.mean[0, 0]) <= n * EPS
    expected = n * np.outer([1, 4, 1], [1, 4, 1])
    assert np.all(np.abs(statistics.cross[0] - expected) <= n * EPS * expected)


def test_each_group_keeps_its_digits_beside_others_far_off():
    """What groups are counted from is their own: 1e15 in one costs the others nothing."""
    y = np.concatenate([1e15 + np.arange(4.0), 1e-3 * np.arange(5.0), -1e9 + np.arange(3.0)])
    statistics = GroupedStatistics.from_arrays(None, y, np.repeat([0, 1, 2], [4, 5, 3]))
    np.testing.assert_allclose(statistics.cross[:, 0, 0], [5.0, 1e-5, 2.0], rtol=20 * EPS)


@pytest.fixture(scope="module")
def near_and_far():
    """Fits of SmLs01 and SmLs07, the same data about 1 and about 1e12."""
    fits = []
    for name in ("SmLs01", "SmLs07"):
        data = load(name)
        model = HierarchicalNormalRegressor(random_state=0)
        fits.append(model.fit(None, data.y, groups=data.groups))
    return fits


OFFSET = 1e12 - 1


@pytest.mark.parametrize("name", ["tau_group", "sigma", "intercept"])
def test_posterior_follows_an_offset_of_1e12(near_and_far, name):
    """Within Monte Carlo error and what rounding takes off y and the means of its groups."""
    near, far = (fit.posterior_["posterior"][name].to_numpy() for fit in near_and_far)
    if name == "intercept":
        # The draws are rounded as y is, the shifted ones once more.
        far = far - OFFSET
    u = np.spacing(1e12) / 2
    error = 5 * np.hypot(mcse(near), mcse(far))
    assert np.all(np.isfinite(far))
    assert np.all(np.abs(far.mean(axis=(0, 1)) - near.mean(axis=(0, 1))) <= error + 4 * u)
    error = 5 * np.hypot(mcse(near, "sd"), mcse(far, "sd"))
    assert np.all(np.abs(far.std(axis=(0, 1)) - near.std(axis=(0, 1))) <= error + 4 * u)


def test_predictions_follow_an_offset_of_1e12(near_and_far):
    """Means and variances of y, whose draws are those of an effect and a residual scale."""
    groups, u = [1, 5, 9, 10], np.spacing(1e12) / 2
    near, far = (fit.predict(None, groups, return_std=True) for fit in near_and_far)
    names = ("intercept", "effect_group", "sigma", "tau_group")
    posterior = near_and_far[0].posterior_["posterior"]
    intercept, effect, sigma, tau = (posterior[name].to_numpy() for name in names)
    of_mean = mcse(intercept[..., None] + effect[..., 0]).max() + mcse(intercept)
    assert np.all(np.abs(far[0] - OFFSET - near[0]) <= 5 * of_mean + 4 * u)
    of_variance = mcse(sigma**2) * np.array([1, 1, 1, 0])
    of_variance[3] = mcse(sigma**2 + tau[..., 0] ** 2)
    # The variance of a known group's mean is that of 21 residuals more.
    error = 5 * np.sqrt(2) * (1 + 1 / 21) * of_variance
    assert np.all(np.abs(far[1] ** 2 - near[1] ** 2) <= error + 4 * u * near[1])


def test_fit_far_from_zero_has_converged(near_and_far):
    for fit in near_and_far:
        assert fit.diagnostics_["n_divergences"] == 0
        assert fit.diagnostics_["n_rhat_above"] == 0
