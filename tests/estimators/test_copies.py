"""Copies of an estimator, and what processes load that use one."""

import io
import json
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
from marks import FEW_DRAWS
from named_sites import FRAME, SITE, Y, fit
from sklearn.base import clone

pytestmark = [
    # PyTensor warns when it simulates from a model.
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS:UserWarning"),
    pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning"),
    *FEW_DRAWS,
]


def test_clone_is_not_fitted_and_fits_the_same(simple_site_model):
    other = clone(simple_site_model)
    assert not hasattr(other, "coef_")
    assert other.get_params() == simple_site_model.get_params()
    assert np.array_equal(other.fit(FRAME, Y, groups=SITE).coef_, simple_site_model.coef_)


def predictions(model):
    labels = ["east", "new", None]
    rows = FRAME[:3]
    return [
        *model.predict(rows, labels, return_std=True),
        model.predict_quantiles(rows, labels),
        model.sample_y(rows, labels, n_samples=3),
        model.log_predictive_density(rows, Y[:3], labels),
        model.group_coef_,
        *(v.to_numpy() for v in model.posterior_["posterior"].data_vars.values()),
    ]


def assert_same_predictions(first, other):
    for a, b in zip(predictions(first), predictions(other), strict=True):
        assert np.array_equal(a, b)


def test_pickle_predicts_the_same(site_model):
    assert_same_predictions(pickle.loads(pickle.dumps(site_model)), site_model)


def test_joblib_predicts_the_same(site_model):
    file = io.BytesIO()
    joblib.dump(site_model, file)
    file.seek(0)
    assert_same_predictions(joblib.load(file), site_model)


def test_pickle_does_not_grow_by_what_is_read(site_model):
    fresh = pickle.loads(pickle.dumps(site_model))
    before = len(pickle.dumps(fresh))
    predictions(fresh), fresh.shrinkage_, fresh.variance_components_, fresh.model_
    assert len(pickle.dumps(fresh)) == before


def test_pickle_of_radon_has_at_most_two_megabytes(radon_model):
    assert len(pickle.dumps(radon_model)) <= 2e6


HEAVY = ["pymc", "pytensor", "nutpie", "arviz", "arviz_base", "arviz_stats", "matplotlib"]


def modules_after(script, *arguments):
    """Names of the heavy modules that a fresh process has loaded after a script."""
    code = f"{script}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    finished = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return set(json.loads(finished.stdout.splitlines()[-1]))


def test_import_loads_nothing_heavy():
    loaded = modules_after("import skhbm")
    assert loaded.isdisjoint([*HEAVY, "pandas", "numba", "xarray"])


def test_import_of_the_estimator_loads_no_sampler():
    loaded = modules_after("from skhbm import HierarchicalNormalRegressor, Prior")
    assert loaded.isdisjoint([*HEAVY, "xarray"])


def test_prediction_from_a_pickle_loads_no_sampler(radon_model, tmp_path):
    path = tmp_path / "radon.pickle"
    path.write_bytes(pickle.dumps(radon_model))
    script = """
import pickle, sys
import numpy as np
model = pickle.load(open(sys.argv[1], "rb"))
X, labels = np.zeros((3, 2)), ["AITKIN", "new", None]
import warnings; warnings.simplefilter("ignore")
model.predict(X, labels, return_std=True), model.predict(X, labels, return_cov=True)
model.predict_interval(X, labels), model.sample_y(X, labels)
model.log_predictive_density(X, np.zeros(3), labels), model.score(X, [0, 1, 2], labels)
model.shrinkage_, model.variance_components_, model.group_coef_
"""
    assert modules_after(script, path).isdisjoint(HEAVY)


def test_nothing_is_printed_by_default(capfd):
    fit()
    assert capfd.readouterr() == ("", "")
