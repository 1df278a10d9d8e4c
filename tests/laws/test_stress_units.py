"""Units of 1e-8 and 1e8, and features at 1e8: what must not matter does not, digit by digit.

With one `random_state` NUTS does the same steps. Units change the last digits only, and draws
of models without correlations agree to what rounding grows to in NUTS, some 1e4 EPS. A feature
at an offset has a mean that is stored to EPS of the offset, in units of its spread; exact
moments follow to that accuracy, draws to 100 times that.
"""

import re

import numpy as np
import pytest
from reference import EPS, assert_equal_to_rounding, mcse

from skhbm import GroupedStatistics, HierarchicalNormalRegressor, Prior
from skhbm._design.nesting import find_implicit_nesting

N_GROUPS, OFFSET = 9, 1e8
RNG = np.random.default_rng(31)
CODES = np.repeat(np.arange(N_GROUPS), [4, 7, 9, 12, 15, 8, 20, 6, 11])
TOWNS = np.arange(len(CODES)) % 5
#: Rounded at the offset, so that X - OFFSET is exact.
FAR = OFFSET + RNG.standard_normal((len(CODES), 2)) * [1.0, 3.0]
X = FAR - OFFSET
SLOPES = RNG.normal([1.0, -0.5], 0.6, size=(N_GROUPS, 2))
NOISE = np.linspace(0.5, 1.5, N_GROUPS)[CODES] * RNG.standard_normal(len(CODES))
Y = 5 + RNG.standard_normal(N_GROUPS)[CODES] + np.sum(SLOPES[CODES] * X, axis=1) + NOISE

STRUCTURES = {
    "intercepts": ({}, CODES),
    "by group": ({"residual_scale": "by_group"}, CODES),
    "independent slopes": ({"varying_slopes": "all", "correlated": False}, CODES),
    "two factors": ({}, {"site": CODES, "town": TOWNS}),
    "two factors, slopes": (
        {"varying_slopes": {"town": [0]}, "correlated": False},
        {"site": CODES, "town": TOWNS},
    ),
}
FITS = {}


def fit(name, X=X, y=Y):
    parameters, groups = STRUCTURES[name]
    model = HierarchicalNormalRegressor(random_state=3, draws=400, tune=400, **parameters)
    return model.fit(X, y, groups=groups)


def fitted(name):
    if name not in FITS:
        FITS[name] = fit(name)
    return FITS[name]


def variables(model):
    posterior = model.posterior_["posterior"].to_dataset()
    return {name: posterior[name].to_numpy() for name in posterior.data_vars}


def in_units(name, draws, model, x, y):
    """Return draws of a variable as they are after x -> x X and y -> y Y."""
    if name == "log_sigma_sd" or name.startswith("corr"):
        return draws
    if name == "log_sigma_mean":
        return draws + np.log(y)
    if name.startswith(("tau", "effect")):
        terms = model.posterior_["posterior"][f"{name.split('_')[1]}_term"].to_numpy()
        return draws * [y if term == "intercept" else y / x for term in terms]
    return draws * (y / x if name == "coef" else y)


@pytest.mark.parametrize(("x", "y"), [(1e8, 1e-8), (1e-8, 1e8), (1e-30, 1e30)])
@pytest.mark.parametrize("name", STRUCTURES)
def test_draws_follow_the_units(name, x, y):
    model, changed = fitted(name), variables(fit(name, x * X, y * Y))
    for variable, draws in variables(model).items():
        expected = in_units(variable, draws, model, x, y)
        for at in np.ndindex(draws.shape[2:]):
            actual = changed[variable][:, :, *at]
            assert_equal_to_rounding(actual, expected[:, :, *at], rtol=1e4 * EPS * 100)


@pytest.fixture(scope="module", params=["intercepts", "by group", "two factors"])
def far_and_near(request):
    return STRUCTURES[request.param][1], fit(request.param, X=FAR), fitted(request.param)


def test_draws_follow_an_offset_of_features(far_and_near):
    """Slopes do not vary: varying ones refer to x = 0, which is somewhere else then."""
    _, far, near = far_and_near
    actual, expected = variables(far), variables(near)
    lost = OFFSET * EPS
    for name, draws in expected.items():
        if name != "intercept":
            error = np.abs(actual[name] - draws).max()
            assert error <= 100 * lost * np.abs(draws).max()
    # At x = 0, the offset away, the error of the slopes is as many times larger.
    shifted = expected["intercept"] - OFFSET * expected["coef"].sum(axis=2)
    assert np.abs(actual["intercept"] - shifted).max() <= 100 * lost * np.abs(shifted).max()


def test_exact_moments_follow_an_offset_of_features(far_and_near):
    groups, far, near = far_and_near
    lost = 2 * OFFSET * EPS
    for actual, expected in zip(
        far.predict(FAR, groups, return_std=True),
        near.predict(X, groups, return_std=True),
        strict=True,
    ):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=lost * np.abs(Y).max())
    np.testing.assert_allclose(far.coef_, near.coef_, rtol=0, atol=lost)
    pooling = far.shrinkage_["pooling"], near.shrinkage_["pooling"]
    np.testing.assert_allclose(*pooling, rtol=0, atol=lost)


@pytest.mark.parametrize("unit", [1.0, 1e-20, 1e20])
def test_units_do_not_decide_about_nesting(unit):
    """Cells that differ because of a feature are not nested groups, whatever its unit."""
    rng = np.random.default_rng(5)
    a, b = np.repeat(np.arange(6), 20), np.tile(np.arange(4), 30)
    x = rng.standard_normal((6, 4))[a, b] + rng.standard_normal(len(a))
    features = np.column_stack([unit * x, rng.standard_normal(len(a))])
    y = 5 * x + rng.standard_normal(6)[a] + rng.standard_normal(len(a))
    statistics = GroupedStatistics.from_arrays(features, y, {"a": a, "b": b})
    assert find_implicit_nesting(statistics) == []


def years(shift=0):
    rng = np.random.default_rng(4)
    codes = np.repeat(np.arange(8), 10)
    year = 2010 + rng.integers(-10, 11, len(codes))
    y = 0.3 * rng.standard_normal(8)[codes] * (year - 2010) + rng.standard_normal(len(codes))
    return (year - shift)[:, None], y, codes


def fit_years(shift=0, **parameters):
    X, y, codes = years(shift)
    sizes = {"draws": 50, "tune": 50, "chains": 2, "random_state": 0, "varying_slopes": "all"}
    return HierarchicalNormalRegressor(**{**sizes, **parameters}).fit(X, y, groups=codes)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_slopes_that_vary_far_from_their_origin_are_warned_of():
    """Under a prior for x = 0: the default ones hold at the means."""
    message = r"at x0 = 0, which is 3\d\d standard .* Subtract .*, such as (\d+), or leave"
    with pytest.warns(UserWarning, match=message) as caught:
        fit_years(priors={"corr": Prior("LKJCorr", eta=2)})
    found = [re.search(message, str(warning.message)) for warning in caught]
    shift = next(match[1] for match in found if match)
    assert abs(int(shift) - 2010) <= 3


@pytest.mark.filterwarnings("error:.*standard deviations from the data")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("shift", "parameters"),
    [(0, {}), (0, {"varying_slopes": None}), (0, {"varying_intercept": False})],
    ids=["default priors", "no slope varies", "no intercept varies"],
)
def test_no_other_slopes_are_warned_of(shift, parameters):
    fit_years(shift, **parameters)


@pytest.mark.filterwarnings("ignore:.* (constant|linearly dependent)")
def test_features_that_hardly_vary_are_left_to_their_priors():
    """About 1e12, without an intercept, a unit more or less says nothing of 1e-12 a unit.

    Least squares within groups is 1e11 prior standard deviations off.
    """
    rng = np.random.default_rng(1)
    X, codes = 1e12 + rng.standard_normal((12, 2)), np.arange(12) % 3
    y = 5.0 + rng.standard_normal(12)
    model = HierarchicalNormalRegressor(fit_intercept=False, random_state=0)
    model.fit(X, y, groups=codes)
    assert model.diagnostics_["n_divergences"] == 0
    constant = HierarchicalNormalRegressor(fit_intercept=False, random_state=0)
    constant.fit(np.full((12, 2), 1e12), y, groups=codes)
    for name in ("sigma", "tau_group", "coef"):
        a, b = (m.posterior_["posterior"][name].to_numpy() for m in (model, constant))
        for at in np.ndindex(a.shape[2:]):
            first, other = a[:, :, *at], b[:, :, *at]
            error = 5 * np.hypot(mcse(first), mcse(other))
            assert abs(first.mean() - other.mean()) <= error
