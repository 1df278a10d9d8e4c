"""solver="laplace": importance sampling about the mode.

Its posteriors of real data are compared with quadrature in test_reference_posteriors.
"""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from internals import build, evaluate_density
from reference import Structure, make_table, mcse
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from structures import STRUCTURES, fit, rows_of

from skhbm import HierarchicalNormalRegressor
from skhbm._density.evaluation import log_densities, natural_values
from skhbm._posterior.diagnostics import warn_if_not_converged
from skhbm._sampling.half_t import MODE, HalfT
from skhbm._sampling.laplace import LARGEST, laplace
from skhbm._sampling.psis import effective_size, resample, told_apart

MODELS = {
    "intercepts": [Structure()],
    "slopes": [Structure(slopes=(0, 1))],
    "by group": [Structure(by_group=True)],
    "two factors": [Structure(), Structure(slopes=(0,))],
}


#: Diagnostics of weights that can be trusted.
COVERED = {"pareto_k": 0.3, "min_ess_parameter": "sigma", "n_points": 4500}


def density_of(name):
    rng = np.random.default_rng(1)
    structures = MODELS[name]
    table = make_table(rng, (2, 5, 9, 3, 12, 4), 2)
    if len(structures) > 1:
        table.codes = np.column_stack([table.codes, rng.integers(0, 4, len(table.y))])
    return build(structures, table)[2]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_points_together_are_as_each_alone(name, threads):
    """Densities are computed without gradients, and in threads."""
    density = density_of(name)
    points = np.random.default_rng(2).standard_normal((7, density.n_dim))
    densities, _ = log_densities(density, points, threads)
    values = natural_values(density, points)
    for x, logp, natural in zip(points, densities, values, strict=True):
        expected, _, expected_natural = evaluate_density(density, x)
        assert logp == expected
        np.testing.assert_array_equal(natural, expected_natural)


@pytest.mark.parametrize("parameters", [{}, {"varying_slopes": "all"}], ids=str)
def test_coefficients_are_those_without_kept_moments(parameters, monkeypatch):
    """Moments that come with the density, or are computed once more where memory is short."""
    rows = rows_of(4)
    kept = fit(rows, solver="laplace", **parameters)._posterior
    monkeypatch.setattr("skhbm._density.evaluation.MOMENTS", 0)
    again = fit(rows, solver="laplace", **parameters)._posterior
    np.testing.assert_array_equal(kept.scales[0].tau, again.scales[0].tau)
    np.testing.assert_allclose(kept.coef, again.coef, rtol=1e-8, atol=1e-10)


def test_densities_that_are_not_finite_are_minus_infinity():
    density = density_of("intercepts")
    points = np.array([np.zeros(density.n_dim), np.full(density.n_dim, 800.0)])
    densities, _ = log_densities(density, points, 1)
    assert np.isfinite(densities[0])
    assert densities[1] == -np.inf


def test_draws_are_of_the_density():
    """Marginal distributions of draws against quadrature of one parameter's density."""
    density = density_of("intercepts")
    found = laplace(density, np.zeros(density.n_dim), n=4000, seed=0, threads=1)
    assert found.weights.k < 0.5
    grid = np.linspace(-8, 3, 221), np.linspace(-1.5, 1.5, 181)
    points = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, 2)
    logs = log_densities(density, points, 1)[0].reshape(221, 181)
    heights = np.exp(logs - logs.max())
    draws = found._asdict()["values"]
    for k, name in enumerate(("tau", "sigma")):
        marginal = heights.sum(axis=1 - k)
        cdf = np.cumsum(marginal) / marginal.sum()
        natural = natural_values(density, np.column_stack([grid[k], grid[k]]))[:, k]
        uniform = np.interp(draws[:, k], natural, cdf)
        # Duplicates among the draws: at least a third of them count.
        assert stats.kstest(uniform, "uniform").statistic < 1.95 / np.sqrt(4000 / 3), name


@pytest.mark.parametrize("name", MODELS)
def test_spreads_are_all_standard_deviations_between_groups(name):
    """Their natural values alone vanish as the entries of the vector go to minus infinity."""
    density = density_of(name)
    point = np.zeros((1, density.n_dim))
    point[:, density.spreads] = -40.0
    structures = MODELS[name]
    expected = sum(
        structure.varying_intercept + len(structure.slopes) for structure in structures
    )
    assert len(density.spreads) == expected + structures[0].by_group
    assert np.all(np.abs(natural_values(density, point)[0, density.spreads]) < 1e-10)


def test_half_t_coordinates_are_those_of_the_distribution():
    """They are quantiles of the half-t distribution, with the slope of finite differences."""
    coordinates = HalfT(np.array([0, 2]), np.array([0.3, -1.0]))
    z = np.random.default_rng(0).uniform(-4, 4, (50, 3))
    x, slope = coordinates.unconstrained(z)
    half = stats.norm.cdf(z[:, [0, 2]]) / 2
    t = stats.t.isf(0.5 - half, 2)
    np.testing.assert_allclose(x[:, [0, 2]], np.log(t) + coordinates.center, rtol=1e-6)
    np.testing.assert_array_equal(x[:, 1], z[:, 1])
    step = 1e-5
    ahead, behind = (coordinates.unconstrained(z + h)[0] for h in (step, -step))
    numerical = (ahead - behind)[:, [0, 2]] / (2 * step)
    np.testing.assert_allclose(slope, numerical, rtol=1e-6)


def test_center_of_half_t_coordinates_is_the_given_point():
    coordinates = HalfT(np.array([1]), np.array([0.7]))
    z, slope = coordinates.at_center(np.array([2.0, 0.7]))
    assert z.tolist() == [2.0, MODE]
    x, slopes = coordinates.unconstrained(z[None])
    np.testing.assert_allclose(x[0], [2.0, 0.7], rtol=1e-14)
    np.testing.assert_array_equal(slope, [1.0, slopes[0, 0]])


def test_far_half_t_coordinates_are_finite():
    x, slope = HalfT(np.array([0]), np.zeros(1)).unconstrained(np.array([[-60.0], [60.0]]))
    assert x[0, 0] < -1000
    assert x[1, 0] > 500
    assert np.all(np.isfinite(slope) & (slope > 0))


def weighted_draws(rng, n, spread):
    """Draws of a narrow or wide normal distribution, weighted to a standard normal one."""
    x = spread * rng.standard_normal(n)
    weights = stats.norm.pdf(x) / stats.norm.pdf(x, scale=spread)
    return x, weights / weights.sum()


@pytest.mark.parametrize("spread", [0.9, 1.0, 3.0])
def test_effective_size_is_what_means_and_variances_vary_by(spread):
    """With weights, the sizes of means and variances over many repetitions."""
    rng = np.random.default_rng(3)
    means, variances, sizes = [], [], []
    for _ in range(1000):
        x, weights = weighted_draws(rng, 1000, spread)
        chosen, s = resample(weights, 800, rng)
        draws = x[chosen]
        means.append(draws.mean())
        variances.append(draws.var())
        sizes.append(effective_size(draws, s))
    found = min(1 / np.var(means), 2 / np.var(variances))
    # A variance of 1000 repetitions has a standard error of 4.5 %; rounding adds at most 20 %.
    assert 0.8 * found <= np.mean(sizes) <= 1.15 * found


def test_a_single_draw_of_all_weight_is_worth_one():
    rng = np.random.default_rng(0)
    weights = np.full(100, 1e-9)
    weights[7] = 1 - weights.sum() + weights[7]
    chosen, _ = resample(weights, 50, rng)
    assert np.all(chosen == 7)


def test_min_ess_is_honest_where_two_spreads_may_be_zero():
    """Means of tau differ between seeds as the effective sample size says, not by more.

    Two standard deviations that may both be zero make the posterior's long arms. Squared
    differences from the mean over 40 seeds, in units of the claimed error, are chi-squared.
    """
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(9), 5)
    X = np.tile(np.arange(5.0) - 2, 9)[:, None]
    y = 0.5 * rng.standard_normal(9)[groups] + rng.standard_normal(45)
    model = HierarchicalNormalRegressor(varying_slopes="all", solver="laplace", draws=500)
    taus, sizes = [], []
    for seed in range(40):
        fitted = model.set_params(random_state=seed).fit(X, y, groups=groups)
        taus.append(fitted._posterior.scales[0].tau.reshape(-1, 2))
        sizes.append(fitted.diagnostics_["min_ess"])
    means = np.array([tau.mean(axis=0) for tau in taus])
    spread = np.mean([tau.var(axis=0) for tau in taus], axis=0)
    errors = (means - means.mean(axis=0)) / np.sqrt(spread / np.array(sizes)[:, None])
    assert np.all(np.sum(errors**2, axis=0) < stats.chi2.isf(1e-4, 39))


@pytest.mark.parametrize("k", [0.7000001, 0.704, 0.71, 12.3, np.inf])
@pytest.mark.parametrize("threshold", [0.7, 0.5, 1 - 1 / np.log10(600)])
def test_a_k_above_its_threshold_is_written_so(k, threshold):
    written, bound = told_apart(k, threshold)
    assert float(written) > float(bound)
    assert k <= float(written) <= k + 0.01
    assert threshold - 0.01 <= float(bound) <= threshold


@pytest.mark.parametrize("name", STRUCTURES)
def test_posterior_is_that_of_nuts(name):
    rows = rows_of(3)
    # Short steps: a residual scale of each group is hard to sample with few rows.
    models = [
        fit(rows, solver=solver, target_accept=0.99, **STRUCTURES[name])
        for solver in ("nuts", "laplace")
    ]
    assert models[1].diagnostics_["pareto_k"] < 0.7
    posteriors = [model.posterior_["posterior"].to_dataset() for model in models]
    for variable in posteriors[0]:
        chains, ours = (p[variable].to_numpy() for p in posteriors)
        for index in np.ndindex(chains.shape[2:]):
            a, b = (draws[(slice(None), slice(None), *index)] for draws in (chains, ours))
            if np.ptp(a) == 0:
                continue
            error = np.hypot(mcse(a), mcse(b))
            assert abs(a.mean() - b.mean()) <= 5 * error, (variable, index)


def test_crossed_factors_with_slopes_are_those_of_nuts():
    rng = np.random.default_rng(4)
    X, codes = rng.standard_normal((400, 1)), rng.integers(0, [12, 7], (400, 2))
    y = X[:, 0] + rng.standard_normal(12)[codes[:, 0]] + rng.standard_normal(400)
    y += rng.standard_normal(7)[codes[:, 1]] * (1 + X[:, 0])
    slopes = {"group1": [0]}
    models = [fit((X, y, codes), solver=s, varying_slopes=slopes) for s in ("nuts", "laplace")]
    tables = [model.summary(round_to="none") for model in models]
    error = np.hypot(tables[0]["mcse_mean"].astype(float), tables[1]["mcse_mean"].astype(float))
    difference = tables[0]["mean"].astype(float) - tables[1]["mean"].astype(float)
    assert np.all(np.abs(difference) <= 5 * error)


def test_draws_have_the_shape_of_chains():
    model = fit(rows_of(5), solver="laplace", chains=3, draws=70)
    posterior = model.posterior_["posterior"]
    assert posterior["tau_group"].shape[:2] == (3, 70)
    assert posterior["sigma"].shape == (3, 70)
    assert model.posterior_["sample_stats"]["lp"].shape == (3, 70)


def test_diagnostics_say_what_is_known():
    found = fit(rows_of(5), solver="laplace").diagnostics_
    assert found["pareto_k"] < 0.7
    assert found["min_ess"] > 1000
    assert found["n_divergences"] == 0


def test_chains_have_no_pareto_k():
    assert fit(rows_of(5)).diagnostics_["pareto_k"] is None


def test_a_seed_gives_the_same_draws_whatever_the_number_of_threads():
    first, second = (
        fit(rows_of(6), solver="laplace", n_jobs=n_jobs)._posterior for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(first.coef, second.coef)
    np.testing.assert_array_equal(first.scales[0].tau, second.scales[0].tau)


def test_a_proposal_that_does_not_cover_warns_and_names_the_remedy():
    """Residual scales of fifty groups of two rows are far from a Student-t distribution."""
    groups = np.repeat(np.arange(50), 2)
    rows = None, np.random.default_rng(7).standard_normal(100), groups
    independent = STRUCTURES["by group, independent"]["priors"]
    with pytest.warns(ConvergenceWarning, match=r"Pareto k is .* Use solver='nuts'"):
        model = fit(rows, solver="laplace", residual_scale="by_group", priors=independent)
    assert model.diagnostics_["pareto_k"] > 0.7


@pytest.mark.parametrize(("size", "n_draws"), [(399, 4000), (9, 100)])
def test_few_effective_draws_warn(size, n_draws):
    found = {**COVERED, "min_ess": size}
    with pytest.warns(ConvergenceWarning, match=rf"is {size} of {n_draws} draws \(sigma\)"):
        warn_if_not_converged(found, n_draws, None, None)


def test_enough_effective_draws_do_not_warn():
    found = {**COVERED, "min_ess": 401}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_not_converged(found, 4000, None, None)


def test_too_many_sampled_parameters_are_an_error():
    n = LARGEST + 1
    groups = np.repeat(np.arange(n), 3)
    y = np.random.default_rng(0).standard_normal(len(groups))
    with pytest.raises(ValueError, match=rf"at most {LARGEST} parameters .* Use solver='nuts'"):
        fit((None, y, groups), solver="laplace", residual_scale="by_group")


def test_no_parameter_is_left_to_draw():
    """With errors and tau given all else is integrated out."""
    X, y, _ = rows_of(8)
    model = HierarchicalNormalRegressor(solver="laplace", residual_scale="known")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # Without groups there is no scale of effects.
        model.fit(X, y, y_err=np.ones(len(y)))
    expected = np.linalg.lstsq(np.column_stack([np.ones(len(y)), X]), y, rcond=None)[0]
    np.testing.assert_allclose(model.coef_, expected[1:], atol=0.2)


def test_a_fit_is_saved_and_pickled(tmp_path):
    model = fit(rows_of(9), solver="laplace")
    model.save(tmp_path / "model")
    for copy in (type(model).load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(copy._posterior.coef, model._posterior.coef)
        assert copy.diagnostics_ == model.diagnostics_


def test_a_search_fits_with_it():
    X, y, groups = rows_of(10, sizes=(8,) * 6)
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(group=groups)
    model = HierarchicalNormalRegressor(group_features="group", random_state=0)
    search = GridSearchCV(model, {"solver": ["nuts", "laplace"]}, cv=3).fit(frame, y)
    nuts, laplace = search.cv_results_["mean_test_score"]
    assert abs(nuts - laplace) < 0.01


def test_verbose_tells_pareto_k(capsys):
    found = fit(rows_of(5), solver="laplace", verbose=1).diagnostics_
    assert f"Pareto k {found['pareto_k']:.2f}" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:Pareto k is above")  # of some rows, in loo
@pytest.mark.parametrize("structure", ["intercepts", "a slope"])
def test_an_underflow_of_a_weight_is_no_error_that_a_user_raises(structure):
    rows = rows_of(6)
    expected = fit(rows, solver="laplace", **STRUCTURES[structure])
    with np.errstate(all="raise"):
        model = fit(rows, solver="laplace", **STRUCTURES[structure])
        model.loo(*rows)
    assert np.array_equal(model._posterior.coef, expected._posterior.coef)
