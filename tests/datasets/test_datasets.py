"""The data sets: shapes, names, descriptions, and what the literature says of them."""

import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest
from sklearn.utils import Bunch

from skhbm import HierarchicalNormalRegressor, datasets

SHAPES = {
    "load_baseball": (18, 0, 18, "player"),
    "load_contraception": (1934, 3, 60, "district"),
    "load_eight_schools": (8, 0, 8, "school"),
    "load_epilepsy": (236, 4, 59, "patient"),
    "load_pumps": (10, 0, 10, "pump"),
    "load_radon": (919, 2, 85, "county"),
    "load_sleepstudy": (180, 1, 18, "subject"),
    "load_three_groups": (120, 0, 3, "group"),
}

every_loader = pytest.mark.parametrize("name", SHAPES)


def test_all_loaders_are_tested():
    assert sorted(SHAPES) == datasets.__all__


@every_loader
def test_bunch_has_arrays_of_the_stated_shapes(name):
    n, n_features, n_groups, _ = SHAPES[name]
    bunch = getattr(datasets, name)()
    assert isinstance(bunch, Bunch)
    assert bunch.data.shape == (n, n_features)
    assert bunch.target.shape == bunch.groups.shape == (n,)
    assert len(np.unique(bunch.groups)) == n_groups
    assert bunch.frame is None


@every_loader
def test_numbers_are_finite_floats(name):
    bunch = getattr(datasets, name)()
    for values in (bunch.data, bunch.target):
        assert values.dtype == np.float64
        assert np.isfinite(values).all()


@every_loader
def test_return_X_y_gives_data_target_and_groups(name):
    load = getattr(datasets, name)
    bunch = load()
    data, target, groups = load(return_X_y=True)
    np.testing.assert_array_equal(data, bunch.data)
    np.testing.assert_array_equal(target, bunch.target)
    np.testing.assert_array_equal(groups, bunch.groups)


@every_loader
def test_frames_hold_the_same_numbers_under_their_names(name):
    import pandas as pd

    load = getattr(datasets, name)
    bunch, frames = load(), load(as_frame=True)
    assert isinstance(frames.data, pd.DataFrame)
    assert list(frames.data.columns) == bunch.feature_names
    assert [frames.target.name] == bunch.target_names
    assert frames.groups.name == bunch.group_name == SHAPES[name][3]
    np.testing.assert_array_equal(frames.data, bunch.data)
    np.testing.assert_array_equal(frames.target, bunch.target)
    np.testing.assert_array_equal(frames.groups, bunch.groups)


@every_loader
def test_frame_joins_groups_features_and_target(name):
    frames = getattr(datasets, name)(as_frame=True)
    names = [frames.group_name, *frames.feature_names, *frames.target_names]
    assert list(frames.frame.columns)[: len(names)] == names


@every_loader
def test_return_X_y_and_as_frame_combine(name):
    load = getattr(datasets, name)
    data, target, groups = load(return_X_y=True, as_frame=True)
    frames = load(as_frame=True)
    assert data.equals(frames.data)
    assert target.equals(frames.target)
    assert groups.equals(frames.groups)


@every_loader
def test_description_names_each_column_the_source_and_the_licence(name):
    frames = getattr(datasets, name)(as_frame=True)
    for column in frames.frame.columns:
        assert f"| {column} |" in frames.DESCR
    assert "Source: " in frames.DESCR
    assert "Licence: " in frames.DESCR


@every_loader
def test_file_is_where_the_bunch_says(name):
    bunch = getattr(datasets, name)()
    assert (files(bunch.data_module) / bunch.filename).is_file()


@every_loader
def test_loader_gives_fresh_arrays_at_every_call(name):
    load = getattr(datasets, name)
    load().target[:] = 0
    assert load().target.any()


def test_arrays_are_loaded_where_pandas_cannot_be_imported():
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "from skhbm import datasets\n"
        "[getattr(datasets, name)() for name in datasets.__all__]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_radon_has_one_uranium_figure_for_each_county():
    frame = datasets.load_radon(as_frame=True).frame
    assert (frame.groupby("county")["log_uranium"].nunique() == 1).all()  # noqa: PD101  # by county
    assert set(frame["floor"]) == {0, 1}


def test_radon_has_1_to_116_homes_in_a_county():
    _, counts = np.unique(datasets.load_radon().groups, return_counts=True)
    assert (counts.min(), counts.max()) == (1, 116)


def test_eight_schools_have_the_figures_of_rubin():
    schools = datasets.load_eight_schools()
    assert list(schools.groups) == list("ABCDEFGH")
    assert list(schools.target) == [28, 8, -3, 7, -1, 1, 18, 12]
    assert list(schools.y_err) == [15, 10, 16, 11, 9, 11, 10, 18]


def test_baseball_averages_are_hits_per_time_at_bat():
    baseball = datasets.load_baseball()
    np.testing.assert_array_equal(baseball.target, baseball.hits / baseball.at_bats)
    assert set(baseball.at_bats) == {45}


def test_baseball_has_the_squared_errors_that_efron_and_morris_publish():
    baseball = datasets.load_baseball()
    early = np.sqrt(45) * np.arcsin(2 * baseball.target - 1)
    late = np.sqrt(45) * np.arcsin(2 * baseball.remainder_average - 1)
    kept = 1 - (18 - 3) / np.sum((early - early.mean()) ** 2)
    stein = early.mean() + kept * (early - early.mean())
    assert np.sum((early - late) ** 2) == pytest.approx(17.56, abs=0.05)
    assert np.sum((stein - late) ** 2) == pytest.approx(5.01, abs=0.05)


def test_sleepstudy_has_the_least_squares_line_that_lme4_publishes():
    X, y, _ = datasets.load_sleepstudy(return_X_y=True)
    slope, intercept = np.polyfit(X[:, 0], y, 1)
    assert intercept == pytest.approx(251.405, abs=5e-4)
    assert slope == pytest.approx(10.467, abs=5e-4)


def test_contraception_is_of_districts_of_2_to_118_women():
    frame = datasets.load_contraception(as_frame=True).frame
    counts = frame["district"].value_counts()
    assert (counts.min(), counts.max()) == (2, 118)
    assert set(range(1, 62)) - set(frame["district"]) == {54}
    assert set(frame["use"]) == set(frame["urban"]) == {0, 1}


def test_epilepsy_has_the_mean_counts_that_thall_and_vail_publish():
    frame = datasets.load_epilepsy(as_frame=True).frame
    assert frame.groupby("progabide")["patient"].nunique().tolist() == [28, 31]
    means = frame.groupby(["progabide", "visit"])["seizures"].mean().round(2)
    assert means.tolist() == [9.36, 8.29, 8.79, 7.96, 8.58, 8.42, 8.13, 6.71]


def test_pumps_fail_two_times_in_a_thousand_hours_or_in_twenty_thousand():
    pumps = datasets.load_pumps()
    rate = pumps.target / pumps.hours
    assert (rate.min().round(3), rate.max().round(3)) == (0.053, 2.095)


def test_three_groups_are_what_the_description_says_was_drawn():
    three = datasets.load_three_groups()
    rng = np.random.RandomState(42)
    rows = zip(three.true_mean, three.true_sd, (20, 40, 60), strict=True)
    drawn = np.concatenate([rng.normal(mean, sd, n) for mean, sd, n in rows])
    np.testing.assert_allclose(three.target, drawn, rtol=1e-12)
    np.testing.assert_array_equal(np.bincount(three.groups), [20, 40, 60])


def test_three_groups_have_a_posterior_for_each_mean_and_sd():
    posterior = datasets.load_three_groups().posterior
    expected = {"mu", "tau", *(f"{what}[{j}]" for what in ("mean", "sd") for j in range(3))}
    assert set(posterior) == expected


def test_named_groups_name_the_factor_of_a_fit():
    X, y, county = datasets.load_radon(return_X_y=True, as_frame=True)
    model = HierarchicalNormalRegressor(random_state=0).fit(X, y, groups=county)
    assert set(model.shrinkage_["factor"]) == {"county"}
