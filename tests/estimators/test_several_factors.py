"""The life of an estimator with several factors: copies, its PyMC model, no warnings."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS
from posteriors import dataset
from schools_and_years import LABELS, SHORT, STRUCTURES, fit, fitted, simulate
from sklearn.base import clone

from skhbm import HierarchicalNormalRegressor

pytestmark = FEW_DRAWS


@pytest.fixture(scope="module")
def data():
    return simulate()


@pytest.fixture(scope="module")
def short(data):
    return fit(data, **SHORT)


@pytest.fixture(scope="module", params=STRUCTURES)
def structure(request):
    return request.param


@pytest.fixture(scope="module")
def model(structure):
    return fitted(structure)


def test_pickle_predicts_the_same(model):
    copy = pickle.loads(pickle.dumps(model))
    X = pd.DataFrame(np.zeros((11, 2)), columns=["x0", "x1"])
    for method in ("predict", "predict_interval", "sample_y"):
        one, other = (getattr(m, method)(X, groups=LABELS) for m in (model, copy))
        assert np.array_equal(one, other)
    assert model.posterior_["posterior"].equals(copy.posterior_["posterior"])


def test_clone_is_not_fitted_and_fits_the_same(data, short):
    copy = clone(short)
    assert not hasattr(copy, "groups_")
    copy.fit(data.X, data.y, groups=data.groups)
    assert dataset(copy).equals(dataset(short))


def test_parameters_by_factor_survive_a_clone():
    parameters = STRUCTURES["slopes in both"]
    copy = clone(HierarchicalNormalRegressor(**parameters))
    assert {k: copy.get_params()[k] for k in parameters} == parameters


def test_model_names_what_the_posterior_does(model, structure):
    built = model.model_
    names = set(dataset(model).data_vars)
    # The effects of one factor are integrated out.
    missing = names - set(built.named_vars)
    assert len(missing) == 1
    assert missing < {"effect_school", "effect_year"}
    for f in ("school", "year"):
        assert list(built.coords[f]) == model.groups_[f].tolist()


def test_fit_without_problems_gives_no_warning(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit(data)
    assert model.diagnostics_["n_divergences"] == 0
    assert model.diagnostics_["max_rhat"] < 1.01
