"""skops and pickle: of skhbm's own types only, small, and equal."""

import pickle

import numpy as np
import pandas as pd
import pytest
import skops.io
from numpy.random import RandomState
from persisted import EVERY, FRAME, WORDS, Y, assert_same, fitted, predictions, tables
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skhbm import HierarchicalNormalRegressor
from skhbm._inputs.levels import Levels

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning"),
]


def dumped(model):
    """Dump and load, trusting the types of skhbm."""
    data = skops.io.dumps(model)
    types = skops.io.get_untrusted_types(data=data)
    return skops.io.loads(data, trusted=[t for t in types if t.startswith("skhbm.")]), types


@pytest.mark.parametrize("name", EVERY)
def test_skops_needs_to_trust_only_types_of_skhbm(name):
    _, types = dumped(fitted(name))
    assert [t for t in types if not t.startswith("skhbm.")] == []


@pytest.mark.parametrize("name", EVERY)
def test_estimator_of_skops_predicts_the_same(name):
    model = fitted(name)
    assert_same(predictions(dumped(model)[0], name), predictions(model, name))


@pytest.mark.parametrize("name", ["by group", "custom priors", "conditioned, two factors"])
def test_estimator_of_skops_says_the_same_of_itself(name):
    model = fitted(name)
    loaded, _ = dumped(model)
    assert_same(tables(loaded), tables(model))
    assert_same(loaded.get_params(), model.get_params())


def test_skops_trusts_nothing_of_skhbm_by_itself():
    data = skops.io.dumps(fitted("intercepts"))
    with pytest.raises(skops.io.exceptions.UntrustedTypesFoundException, match="skhbm"):
        skops.io.loads(data)


def test_pipeline_of_skops_predicts_the_same():
    scale = make_column_transformer(
        (StandardScaler(), ["dose", "age"]), remainder="passthrough"
    )
    model = HierarchicalNormalRegressor(
        group_features=[2], draws=10, tune=20, chains=1, random_state=RandomState(0)
    )
    frame = pd.concat([FRAME, WORDS], axis=1)
    pipeline = make_pipeline(scale, model).fit(frame, Y)
    loaded, types = dumped(pipeline)
    assert all(t.startswith("skhbm.") for t in types)
    for ours, theirs in zip(
        *(p.predict(frame, return_std=True) for p in (loaded, pipeline)), strict=True
    ):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("name", EVERY)
def test_pickle_predicts_the_same(name):
    model = fitted(name)
    assert_same(predictions(pickle.loads(pickle.dumps(model)), name), predictions(model, name))


@pytest.mark.parametrize("name", EVERY)
def test_pickle_is_hardly_larger_than_the_file(name, tmp_path):
    """A pickle has the design too, as large as the statistics or a few times larger."""
    model = fitted(name)
    model.save(tmp_path / "model")
    assert len(pickle.dumps(model)) < 1.5 * (tmp_path / "model").stat().st_size


def test_levels_without_their_codes_are_as_before():
    levels = Levels(np.array(["2020", "2021"], dtype="M8[Y]"), "year")
    again = pickle.loads(pickle.dumps(levels))
    assert again.name == "year"
    assert again._code_of == levels._code_of
    codes, unseen, _ = again.encode(np.array(["2021", "2022"], dtype="M8[Y]"), 2)
    assert codes.tolist() == [1, -1]
    assert len(unseen) == 1


def test_pickle_of_levels_has_their_labels_once():
    labels = np.arange(1000)
    assert len(pickle.dumps(Levels(labels))) < labels.nbytes + 500
