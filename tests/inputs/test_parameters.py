"""What counts as a whole number is the same wherever one is asked for."""

import numpy as np
import pandas as pd
import pytest

from skhbm import HierarchicalNormalRegressor

FRAME = pd.DataFrame({"u": np.sin(np.arange(30.0)), "v": np.cos(np.arange(30.0))})
Y, GROUPS = FRAME["u"] + np.tile([0.0, 1.0, 2.0], 10), np.tile(["a", "b", "c"], 10)
#: NumPy registers durations as integers, and a truth value is one in Python.
NO_INTEGERS = [np.timedelta64(2, "s"), 2.0, "2", None, True]


def estimator(**parameters):
    return HierarchicalNormalRegressor(
        **{"solver": "laplace", "draws": 40, "random_state": 0, **parameters}
    )


@pytest.fixture(scope="module")
def model():
    return estimator().fit(FRAME, Y, groups=GROUPS)


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
