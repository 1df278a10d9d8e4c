"""Generated input to every public method: a right answer, or an error in words.

Right here means: of the right shape, finite, and the fitted estimator as it was if the call
is one that leaves it so, or failed. `hostile_inputs.outcome` says which errors count.
"""

import inspect
import pickle
import warnings
from functools import cache

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hostile_inputs import anything, examples, outcome, parameters, rows
from hypothesis import given
from hypothesis import strategies as st

from skhbm import (
    CalibrationDisplay,
    GroupedStatistics,
    GroupEffectsDisplay,
    HierarchicalNormalRegressor,
    PosteriorPredictiveDisplay,
    ShrinkageDisplay,
    metrics,
)

SMALL = {"draws": 25, "tune": 25, "chains": 2, "random_state": 0, "n_jobs": 1}
N = 24
RNG = np.random.default_rng(5)
CODES = np.arange(N) % 4
X = RNG.standard_normal((N, 2)) + 1.0
Y = X @ [1.0, -0.5] + RNG.standard_normal(4)[CODES] + RNG.standard_normal(N)
TWO = pd.DataFrame({"site": CODES, "year": np.arange(N) // 4 % 3})
MODELS = {
    "intercepts": ({}, {"X": X, "groups": CODES}),
    "slopes, by group": (
        {"varying_slopes": "all", "residual_scale": "by_group"},
        {"X": X, "groups": CODES},
    ),
    "strict, named": (
        {"new_groups": "error"},
        {"X": pd.DataFrame(X, columns=["u", "v"]), "groups": CODES},
    ),
    "known errors": (
        {"residual_scale": "known"},
        {"X": X, "groups": CODES, "y_err": np.ones(N)},
    ),
    "labels in X": ({"group_features": 0}, {"X": np.column_stack([CODES, X])}),
    "two factors": ({"varying_slopes": {"year": [0]}}, {"X": X, "groups": TWO}),
    "no groups": ({}, {"X": X}),
    "no features": ({}, {"X": None, "groups": CODES}),
}


@cache
def pickled(name):
    given_parameters, given_rows = MODELS[name]
    model = HierarchicalNormalRegressor(**SMALL, **given_parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pickle.dumps(model.fit(y=Y, **given_rows))


@pytest.fixture(scope="module", autouse=True)
def _models():
    """Before hypothesis looks at the limit of recursion, which importing PyMC changes."""
    for name in MODELS:
        pickled(name)


def fitted(name):
    return pickle.loads(pickled(name))


def state(model):
    """Digest of all that is not computed when asked for."""
    return joblib.hash({k: v for k, v in vars(model).items() if k != "_lazy"})


def is_error(result):
    return isinstance(result, BaseException)


def is_finite(*arrays):
    return all(np.all(np.isfinite(np.asarray(array, dtype=float))) for array in arrays)


def assert_predicts(model, X, groups):
    """The rows that a model was fitted to can be predicted."""
    result = outcome(model.predict, X, groups, return_std=True)
    assert not is_error(result), result
    mean, std = result
    assert mean.ndim == 1
    assert mean.shape == std.shape
    assert is_finite(mean, std)
    assert np.all(std >= 0)


def assert_tables(model):
    assert is_finite(model.coef_, model.intercept_)
    table = outcome(lambda: model.shrinkage_)
    assert not is_error(table), table
    assert is_finite(table[["partial_pooling", "sd", "pooling"]])
    for name in ("variance_components_", "variance_partition_", "bayesian_r2_"):
        table = outcome(getattr, model, name)
        assert not is_error(table), table
        # Where errors are known, or nothing varies, there are no such components.
        assert name == "variance_components_" or is_finite(table)
    draws = outcome(lambda: model.posterior_["posterior"].to_dataset())
    assert not is_error(draws), draws
    assert is_finite(*draws.data_vars.values())


@examples(60)
@given(rows(), parameters())
def test_fit_fits_or_says_why_not(case, chosen):
    arguments, _ = case
    model = HierarchicalNormalRegressor(**{**SMALL, **chosen})
    before = state(model)
    result = outcome(model.fit, **arguments)
    if is_error(result):
        assert state(model) == before
        return
    assert result is model
    in_X = chosen.get("group_features") is not None
    assert_predicts(model, arguments["X"], None if in_X else arguments["groups"])
    assert_tables(model)


@st.composite
def asked(draw, options):
    """Return a model, rows for it, and some of these options with some values."""
    name = draw(st.sampled_from(list(MODELS)))
    (arguments, _), of_fit = draw(rows(spoil=("X", "y", "groups"))), MODELS[name][1]
    arguments = {part: arguments[part] for part in ("X", "y", "groups")}
    if draw(st.integers(0, 2)) == 0:
        arguments = {"groups": None, **of_fit, "y": Y}
    elif name in ("labels in X", "no groups"):
        arguments["groups"] = None
    elif name == "no features":
        arguments["X"] = None
    taken = draw(st.sets(st.sampled_from(list(options)))) if options else ()
    values = {
        option: draw(st.one_of(anything, st.sampled_from(options[option])))
        for option in sorted(taken)
    }
    if name == "known errors" and hasattr(arguments["y"], "__len__") and "y_err" in options:
        arguments.setdefault("y_err", np.ones(len(arguments["y"])))
    arguments.pop("y_err" if "y_err" not in options else "", None)
    return name, {**arguments, **values}


PROBABILITIES = [0.5, 0.9, [0.1, 0.9], np.array([0.25]), (0.999999,), 1e-300]
PREDICTING = {
    "predict": {"return_std": [True, False], "return_cov": [True, False]},
    "predict_interval": {"coverage": PROBABILITIES},
    "predict_quantiles": {"quantiles": PROBABILITIES},
    "sample_y": {"n_samples": [1, 7], "random_state": [0, None]},
}


@pytest.mark.parametrize("method", PREDICTING)
@examples(25)
@given(st.data())
def test_predictions_are_finite_or_refused(method, data):
    name, arguments = data.draw(asked(PREDICTING[method]))
    arguments.pop("y")
    model = fitted(name)
    before = state(model)
    result = outcome(getattr(model, method), **arguments)
    assert state(model) == before
    if is_error(result):
        return
    parts = result if isinstance(result, tuple) else (result,)
    assert is_finite(*parts)
    assert {part.dtype for part in parts} == {np.dtype(float)}
    X = arguments["X"]
    n = len(parts[0]) if X is None else len(X)
    shapes = {
        "predict": [(n,), (n, n) if arguments.get("return_cov") else (n,)],
        "predict_interval": [(n, 2)],
        "predict_quantiles": [(n, np.size(arguments.get("quantiles", range(5))))],
        "sample_y": [(n, arguments.get("n_samples", 1))],
    }[method]
    assert [part.shape for part in parts] == shapes[: len(parts)]


JUDGING = {
    "score": {"sample_weight": [np.ones(N), np.arange(N)]},
    "log_predictive_density": {"y_err": [np.ones(N)]},
    "loo": {"y_err": [np.ones(N)], "unit": ["row", "group", "year"]},
    "log_likelihood": {"y_err": [np.ones(N)], "unit": ["row", "group", "year"]},
    "condition_on": {"y_err": [np.ones(N)]},
    "partial_fit": {"y_err": [np.ones(N)], "sample_weight": [np.arange(N)]},
}


@pytest.mark.parametrize("method", JUDGING)
@examples(20)
@given(st.data())
def test_methods_that_take_a_target_answer_or_refuse(method, data):
    name, arguments = data.draw(asked(JUDGING[method]))
    model = fitted(name)
    before = state(model)
    result = outcome(getattr(model, method), **arguments)
    if method != "partial_fit" or is_error(result):
        assert state(model) == before
    if is_error(result):
        return
    if method == "log_predictive_density":
        assert is_finite(result)
    elif method == "loo":
        assert is_finite(result.elpd, result.se, result.elpd_i)
    elif method == "log_likelihood":
        assert is_finite(result["log_likelihood"]["y"])
    elif method != "score":
        assert_tables(result)
        assert_predicts(result, arguments["X"], arguments["groups"])


SCORERS = ("log_score", "neg_crps", "neg_interval_score", "coverage", "r2")


@examples(30)
@given(st.data())
def test_scorers_score_or_refuse(data):
    scorer = data.draw(st.sampled_from([*SCORERS, "neg_root_mean_squared_error"]))
    options = {"sample_weight": [np.ones(N)], "y_err": [np.ones(N)]}
    if "y_err" not in inspect.signature(getattr(metrics, scorer)).parameters:
        options.pop("y_err")
    name, arguments = data.draw(asked(options))
    result = outcome(getattr(metrics, scorer), fitted(name), **arguments)
    if not is_error(result):
        assert isinstance(result, float)
        # R^2 of one row, or of a target without variance, is undefined.
        assert scorer == "r2" or is_finite(result)


@examples(30)
@given(rows(), st.sampled_from(list(MODELS)))
def test_statistics_add_and_come_back_from_files(tmp_path_factory, case, name):
    arguments, _ = case
    statistics = outcome(GroupedStatistics.from_arrays, **arguments)
    if is_error(statistics):
        return
    model = fitted(name)
    both = outcome(statistics.__add__, model._statistics)
    assert is_error(both) or both.n.sum() == statistics.n.sum() + N
    for factor in range(len(statistics.factors)):
        part = outcome(statistics.of_factor, factor)
        np.testing.assert_allclose(part.n.sum(), statistics.n.sum())
    path = tmp_path_factory.mktemp("statistics") / "file"
    if not is_error(outcome(statistics.save, path)):
        loaded = outcome(GroupedStatistics.load, path)
        assert np.array_equal(loaded.cross, statistics.cross)
        assert list(loaded.levels.labels) == list(statistics.levels.labels)
    before = state(model)
    result = outcome(model.fit_statistics, statistics)
    if is_error(result):
        assert state(model) == before
    else:
        assert_tables(result)


OPTIONS = {
    "var_names": ["coef", "~coef", ["sigma"], "effect_group", [], "", "~"],
    "kind": ["stats", "diagnostics", "all_median"],
    "ci_prob": [0.5, 0.01],
    "ci_kind": ["eti", "hdi"],
    "round_to": [1, "none", -1],
}


@examples(30)
@given(st.data())
def test_summary_sums_up_or_refuses(data):
    name, arguments = data.draw(asked(OPTIONS))
    given_options = {k: v for k, v in arguments.items() if k in OPTIONS}
    result = outcome(fitted(name).summary, **given_options)
    assert is_error(result) or isinstance(result, pd.DataFrame)


@examples(25)
@given(st.data(), parameters())
def test_parameters_changed_after_fit_do_no_harm(data, chosen):
    name, arguments = data.draw(asked({}))
    model = fitted(name).set_params(**chosen)
    before = state(model)
    labelled = {k: arguments[k] for k in ("X", "groups")}
    result = outcome(model.predict, **labelled)
    assert is_error(result) or is_finite(result)
    for method in ("score", "loo", "condition_on"):
        outcome(getattr(model, method), **arguments)
    assert_tables(model)
    outcome(repr, model)
    outcome(model._repr_html_)
    assert state(model) == before


@examples(25)
@given(rows(), parameters(wrong=False))
def test_what_was_saved_is_loaded(tmp_path_factory, case, chosen):
    arguments, _ = case
    model = HierarchicalNormalRegressor(**{**SMALL, **chosen})
    if is_error(outcome(model.fit, **arguments)):
        return
    path = tmp_path_factory.mktemp("estimator") / "file"
    if is_error(outcome(model.save, path)):
        return
    loaded = outcome(HierarchicalNormalRegressor.load, path)
    assert np.array_equal(loaded._posterior.coef, model._posterior.coef)
    labelled = {"X": arguments["X"], "groups": arguments["groups"]}
    if chosen.get("group_features") is not None:
        labelled.pop("groups")
    assert np.array_equal(
        outcome(loaded.predict, **labelled), outcome(model.predict, **labelled)
    )


DISPLAYS = {
    ShrinkageDisplay.from_estimator: {"factor": ["site"], "coefficient": ["x0", "intercept"]},
    GroupEffectsDisplay.from_estimator: {"factor": ["year"], "coefficient": ["x0"]},
    PosteriorPredictiveDisplay.from_estimator: {"kind": ["ecdf"], "n_samples": [2], "ax": []},
    CalibrationDisplay.from_estimator: {"kind": ["pit"], "envelope_prob": [0.5], "ax": []},
    CalibrationDisplay.from_predictions: {"kind": ["pit"], "quantiles": [[0.2, 0.8]]},
}


@examples(25)
@given(st.data())
def test_displays_are_drawn_or_refused(data):
    make = data.draw(st.sampled_from(list(DISPLAYS)))
    options = DISPLAYS[make]
    name, arguments = data.draw(asked({k: v or [None] for k, v in options.items()}))
    taken = inspect.signature(make).parameters
    if make == CalibrationDisplay.from_predictions:
        arguments |= {"y_true": arguments["y"], "y_quantiles": arguments["X"]}
    else:
        arguments |= {"estimator": fitted(name)}
    if name == "known errors" and "y_err" in taken and hasattr(arguments["y"], "__len__"):
        arguments["y_err"] = np.ones(len(arguments["y"]))
    result = outcome(make, **{k: v for k, v in arguments.items() if k in taken})
    assert is_error(result) or result.figure_ is not None
    plt.close("all")
