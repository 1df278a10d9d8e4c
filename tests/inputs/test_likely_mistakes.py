"""Labels and parameters that are valid, but hardly what was meant."""

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skhbm import DataWarning, GroupedStatistics, HierarchicalNormalRegressor, Prior

pytestmark = FEW_DRAWS

N = 24
RNG = np.random.default_rng(2)
CODES = np.repeat(np.arange(4), N // 4)
COUNTY = pd.Series(CODES.astype(str), name="county")
Y = RNG.standard_normal(N) + 2 * CODES


def estimator(**parameters):
    return HierarchicalNormalRegressor(draws=50, tune=50, random_state=0, **parameters)


@pytest.fixture(scope="module")
def fitted():
    return estimator().fit(None, Y, groups=COUNTY)


@pytest.mark.parametrize(
    "call",
    [
        lambda model: model.predict(None, groups=COUNTY),
        lambda model: model.predict_interval(None, groups=COUNTY),
        lambda model: model.score(None, Y, groups=COUNTY),
    ],
    ids=["predict", "predict_interval", "score"],
)
@pytest.mark.parametrize("value", ["raise", None, True])
def test_new_groups_is_checked_when_it_was_set_after_the_fit(call, value):
    model = estimator().fit(None, Y, groups=COUNTY).set_params(new_groups=value)
    with pytest.raises(
        ValueError, match=r"'new_groups' parameter .* must be 'population' or 'error'. Got"
    ):
        call(model)


OTHER_NAME = "fitted with the grouping factor 'county'. Got labels of 'state', none of which"


@pytest.mark.parametrize(
    "call",
    [
        lambda model, groups: model.predict(None, groups=groups),
        lambda model, groups: model.condition_on(None, Y[:2], groups=groups),
    ],
    ids=["predict", "condition_on"],
)
def test_labels_of_another_name_are_warned_of_if_none_is_known(fitted, call):
    with pytest.warns(DataWarning, match=OTHER_NAME):
        call(fitted, pd.Series(["NY", "NJ"], name="state"))


@pytest.mark.parametrize(
    "groups",
    [
        pd.Series(["NY", "0"], name="state"),
        pd.Series(["NY", "NJ"], name="county"),
        pd.Series(["NY", "NJ"]),
        ["NY", "NJ"],
    ],
    ids=["one is known", "the same name", "a Series without a name", "a list"],
)
def test_other_new_labels_are_left_alone(fitted, groups):
    fitted.predict(None, groups=groups)
    fitted.condition_on(None, Y[:2], groups=groups)


OTHER_TYPE = "Labels like '0' cannot be groups of the fit, whose labels are like 0"


def test_batches_with_labels_of_another_type_are_warned_of():
    model = estimator().partial_fit(None, Y, groups=CODES)
    with pytest.warns(UserWarning, match=OTHER_TYPE):
        model.partial_fit(None, Y, groups=CODES.astype(str))


def test_sums_of_statistics_with_labels_of_another_type_are_warned_of():
    first, second = (
        GroupedStatistics.from_arrays(None, Y, labels) for labels in (CODES, CODES.astype(str))
    )
    with pytest.warns(UserWarning, match=OTHER_TYPE):
        first + second
    first + GroupedStatistics.from_arrays(None, Y, CODES + 4.0)


LONG = 900_719_925_474_099_200 + 7 * CODES


def test_long_numbers_that_became_floats_are_warned_of():
    X = np.column_stack([RNG.standard_normal(N), LONG + 1000 * CODES])
    with pytest.warns(DataWarning, match=r"labels of up to 9e\+17 that are floats .*float64"):
        estimator(group_features=1).fit(X, Y)


def test_long_numbers_of_half_the_precision_are_warned_of():
    with pytest.warns(DataWarning, match=r"float32, .* up to 16777216 only"):
        GroupedStatistics.from_arrays(None, Y, np.float32(2.0**24 + 7 * CODES))


@pytest.mark.parametrize(
    "labels",
    [LONG, LONG.astype(object), CODES * 1e15, CODES * 0.5],
    ids=["integers", "objects", "shorter numbers", "fractions"],
)
def test_numbers_that_are_exact_are_left_alone(labels):
    GroupedStatistics.from_arrays(None, Y, labels)


@pytest.mark.parametrize("column", ["county", 1])
def test_a_column_of_labels_that_was_dropped_is_explained(column):
    table = pd.DataFrame({"x": RNG.standard_normal(N), "county": COUNTY})
    scale = make_column_transformer((StandardScaler(), ["x"]), verbose_feature_names_out=False)
    pipeline = make_pipeline(
        scale.set_output(transform="pandas"), estimator(group_features=column)
    )
    with pytest.raises(ValueError, match=r'A ColumnTransformer .* remainder="passthrough"'):
        pipeline.fit(table, Y)


@pytest.mark.parametrize("value", [np.timedelta64(2, "D"), np.timedelta64(2, "ns"), "2"])
@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("corr", lambda value: Prior("LKJCorr", eta=value), "eta=positive number"),
        ("tau", lambda value: Prior("HalfNormal", sigma=value), "takes numbers only"),
    ],
    ids=["corr", "tau"],
)
def test_durations_and_words_are_no_arguments_of_priors(name, make, message, value):
    X = RNG.standard_normal((N, 1))
    model = estimator(priors={name: make(value)}, varying_slopes="all")
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, groups=CODES)
