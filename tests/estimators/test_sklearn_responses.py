"""scikit-learn's checks of estimators, for each response."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.utils.estimator_checks import parametrize_with_checks

import skhbm

ESTIMATORS = (
    *("HierarchicalLogisticRegression", "HierarchicalBinomialRegressor"),
    *("HierarchicalPoissonRegressor", "HierarchicalNegativeBinomialRegressor"),
    "HierarchicalStudentTRegressor",
)


@pytest.fixture
def shares(request, monkeypatch):
    """Let checks give a binomial regressor any target: successes are among the trials."""
    binomial = skhbm.HierarchicalBinomialRegressor
    if isinstance(request.getfixturevalue("estimator"), binomial):
        for method in ("_encode", "_encoded"):
            monkeypatch.setattr(binomial, method, _as_shares(getattr(binomial, method)))


def _as_shares(method):
    def encoded(self, *arguments):
        return _squeezed(method(self, *arguments))

    return encoded


def _squeezed(y):
    """Map finite numbers to between 0 and 1, and leave what is to be refused as it is."""
    if getattr(getattr(y, "dtype", None), "kind", "") == "c":
        return y
    try:
        numbers = np.asarray(y, dtype=float)
    except (TypeError, ValueError):
        return y
    return expit(numbers) if numbers.ndim and np.all(np.isfinite(numbers)) else y


# Few draws do not converge, no check passes groups, and targets are no whole numbers.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Fitted without groups")
@pytest.mark.filterwarnings("ignore:.* linearly dependent")
@pytest.mark.filterwarnings("ignore:.*no whole numbers")
@pytest.mark.usefixtures("shares")
@parametrize_with_checks([getattr(skhbm, name)(draws=50, tune=50) for name in ESTIMATORS])
def test_estimator_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)
