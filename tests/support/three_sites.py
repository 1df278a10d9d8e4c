"""Rows of three sites that lie far apart, and a digest of all that is fitted to them."""

import joblib
import numpy as np
import pandas as pd

from skhbm import HierarchicalNormalRegressor

N, SEEN = 60, ["a", "b", "c"]
RNG = np.random.default_rng(71)
X = RNG.normal(1, 2, size=(N, 2))
GROUPS = np.repeat(SEEN, N // 3)
#: Groups lie far apart, so that reading the effect of another one shows.
Y = X @ [1.0, -0.5] + np.repeat([-9.0, 2.0, 30.0], N // 3) + RNG.standard_normal(N)
FRAME = pd.DataFrame(X, columns=["u", "v"])
WITH_GROUPS = FRAME.assign(site=GROUPS)


def with_value(values, value, at=0):
    changed = np.array(values, dtype=np.result_type(values, type(value)))
    changed[at] = value
    return changed


def estimator(**parameters):
    return HierarchicalNormalRegressor(
        **{"draws": 50, "tune": 50, "random_state": 0, **parameters}
    )


def fit(X=X, y=Y, groups=GROUPS, sample_weight=None, **parameters):
    return estimator(**parameters).fit(X, y, groups=groups, sample_weight=sample_weight)


def state(model):
    """Return a digest of all that is fitted, and predictions."""
    return joblib.hash(model), model.predict(X, GROUPS, return_std=True)


def assert_same_state(model, before):
    digest, (mean, std) = state(model)
    assert digest == before[0]
    assert np.array_equal(mean, before[1][0])
    assert np.array_equal(std, before[1][1])


def population(model, n=1):
    """Return mean and std of rows of a group that was not seen, for X = 0."""
    return model.predict(np.zeros((n, 2)), groups=[None] * n, return_std=True)
