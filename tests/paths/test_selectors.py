"""Selectors of features, which read `coef_` as one importance for each column."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from marks import FEW_DRAWS
from sklearn.base import clone
from sklearn.feature_selection import RFE, RFECV, SelectFromModel, SequentialFeatureSelector

from skhbm import HierarchicalNormalRegressor

pytestmark = FEW_DRAWS

RNG = np.random.default_rng(11)
N = 120
SITE = RNG.integers(0, 6, N)
#: The coefficients are 3, 0 and 2.
Z = RNG.standard_normal((N, 3))
Y = Z @ [3.0, 0.0, 2.0] + RNG.standard_normal(6)[SITE] + 0.5 * RNG.standard_normal(N)
FIRST, LAST = np.column_stack([SITE, Z]), np.column_stack([Z, SITE])
SUPPORT = [True, False, True]


def estimator(**parameters):
    return HierarchicalNormalRegressor(
        solver="laplace", draws=200, chains=1, random_state=0, **parameters
    )


SELECTORS = {
    "RFE": lambda model: RFE(model, n_features_to_select=2),
    "RFECV": lambda model: RFECV(model, min_features_to_select=2, cv=2, scoring="r2"),
    "SelectFromModel": lambda model: SelectFromModel(model, threshold=1.0),
}
ADVICE = r"one coefficient for each column of X. The columns {} of labels .* metadata routing"


@pytest.mark.parametrize("select", SELECTORS.values(), ids=SELECTORS)
@pytest.mark.parametrize(("column", "table"), [(0, FIRST), (-1, LAST)])
def test_selectors_refuse_a_column_of_labels(select, column, table):
    with pytest.raises(ValueError, match=ADVICE.format(column)):
        select(estimator(group_features=column)).fit(table, Y).transform(table)


def test_a_fitted_estimator_is_refused_and_stays_as_it_was():
    frame = pd.DataFrame(FIRST, columns=["site", "a", "b", "c"])
    model = estimator(group_features="site").fit(frame, Y)
    before = dict(vars(model))
    with pytest.raises(ValueError, match=ADVICE.format("'site'")):
        SelectFromModel(model, prefit=True).fit(frame).transform(frame)
    assert vars(model) == before


@pytest.mark.parametrize("select", SELECTORS.values(), ids=SELECTORS)
# Predictions of cross-validation are not given the groups.
@pytest.mark.filterwarnings("ignore:The model was fitted with groups, but asked to predict")
def test_selectors_are_right_if_groups_are_routed(select):
    with sklearn.config_context(enable_metadata_routing=True):
        found = select(estimator()).fit(Z, Y, groups=SITE)
    support = found.get_support()
    assert support[[0, 2]].all()
    # RFECV chooses by scores how many it keeps.
    assert isinstance(found, RFECV) or not support[1]


@pytest.mark.filterwarnings("ignore:The model was fitted with groups, but asked to predict")
def test_sequential_selection_is_right_if_groups_are_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        selector = SequentialFeatureSelector(estimator(), n_features_to_select=2, cv=2)
        found = selector.fit(Z, Y, groups=SITE)
    assert found.get_support().tolist() == SUPPORT


@pytest.mark.parametrize(
    "make",
    [
        SELECTORS["RFE"],
        lambda model: SequentialFeatureSelector(model, n_features_to_select=2, cv=2),
    ],
    ids=["RFE", "SequentialFeatureSelector"],
)
def test_selectors_that_lose_names_are_told_of_the_column(make):
    frame = pd.DataFrame(FIRST, columns=["site", "a", "b", "c"])
    with pytest.raises(ValueError, match="'site', but X has no column names"):
        make(estimator(group_features="site")).fit(frame, Y)


def test_coefficients_are_an_attribute_as_any_other():
    model = estimator()
    assert not hasattr(model, "coef_")
    with pytest.raises(AttributeError, match="has no attribute 'coef_'"):
        _ = model.coef_
    model = estimator(group_features=0).fit(FIRST, Y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).coef_, model.coef_)
    assert not hasattr(clone(model), "coef_")
    assert "coef_" in vars(model)
