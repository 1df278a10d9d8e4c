"""Default priors are weak against what they are priors of, whichever group has most rows.

Coverage of intervals under these priors is tested in laws/test_calibration.
"""

import numpy as np
import pytest

from skhbm import HierarchicalNormalRegressor

WIDTH = 2.5


def fit(y, groups, y_err=None, **parameters):
    known = {} if y_err is None else {"residual_scale": "known"}
    settings = {"solver": "laplace", "random_state": 0, **known, **parameters}
    return HierarchicalNormalRegressor(**settings).fit(None, y, groups=groups, y_err=y_err)


def scales(model):
    """Return the scales of the default priors of the intercept and of the integrated tau."""
    priors = model._priors
    return priors.intercept.parameters["sigma"], priors.tau[-1][0].parameters["sigma"]


def studies(least_error, seed=0, n=12):
    """Return estimates whose true values have sd 1, with errors of which one is so small."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 1, n)
    errors = np.append(least_error, rng.uniform(0.2, 0.4, n - 1))
    return truth + errors * rng.standard_normal(n), np.arange(n), errors


def groups_of(largest, seed=1, n_groups=12):
    """Return rows of sd 0.1 of groups whose means have sd 5; the first has most rows."""
    rng = np.random.default_rng(seed)
    means = rng.normal(0, 5, n_groups)
    codes = np.repeat(np.arange(n_groups), [largest, *[3] * (n_groups - 1)])
    return means[codes] + 0.1 * rng.standard_normal(len(codes)), codes


@pytest.mark.parametrize("error", [0.01, 1e-4])
def test_a_precise_study_leaves_priors_as_wide_as_the_studies_are_apart(error):
    y, study, errors = studies(error)
    between = np.sqrt(np.var(y) - np.mean(errors**2))
    assert scales(fit(y, study, errors)) == pytest.approx([WIDTH * between] * 2, rel=1e-12)


@pytest.mark.parametrize("largest", [3_000, 30_000])
def test_a_huge_group_leaves_priors_as_wide_as_the_groups_are_apart(largest):
    y, group = groups_of(largest)
    n = np.bincount(group)
    means = np.bincount(group, y) / n
    within = np.sum((y - means[group]) ** 2) / (len(y) - len(n))
    between = np.sqrt(np.var(means) - np.mean(within / n))
    model = fit(y, group)
    assert scales(model) == pytest.approx([WIDTH * between] * 2, rel=1e-9)
    assert model.group_scale_[0] == pytest.approx(np.std(means, ddof=1), rel=0.3)


@pytest.mark.parametrize("seed", range(5))
def test_groups_of_equal_size_have_the_priors_of_the_sd_of_their_rows(seed):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(6), 4)
    y = rng.normal(0, rng.uniform(0, 5), 6)[group] + rng.standard_normal(24)
    assert scales(fit(y, group)) == pytest.approx([WIDTH * np.std(y)] * 2, rel=1e-12)


def test_each_factor_has_the_scale_of_its_own_groups():
    y, school = groups_of(3_000)
    year = np.random.default_rng(2).integers(0, 4, len(y))
    model = fit(y, {"school": school, "year": year}, solver="nuts")
    of_school, of_year = model._priors.tau
    assert of_year[0].parameters["sigma"] == pytest.approx(WIDTH * np.std(y), rel=1e-9)
    assert of_school[0].parameters["sigma"] > 5 * WIDTH * np.std(y)
