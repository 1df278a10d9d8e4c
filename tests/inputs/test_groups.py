"""Labels of several factors mean the same in whatever form they come."""

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS
from schools_and_years import SHORT, fit, simulate

from skhbm import HierarchicalNormalRegressor

pytestmark = FEW_DRAWS


@pytest.fixture(scope="module")
def data():
    return simulate()


@pytest.fixture(scope="module")
def short(data):
    return fit(data, **SHORT)


CHANNELS = {
    "data frame": lambda d: pd.DataFrame(d.groups),
    "dict": lambda d: d.groups,
    "dict of lists": lambda d: {k: v.tolist() for k, v in d.groups.items()},
    "array": lambda d: np.column_stack([v.astype(object) for v in d.groups.values()]),
    "list of rows": lambda d: [list(row) for row in zip(*d.groups.values(), strict=True)],
}


@pytest.mark.parametrize("channel", CHANNELS)
def test_labels_mean_the_same_in_every_form(data, short, channel):
    groups = CHANNELS[channel](data)
    model = fit(data, groups, **SHORT)
    names = ["group0", "group1"] if channel in ("array", "list of rows") else [*data.groups]
    assert [*model.n_groups_] == names
    expected = short.predict(data.X, data.groups)
    assert np.array_equal(model.predict(data.X, groups), expected)


@pytest.mark.parametrize("at", [[0, 3], [3, 1], [0, 1]], ids=str)
def test_labels_in_columns_of_x_are_labels_given_as_groups(data, short, at):
    frame = pd.DataFrame(data.X, columns=["x0", "x1"])
    for position, name in sorted(zip(at, data.groups, strict=True)):
        frame.insert(position, name, data.groups[name])
    model = HierarchicalNormalRegressor(random_state=0, group_features=[*data.groups], **SHORT)
    model.fit(frame, data.y)
    assert [*model.n_groups_] == [*data.groups]
    # The features lie in memory in another order: sums are equal to rounding.
    expected = short.predict(data.X, data.groups)
    np.testing.assert_allclose(model.predict(frame), expected, rtol=1e-10)


def test_labels_in_unnamed_columns_of_x_are_labels_given_as_an_array(data):
    codes = np.column_stack([data.school, data.year]).astype(float)
    columns = HierarchicalNormalRegressor(random_state=0, group_features=[2, 3], **SHORT)
    columns.fit(np.hstack([data.X, codes]), data.y)
    array = fit(data, codes, **SHORT)
    assert [*columns.groups_] == [*array.groups_] == ["group0", "group1"]
    actual = columns.predict(np.hstack([data.X, codes]))
    np.testing.assert_allclose(actual, array.predict(data.X, codes), rtol=1e-10)


def test_predict_finds_factors_by_their_names(data, short):
    expected = short.predict(data.X, data.groups)
    backwards = dict(reversed(data.groups.items()))
    assert np.array_equal(short.predict(data.X, backwards), expected)
    assert np.array_equal(short.predict(data.X, pd.DataFrame(backwards)), expected)
    # Arrays have no names: columns are in the order of fit.
    array = CHANNELS["array"](data)
    assert np.array_equal(short.predict(data.X, array), expected)
