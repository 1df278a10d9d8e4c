"""Effects drawn at the nodes of the quadrature, and densities without rows, against grids."""

import numpy as np
import pytest
from scipy.special import logsumexp

from skhbm._families.table import FAMILIES
from skhbm._likelihood.grouped_rows import GroupedRows
from skhbm._likelihood.quadrature import make_quadrature
from skhbm._posterior.effects_by_quadrature import (
    Given,
    GivenRows,
    draw_effects,
    log_group_densities,
    log_left_out,
)

DISPERSION = {"negative_binomial": (1.7,), "student_t": (0.5, 3.0)}
COEF = np.array([-0.3, 0.5])
SIZES = [1, 2, 3, 5, 9, 30]
N_DRAWS = 4000


def simulate(name, q, seed=1):
    """Return rows, sorted by group."""
    rng = np.random.default_rng(seed)
    n = sum(SIZES)
    fixed = np.column_stack([np.ones(n), rng.standard_normal(n)])
    varying = np.column_stack([np.ones(n), rng.standard_normal(n)])[:, :q]
    u = 0.9 * rng.standard_normal((len(SIZES), q))
    eta = fixed @ COEF + np.sum(varying * np.repeat(u, SIZES, axis=0), axis=1)
    size = np.exp(rng.standard_normal(n)) if FAMILIES[name].link == "log" else np.ones(n)
    if name == "binomial":
        size = rng.integers(1, 9, n).astype(float)
    y = FAMILIES[name].draw(rng, size, eta, DISPERSION.get(name, ()))
    starts = np.concatenate([[0], np.cumsum(SIZES)])
    return GroupedRows(y, size, np.ones(n), fixed, varying, starts)


def covariance(q):
    """Return a covariance of effects."""
    return np.array([[0.8, 0.3], [0.3, 0.5]])[:q, :q]


def given(name, q, n_draws):
    """Return draws that are all the same."""
    d = np.array(DISPERSION.get(name, ()))
    parts = covariance(q), d, COEF
    return Given(*(np.tile(part, (n_draws, *[1] * part.ndim)) for part in parts))


def grid(name, rows, j, leave_out=None):
    """Return effects (q, n) on a grid, and the log density of a group there, weighted."""
    q = rows.varying.shape[1]
    line = np.linspace(-6.5, 6.5, 1601 if q == 1 else 161)
    v = np.stack(np.meshgrid(*[line] * q, indexing="ij")).reshape(q, -1)
    log_weight = -0.5 * np.sum(v**2, axis=0) + q * np.log(
        (line[1] - line[0]) / np.sqrt(2 * np.pi)
    )
    u = np.linalg.cholesky(covariance(q)) @ v
    s = np.arange(rows.starts[j], rows.starts[j + 1])
    s = s[s != leave_out]
    eta = (rows.fixed[s] @ COEF)[:, None] + rows.varying[s] @ u
    d = DISPERSION.get(name, ())
    logs = FAMILIES[name].log_density(rows.y[s, None], rows.size[s, None], eta, d)
    return u, np.sum(logs, axis=0) + log_weight


@pytest.mark.parametrize("q", [1, 2])
@pytest.mark.parametrize("name", FAMILIES)
def test_drawn_effects_have_the_distribution_on_a_grid(name, q):
    rows = simulate(name, q)
    likelihood = make_quadrature(FAMILIES[name], rows)
    codes = np.arange(len(SIZES))
    effects = draw_effects(likelihood, given(name, q, N_DRAWS), codes, seed=2, threads=2)
    for j in codes:
        u, logs = grid(name, rows, j)
        p = np.exp(logs - logsumexp(logs))
        mean = u @ p
        cov = (u - mean[:, None]) * p @ (u - mean[:, None]).T
        sd = np.sqrt(np.diag(cov))
        z = (effects[:, j] - mean) / sd
        assert np.all(np.abs(z.mean(axis=0)) < 4.5 / np.sqrt(N_DRAWS))
        fourth = (((u - mean[:, None]) / sd[:, None]) ** 4) @ p
        error = np.sqrt((fourth - 1) / N_DRAWS)
        assert np.all(np.abs(np.mean(z**2, axis=0) - 1) < 5 * error)
        if q == 2:
            r = cov[0, 1] / sd[0] / sd[1]
            assert np.mean(z[:, 0] * z[:, 1]) == pytest.approx(r, abs=0.09)
            continue
        below = np.cumsum(p)
        for share in (0.01, 0.1, 0.5, 0.9, 0.99):
            k = np.searchsorted(below, share)
            found = np.mean(effects[:, j, 0] < u[0, k] + 0.5 * (u[0, 1] - u[0, 0]))
            error = np.sqrt(share * (1 - share) / N_DRAWS)
            assert found == pytest.approx(below[k], abs=4.5 * error)


def test_draws_of_a_group_do_not_depend_on_the_other_groups_asked_for():
    rows = simulate("bernoulli", 1)
    likelihood = make_quadrature(FAMILIES["bernoulli"], rows)
    draws = given("bernoulli", 1, 200)
    every = draw_effects(likelihood, draws, np.arange(6), seed=5)
    some = draw_effects(likelihood, draws, np.array([4, 1]), seed=5, threads=2)
    np.testing.assert_array_equal(some, every[:, [4, 1]])
    other = draw_effects(likelihood, draws, np.array([4, 1]), seed=6)
    assert not np.any(other == some)


@pytest.mark.parametrize("q", [1, 2])
@pytest.mark.parametrize("name", FAMILIES)
def test_densities_of_groups_have_all_constants(name, q):
    rows = simulate(name, q)
    likelihood = make_quadrature(FAMILIES[name], rows)
    codes = np.array([3, 0, 5])
    found = log_group_densities(likelihood, given(name, q, 2), codes)
    expected = [logsumexp(grid(name, rows, j)[1]) for j in codes]
    np.testing.assert_allclose(found, [expected] * 2, atol=2e-6)


@pytest.mark.parametrize("q", [1, 2])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_row_left_out_is_a_ratio_of_densities(name, q):
    rows = simulate(name, q)
    likelihood = make_quadrature(FAMILIES[name], rows)
    codes = np.repeat(np.arange(len(SIZES)), SIZES)
    order = np.random.default_rng(0).permutation(len(codes))[:20]
    asked = GivenRows(
        *(array[order] for array in (rows.y, rows.size, rows.fixed, rows.varying)), codes[order]
    )
    found = log_left_out(likelihood, given(name, q, 2), asked)
    expected = [
        logsumexp(grid(name, rows, codes[i])[1]) - logsumexp(grid(name, rows, codes[i], i)[1])
        for i in order
    ]
    np.testing.assert_allclose(found, [expected] * 2, atol=5e-5)


def test_a_row_that_is_part_of_a_pattern_is_left_out():
    ones = np.ones((3, 1))
    rows = GroupedRows(
        np.array([2.0, 0.0, 1.0]), np.array([3.0, 1.0, 1.0]), ones[:, 0], ones, ones,
        np.array([0, 1, 3]),
    )  # fmt: skip
    likelihood = make_quadrature(FAMILIES["bernoulli"], rows)
    draws = Given(np.full((1, 1, 1), 2.0), np.empty((1, 0)), np.array([[0.4]]))
    single = np.array([1.0]), np.array([1.0]), ones[:1], ones[:1]
    found = log_left_out(likelihood, draws, GivenRows(*single, np.array([0])))[0, 0]
    u = np.linspace(-12, 12, 8001)
    log_p, log_q = -np.logaddexp(0, -0.4 - u), -np.logaddexp(0, 0.4 + u)
    prior = -0.25 * u**2
    expected = logsumexp(2 * log_p + log_q + prior) - logsumexp(log_p + log_q + prior)
    assert found == pytest.approx(expected, abs=2e-5)
