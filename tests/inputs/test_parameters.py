"""Parameters: each mistake is named in a sentence, and nothing fitted changes by it."""

import numpy as np
import pytest
from marks import FEW_DRAWS
from three_sites import FRAME, GROUPS, X, Y, assert_same_state, estimator, fit, state

pytestmark = FEW_DRAWS

#: NumPy registers durations as integers, and a truth value is one in Python.
NO_INTEGERS = [np.timedelta64(2, "s"), 2.0, "2", None, True]


@pytest.fixture(scope="module")
def model():
    return fit(FRAME)


@pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
@pytest.mark.parametrize(
    "call",
    [
        lambda _, value: estimator(draws=value).fit(FRAME, Y, groups=GROUPS),
        lambda _, value: estimator(varying_slopes=[0, value]).fit(FRAME, Y, groups=GROUPS),
        lambda model, value: model.sample_y(FRAME, GROUPS, n_samples=value),
        lambda model, value: model.predict_table(FRAME, groups=[], batch_size=value),
        lambda model, value: model.summary(round_to=value),
    ],
    ids=["draws", "varying_slopes", "n_samples", "batch_size", "round_to"],
)
def test_no_integers_are_refused(model, call, value):
    with pytest.raises((TypeError, ValueError), match=r"must (be|hold) .*|names '2'"):
        call(model, value)


PARAMETERS = {
    "residual_scale": (["foo", None, 3], "must be 'shared' or 'by_group' or 'known'. Got"),
    "solver": (["advi", None], "must be 'auto' or 'nuts' or 'laplace'. Got"),
    "new_groups": (["missing", None], "must be 'population' or 'error'. Got"),
    "draws": ([3, 0, -1, 50.0, "50", None, True], "must be an int of at least 4. Got"),
    "tune": ([0, -1, 50.0, None, True], "must be an int of at least 1. Got"),
    "chains": ([0, -1, 4.0, None, True], "must be an int of at least 1. Got"),
    "target_accept": (
        [0, 1, 1.5, -1, np.nan, "0.9", None],
        r"must be a float in the range \(0, 1\). Got",
    ),
    "fit_intercept": (["yes", 1, None], "must be a bool. Got"),
    "varying_intercept": (
        ["yes", 1, None, {"group": "yes"}],
        "must be a bool or a dict from a factor to a bool. Got",
    ),
    "correlated": (
        ["yes", 1, None, {"group": 3}],
        "must be a bool or a dict from a factor to a bool. Got",
    ),
    "n_jobs": (["all", 1.5, 0], "must be None or an int other than 0. Got"),
    "verbose": (["yes", None, -1], "must be an int of at least 0. Got"),
}


@pytest.mark.parametrize(
    ("parameter", "value"),
    [(name, value) for name, (values, _) in PARAMETERS.items() for value in values],
)
def test_parameters_that_cannot_be_are_named(parameter, value):
    message = f"The '{parameter}' parameter of HierarchicalNormalRegressor "
    with pytest.raises(ValueError, match=message + PARAMETERS[parameter][1]):
        fit(**{parameter: value})


@pytest.mark.parametrize("value", ["x", -1, 1.5, 2**32])
def test_seeds_that_cannot_be_are_refused(value):
    with pytest.raises(ValueError, match=r"`random_state` must be None, an int from 0 to"):
        fit(random_state=value)


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_parameters_that_cannot_be_change_nothing(parameter):
    model = fit()
    before, value = state(model), getattr(model, parameter)
    model.set_params(**{parameter: PARAMETERS[parameter][0][0]})
    with pytest.raises(ValueError, match=parameter):
        model.fit(X, Y, groups=GROUPS)
    assert_same_state(model.set_params(**{parameter: value}), before)


@pytest.mark.parametrize("method", ["predict", "predict_interval", "sample_y"])
def test_new_groups_is_checked_where_it_is_used(method):
    """It can be set after fit."""
    model = fit().set_params(new_groups="raise")
    message = "The 'new_groups' parameter .* must be 'population' or 'error'. Got 'raise'"
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(X, groups=GROUPS)
