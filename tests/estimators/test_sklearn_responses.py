"""scikit-learn's checks of estimators, for each response."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import skhbm

#: Checks fit to targets without groups, on few rows.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Fitted without groups"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

ESTIMATORS = (
    *("HierarchicalLogisticRegression", "HierarchicalBinomialRegressor"),
    *("HierarchicalPoissonRegressor", "HierarchicalNegativeBinomialRegressor"),
    "HierarchicalStudentTRegressor",
)


@parametrize_with_checks([getattr(skhbm, name)(draws=50, tune=50) for name in ESTIMATORS])
def test_sklearn_compatible_estimator(estimator, check):
    check(estimator)
