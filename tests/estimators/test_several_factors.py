"""The life of an estimator with several factors: copies, its PyMC model, no warnings."""

import pickle
import warnings

import numpy as np
import pandas as pd
from marks import FEW_DRAWS
from posteriors import dataset
from schools_and_years import LABELS, STRUCTURES, fit
from sklearn.base import clone

from skhbm import HierarchicalNormalRegressor

pytestmark = FEW_DRAWS


def test_pickle_predicts_the_same(school_model):
    copy = pickle.loads(pickle.dumps(school_model))
    X = pd.DataFrame(np.zeros((11, 2)), columns=["x0", "x1"])
    for method in ("predict", "predict_interval", "sample_y"):
        first, other = (getattr(m, method)(X, groups=LABELS) for m in (school_model, copy))
        assert np.array_equal(first, other)
    assert school_model.posterior_["posterior"].equals(copy.posterior_["posterior"])


def test_clone_is_not_fitted_and_fits_the_same(schools, short_school_model):
    copy = clone(short_school_model)
    assert not hasattr(copy, "groups_")
    copy.fit(schools.X, schools.y, groups=schools.groups)
    assert dataset(copy).equals(dataset(short_school_model))


def test_parameters_by_factor_survive_a_clone():
    parameters = STRUCTURES["slopes in both"]
    copy = clone(HierarchicalNormalRegressor(**parameters))
    assert {k: copy.get_params()[k] for k in parameters} == parameters


def test_model_names_what_the_posterior_does(school_model, school_structure):
    built = school_model.model_
    names = set(dataset(school_model).data_vars)
    missing = names - set(built.named_vars)
    assert missing == {"effect_school", "effect_year"}
    for f in ("school", "year"):
        assert list(built.coords[f]) == school_model.groups_[f].tolist()


def test_fit_without_problems_gives_no_warning(schools):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit(schools)
    assert model.diagnostics_["n_divergences"] == 0
    assert model.diagnostics_["max_rhat"] < 1.01
