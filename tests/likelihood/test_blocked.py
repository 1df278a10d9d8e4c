"""The likelihood of several factors against the dense normal density of the rows."""

import numpy as np
import pytest
from blocked_rows import DESIGNS, Rows, choose_elimination

from skhbm import GroupedStatistics
from skhbm._design.blocks import make_blocks
from skhbm._design.scaling import make_scaling
from skhbm._design.terms import Terms

#: Step of central differences, and what these are accurate to.
STEP, RTOL_OF_DIFFERENCES = 1e-5, 1e-6


@pytest.fixture(params=["dense", "sparse", "natural", "all sparse"])
def elimination_of(request, monkeypatch):
    choose_elimination(monkeypatch, request.param)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("weighted", [False, True])
def test_density_is_the_dense_one(design, weighted, elimination_of):
    for seed in range(4):
        rows = Rows(seed, DESIGNS[design], nested=seed % 2 == 1, weighted=weighted)
        value = rows.likelihood().value_and_gradient(rows.covs, rows.sigma, rows.w)[0]
        expected = rows.dense(rows.covs, rows.sigma, rows.w)
        # The response has the rounding of 1e-6 of its standard deviation.
        np.testing.assert_allclose(value, expected, rtol=1e-9)


@pytest.mark.parametrize("design", DESIGNS)
def test_gradient_is_that_of_differences(design, elimination_of):
    rows = Rows(11, DESIGNS[design])
    covs, sigma, w = rows.covs, rows.sigma, rows.w
    _, d_covs, d_sigma, d_w = rows.likelihood().value_and_gradient(covs, sigma, w)

    def difference(change):
        up, down = (rows.dense(*change(step)) for step in (STEP, -STEP))
        return (up - down) / (2 * STEP)

    expected = difference(lambda h: (covs, sigma + h, w))
    np.testing.assert_allclose(d_sigma, expected, rtol=RTOL_OF_DIFFERENCES, atol=1e-7)
    for k in range(len(w)):
        expected = difference(lambda h, k=k: (covs, sigma, w + h * np.eye(len(w))[k]))
        np.testing.assert_allclose(d_w[k], expected, rtol=RTOL_OF_DIFFERENCES, atol=1e-7)
    for f, cov in enumerate(covs):
        for a, b in zip(*np.tril_indices(len(cov)), strict=True):
            there = np.zeros_like(cov)
            there[a, b] = there[b, a] = 1.0
            expected = difference(
                lambda h, f=f, there=there: (
                    [c + h * there if g == f else c for g, c in enumerate(covs)], sigma, w,
                )
            )  # fmt: skip
            found = np.sum(d_covs[f] * there)
            np.testing.assert_allclose(found, expected, rtol=RTOL_OF_DIFFERENCES, atol=1e-7)


def test_coefficients_are_integrated_out():
    rows = Rows(5, DESIGNS["slopes"])
    likelihood = rows.likelihood(mean=np.zeros(2))
    value = likelihood.value_and_gradient(rows.covs, rows.sigma, rows.w[2:])[0]
    expected = rows.dense(rows.covs, rows.sigma, rows.w[2:], prior=2)
    np.testing.assert_allclose(value, expected, rtol=1e-9)


def test_scales_that_vanish_leave_regression():
    rows = Rows(3, DESIGNS["three factors"])
    covs = [np.array([[tiny]]) for tiny in (1e-300, 1e-40, 0.0)]
    value = rows.likelihood().value_and_gradient(covs, rows.sigma, rows.w)[0]
    expected = rows.dense([cov * 0 for cov in covs], rows.sigma, rows.w)
    np.testing.assert_allclose(value, expected, rtol=1e-9)


def test_scales_beyond_rounding_have_no_density():
    rows = Rows(3, DESIGNS["two factors"])
    covs = [np.array([[1e16]]), np.array([[1.0]])]
    assert rows.likelihood().value_and_gradient(covs, 1.0, rows.w)[0] == -np.inf


def test_nested_levels_fill_nothing_in():
    """Three levels of nesting cost what the levels are in number."""
    rng = np.random.default_rng(0)
    school = rng.integers(0, 600, 6000)
    codes = np.column_stack([school // 20, school * 4 + rng.integers(0, 4, 6000), school])
    statistics = GroupedStatistics.from_arrays(None, rng.standard_normal(6000), codes)
    none = np.empty(0, dtype=int)
    terms = [Terms((), none, True, True, True, "shared", False)] * 3
    scaling = make_scaling(statistics.of_factor(0), centred=True)
    blocks, layout = make_blocks(statistics, scaling, terms)
    assert layout.first == 1
    n_levels = len(blocks.head)
    assert n_levels == 630
    n_dense = n_levels - (len(blocks.column_start) - 1)
    assert len(blocks.column_row) + n_dense**2 <= 2 * n_levels


def test_no_cross_products_are_as_long_as_the_rows():
    rng = np.random.default_rng(0)
    codes = np.column_stack([rng.integers(0, k, 20_000) for k in (20, 7, 3)])
    statistics = GroupedStatistics.from_arrays(None, rng.standard_normal(20_000), codes)
    none = np.empty(0, dtype=int)
    terms = [Terms((), none, True, True, True, "shared", False)] * 3
    scaling = make_scaling(statistics.of_factor(0), centred=True)
    blocks, _ = make_blocks(statistics, scaling, terms)
    assert max(array.size for array in blocks) <= 20 * 10
