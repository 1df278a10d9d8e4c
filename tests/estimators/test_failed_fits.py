"""A fit that fails or is interrupted leaves the estimator as it was."""

import warnings

import joblib
import numpy as np
import nutpie
import pandas as pd
import pytest
from marks import FEW_DRAWS
from three_sites import FRAME, GROUPS, N, X, Y, assert_same_state, estimator, fit, state

from skhbm import HierarchicalNormalRegressor

pytestmark = FEW_DRAWS


@pytest.fixture(scope="module")
def model():
    return fit()


@pytest.fixture(scope="module")
def named():
    return fit(FRAME)


def test_nothing_is_checked_before_fit():
    HierarchicalNormalRegressor(draws="many", priors=3, solver=None, group_features=1.5)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, MemoryError])
def test_interrupted_fit_leaves_the_estimator_as_it_was(interrupt, monkeypatch):
    model = fit()
    before = state(model)
    stop_sampling(monkeypatch, interrupt)
    with pytest.raises(interrupt):
        model.fit(X[:40], Y[:40], groups=GROUPS[:40])
    assert_same_state(model, before)


def test_interrupted_first_fit_leaves_the_estimator_unfitted(monkeypatch):
    model = estimator()
    before = dict(vars(model))
    stop_sampling(monkeypatch, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, groups=GROUPS)
    assert vars(model) == before


def test_interrupted_estimator_can_fit_again(monkeypatch, model):
    again = estimator()
    with monkeypatch.context() as patch:
        stop_sampling(patch, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            again.fit(X, Y, groups=GROUPS)
    again.fit(X, Y, groups=GROUPS)
    assert np.array_equal(again.predict(X, GROUPS), model.predict(X, GROUPS))


def test_interrupt_stops_the_chains(monkeypatch):
    stopped = stop_sampling(monkeypatch, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        fit()
    assert stopped == [True]


def test_failed_fit_on_other_columns_keeps_names_and_number(named):
    other = pd.DataFrame({"a": Y, "b": Y, "c": np.nan})
    before = joblib.hash(named)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        named.fit(other, Y, groups=GROUPS)
    assert list(named.feature_names_in_) == ["u", "v"]
    assert named.n_features_in_ == 2
    assert joblib.hash(named) == before


def test_warning_turned_error_leaves_the_estimator_as_it_was(model):
    """One group is warned of before sampling; as an error it ends the fit."""
    before = state(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="one group only"):
            model.fit(X, Y, groups=["a"] * N)
    assert_same_state(model, before)


def stop_sampling(monkeypatch, interrupt):
    """Let nutpie's sampler raise when waited for; return a list that is filled at its end."""
    sample, stopped = nutpie.sample, []

    class Interrupted:
        def __init__(self, sampler):
            self._sampler = sampler

        def wait(self, *args, **kwargs):
            raise interrupt

        def cancel(self):
            stopped.append(True)
            return self._sampler.cancel()

    monkeypatch.setattr(nutpie, "sample", lambda *a, **k: Interrupted(sample(*a, **k)))
    return stopped
