"""What displays show is what the posterior says, and what their artists show is that."""

import numpy as np
import pytest
from marks import FEW_DRAWS
from reference import mcse
from scipy.special import ndtr
from scipy.stats import binom, ecdf
from structures import (
    SEVERAL_FACTORS,
    STRUCTURES,
    crossed_rows,
    fit,
    fit_several_factors,
    rows_of,
)

from skhbm import (
    CalibrationDisplay,
    GroupEffectsDisplay,
    HierarchicalNormalRegressor,
    PosteriorPredictiveDisplay,
    ShrinkageDisplay,
)
from skhbm._displays.curves import densities, distributions
from skhbm._prediction.calibration import NOMINAL, band, share_below

pytest.importorskip("matplotlib")  # Matplotlib is an extra.

pytestmark = FEW_DRAWS

SMALL = {"draws": 100, "tune": 200}
PROBABILITIES = np.array([0.02, 0.3, 0.5, 0.9])


def terms_of(model, factor="group"):
    return [str(t) for t in model.posterior_["posterior"][f"{factor}_term"].to_numpy()]


def draws_of_term(model, factor, term, *, with_population):
    """Draws of a coefficient (chains, draws, groups)."""
    posterior = model.posterior_["posterior"]
    draws = posterior[f"effect_{factor}"].sel({f"{factor}_term": term})
    if with_population and term == "intercept":
        draws = draws + posterior.get("intercept", 0.0)
    elif with_population:
        draws = draws + posterior["coef"].sel(feature=term)
    return draws.transpose("chain", "draw", factor).to_numpy()


@pytest.mark.parametrize("kind", ["effect", "coefficient"])
@pytest.mark.parametrize("name", STRUCTURES)
def test_effects_and_intervals_are_those_of_the_draws(name, kind):
    model = fit(rows_of(3), **STRUCTURES[name], draws=500, tune=300)
    for term in terms_of(model):
        made = GroupEffectsDisplay.from_estimator(
            model, coefficient=term, kind=kind, ci_prob=0.8
        )
        draws = draws_of_term(model, "group", term, with_population=kind == "coefficient")
        np.testing.assert_allclose(
            made.estimate, draws.mean(axis=(0, 1)), rtol=0, atol=5 * mcse(draws).max()
        )
        for bound, share in ((made.lower, 0.1), (made.upper, 0.9)):
            below = (draws <= bound).astype(float)
            error = np.maximum(mcse(below), 1 / below[..., 0].size)
            assert np.all(np.abs(below.mean(axis=(0, 1)) - share) < 5 * error)


@pytest.mark.parametrize("kind", ["effect", "coefficient"])
def test_intervals_are_quantiles_of_the_mixture_over_draws(kind):
    _, y, groups = rows_of(4)
    model = HierarchicalNormalRegressor(**SMALL, random_state=0).fit(None, y, groups=groups)
    made = GroupEffectsDisplay.from_estimator(model, kind=kind)
    posterior = model.posterior_["posterior"]
    alpha, sigma = (posterior[k].to_numpy().ravel() for k in ("intercept", "sigma"))
    tau = posterior["tau_group"].to_numpy().ravel()
    for j, label in enumerate(model.groups_):
        inside = y[groups == label]
        share = tau**2 / (tau**2 + sigma**2 / len(inside))
        mean = share * (inside.mean() - alpha) + alpha * (kind == "coefficient")
        sd = tau * np.sqrt(1 - share)
        for bound, probability in ((made.lower, 0.05), (made.upper, 0.95)):
            assert ndtr((bound[j] - mean) / sd).mean() == pytest.approx(probability, abs=1e-9)
        assert made.estimate[j] == pytest.approx(mean.mean(), abs=1e-9)


@pytest.mark.parametrize("name", SEVERAL_FACTORS)
def test_effects_of_several_factors_are_those_of_the_draws(name):
    errors = name == "known errors"
    model = fit_several_factors(name, crossed_rows(3, errors=errors), draws=300, tune=300)
    for factor in ("school", "town"):
        for term in terms_of(model, factor):
            made = GroupEffectsDisplay.from_estimator(
                model, factor=factor, coefficient=term, kind="coefficient"
            )
            draws = draws_of_term(model, factor, term, with_population=True)
            below = (draws <= made.lower).astype(float)
            error = np.maximum(mcse(below), 1 / below[..., 0].size)
            assert np.all(np.abs(below.mean(axis=(0, 1)) - 0.05) < 5 * error)


def test_population_is_where_the_fitted_attributes_say():
    model = fit(rows_of(3), varying_slopes=[1], **SMALL)
    for term, there, groups in (
        ("intercept", model.intercept_, model.group_intercept_),
        ("x1", model.coef_[1], model.group_coef_[:, 1]),
    ):
        made = GroupEffectsDisplay.from_estimator(model, coefficient=term, kind="coefficient")
        np.testing.assert_allclose(made.estimate, groups, rtol=1e-10)
        np.testing.assert_allclose(made.line_.get_xdata(), there, rtol=1e-10)
        effects = GroupEffectsDisplay.from_estimator(model, coefficient=term)
        np.testing.assert_allclose(effects.estimate, groups - there, atol=1e-10)
        np.testing.assert_array_equal(effects.line_.get_xdata(), 0)


def test_rows_of_the_caterpillar_are_in_order():
    made = GroupEffectsDisplay.from_estimator(fit(rows_of(3), **SMALL))
    order = np.argsort(made.estimate)
    shown = made.scatter_.get_offsets()
    np.testing.assert_array_equal(shown[:, 0], made.estimate[order])
    np.testing.assert_array_equal(shown[:, 1], np.arange(len(order)))
    for row, (segment, j) in enumerate(zip(made.intervals_.get_segments(), order, strict=True)):
        np.testing.assert_array_equal(segment, [[made.lower[j], row], [made.upper[j], row]])
    names = [text.get_text() for text in made.ax_.get_yticklabels()]
    assert names == [str(made.groups[j]) for j in order]


@pytest.mark.parametrize(("factor", "term"), [("school", "x0"), ("town", "intercept")])
def test_shrinkage_is_that_of_the_table(factor, term):
    model = fit_several_factors("slopes of both", crossed_rows(3), **SMALL)
    made = ShrinkageDisplay.from_estimator(model, factor=factor, coefficient=term)
    table = model.shrinkage_.query("factor == @factor and coefficient == @term")
    assert list(made.groups) == list(table["group"])
    for name in ("no_pooling", "partial_pooling", "pooling"):
        np.testing.assert_array_equal(getattr(made, name), table[name])
    assert set(table["complete_pooling"]) == {made.complete_pooling}
    assert (made.factor, made.coefficient) == (factor, term)


def test_lines_of_shrinkage_go_from_no_pooling_to_complete_pooling():
    made = ShrinkageDisplay.from_estimator(fit(rows_of(3), **SMALL))
    for j, segment in enumerate(made.lines_.get_segments()):
        np.testing.assert_array_equal(segment[:, 0], [0.0, made.pooling[j], 1.0])
        estimates = [made.no_pooling[j], made.partial_pooling[j], made.complete_pooling]
        np.testing.assert_array_equal(segment[:, 1], estimates)
    points = [artist.get_offsets() for artist in (made.no_pooling_, made.partial_pooling_)]
    np.testing.assert_array_equal(points[0][:, 1], made.no_pooling)
    np.testing.assert_array_equal(points[1], np.c_[made.pooling, made.partial_pooling])
    np.testing.assert_array_equal(
        made.complete_pooling_.get_offsets(), [[1, made.complete_pooling]]
    )


def test_replicates_are_draws_of_the_target():
    model = fit(rows_of(3), **SMALL)
    X, y, groups = rows_of(8)
    made = PosteriorPredictiveDisplay.from_estimator(
        model, X, y, groups, n_samples=7, random_state=3
    )
    np.testing.assert_array_equal(made.y_true, y)
    np.testing.assert_array_equal(
        made.y_samples, model.sample_y(X, groups, n_samples=7, random_state=3)
    )
    assert len(made.replicated_) == 7


def test_replicates_have_the_known_errors_of_their_rows():
    X, y, groups, errors = crossed_rows(4, errors=True)
    errors = errors * np.linspace(1, 5, len(y))
    model = HierarchicalNormalRegressor(residual_scale="known", random_state=0, **SMALL)
    model.fit(X, y, groups=groups["school"], y_err=errors)
    made = PosteriorPredictiveDisplay.from_estimator(
        model, X, y, groups["school"], y_err=errors, n_samples=400
    )
    without = model.sample_y(X, groups["school"], n_samples=400, random_state=0)
    z = (made.y_samples - without) / errors[:, None]
    n = z.size
    assert abs(z.mean()) < 5 / np.sqrt(n)
    assert abs(z.var() - 1) < 5 * np.sqrt(2 / n)
    spread = z.var(axis=1)
    assert np.all(np.abs(spread - 1) < 5 * np.sqrt(2 / 400))


def test_curves_of_the_check_are_of_the_samples():
    rng = np.random.default_rng(2)
    made = PosteriorPredictiveDisplay(
        y_true=rng.standard_normal(30), y_samples=rng.standard_normal((30, 3))
    ).plot(kind="ecdf")
    for line, sample in zip(
        [made.line_, *made.replicated_], [made.y_true, *made.y_samples.T], strict=True
    ):
        x, share = line.get_data()
        np.testing.assert_allclose(share[1:], ecdf(sample).cdf.evaluate(x[1:]))
        assert (share[0], share[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("n", [5, 40, 3000])
def test_distributions_are_exact_at_their_points(n):
    samples = np.random.default_rng(n).standard_normal((2, n))
    for sample, x, share in zip(samples, *distributions(samples), strict=True):
        np.testing.assert_allclose(share[1:], ecdf(sample).cdf.evaluate(x[1:]))
        assert len(x) <= 513


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e5])
def test_densities_integrate_to_one_on_one_grid(scale):
    samples = 3 * scale + scale * np.random.default_rng(0).standard_normal((4, 200))
    grid, density = densities(samples)
    np.testing.assert_array_equal(grid, np.broadcast_to(grid[0], grid.shape))
    np.testing.assert_allclose(np.trapezoid(density, grid), 1, atol=0.01)
    at = np.trapezoid(grid * density, grid)
    np.testing.assert_allclose(at, samples.mean(axis=1), atol=0.02 * scale)


def pit_curve(model, X, y, groups, **keywords):
    return CalibrationDisplay.from_estimator(model, X, y, groups, kind="pit", **keywords)


def at_quantiles(model, X, groups, probability):
    """The share of rows at or below each nominal probability, were y a quantile of them."""
    y = model.predict_quantiles(X, groups, quantiles=[probability])[:, 0]
    return np.asarray(pit_curve(model, X, y, groups).observed)


@pytest.mark.parametrize("name", STRUCTURES)
def test_transform_of_a_quantile_is_its_probability(name):
    model = fit(rows_of(3), **STRUCTURES[name], **SMALL)
    X, _, groups = rows_of(9)
    groups = np.where(groups == "a", "of another place", groups)
    for probability in (0.105, 0.605):
        expected = np.where(probability > NOMINAL, 0.0, 1.0)
        np.testing.assert_array_equal(at_quantiles(model, X, groups, probability), expected)


@pytest.mark.parametrize("name", ["slopes of both", "a sampled coefficient"])
def test_transform_of_a_quantile_of_several_factors_is_its_probability(name):
    model = fit_several_factors(name, crossed_rows(3), **SMALL)
    X, _, groups = crossed_rows(9)
    expected = np.where(NOMINAL < 0.305, 0.0, 1.0)
    np.testing.assert_array_equal(at_quantiles(model, X, groups, 0.305), expected)


def test_transform_of_rows_with_known_errors_is_the_integral_of_their_density():
    from skhbm._inputs.new_rows import read_new_rows
    from skhbm._prediction.calibration import distribution

    X, y, groups, errors = crossed_rows(4, errors=True)
    model = HierarchicalNormalRegressor(residual_scale="known", random_state=0, **SMALL)
    model.fit(X, y, groups=groups["school"], y_err=errors)
    rows = read_new_rows(model, X, groups["school"])

    def below(y):
        return distribution(model._posterior, rows, y, errors)

    h = 1e-5
    slope = (below(y + h) - below(y - h)) / (2 * h)
    density = np.exp(model.log_predictive_density(X, y, groups["school"], y_err=errors))
    np.testing.assert_allclose(slope, density, rtol=1e-6)
    np.testing.assert_allclose(below(y - 1e4), 0, atol=1e-12)
    shown = pit_curve(model, X, y, groups["school"], y_err=errors)
    np.testing.assert_array_equal(shown.observed, share_below(below(y), NOMINAL))


def test_coverage_is_that_of_predicted_intervals():
    model = fit(rows_of(3), varying_slopes=[0], **SMALL)
    X, y, groups = rows_of(10)
    made = CalibrationDisplay.from_estimator(model, X, y, groups)
    for coverage in (0.2, 0.5, 0.9):
        lower, upper = model.predict_interval(X, groups, coverage=coverage).T
        shown = made.observed[np.searchsorted(NOMINAL, coverage - 1e-9)]
        assert shown == np.mean((lower <= y) & (y <= upper))


@pytest.mark.parametrize("kind", ["coverage", "pit"])
def test_predictions_are_shown_as_those_of_the_estimator(kind):
    model = fit(rows_of(3), **SMALL)
    X, y, groups = rows_of(10)
    quantiles = [0.05, 0.2, 0.5, 0.8, 0.95]
    predicted = model.predict_quantiles(X, groups, quantiles=quantiles)
    made = CalibrationDisplay.from_predictions(y, predicted, quantiles=quantiles, kind=kind)
    whole = CalibrationDisplay.from_estimator(model, X, y, groups, kind=kind)
    nominal = [0.6, 0.9] if kind == "coverage" else quantiles
    np.testing.assert_allclose(made.nominal, nominal)
    at = np.searchsorted(NOMINAL, np.array(nominal) - 1e-9)
    np.testing.assert_array_equal(made.observed, np.asarray(whole.observed)[at])


def test_median_bounds_no_interval():
    y, predicted = np.zeros(4), np.array([[-1.0, 0.5, 1.0]] * 4)
    made = CalibrationDisplay.from_predictions(y, predicted, quantiles=[0.1, 0.5, 0.9])
    assert (list(made.nominal), list(made.observed)) == ([0.8], [1.0])


def test_curve_and_band_are_drawn_as_they_are():
    model = fit(rows_of(3), **SMALL)
    X, y, groups = rows_of(10)
    made = CalibrationDisplay.from_estimator(model, X, y, groups)
    np.testing.assert_array_equal(made.line_.get_xydata(), np.c_[made.nominal, made.observed])
    edges = made.band_.get_paths()[0].vertices
    for bound in (made.lower, made.upper):
        for point in np.c_[made.nominal, bound]:
            assert np.any(np.all(edges == point, axis=1))
    np.testing.assert_array_equal(made.ref_line_.get_xydata(), [[0, 0], [1, 1]])
    made.plot(difference=True)
    np.testing.assert_array_equal(made.line_.get_ydata(), made.observed - made.nominal)
    np.testing.assert_array_equal(made.ref_line_.get_ydata(), [0, 0])


@pytest.mark.parametrize("probability", [0.5, 0.9])
@pytest.mark.parametrize("n", [20, 500, 20_000])
def test_band_holds_whole_curves_with_its_probability(n, probability):
    rng, trials = np.random.default_rng(n), 2000
    lower, upper = band(n, NOMINAL, probability)
    counts = rng.multinomial(n, np.diff(NOMINAL, prepend=0, append=1), size=trials)
    curves = counts.cumsum(axis=1)[:, :-1] / n
    held = np.mean(np.all((curves >= lower - 1e-12) & (curves <= upper + 1e-12), axis=1))
    # The level of the band, simulated in 1000 trials, and this simulation both have errors.
    error = np.sqrt(probability * (1 - probability) * (1 / 1000 + 1 / trials))
    # Counts are discrete: a band of few rows holds somewhat more.
    assert probability - 5 * error < held < probability + 5 * error + 0.05 * (n < 100)
    pointwise = binom.ppf([[0.05], [0.95]], n, NOMINAL) / n
    alone = np.mean(np.all((curves >= pointwise[0]) & (curves <= pointwise[1]), axis=1))
    assert alone < 0.75


def test_calibrated_predictions_stay_within_the_band_and_others_leave_it():
    rng = np.random.default_rng(0)
    sizes = np.full(60, 12)
    groups = np.repeat(np.arange(60), sizes)
    X = rng.standard_normal((720, 1))
    y = 1 + 2 * X[:, 0] + rng.standard_normal(60)[groups] + 0.7 * rng.standard_normal(720)
    train = np.arange(720) % 2 == 0
    model = HierarchicalNormalRegressor(random_state=0, **SMALL)
    model.fit(X[train], y[train], groups=groups[train])

    def leaves(y):
        made = CalibrationDisplay.from_estimator(model, X[~train], y, groups[~train])
        return np.any((made.observed < made.lower) | (made.observed > made.upper))

    assert not leaves(y[~train])
    assert leaves(y[~train] + 0.7 * rng.standard_t(2, size=360))
    assert leaves(model.predict(X[~train], groups[~train]))
