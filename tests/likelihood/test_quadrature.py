"""The quadrature over effects against dense rules, limits, extremes and finite differences."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.special import logsumexp, roots_hermitenorm

from skhbm._families.table import FAMILIES
from skhbm._likelihood.grouped_rows import GroupedRows
from skhbm._likelihood.quadrature import MOST_TERMS, QuadratureLikelihood, make_quadrature
from skhbm._likelihood.quadrature_constants import group_constants

DISPERSION = {"negative_binomial": (1.7,), "student_t": (0.6, 3.0)}
#: What the rule may miss in a group, for any family and width of the prior: see TOLERANCE.
ERROR = 2e-6


def simulate(name, q, sizes, seed=0, scale=0.8):
    """Return rows of a family with q varying terms, a varying intercept first."""
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    fixed = np.column_stack([np.ones(n), rng.standard_normal(n)])
    varying = np.column_stack([np.ones(n), rng.standard_normal(n)])[:, :q]
    u = scale * rng.standard_normal((len(sizes), q))
    eta = fixed @ [-0.3, 0.5] + np.sum(varying * np.repeat(u, sizes, axis=0), axis=1)
    size = np.ones(n)
    if name == "binomial":
        size = rng.integers(1, 9, n).astype(float)
    elif name in ("poisson", "negative_binomial"):
        size = np.exp(rng.standard_normal(n))
    y = FAMILIES[name].draw(rng, size, eta, DISPERSION.get(name, ()))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    return GroupedRows(y, size, np.ones(n), fixed, varying, starts)


def value(name, rows, cov, coef, dispersion=None):
    """Return the log density with all constants, and its gradient as a vector."""
    given = np.array(DISPERSION.get(name, ()) if dispersion is None else dispersion)
    likelihood = make_quadrature(FAMILIES[name], rows)
    logp, *gradient = likelihood.value_and_gradient(np.array(cov), given, np.array(coef))
    codes = np.arange(len(likelihood.counts))
    constants = float(np.sum(group_constants(likelihood, codes, given[None])))
    rest = constants - float(np.sum(group_constants_free(likelihood, given)))
    return logp + rest, np.concatenate([g.ravel() for g in gradient])


def group_constants_free(likelihood, dispersion):
    """Return what `group_constants` has of the dispersion, which the value has already."""
    from skhbm._likelihood.quadrature_constants import row_rests

    y, size, weight = likelihood.levels
    return row_rests(likelihood, y, size, weight, dispersion[None])


def dense(name, rows, cov, coef, dispersion=None, n_nodes=4001, reach=9.0):
    """Return the log density by a fine trapezoidal rule over the prior of the effects."""
    family, d = FAMILIES[name], DISPERSION.get(name, ()) if dispersion is None else dispersion
    q = len(cov)
    L = np.linalg.cholesky(cov) if np.any(cov) else np.zeros((q, q))
    per_axis = n_nodes if q == 1 else 181
    line = np.linspace(-reach, reach, per_axis)
    v = np.stack(np.meshgrid(*[line] * q, indexing="ij")).reshape(q, -1)
    log_weight = -0.5 * np.sum(v**2, axis=0) + q * np.log(
        (line[1] - line[0]) / np.sqrt(2 * np.pi)
    )
    total = 0.0
    for first, last in zip(rows.starts[:-1], rows.starts[1:], strict=True):
        s = slice(first, last)
        eta = (rows.fixed[s] @ coef)[:, None] + rows.varying[s] @ L @ v
        logs = family.log_density(rows.y[s, None], rows.size[s, None], eta, d)
        total += logsumexp(rows.weight[s] @ logs + log_weight)
    return total


@pytest.mark.parametrize("scale", [1e-3, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("name", FAMILIES)
def test_one_term_agrees_with_a_dense_rule(name, scale):
    rows = simulate(name, 1, [1, 2, 3, 5, 8, 9, 17, 40])
    cov, coef = np.array([[scale**2]]), np.array([-0.2, 0.4])
    expected = dense(name, rows, cov, coef)
    assert value(name, rows, cov, coef)[0] == pytest.approx(expected, abs=8 * ERROR, rel=1e-9)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_slope_alone_agrees_with_a_dense_rule(name):
    rows = simulate(name, 2, [1, 2, 3, 5, 8, 9, 17, 40])
    rows = rows._replace(varying=rows.varying[:, 1:])
    cov, coef = np.array([[0.7]]), np.array([-0.2, 0.4])
    expected = dense(name, rows, cov, coef)
    assert value(name, rows, cov, coef)[0] == pytest.approx(expected, abs=8 * ERROR, rel=1e-9)


@pytest.mark.parametrize("correlation", [-0.5, 0.95])
@pytest.mark.parametrize("name", FAMILIES)
def test_two_terms_agree_with_a_dense_rule(name, correlation):
    rows = simulate(name, 2, [1, 2, 4, 9, 30])
    tau = np.array([0.9, 0.6])
    cov = np.outer(tau, tau) * [[1.0, correlation], [correlation, 1.0]]
    coef = np.array([-0.2, 0.4])
    expected = dense(name, rows, cov, coef, reach=7.5)
    assert value(name, rows, cov, coef)[0] == pytest.approx(expected, abs=5 * ERROR, rel=1e-9)


@pytest.mark.parametrize("name", ["bernoulli", "poisson", "negative_binomial"])
@pytest.mark.parametrize("size", [4, 12, 50])
def test_as_many_digits_as_64_adaptive_nodes_of_gauss_and_hermite(name, size):
    rows = simulate(name, 1, [size])
    x, w = roots_hermitenorm(64)
    family, coef, tau = FAMILIES[name], np.array([-0.2, 0.4]), 0.7
    d = DISPERSION.get(name, ())

    def log_integrand(u):
        eta = (rows.fixed @ coef)[:, None] + u
        logs = family.log_density(rows.y[:, None], rows.size[:, None], eta, d).sum(0)
        return logs - 0.5 * u**2 / tau**2 - np.log(tau)

    grid = np.linspace(-5, 5, 4001)
    weights = np.exp(log_integrand(grid) - log_integrand(grid).max())
    mean = weights @ grid / weights.sum()
    width = np.sqrt(weights @ (grid - mean) ** 2 / weights.sum())
    logs = log_integrand(mean + width * x) + 0.5 * x**2 + np.log(width * w / (2 * np.pi) ** 0.5)
    expected = logsumexp(logs)
    found = value(name, rows, [[tau**2]], coef)[0]
    assert found == pytest.approx(expected, abs=ERROR)


@pytest.mark.parametrize("q", [0, 1, 2])
@pytest.mark.parametrize("name", FAMILIES)
def test_gradient_agrees_with_finite_differences(name, q):
    rows = simulate(name, q, [1, 2, 6, 9, 20, 33])
    likelihood = make_quadrature(FAMILIES[name], rows)
    L = np.array([[0.9, 0.0], [0.3, 0.6]])[:q, :q]
    d = np.array(DISPERSION.get(name, ()))
    x = np.concatenate([(L @ L.T).ravel(), d, [-0.2, 0.4]])
    sizes = np.cumsum([q * q, len(d)])

    def split(x):
        cov, dispersion, coef = np.split(x, sizes)
        cov = cov.reshape(q, q)
        return 0.5 * (cov + cov.T), dispersion, coef

    _, *parts = likelihood.value_and_gradient(*split(x))
    gradient = np.concatenate([part.ravel() for part in parts])
    steps = 2e-3 * np.eye(len(x))
    differences = [
        (
            8 * (likelihood.value_and_gradient(*split(x + e))[0]
                 - likelihood.value_and_gradient(*split(x - e))[0])
            - likelihood.value_and_gradient(*split(x + 2 * e))[0]
            + likelihood.value_and_gradient(*split(x - 2 * e))[0]
        ) / 24e-3
        for e in steps
    ]  # fmt: skip
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-5 * len(rows.y) / 10)


@pytest.mark.parametrize("tau", [0.0, 1e-12, 1e-8])
@pytest.mark.parametrize("q", [1, 2])
@pytest.mark.parametrize("name", FAMILIES)
def test_without_spread_it_is_the_plain_model(name, q, tau):
    rows = simulate(name, q, [1, 5, 12])
    coef, d = np.array([-0.2, 0.4]), DISPERSION.get(name, ())
    plain = float(np.sum(FAMILIES[name].log_density(rows.y, rows.size, rows.fixed @ coef, d)))
    found, gradient = value(name, rows, tau**2 * np.eye(q), coef)
    assert found == pytest.approx(plain, abs=1e-6)
    assert np.all(np.isfinite(gradient))
    none = rows._replace(varying=np.empty((len(rows.y), 0)))
    assert value(name, none, np.empty((0, 0)), coef)[0] == pytest.approx(plain, abs=1e-8)


def test_a_singular_covariance_is_that_of_one_term():
    rows = simulate("poisson", 2, [3, 8, 20])
    one = rows._replace(varying=rows.varying @ [[0.8], [0.5]])
    root = np.array([[0.8], [0.5]])
    coef = np.array([-0.2, 0.4])
    found = value("poisson", rows, root @ root.T, coef)[0]
    assert found == pytest.approx(value("poisson", one, [[1.0]], coef)[0], abs=1e-6)


def one_group(y, size=None, weight=None):
    """Return rows of one group with an intercept."""
    y = np.array(y, dtype=float)
    ones = np.ones((len(y), 1))
    size = ones[:, 0] if size is None else np.array(size, dtype=float)
    weight = ones[:, 0] if weight is None else np.array(weight, dtype=float)
    return GroupedRows(y, size, weight, ones, ones, np.array([0, len(y)]))


def by_fine_rule(name, rows, tau, b, dispersion=()):
    """Return the log density of one group by a fine rule where the integrand matters."""
    family = FAMILIES[name]

    def log_integrand(u):
        eta = b + np.atleast_1d(u)
        logs = family.log_density(rows.y[:, None], rows.size[:, None], eta, dispersion)
        return rows.weight @ logs - 0.5 * (eta - b) ** 2 / tau**2

    low, high = -12 * tau, 12 * tau
    for _ in range(12):
        grid = np.linspace(low, high, 401)
        logs = log_integrand(grid)
        near = grid[logs > logs.max() - 40]
        step = grid[1] - grid[0]
        low, high = max(near[0] - step, low), min(near[-1] + step, high)
    grid = np.linspace(low, high, 4001)
    mass = logsumexp(log_integrand(grid)) + np.log(grid[1] - grid[0])
    return mass - np.log(tau * np.sqrt(2 * np.pi))


EXTREMES = {
    "all zeros": ("bernoulli", one_group([0] * 40), 3.0, 0.5),
    "all ones, a wide prior": ("bernoulli", one_group([1] * 200), 15.0, -1.0),
    "one row": ("bernoulli", one_group([1]), 5.0, -2.0),
    "far from the data": ("bernoulli", one_group([1, 0, 1]), 2.0, 80.0),
    "a prior beyond the range of exp": ("bernoulli", one_group([1, 0, 1]), 400.0, 3.0),
    "large counts": ("poisson", one_group([1e6, 1.2e6]), 2.0, 1.0),
    "small exposure": ("poisson", one_group([3, 0], [1e-6, 1e-6]), 2.0, 0.0),
    "large exposure": ("poisson", one_group([5, 1], [1e6, 1e6]), 2.0, 0.0),
    "no counts": ("poisson", one_group([0] * 30), 5.0, 0.0),
    "many trials": ("binomial", one_group([400000, 3], [1e6, 10]), 1.0, 0.0),
    "an outlier": ("student_t", one_group([0.1, -0.2, 0.3, 50.0]), 2.0, 0.0),
    "two clusters": ("student_t", one_group([-3.0, -2.9, 4.0, 4.2]), 3.0, 0.0),
    "one far row": ("student_t", one_group([30.0]), 3.0, 0.0),
    "weights": ("student_t", one_group([0.5, 9.0], None, [3, 2]), 3.0, 0.0),
    "counts and dispersion": ("negative_binomial", one_group([1e5, 0, 3]), 2.0, 1.0),
}


@pytest.mark.parametrize("case", EXTREMES)
def test_extremes_agree_with_a_fine_rule(case):
    name, rows, tau, b = EXTREMES[case]
    d = {"student_t": (0.4, 2.0), "negative_binomial": (0.8,)}.get(name, ())
    expected = by_fine_rule(name, rows, tau, b, d)
    found, gradient = value(name, rows, [[tau**2]], [b], d)
    assert found == pytest.approx(expected, abs=2 * ERROR, rel=1e-9)
    assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("name", ["bernoulli", "poisson", "student_t"])
def test_a_huge_group_is_a_needle(name):
    rng = np.random.default_rng(3)
    n, tau = 100_000, 1.5
    y = FAMILIES[name].draw(rng, 1.0, np.full(n, 0.8), DISPERSION.get(name, ()))
    rows = one_group(y)
    d = DISPERSION.get(name, ())
    found = value(name, rows, [[tau**2]], [0.1])[0]
    u = 0.7 + np.linspace(-0.06, 0.06, 241)
    logs = np.array([FAMILIES[name].log_density(y, 1.0, 0.1 + x, d).sum() for x in u])
    logs += -0.5 * u**2 / tau**2 - np.log(tau * np.sqrt(2 * np.pi))
    assert found == pytest.approx(logsumexp(logs) + np.log(u[1] - u[0]), rel=1e-11, abs=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_are_repeated_rows(name):
    rows = simulate(name, 1, [2, 7])
    times = np.array([1, 3, 2, 1, 1, 4, 1, 2, 1])
    weighted = rows._replace(weight=times.astype(float))
    again = GroupedRows(
        *(np.repeat(array, times, axis=0) for array in rows[:5]),
        starts=np.array([0, 4, np.sum(times)]),
    )
    given = [[0.8]], [-0.2, 0.4]
    found, gradient = value(name, weighted, *given)
    expected, same = value(name, again, *given)
    assert found == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(gradient, same, rtol=1e-6, atol=1e-6)


def test_sums_over_patterns_are_rows():
    rows = one_group([1, 0, 1, 1, 0])
    pattern = one_group([3], [5])
    d = np.empty(0)
    one, other = (
        make_quadrature(FAMILIES["bernoulli"], r).value_and_gradient(
            np.array([[0.9]]), d, np.array([0.3])
        )
        for r in (rows, pattern)
    )
    assert one[0] == pytest.approx(other[0], abs=1e-8)
    np.testing.assert_allclose(one[3], other[3], rtol=1e-6)


def test_the_order_of_rows_and_groups_does_not_matter():
    rows = simulate("bernoulli", 2, [4, 9, 2])
    order = np.concatenate([[13, 14], np.arange(3, -1, -1), np.arange(4, 13)])
    turned = GroupedRows(*(array[order] for array in rows[:5]), np.array([0, 2, 6, 15]))
    given = np.array([[0.8, 0.1], [0.1, 0.5]]), [-0.2, 0.4]
    assert value("bernoulli", rows, *given)[0] == pytest.approx(
        value("bernoulli", turned, *given)[0], abs=1e-9
    )


def test_evaluations_do_not_depend_on_each_other():
    rows = simulate("student_t", 1, [3, 9, 20])
    likelihood = make_quadrature(FAMILIES["student_t"], rows)
    d, coef = np.array([0.6, 3.0]), np.array([-0.2, 0.4])
    before = likelihood.value_and_gradient(np.array([[0.5]]), d, coef)[0]
    likelihood.value_and_gradient(np.array([[90.0]]), np.array([5.0, 1.0]), 30 * coef)
    assert likelihood.value_and_gradient(np.array([[0.5]]), d, coef)[0] == before


@pytest.mark.parametrize("name", FAMILIES)
def test_the_general_kernel_agrees_with_that_of_vectors(name, monkeypatch):
    rows = simulate(name, 1, [2, 9, 20])
    given = [[0.8]], [-0.2, 0.4]
    fast, gradient = value(name, rows, *given)
    monkeypatch.setattr("skhbm._likelihood.quadrature.VECTORS", {})
    slow, same = value(name, rows, *given)
    assert fast == pytest.approx(slow, rel=1e-8)
    np.testing.assert_allclose(gradient, same, rtol=1e-5, atol=1e-5)


def test_work_is_positive_and_grows_with_rows():
    small, large = (
        make_quadrature(FAMILIES["poisson"], simulate("poisson", 1, [n] * 5)) for n in (2, 40)
    )
    assert isinstance(small, QuadratureLikelihood)
    assert 0 < small.work < large.work


def test_too_many_terms_are_refused():
    rows = simulate("poisson", 2, [3, 4])
    rows = rows._replace(varying=np.ones((7, MOST_TERMS + 1)))
    with pytest.raises(ValueError, match="at most 2 varying terms"):
        make_quadrature(FAMILIES["poisson"], rows)


def test_compiled_code_is_found_again_by_another_process():
    code = """
import warnings, numpy as np
warnings.simplefilter("error")
from skhbm._families.table import FAMILIES
from skhbm._likelihood.quadrature_general import make_general_rows
kernels = [make_general_rows(FAMILIES[name]) for name in ("poisson", "bernoulli")]
print(*[kernel.cache_hits for kernel in kernels])
"""
    for _ in range(2):
        found = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
    assert found.stdout.split() == ["1", "1"]
