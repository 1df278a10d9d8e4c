"""What rows say nothing about is warned of, or left to the priors."""

import numpy as np
import pytest
from marks import FEW_DRAWS
from three_sites import GROUPS, SEEN, N, X, Y, fit

from skhbm import Prior

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


@pytest.mark.parametrize(
    ("case", "words"),
    {
        "constant": "The column 'x2' of X is constant: the data say nothing",
        "zero": "The column 'x2' of X is constant",
        "given twice": "The columns 'x0', 'x2' of X are linearly dependent",
        "sum of others": "The columns 'x0', 'x1', 'x2' of X are linearly dependent",
        "dummies of the groups": "The columns 'x2', 'x3', 'x4'.* are linearly dependent",
    }.items(),
)
def test_columns_that_say_nothing_are_named(case, words):
    with pytest.warns(UserWarning, match=words):
        fit(DEGENERATE[case])


def test_two_relations_are_told_apart():
    twice = np.column_stack([X, X])
    message = "The columns 'x0', 'x2' .* So are 1 more such sets"
    with pytest.warns(UserWarning, match=message):
        fit(twice)


@pytest.mark.parametrize("shift", [0.0, 2000.0])
def test_columns_that_are_nearly_dependent_do_not_warn(shift):
    years = shift + np.arange(N) % 20.0
    fit(np.column_stack([years, years**2, X + 1e-4 * X[:, ::-1]]))


def test_dependent_columns_with_a_prior_of_their_own_do_not_warn():
    fit(DEGENERATE["given twice"], priors={"coef": Prior("Normal", mu=0, sigma=1)})


def test_a_prior_of_another_column_does_not_silence_the_warning():
    priors = {"coef": {"x1": Prior("Normal", mu=0, sigma=1)}}
    with pytest.warns(UserWarning, match="The column 'x2' of X is constant"):
        fit(DEGENERATE["constant"], priors=priors)


def test_a_first_batch_with_constant_columns_does_not_warn():
    model = fit(X)
    model.partial_fit(np.column_stack([X[:, :1], np.zeros(N)]), Y, groups=GROUPS)


@pytest.mark.filterwarnings("ignore:.* is constant:UserWarning")
@pytest.mark.parametrize("solver", ["nuts", "laplace"])
def test_the_mean_of_a_coefficient_without_data_is_that_of_its_prior(solver):
    """Exactly, so that no Monte Carlo error of the prior comes back in the intercept."""
    model = fit(np.column_stack([X, np.full(N, 1e3)]), solver=solver, draws=500, tune=500)
    without = fit(X, solver=solver, draws=500, tune=500)
    assert model.coef_[2] == 0.0
    error = model.posterior_["posterior"]["coef"].std(("chain", "draw")).to_numpy()[:2]
    assert np.all(np.abs(model.coef_[:2] - without.coef_) <= 0.3 * error)
    sd = without.posterior_["posterior"]["intercept"].to_numpy().std()
    assert abs(model.intercept_ - without.intercept_) <= 0.3 * sd


@pytest.mark.filterwarnings("ignore:.* constant:UserWarning")
@pytest.mark.filterwarnings("ignore:.* linearly dependent:UserWarning")
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


@pytest.mark.filterwarnings("ignore:.* linearly dependent:UserWarning")
def test_columns_that_say_nothing_do_not_change_predictions():
    """The two coefficients of a column given twice have the sum that the column alone has."""
    first, twice = fit(draws=1000), fit(DEGENERATE["given twice"], draws=1000)
    mean, std = first.predict(X, GROUPS, return_std=True)
    actual = twice.predict(DEGENERATE["given twice"], GROUPS)
    assert np.all(np.abs(actual - mean) < 0.1 * std)


@pytest.mark.filterwarnings("ignore:All entries of `sample_weight` are below 1")
@pytest.mark.parametrize("weight", [1 / N, 0.02], ids=["normalised", "small"])
def test_weights_that_sum_to_less_than_the_groups_are_told_from_rows(weight):
    message = (
        rf"The sum of `sample_weight` \({N * weight:g}\) is not above the number of levels"
    )
    with pytest.raises(ValueError, match=message):
        fit(sample_weight=np.full(N, weight))
