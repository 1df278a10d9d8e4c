"""A group without residuals has no residual scale: there is no posterior, and this is said."""

import warnings

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import halfnorm
from sklearn.exceptions import ConvergenceWarning

from skhbm import HierarchicalNormalRegressor, Prior
from skhbm._priors.prior import LOG_SD_SCALE

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*R-hat:sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*diverged:sklearn.exceptions.ConvergenceWarning"),
]

NO_RESIDUALS = r"`y` has no residuals in group 'c': .* Leave the group out"


def rows(n_of_c=8):
    """Return X, y and labels of five groups, of which c has so many rows."""
    rng = np.random.default_rng(7)
    groups = np.repeat(list("abcde"), [8, 8, n_of_c, 8, 8])
    X = rng.standard_normal((len(groups), 2))
    return X, 10 + X[:, 0] + rng.standard_normal(len(groups)), groups


def fit(X, y, groups, **parameters):
    settings = {"residual_scale": "by_group", "draws": 50, "tune": 50, "random_state": 0}
    return HierarchicalNormalRegressor(**{**settings, **parameters}).fit(X, y, groups=groups)


TARGETS = {
    "constant": lambda X: np.full(len(X), 4.0),
    "fitted by a feature": lambda X: 1 + 2 * X[:, 1],
}


@pytest.mark.parametrize("solver", ["nuts", "laplace"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_group_without_residuals_is_named(target, solver):
    X, y, groups = rows()
    inside = groups == "c"
    y[inside] = TARGETS[target](X[inside])
    with pytest.raises(ValueError, match=NO_RESIDUALS):
        fit(X, y, groups, solver=solver)


def test_a_constant_group_is_named_however_far_from_zero():
    X, y, groups = rows()
    y[groups == "c"] = 4.0
    with pytest.raises(ValueError, match=NO_RESIDUALS):
        fit(X, y + 1e9, groups)


def test_a_group_whose_slope_fits_it_is_named():
    X, y, groups = rows()
    y[groups == "c"] = 3 * X[groups == "c", 0]
    with pytest.raises(ValueError, match=NO_RESIDUALS):
        fit(X, y, groups, varying_slopes=[0])


def test_the_other_groups_and_a_shared_scale_are_fitted():
    X, y, groups = rows()
    y[groups == "c"] = 4.0
    rest = groups != "c"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fit(X[rest], y[rest], groups[rest], draws=1000, tune=500)
        fit(X, y, groups, residual_scale="shared", draws=300, tune=300)


@pytest.mark.parametrize(("degrees", "proper"), [(2, True), (3, False)])
def test_the_posterior_exists_as_long_as_the_mean_of_the_density_does(degrees, proper):
    """The mean of sigma^-d over log sigma ~ Normal(0, s) is exp(d^2 s^2 / 2), given s."""

    def mass_beyond(s):
        return np.exp(degrees**2 * s**2 / 2 + halfnorm(scale=LOG_SD_SCALE).logpdf(s))

    assert (quad(mass_beyond, 5, 6)[0] > quad(mass_beyond, 6, 7)[0]) == proper
    X, y, groups = rows(n_of_c=degrees + 3)
    y[groups == "c"] = 4.0
    if proper:
        fit(X, y, groups)
    else:
        with pytest.raises(ValueError, match=NO_RESIDUALS):
            fit(X, y, groups)


def test_an_explicit_prior_is_the_users_to_judge():
    X, y, groups = rows()
    y[groups == "c"] = 4.0
    priors = {"sigma": Prior("LogNormal", mu=0, sigma=0.5)}
    with pytest.warns(UserWarning, match="only if the prior of sigma vanishes at zero"):
        model = fit(X, y, groups, priors=priors)
    assert np.all(model.residual_scale_ > 0)


def test_rows_that_come_later_bring_residuals():
    X, y, groups = rows()
    first = groups != "c"
    first[np.flatnonzero(groups == "c")[:7]] = True
    y[np.flatnonzero(groups == "c")[:7]] = 4.0
    model = HierarchicalNormalRegressor(
        residual_scale="by_group", draws=50, tune=50, random_state=0
    )
    with pytest.warns(UserWarning, match="Or go on with more rows"):
        model.partial_fit(X[first], y[first], groups=groups[first])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", category=ConvergenceWarning)
        model.partial_fit(X[~first], y[~first], groups=groups[~first])
