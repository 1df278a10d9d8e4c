"""What scikit-learn's searches and validation should make of the rows, in loops by hand.

By hand means with `groups=`, so that a test of the column channel compares both channels.
"""

import numpy as np
from paths import FRAME, SITE, Y, by_keyword
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut

from skhbm import Prior

#: How scikit-learn is told of each splitter. KFold would warn of groups.
CVS = {
    "KFold": {"cv": KFold(3)},
    "GroupKFold": {"cv": GroupKFold(3), "groups": SITE},
    "LeaveOneGroupOut": {"cv": LeaveOneGroupOut(), "groups": SITE},
}

#: What searches choose from, by parameter.
GRID = {
    "varying_slopes": [None, ["dose"]],
    "residual_scale": ["shared", "by_group"],
    "priors": [None, {"tau": Prior("HalfNormal", sigma=0.1)}],
}

#: What `folds_by_hand` has fitted.
FOLDS = {}


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


def log_score(estimator, X, y):
    """Return the mean log density, as a scorer that users write."""
    return float(np.mean(estimator.log_predictive_density(X, y)))
