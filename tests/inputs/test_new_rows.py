"""New rows: each mistake is named in a sentence, and nothing fitted changes by it."""

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS
from three_sites import (
    FRAME,
    GROUPS,
    WITH_GROUPS,
    N,
    X,
    assert_same_state,
    fit,
    state,
    with_value,
)

pytestmark = FEW_DRAWS


@pytest.fixture(scope="module")
def model():
    return fit()


@pytest.fixture(scope="module")
def column_model():
    return fit(WITH_GROUPS, groups=None, group_features="site")


NEW_ROWS = {
    "NaN": ((with_value(X, np.nan), GROUPS), ValueError, "Input X contains NaN"),
    "infinity": ((with_value(X, np.inf), GROUPS), ValueError, "Input X contains infinity"),
    "more features": (
        (np.zeros((N, 3)), GROUPS),
        ValueError,
        "X has 3 features, but HierarchicalNormalRegressor is expecting 2 features",
    ),
    "fewer features": ((X[:, :1], GROUPS), ValueError, "X has 1 features, but"),
    "no X": ((None, GROUPS), ValueError, "X is None, but the model was fitted with 2 columns"),
    "groups too short": (
        (X, GROUPS[:-1]),
        ValueError,
        "`groups` has 59 entries but `X` has 60 rows",
    ),
    "labels that do not hash": ((X, [{1}] * N), TypeError, "must hold hashable labels"),
    "words": ((np.full((N, 2), "a"), GROUPS), ValueError, "`X` must be numeric"),
}

METHODS = ["predict", "predict_interval", "predict_quantiles", "sample_y"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", NEW_ROWS)
def test_new_rows_that_cannot_be_are_named(case, method, model):
    rows, error, message = NEW_ROWS[case]
    before = state(model)
    with pytest.raises(error, match=message):
        getattr(model, method)(*rows)
    assert_same_state(model, before)


@pytest.fixture(scope="module")
def named():
    return fit(FRAME)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (FRAME.rename(columns={"u": "w"}), "Feature names unseen at fit time:\n- w"),
        (FRAME[["v", "u"]], "Feature names must be in the same order as they were in fit"),
        (FRAME.assign(w=0), "Feature names unseen at fit time:\n- w"),
        (FRAME[["u"]], "Feature names seen at fit time, yet now missing:\n- v"),
    ],
    ids=["renamed", "reordered", "extra", "missing"],
)
def test_wrong_feature_names_are_named(X, message, named):
    with pytest.raises(ValueError, match=message):
        named.predict(X, GROUPS)


def test_both_channels_at_once_are_an_error_at_predict(column_model):
    with pytest.raises(ValueError, match="given twice, as `groups=` and as the column 'site'"):
        column_model.predict(WITH_GROUPS, groups=GROUPS)


def test_column_of_groups_may_not_be_missing_at_predict(column_model):
    with pytest.raises(ValueError, match="yet now missing:\n- site"):
        column_model.predict(FRAME)


@pytest.mark.parametrize("value", [None, np.nan, pd.NA])
def test_column_of_missing_labels_is_predicted_from_the_population(value, column_model):
    rows = pd.DataFrame({"u": [0.0, 0.0], "v": [0.0, 0.0], "site": [value, value]})
    mean, std = column_model.predict(rows, return_std=True)
    others = rows.assign(site=["x", "a"])
    expected = column_model.predict(others, return_std=True)
    assert np.array_equal(mean, [expected[0][0]] * 2)
    assert np.array_equal(std, [expected[1][0]] * 2)


def test_column_of_labels_cannot_be_added_after_a_fit_without(model):
    with pytest.warns(UserWarning, match="Fitted without groups"):
        plain = fit(groups=None)
    with pytest.raises(
        ValueError, match="`groups` was given, but the model was fitted without"
    ):
        plain.predict(X, GROUPS)
