"""Families against SciPy's distributions, finite differences and their limits."""

import math
from functools import cache
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from skhbm._families import gamma_functions
from skhbm._families.table import FAMILIES
from skhbm._numba.jit import njit

NAMES = sorted(FAMILIES)
COUNTS = ("binomial", "negative_binomial", "poisson")
DISPERSIONS = {
    "negative_binomial": [(0.3,), (2.0,), (40.0,), (1e4,)],
    "student_t": [(0.4, 1.5), (1.0, 4.0), (2.0, 30.0), (3.0, 500.0)],
}


def scipy_distribution(name, size, eta, dispersion):
    if name in ("bernoulli", "binomial"):
        return stats.binom(size, expit(eta))
    if name == "student_t":
        return stats.t(dispersion[1], eta, dispersion[0])
    mean = size * np.exp(eta)
    if name == "poisson":
        return stats.poisson(mean)
    return stats.nbinom(dispersion[0], dispersion[0] / (dispersion[0] + mean))


def points(name):
    """Return y, size, eta (n,) and dispersion, a tuple of arrays (n,)."""
    ys = {"bernoulli": [0, 1], "binomial": [0, 3, 17], "student_t": [-3.0, 0.2, 8.0]}
    sizes = {"binomial": [17, 40], "poisson": [0.5, 30], "negative_binomial": [0.5, 30]}
    rows = product(
        ys.get(name, [0, 1, 30]),
        sizes.get(name, [1]),
        [-4.0, -0.3, 0.0, 2.5],
        DISPERSIONS.get(name, [()]),
    )
    columns = zip(*((y, s, e, *d) for y, s, e, d in rows), strict=True)
    y, size, eta, *dispersion = (np.array(c, dtype=float) for c in columns)
    return y, size, eta, tuple(dispersion)


@cache
def compiled(name):
    """Return Python functions of arrays that call what is made for compiled code."""
    family = FAMILIES[name]
    one, slope, part, part_slope, rest, rest_slope = (
        getattr(family, function).compiled
        for function in (
            "derivatives",
            "dispersion_gradient",
            "eta_derivatives",
            "eta_dispersion_gradient",
            "rest",
            "rest_gradient",
        )
    )

    @njit()
    def fill(y, size, eta, d, values, whole, split):
        for i in range(len(y)):
            values[i] = one(y[i], size[i], eta[i], d[i])
            slope(y[i], size[i], eta[i], d[i], whole[i])
            value, first, second = part(y[i], size[i], eta[i], d[i])
            split[0, i, 0] = value + rest(y[i], size[i], d[i])
            split[0, i, 1], split[0, i, 2] = first, second
            part_slope(y[i], size[i], eta[i], d[i], split[1, i])
            rest_slope(y[i], size[i], d[i], split[2, i])

    def call(y, size, eta, dispersion):
        shape = np.broadcast_shapes(*map(np.shape, (y, size, eta, *dispersion)))
        y, size, eta, *d = (np.full(shape, a, dtype=float) for a in (y, size, eta, *dispersion))
        d = np.stack(d, axis=-1) if d else np.empty((*shape, 0))
        values, whole, split = (
            np.zeros((*shape, 3)),
            np.zeros(d.shape),
            np.zeros((3, *shape, 3)),
        )
        fill(y, size, eta, d, values, whole, split)
        k = d.shape[-1]
        return SimpleNamespace(
            value=values[:, 0],
            first=values[:, 1],
            second=values[:, 2],
            dispersion=whole,
            split=(split[0], split[1, :, :k] + split[2, :, :k]),
        )

    return call


@pytest.mark.parametrize("name", NAMES)
def test_density_moments_and_cdf_are_scipys(name):
    family, (y, size, eta, dispersion) = FAMILIES[name], points(name)
    expected = scipy_distribution(name, size, eta, dispersion)
    log_density = expected.logpmf(y) if family.discrete else expected.logpdf(y)
    found = family.log_density(y, size, eta, dispersion)
    np.testing.assert_allclose(found, log_density, rtol=1e-11, atol=1e-11)
    for k in (y, y + 0.5, y - 1.0, np.full(len(y), -1.0)):
        np.testing.assert_allclose(
            family.cdf(k, size, eta, dispersion), expected.cdf(k), rtol=1e-9, atol=1e-14
        )
    # SciPy's negative binomial has the mean only through a probability near 1.
    exists = np.ones(len(y), bool) if name != "student_t" else dispersion[1] > 1
    np.testing.assert_allclose(
        family.mean(size, eta, dispersion)[exists], expected.mean()[exists], rtol=1e-10
    )
    np.testing.assert_allclose(
        family.variance(size, eta, dispersion)[exists], expected.var()[exists], rtol=1e-10
    )


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_are_those_of_the_log_density(name):
    family, (y, size, eta, dispersion) = FAMILIES[name], points(name)
    found, h = compiled(name)(y, size, eta, dispersion), 1e-4
    low, mid, high = (
        family.log_density(y, size, eta + step, dispersion) for step in (-h, 0.0, h)
    )
    np.testing.assert_allclose(found.first, (high - low) / (2 * h), rtol=1e-5, atol=1e-6)
    beside = [compiled(name)(y, size, eta + step, dispersion).first for step in (-h, h)]
    slope = (beside[1] - beside[0]) / (2 * h)
    np.testing.assert_allclose(found.second, slope, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        family.observed_information(y, size, eta, dispersion), -found.second, rtol=1e-11
    )
    # What the compiled value leaves out depends on y and size only.
    left_out = mid - found.value
    for rows in np.unique(np.column_stack([y, size]), axis=0):
        some = left_out[(y == rows[0]) & (size == rows[1])]
        np.testing.assert_allclose(some, some[0], rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize("name", sorted(DISPERSIONS))
def test_dispersion_gradient_is_that_of_the_log_density(name):
    family, (y, size, eta, dispersion) = FAMILIES[name], points(name)
    found = compiled(name)(y, size, eta, dispersion).dispersion
    for j, parameter in enumerate(dispersion):
        h, sides = 1e-5 * parameter, []
        for sign in (-1, 1):
            moved = tuple(p + sign * h * (i == j) for i, p in enumerate(dispersion))
            sides.append(family.log_density(y, size, eta, moved))
        difference = (sides[1] - sides[0]) / (2 * h)
        np.testing.assert_allclose(
            found[:, j] * parameter, difference * parameter, rtol=1e-6, atol=1e-7
        )


@pytest.mark.parametrize("name", NAMES)
def test_parts_add_up(name):
    found = compiled(name)(*points(name))
    values, gradient = found.split
    whole = np.column_stack([found.value, found.first, found.second])
    np.testing.assert_allclose(values, whole, rtol=1e-14)
    np.testing.assert_allclose(gradient, found.dispersion, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_expected_information_averages_the_observed(name):
    family = FAMILIES[name]
    size, eta = (12.0 if name == "binomial" else 1.0), 0.7
    for dispersion in DISPERSIONS.get(name, [()]):
        if family.discrete:
            y = np.arange(13.0 if name == "binomial" else 2.0 if name == "bernoulli" else 4000)
            mass = np.exp(family.log_density(y, size, eta, dispersion))
        else:
            # Midpoints of equal probability.
            mass = np.full(200_000, 1 / 200_000)
            middle = (np.arange(200_000) + 0.5) / 200_000
            y = scipy_distribution(name, size, eta, dispersion).ppf(middle)
        assert mass.sum() == pytest.approx(1.0, rel=1e-9)
        average = np.sum(mass * family.observed_information(y, size, eta, dispersion))
        expected = family.expected_information(size, eta, dispersion)
        assert average == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_draws_have_the_distribution(name):
    family, rng = FAMILIES[name], np.random.default_rng(0)
    size, eta = (9.0 if name == "binomial" else 1.0), np.array([[-1.0], [0.8]])
    for dispersion in DISPERSIONS.get(name, [()])[1:3] or [()]:
        drawn = family.draw(rng, np.full((1, 20_000), size), eta, dispersion)
        assert drawn.shape == (2, 20_000)
        assert drawn.dtype == np.float64
        for row, e in zip(drawn, eta[:, 0], strict=True):
            k = np.quantile(row, [0.1, 0.5, 0.9])
            share = np.mean(row <= k[:, None], axis=1)
            np.testing.assert_allclose(
                share, family.cdf(k, size, e, dispersion), atol=4 * 0.5 / math.sqrt(20_000)
            )


@pytest.mark.parametrize("name", NAMES)
def test_nothing_overflows(name):
    family = FAMILIES[name]
    sizes = {"bernoulli": [1], "student_t": [1], "binomial": [1, 1e6]}
    dispersions = {
        "negative_binomial": [1e-6, 1e-3, 1.0, 1e5, 1e10],
        "student_t": list(product([1e-6, 1.0, 1e6], [0.1, 3.0, 1e10])),
    }
    for size in sizes.get(name, [1e-6, 1.0, 1e6]):
        for d in dispersions.get(name, [()]):
            dispersion = (d,) if isinstance(d, float) else d
            eta = np.array([-700.0, -40.0, 0.0, 40.0, 700.0])[:, None]
            y = np.array([0.0, 1.0, size if name == "binomial" else 1e6])
            y = np.minimum(y, size) if name in ("binomial", "bernoulli") else y
            y, eta = (a.ravel() for a in np.broadcast_arrays(y, eta))
            found = compiled(name)(y, size, eta, dispersion)
            for array in (found.value, found.first, found.second, found.dispersion):
                assert np.all(np.isfinite(array))
            log_density = family.log_density(y, size, eta, dispersion)
            assert np.all(np.isfinite(log_density))
            cdf = family.cdf(y, size, eta, dispersion)
            assert np.all((cdf >= 0) & (cdf <= 1))
            assert np.all(np.isfinite(family.mean(size, eta, dispersion)))
            drawn = family.draw(np.random.default_rng(0), size, eta, dispersion)
            assert np.all(np.isfinite(drawn))


def test_large_alpha_is_poisson():
    rng = np.random.default_rng(1)
    size, eta = np.exp(rng.uniform(-3, 3, 200)), rng.uniform(-3, 8, 200)
    y = rng.poisson(size * np.exp(eta)).astype(float)
    of_poisson, of_nb = FAMILIES["poisson"], FAMILIES["negative_binomial"]
    mean = size * np.exp(eta)
    for alpha in (1e6, 1e8, 1e10):
        # The first term of the difference, and a bound of the next.
        difference = (y - (y - mean) ** 2) / (2 * alpha)
        next_term = (y + mean) ** 3 / alpha**2
        found = of_nb.log_density(y, size, eta, (alpha,)) - of_poisson.log_density(
            y, size, eta, ()
        )
        rounding = 1e-14 * (y + mean + 1) * (1 + np.log1p(y))
        assert np.all(np.abs(found + difference) < next_term + rounding)
        slope = compiled("negative_binomial")(y, size, eta, (alpha,)).dispersion[:, 0]
        error = np.abs(slope - difference / alpha) * alpha
        assert np.all(error < 2 * next_term + 1e-14 * (y + mean + 1) ** 2 / alpha)
        cdf = of_nb.cdf(y, size, eta, (alpha,)) - of_poisson.cdf(y, size, eta, ())
        assert np.all(np.abs(cdf) < 1e-10 + mean / alpha)


def test_large_nu_is_normal():
    y, sigma = np.linspace(-6, 6, 41), 1.7
    for nu in (1e5, 1e8, 1e10):
        dispersion, family = (sigma, nu), FAMILIES["student_t"]
        found = family.log_density(y, 1.0, 0.3, dispersion)
        z2 = ((y - 0.3) / sigma) ** 2
        difference = (z2**2 - 2 * z2 - 1) / (4 * nu)
        expected = stats.norm.logpdf(y, 0.3, sigma) + difference
        assert np.all(np.abs(found - expected) < 1e-13 + (z2**3 + 5) / nu**2)
        slope = compiled("student_t")(y, 1.0, 0.3, dispersion).dispersion[:, 1]
        np.testing.assert_allclose(slope * nu, -difference, rtol=1e-3 if nu < 1e6 else 1e-5)
        cdf = family.cdf(y, 1.0, 0.3, dispersion)
        np.testing.assert_allclose(cdf, stats.norm.cdf(y, 0.3, sigma), atol=1 / nu)


@pytest.mark.parametrize("a", [1e-6, 0.3, 7.0, 15.9, 16.1, 300.0, 1e5, 1e10])
@pytest.mark.parametrize("y", [0, 1, 2, 16, 17, 31, 1000, 100_000])
def test_rising_factorials_are_their_products(y, a):
    value, slope = gamma_at(y, a)
    total = math.fsum(math.log1p(k / a) for k in range(y))
    digits = 1e-15 * (y + 10) * (1 + abs(math.log(a)) + math.log1p(y))
    assert value == pytest.approx(total, rel=1e-13, abs=digits)
    assert float(gamma_functions.log_rising(float(y), a)) == pytest.approx(
        total, rel=1e-13, abs=digits
    )
    exact = -math.fsum(k / (a + k) for k in range(y)) / a
    assert slope == pytest.approx(exact, rel=1e-9 if a < 16 else 1e-11, abs=0)


@pytest.mark.parametrize("a", [0.3, 7.0, 16.1, 1e5])
@pytest.mark.parametrize("y", [0.5, 2.25, 15.5, 300.5])
def test_rising_factorials_of_counts_that_are_not_whole(y, a):
    h = 1e-4 * a
    difference = (gamma_at(y, a + h)[0] - gamma_at(y, a - h)[0]) / (2 * h)
    digits = 1e-15 * (y + 10) * (1 + abs(math.log(a)) + math.log1p(y)) / h
    assert gamma_at(y, a)[1] == pytest.approx(difference, rel=1e-6, abs=digits)


@pytest.mark.parametrize("n", [1, 5, 15, 16, 17, 200, 20_000])
def test_half_steps_are_their_products(n):
    product_of = math.fsum(math.log1p(0.5 / k) for k in range(1, n))
    exact = 0.5 * math.log(math.pi) - math.log(2.0) + product_of - 0.5 * math.log(n)
    assert half_step_at(float(n))[0] == pytest.approx(exact, rel=0, abs=3e-14)
    assert float(gamma_functions.log_half_step(float(n))) == pytest.approx(exact, abs=3e-14)


@pytest.mark.parametrize("x", [0.05, 1.3, 15.9, 16.1, 40.0])
def test_slope_of_half_steps(x):
    h = 1e-4 * x
    difference = (half_step_at(x + h)[0] - half_step_at(x - h)[0]) / (2 * h)
    assert half_step_at(x)[1] == pytest.approx(difference, rel=1e-6)


rising, rising_slope = gamma_functions.rising, gamma_functions.rising_slope
half_step, half_step_slope = gamma_functions.half_step, gamma_functions.half_step_slope


@njit()
def gamma_at(y, a):
    return rising(float(y), a), rising_slope(float(y), a)


@njit()
def half_step_at(x):
    return half_step(x), half_step_slope(x)


@pytest.mark.parametrize("name", ["bernoulli", "binomial", "poisson"])
def test_rows_that_share_eta_add_up(name):
    family, rng = FAMILIES[name], np.random.default_rng(3)
    size = rng.integers(1, 9, 6).astype(float) if name != "bernoulli" else np.ones(6)
    y = family.draw(rng, size, 0.4, ())
    eta = np.linspace(-2, 3, 9)[:, None]
    rows = family.log_density(y, size, eta, ()).sum(axis=1)
    summed = family.log_density(y.sum(), size.sum(), eta[:, 0], ())
    np.testing.assert_allclose(rows - rows[0], summed - summed[0], atol=1e-11)
    if name == "bernoulli":
        np.testing.assert_allclose(rows, summed, rtol=1e-13)


@pytest.mark.parametrize(
    ("name", "y", "size", "message"),
    [
        ("bernoulli", [0, 1, 2], 1.0, "must be 0 or 1, but 1 of 3 are not, such as 2.0"),
        ("bernoulli", [0, 0.5, 1], 1.0, "at position 1"),
        ("binomial", [0, 3], [2, 2], "1 of 2 are larger, such as 3 of 2 at position 1"),
        ("binomial", [0, -1], [2, 2], "`y` must hold counts from 0"),
        ("binomial", [0, 0], [2, 0], "`trials` must hold whole numbers from 1"),
        ("binomial", [0, 1], [2, 2.5], "`trials` must hold whole numbers"),
        ("poisson", [-1, 1], 1.0, "must hold counts from 0 to 2.53, but 1 of 2"),
        ("poisson", [1, 1], [1.0, 0.0], "`exposure` must be positive and finite"),
        ("negative_binomial", [-0.5, 1], 1.0, "must hold counts from 0"),
        ("negative_binomial", [1, 1], [1.0, -3.0], "such as -3.0 at position 1"),
    ],
)
def test_targets_that_cannot_be(name, y, size, message):
    size = np.asarray(size, dtype=float)
    with pytest.raises(ValueError, match=message):
        FAMILIES[name].check_target(np.array(y, dtype=float), size)


@pytest.mark.parametrize("name", NAMES)
def test_targets_that_can_be(name):
    y, size, _, _ = points(name)
    FAMILIES[name].check_target(y, size)
    FAMILIES[name].check_target(y, 1.0 if name != "binomial" else 40.0)


@pytest.mark.parametrize("name", NAMES)
def test_links_are_inverse_to_each_other(name):
    family, eta = FAMILIES[name], np.linspace(-5, 5, 11)
    np.testing.assert_allclose(family.apply_link(family.inverse_link(eta)), eta, atol=1e-10)
    mean = family.mean(1.0, eta, tuple(np.ones(len(family.dispersion))))
    np.testing.assert_allclose(family.inverse_link(eta), mean, rtol=1e-14)
