"""Lines of groups over a feature: what they show, and how they are drawn."""

import dataclasses
import inspect

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from structures import crossed_rows, fit, rows_of

from skhbm import FittedLinesDisplay, HierarchicalNormalRegressor

plt = pytest.importorskip("matplotlib.pyplot")  # an extra: nothing is drawn without

pytestmark = FEW_DRAWS

ROWS = rows_of(5, sizes=(9, 7, 5, 12, 8))
SMALL = {"draws": 100, "tune": 200}
ARTISTS = {
    "line_kwargs": "lines_",
    "band_kwargs": "bands_",
    "alone_kwargs": "alone_",
    "population_kwargs": "population_",
    "scatter_kwargs": "rows_",
}


@pytest.fixture(scope="module")
def model():
    return fit(ROWS, varying_slopes=[0], **SMALL)


def lines_of(model, **keywords):
    X, y, groups = ROWS
    return FittedLinesDisplay.from_estimator(model, X, y, groups, feature="x0", **keywords)


def parameters(display):
    return {field.name: getattr(display, field.name) for field in dataclasses.fields(display)}


def test_lines_are_predictions_of_the_mean(model):
    X, _, _ = ROWS
    made = lines_of(model, at={"x1": 0.7}, ci_prob=0.8)
    rows = np.column_stack([made.grid, np.full(len(made.grid), 0.7)])
    for label, line, lower, upper in zip(
        made.groups, made.lines, made.lower, made.upper, strict=True
    ):
        labels = np.repeat(label, len(rows))
        np.testing.assert_allclose(line, model.predict(rows, labels), rtol=1e-10)
        interval = model.predict_interval(rows, labels, coverage=0.8, kind="mean")
        np.testing.assert_allclose(np.c_[lower, upper], interval, rtol=1e-10)
    population = model.intercept_ + rows @ model.coef_
    np.testing.assert_allclose(made.population, population, rtol=1e-10)
    assert (made.grid[0], made.grid[-1]) == (X[:, 0].min(), X[:, 0].max())


def test_other_features_are_held_at_their_means(model):
    X, _, _ = ROWS
    means = lines_of(model, at={"x1": X[:, 1].mean()})
    np.testing.assert_array_equal(lines_of(model).lines, means.lines)


def test_lines_of_groups_alone_are_least_squares():
    X, y, groups = ROWS
    model = HierarchicalNormalRegressor(varying_slopes="all", random_state=0, **SMALL)
    X = X[:, :1]
    model.fit(X, y, groups=groups)
    made = FittedLinesDisplay.from_estimator(model, X, y, groups)
    for label, line in zip(made.groups, made.alone, strict=True):
        of_group = groups == label
        expected = np.polynomial.Polynomial.fit(X[of_group, 0], y[of_group], 1)(made.grid)
        np.testing.assert_allclose(line, expected, rtol=1e-8)


def test_rows_are_drawn_in_the_panels_of_their_groups(model):
    X, y, groups = ROWS
    made = lines_of(model, shown=["c", "a"])
    assert list(made.groups) == ["c", "a"]
    for label, panel, rows in zip("ca", made.axes_, made.rows_, strict=True):
        of_group = groups == label
        assert panel.get_title() == label
        assert rows.axes is panel
        np.testing.assert_array_equal(rows.get_offsets(), np.c_[X[of_group, 0], y[of_group]])


def test_without_a_target_no_rows_are_drawn(model):
    X, _, groups = ROWS
    made = FittedLinesDisplay.from_estimator(model, X, groups=groups, feature="x0")
    assert made.rows_ == []
    np.testing.assert_array_equal(made.lines, lines_of(model).lines)


def test_a_dozen_of_many_groups_is_shown_from_the_lowest_to_the_highest():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(30), 3)
    x, effect = rng.standard_normal((90, 1)), rng.permutation(30)
    y = x[:, 0] + effect[groups] + 0.1 * rng.standard_normal(90)
    model = HierarchicalNormalRegressor(random_state=0, **SMALL).fit(x, y, groups=groups)
    made = FittedLinesDisplay.from_estimator(model, x, y, groups)
    level = effect[np.asarray(made.groups, dtype=int)]
    assert len(level) == 12
    assert (level[0], level[-1]) == (0, 29)
    assert np.all(np.diff(level) > 0)


def test_labels_of_other_factors_are_missing():
    X, y, groups = crossed_rows(3)
    model = HierarchicalNormalRegressor(varying_slopes={"school": [0]}, random_state=0, **SMALL)
    model.fit(X, y, groups=groups)
    for factor in ("school", "town"):
        made = FittedLinesDisplay.from_estimator(
            model, X, y, groups, feature="x0", factor=factor
        )
        rows = np.column_stack([made.grid, np.full(len(made.grid), X[:, 1].mean())])
        labels = {factor: np.repeat(made.groups[0], len(rows))}
        np.testing.assert_allclose(made.lines[0], model.predict(rows, labels), rtol=1e-10)
        interval = model.predict_interval(rows, labels, kind="mean")
        np.testing.assert_allclose(made.lower[0], interval[:, 0], rtol=1e-10)


def test_init_and_plot_draw_what_from_estimator_draws(model):
    made = lines_of(model)
    given = parameters(made)
    plt.close("all")
    again = FittedLinesDisplay(**given)
    assert all(getattr(again, name) is value for name, value in given.items())
    assert plt.get_fignums() == []
    assert again.plot() is again
    for attribute in ("lines_", "alone_", "population_"):
        for first, second in zip(
            getattr(made, attribute), getattr(again, attribute), strict=True
        ):
            np.testing.assert_array_equal(first.get_xydata(), second.get_xydata())


def test_stores_the_artists_that_its_docstring_names(model):
    from numpydoc.docscrape import NumpyDocString

    section = NumpyDocString(inspect.getdoc(FittedLinesDisplay))["Attributes"]
    documented = {name for entry in section for name in entry.name.split(", ")}
    assert documented == {name for name in vars(lines_of(model)) if name.endswith("_")}


def test_given_axes_are_divided(model):
    figure, (first, second) = plt.subplots(1, 2)
    made = lines_of(model, ax=second)
    assert plt.get_fignums() == [figure.number]
    assert made.bounding_ax_ is second
    whole = second.get_position().padded(1e-6)
    assert all(whole.contains(*panel.get_position().min) for panel in made.axes_)
    assert not first.has_data()


def test_each_group_is_drawn_on_its_axes(model):
    figure, axes = plt.subplots(1, 5)
    made = lines_of(model, ax=axes)
    assert list(made.axes_) == list(axes)
    assert (made.figure_, made.bounding_ax_) == (figure, None)
    with pytest.raises(
        ValueError, match=r"`ax` must be one Axes or 5, one for each panel\. Got"
    ):
        lines_of(model, ax=axes[:2])


@pytest.mark.parametrize("keyword", ARTISTS)
def test_keywords_reach_the_artists(model, keyword):
    made = lines_of(model, **{keyword: {"alpha": 0.123, "lw": 3.5}})
    held = getattr(made, ARTISTS[keyword])
    assert len(held) == 5
    for artist in held:
        assert artist.get_alpha() == 0.123
        np.testing.assert_array_equal(artist.get_linewidth(), 3.5)


def test_every_keyword_for_artists_is_tested():
    for function in (FittedLinesDisplay.from_estimator, FittedLinesDisplay.plot):
        named = {name for name in inspect.signature(function).parameters if "kwargs" in name}
        assert named == set(ARTISTS)


def test_wild_lines_of_groups_alone_do_not_set_the_scale(model):
    made = lines_of(model)
    low, high = made.axes_[0].get_ylim()
    made.alone[1] *= 1e6
    made.plot()
    np.testing.assert_array_equal(made.axes_[0].get_ylim(), (low, high))


@pytest.mark.parametrize("n", [1, 2, 4, 5, 7, 12, 23])
def test_names_and_titles_do_not_touch(n):
    grid, rng = np.linspace(0, 1, 5), np.random.default_rng(n)
    lines = rng.standard_normal((n, 5))
    made = FittedLinesDisplay(
        groups=[f"a group with a long name {j}" for j in range(n)], grid=grid, lines=lines,
        lower=lines - 1, upper=lines + 1, alone=lines, population=grid, x=[], y=None,
        positions=[], feature="feature", factor="site", target_name="a target with a long name",
    ).plot()  # fmt: skip
    made.figure_.canvas.draw()
    texts = [made.figure_.legends[0]]
    for panel in made.axes_:
        texts += [panel.title, panel.xaxis.label, panel.yaxis.label]
    places = [t.get_window_extent() for t in texts if getattr(t, "get_text", lambda: "x")()]
    assert len(places) >= n + 3
    frame = made.figure_.bbox.padded(1)
    assert all(frame.contains(*p.min) and frame.contains(*p.max) for p in places)
    assert not [(p, q) for i, p in enumerate(places) for q in places[:i] if p.overlaps(q)]


def test_pipeline_passes_rows_through_its_earlier_steps():
    X, y, groups = ROWS
    steps = make_pipeline(
        StandardScaler(), HierarchicalNormalRegressor(random_state=0, draws=50, tune=100)
    )
    steps.fit(X, y, hierarchicalnormalregressor__groups=groups)
    made = FittedLinesDisplay.from_estimator(steps, X, y, groups, feature="x0")
    scaled = steps[0].transform(X)
    expected = FittedLinesDisplay.from_estimator(steps[-1], scaled, y, groups, feature="x0")
    for name, value in parameters(made).items():
        np.testing.assert_array_equal(value, getattr(expected, name))


def test_labels_may_be_a_column_and_y_has_a_name():
    X, y, groups = ROWS
    frame = pd.DataFrame(X, columns=["u", "v"]).assign(site=groups)
    model = HierarchicalNormalRegressor(
        group_features="site", random_state=0, draws=50, tune=100
    )
    y = pd.Series(y, name="score")
    made = FittedLinesDisplay.from_estimator(model.fit(frame, y), frame, y, feature="v")
    assert (made.feature, made.factor, made.target_name) == ("v", "site", "score")
    assert made.axes_[0].get_ylabel() == "score"


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"feature": None}, ValueError, r"`feature` must be one of .* Got None. Name the one"),
        ({"feature": "z"}, ValueError, r"features of the model: \['x0', 'x1'\]. Got 'z'"),
        ({"factor": "town"}, ValueError, r"`factor` must be one of .* Got 'town'"),
        ({"shown": ["a", "z"]}, ValueError, r"`shown` must be labels .* Got \['z'\]"),
        ({"shown": []}, ValueError, "`shown` must be labels .* Got none"),
        ({"at": {"z": 1}}, ValueError, r"`at` must be one of the features .* Got 'z'"),
        ({"at": {"x1": "a"}}, ValueError, "`at` must have a finite number .* Got 'a' for 'x1'"),
        ({"at": {"x1": np.nan}}, ValueError, "`at` must have a finite number .* Got nan for"),
        ({"at": [1]}, TypeError, r"`at` must be a dict from a feature to its value"),
        ({"ci_prob": 90}, ValueError, r"`ci_prob` must lie in \(0, 1\). Got 90. Did you mean"),
        ({"ax": 3}, TypeError, "`ax` must be matplotlib Axes or None. Got 3"),
    ],
)
def test_what_cannot_be_shown_is_an_error(model, keywords, error, message):
    X, y, groups = ROWS
    with pytest.raises(error, match=message):
        FittedLinesDisplay.from_estimator(model, X, y, groups, **{"feature": "x0", **keywords})


def test_target_of_another_length_is_an_error(model):
    X, y, groups = ROWS
    with pytest.raises(ValueError, match="`X` has 41 rows but `y` has 40 entries"):
        FittedLinesDisplay.from_estimator(model, X, y[1:], groups, feature="x0")


def test_model_without_features_has_no_lines():
    _, y, groups = ROWS
    model = HierarchicalNormalRegressor(random_state=0, draws=20, tune=50)
    model.fit(None, y, groups=groups)
    with pytest.raises(ValueError, match="FittedLinesDisplay shows lines over a feature, and"):
        FittedLinesDisplay.from_estimator(model, None, y, groups)


def test_unfitted_estimator_is_an_error():
    with pytest.raises(NotFittedError, match="not fitted yet"):
        FittedLinesDisplay.from_estimator(HierarchicalNormalRegressor(), *ROWS, feature="x0")
