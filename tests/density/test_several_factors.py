"""Several grouping factors, and known errors: the densities against dense, row-wise ones."""

import itertools
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pymc as pm
import pytest
from internals import (
    FlatDensity,
    build,
    build_pymc,
    choose_coordinates,
    evaluate_crossed,
    evaluate_density,
    kinds_of_coordinates,
    observed_statistics,
)
from pymc_density import FlatModel, hyperparameters
from reference import (
    CrossedOracle,
    Oracle,
    Structure,
    assert_dense,
    assert_gradient,
    dense_covariance,
    dense_log_density,
    differentiate,
    make_crossed_table,
    make_table,
    spread_of,
)

from skhbm import HierarchicalNormalRegressor, Prior

N_POINTS = 5


def crossed(rng, n, *sizes):
    """Codes of so many rows; every group of every factor occurs."""
    codes = np.column_stack([rng.integers(0, J, n) for J in sizes])
    for f, J in enumerate(sizes):
        codes[:J, f] = np.arange(J)
    return codes


def nested(rng, *sizes):
    """Codes of the cells of factors each of which splits the groups of the one before."""
    codes = np.zeros((1, 0), dtype=int)
    for size in sizes:
        counts = rng.integers(1, size + 1, len(codes))
        codes = np.column_stack([np.repeat(codes, counts, axis=0), np.arange(counts.sum())])
    return codes


#: Codes (n, n_factors) of the rows.
LAYOUTS = {
    "crossed": lambda rng: crossed(rng, 40, 6, 4),
    "three factors": lambda rng: crossed(rng, 50, 5, 7, 3),
    "one row per cell": lambda _: np.array([*itertools.product(range(5), range(6))]),
    "many rows per cell": lambda rng: crossed(rng, 90, 2, 3),
    "one or two rows in a group": lambda rng: crossed(rng, 14, 9, 8),
    "nested": lambda rng: np.repeat(nested(rng, 4, 3, 3), 2, axis=0),
    "the same factor twice": lambda _: np.repeat(np.arange(5), 4)[:, None] * [1, 1],
}


def layout(name, **parameters):
    rng = np.random.default_rng(19)
    return make_crossed_table(rng, LAYOUTS[name](rng), 2, **parameters)


@pytest.fixture(params=LAYOUTS, ids=str)
def table(request):
    return layout(request.param)


def each(*varying, **shared):
    """One structure per factor: its slopes, and None before them for no intercept."""
    return [
        Structure(
            tuple(k for k in slopes if k is not None),
            varying_intercept=None not in slopes,
            **shared,
        )
        for slopes in varying
    ]


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
    return each(first, *[rest] * (table.codes.shape[1] - 1), **shared)


def random_covariance(rng, q):
    root = rng.standard_normal((q, q)) * np.exp(rng.normal(-0.5, 0.5, size=(q, 1)))
    return root @ root.T


class Working:
    """Rows in working units, written out, and points to evaluate densities at."""

    def __init__(self, structures, table, design, share):
        self.table, self.design = table, design
        self.structures = list(structures)
        scaling = design.scaling
        self.X = table.X / scaling.x_scale
        fixed = self.X - scaling.x_mean / scaling.x_scale
        one = np.ones((len(fixed), 1))
        self.fixed = np.hstack([one, fixed]) if structures[0].intercept else fixed
        self.y = (table.y - scaling.y_mean) / scaling.y_scale
        self.codes = [table.codes[:, f] for f in range(table.codes.shape[1])]
        self.own = self.structures.pop(design.integrated)
        self.own_codes = self.codes.pop(design.integrated)
        self.sizes = [c.max() + 1 for c in self.codes]
        self.k = {"none": 0, "some": 1, "all": self.fixed.shape[1]}[share]

    def terms(self, structure):
        Z = self.X[:, list(structure.slopes)]
        one = np.ones((len(Z), int(structure.varying_intercept)))
        return np.hstack([one, Z])

    def draw(self, rng):
        by_group = self.own.by_group
        n_effects = sum(J * s.q for J, s in zip(self.sizes, self.structures, strict=True))
        p = self.fixed.shape[1]
        return (
            random_covariance(rng, self.own.q),
            np.exp(rng.normal(-0.3, 0.4, self.own_codes.max() + 1 if by_group else 1)),
            rng.standard_normal(p),
            rng.standard_normal(n_effects),
            rng.standard_normal((p, self.k)),
        )

    def dense(self, cov, sigma, offset, effects, T):
        residual = self.y - self.fixed @ offset
        for structure, codes, J in zip(self.structures, self.codes, self.sizes, strict=True):
            own, effects = np.split(effects, [J * structure.q])
            residual -= np.sum(self.terms(structure) * own.reshape(J, -1)[codes], axis=1)
        sigma = sigma[self.own_codes] if self.own.by_group else np.full(len(residual), sigma[0])
        FT = self.fixed @ T
        Z = self.terms(self.own)
        return dense_log_density(
            residual, dense_covariance(Z, self.own_codes, cov, sigma) + FT @ FT.T
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
    ours = [evaluate_crossed(design, *point)[0] for point in points]
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
    structures = structures_of(table, varying, by_group=by_group)
    design, _, _ = build(structures, table)
    working = Working(structures, table, design, "some")
    points = [working.draw(rng) for _ in range(N_POINTS)]
    ours = [evaluate_crossed(design, *point)[0] for point in points]
    dense = [working.dense(*point) for point in points]
    assert spread_of(np.subtract(ours, dense)) <= 1e-9 * np.max(np.abs(dense))


def test_marginal_log_density_is_exact_where_features_are_constant_within_cells():
    """Nothing is spanned within a cell by such a feature, nor by one that is zero."""
    rng = np.random.default_rng(7)
    table = layout("many rows per cell")
    table.X[:, 0] = table.codes[:, 1] - 0.3 * table.codes[:, 0]
    table.X[:, 1] *= table.codes[:, 0] == 0
    structures = each((0, 1), (0, 1))
    design, _, _ = build(structures, table)
    working = Working(structures, table, design, "some")
    points = [working.draw(rng) for _ in range(N_POINTS)]
    ours = [evaluate_crossed(design, *point)[0] for point in points]
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

    expected, error = differentiate(lambda x: evaluate_crossed(design, *parts(x))[0], x, 5e-4)
    _, d_cov, *gradients = evaluate_crossed(design, *parts(x))
    # One entry below the diagonal of a symmetric matrix stands for two.
    d_lower = (d_cov + d_cov.T - np.diag(np.diag(d_cov)))[below]
    gradient = np.concatenate([d_lower, *gradients])
    assert np.all(np.abs(gradient - expected) <= 5 * error)
    assert np.all(error <= 1e-4 * (1 + np.abs(expected).max()))


NON_NORMAL = {"coef": Prior("StudentT", nu=4, mu=0.2, sigma=1.5)}
BY_FACTOR = {
    "tau_group0": Prior("Exponential", lam=0.7),
    "tau_group1": {"intercept": Prior("InverseGamma", alpha=2, beta=1)},
    "sigma": Prior("HalfCauchy", beta=2),
    "intercept": Prior("Normal", mu=2, sigma=3),
    "corr": Prior("LKJCorr", eta=3.5),
}
STRUCTURES = {
    "shared": each((), ()),
    "three factors": each((), (), ()),
    "by group, hierarchical": each((), (), by_group=True),
    "by group, independent": each(
        (), (0,), by_group=True, priors={"sigma": Prior("HalfNormal", sigma=3)}
    ),
    "correlated slopes": each((0,), (0, 1)),
    "correlated slopes in both": each((0, 1), (1,)),
    "uncorrelated slopes": each((0,), (0, 1), correlated=False),
    "slopes only": each((None, 0), (None, 0, 1)),
    "no intercept": each((), (0,), intercept=False),
    "non-normal coefficients": each((), (), priors=NON_NORMAL),
    "priors by factor": each((0,), (1,), priors=BY_FACTOR),
    "known errors": each((), (), known=True),
    "known errors, slopes": each((0,), (0,), known=True),
}  # fmt: skip


@pytest.fixture(params=STRUCTURES, ids=str)
def structures(request):
    return STRUCTURES[request.param]


def rows_for(structures):
    """Few groups: Jacobians are dense in the effects."""
    rng = np.random.default_rng(29)
    sizes = (5, 3, 2)[: len(structures)]
    errors = 0.3 if structures[0].known else None
    return make_crossed_table(rng, crossed(rng, 30, *sizes), 2, location=1, errors=errors)


def random_points(n_dim, n_points=N_POINTS):
    return 0.5 * np.random.default_rng(5).standard_normal((n_points, n_dim))


KINDS = ["eigenvectors", "reflection", "probes"]


@pytest.fixture(params=KINDS)
def kind(request, monkeypatch):
    choose_coordinates(monkeypatch, request.param)
    return request.param


def test_sampled_density_is_the_dense_one(structures, kind):
    rows = rows_for(structures)
    design, _, density = build(structures, rows)
    assert all(rotated == (kind == "eigenvectors") for rotated in kinds_of_coordinates(density))
    oracle = CrossedOracle(structures, rows, design.integrated)
    dense = partial(oracle.log_density, sampled=~oracle.normal)
    assert_dense(FlatDensity(density), dense, random_points(density.n_dim))


def test_gradient_of_the_density_is_its_differences(structures, kind):
    _, _, density = build(structures, rows_for(structures))
    assert all(rotated == (kind == "eigenvectors") for rotated in kinds_of_coordinates(density))
    assert_gradient(FlatDensity(density), random_points(density.n_dim, 2))


def test_companions_are_independent_standard_normals(structures):
    _, _, density = build(structures, rows_for(structures))
    x, companions = np.array([0.3] * density.n_dim), np.array([0.4, -1.1])
    value, gradient, natural = evaluate_density(density, x)
    more, longer, same = evaluate_density(density, np.append(x, companions))
    assert more == pytest.approx(value - 0.5 * companions @ companions, rel=1e-12)
    assert np.array_equal(longer, np.append(gradient, -companions))
    assert np.array_equal(natural, same)


def test_density_of_the_pymc_model_is_the_dense_one(structures):
    rows = rows_for(structures)
    design, _, _ = build(structures, rows)
    oracle = CrossedOracle(structures, rows, design.integrated)
    model = build_pymc(structures, rows)
    own = structures[design.integrated]
    names = hyperparameters(model, own, f"group{design.integrated}")
    for f, structure in enumerate(structures):
        if f != design.integrated:
            corr = [f"corr_group{f}"] * (structure.n_correlations > 0)
            names += [f"tau_group{f}", *corr, f"effect_group{f}"]
    flat = FlatModel(model, names)
    everything = np.ones(len(oracle.normal), dtype=bool)
    dense = partial(oracle.log_density, sampled=everything)
    assert_dense(flat, dense, random_points(flat.n_dim, 3))


@pytest.mark.parametrize("structure", [Structure(), Structure((0,))], ids=["means", "slopes"])
@pytest.mark.parametrize("sizes", [(1,) * 9, (4, 1, 7, 2)], ids=["one row each", "more"])
def test_sampled_density_of_known_errors_is_the_dense_one(structure, sizes):
    rng = np.random.default_rng(31)
    rows = make_table(rng, sizes, 1)
    rows.errors = np.exp(rng.normal(0, 0.5, len(rows.y)))
    structure = replace(structure, known=True)
    oracle = Oracle(structure, rows)
    _, _, density = build(structure, rows)
    assert density.n_dim == structure.q + structure.n_correlations
    dense = partial(oracle.log_density, sampled=~oracle.normal)
    points = random_points(density.n_dim)
    assert_dense(FlatDensity(density), dense, points)
    assert_gradient(FlatDensity(density), points)


def precise(value):
    """A prior that leaves a number less doubt than the Monte Carlo error of simulations."""
    return Prior("Normal", mu=value, sigma=1e-4)


def precise_scale(value):
    return Prior("LogNormal", mu=float(np.log(value)), sigma=1e-4)


INTERCEPT, COEF, RESIDUAL = 2.0, np.array([1.0, -0.5]), 0.8
TAU = {"intercept": 1.5, "x1": 0.7}
SIMULATED = {
    "slopes in both": {"varying_slopes": [1], "correlated": False},
    "slopes alone in one": {
        "varying_slopes": {"group0": [1]}, "varying_intercept": {"group0": False},
    },
    "by group": {"residual_scale": "by_group"},
    "known errors": {"residual_scale": "known"},
}  # fmt: skip


@pytest.fixture(scope="module", params=SIMULATED)
def simulation(request):
    """Simulated statistics (n_draws, k), those of simulated rows, the observed, the rows'."""
    return simulate(SIMULATED[request.param])


def simulate(parameters, n_draws=2000):
    rng = np.random.default_rng(83)
    codes = crossed(rng, 18, 4, 3)
    X = rng.normal(1, 2, size=(len(codes), 2))
    known = parameters.get("residual_scale") == "known"
    errors = np.exp(rng.normal(0, 0.5, len(codes))) if known else None
    priors = {
        "intercept": precise(INTERCEPT),
        "coef": {"x0": precise(COEF[0]), "x1": precise(COEF[1])},
    }
    if not known:
        priors["sigma"] = precise_scale(RESIDUAL)
    model = HierarchicalNormalRegressor(
        draws=4, tune=1, chains=1, random_state=0, priors=priors, **parameters
    )
    rows = np.tile(INTERCEPT + X @ COEF, (n_draws, 1))
    slopes, intercepts = (
        parameters.get(name, {}) for name in ("varying_slopes", "varying_intercept")
    )
    for f in range(2):
        own = slopes.get(f"group{f}", []) if isinstance(slopes, dict) else slopes
        terms = ["intercept"] * intercepts.get(f"group{f}", True) + [f"x{k}" for k in own]
        priors[f"tau_group{f}"] = {name: precise_scale(TAU[name]) for name in terms}
        for name in terms:
            z = np.ones(len(X)) if name == "intercept" else X[:, 1]
            rows += z * (TAU[name] * rng.standard_normal((n_draws, 4)))[:, codes[:, f]]
    scale = RESIDUAL if errors is None else errors
    rows += scale * rng.standard_normal(rows.shape)
    y = rng.standard_normal(len(codes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y, groups=codes, y_err=errors)
    built = model.model_
    with warnings.catch_warnings():
        # PyTensor's own, at simulating from a model.
        warnings.filterwarnings("ignore", message="Numba will use object mode")
        tree = pm.sample_prior_predictive(draws=n_draws, model=built, random_seed=0)
    simulated = tree["prior_predictive"]["statistics"].to_numpy().reshape(n_draws, -1)
    expected = np.array([observed_statistics(model, X, row, codes, errors) for row in rows])
    observed = built.rvs_to_values[built["statistics"]].data
    return simulated, expected, observed, observed_statistics(model, X, y, codes, errors)


def test_simulated_statistics_have_the_means_of_those_of_rows(simulation):
    actual, expected, _, _ = simulation
    error = np.sqrt((actual.var(axis=0) + expected.var(axis=0)) / len(actual))
    difference = np.abs(actual.mean(axis=0) - expected.mean(axis=0))
    assert np.all(difference <= 5 * error + 1e-9 * np.abs(expected).max())


def test_simulated_statistics_have_the_covariance_of_those_of_rows(simulation):
    actual, expected = (s - s.mean(axis=0) for s in simulation[:2])
    products = [np.einsum("si,sj->sij", s, s) for s in (actual, expected)]
    error = np.sqrt(sum(p.var(axis=0) for p in products) / len(actual))
    difference = np.abs(products[0].mean(axis=0) - products[1].mean(axis=0))
    assert np.all(difference <= 5 * error + 1e-9 * np.abs(products[1]).max())


def test_observed_statistics_are_those_of_the_rows(simulation):
    np.testing.assert_allclose(simulation[2], simulation[3], rtol=1e-9, atol=1e-12)
