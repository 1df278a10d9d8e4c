"""Labels of something else than in fit, and columns of labels that got lost on the way."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skhbm import HierarchicalNormalRegressor

N = 48
RNG = np.random.default_rng(0)
COUNTY = pd.Series(np.repeat(list("abcdefgh"), 6), name="county")
X = pd.DataFrame({"u": RNG.normal(size=N), "v": RNG.normal(size=N)})
Y = X["u"] + RNG.normal(size=8).repeat(6) + RNG.normal(size=N)


def estimator(**parameters):
    return HierarchicalNormalRegressor(
        solver="laplace", draws=100, chains=1, random_state=0, **parameters
    )


@pytest.fixture(scope="module")
def model():
    return estimator().fit(X, Y, groups=COUNTY)


def test_labels_of_another_name_that_are_all_unknown_warn(model):
    states = pd.Series(["NY"] * N, name="state")
    with pytest.warns(UserWarning, match="None of the labels named 'state' .* named 'county'"):
        model.predict(X, groups=states)


@pytest.mark.parametrize(
    "labels",
    [
        COUNTY.rename("state"),
        COUNTY.rename("state").replace({"a": "elsewhere"}),
        pd.Series(["new"] * N, name="county"),
        pd.Series(["new"] * N),
        ["new"] * N,
    ],
    ids=["another name", "some are known", "the same name", "no name", "a list"],
)
def test_other_labels_do_not_warn(model, labels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(X, groups=labels)


@pytest.mark.parametrize("column", ["county", 2])
def test_a_column_that_a_transformer_dropped_is_explained(column):
    """Of a ColumnTransformer only the columns that it names are left."""
    scale = make_column_transformer((StandardScaler(), ["u", "v"]))
    if column == "county":
        scale = scale.set_output(transform="pandas")
    pipeline = make_pipeline(scale, estimator(group_features=column))
    with pytest.raises(ValueError, match='unless it has remainder="passthrough"'):
        pipeline.fit(X.assign(county=COUNTY), Y)
