"""What rows say nothing about is warned of, or left to the priors."""

import numpy as np
import pytest
from marks import FEW_DRAWS
from three_sites import GROUPS, SEEN, N, X, Y, fit

pytestmark = FEW_DRAWS


def test_one_group_is_warned_of():
    with pytest.warns(
        UserWarning, match=r"one group only \('a'\): .* known from its prior alone"
    ):
        model = fit(groups=["a"] * N)
    assert model.group_scale_[0] > 0


DEGENERATE = {
    "constant": np.column_stack([X, np.full(N, 3.0)]),
    "zero": np.column_stack([X, np.zeros(N)]),
    "given twice": np.column_stack([X, X[:, 0]]),
    "sum of others": np.column_stack([X, X.sum(axis=1)]),
    "dummies of the groups": np.hstack([X, np.equal.outer(GROUPS, SEEN)]),
}


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("slopes", [None, [0, 2]], ids=["intercepts", "slopes"])
def test_columns_that_say_nothing_leave_a_proper_posterior(case, slopes):
    model = fit(DEGENERATE[case], draws=200, tune=200, varying_slopes=slopes)
    posterior = model.posterior_["posterior"]
    coef = posterior["coef"].to_numpy().reshape(-1, DEGENERATE[case].shape[1])
    assert np.all(np.isfinite(coef))
    # Default priors have 2.5 times the sd of y over that of the column, or its size.
    size = np.where(np.ptp(DEGENERATE[case], axis=0) > 0, DEGENERATE[case].std(axis=0), 3.0)
    size = np.where(np.any(DEGENERATE[case] != 0, axis=0), size, 1.0)
    assert np.all(coef.std(axis=0) > 0)
    assert np.all(coef.std(axis=0) < 1.5 * 2.5 * Y.std() / size)


def test_more_columns_than_rows_leave_a_proper_posterior():
    wide = np.random.default_rng(3).normal(size=(12, 15))
    model = fit(wide, Y[::5], groups=GROUPS[::5])
    coef = model.posterior_["posterior"]["coef"].to_numpy()
    assert np.all(np.isfinite(coef))
    assert np.all(coef.std(axis=(0, 1)) > 0)


def test_columns_that_say_nothing_do_not_change_predictions():
    """The two coefficients of a column given twice have the sum that the column alone has."""
    first, twice = fit(draws=1000), fit(DEGENERATE["given twice"], draws=1000)
    mean, std = first.predict(X, GROUPS, return_std=True)
    actual = twice.predict(DEGENERATE["given twice"], GROUPS)
    assert np.all(np.abs(actual - mean) < 0.1 * std)


@pytest.mark.parametrize("weight", [1 / N, 0.02], ids=["normalised", "small"])
def test_weights_that_sum_to_less_than_the_groups_are_told_from_rows(weight):
    message = (
        rf"The sum of `sample_weight` \({N * weight:g}\) is not above the number of levels"
    )
    with pytest.raises(ValueError, match=message):
        fit(sample_weight=np.full(N, weight))
