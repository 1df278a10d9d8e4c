"""Scores of targets with known errors."""

import numpy as np
import pytest
from marks import FEW_DRAWS
from scored import ERRORS, GROUPS, RNG, ROUTING, N, X, Y, by_hand, estimator
from sklearn import config_context
from sklearn.model_selection import GridSearchCV, KFold

from skhbm.metrics import neg_crps

pytestmark = [
    *FEW_DRAWS,
    pytest.mark.filterwarnings("ignore:Fitted without groups:UserWarning"),
]


def test_targets_with_known_errors_need_them(predictive):
    fitted = estimator(residual_scale="known").fit(X[:12], Y[:12], y_err=ERRORS)
    with pytest.raises(
        ValueError, match=r"residual_scale='known': `y` differs .*Pass `y_err=`"
    ):
        predictive(fitted, X[:12], Y[:12])


def test_errors_of_a_model_that_estimates_them_are_refused(predictive, model):
    with pytest.raises(ValueError, match="`y_err` was given, but the residual scale was est"):
        predictive(model, X, Y, groups=GROUPS, y_err=np.ones(N))


def test_known_errors_are_handed_on_by_searches():
    known = estimator(residual_scale="known")
    rows = {"groups": GROUPS, "y_err": RNG.uniform(0.5, 1.5, size=N)}
    cv = KFold(2)
    with config_context(**ROUTING):
        search = GridSearchCV(
            known.set_fit_request(y_err=True),
            {"fit_intercept": [True]},
            scoring=neg_crps,
            cv=cv,
        )
        found = search.fit(X, Y, **rows).cv_results_["mean_test_score"]
    assert found == pytest.approx([np.mean(by_hand(known, neg_crps, cv, rows))], rel=1e-12)
