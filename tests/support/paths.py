"""Rows of five sites, and what scikit-learn's paths should make of them, in loops by hand.

By hand means with `groups=`, so that a test of the column channel compares both channels.
"""

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut

from skhbm import HierarchicalNormalRegressor, Prior

__all__ = [
    "CVS",
    "FRAME",
    "GRID",
    "SITE",
    "TABLE",
    "Y",
    "assert_same",
    "by_column",
    "by_keyword",
    "folds_by_hand",
    "scores_by_hand",
]

RNG = np.random.default_rng(137)
CODES = RNG.permuted(np.repeat(np.arange(5), 12))
FRAME = pd.DataFrame(RNG.normal(1, 2, size=(len(CODES), 2)), columns=["age", "dose"])
SITE = pd.Series(np.array(["east", "north", "south", "west", "zenith"])[CODES], name="site")
#: The features, and the labels as their last column.
TABLE = FRAME.assign(site=SITE)
Y = pd.Series(
    FRAME.to_numpy() @ [1.0, -0.5]
    + np.linspace(-10, 10, 5)[CODES]
    + 0.7 * RNG.standard_normal(5)[CODES] * FRAME["dose"].to_numpy()
    + RNG.standard_normal(len(CODES)),
    name="y",
)

#: Splitter -> how scikit-learn is told of it: KFold warns of groups.
CVS = {
    "KFold": {"cv": KFold(3)},
    "GroupKFold": {"cv": GroupKFold(3), "groups": SITE},
    "LeaveOneGroupOut": {"cv": LeaveOneGroupOut(), "groups": SITE},
}

#: Parameter -> what searches choose from.
GRID = {
    "varying_slopes": [None, ["dose"]],
    "residual_scale": ["shared", "by_group"],
    "priors": [None, {"tau": Prior("HalfNormal", sigma=0.1)}],
}

#: What `folds_by_hand` has fitted.
FOLDS = {}


def by_keyword(**parameters):
    """An estimator that takes labels by `groups=`."""
    given = {"draws": 50, "tune": 50, "random_state": 0, **parameters}
    return HierarchicalNormalRegressor(**given)


def by_column(**parameters):
    """An estimator that takes labels from the column "site" of X."""
    return by_keyword(**{"group_features": "site", **parameters})


def assert_same(actual, expected):
    """Equal but for rounding."""
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)


def folds_by_hand(name="KFold", **parameters):
    """Return (model, test rows, their predictions) of each fold, fitted once."""
    key = name, repr(parameters)
    if key not in FOLDS:
        FOLDS[key] = list(_fit_folds(CVS[name], parameters))
    return FOLDS[key]


def _fit_folds(cv, parameters):
    for train, test in cv["cv"].split(FRAME, Y, cv.get("groups")):
        model = by_keyword(**parameters).fit(FRAME.iloc[train], Y[train], groups=SITE[train])
        yield model, test, model.predict(FRAME.iloc[test], groups=SITE[test])


def scores_by_hand(score, folds):
    """Return the score of each fold, of true and predicted values."""
    return np.array([score(Y[test], mean) for _, test, mean in folds])
