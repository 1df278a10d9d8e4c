"""Fitted models to score, and each scorer in turn."""

import pytest
from scored import GROUPS, PREDICTIVE, SCORERS, TABLE, X, Y, estimator


@pytest.fixture(scope="session")
def model():
    return estimator().fit(X, Y, groups=GROUPS)


@pytest.fixture(scope="session")
def by_column():
    return estimator(group_features="site").fit(TABLE, Y)


@pytest.fixture(params=SCORERS)
def scorer(request):
    return SCORERS[request.param]


@pytest.fixture(params=PREDICTIVE)
def predictive(request):
    return PREDICTIVE[request.param]
