"""Units of y that are far from one."""

import numpy as np
import pytest
from marks import FEW_DRAWS
from sklearn.linear_model import LinearRegression
from three_sites import GROUPS, SEEN, X, Y, fit

pytestmark = FEW_DRAWS


@pytest.mark.parametrize("factor", [1e8, 1e-8])
def test_units_of_y_far_from_one_give_the_same_answer(factor):
    first, other = fit(draws=1000, tune=1000), fit(y=factor * Y, draws=1000, tune=1000)
    np.testing.assert_allclose(other.coef_, factor * first.coef_, rtol=1e-6)
    np.testing.assert_allclose(
        other.group_intercept_, factor * first.group_intercept_, rtol=1e-6
    )
    np.testing.assert_allclose(other.residual_scale_, factor * first.residual_scale_, rtol=1e-6)


@pytest.mark.parametrize("factor", [1e8, 1e-8])
def test_units_of_y_far_from_one_agree_with_least_squares(factor):
    dummies = np.equal.outer(GROUPS, SEEN)
    least_squares = LinearRegression(fit_intercept=False).fit(
        np.hstack([X, dummies]), factor * Y
    )
    # Groups that are far apart are hardly pooled; coefficients have an sd of 1 / sqrt(N).
    np.testing.assert_allclose(
        fit(y=factor * Y).coef_, least_squares.coef_[:2], atol=0.1 * factor
    )
