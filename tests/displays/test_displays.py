"""Laws of all displays: scikit-learn's convention, and pictures that can be read."""

import dataclasses
import inspect
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS
from sklearn.datasets import make_regression
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import BayesianRidge, LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from structures import crossed_rows, fit, rows_of

import skhbm
from skhbm import (
    CalibrationDisplay,
    GroupEffectsDisplay,
    HierarchicalNormalRegressor,
    PosteriorPredictiveDisplay,
    ShrinkageDisplay,
)

plt = pytest.importorskip("matplotlib.pyplot")  # Matplotlib is an extra.

pytestmark = FEW_DRAWS

#: From a name to a display: its class, its door, and the keywords that the door needs.
SHOWN = {"coefficient": "x0"}
DISPLAYS = {
    "shrinkage": (ShrinkageDisplay, "from_estimator", SHOWN),
    "effects": (GroupEffectsDisplay, "from_estimator", SHOWN),
    "coefficients": (GroupEffectsDisplay, "from_estimator", {**SHOWN, "kind": "coefficient"}),
    "densities": (PosteriorPredictiveDisplay, "from_estimator", {}),
    "distributions": (PosteriorPredictiveDisplay, "from_estimator", {"kind": "ecdf"}),
    "coverage": (CalibrationDisplay, "from_estimator", {}),
    "pit": (CalibrationDisplay, "from_estimator", {"kind": "pit"}),
    "differences": (CalibrationDisplay, "from_estimator", {"difference": True}),
    "quantiles": (CalibrationDisplay, "from_predictions", {}),
}
#: From a display and its keywords for artists to the attributes that hold these artists.
STYLES = {
    ("shrinkage", "line_kwargs"): "lines_",
    ("shrinkage", "scatter_kwargs"): "partial_pooling_",
    ("effects", "line_kwargs"): "line_",
    ("effects", "scatter_kwargs"): "scatter_",
    ("effects", "interval_kwargs"): "intervals_",
    ("densities", "line_kwargs"): "line_",
    ("densities", "replicated_kwargs"): "replicated_",
    ("coverage", "line_kwargs"): "line_",
    ("coverage", "band_kwargs"): "band_",
    ("coverage", "ref_line_kwargs"): "ref_line_",
    ("quantiles", "line_kwargs"): "line_",
    ("quantiles", "band_kwargs"): "band_",
    ("quantiles", "ref_line_kwargs"): "ref_line_",
}
ROWS = rows_of(5, sizes=(9, 7, 5, 12, 8))


@pytest.fixture(scope="module")
def model():
    return fit(ROWS, varying_slopes=[0], draws=100, tune=200)


@pytest.fixture
def make(model):
    """Return a function that makes the display of a name through its door."""

    def make(name, **keywords):
        display, door, needed = DISPLAYS[name]
        X, y, groups = ROWS
        data = (model, X, y, groups)
        if display in (ShrinkageDisplay, GroupEffectsDisplay):
            data = (model,)
        elif door == "from_predictions":
            data = (y, model.predict_quantiles(X, groups))
        return getattr(display, door)(*data, **{**needed, **keywords})

    return make


def parameters(display):
    return {field.name: getattr(display, field.name) for field in dataclasses.fields(display)}


def artists(display):
    """The attributes that hold artists of the axes, each as a list."""
    held = {k: v for k, v in vars(display).items() if k.endswith("_")}
    del held["ax_"], held["figure_"]
    return {k: v if isinstance(v, list) else [v] for k, v in held.items() if v is not None}


def drawn(artist):
    """The data that an artist shows."""
    if hasattr(artist, "get_segments"):
        return np.array(artist.get_segments())
    if hasattr(artist, "get_xydata"):
        return np.array(artist.get_xydata(), dtype=float)
    if hasattr(artist, "get_text"):
        return np.array([*artist.xy, *artist.get_position()], dtype=float)
    if type(artist).__name__ == "PathCollection":
        return np.array(artist.get_offsets())
    return artist.get_paths()[0].vertices


@pytest.mark.parametrize("name", DISPLAYS)
def test_from_estimator_equals_init_and_plot(make, name):
    made = make(name)
    names = inspect.signature(type(made).plot).parameters
    keywords = {k: v for k, v in DISPLAYS[name][2].items() if k in names}
    again = type(made)(**parameters(made)).plot(**keywords)
    assert artists(made).keys() == artists(again).keys()
    for attribute, several in artists(made).items():
        for first, other in zip(several, artists(again)[attribute], strict=True):
            np.testing.assert_array_equal(drawn(first), drawn(other))
    for which in ("get_xlabel", "get_ylabel", "get_xlim", "get_ylim"):
        assert getattr(made.ax_, which)() == getattr(again.ax_, which)()


@pytest.mark.parametrize("name", DISPLAYS)
def test_init_stores_parameters_as_they_are_and_draws_nothing(make, name):
    given = parameters(make(name))
    plt.close("all")
    made = DISPLAYS[name][0](**given)
    assert vars(made).keys() == given.keys()
    assert all(getattr(made, k) is v for k, v in given.items())
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", DISPLAYS)
def test_init_takes_keywords_only(name):
    kinds = {p.kind for p in inspect.signature(DISPLAYS[name][0]).parameters.values()}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("name", DISPLAYS)
def test_draws_on_the_given_axes_and_makes_no_figure(make, name):
    figure, (first, second) = plt.subplots(1, 2)
    made = make(name, ax=second)
    assert made.ax_ is second
    assert made.figure_ is figure
    assert not first.has_data()
    assert second.has_data()
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize("name", DISPLAYS)
def test_makes_one_figure_with_one_axes_where_none_is_given(make, name):
    made = make(name)
    assert plt.get_fignums() == [made.figure_.number]
    assert made.figure_.axes == [made.ax_]
    np.testing.assert_array_equal(
        made.figure_.get_size_inches(), plt.rcParams["figure.figsize"]
    )


@pytest.mark.parametrize("name", DISPLAYS)
def test_stores_the_artists_that_its_docstring_names(make, name):
    from numpydoc.docscrape import NumpyDocString

    section = NumpyDocString(inspect.getdoc(DISPLAYS[name][0]))["Attributes"]
    documented = {name for entry in section for name in entry.name.split(", ")}
    made = make(name)
    assert documented == {k for k in vars(made) if k.endswith("_")}
    held = [artist for several in artists(made).values() for artist in several]
    assert held
    assert all(artist.axes is made.ax_ for artist in held)


@pytest.mark.parametrize("name", DISPLAYS)
def test_plot_returns_the_display(make, name):
    made = make(name)
    assert made.plot() is made


@pytest.mark.parametrize(("name", "keyword"), STYLES)
def test_keywords_reach_the_artists(make, name, keyword):
    made = make(name, **{keyword: {"alpha": 0.123, "lw": 3.5}})
    for artist in artists(made)[STYLES[name, keyword]]:
        assert artist.get_alpha() == 0.123
        np.testing.assert_array_equal(artist.get_linewidth(), 3.5)


def test_every_keyword_for_artists_is_tested():
    for name, (display, door, _) in DISPLAYS.items():
        for function in (getattr(display, door), display.plot):
            named = {p for p in inspect.signature(function).parameters if p.endswith("kwargs")}
            same = {k for n, k in STYLES if DISPLAYS[n][:2] == (display, door)}
            assert named == same, name


def test_points_can_be_coloured_by_values(make, model):
    made = make("shrinkage", scatter_kwargs={"c": np.arange(5.0), "cmap": "viridis"})
    np.testing.assert_array_equal(made.partial_pooling_.get_array(), np.arange(5.0))


def test_keyword_and_its_alias_are_not_both_taken(make):
    with pytest.raises(TypeError, match="Got both 'lw' and 'linewidth'"):
        make("effects", line_kwargs={"lw": 1, "linewidth": 2})


def test_colours_follow_the_style(make):
    with plt.style.context("dark_background"):
        made = make("densities")
    assert made.line_.get_color() == "white"


DOORS = sorted({(display, door) for display, door, _ in DISPLAYS.values()}, key=str)


@pytest.mark.parametrize(("display", "door"), DOORS)
def test_without_matplotlib_the_error_names_the_command(monkeypatch, display, door):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    names = inspect.signature(getattr(display, door)).parameters
    # Nothing could be computed without a fit: the error comes before any work.
    nothing = {n: None for n, p in names.items() if p.default is inspect.Parameter.empty}
    command = r"requires matplotlib. Install it with `pip install skhbm\[plot\]`."
    with pytest.raises(ImportError, match=f"{display.__name__}.{door} {command}"):
        getattr(display, door)(**nothing)


@pytest.mark.parametrize("display", list(dict.fromkeys(display for display, _ in DOORS)))
def test_without_matplotlib_plot_names_the_command(monkeypatch, display):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    nothing = {field.name: None for field in dataclasses.fields(display)}
    with pytest.raises(ImportError, match=rf"{display.__name__}.plot requires matplotlib"):
        display(**nothing).plot()


def test_import_of_the_displays_loads_neither_matplotlib_nor_arviz():
    names = ", ".join(name for name in skhbm.__all__ if name.endswith("Display"))
    heavy = ["matplotlib", "arviz_stats", "arviz_base", "pymc", "pytensor", "nutpie"]
    loaded = f"[name for name in {heavy} if name in sys.modules]"
    code = f"import sys; from skhbm import {names}; print({loaded})"
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert finished.stdout == "[]\n"


@pytest.mark.parametrize("display", [ShrinkageDisplay, GroupEffectsDisplay])
def test_all_coefficients_are_shown_in_a_panel_each(model, display):
    made = display.from_estimator(model)
    assert made.coefficient == ["intercept", "x0"]
    assert plt.get_fignums() == [made.figure_.number]
    assert len(made.ax_) == 2
    for i, term in enumerate(made.coefficient):
        alone = display.from_estimator(model, coefficient=term)
        assert made.ax_[i].get_ylabel().split() == alone.ax_.get_ylabel().split()
        assert made.ax_[i].get_xlabel().split() == alone.ax_.get_xlabel().split()
        for attribute, several in artists(alone).items():
            shown = getattr(made, attribute)[i]
            shown = shown if isinstance(shown, list) else [shown]
            assert all(artist.axes is made.ax_[i] for artist in shown)
            if attribute != "texts_":
                for one, other in zip(shown, several, strict=True):
                    np.testing.assert_array_equal(drawn(one), drawn(other))


@pytest.mark.parametrize("display", [ShrinkageDisplay, GroupEffectsDisplay])
def test_several_coefficients_are_drawn_again_and_on_given_axes(model, display):
    made = display.from_estimator(model, line_kwargs={"alpha": 0.123})
    again = display(**parameters(made))
    figure, axes = plt.subplots(1, 3)
    assert again.plot(axes[1:]) is again
    assert list(again.ax_) == list(axes[1:])
    again.plot(axes[0])
    assert again.figure_ is figure
    assert not set(again.ax_) & set(axes)
    lines = made.line_ if display is GroupEffectsDisplay else made.lines_
    assert [line.get_alpha() for line in lines] == [0.123, 0.123]


@pytest.fixture(scope="module")
def pipeline():
    X, y, groups = ROWS
    steps = make_pipeline(StandardScaler(), HierarchicalNormalRegressor(**SMALL))
    return steps.fit(X, y, hierarchicalnormalregressor__groups=groups)


SMALL = {"varying_slopes": [0], "draws": 50, "tune": 100, "random_state": 0}


def same(first, other):
    first, other = parameters(first), parameters(other)
    return all(np.array_equal(first[k], other[k]) for k in first)


@pytest.mark.parametrize("display", [ShrinkageDisplay, GroupEffectsDisplay])
def test_pipeline_shows_the_groups_of_its_last_step(pipeline, display):
    made = display.from_estimator(pipeline, coefficient="x0")
    assert same(made, display.from_estimator(pipeline[-1], coefficient="x0"))


@pytest.mark.parametrize("display", [PosteriorPredictiveDisplay, CalibrationDisplay])
def test_pipeline_passes_rows_through_its_earlier_steps(pipeline, display):
    X, y, groups = ROWS
    by_hand = display.from_estimator(pipeline[-1], pipeline[0].transform(X), y, groups)
    assert same(display.from_estimator(pipeline, X, y, groups), by_hand)


def test_search_shows_its_best_estimator():
    X, y, groups = ROWS
    frame = pd.DataFrame(X, columns=["u", "v"]).assign(site=groups)
    steps = make_pipeline(
        "passthrough", HierarchicalNormalRegressor(group_features="site", draws=50, tune=100)
    )
    grid = {"hierarchicalnormalregressor__random_state": [0]}
    search = GridSearchCV(steps, grid, cv=2).fit(frame, y)
    best = search.best_estimator_[-1]
    assert same(ShrinkageDisplay.from_estimator(search), ShrinkageDisplay.from_estimator(best))
    assert same(
        CalibrationDisplay.from_estimator(search, frame, y),
        CalibrationDisplay.from_estimator(best, frame, y),
    )


def test_model_with_its_labels_in_a_column_needs_no_groups():
    X, y, groups = ROWS
    frame = pd.DataFrame(X, columns=["u", "v"]).assign(site=groups)
    column = HierarchicalNormalRegressor(
        group_features="site", **SMALL | {"varying_slopes": None}
    )
    keyword = HierarchicalNormalRegressor(**SMALL | {"varying_slopes": None})
    column.fit(frame, y)
    keyword.fit(frame[["u", "v"]], y, groups=frame["site"])
    assert same(
        CalibrationDisplay.from_estimator(column, frame, y),
        CalibrationDisplay.from_estimator(keyword, frame[["u", "v"]], y, frame["site"]),
    )


def test_calibration_of_another_estimator_is_that_of_normal_predictions():
    from scipy.stats import norm

    X, y = make_regression(80, 3, noise=5.0, random_state=0)
    ridge = BayesianRidge().fit(X[:40], y[:40])
    made = CalibrationDisplay.from_estimator(ridge, X[40:], y[40:], kind="pit")
    mean, std = ridge.predict(X[40:], return_std=True)
    below = norm.cdf(y[40:], mean, std)[:, None] <= np.asarray(made.nominal)
    np.testing.assert_allclose(made.observed, below.mean(axis=0))


def test_replicates_of_another_estimator_are_its_samples():
    X, y = make_regression(30, 2, noise=5.0, random_state=0)
    process = GaussianProcessRegressor(optimizer=None).fit(X, y)
    made = PosteriorPredictiveDisplay.from_estimator(process, X, y, n_samples=4)
    np.testing.assert_array_equal(made.y_samples, process.sample_y(X, 4, random_state=0))


@pytest.fixture(scope="module")
def several_factors():
    X, y, groups = crossed_rows(3)
    model = HierarchicalNormalRegressor(
        varying_slopes={"school": [0]}, draws=50, tune=100, random_state=0
    )
    return model.fit(X, y, groups=groups)


GROUPED = [ShrinkageDisplay, GroupEffectsDisplay]
PREDICTED = [PosteriorPredictiveDisplay, CalibrationDisplay]


@pytest.mark.parametrize("display", GROUPED)
@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (
            {},
            r"`factor` must be one of the grouping factors: \['school', 'town'\]. Got None. N",
        ),
        ({"factor": "pupil"}, r"`factor` must be one of .* Got 'pupil'\.$"),
        ({"factor": "town", "coefficient": "x0"}, r"vary by 'town': \['intercept'\]. Got 'x0'"),
    ],
)
def test_unclear_coefficient_is_an_error(several_factors, display, keywords, message):
    with pytest.raises(ValueError, match=message):
        display.from_estimator(several_factors, **keywords)


@pytest.mark.parametrize("display", GROUPED)
def test_model_without_groups_has_none_to_show(display):
    X, y, _ = ROWS
    model = HierarchicalNormalRegressor(draws=20, tune=50, random_state=0)
    with pytest.warns(UserWarning, match="Fitted without groups"):
        model.fit(X, y)
    message = f"{display.__name__} shows groups, and the model has none. Pass `groups=` to fit."
    with pytest.raises(ValueError, match=message):
        display.from_estimator(model)


@pytest.mark.parametrize("display", GROUPED)
def test_other_estimator_has_no_groups_to_show(display):
    ridge = BayesianRidge().fit(*make_regression(20, 2, random_state=0))
    message = "must be a hierarchical model of skhbm, or a Pipeline .*. Got BayesianRidge."
    with pytest.raises(TypeError, match=message):
        display.from_estimator(make_pipeline(ridge))


@pytest.mark.parametrize("display", GROUPED)
@pytest.mark.parametrize("wrap", [lambda model: model, make_pipeline])
def test_unfitted_estimator_is_an_error(display, wrap):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        display.from_estimator(wrap(HierarchicalNormalRegressor()))


@pytest.mark.parametrize("display", PREDICTED)
def test_unfitted_estimator_predicts_nothing(display):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        display.from_estimator(HierarchicalNormalRegressor(), *ROWS)


@pytest.mark.parametrize(
    ("display", "message"),
    [
        (PosteriorPredictiveDisplay, "must have a method `sample_y`.*. Got LinearRegression."),
        (CalibrationDisplay, "must predict a distribution.*. Got LinearRegression."),
    ],
)
def test_estimator_without_a_distribution_is_an_error(display, message):
    X, y, _ = ROWS
    with pytest.raises(TypeError, match=message):
        display.from_estimator(LinearRegression().fit(X, y), X, y)


@pytest.mark.parametrize("display", PREDICTED)
def test_rows_and_target_of_different_lengths_are_an_error(model, display):
    X, y, groups = ROWS
    with pytest.raises(ValueError, match=r"`X` has 41 rows but `y` has 40 entries"):
        display.from_estimator(model, X, y[:-1], groups)


@pytest.mark.parametrize("display", PREDICTED)
def test_known_errors_that_are_not_given_are_an_error(display):
    X, y, groups, errors = crossed_rows(4, errors=True)
    model = HierarchicalNormalRegressor(residual_scale="known", draws=20, tune=50)
    model.fit(X, y, groups=groups["school"], y_err=errors)
    message = "`y` differs from what is predicted by known errors. Pass `y_err=`, as to fit"
    with pytest.raises(ValueError, match=message):
        display.from_estimator(model, X, y, groups["school"])


@pytest.mark.parametrize("display", PREDICTED)
def test_errors_that_are_not_known_to_the_model_are_an_error(model, display):
    X, y, groups = ROWS
    with pytest.raises(ValueError, match="`y_err` was given, but the residual scale was estim"):
        display.from_estimator(model, X, y, groups, y_err=np.ones(len(y)))


@pytest.mark.parametrize("name", ["effects", "densities", "pit", "quantiles"])
def test_unknown_kind_is_an_error(make, name):
    with pytest.raises(ValueError, match=r"`kind` must be one of \[.*\]. Got 'violin'."):
        make(name, kind="violin")


@pytest.mark.parametrize(
    ("name", "keyword"), [("effects", "ci_prob"), ("pit", "envelope_prob")]
)
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (95, ValueError, r"must lie in \(0, 1\). Got 95. Did you mean 0.95\?"),
        (1.0, ValueError, r"must lie in \(0, 1\). Got 1.0.$"),
        ("0.9", TypeError, r"must be a number in \(0, 1\). Got '0.9'."),
        (True, ValueError, r"must lie in \(0, 1\). Got True."),
    ],
)
def test_probability_out_of_range_is_an_error(make, name, keyword, value, error, message):
    with pytest.raises(error, match=f"`{keyword}` {message}"):
        make(name, **{keyword: value})


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"quantiles": [0.1, 0.9]}, r"`y_quantiles` must have shape \(41, 2\).* Got \(41, 5\)"),
        ({"quantiles": [0.9, 0.1]}, r"must be increasing probabilities in \(0, 1\). Got"),
        ({"quantiles": [0, 1]}, r"must be increasing probabilities in \(0, 1\). Got"),
        ({"quantiles": [0.1, 0.2, 0.3, 0.4, 0.5]}, r'pairs p and 1 - p.* with kind="pit"'),
    ],
)
def test_quantiles_that_do_not_fit_are_an_error(make, keywords, message):
    with pytest.raises(ValueError, match=message):
        make("quantiles", **keywords)


def test_quantiles_that_cross_are_an_error():
    y, bounds = [0.0, 1.0], [[1.0, 0.0], [-1.0, 1.0]]
    with pytest.raises(ValueError, match="`y_quantiles` must not decrease along a row"):
        CalibrationDisplay.from_predictions(y, bounds, quantiles=[0.1, 0.9])


def test_keywords_that_are_no_dict_are_an_error():
    y, bounds = [0.0, 1.0], [[0.0, 1.0], [-1.0, 1.0]]
    with pytest.raises(
        TypeError, match=r"Keywords of an artist must be a dict or None\. Got 3"
    ):
        CalibrationDisplay.from_predictions(y, bounds, quantiles=[0.1, 0.9], line_kwargs=3)
