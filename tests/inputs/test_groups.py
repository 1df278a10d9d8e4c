"""Labels of several factors mean the same in whatever form they come."""

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS
from schools_and_years import SHORT, fit

from skhbm import HierarchicalNormalRegressor

pytestmark = FEW_DRAWS


CHANNELS = {
    "data frame": lambda d: pd.DataFrame(d.groups),
    "dict": lambda d: d.groups,
    "dict of lists": lambda d: {k: v.tolist() for k, v in d.groups.items()},
    "array": lambda d: np.column_stack([v.astype(object) for v in d.groups.values()]),
    "list of rows": lambda d: [list(row) for row in zip(*d.groups.values(), strict=True)],
}


@pytest.mark.parametrize("channel", CHANNELS)
def test_labels_mean_the_same_in_every_form(schools, short_school_model, channel):
    groups = CHANNELS[channel](schools)
    model = fit(schools, groups, **SHORT)
    names = ["group0", "group1"] if channel in ("array", "list of rows") else [*schools.groups]
    assert [*model.n_groups_] == names
    expected = short_school_model.predict(schools.X, schools.groups)
    assert np.array_equal(model.predict(schools.X, groups), expected)


@pytest.mark.parametrize("at", [[0, 3], [3, 1], [0, 1]], ids=str)
def test_labels_in_columns_of_x_are_labels_given_as_groups(schools, short_school_model, at):
    frame = pd.DataFrame(schools.X, columns=["x0", "x1"])
    for position, name in sorted(zip(at, schools.groups, strict=True)):
        frame.insert(position, name, schools.groups[name])
    model = HierarchicalNormalRegressor(
        random_state=0, group_features=[*schools.groups], **SHORT
    )
    model.fit(frame, schools.y)
    assert [*model.n_groups_] == [*schools.groups]
    # The features lie in memory in another order: sums are equal to rounding.
    expected = short_school_model.predict(schools.X, schools.groups)
    np.testing.assert_allclose(model.predict(frame), expected, rtol=1e-10)


def test_labels_in_unnamed_columns_of_x_are_labels_given_as_an_array(schools):
    codes = np.column_stack([schools.school, schools.year]).astype(float)
    columns = HierarchicalNormalRegressor(random_state=0, group_features=[2, 3], **SHORT)
    columns.fit(np.hstack([schools.X, codes]), schools.y)
    array = fit(schools, codes, **SHORT)
    assert [*columns.groups_] == [*array.groups_] == ["group0", "group1"]
    actual = columns.predict(np.hstack([schools.X, codes]))
    np.testing.assert_allclose(actual, array.predict(schools.X, codes), rtol=1e-10)


def test_predict_finds_factors_by_their_names(schools, short_school_model):
    expected = short_school_model.predict(schools.X, schools.groups)
    backwards = dict(reversed(schools.groups.items()))
    assert np.array_equal(short_school_model.predict(schools.X, backwards), expected)
    assert np.array_equal(
        short_school_model.predict(schools.X, pd.DataFrame(backwards)), expected
    )
    # Arrays have no names: columns are in the order of fit.
    array = CHANNELS["array"](schools)
    assert np.array_equal(short_school_model.predict(schools.X, array), expected)
