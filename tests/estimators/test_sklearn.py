"""scikit-learn's checks of the estimator contract."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skhbm import HierarchicalNormalRegressor


# Few draws do not converge, and no check passes groups: both are said by a warning.
@pytest.mark.filterwarnings("ignore:.*R-hat:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*diverged:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Fitted without groups")
@pytest.mark.filterwarnings("ignore:.* linearly dependent")  # as make_classification has them
@parametrize_with_checks([HierarchicalNormalRegressor(draws=50, tune=50)])
def test_estimator_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)
