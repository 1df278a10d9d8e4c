"""The marginal likelihood given sampled effects against dense, row-wise densities."""

import itertools

import numpy as np
import pytest
from internals import build, evaluate_given_effects
from random_parts import random_codes, random_covariance, structures_by
from reference import (
    dense_covariance,
    dense_log_density,
    differentiate,
    make_several_factors_table,
    spread_of,
)

from skhbm import Prior

N_POINTS = 5


def nested(rng, *sizes):
    """Codes of the cells of factors each of which splits the groups of the one before."""
    codes = np.zeros((1, 0), dtype=int)
    for size in sizes:
        counts = rng.integers(1, size + 1, len(codes))
        codes = np.column_stack([np.repeat(codes, counts, axis=0), np.arange(counts.sum())])
    return codes


#: Codes (n, n_factors) of the rows.
LAYOUTS = {
    "crossed": lambda rng: random_codes(rng, 40, 6, 4),
    "three factors": lambda rng: random_codes(rng, 50, 5, 7, 3),
    "one row per cell": lambda _: np.array([*itertools.product(range(5), range(6))]),
    "many rows per cell": lambda rng: random_codes(rng, 90, 2, 3),
    "one or two rows in a group": lambda rng: random_codes(rng, 14, 9, 8),
    "nested": lambda rng: np.repeat(nested(rng, 4, 3, 3), 2, axis=0),
    "the same factor twice": lambda _: np.repeat(np.arange(5), 4)[:, None] * [1, 1],
}


def layout(name, **parameters):
    rng = np.random.default_rng(19)
    return make_several_factors_table(rng, LAYOUTS[name](rng), 2, **parameters)


@pytest.fixture(params=LAYOUTS, ids=str)
def table(request):
    return layout(request.param)


#: What varies by the first factor and by the others.
VARYING = {
    "intercepts": [(), ()],
    "a slope in the first": [(0,), ()],
    "a slope in the others": [(), (1,)],
    "slopes in all": [(0, 1), (0,)],
    "slopes of different features": [(0,), (1,)],
    "slopes alone in the first": [(None, 0), ()],
    "slopes alone in the others": [(), (None, 0, 1)],
    "slopes alone": [(None, 1), (None, 0)],
}


def structures_of(table, varying, **shared):
    first, rest = VARYING[varying]
    return structures_by(first, *[rest] * (table.codes.shape[1] - 1), **shared)


class Working:
    """Rows in working units, written out, and points to evaluate densities at."""

    def __init__(self, structures, table, design, share):
        self.table, self.design = table, design
        self.structures = list(structures)
        scaling = design.scaling
        self.X = table.X / scaling.x_scale
        fixed = self.X - scaling.x_mean / scaling.x_scale
        ones = np.ones((len(fixed), 1))
        self.fixed = np.hstack([ones, fixed]) if structures[0].intercept else fixed
        self.y = (table.y - scaling.y_mean) / scaling.y_scale
        self.codes = [table.codes[:, f] for f in range(table.codes.shape[1])]
        self.integrated = self.structures.pop(design.integrated)
        self.integrated_codes = self.codes.pop(design.integrated)
        self.sizes = [c.max() + 1 for c in self.codes]
        self.k = {"none": 0, "some": 1, "all": self.fixed.shape[1]}[share]

    def terms(self, structure):
        at = self.design.scaling.x_mean / self.design.scaling.x_scale * structure.at_means
        Z = (self.X - at)[:, list(structure.slopes)]
        ones = np.ones((len(Z), int(structure.varying_intercept)))
        return np.hstack([ones, Z])

    def draw(self, rng):
        by_group = self.integrated.by_group
        n_effects = sum(J * s.q for J, s in zip(self.sizes, self.structures, strict=True))
        p = self.fixed.shape[1]
        return (
            random_covariance(rng, self.integrated.q),
            np.exp(rng.normal(-0.3, 0.4, self.integrated_codes.max() + 1 if by_group else 1)),
            rng.standard_normal(p),
            rng.standard_normal(n_effects),
            rng.standard_normal((p, self.k)),
        )

    def dense(self, cov, sigma, offset, effects, T):
        residual = self.y - self.fixed @ offset
        for structure, codes, J in zip(self.structures, self.codes, self.sizes, strict=True):
            of_factor, effects = np.split(effects, [J * structure.q])
            residual -= np.sum(self.terms(structure) * of_factor.reshape(J, -1)[codes], axis=1)
        sigma = (
            sigma[self.integrated_codes]
            if self.integrated.by_group
            else np.full(len(residual), sigma[0])
        )
        FT = self.fixed @ T
        Z = self.terms(self.integrated)
        return dense_log_density(
            residual, dense_covariance(Z, self.integrated_codes, cov, sigma) + FT @ FT.T
        )


@pytest.mark.parametrize("share", ["none", "some", "all"])
@pytest.mark.parametrize("by_group", [False, True], ids=["shared", "by group"])
@pytest.mark.parametrize("varying", VARYING)
def test_marginal_log_density_given_effects_is_the_dense_one(table, varying, by_group, share):
    rng = np.random.default_rng(3)
    structures = structures_of(table, varying, by_group=by_group)
    design, _, _ = build(structures, table)
    working = Working(structures, table, design, share)
    points = [working.draw(rng) for _ in range(N_POINTS)]
    ours = [evaluate_given_effects(design, *point)[0] for point in points]
    dense = [working.dense(*point) for point in points]
    assert spread_of(np.subtract(ours, dense)) <= 1e-9 * np.max(np.abs(dense))


@pytest.mark.parametrize("by_group", [False, True], ids=["shared", "by group"])
@pytest.mark.parametrize("varying", VARYING)
@pytest.mark.parametrize(
    "parameters", [{"location": 30}, {"location": 3}], ids=["far from zero", "off centre"]
)
def test_marginal_log_density_of_uncentred_features_is_the_dense_one(
    varying, by_group, parameters
):
    """Cells of few rows are off centre by a thousand times what they span."""
    rng = np.random.default_rng(5)
    table = layout("three factors", **parameters)
    # Under an explicit prior of the correlations the varying terms keep their origin, x = 0.
    priors = {"corr": Prior("LKJCorr", eta=2)}
    structures = structures_of(table, varying, by_group=by_group, priors=priors)
    design, _, _ = build(structures, table)
    working = Working(structures, table, design, "some")
    points = [working.draw(rng) for _ in range(N_POINTS)]
    ours = [evaluate_given_effects(design, *point)[0] for point in points]
    dense = [working.dense(*point) for point in points]
    assert spread_of(np.subtract(ours, dense)) <= 1e-9 * np.max(np.abs(dense))


def test_marginal_log_density_is_exact_where_features_are_constant_within_cells():
    """Nothing is spanned within a cell by such a feature, nor by one that is zero."""
    rng = np.random.default_rng(7)
    table = layout("many rows per cell")
    table.X[:, 0] = table.codes[:, 1] - 0.3 * table.codes[:, 0]
    table.X[:, 1] *= table.codes[:, 0] == 0
    structures = structures_by((0, 1), (0, 1))
    design, _, _ = build(structures, table)
    working = Working(structures, table, design, "some")
    points = [working.draw(rng) for _ in range(N_POINTS)]
    ours = [evaluate_given_effects(design, *point)[0] for point in points]
    dense = [working.dense(*point) for point in points]
    assert spread_of(np.subtract(ours, dense)) <= 1e-9 * np.max(np.abs(dense))


@pytest.mark.parametrize("share", ["none", "some", "all"])
@pytest.mark.parametrize("by_group", [False, True], ids=["shared", "by group"])
@pytest.mark.parametrize("varying", ["intercepts", "slopes in all", "slopes alone"])
@pytest.mark.parametrize("name", ["three factors", "one row per cell"])
def test_gradients_of_the_marginal_are_its_differences(name, varying, by_group, share):
    rng = np.random.default_rng(4)
    table = layout(name)
    structures = structures_of(table, varying, by_group=by_group)
    design, _, _ = build(structures, table)
    working = Working(structures, table, design, share)
    cov, sigma, offset, effects, T = working.draw(rng)
    q = len(cov)
    cov += 0.3 * np.eye(q)
    below = np.tril_indices(q)
    x = np.concatenate([cov[below], sigma, offset, 0.3 * effects])
    ends = np.cumsum([len(below[0]), len(sigma), len(offset)])

    def parts(x):
        entries, sigma, offset, effects = np.split(x, ends)
        lower = np.zeros((q, q))
        lower[below] = entries
        return lower + np.tril(lower, -1).T, sigma, offset, effects, T

    expected, error = differentiate(
        lambda x: evaluate_given_effects(design, *parts(x))[0], x, 5e-4
    )
    _, d_cov, *gradients = evaluate_given_effects(design, *parts(x))
    # One entry below the diagonal of a symmetric matrix stands for two.
    d_lower = (d_cov + d_cov.T - np.diag(np.diag(d_cov)))[below]
    gradient = np.concatenate([d_lower, *gradients])
    assert np.all(np.abs(gradient - expected) <= 5 * error)
    assert np.all(error <= 1e-4 * (1 + np.abs(expected).max()))
