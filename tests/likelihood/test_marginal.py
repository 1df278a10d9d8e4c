"""The marginal likelihood of one factor against dense, row-wise densities."""

import itertools

import numpy as np
import pytest
from internals import build, evaluate_marginal
from random_parts import random_covariance
from reference import (
    Structure,
    dense_covariance,
    dense_log_density,
    differentiate,
    make_table,
    spread_of,
    working_rows,
)

N_POINTS = 6

TABLES = {
    "groups of 1 to 50 rows": {"sizes": (1, 2, 3, 4, 5, 8, 13, 21, 34, 50), "n_features": 3},
    "fewer rows than terms": {"sizes": (1, 1, 2, 2, 1, 3, 2), "n_features": 3},
    "a slope feature constant within groups": {
        "sizes": (6, 1, 9, 4, 12), "n_features": 3, "constant_within": (0,),
    },
    "one group": {"sizes": (12,), "n_features": 2},
    "features far from zero": {"sizes": (7, 3, 11), "n_features": 2, "location": 30},
    "many features, by LAPACK": {"sizes": (6, 1, 9, 4, 12), "n_features": 15},
}  # fmt: skip


@pytest.fixture(params=TABLES, ids=str)
def table(request):
    return make_table(np.random.default_rng(17), **TABLES[request.param])


MARGINALS = [
    pytest.param(slopes, varying_intercept, by_group, share, id=(
        f"slopes {slopes}, {'' if varying_intercept else 'no '}varying intercept, "
        f"{'by group' if by_group else 'shared'}, {share} integrated"
    ))
    for slopes, varying_intercept, by_group, share in itertools.product(
        [(), (0,), (0, 1)], [True, False], [False, True], ["none", "some", "all"]
    )
    if slopes or varying_intercept
]  # fmt: skip


@pytest.mark.parametrize(("slopes", "varying_intercept", "by_group", "share"), MARGINALS)
def test_marginal_log_density_is_the_dense_one(
    table, slopes, varying_intercept, by_group, share
):
    rng = np.random.default_rng(3)
    structure = Structure(slopes, varying_intercept=varying_intercept, by_group=by_group)
    design, _, _ = build(structure, table)
    fixed, varying, y = working_rows(design, structure, table)
    p = fixed.shape[1]
    k = {"none": 0, "some": p // 2, "all": p}[share]
    ours, dense = [], []
    for _ in range(N_POINTS):
        cov = random_covariance(rng, structure.q)
        sigma = np.exp(rng.normal(-0.3, 0.4, size=table.n_groups if by_group else 1))
        offset, T = rng.standard_normal(p), rng.standard_normal((p, k))
        ours.append(evaluate_marginal(design, cov, sigma, offset, T)[0])
        row_sigma = sigma[table.codes] if by_group else np.full(len(y), sigma[0])
        FT = fixed @ T
        covariance = dense_covariance(varying, table.codes, cov, row_sigma) + FT @ FT.T
        dense.append(dense_log_density(y - fixed @ offset, covariance))
    assert spread_of(np.subtract(ours, dense)) <= 1e-9 * np.max(np.abs(dense))


@pytest.mark.parametrize(("slopes", "varying_intercept", "by_group", "share"), MARGINALS)
def test_gradients_of_the_marginal_are_its_differences(
    table, slopes, varying_intercept, by_group, share
):
    rng = np.random.default_rng(4)
    structure = Structure(slopes, varying_intercept=varying_intercept, by_group=by_group)
    design, _, _ = build(structure, table)
    q, p = structure.q, len(table.features) + 1
    T = rng.standard_normal((p, {"none": 0, "some": p // 2, "all": p}[share]))
    cov = random_covariance(rng, q) + 0.3 * np.eye(q)
    sigma = np.exp(rng.normal(-0.3, 0.4, size=table.n_groups if by_group else 1))
    x = np.concatenate([cov[np.tril_indices(q)], sigma, rng.standard_normal(p)])

    def parts(x):
        lower = np.zeros((q, q))
        lower[np.tril_indices(q)] = x[: q * (q + 1) // 2]
        cov = lower + np.tril(lower, -1).T
        return cov, *np.split(x[q * (q + 1) // 2 :], [len(sigma)])

    expected, error = differentiate(
        lambda x: evaluate_marginal(design, *parts(x), T)[0], x, 5e-4
    )
    _, d_cov, d_sigma, d_offset = evaluate_marginal(design, *parts(x), T)
    # One entry below the diagonal of a symmetric matrix stands for two.
    d_lower = (d_cov + d_cov.T - np.diag(np.diag(d_cov)))[np.tril_indices(q)]
    gradient = np.concatenate([d_lower, d_sigma, d_offset])
    assert np.all(np.abs(gradient - expected) <= 5 * error)
    assert np.all(error <= 1e-4 * (1 + np.abs(expected).max()))
