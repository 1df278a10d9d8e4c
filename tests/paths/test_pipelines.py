"""Labels in pipelines: by the names and dtypes that transformers give their column."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from marks import FEW_DRAWS
from paths import FRAME, SITE, TABLE, Y, assert_same, by_column, by_keyword
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

pytestmark = FEW_DRAWS

#: Rows to predict: of known sites and of one that is new.
NEW = TABLE[:4].assign(site=["west", "elsewhere", "east", "elsewhere"])
NUMERIC = ["age", "dose"]
#: Sites by number, and classes of which a row has one in twenty: encoded they are sparse.
NUMBERS = SITE.astype("category").cat.codes
CLASSES = pd.DataFrame({"class": np.arange(60) % 20, "site": NUMBERS})


def scaler(**parameters):
    """Scale the features and pass the column of labels."""
    scale = ("num", StandardScaler(), NUMERIC)
    return ColumnTransformer([scale], remainder="passthrough", **parameters)


@pytest.fixture(scope="module")
def expected():
    """Mean and standard deviation of new rows, scaled and fitted by hand."""
    scale = StandardScaler().fit(FRAME)
    model = by_keyword().fit(scale.transform(FRAME), Y, groups=SITE)
    return model.predict(scale.transform(NEW[NUMERIC]), groups=NEW["site"], return_std=True)


#: What a ColumnTransformer puts out, and how it may be told the column of labels.
OUTPUTS = {"default": [-1, 2], "pandas": [-1, "remainder__site"], "polars": ["remainder__site"]}


@pytest.mark.parametrize("kind", ["pandas", "polars"])
@pytest.mark.parametrize(("output", "column"), [(k, c) for k, v in OUTPUTS.items() for c in v])
def test_labels_pass_through_a_column_transformer(output, column, kind, expected):
    fitted, new = (TABLE, NEW) if kind == "pandas" else map(pl.from_pandas, (TABLE, NEW))
    model = make_pipeline(scaler(), by_column(group_features=column))
    model.set_output(transform=output).fit(fitted, Y)
    mean, std = model.predict(new, return_std=True)
    assert_same(mean, expected[0])
    assert_same(std, expected[1])


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_names_that_a_column_transformer_keeps_are_those_of_x(output, expected):
    model = make_pipeline(scaler(verbose_feature_names_out=False), by_column())
    model.set_output(transform=output).fit(TABLE, Y)
    assert_same(model.predict(NEW), expected[0])
    assert list(model[-1].feature_names_in_) == ["age", "dose", "site"]


def test_factor_has_the_name_that_the_transformer_gives_its_column():
    model = make_pipeline(scaler(), by_column(group_features="remainder__site"))
    model.set_output(transform="pandas").fit(TABLE, Y)
    assert set(model[-1].shrinkage_["factor"]) == {"remainder__site"}


def test_slopes_have_the_names_that_the_transformer_gives_them():
    model = make_pipeline(
        scaler(), by_column(group_features="remainder__site", varying_slopes=["num__dose"])
    )
    model.set_output(transform="pandas").fit(TABLE, Y)
    scaled = StandardScaler().fit_transform(FRAME)
    hand = by_keyword(varying_slopes=[1]).fit(scaled, Y, groups=SITE)
    assert_same(model.predict(TABLE), hand.predict(scaled, groups=SITE))


@pytest.mark.parametrize("parameters", [{}, {"varying_slopes": ["dose"]}])
def test_name_that_a_transformer_changed_is_suggested(parameters):
    model = make_pipeline(scaler(), by_column(**parameters)).set_output(transform="pandas")
    message = "Did you mean 'remainder__site'. With verbose_feature_names_out=False"
    with pytest.raises(ValueError, match=message):
        model.fit(TABLE, Y)


def test_names_that_a_transformer_dropped_are_asked_for():
    model = make_pipeline(scaler(), by_column())
    message = r"has no column names. Give its index, .* set_output\(transform=\"pandas\"\)"
    with pytest.raises(ValueError, match=message):
        model.fit(TABLE, Y)


def test_numbers_as_labels_may_be_scaled_with_the_features(expected):
    rows, new = TABLE.assign(site=NUMBERS), NEW.assign(site=[3, 9, 0, 9])
    model = make_pipeline(StandardScaler(), by_column(group_features=-1)).fit(
        rows.to_numpy(), Y
    )
    assert_same(model.predict(new.to_numpy()), expected[0])


@pytest.mark.parametrize("unknown", [-1, np.nan])
def test_codes_of_an_encoder_are_labels(unknown, expected):
    code = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=unknown)
    transformer = make_column_transformer((StandardScaler(), NUMERIC), (code, ["site"]))
    model = make_pipeline(transformer, by_column(group_features=-1)).fit(TABLE, Y)
    assert list(model[-1].groups_) == [0, 1, 2, 3, 4]
    assert_same(model.predict(NEW), expected[0])


def test_step_takes_groups_by_its_name(expected):
    model = make_pipeline(StandardScaler(), by_keyword())
    model.fit(FRAME, Y, hierarchicalnormalregressor__groups=SITE)
    assert_same(model.predict(NEW[NUMERIC], groups=NEW["site"]), expected[0])


def test_score_of_a_pipeline_that_is_not_given_groups_warns():
    model = make_pipeline(StandardScaler(), by_keyword())
    model.fit(FRAME, Y, hierarchicalnormalregressor__groups=SITE)
    with pytest.warns(UserWarning, match="give the labels as a column of X"):
        model.score(FRAME, Y)


def encoder(**parameters):
    one_hot = (OneHotEncoder(), ["class"])
    return make_column_transformer(one_hot, remainder="passthrough", **parameters)


def test_sparse_features_are_refused_with_the_remedy():
    model = make_pipeline(encoder(), by_column(group_features=-1))
    with pytest.raises(
        TypeError, match=r"must be dense. Got a sparse .* set sparse_threshold=0"
    ):
        model.fit(CLASSES, Y)


@pytest.mark.filterwarnings("ignore:.* linearly dependent")
def test_dense_features_of_an_encoder_are_those_by_hand():
    model = make_pipeline(encoder(sparse_threshold=0), by_column(group_features=-1))
    model.fit(CLASSES, Y)
    classes = pd.get_dummies(CLASSES["class"]).to_numpy(dtype=float)
    hand = by_keyword().fit(classes, Y, groups=SITE)
    assert_same(model.predict(CLASSES), hand.predict(classes, groups=SITE))


#: Labels, by the dtype of their column.
DTYPES = {
    "str": SITE,
    "object": SITE,
    "category": SITE,
    "string[python]": SITE,
    "string[pyarrow]": SITE,
    "int8": NUMBERS,
    "uint64": NUMBERS,
    "float32": NUMBERS,
    "Int64": NUMBERS,
    "Float64": NUMBERS,
    "int64[pyarrow]": NUMBERS,
}
#: How a table gets to the estimator, and the column of labels there.
WAYS = {
    "as it is": (FunctionTransformer(), "site"),
    "as an array": (FunctionTransformer(lambda table: table.to_numpy()), 2),
    "through a transformer": (make_column_transformer(("passthrough", NUMERIC),
                                                      remainder="passthrough"), -1),
}  # fmt: skip


@pytest.fixture(scope="module")
def unscaled():
    return by_keyword().fit(FRAME, Y, groups=SITE).predict(FRAME, groups=SITE)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_labels_of_any_dtype_stay_labels(dtype, way, unscaled):
    transformer, column = WAYS[way]
    table = TABLE.assign(site=DTYPES[dtype].astype(dtype))
    model = make_pipeline(transformer, by_column(group_features=column)).fit(table, Y)
    assert_same(model.predict(table), unscaled)


@pytest.mark.parametrize("dtype", ["int8", "Int64", "int64[pyarrow]"])
def test_labels_that_an_array_made_floats_are_the_same_labels(dtype, unscaled):
    rows = TABLE.assign(site=NUMBERS.astype(float)).to_numpy()
    model = by_column(group_features=2).fit(rows, Y)
    as_objects = TABLE.assign(site=NUMBERS.astype(dtype)).to_numpy(dtype=object)
    assert_same(model.predict(as_objects), unscaled)
