"""Columns and labels that cannot be used as they are: the sentence names them."""

import warnings

import dask.dataframe as dd
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from skhbm import GroupedStatistics, HierarchicalNormalRegressor, Prior

N = 48
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {"a": RNG.normal(size=N), "b": RNG.normal(size=N), "site": np.repeat(np.arange(8), 6)}
)
Y = TABLE["a"] + RNG.normal(size=8)[TABLE["site"]] + 0.5 * RNG.normal(size=N)
FEATURES = ["a", "b"]


def estimator(**parameters):
    return HierarchicalNormalRegressor(
        solver="laplace", draws=100, chains=1, random_state=0, **parameters
    )


@pytest.mark.parametrize(
    ("value", "count", "words"),
    [
        (np.nan, 1, "NaN: the column 'b' has 1 missing value in 48 rows"),
        (np.nan, 3, "NaN: the column 'b' has 3 missing values in 48 rows"),
        (np.inf, 1, "infinity: the column 'b' has 1 infinite value in 48 rows"),
    ],
)
@pytest.mark.parametrize("kind", ["frame", "polars", "array"])
def test_a_column_with_values_that_are_none_is_named(value, count, words, kind):
    X = TABLE[FEATURES].copy()
    X.loc[5 : 4 + count, "b"] = value
    if kind == "array":
        X, words = X.to_numpy(), words.replace("the column 'b'", "column 1")
    elif kind == "polars":
        X = pl.from_pandas(X, nan_to_null=False)
    with pytest.raises(ValueError, match=f"Input X contains {words}. Drop these rows"):
        estimator().fit(X, Y, groups=TABLE["site"])


def test_a_column_with_missing_values_at_predict_changes_nothing():
    model = estimator().fit(TABLE[FEATURES], Y, groups=TABLE["site"])
    before = model.predict(TABLE[FEATURES], groups=TABLE["site"])
    with pytest.raises(ValueError, match="the column 'a' has 48 missing values"):
        model.predict(TABLE[FEATURES].assign(a=np.nan), groups=TABLE["site"])
    assert np.array_equal(before, model.predict(TABLE[FEATURES], groups=TABLE["site"]))


DASK = dd.from_pandas(TABLE, npartitions=2)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (DASK, "Got dask DataFrame; compute it first"),
        (pl.from_pandas(TABLE).lazy(), "Got polars LazyFrame; collect it first"),
        (duckdb.from_df(TABLE), "Got duckdb DuckDBPyRelation; fetch it first"),
    ],
    ids=["dask", "polars", "duckdb"],
)
def test_tables_elsewhere_are_refused_by_their_kind(X, words):
    model = estimator(group_features="site").fit(TABLE, Y)
    for call in (lambda: model.predict(X), lambda: model.fit(X, Y)):
        with pytest.raises(
            TypeError, match=f"`X` must be in memory. {words}. Or use fit_table"
        ):
            call()


def test_labels_elsewhere_are_refused_by_their_kind():
    with pytest.raises(TypeError, match=r"hold labels in memory.* Got dask Series; compute it"):
        estimator().fit(TABLE[FEATURES], Y, groups=DASK["site"])


def test_record_batches_are_tables():
    model = estimator(group_features="site").fit(TABLE, Y)
    batch = pa.RecordBatch.from_pandas(TABLE)
    assert np.array_equal(model.predict(batch), model.predict(pa.table(TABLE)))


def test_more_rows_with_labels_of_another_type_warn():
    sites = TABLE["site"]
    model = estimator().partial_fit(None, Y[24:], groups=sites[24:])
    with pytest.warns(UserWarning, match="Labels like '0' cannot be groups of the fit"):
        model.partial_fit(None, Y[:24], groups=sites[:24].astype(str))


def test_statistics_with_labels_of_another_type_warn():
    of_numbers, of_words = (
        GroupedStatistics.from_arrays(None, Y, labels)
        for labels in (TABLE["site"], TABLE["site"].astype(str))
    )
    with pytest.warns(UserWarning, match="Labels like '0' cannot be groups of the fit"):
        of_numbers + of_words


@pytest.mark.parametrize("as_series", [True, False])
def test_ids_that_floats_cannot_tell_apart_warn(as_series):
    ids = (2.0**60 + 100 * TABLE["site"]).astype(float)
    ids = ids if as_series else ids.to_numpy()
    with pytest.warns(UserWarning, match=r"Labels in `groups` are floats of up to 1.2e\+18"):
        estimator().partial_fit(TABLE[FEATURES], Y, ids)


def test_ids_that_can_be_told_apart_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for ids in (
            2**60 + TABLE["site"],
            TABLE["site"] + 0.0,
            TABLE["site"].astype("Float64"),
        ):
            estimator().fit(TABLE[FEATURES], Y, groups=ids)


def test_a_duration_is_no_parameter_of_a_prior():
    priors = {"corr": Prior("LKJCorr", eta=np.timedelta64(2, "D"))}
    with pytest.raises(ValueError, match="must be Prior"):
        estimator(varying_slopes="a", priors=priors).fit(
            TABLE[FEATURES], Y, groups=TABLE["site"]
        )


def test_a_column_beside_labels_has_its_position_in_the_given_array():
    X = TABLE[["site", *FEATURES]].to_numpy()
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN: column 2 has 1 missing value in 48 rows"):
        estimator(group_features=0).fit(X, Y)


@pytest.mark.parametrize("name", ["y", "sample_weight"])
def test_targets_and_weights_elsewhere_are_refused_by_their_kind(name):
    rows = {"y": Y, name: DASK["a"]}
    with pytest.raises(
        TypeError, match=f"`{name}` must be in memory. Got dask Series; compute"
    ):
        estimator().fit(TABLE[FEATURES], groups=TABLE["site"], **rows)


def test_labels_elsewhere_are_refused_in_a_dict_too():
    with pytest.raises(TypeError, match=r"hold labels in memory.* Got dask Series; compute it"):
        estimator().fit(TABLE[FEATURES], Y, groups={"site": DASK["site"]})
