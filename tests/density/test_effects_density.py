"""The density of hyperparameters and effects of other responses, and chains of it."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from arviz_stats.base import array_stats
from internals import FlatDensity
from random_parts import random_points
from reference import assert_dense, assert_gradient, differentiate, mcse
from response_parts import ResponseModel, ResponseRows, permuted, simulate, textbook_log_density

from skhbm import Prior
from skhbm._density.effects_density import effects_of
from skhbm._density.small_matrices import factorise, factorise_backward
from skhbm._numba.jit import njit
from skhbm._sampling.solvers import Settings, draw

MODELS = {
    "two factors, Bernoulli": ResponseModel("bernoulli", ((), ())),
    "three factors, Poisson": ResponseModel("poisson", ((), (), ())),
    "slopes of both factors, binomial": ResponseModel("binomial", ((0,), (1,))),
    "three terms, negative binomial": ResponseModel("negative_binomial", ((0, 1),)),
    "three terms, Student-t": ResponseModel("student_t", ((0, 1),)),
    "independent slopes": ResponseModel("poisson", ((0,), ()), correlated=False),
    "slopes at zero": ResponseModel("bernoulli", ((0,), ()), centred=False),
    "no intercept": ResponseModel("poisson", ((), (0,)), intercept=False, centred=False),
    "other priors": ResponseModel(
        "poisson",
        ((), (0,)),
        priors={
            "intercept": Prior("StudentT", nu=4, mu=0.3, sigma=2),
            "coef": {"x0": Prior("Gamma", alpha=2, beta=3)},
            "tau": Prior("Exponential", lam=1.5),
            "corr": Prior("LKJCorr", eta=1.5),
        },
    ),
}  # fmt: skip
LEVELS = (4, 3, 2)


def parts_of(model, n=40):
    rows = simulate(model, n, LEVELS[: len(model.slopes)], seed=3)
    return rows, *model.build(rows)


@pytest.fixture(params=MODELS, ids=str, scope="module")
def parts(request):
    model = MODELS[request.param]
    return model, *parts_of(model)


def about_start(density, n_points=2):
    return density.start + random_points(density.n_dim, n_points)


def test_density_is_that_of_the_textbook(parts):
    model, rows, design, priors, density = parts
    dense = partial(textbook_log_density, model, rows, design, priors, density)
    assert_dense(FlatDensity(density), dense, about_start(density))


def test_gradient_is_its_differences(parts):
    density = parts[-1]
    assert_gradient(FlatDensity(density), about_start(density))


def test_values_hold_the_effects_of_each_factor_in_the_order_of_its_levels(parts):
    _, _, design, _, density = parts
    x = about_start(density, 1)[0]
    natural = FlatDensity(density).natural(x)
    effects = effects_of(density, natural[None])
    shapes = [(1, f.n_groups, len(f.terms.varying)) for f in design.factors]
    assert [u.shape for u in effects] == shapes
    flat = np.concatenate([u.ravel() for u in effects])
    np.testing.assert_array_equal(flat, natural[density.hyper.n_dim :])


def test_order_of_rows_and_of_labels_does_not_matter():
    model = MODELS["slopes of both factors, binomial"]
    rows, _, _, density = parts_of(model)
    rng = np.random.default_rng(8)
    other_rows = permuted(rows, rng)
    _, _, other = model.build(other_rows)
    x = about_start(density, 1)[0]
    x_other = x.copy()
    at = density.hyper.n_dim
    for f, (J, q) in enumerate(density.shapes):
        some = slice(at, at + J * q)
        x_other[some] = x[some].reshape(J, q)[position_of(rows, other_rows, f)].ravel()
        at += J * q
    one, two = (FlatDensity(d) for d in (density, other))
    assert one.logp(x) == pytest.approx(two.logp(x_other), rel=1e-9)


def position_of(rows, others, f):
    """Return which level of the factor of `rows` each level of that of `others` is."""
    key = np.lexsort(np.column_stack([rows.X, rows.y]).T)
    other_key = np.lexsort(np.column_stack([others.X, others.y]).T)
    _, codes = np.unique(rows.labels[key, f], return_inverse=True)
    _, other_codes = np.unique(others.labels[other_key, f], return_inverse=True)
    out = np.empty(other_codes.max() + 1, dtype=int)
    out[other_codes] = codes
    return out


@pytest.mark.parametrize("nested", [False, True], ids=["crossed", "nested"])
def test_coordinates_are_independent_normals_if_the_response_is_normal(monkeypatch, nested):
    # Student's t with many degrees of freedom is normal, and has the normal's approximation.
    monkeypatch.setattr("skhbm._density.effects_likelihood.NEAR", 1.0 + 1e-9)
    tau = Prior("Gamma", alpha=2, beta=1)
    model = ResponseModel("student_t", ((), (), ()), priors={"tau": tau})
    rows = simulate(model, 90, (12, 7, 3), seed=2)
    if nested:
        level = rows.labels[:, 0]
        rows = replace(rows, labels=np.column_stack([level, level // 2, level // 6]))
    monkeypatch.setattr("skhbm._density.effects_reference._maximise", lambda *_: LARGE_NU)
    _, _, density = model.build(rows)
    x = density.start
    n_scales = density.hyper.n_dim - len(density.hyper.center)
    x[n_scales:] = np.random.default_rng(1).standard_normal(density.n_dim - n_scales)
    _, gradient = density.value_and_gradient(x)
    np.testing.assert_allclose(gradient[n_scales:], -x[n_scales:], atol=1e-4)


#: A scale, and degrees of freedom of a t distribution that is close to normal.
LARGE_NU = np.array([0.8, 1e8])


def test_factors_and_their_derivatives():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((4, 4))
    A, weights = root @ root.T, np.tril(rng.standard_normal((4, 4)))
    L, d_A = np.empty((4, 4)), np.empty((4, 4))
    assert factored(A, L)
    np.testing.assert_allclose(L, np.linalg.cholesky(A), atol=1e-12)
    pulled_back(L, weights, d_A)
    half = np.tril(np.ones((4, 4)))

    def value(lower):
        symmetric = np.zeros((4, 4))
        symmetric[half > 0] = lower
        symmetric = symmetric + np.tril(symmetric, -1).T
        return np.sum(weights * np.linalg.cholesky(symmetric))

    expected, error = differentiate(value, A[half > 0], h=1e-4)
    found = (d_A + np.tril(d_A, -1))[half > 0]
    assert np.all(np.abs(found - expected) <= 1e-6 + 5 * error)
    assert not factored(-A, L)


@njit()
def factored(A, L):
    return factorise(A, L)


@njit()
def pulled_back(L, d_L, d_A):
    factorise_backward(L, d_L, d_A)


def test_there_is_no_way_without_a_chain():
    density = parts_of(MODELS["two factors, Bernoulli"])[-1]
    with pytest.raises(ValueError, match=r"solver='laplace'.*one grouping factor"):
        draw(density, "laplace", Settings(10, 10, 2, 0.9, 0, 1))


@pytest.fixture(scope="module")
def ticks(cases_folder):
    """The density of the ticks on grouse chicks, and the reference posterior."""
    folder = cases_folder.parent / "cases_responses" / "grouseticks"
    if not folder.is_dir():
        pytest.skip(f"no reference posterior at {folder}")
    data = np.genfromtxt(folder / "data.csv", delimiter=",", names=True)
    X = np.column_stack([data[name] for name in ("height", "year96", "year97")])
    labels = np.column_stack([data[name] for name in TICKS])
    priors = {
        "intercept": Prior("Normal", mu=0, sigma=5),
        "coef": Prior("Normal", mu=0, sigma=2.5),
        "tau": Prior("HalfNormal", sigma=2.5),
    }
    model = ResponseModel("poisson", ((), (), ()), priors)
    rows = ResponseRows(data["ticks"], X, labels, np.ones(len(X)))
    density = model.build(rows)[-1]
    draws = draw(density, "auto", Settings(1000, 1000, 4, 0.9, 3, 2))
    return density, draws, labels, json.loads((folder / "reference.json").read_text())


TICKS = ("brood", "location", "chick")


def assert_as_reference(values, reference, wrong=5.0):
    """Assert that draws (n_chains, n_draws) have the moments of a reference."""
    error = np.hypot(mcse(values), reference["mcse"])
    assert abs(values.mean() - reference["mean"]) < wrong * error
    error = np.hypot(mcse(values, "sd"), reference["mcse"])
    assert abs(values.std() - reference["sd"]) < wrong * error


def test_hyperparameters_of_ticks_are_those_of_the_reference(ticks):
    _, draws, _, reference = ticks
    names = [*[f"tau[{f},intercept]" for f in TICKS], "intercept"]
    names += [f"coef[{name}]" for name in ("height", "year96", "year97")]
    assert not draws.statistics["diverging"].any()
    for i, name in enumerate(names):
        values = draws.values[:, :, i]
        assert_as_reference(values, reference["params"][name])
        assert array_stats.rhat(values, chain_axis=0, draw_axis=1) < 1.01
        assert array_stats.ess(values, chain_axis=0, draw_axis=1) > 400


def test_effects_of_ticks_are_those_of_the_reference(ticks):
    density, draws, labels, reference = ticks
    effects = effects_of(density, draws.values)
    for f, name in enumerate(TICKS):
        for j, label in enumerate(np.unique(labels[:, f])):
            key = f"effect[{name}={label:g},intercept]"
            if key in reference["effects"]:
                value = reference["effects"][key]
                of_level = effects[f][:, :, j, 0]
                error = np.hypot(mcse(of_level), value["mcse"])
                assert abs(of_level.mean() - value["mean"]) < 5 * error
