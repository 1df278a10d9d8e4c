"""Laws of a whole fit with known errors."""

import numpy as np
import pytest
from marks import FEW_DRAWS
from posteriors import assert_same_draws, assert_same_posterior, dataset
from schools_and_years import SHORT, Data, fit, known_scale

from skhbm import HierarchicalNormalRegressor, Prior

pytestmark = FEW_DRAWS


WIDE = {
    "intercept": Prior("Normal", mu=0, sigma=10), "tau": Prior("HalfNormal", sigma=2),
}  # fmt: skip


@pytest.fixture(scope="module")
def measured():
    """Several measurements of each of twelve trials, with their errors."""
    rng = np.random.default_rng(61)
    trial = np.repeat(np.arange(12), rng.integers(1, 5, 12))
    errors = np.exp(rng.normal(-0.5, 0.5, len(trial)))
    y = 1 + 0.7 * rng.standard_normal(12)[trial] + errors * rng.standard_normal(len(trial))
    return y, trial, errors


def fit_known(y, groups, errors, **parameters):
    model = HierarchicalNormalRegressor(
        **{"random_state": 0, "residual_scale": "known", "priors": WIDE, **parameters}
    )
    return model.fit(None, y, groups=groups, y_err=errors)


def test_measurements_of_a_group_are_one_of_their_weighted_mean(measured):
    y, trial, errors = measured
    weight = np.bincount(trial, errors**-2.0)
    mean = np.bincount(trial, y * errors**-2.0) / weight
    rows = fit_known(y, trial, errors)
    means = fit_known(mean, np.arange(12), weight**-0.5)
    assert_same_posterior(rows, means)
    _, std = rows.predict(None, np.arange(12), return_std=True)
    sd = rows.shrinkage_["sd"].to_numpy()
    np.testing.assert_allclose(std, sd, rtol=1e-9)


@pytest.mark.parametrize("unit", [1e3, 1e-10])
def test_draws_of_known_errors_follow_their_unit(measured, unit):
    """The sum of 1 / y_err^2, 1e21 in the smallest unit, may not enter the density."""
    y, trial, errors = measured
    priors = {
        "intercept": Prior("Normal", mu=0, sigma=10 * unit),
        "tau": Prior("HalfNormal", sigma=2 * unit),
    }
    first = fit_known(y, trial, errors, **SHORT)
    other = fit_known(unit * y, trial, unit * errors, priors=priors, **SHORT)
    assert_same_draws(other, first, scale=unit)


def test_equal_known_errors_are_a_shared_scale_that_is_known(measured):
    y, trial, _ = measured
    known = fit_known(y, trial, np.full(len(y), 0.8))
    shared = HierarchicalNormalRegressor(
        random_state=0, priors={**WIDE, "sigma": known_scale(0.8, 1e-4)}
    ).fit(None, y, groups=trial)
    names = ["intercept", "tau_group", "effect_group"]
    assert_same_posterior(known, shared, names={n: n for n in names}, slack=1e-3)
    first, other = (m.shrinkage_.set_index("group") for m in (known, shared))
    np.testing.assert_allclose(first["no_pooling"], other["no_pooling"], rtol=1e-9)


def test_equal_known_errors_are_a_known_scale_with_several_factors(schools):
    priors = {"tau": Prior("HalfNormal", sigma=2)}
    equal = Data(
        schools.X, schools.y, schools.school, schools.year, np.full(len(schools.y), 0.9)
    )
    known = fit(equal, residual_scale="known", priors=priors)
    shared = fit(equal, priors={**priors, "sigma": known_scale(0.9, 1e-4)})
    names = list(dataset(known).data_vars)
    assert_same_posterior(known, shared, names={n: n for n in names}, slack=1e-3)


def test_a_row_of_infinite_error_says_nothing(measured):
    """An error of 1e8 leaves a group with its prior."""
    y, trial, errors = measured
    model = fit_known(np.append(y, 1e3), np.append(trial, 99), np.append(errors, 1e8))
    without = fit_known(y, trial, errors)
    names = ["intercept", "tau_group"]
    assert_same_posterior(model, without, names={n: n for n in names}, slack=1e-6)
    last = model.shrinkage_.set_index("group").loc[99]
    assert last["pooling"] > 1 - 1e-9
    assert last["partial_pooling"] == pytest.approx(model.intercept_, rel=1e-9)
