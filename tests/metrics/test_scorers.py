"""Scorers as objects: names, copies, requests, and what they refuse."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from marks import FEW_DRAWS
from scored import GROUPS, SCORERS, N, X, Y, estimator
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skhbm import HierarchicalNormalRegressor, metrics
from skhbm.metrics import coverage_scorer, interval_scorer, log_score, neg_crps, r2

#: Scorers that were pickled before modules had folders.
PICKLED = Path(__file__).parents[1] / "data" / "scorers.pickle"

pytestmark = [
    *FEW_DRAWS,
    pytest.mark.filterwarnings("ignore:Fitted without groups:UserWarning"),
]


@pytest.mark.parametrize("name", SCORERS)
def test_repr_is_how_to_write_it(name):
    assert repr(SCORERS[name]) == name
    assert f"scoring={name}" in repr(GridSearchCV(estimator(), {}, scoring=SCORERS[name]))


@pytest.mark.parametrize(
    "copied",
    [lambda s: pickle.loads(pickle.dumps(s)), copy.deepcopy],
    ids=["pickle", "deepcopy"],
)
def test_copies_score_the_same(copied, scorer, model):
    twin = copied(scorer.set_score_request(sample_weight="w"))
    assert repr(twin) == repr(scorer)
    assert twin(model, X, Y, groups=GROUPS) == scorer(model, X, Y, groups=GROUPS)
    assert twin.get_metadata_routing().score.requests["sample_weight"] == "w"


@pytest.mark.parametrize("name", metrics.__all__)
def test_named_scorers_are_pickled_by_name(name):
    scorer = getattr(metrics, name)
    assert pickle.loads(pickle.dumps(scorer)) is scorer


def test_pickles_of_the_time_before_the_folders_load():
    code = f"import pickle; print(pickle.loads(open({str(PICKLED)!r}, 'rb').read()))"
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed == "[log_score, interval_scorer(coverage=0.8), r2]\n"
    named, made, requested = pickle.loads(PICKLED.read_bytes())
    assert named is log_score
    assert repr(made) == repr(metrics.interval_scorer(0.8))
    assert requested.get_metadata_routing().score.requests["groups"] is False


def test_searches_are_cloned_with_their_scorers(scorer):
    search = clone(GridSearchCV(estimator(), {}, scoring=scorer))
    assert repr(search.scoring) == repr(scorer)


def test_request_is_that_of_another_scorer():
    other = log_score.set_score_request(sample_weight=True, groups=False)
    assert other.get_metadata_routing().score.requests == {
        "groups": False,
        "sample_weight": True,
        "y_err": True,
        "trials": True,
        "exposure": True,
    }
    assert log_score.get_metadata_routing().score.requests == {
        "groups": True,
        "sample_weight": None,
        "y_err": True,
        "trials": True,
        "exposure": True,
    }


def test_request_for_what_a_scorer_does_not_take_is_an_error():
    with pytest.raises(TypeError, match=r"r2 takes the metadata .*Got \['y_err'\]"):
        r2.set_score_request(y_err=True)


@pytest.mark.parametrize(
    "make", [interval_scorer, coverage_scorer], ids=["interval", "coverage"]
)
def test_coverage_of_a_scorer_is_a_probability(make):
    with pytest.raises(ValueError, match=r"`coverage` must lie in .*Got 95. Did you mean 0.95"):
        make(coverage=95)
    with pytest.raises(TypeError, match="`coverage` must be a number in"):
        make(coverage="wide")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(N - 1), r"`sample_weight` must have shape \(72,\)"),
        (-np.ones(N), "`sample_weight` must not be negative"),
        (np.zeros(N), "`sample_weight` is zero for every row"),
    ],
    ids=["short", "negative", "zero"],
)
def test_weights_that_cannot_be_are_named(weights, message, predictive, model):
    with pytest.raises(ValueError, match=message):
        predictive(model, X, Y, groups=GROUPS, sample_weight=weights)


def test_targets_of_another_length_are_named(predictive, model):
    with pytest.raises(ValueError, match="`X` has 72 rows but `y` has 71 entries"):
        predictive(model, X, Y[1:], groups=GROUPS)


def test_labels_that_are_forgotten_are_warned_of(scorer, model):
    with pytest.warns(UserWarning, match="fitted with groups, but asked to predict without"):
        scorer(model, X, Y)


def test_scoring_does_not_import_pymc(tmp_path, model):
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps((model, X, Y, GROUPS)))
    code = f"""
import pickle, sys
from skhbm import metrics
model, X, y, groups = pickle.loads(open({str(path)!r}, "rb").read())
for name in ("log_score", "neg_crps", "neg_interval_score", "coverage", "r2"):
    getattr(metrics, name)(model, X, y, groups=groups)
assert not {{"pymc", "pytensor", "nutpie", "arviz_base"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


@pytest.mark.parametrize("scorer", [log_score, neg_crps, r2])
def test_class_in_place_of_an_estimator_is_an_error(scorer):
    message = r"must be a fitted estimator. Got the class HierarchicalNormalRegressor; make an"
    with pytest.raises(TypeError, match=message):
        scorer(HierarchicalNormalRegressor, X, Y)
