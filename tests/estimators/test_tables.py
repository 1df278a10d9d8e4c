"""Tables of engines in this process: the same fits and predictions as of arrays."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from marks import FEW_DRAWS
from polars.io.plugins import register_io_source
from sklearn.exceptions import NotFittedError
from table_rows import ENGINES, TABLES, as_relation

from skhbm import HierarchicalNormalRegressor

pytestmark = FEW_DRAWS


def make_sums_exact(n_groups=6):
    """Return rows whose sums, means and products have no rounding, in whatever order."""
    rng = np.random.default_rng(5)
    n = 8 * n_groups
    rows = pd.DataFrame({"school": np.repeat([*"abcdefgh"[:n_groups]], 8)})
    rows["hours"] = rng.integers(0, 16, n).astype(float)
    rows["age"] = rng.integers(-8, 8, n).astype(float)
    effect = np.repeat(rng.integers(-20, 20, n_groups), 8)
    rows["grade"] = 2 * rows["hours"] - rows["age"] + effect + rng.integers(-8, 8, n)
    return rows.sample(frac=1, random_state=0, ignore_index=True)


SCHOOLS = make_sums_exact()
NAMES = ["hours", "age"]


def regressor(**parameters):
    return HierarchicalNormalRegressor(
        draws=60, tune=60, chains=2, random_state=0, **parameters
    )


@pytest.fixture(scope="module")
def fitted():
    model = regressor(varying_slopes=["hours"])
    return model.fit(SCHOOLS[NAMES], SCHOOLS["grade"], groups=SCHOOLS["school"])


def assert_same_fit(model, expected):
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-12)
    np.testing.assert_allclose(model.group_coef_, expected.group_coef_, rtol=1e-12)
    assert model.n_features_in_ == expected.n_features_in_
    assert list(model.feature_names_in_) == list(expected.feature_names_in_)
    assert list(model.groups_) == list(expected.groups_)


@pytest.mark.parametrize("kind", TABLES)
def test_a_fit_to_a_table_is_that_to_its_rows(kind, fitted, tmp_path):
    model = regressor(varying_slopes=["hours"]).fit_table(
        TABLES[kind](SCHOOLS, tmp_path), target="grade", features=NAMES, groups="school"
    )
    assert_same_fit(model, fitted)
    predictions = model.predict(SCHOOLS[NAMES], groups=SCHOOLS["school"])
    expected = fitted.predict(SCHOOLS[NAMES], groups=SCHOOLS["school"])
    np.testing.assert_allclose(predictions, expected, rtol=1e-12)


def test_a_fit_without_features_is_of_intercepts():
    model = regressor().fit_table(pl.from_pandas(SCHOOLS), target="grade", groups="school")
    expected = regressor().fit(None, SCHOOLS["grade"], groups=SCHOOLS["school"])
    np.testing.assert_allclose(model.group_intercept_, expected.group_intercept_, rtol=1e-12)
    assert model.n_features_in_ == 0
    assert not hasattr(model, "feature_names_in_")


def test_weights_and_errors_of_a_table_count():
    rows = SCHOOLS.assign(times=1 + SCHOOLS.index % 2, se=0.5)
    model = regressor(residual_scale="known").fit_table(
        pl.from_pandas(rows), "grade", NAMES, "school", weight="times", y_err="se"
    )
    expected = regressor(residual_scale="known").fit(
        rows[NAMES], rows["grade"], rows["school"], rows["times"], rows["se"]
    )
    assert_same_fit(model, expected)


@pytest.mark.parametrize("column", ["school", 0, [True, False, False]])
def test_labels_may_be_among_the_features_of_a_table(column):
    names = ["school", *NAMES]
    model = regressor(group_features=column)
    model.fit_table(pl.from_pandas(SCHOOLS).lazy(), target="grade", features=names)
    expected = regressor(group_features=column).fit(SCHOOLS[names], SCHOOLS["grade"])
    assert_same_fit(model, expected)
    np.testing.assert_allclose(
        model.predict(SCHOOLS[names]), expected.predict(SCHOOLS[names]), rtol=1e-12
    )


def test_labels_are_given_once():
    model = regressor(group_features="school")
    with pytest.raises(ValueError, match="given twice, as `groups` and as 'school' of"):
        model.fit_table(SCHOOLS, "grade", ["school", *NAMES], groups="school")


@pytest.mark.parametrize("features", [5, [5]])
def test_features_of_a_fit_are_names(features):
    with pytest.raises(TypeError, match=r"`features` must be names of columns\. Got"):
        regressor().fit_table(SCHOOLS, "grade", features)


def test_group_features_are_features_of_the_table():
    with pytest.raises(ValueError, match="`group_features` names 'school', which is not"):
        regressor(group_features="school").fit_table(SCHOOLS, "grade", NAMES)


def unread(rows):
    """A lazy table of the columns of some rows, that fails when the first row is asked for."""

    def source(with_columns, predicate, n_rows, batch_size):
        msg = "a row was read"
        raise AssertionError(msg)
        yield

    return register_io_source(source, schema=pl.from_pandas(rows).schema)


REFUSED_BY_NAME = {
    "a factor with the name of a dimension": ({}, ["chain"], {}, "cannot be the name of"),
    "slopes of no feature": ({"varying_slopes": ["pay"]}, ["school"], {}, "not a column"),
    "slopes of no position": ({"varying_slopes": [2]}, ["school"], {}, "has the index 2"),
    "slopes by no factor": ({"varying_slopes": {"town": "all"}}, ["school"], {}, "entries for"),
    "slopes without groups": ({"varying_slopes": "all"}, None, {}, "need groups"),
    "nothing varies": ({"varying_intercept": False}, ["school"], {}, "Nothing varies"),
    "errors that are missing": ({"residual_scale": "known"}, ["school"], {}, "standard error"),
    "errors that have no use": ({}, ["school"], {"y_err": "age"}, "`y_err` was given"),
    "slopes of labels": (
        {"varying_slopes": ["school"], "group_features": "school"},
        None,
        {"features": ["school", *NAMES]},
        "names the column of group labels",
    ),
}


@pytest.mark.parametrize("name", REFUSED_BY_NAME)
def test_what_names_can_tell_is_refused_before_a_row_is_read(name):
    parameters, groups, arguments, message = REFUSED_BY_NAME[name]
    table = unread(SCHOOLS.assign(chain=SCHOOLS["school"]))
    with pytest.raises(ValueError, match=message):
        regressor(**parameters).fit_table(
            table, **{"target": "grade", "features": NAMES, "groups": groups, **arguments}
        )


def test_rows_are_read_if_names_are_right():
    with pytest.raises(AssertionError, match="a row was read"):
        regressor().fit_table(unread(SCHOOLS), "grade", NAMES, "school")


def test_a_failed_fit_leaves_the_estimator_as_it_was(fitted):
    before = dict(vars(fitted))
    with pytest.raises(ValueError, match="`features` names"):
        fitted.fit_table(SCHOOLS, "grade", ["nothing"])
    assert vars(fitted) == before


#: Rows to predict: another order of columns, one more, an unknown and a missing label.
NEW = SCHOOLS[["school", "age", "hours"]].assign(pupil=np.arange(len(SCHOOLS)))
NEW.loc[5, "school"] = "a new one"
NEW.loc[6, "school"] = None


@pytest.mark.parametrize("kind", TABLES)
def test_predictions_of_a_table_are_those_of_its_rows(kind, fitted, tmp_path):
    reader = fitted.predict_table(TABLES[kind](NEW, tmp_path), return_std=True, batch_size=20)
    batches = list(reader)
    assert max(map(len, batches)) <= 20
    found = pa.Table.from_batches(batches)
    assert found.column_names == [*NEW.columns, "prediction", "prediction_std"]
    assert found["pupil"].to_pylist() == NEW["pupil"].tolist()
    mean, std = fitted.predict(NEW[NAMES], groups=NEW["school"], return_std=True)
    np.testing.assert_allclose(found["prediction"], mean, rtol=1e-12)
    np.testing.assert_allclose(found["prediction_std"], std, rtol=1e-12)


@pytest.mark.parametrize("kind", ["pandas", "pyarrow", *ENGINES, "file"])
def test_a_table_without_rows_has_no_predictions(kind, fitted, tmp_path):
    found = fitted.predict_table(TABLES[kind](NEW[:0], tmp_path)).read_all()
    assert found.column_names == [*NEW.columns, "prediction"]
    assert found.num_rows == 0


def test_labels_of_new_rows_may_be_in_a_column_of_another_name(fitted):
    table = pl.from_pandas(NEW.rename(columns={"school": "place"}))
    found = fitted.predict_table(table, groups="place").read_all()
    np.testing.assert_allclose(
        found["prediction"], fitted.predict(NEW[NAMES], groups=NEW["school"]), rtol=1e-12
    )
    assert "prediction_std" not in found.column_names


def test_predictions_of_a_table_take_labels_among_the_features():
    names = ["school", *NAMES]
    model = regressor(group_features="school").fit(SCHOOLS[names], SCHOOLS["grade"])
    found = model.predict_table(as_relation(SCHOOLS), batch_size=7).read_all()
    np.testing.assert_allclose(found["prediction"], model.predict(SCHOOLS[names]), rtol=1e-12)


def test_predictions_of_several_factors_and_no_features():
    rows = SCHOOLS.assign(year=SCHOOLS.index % 3)
    model = regressor().fit_table(rows, target="grade", groups=["school", "year"])
    found = model.predict_table(pl.from_pandas(rows).lazy(), batch_size=11).read_all()
    expected = model.predict(None, groups=rows[["school", "year"]])
    np.testing.assert_allclose(found["prediction"], expected, rtol=1e-12)


def test_predictions_are_read_when_they_are_asked_for(fitted):
    read, some = [], pl.from_pandas(NEW)

    def source(with_columns, predicate, n_rows, batch_size):
        for i in range(3000):
            read.append(i)
            yield some

    table = register_io_source(source, schema=some.schema)
    reader = fitted.predict_table(table, batch_size=len(NEW))
    assert len(reader.read_next_batch()) == len(NEW)
    # The engine reads a few batches ahead.
    assert len(read) < 300


def test_predictions_can_be_written_and_queried(fitted, tmp_path):
    source = TABLES["glob"](NEW, tmp_path)
    reader = fitted.predict_table(source, batch_size=16)
    assert isinstance(reader, pa.RecordBatchReader)
    pq.write_table(reader.read_all(), tmp_path / "found.parquet")
    found = duckdb.sql(f"SELECT prediction FROM '{tmp_path}/found.parquet' ORDER BY pupil")
    expected = fitted.predict(NEW[NAMES], groups=NEW["school"])
    np.testing.assert_allclose(found.to_arrow_table()["prediction"], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("table", "arguments", "message"),
    [
        (NEW.drop(columns="age"), {}, r"lacks the columns \['age'\], which the model"),
        (NEW.drop(columns="school"), {}, r"lacks the columns \['school'\]"),
        (NEW.assign(prediction=0), {}, r"has columns \['prediction'\] already"),
        (NEW, {"groups": ["school", "age"]}, r"one column for each grouping factor of the fit"),
        (NEW, {"batch_size": 0}, "`batch_size` must be an int of at least 1. Got 0"),
        (NEW, {"kind": "median"}, r"`kind` must be one of \['response', 'mean'\]. Got 'medi"),
    ],
    ids=[
        "no feature",
        "no labels",
        "predicted before",
        "too many factors",
        "batch size",
        "kind",
    ],
)
def test_tables_that_cannot_be_predicted_are_refused(table, arguments, message, fitted):
    with pytest.raises(ValueError, match=message):
        fitted.predict_table(table, **arguments)


def test_predictions_of_a_table_are_of_the_mean_if_asked_for(fitted):
    reader = fitted.predict_table(NEW, return_std=True, batch_size=16, kind="mean")
    found = reader.read_all()
    X, labels = NEW[NAMES], NEW["school"]
    _, expected = fitted.predict(X, groups=labels, return_std=True, kind="mean")
    np.testing.assert_allclose(found["prediction_std"], expected, rtol=1e-12)
    assert np.all(expected < fitted.predict(X, groups=labels, return_std=True)[1])


def test_predictions_of_a_table_need_a_fit():
    with pytest.raises(NotFittedError):
        regressor().predict_table(NEW)


def test_predictions_of_a_table_need_names():
    model = regressor().fit(SCHOOLS[NAMES].to_numpy(), SCHOOLS["grade"], SCHOOLS["school"])
    with pytest.raises(ValueError, match="the model was fitted to X without"):
        model.predict_table(NEW)
