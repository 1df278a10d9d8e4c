"""Pictures that can be read: names that do not touch, legends beside the data, any labels."""

import datetime as dt

import numpy as np
import pytest
from structures import rows_of

from skhbm import (
    CalibrationDisplay,
    GroupEffectsDisplay,
    HierarchicalNormalRegressor,
    PosteriorPredictiveDisplay,
    ShrinkageDisplay,
)

plt = pytest.importorskip("matplotlib.pyplot")  # Matplotlib is an extra.
Text = pytest.importorskip("matplotlib.text").Text  # the same extra

pytestmark = pytest.mark.filterwarnings("ignore:.*R-hat:sklearn.exceptions.ConvergenceWarning")

LABELS = {
    "text": lambda j: f"group {j}",
    "long": lambda j: f"the {j}th of a number of groups with names of more than sixty letters",
    "mathematics": lambda j: f"$x_{j}^ and {j} $",
    "lines": lambda j: f"two\nlines {j}",
    "numbers": lambda j: j / 7,
    "dates": lambda j: np.datetime64("2020-01-01") + np.timedelta64(j, "D"),
    "days": lambda j: dt.date(2020, 1, 1) + dt.timedelta(days=j),
    "pairs": lambda j: (j, str(j)),
    "mixed": lambda j: j if j % 2 else str(j),
}
COUNTS = [1, 3, 18, 85, 1000]


def effects(labels, coefficient="intercept"):
    rng = np.random.default_rng(len(labels))
    mean, half = rng.standard_normal(len(labels)), rng.uniform(0.3, 1, size=len(labels))
    return GroupEffectsDisplay(
        groups=labels, estimate=mean, lower=mean - half, upper=mean + half, population=0.0,
        coefficient=coefficient, factor="school",
    )  # fmt: skip


def shrinkage(labels, **changes):
    rng = np.random.default_rng(len(labels))
    no, pooling = rng.standard_normal(len(labels)), rng.uniform(0.05, 0.95, size=len(labels))
    arrays = {
        "groups": labels,
        "no_pooling": no,
        "partial_pooling": (1 - pooling) * no,
        "complete_pooling": 0.0,
        "pooling": pooling,
        "coefficient": "intercept",
        "factor": "school",
    }
    return ShrinkageDisplay(**{**arrays, **changes})


def labelled(kind, n):
    labels = np.empty(n, dtype=object)
    labels[:] = [LABELS[kind](j) for j in range(n)]
    return labels


def boxes(display, texts):
    """Where texts with something in them are drawn."""
    display.figure_.canvas.draw()
    # The extent of an annotation would have its arrow in it; this is the text alone.
    return [Text.get_window_extent(text) for text in texts if text.get_text()]


def touching(places):
    return [(a, b) for i, a in enumerate(places) for b in places[:i] if a.overlaps(b)]


def inside(display, places):
    frame = display.figure_.bbox.padded(1)
    return all(frame.contains(*p.min) and frame.contains(*p.max) for p in places)


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("display", [effects, shrinkage])
def test_labels_of_any_kind_are_drawn_within_the_figure(display, kind):
    made = display(labelled(kind, 6)).plot()
    texts = made.texts_ if display is shrinkage else made.ax_.get_yticklabels()
    places = boxes(made, texts)
    assert len(places) == 6
    assert not touching(places)
    assert inside(made, places)


@pytest.mark.parametrize("n", COUNTS)
@pytest.mark.parametrize("height", [2.5, 4.8, 12.0])
def test_names_of_rows_do_not_touch(n, height):
    _, ax = plt.subplots(figsize=(6.4, height), layout="constrained")
    made = effects(labelled("text", n)).plot(ax)
    assert not touching(boxes(made, ax.get_yticklabels()))


@pytest.mark.parametrize("n", COUNTS)
@pytest.mark.parametrize("display", [effects, shrinkage])
def test_titles_are_within_the_figure(display, n):
    _, ax = plt.subplots(figsize=(3.4, 2.6), layout="constrained")
    made = display(labelled("text", n), coefficient="a feature with a name").plot(ax)
    assert inside(made, boxes(made, [ax.xaxis.label, ax.yaxis.label]))


def test_all_rows_are_named_where_there_is_room():
    _, ax = plt.subplots(figsize=(6.4, 14), layout="constrained")
    made = effects(labelled("text", 85)).plot(ax)
    order = np.argsort(made.estimate)
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == [f"group {j}" for j in order]


def test_few_of_the_rows_are_named_at_their_places_where_there_is_less_room():
    made = effects(labelled("text", 85)).plot()
    order, ticks = np.argsort(made.estimate), made.ax_.get_yticks()
    names = [text.get_text() for text in made.ax_.get_yticklabels()]
    assert 10 < len(names) < 85
    assert names == [f"group {order[int(row)]}" for row in ticks]


def test_title_of_the_axis_tells_that_some_rows_are_not_named():
    made = effects(labelled("text", 85)).plot()
    step = np.diff(made.ax_.get_yticks())[0]
    every = {2: "2nd", 3: "3rd", 4: "4th", 5: "5th"}[step]
    assert made.ax_.get_ylabel() == f"school (every {every} label)"
    assert effects(labelled("text", 5)).plot().ax_.get_ylabel() == "school"


def test_rows_are_counted_where_there_is_no_room():
    made = effects(labelled("text", 1000)).plot()
    assert len(made.ax_.get_yticks()) == 0
    assert made.ax_.get_ylabel() == "school (1,000 groups)"


@pytest.mark.parametrize("n", [3, 18])
def test_names_of_ends_do_not_touch_and_point_to_their_groups(n):
    made = shrinkage(labelled("text", n)).plot()
    assert [text.get_text() for text in made.texts_] == [f"group {j}" for j in range(n)]
    assert [text.xy for text in made.texts_] == [(0.0, v) for v in made.no_pooling]
    places = boxes(made, made.texts_)
    assert not touching(places)
    assert all(made.ax_.bbox.padded(1).contains(*p.min) for p in places)


def test_names_of_ends_are_left_out_where_there_is_no_room():
    assert shrinkage(labelled("text", 85)).plot().texts_ == []


@pytest.mark.parametrize("complete", [-0.8, 0.8])
@pytest.mark.parametrize("n", COUNTS[1:])
def test_legend_of_shrinkage_covers_no_estimate(n, complete):
    made = shrinkage(labelled("text", n), complete_pooling=complete)
    no, pooling = made.no_pooling, made.pooling
    made.partial_pooling = (1 - pooling) * no + pooling * complete
    made.plot()
    made.figure_.canvas.draw()
    legend = made.ax_.get_legend().get_window_extent()
    for points in (made.no_pooling_, made.partial_pooling_, made.complete_pooling_):
        at = made.ax_.transData.transform(points.get_offsets())
        assert not legend.count_contains(at)


def calibration(shape, n_points=99):
    nominal = np.arange(1, n_points + 1) / (n_points + 1)
    observed = nominal + shape * nominal * (1 - nominal)
    half = 0.4 * np.sqrt(nominal * (1 - nominal) / 10)
    return CalibrationDisplay(
        nominal=nominal, observed=observed, lower=nominal - half, upper=nominal + half
    )


@pytest.mark.parametrize("difference", [False, True])
@pytest.mark.parametrize("shape", [-0.8, 0.0, 0.8])
def test_legend_of_calibration_covers_no_curve(shape, difference):
    made = calibration(shape).plot(difference=difference)
    made.figure_.canvas.draw()
    legend = made.ax_.get_legend().get_window_extent()
    curve = made.ax_.transData.transform(made.line_.get_xydata())
    assert not legend.count_contains(curve)


def test_second_curve_of_differences_is_not_cut():
    first = calibration(0.1).plot(difference=True)
    second = calibration(-0.9).plot(first.ax_, difference=True, ref_line=False)
    low, high = second.ax_.get_ylim()
    assert low < second.line_.get_ydata().min()
    assert high > first.line_.get_ydata().max()
    assert (second.band_, second.ref_line_) == (None, None)


def test_far_out_estimates_of_no_pooling_do_not_set_the_scale():
    made = shrinkage(labelled("text", 50))
    made.no_pooling[7] = 1e6
    made.plot()
    low, high = made.ax_.get_ylim()
    rest = np.delete(made.no_pooling, 7)
    assert low < rest.min() < rest.max() < high < 10


def test_group_without_an_estimate_of_its_own_has_the_other_half_of_its_line():
    made = shrinkage(labelled("text", 5))
    made.no_pooling[2] = np.nan
    made.plot()
    made.figure_.canvas.draw()
    x, y = made.lines_.get_segments()[2].T
    np.testing.assert_array_equal(x, [made.pooling[2], 1.0])
    np.testing.assert_array_equal(y, [made.partial_pooling[2], 0.0])
    assert [text.get_text() for text in made.texts_] == [f"group {j}" for j in (0, 1, 3, 4)]


def test_groups_that_are_all_alike_can_be_drawn():
    made = shrinkage(labelled("text", 3), no_pooling=np.zeros(3), partial_pooling=np.zeros(3))
    low, high = made.plot().ax_.get_ylim()
    assert low < 0 < high


def test_axis_is_named_by_the_target():
    import pandas as pd

    X, y, groups = rows_of(5, sizes=(9, 7))
    model = HierarchicalNormalRegressor(draws=50, tune=100, random_state=0)
    model.fit(X, y, groups=groups)
    made = PosteriorPredictiveDisplay.from_estimator(
        model, X, pd.Series(y, name="score"), groups
    )
    assert made.ax_.get_xlabel() == "score"
    assert made.plot(kind="ecdf").ax_.get_ylabel() == "Empirical distribution"


@pytest.mark.parametrize("kind", ["kde", "ecdf"])
def test_heavy_tails_do_not_crush_the_check(kind):
    rng = np.random.default_rng(4)
    y, samples = rng.standard_normal(500), rng.standard_normal((500, 9))
    plain = PosteriorPredictiveDisplay(y_true=y, y_samples=samples).plot(kind=kind)
    assert plain.ax_.get_xlabel() == "y"
    samples[3, 2], samples[8, 0] = 3e4, -1e5
    y = np.append(y, [1e6, -2e5])
    samples = np.append(samples, rng.standard_normal((2, 9)), axis=0)
    made = PosteriorPredictiveDisplay(y_true=y, y_samples=samples).plot(kind=kind)
    low, high = made.ax_.get_xlim()
    assert -20 < low < -4
    assert 4 < high < 20
    assert made.ax_.get_xlabel() == "y (2 of 502 observed values are beyond the axis)"
    if kind == "kde":
        for line in (made.line_, *made.replicated_):
            # The mode of a standard normal, up to the error of kernels.
            assert line.get_ydata().max() == pytest.approx(0.4, abs=0.08)
            assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(
                1, abs=0.02
            )


def test_calibration_of_rows_of_fit_is_called_in_sample():
    X, y, groups = rows_of(5, sizes=(9, 7))
    model = HierarchicalNormalRegressor(draws=50, tune=100, random_state=0)
    model.fit(X, y, groups=groups)
    order = np.random.default_rng(0).permutation(len(y))
    for rows, label in (
        ((X, y, groups), "observed (in-sample)"),
        ((X[order], y[order], groups[order]), "observed (in-sample)"),
        ((X[1:], y[1:], groups[1:]), "observed"),
        ((X, y[order], groups), "observed"),
        ((X, y, [None] * len(y)), "observed"),
    ):
        made = CalibrationDisplay.from_estimator(model, *rows)
        assert made.line_.get_label() == label
        assert made.in_sample == (label != "observed")
