"""Rows to fit: each mistake is named in a sentence, and nothing fitted changes by it."""

import joblib
import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS
from three_sites import (
    GROUPS,
    WITH_GROUPS,
    N,
    X,
    Y,
    assert_same_state,
    estimator,
    fit,
    state,
    with_value,
)

pytestmark = FEW_DRAWS


@pytest.fixture(scope="module")
def model():
    return fit()


ROWS = {
    "NaN in X": ({"X": with_value(X, np.nan)}, ValueError, "Input X contains NaN"),
    "infinity in X": ({"X": with_value(X, np.inf)}, ValueError, "Input X contains infinity"),
    "NaN in y": ({"y": with_value(Y, np.nan)}, ValueError, "Input y contains NaN"),
    "infinity in y": ({"y": with_value(Y, -np.inf)}, ValueError, "Input y contains infinity"),
    "missing in y of a nullable dtype": (
        {"y": pd.Series([pd.NA, *range(N - 1)], dtype="Int64")},
        ValueError,
        "Input y contains NaN",
    ),
    "no y": ({"y": None}, ValueError, "requires y to be passed, but the target y is None"),
    "y of two columns": (
        {"y": np.column_stack([Y, Y])},
        ValueError,
        r"y should be a 1d array, got an array of shape \(60, 2\)",
    ),
    "y of words": ({"y": GROUPS}, ValueError, "`y` must be numeric. Got an array of dtype <U1"),
    "y of dates": (
        {"y": np.arange(N).astype("M8[D]")},
        ValueError,
        r"`y` must be numeric. Got an array of dtype datetime64\[D\]",
    ),
    "y of complex numbers": ({"y": Y + 1j}, ValueError, "Complex data not supported"),
    "constant y": (
        {"y": np.full(N, 0.1)},
        ValueError,
        r"`y` is constant \(0.1 in all rows\), so there is no residual scale",
    ),
    "y of zeros": ({"y": np.zeros(N)}, ValueError, r"`y` is constant \(0 in all rows\)"),
    "X shorter than y": (
        {"X": X[:-1]},
        ValueError,
        "`X` has 59 rows but `y` has 60 entries; they must be equal",
    ),
    "groups shorter than X": (
        {"groups": GROUPS[:-1]},
        ValueError,
        "`groups` has 59 entries but `X` has 60 rows; they must be equal",
    ),
    "weights shorter than X": (
        {"sample_weight": np.ones(N - 1)},
        ValueError,
        r"`sample_weight` must have shape \(60,\). Got \(59,\); give one frequency per row",
    ),
    "negative weights": (
        {"sample_weight": with_value(np.ones(N), -1.0, at=[0, 3])},
        ValueError,
        "`sample_weight` must not be negative.* Got 2 negative weights, the least -1",
    ),
    "weights of zero": (
        {"sample_weight": np.zeros(N)},
        ValueError,
        "`sample_weight` is zero for every row; at least one must be positive",
    ),
    "NaN in weights": (
        {"sample_weight": with_value(np.ones(N), np.nan)},
        ValueError,
        "Input sample_weight contains NaN",
    ),
    "None among labels": (
        {"groups": [None, np.nan, *GROUPS[2:]]},
        ValueError,
        "`groups` has 2 missing labels of 60. Drop these rows, or give them a label",
    ),
    "NaN among float labels": (
        {"groups": with_value(np.arange(N) % 3, np.nan)},
        ValueError,
        "`groups` has 1 missing labels of 60",
    ),
    "NaT among dates": (
        {"groups": np.array(["NaT"] + ["2020-01-01"] * (N - 1), dtype="M8[D]")},
        ValueError,
        "`groups` has 1 missing labels of 60",
    ),
    "NA among nullable labels": (
        {"groups": pd.array([pd.NA, *[1, 2] * 29, 1], dtype="Int64")},
        ValueError,
        "`groups` has 1 missing labels of 60",
    ),
    "missing categories": (
        {"groups": pd.Categorical([None, *GROUPS[1:]])},
        ValueError,
        "`groups` has 1 missing labels of 60",
    ),
    "one label for all rows": (
        {"groups": "a"},
        ValueError,
        r"`groups` must be one label per row, of shape \(60,\). Got shape \(\)",
    ),
    "labels that do not hash": (
        {"groups": [{1, 2}] * N},
        TypeError,
        "`groups` must hold hashable labels",
    ),
    "words in X": (
        {"X": WITH_GROUPS},
        ValueError,
        "`X` must be numeric. If a column holds group labels, name it in `group_features`",
    ),
    "X of one dimension": ({"X": X[:, 0]}, ValueError, "Expected 2D array, got 1D array"),
    "X of three dimensions": ({"X": X[:, :, None]}, ValueError, "Found array with dim 3"),
    "one row": (
        {"X": X[:1], "y": Y[:1], "groups": GROUPS[:1]},
        ValueError,
        "minimum of 2 is required: one row says nothing about the residual scale",
    ),
    "no row": (
        {"X": X[:0], "y": Y[:0], "groups": GROUPS[:0]},
        ValueError,
        "0 sample",
    ),
}


@pytest.mark.parametrize("case", ROWS)
def test_rows_that_cannot_be_fitted_are_named(case):
    rows, error, message = ROWS[case]
    with pytest.raises(error, match=message):
        fit(**rows)


@pytest.mark.parametrize("case", ROWS)
def test_rows_that_cannot_be_fitted_change_nothing(case, model):
    rows, error, _ = ROWS[case]
    before = state(model)
    with pytest.raises(error):
        model.fit(**{"X": X, "y": Y, "groups": GROUPS, **rows})
    assert_same_state(model, before)


COLUMNS = {
    "a name that does not exist": (
        {"X": WITH_GROUPS, "group_features": "place"},
        ValueError,
        r"names 'place', which is not a column of X. Its columns are \['u', 'v', 'site'\]",
    ),
    "an index that does not exist": (
        {"X": WITH_GROUPS, "group_features": 3},
        ValueError,
        "`group_features` has the index 3, but X has 3 columns",
    ),
    "a negative index that does not exist": (
        {"X": WITH_GROUPS, "group_features": -4},
        ValueError,
        "`group_features` has the index -4, but X has 3 columns",
    ),
    "a name without names": (
        {"X": WITH_GROUPS.to_numpy(), "group_features": "site"},
        ValueError,
        "names the column 'site', but X has no column names. Give its index",
    ),
    "a name given twice": (
        {"X": WITH_GROUPS, "group_features": ["site", "site"]},
        ValueError,
        r"`group_features` names a column twice: \['site'\]",
    ),
    "an index given twice": (
        {"X": WITH_GROUPS, "group_features": [2, -1]},
        ValueError,
        "`group_features` names a column twice",
    ),
    "a feature among them": (
        {"X": WITH_GROUPS, "group_features": ["site", "u"]},
        ValueError,
        r"The grouping factor 'u' has as many levels as there are rows \(60\)",
    ),
    "no column": (
        {"X": WITH_GROUPS, "group_features": []},
        ValueError,
        "`group_features` must name at least one column of X. Got none",
    ),
    "a mask too short": (
        {"X": WITH_GROUPS, "group_features": [False, True]},
        ValueError,
        r"as a mask must have one entry per column of X \(3\). Got 2",
    ),
    "a number with a fraction": (
        {"X": WITH_GROUPS, "group_features": 1.5},
        TypeError,
        "`group_features` must hold names, indices or a mask. Got 1.5",
    ),
    "fractions in a list": (
        {"X": WITH_GROUPS, "group_features": [1.5]},
        TypeError,
        "`group_features` must hold names, indices or a mask. Got 1.5",
    ),
    "no X": (
        {"X": None, "group_features": "site"},
        ValueError,
        "`group_features` names a column of X, but X is None. Pass `groups=`",
    ),
    "labels in both channels": (
        {"X": WITH_GROUPS, "group_features": "site", "groups": GROUPS},
        ValueError,
        "given twice, as `groups=` and as the column 'site' of X .* Give one of them",
    ),
    "missing labels": (
        {"X": WITH_GROUPS.assign(site=[None, *GROUPS[1:]]), "group_features": "site"},
        ValueError,
        "`groups` has 1 missing labels of 60",
    ),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_group_columns_that_cannot_be_are_named(case):
    arguments, error, message = COLUMNS[case]
    with pytest.raises(error, match=message):
        fit(**{"groups": None, **arguments})


ERRORS = {
    "none": ({}, ValueError, "needs the standard error of each row. Pass `y_err=` to fit"),
    "too few": ({"y_err": np.ones(N - 1)}, ValueError, r"shape \(60,\). Got \(59,\)"),
    "one for all": ({"y_err": 2.0}, (TypeError, ValueError), "."),
    "two columns": ({"y_err": np.ones((N, 2))}, ValueError, r"Got \(60, 2\)"),
    "zero": (
        {"y_err": with_value(np.ones(N), 0.0)}, ValueError,
        "`y_err` must be positive: .* Got 1 of 60 that are zero or negative, the least 0",
    ),
    "negative": (
        {"y_err": with_value(np.ones(N), -2.0, at=[3, 5])}, ValueError,
        "Got 2 of 60 that are zero or negative, the least -2",
    ),
    "NaN": ({"y_err": with_value(np.ones(N), np.nan)}, ValueError, "y_err contains NaN"),
    "infinity": ({"y_err": with_value(np.ones(N), np.inf)}, ValueError, "contains infinity"),
    "words": ({"y_err": ["a"] * N}, ValueError, "could not convert"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_known_errors_that_cannot_be_are_named(case, method):
    arguments, error, message = ERRORS[case]
    unfitted = estimator(residual_scale="known")
    before = joblib.hash(unfitted)
    with pytest.raises(error, match=message):
        getattr(unfitted, method)(X, Y, groups=GROUPS, **arguments)
    assert joblib.hash(unfitted) == before


@pytest.mark.parametrize("residual_scale", ["shared", "by_group"])
def test_known_errors_are_not_accepted_in_silence(residual_scale):
    message = f"but residual_scale='{residual_scale}' estimates the residual scale"
    with pytest.raises(ValueError, match=message):
        estimator(residual_scale=residual_scale).fit(X, Y, groups=GROUPS, y_err=np.ones(N))


def test_rows_without_errors_are_not_added_to_rows_with():
    model = estimator(residual_scale="known").fit(X, Y, groups=GROUPS, y_err=np.ones(N))
    before = joblib.hash(model)
    with pytest.raises(ValueError, match="Give `y_err` for all rows or for none"):
        model.partial_fit(X, Y, groups=GROUPS)
    assert joblib.hash(model) == before


def test_inputs_are_not_changed():
    rows = (X.copy(), Y.copy(), GROUPS.copy())
    fit(*rows).predict(rows[0], rows[2], return_std=True)
    for given, kept in zip(rows, (X, Y, GROUPS), strict=True):
        assert np.array_equal(given, kept)


def test_mistakes_of_names_are_refused_before_rows_are_summed(monkeypatch):
    def refuse(_):
        pytest.fail("rows were summed")

    monkeypatch.setattr("skhbm._estimators.fitting.statistics_of_rows", refuse)
    with pytest.raises(ValueError, match="`varying_slopes` names 'nowhere'"):
        estimator(varying_slopes=["nowhere"]).fit(pd.DataFrame({"x": X[:, 0]}), Y, GROUPS)
