"""Group labels of any hashable kind, in any container, through either channel."""

import datetime as dt
from decimal import Decimal
from enum import Enum

import numpy as np
import pandas as pd
import polars as pl
import pytest
from marks import FEW_DRAWS

from skhbm import GroupedStatistics, HierarchicalNormalRegressor

pytestmark = FEW_DRAWS

N_GROUPS, SIZE = 3, 15
RNG = np.random.default_rng(73)
X = RNG.standard_normal((N_GROUPS * SIZE, 2))
#: Codes of the rows' groups, mixed, so that no label comes first in sorted order.
CODES = RNG.permuted(np.repeat(np.arange(N_GROUPS), SIZE))
Y = X @ [1.0, -0.5] + np.array([-5.0, 1.0, 20.0])[CODES] + RNG.standard_normal(len(CODES))
Colour = Enum("Colour", "RED GREEN BLUE")


def fit(X=X, groups=None, **parameters):
    model = HierarchicalNormalRegressor(draws=50, tune=50, random_state=0, **parameters)
    return model.fit(X, Y, groups=groups)


def rows_of(labels):
    """The label of each row, in a list."""
    return [labels[code] for code in CODES]


@pytest.fixture(scope="module")
def expected():
    """Predictions of X with labels 0, 1, 2."""
    return fit(groups=CODES).predict(X, CODES, return_std=True)


def dimension(model):
    """Name and coordinates of the dimension of the groups."""
    effect = next(v for k, v in model.posterior_["posterior"].items() if "effect" in k)
    return effect.dims[2], effect.coords[effect.dims[2]]


# Each three labels are in sorted order.
LABELS = {
    "str": ["a", "b", "c"],
    "str with blanks": ["", " a", "a"],
    "unicode": ["e", "e\u0301", "é"],
    "str with a null": ["a", "a\0", "b"],
    "str of digits": ["1", "10", "9"],
    "int": [-7, 1, 10**12],
    "large int": [2**53, 2**53 + 1, 2**53 + 2],
    "int past 64 bits": [-1, 2**64, 2**64 + 1],
    "float": [-2.5, 0.0, 1.5],
    "int and float": [1, 1.5, 2],
    "tuple": [("a", 1), ("a", 2), ("b", 1)],
    "tuples of any length": [(), ("a",), ("a", "b")],
    "date": [dt.date(2019, 5, 1), dt.date(2020, 1, 1), dt.date(2021, 1, 1)],
    "datetime": [dt.datetime(2020, 1, 1, h) for h in (0, 1, 12)],
    "Timestamp": list(pd.to_datetime(["2019", "2020", "2021"])),
    "Timestamp of a time zone": list(pd.to_datetime(["2019", "2020", "2021"], utc=True)),
    "datetime64": list(np.array(["2019", "2020", "2021"], dtype="M8[D]")),
    "Decimal": [Decimal(1), Decimal("1.5"), Decimal(2)],
    "bytes": [b"a", b"b", b"c"],
    "NumPy scalars": [np.int64(1), np.int64(2), np.int64(3)],
    "Period": list(pd.period_range("2020-01", periods=3, freq="M")),
    "Interval": list(pd.interval_range(0, 3)),
}

#: Labels that do not compare are in the order of their type and text.
MIXED = {
    "int and str": [1, 2, "a"],
    "number and its text": [1.5, 1, "1"],
    "anything": [1, "a", ("a", 1)],
    "frozenset": [frozenset(), frozenset({1}), frozenset({2})],
    "Enum": [Colour.BLUE, Colour.GREEN, Colour.RED],
}


@pytest.mark.parametrize("kind", [*LABELS, *MIXED])
def test_labels_of_any_hashable_kind_give_the_same_posterior(kind, expected):
    groups = rows_of({**LABELS, **MIXED}[kind])
    mean, std = fit(groups=groups).predict(X, groups, return_std=True)
    np.testing.assert_allclose(mean, expected[0], rtol=1e-9)
    np.testing.assert_allclose(std, expected[1], rtol=1e-9)


@pytest.mark.parametrize("kind", LABELS)
def test_groups_are_sorted(kind):
    model = fit(groups=rows_of(LABELS[kind]))
    assert model.n_groups_ == 3
    assert list(model.groups_) == LABELS[kind]


@pytest.mark.parametrize("kind", MIXED)
def test_groups_that_do_not_compare_have_an_order_that_rows_do_not_change(kind):
    groups = rows_of(MIXED[kind])
    backwards = GroupedStatistics.from_arrays(X[::-1], Y[::-1], groups[::-1])
    forwards = GroupedStatistics.from_arrays(X, Y, groups)
    assert list(forwards.levels.labels) == list(backwards.levels.labels)
    assert set(forwards.levels.labels) == set(MIXED[kind])


@pytest.mark.parametrize("kind", [*LABELS, *MIXED])
def test_labels_are_coordinates_of_the_posterior(kind):
    model = fit(groups=rows_of({**LABELS, **MIXED}[kind]))
    name, coordinates = dimension(model)
    assert name == "group"
    assert list(pd.Index(coordinates.to_numpy())) == list(pd.Index(model.groups_))


@pytest.mark.parametrize("labels", [[False, True], [0, 1]], ids=["bool", "int"])
def test_two_groups_may_be_false_and_true(labels):
    groups = [labels[int(code > 0)] for code in CODES]
    mean = fit(groups=groups).predict(X, groups)
    assert np.array_equal(mean, fit(groups=CODES > 0).predict(X, CODES > 0))


DTYPES = {
    "Int64": [1, 2, 3],
    "UInt8": [1, 2, 255],
    "Float64": [-0.5, 0.0, 2.5],
    "string": ["a", "b", "c"],
    "str": ["a", "b", "c"],
    "object": ["a", "b", "c"],
    "category": ["a", "b", "c"],
    "int64[pyarrow]": [1, 2, 3],
    "string[pyarrow]": ["a", "b", "c"],
    "datetime64[ns]": list(pd.to_datetime(["2019", "2020", "2021"])),
    "timedelta64[s]": list(pd.to_timedelta([1, 2, 3], unit="s")),
}


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_of_pandas(dtype, expected):
    groups = pd.Series(rows_of(DTYPES[dtype]), dtype=dtype, name="site")
    model = fit(groups=groups)
    np.testing.assert_allclose(model.predict(X, groups), expected[0], rtol=1e-9)
    assert list(pd.Index(model.groups_)) == DTYPES[dtype]
    assert dimension(model)[0] == "site"


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_of_pandas_with_a_missing_label(dtype):
    groups = pd.Series(rows_of(DTYPES[dtype]), dtype=dtype)
    model = fit(groups=groups)
    mean = model.predict(X[[0, 0, 0]], pd.Series([*DTYPES[dtype][:2], None], dtype=dtype))
    seen = model.predict(X[[0, 0]], DTYPES[dtype][:2])
    assert np.array_equal(mean, [*seen, model.predict(X[:1], [None])[0]])


def test_nullable_booleans():
    groups = pd.Series(CODES > 0, dtype="boolean")
    model = fit(groups=groups)
    assert list(model.groups_) == [False, True]
    assert np.array_equal(model.predict(X, groups), model.predict(X, CODES > 0))


def test_categories_without_rows_are_no_groups(expected):
    groups = pd.Categorical(rows_of(["a", "b", "c"]), categories=["z", "c", "y", "b", "a"])
    model = fit(groups=groups)
    assert list(model.groups_) == ["a", "b", "c"]
    np.testing.assert_allclose(model.predict(X, groups), expected[0], rtol=1e-9)


@pytest.mark.parametrize("unit", ["Y", "D", "s", "ns"])
def test_units_of_datetime64_do_not_matter(unit, expected):
    groups = np.array(rows_of(["2019", "2020", "2021"]), dtype="M8[D]")
    model = fit(groups=groups)
    np.testing.assert_allclose(model.predict(X, groups.astype(f"M8[{unit}]")), expected[0])


CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "array of objects": lambda labels: np.array(labels, dtype=object),
    "array of StringDType": lambda labels: np.array(labels, dtype=np.dtypes.StringDType()),
    "(n, 1) array": lambda labels: np.array(labels)[:, None],
    "read-only array": lambda labels: np.broadcast_to(
        np.array(labels)[:, None], (len(labels), 1)
    ),
    "Series": pd.Series,
    "Series of another index": lambda labels: pd.Series(
        labels, index=np.arange(len(labels)) + 7
    ),
    "Index": pd.Index,
    "Categorical": pd.Categorical,
    "DataFrame": lambda labels: pd.DataFrame({"site": labels}),
    "polars Series": lambda labels: pl.Series("site", labels),
    "polars Categorical": lambda labels: pl.Series("site", labels, dtype=pl.Categorical),
    "polars DataFrame": lambda labels: pl.DataFrame({"site": labels}),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_containers_of_labels(container, expected):
    groups = CONTAINERS[container](rows_of(["a", "b", "c"]))
    model = fit(groups=groups)
    mean, std = model.predict(X, groups, return_std=True)
    np.testing.assert_allclose(mean, expected[0], rtol=1e-9)
    np.testing.assert_allclose(std, expected[1], rtol=1e-9)


@pytest.mark.parametrize(
    "container",
    ["DataFrame", "polars Series", "polars Categorical", "polars DataFrame"],
)
def test_name_of_the_labels_is_that_of_their_dimension(container):
    model = fit(groups=CONTAINERS[container](rows_of(["a", "b", "c"])))
    assert dimension(model)[0] == "site"
    assert {"tau_site", "effect_site"} <= set(model.posterior_["posterior"].data_vars)


POLARS = {
    "int": ([1, 2, 3], pl.Int64),
    "large int": ([2**53, 2**53 + 1, 2**53 + 2], pl.Int64),
    "float": ([0.5, 1.0, 2.5], pl.Float64),
    "str": (["a", "b", "c"], pl.String),
    "Categorical": (["a", "b", "c"], pl.Categorical),
    "Enum": (["a", "b", "c"], pl.Enum(["c", "b", "a"])),
    "date": ([dt.date(2019, 1, 1), dt.date(2020, 1, 1), dt.date(2021, 1, 1)], pl.Date),
    "datetime": ([dt.datetime(2020, 1, 1, h) for h in (0, 1, 12)], pl.Datetime),
}


@pytest.mark.parametrize("kind", POLARS)
def test_dtypes_of_polars_with_a_missing_label(kind):
    labels, dtype = POLARS[kind]
    model = fit(groups=pl.Series("site", rows_of(labels), dtype=dtype))
    mean = model.predict(X[[0] * 4], pl.Series([*labels, None], dtype=dtype))
    seen = model.predict(X[[0] * 3], pl.Series(labels, dtype=dtype))
    assert np.array_equal(mean, [*seen, model.predict(X[:1], [None])[0]])
    assert len(np.unique(mean)) == 4


def test_large_nullable_integers_stay_apart_from_their_neighbours():
    labels = [2**53, 2**53 + 1, 2**53 + 2]
    model = fit(groups=rows_of(labels))
    mean = model.predict(X[[0] * 4], pd.array([*labels, None], dtype="Int64"))
    assert np.array_equal(mean[:3], model.predict(X[[0] * 3], labels))


@pytest.mark.parametrize(
    "name", ["chain", "draw", "feature", "intercept", "coef", "sigma", "n", "y_mean", "a/b", ""]
)
def test_any_name_of_a_factor_can_be_read_or_is_refused(name):
    """Names that are taken in `posterior_` are said at fit, not by xarray when it is read."""
    try:
        model = fit(groups=pd.Series(rows_of(["a", "b", "c"]), name=name))
    except ValueError as error:
        assert "Rename the column" in str(error)  # noqa: PT017  # either is right
    else:
        variables = {"intercept", "coef", "sigma", f"tau_{name}", f"effect_{name}"}
        assert variables <= set(model.posterior_["posterior"].data_vars)


@pytest.mark.parametrize("name", [0, ("x", 1), "site of work"])
def test_name_of_a_factor_may_be_anything(name):
    model = fit(groups=pd.Series(rows_of(["a", "b", "c"]), name=name))
    assert dimension(model)[0] == str(name)


FRAME = pd.DataFrame({"u": X[:, 0], "site": rows_of(["b", "a", "c"]), "v": X[:, 1]})
FEATURES = FRAME[["u", "v"]]
TABLES = {
    "pandas": FRAME,
    "pandas categories": FRAME.astype({"site": "category"}),
    "polars": pl.DataFrame(FRAME.to_dict("list")),
    "array of objects": FRAME.to_numpy(dtype=object),
    "list of lists": FRAME.to_numpy(dtype=object).tolist(),
    "array of str": FRAME.astype(str).to_numpy(dtype=str),
}
#: Ways to say which column.
WAYS = {
    "index": 1,
    "NumPy index": np.int64(1),
    "negative index": -2,
    "index in a list": [1],
    "mask": [False, True, False],
    "mask in an array": np.array([False, True, False]),
}
NAMES = {"name": "site", "name in a list": ["site"], "name in an array": np.array(["site"])}


@pytest.fixture(scope="module")
def through_groups():
    return fit(FEATURES, groups=FRAME["site"])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("table", TABLES)
def test_both_channels_give_the_same_posterior(table, way, through_groups):
    model = fit(TABLES[table], group_features=WAYS[way])
    mean, std = model.predict(TABLES[table], return_std=True)
    expected = through_groups.predict(FEATURES, FRAME["site"], return_std=True)
    assert np.array_equal(mean, expected[0])
    assert np.array_equal(std, expected[1])


@pytest.mark.parametrize("way", NAMES)
@pytest.mark.parametrize("table", ["pandas", "pandas categories", "polars"])
def test_column_of_labels_may_be_named(table, way, through_groups):
    model = fit(TABLES[table], group_features=NAMES[way])
    expected = through_groups.predict(FEATURES, FRAME["site"])
    assert np.array_equal(model.predict(TABLES[table]), expected)


@pytest.mark.parametrize("table", ["pandas", "pandas categories", "polars"])
@pytest.mark.parametrize("way", [*WAYS, *NAMES])
def test_column_of_labels_names_their_dimension(table, way):
    model = fit(TABLES[table], group_features={**WAYS, **NAMES}[way])
    name, coordinates = dimension(model)
    assert (name, list(coordinates.to_numpy())) == ("site", ["a", "b", "c"])


def test_other_columns_keep_their_names():
    model = fit(FRAME, group_features="site", varying_slopes=["v"])
    posterior = model.posterior_["posterior"]
    assert list(posterior["feature"].to_numpy()) == ["u", "v"]
    assert list(posterior["site_term"].to_numpy()) == ["intercept", "v"]
    assert list(model.feature_names_in_) == ["u", "site", "v"]
    assert model.n_features_in_ == 3


def test_other_columns_without_names_keep_their_numbers():
    model = fit(FRAME.to_numpy(dtype=object), group_features=1, varying_slopes=[2])
    posterior = model.posterior_["posterior"]
    assert list(posterior["feature"].to_numpy()) == ["x0", "x2"]
    assert list(posterior["group_term"].to_numpy()) == ["intercept", "x2"]


@pytest.mark.parametrize(
    "slopes", [["v"], "v", [2], [-1], [False, False, True], {"site": ["v"]}]
)
def test_varying_slopes_may_be_said_in_any_way(slopes):
    model = fit(FRAME, group_features="site", varying_slopes=slopes)
    expected = fit(FEATURES, groups=FRAME["site"], varying_slopes=["v"])
    assert np.array_equal(model.predict(FRAME), expected.predict(FEATURES, FRAME["site"]))


def test_labels_in_a_column_of_numbers_are_not_a_feature():
    numbers = np.column_stack([X, CODES])
    model = fit(numbers, group_features=-1)
    assert model.coef_.shape == (2,)
    expected = fit(groups=CODES).predict(X, CODES)
    np.testing.assert_allclose(model.predict(numbers), expected, rtol=1e-9)


def test_only_column_may_be_that_of_labels():
    frame = FRAME[["site"]]
    model = fit(frame, group_features="site")
    assert model.coef_.shape == (0,)
    assert np.array_equal(
        model.predict(frame), fit(None, groups=FRAME["site"]).predict(None, FRAME["site"])
    )


@pytest.mark.parametrize("label", [None, np.nan, "elsewhere"])
def test_missing_and_new_labels_come_through_either_channel(label, through_groups):
    frame = FRAME[:4].assign(site=["a", label, "b", label])
    mean, std = fit(FRAME, group_features="site").predict(frame, return_std=True)
    expected = through_groups.predict(frame[["u", "v"]], frame["site"], return_std=True)
    assert np.array_equal(mean, expected[0])
    assert np.array_equal(std, expected[1])


def test_weights_of_zero_leave_their_groups_out():
    weight = (CODES != 1).astype(float)
    model = HierarchicalNormalRegressor(draws=50, tune=50, random_state=0)
    model.fit(X, Y, groups=pd.Series(rows_of(["a", "b", "c"])), sample_weight=weight)
    assert list(model.groups_) == ["a", "c"]
