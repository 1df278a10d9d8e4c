"""Which solver makes the draws, and draws of several factors by each."""

import warnings

import numpy as np
import pytest
from internals import build
from random_parts import random_codes, structures_by
from reference import make_several_factors_table, mcse
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from structures import STRUCTURES, fit, rows_of

from skhbm import HierarchicalNormalRegressor
from skhbm._posterior.diagnostics import warn_if_not_converged
from skhbm._sampling import solvers
from skhbm._sampling.laplace import ENOUGH, LEAST, laplace, make_plan
from skhbm._sampling.psis import effective_size

SMALL = {"draws": 60, "tune": 60, "chains": 2}


def crossed(seed=0, n=200):
    rng = np.random.default_rng(seed)
    codes = random_codes(rng, n, 12, 7)
    X = rng.standard_normal((n, 1))
    y = X[:, 0] + rng.standard_normal(12)[codes[:, 0]] + rng.standard_normal(n)
    return X, y + 0.7 * rng.standard_normal(7)[codes[:, 1]], codes


def values(model):
    """All draws of the hyperparameters and coefficients."""
    posterior = model._posterior
    scales = [s.tau for s in posterior.scales]
    return np.concatenate([*scales, posterior.sigma, posterior.coef], axis=2)


def same(first, second):
    return np.array_equal(values(first), values(second))


def test_the_default_is_auto():
    assert HierarchicalNormalRegressor().solver == "auto"


@pytest.mark.parametrize("structure", STRUCTURES)
def test_auto_is_nuts_with_one_factor(structure):
    rows, parameters = rows_of(3), {**STRUCTURES[structure], **SMALL}
    with warnings.catch_warnings():
        # So few draws have not converged.
        warnings.simplefilter("ignore", ConvergenceWarning)
        models = [fit(rows, solver=solver, **parameters) for solver in ("auto", "nuts")]
    assert same(*models)
    assert [model.diagnostics_["solver"] for model in models] == ["nuts", "nuts"]
    assert models[0].diagnostics_["n_points"] is None


def test_auto_is_laplace_where_chains_would_take_long(monkeypatch):
    monkeypatch.setattr(solvers, "CHEAP", 0.0)
    models = [fit(crossed(), solver=solver) for solver in ("auto", "laplace")]
    assert same(*models)
    found = models[0].diagnostics_
    assert found["solver"] == "laplace"
    assert found["pareto_k"] < 0.5
    assert found["min_ess"] > 1000


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("constants", "expected"),
    [
        ({"CHEAP": np.inf}, "nuts"),
        ({"CHEAP": 0.0, "good_k": lambda _: -np.inf}, "nuts"),
        ({"CHEAP": 0.0, "good_k": lambda _: -np.inf, "AFFORDABLE": 0.0}, "laplace"),
    ],
    ids=["cheap chains", "affordable chains", "dear chains"],
)
def test_auto_chooses_by_cost_and_k(constants, expected, monkeypatch):
    for name, value in constants.items():
        monkeypatch.setattr(solvers, name, value)
    model = fit(crossed(), **SMALL)
    assert model.diagnostics_["solver"] == expected
    assert same(model, fit(crossed(), solver=expected, **SMALL))


def test_a_seed_gives_the_same_draws_of_several_factors_whatever_the_threads():
    assert same(*[fit(crossed(), solver="laplace", n_jobs=n_jobs) for n_jobs in (1, 3)])


def test_solvers_agree_on_several_factors():
    models = [fit(crossed(), solver=solver) for solver in ("nuts", "laplace")]
    chains, ours = map(values, models)
    for a, b in zip(np.moveaxis(chains, 2, 0), np.moveaxis(ours, 2, 0), strict=True):
        error = np.hypot(mcse(a), b.std() / np.sqrt(models[1].diagnostics_["min_ess"]))
        assert abs(a.mean() - b.mean()) <= 5 * error
        assert 0.85 < a.std() / b.std() < 1 / 0.85


def test_draws_of_several_factors_are_of_the_density():
    """Marginal distributions of draws against quadrature over the logs of tau / sigma."""
    rng = np.random.default_rng(29)
    table = make_several_factors_table(rng, random_codes(rng, 60, 9, 5), 1, location=1)
    density = build(structures_by((), ()), table)[2].in_logs()
    found = laplace(density, density.start, n=4000, seed=0, threads=1)
    assert found.weights.k < 0.5
    of_points = density.points_about(density.start)
    grid = np.linspace(-12, 4, 241), np.linspace(-12, 4, 239)
    points = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, 2)
    logs = of_points.evaluate(points, 1).logp.reshape(241, 239)
    heights = np.exp(logs - logs.max())
    for k in range(2):
        marginal = heights.sum(axis=1 - k)
        cdf = np.cumsum(marginal) - 0.5 * marginal
        ratios = np.log(found.values[:, k] / found.values[:, 2])
        uniform = np.interp(ratios, grid[k], cdf / marginal.sum())
        size = effective_size(ratios, found.weights.spread)
        assert stats.kstest(uniform, "uniform").statistic < 1.95 / np.sqrt(size)


def test_draws_of_equal_points_have_equal_ratios():
    rng = np.random.default_rng(29)
    table = make_several_factors_table(rng, random_codes(rng, 60, 9, 5), 1, location=1)
    density = build(structures_by((), ()), table)[2].in_logs()
    found = laplace(density, density.start, n=4000, seed=0, threads=1)
    ratios = found.values[:, :2] / found.values[:, 2:]
    first = np.unique(found.points, return_index=True)[1]
    np.testing.assert_allclose(ratios, ratios[first][found.points], rtol=1e-12)
    assert len(found.cross_products) == len(first) < 4000
    assert len(np.unique(found.values[:, 2])) == 4000


class Dear:
    """What a plan asks of a density."""

    n_dim = 4

    def __init__(self, seconds):
        self.seconds = seconds


def test_points_are_fewer_where_evaluations_are_dear():
    plans = [make_plan(Dear(seconds), 4000) for seconds in (1e-5, 1e-3, 1e-2, 1e-1, 1.0, 10.0)]
    numbers = [plan.pilot + plan.points for plan in plans]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[-1] == LEAST
    fewer = make_plan(Dear(1e-3), 400)
    assert fewer.pilot + fewer.points == ENOUGH


def test_few_points_warn_of_it():
    found = {"pareto_k": 0.2, "n_points": 79, "min_ess": 60, "min_ess_parameter": "sigma"}
    with pytest.warns(ConvergenceWarning, match=r"is 60 of 4000 draws \(sigma\).* 79 points"):
        warn_if_not_converged(found, 4000, None, None)


def test_verbose_tells_of_importance_sampling(capsys):
    found = fit(crossed(), solver="laplace", verbose=1).diagnostics_
    assert f"importance sampling, {found['n_points']} points" in capsys.readouterr().out
