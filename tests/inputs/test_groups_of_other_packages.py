"""Groups as other packages take them: the name of a column, several names, a MultiIndex."""

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS

from skhbm import HierarchicalNormalRegressor

pytestmark = FEW_DRAWS

INDEX = pd.MultiIndex.from_product([list("abcd"), range(6)], names=["firm", "year"])
RNG = np.random.default_rng(5)
X = pd.DataFrame({"x": RNG.standard_normal(len(INDEX))})
Y = RNG.standard_normal(len(INDEX)) + np.repeat(RNG.normal(0, 2, 4), 6)


def fit(groups):
    estimator = HierarchicalNormalRegressor(draws=50, tune=50, random_state=0)
    return estimator.fit(X, Y, groups=groups)


def test_the_name_of_a_column_is_answered_with_group_features():
    with pytest.raises(ValueError, match=r"If 'firm' is a column, .* `group_features`"):
        fit("firm")


def test_names_of_columns_are_answered_with_group_features():
    with pytest.raises(ValueError, match=r"2 entries but .* give them as `group_features`"):
        fit(["firm", "year"])


def test_levels_of_an_index_are_factors():
    frame = INDEX.to_frame(index=False)
    expected = fit(frame)
    assert list(expected.n_groups_) == ["firm", "year"]
    found = fit(INDEX).predict(X, groups=INDEX, return_std=True)
    assert np.array_equal(found, expected.predict(X, groups=frame, return_std=True))
