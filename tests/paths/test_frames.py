"""Frames of pandas, polars and pyarrow: as X, y and groups they are the same rows as arrays."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from marks import FEW_DRAWS
from paths import FRAME, SITE, TABLE, Y, assert_same, by_column, by_keyword
from scipy import sparse
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict, cross_val_score

pytestmark = FEW_DRAWS

#: A second factor.
BOTH = pd.DataFrame({"site": SITE, "team": np.array(list("abcd"))[np.arange(len(Y)) % 4]})
#: Maker of a table, and of one column of it.
TABLES = {
    "pandas": lambda table: table,
    "polars": pl.from_pandas,
    "pyarrow": pa.Table.from_pandas,
}
SERIES = {
    "pandas": lambda series: series,
    "polars": lambda series: pl.Series(series.name, series.to_list()),
    "pyarrow": lambda series: pa.chunked_array([series.to_list()[:7], series.to_list()[7:]]),
    "pyarrow's array": lambda series: pa.array(series.to_list()),
}
#: The same columns in the order that is given.
SELECT = {
    "pandas": lambda table, names: table[names],
    "polars": lambda table, names: table.select(names),
    "pyarrow": lambda table, names: table.select(names),
}


@pytest.fixture(scope="module")
def expected():
    """Mean and standard deviation of the rows as arrays, and the model."""
    X, labels = FRAME.to_numpy(), SITE.to_numpy()
    model = by_keyword().fit(X, Y.to_numpy(), groups=labels)
    return model.predict(X, groups=labels, return_std=True)


@pytest.fixture(scope="module")
def of_both():
    groups = {name: BOTH[name].to_numpy() for name in BOTH}
    model = by_keyword().fit(FRAME.to_numpy(), Y.to_numpy(), groups=groups)
    return model.predict(FRAME.to_numpy(), groups=groups, return_std=True)


def assert_equal(actual, expected):
    assert_same(actual[0], expected[0])
    assert_same(actual[1], expected[1])


@pytest.mark.parametrize("kind", TABLES)
def test_table_with_a_column_of_labels(kind, expected):
    table = TABLES[kind](TABLE)
    assert_equal(by_column().fit(table, Y).predict(table, return_std=True), expected)


@pytest.mark.parametrize("kind", TABLES)
def test_table_with_columns_of_two_factors(kind, of_both):
    table = TABLES[kind](FRAME.join(BOTH))
    model = by_column(group_features=["site", "team"]).fit(table, Y)
    assert list(model.groups_) == ["site", "team"]
    assert_equal(model.predict(table, return_std=True), of_both)


@pytest.mark.parametrize("kind", TABLES)
def test_table_beside_labels(kind, expected):
    table = TABLES[kind](FRAME)
    model = by_keyword().fit(table, Y, groups=SITE)
    assert_equal(model.predict(table, groups=SITE, return_std=True), expected)


@pytest.mark.parametrize("kind", SERIES)
def test_series_as_target(kind, expected):
    model = by_keyword().fit(FRAME, SERIES[kind](Y), groups=SITE)
    assert_equal(model.predict(FRAME, groups=SITE, return_std=True), expected)


@pytest.mark.parametrize("kind", SERIES)
def test_series_as_labels(kind, expected):
    labels = SERIES[kind](SITE)
    model = by_keyword().fit(FRAME, Y, groups=labels)
    assert_equal(model.predict(FRAME, groups=labels, return_std=True), expected)


@pytest.mark.parametrize("kind", TABLES)
def test_table_of_one_column_as_labels(kind, expected):
    labels = TABLES[kind](SITE.to_frame())
    model = by_keyword().fit(FRAME, Y, groups=labels)
    assert set(model.shrinkage_["factor"]) == {"site"}
    assert_equal(model.predict(FRAME, groups=labels, return_std=True), expected)


@pytest.mark.parametrize("kind", TABLES)
def test_table_of_several_columns_as_labels(kind, of_both):
    labels = TABLES[kind](BOTH)
    model = by_keyword().fit(FRAME, Y, groups=labels)
    assert list(model.groups_) == ["site", "team"]
    assert_equal(model.predict(FRAME, groups=labels, return_std=True), of_both)


@pytest.mark.parametrize("kind", TABLES)
def test_columns_of_labels_may_come_in_another_order(kind, of_both):
    model = by_keyword().fit(FRAME, Y, groups=BOTH)
    labels = SELECT[kind](TABLES[kind](BOTH), ["team", "site"])
    assert_equal(model.predict(FRAME, groups=labels, return_std=True), of_both)


@pytest.mark.parametrize("kind", SERIES)
def test_series_as_weights_and_errors(kind):
    weight, errors = Y.abs().round() + 1, 1 + Y.abs() / 9
    model = by_keyword(residual_scale="known")
    model.fit(FRAME, Y, SITE, SERIES[kind](weight), SERIES[kind](errors))
    hand = by_keyword(residual_scale="known")
    hand.fit(FRAME, Y, SITE, weight.to_numpy(), errors.to_numpy())
    assert_same(model.predict(FRAME, groups=SITE), hand.predict(FRAME, groups=SITE))


@pytest.mark.parametrize("fitted", TABLES)
@pytest.mark.parametrize("new", TABLES)
def test_tables_of_one_kind_predict_for_those_of_another(fitted, new, expected):
    model = by_column().fit(TABLES[fitted](TABLE), Y)
    assert_equal(model.predict(TABLES[new](TABLE), return_std=True), expected)


@pytest.mark.parametrize("kind", TABLES)
def test_table_beside_known_rows_is_added_by_name(kind, expected):
    make = TABLES[kind]
    model = by_column().fit(make(TABLE[:30]), Y[:30])
    model.partial_fit(make(TABLE[30:]), Y[30:])
    assert_equal(model.predict(make(TABLE), return_std=True), expected)


@pytest.mark.parametrize("kind", TABLES)
def test_names_of_columns_are_kept(kind):
    model = by_column(varying_slopes=["dose"]).fit(TABLES[kind](TABLE), Y)
    assert list(model.feature_names_in_) == ["age", "dose", "site"]
    table = model.shrinkage_
    assert set(table["factor"]) == {"site"}
    assert list(table["coefficient"].unique()) == ["intercept", "dose"]
    assert list(table["group"].unique()) == sorted(set(SITE))


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("attribute", ["shrinkage_", "variance_components_"])
def test_tables_of_results_are_of_pandas(attribute, kind):
    model = by_column().fit(TABLES[kind](TABLE), Y)
    expected = getattr(by_column().fit(TABLE, Y), attribute)
    table = getattr(model, attribute)
    assert type(table) is pd.DataFrame
    pd.testing.assert_frame_equal(table, expected, rtol=1e-9)


#: Columns at predict, and the message of scikit-learn.
COLUMNS = {
    "reordered": (["site", "dose", "age"], "must be in the same order as they were in fit"),
    "missing": (["age", "site"], "seen at fit time, yet now missing:\n- dose"),
    "without labels": (["age", "dose"], "seen at fit time, yet now missing:\n- site"),
    "one more": (["age", "dose", "site", "extra"], "unseen at fit time:\n- extra"),
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("case", COLUMNS)
@pytest.mark.parametrize("method", ["predict", "score", "partial_fit"])
def test_columns_are_checked_as_scikit_learn_does(method, case, kind):
    names, message = COLUMNS[case]
    model = by_column().fit(TABLES[kind](TABLE), Y)
    rows = SELECT[kind](TABLES[kind](TABLE.assign(extra=1.0)), names)
    arguments = (rows,) if method == "predict" else (rows, Y)
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(*arguments)


def test_array_for_columns_with_names_is_warned_of(expected):
    model = by_column().fit(TABLE, Y)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        assert_equal(model.predict(TABLE.to_numpy(), return_std=True), expected)


def test_array_of_other_width_is_an_error():
    model = by_column(group_features=2).fit(TABLE.to_numpy(), Y)
    with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 3"):
        model.predict(FRAME.to_numpy())


#: Labels that a null among them would make floats, and one that they would then be.
LARGE = [2**53, 2**53 + 1]
NULLABLE = {
    "pandas": lambda labels: pd.DataFrame({"site": pd.array(labels, dtype="Int64")}),
    "polars": lambda labels: pl.DataFrame({"site": labels}),
    "pyarrow": lambda labels: pa.table({"site": labels}),
}


@pytest.mark.parametrize("kind", NULLABLE)
def test_large_integers_stay_apart_beside_a_null(kind):
    rows = [LARGE[i % 2] for i in range(len(Y))]
    y = np.arange(len(Y)) % 2 * 100 + Y
    model = by_column().fit(NULLABLE[kind](rows), y)
    mean = model.predict(NULLABLE[kind]([*LARGE, None]))
    assert_same(mean[:2], model.group_intercept_)
    assert mean[1] - mean[0] > 50


#: Missing values in a table, and what the error says.
MISSING = {
    "labels": ({"site": [None, *SITE[1:]]}, "`groups` has 1 missing labels of 60"),
    "features": ({"dose": [None, *FRAME["dose"][1:]]}, "Input X contains NaN"),
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("case", MISSING)
def test_missing_values_are_named(case, kind):
    columns, message = MISSING[case]
    rows = {**TABLE.to_dict("list"), **columns}
    make = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}[kind]
    with pytest.raises(ValueError, match=message):
        by_column().fit(make(rows), Y)


@pytest.mark.parametrize("kind", SERIES)
def test_missing_targets_are_named(kind):
    target = SERIES[kind](pd.Series([None, *Y[1:]], dtype=object))
    with pytest.raises(ValueError, match="Input y contains NaN"):
        by_column().fit(TABLE, target)


@pytest.mark.parametrize("kind", TABLES)
def test_words_among_the_features_are_named(kind):
    with pytest.raises(
        ValueError, match=r"`X` must be numeric. If a column holds group labels"
    ):
        by_column(group_features="site").fit(TABLES[kind](FRAME.join(BOTH)), Y)


def test_lazy_frame_is_refused():
    message = r"`X` must be in memory. Got polars LazyFrame; collect it first"
    with pytest.raises(TypeError, match=message):
        by_column().fit(pl.from_pandas(TABLE).lazy(), Y)


@pytest.mark.parametrize("make", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
@pytest.mark.parametrize("column", [None, 0])
def test_sparse_features_are_refused(column, make):
    with pytest.raises(TypeError, match=r"`X` must be dense. Got a sparse .* X.toarray\(\)"):
        by_column(group_features=column).fit(make(FRAME.to_numpy()), Y)


@pytest.mark.parametrize("kind", TABLES)
def test_folds_of_a_table_are_those_of_its_rows(kind):
    table, y = TABLES[kind](TABLE), SERIES[kind](Y)
    mean = cross_val_predict(by_column(), table, y, cv=KFold(3))
    assert_same(mean, cross_val_predict(by_column(), TABLE, Y, cv=KFold(3)))


@pytest.mark.parametrize("kind", TABLES)
def test_series_of_labels_are_those_of_the_splitter(kind):
    table, y, labels = TABLES[kind](TABLE), SERIES[kind](Y), SERIES[kind](SITE)
    scores = cross_val_score(by_column(), table, y, cv=GroupKFold(3), groups=labels)
    expected = cross_val_score(by_column(), TABLE, Y, cv=GroupKFold(3), groups=SITE)
    assert_same(scores, expected)
