"""The density of several factors, and of known errors, against dense, row-wise ones."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytensor.tensor as pt
import pytest
from internals import (
    FlatDensity,
    build,
    build_parts,
    build_pymc,
    evaluate_density,
    statistics_of_cells,
)
from pymc_density import FlatModel, as_sampled, hyperparameters
from random_parts import random_codes, random_points, structures_by
from reference import (
    MarginalOracle,
    Oracle,
    Structure,
    assert_dense,
    assert_gradient,
    make_several_factors_table,
    make_table,
)

from skhbm import Prior

NON_NORMAL = {"coef": Prior("StudentT", nu=4, mu=0.2, sigma=1.5)}

BY_FACTOR = {
    "tau_group0": Prior("Exponential", lam=0.7),
    "tau_group1": {"intercept": Prior("InverseGamma", alpha=2, beta=1)},
    "sigma": Prior("HalfCauchy", beta=2),
    "intercept": Prior("Normal", mu=2, sigma=3),
    "corr": Prior("LKJCorr", eta=3.5),
}

STRUCTURES = {
    "shared": structures_by((), ()),
    "three factors": structures_by((), (), ()),
    "correlated slopes": structures_by((0,), (0, 1)),
    "correlated slopes in both": structures_by((0, 1), (1,)),
    "uncorrelated slopes": structures_by((0,), (0, 1), correlated=False),
    "slopes only": structures_by((None, 0), (None, 0, 1)),
    "no intercept": structures_by((), (0,), intercept=False),
    "non-normal coefficients": structures_by((), (), priors=NON_NORMAL),
    "priors by factor": structures_by((0,), (1,), priors=BY_FACTOR),
    "known errors": structures_by((), (), known=True),
    "known errors, slopes": structures_by((0,), (0,), known=True),
}  # fmt: skip

#: Structures that differ in all that a graph of PyMC can get wrong.
SOME = ["three factors", "correlated slopes in both", "known errors, slopes"]


@pytest.fixture(params=STRUCTURES, ids=str)
def structures(request):
    return STRUCTURES[request.param]


def rows_for(structures):
    """Return rows of few groups: the oracle's covariances are dense."""
    rng = np.random.default_rng(29)
    sizes = (3, 5, 4)[: len(structures)]
    errors = 0.3 if structures[0].known else None
    return make_several_factors_table(
        rng, random_codes(rng, 30, *sizes), 2, location=1, errors=errors
    )


def test_sampled_density_is_the_dense_one(structures):
    rows = rows_for(structures)
    density = build(structures, rows)[2]
    oracle = MarginalOracle(structures, rows)
    dense = partial(oracle.log_density, sampled=~oracle.normal)
    assert_dense(FlatDensity(density), dense, random_points(density.n_dim))


def test_gradient_of_the_density_is_its_differences(structures):
    _, _, density = build(structures, rows_for(structures))
    assert_gradient(FlatDensity(density), random_points(density.n_dim, 2))


def test_companions_are_independent_standard_normals(structures):
    _, _, density = build(structures, rows_for(structures))
    x, companions = np.array([0.3] * density.n_dim), np.array([0.4, -1.1])
    value, gradient, natural = evaluate_density(density, x)
    more, longer, same = evaluate_density(density, np.append(x, companions))
    assert more == pytest.approx(value - 0.5 * companions @ companions, rel=1e-12)
    assert np.array_equal(longer, np.append(gradient, -companions))
    assert np.array_equal(natural, same)


def flat_model(structures, model):
    """Return a PyMC model as a function of a vector, in the order of `MarginalOracle`."""
    names = []
    for f, structure in enumerate(structures):
        kinds = ["tau", "corr"] if structure.n_correlations else ["tau"]
        names += [as_sampled(model, f"{kind}_group{f}") for kind in kinds]
    population = hyperparameters(model, structures[0], "group0")
    return FlatModel(model, names + [name for name in population if "group0" not in name])


def test_density_of_the_pymc_model_is_the_dense_one(structures):
    rows = rows_for(structures)
    oracle = MarginalOracle(structures, rows)
    flat = flat_model(structures, build_pymc(structures, rows))
    everything = np.ones(len(oracle.normal), dtype=bool)
    dense = partial(oracle.log_density, sampled=everything)
    assert_dense(flat, dense, random_points(flat.n_dim, 3))


@pytest.mark.parametrize("name", SOME)
def test_gradient_of_the_pymc_model_is_its_differences(name):
    structures = STRUCTURES[name]
    flat = flat_model(structures, build_pymc(structures, rows_for(structures)))
    assert_gradient(flat, random_points(flat.n_dim, 2))


@pytest.mark.parametrize("name", SOME)
def test_density_of_another_response_is_the_dense_one(name):
    """The priors stay those of the first response."""
    structures = STRUCTURES[name]
    rows, oracle = rows_for(structures), MarginalOracle(structures, rows_for(structures))
    dense = partial(oracle.log_density, sampled=np.ones(len(oracle.normal), dtype=bool))
    model = build_pymc(structures, rows)
    flat = flat_model(structures, model)
    x = random_points(flat.n_dim, 1)[0]
    natural = flat.natural(x)
    before = flat.logp(x) - dense(natural)
    other = replace(rows, y=rows.y[::-1] + rows.X[:, 0])
    statistics, scaling = build_parts(structures, other)[0], build(structures, rows)[0].scaling
    value = pt.as_tensor(statistics_of_cells(statistics, scaling))
    model.rvs_to_values[model["statistics"]] = value
    oracle.integrated.table = replace(oracle.integrated.table, y=other.y)
    after = flat_model(structures, model).logp(x) - dense(natural)
    assert after == pytest.approx(before, abs=1e-9 * abs(dense(natural)))


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
