"""Targets that a normal response is not meant for are warned of, once, and by name."""

import warnings

import numpy as np
import pytest
from marks import FEW_DRAWS

from skhbm import DataWarning, HierarchicalNormalRegressor
from skhbm._inputs.response import warn_if_not_normal

pytestmark = FEW_DRAWS

RNG = np.random.default_rng(4)
GROUPS = np.repeat(list("abcde"), 20)
N = len(GROUPS)
CLASSES = (
    "`y` has two values only, {}.* HierarchicalLogisticRegression is meant for two classes"
)
COUNTS = "`y` has whole numbers from 0 to {} only.* HierarchicalPoissonRegressor and H"
TIMES = np.arange(N) % 5


def estimator(**parameters):
    return HierarchicalNormalRegressor(draws=50, tune=50, random_state=0, **parameters)


WARNED = {
    "truth values": (RNG.random(N) < 0.4, CLASSES.format("0 and 1")),
    "0 and 1": (RNG.integers(0, 2, N), CLASSES.format("0 and 1")),
    "other two values": (np.where(RNG.random(N) < 0.4, -1.0, 1.0), CLASSES.format("-1 and 1")),
    "counts": (TIMES * (RNG.random(N) < 0.7), COUNTS.format(4)),
}


@pytest.mark.parametrize(("y", "message"), WARNED.values(), ids=WARNED)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_classes_and_counts_are_named_once(y, message, method):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(estimator(), method)(None, y, groups=GROUPS)
    found = [warning for warning in caught if warning.category is DataWarning]
    assert len(found) == 1
    assert found[0].filename == __file__
    with pytest.warns(DataWarning, match=message):
        warn_if_not_normal(np.asarray(y, dtype=float))


@pytest.mark.parametrize("mean", [0.5, 1, 2, 3])
def test_draws_of_a_poisson_distribution_are_counts(mean):
    with pytest.warns(DataWarning, match="as counts have"):
        warn_if_not_normal(RNG.poisson(mean, 300).clip(max=9).astype(float))


SILENT = {
    "ratings from 1 to 5": RNG.integers(1, 6, 300),
    "scores from 0 to 10": RNG.integers(0, 11, 300),
    "scores from 0 to 9, most of them high": RNG.binomial(9, 0.6, 300),
    "few rows": [0, 1, 0, 1, 1],
    "counts of many values": RNG.poisson(30, 300),
    "fractions": RNG.integers(0, 4, 300) / 2,
    "whole numbers that are far apart": RNG.integers(0, 4, 300) * 50,
    "whole numbers on both sides of 0": RNG.integers(-3, 4, 300),
    "a constant": np.zeros(20),
}


@pytest.mark.parametrize("y", SILENT.values(), ids=SILENT)
def test_other_targets_are_left_alone(y):
    warn_if_not_normal(np.asarray(y, dtype=float))


def test_the_category_can_be_filtered():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        estimator().fit(None, RNG.integers(0, 2, N), groups=GROUPS)


@pytest.mark.parametrize("dtype", [str, object, "category"])
def test_words_need_a_classifier(dtype):
    import pandas as pd

    y = pd.Series(np.where(RNG.random(N) < 0.4, "yes", "no")).astype(dtype)
    model = estimator()
    with pytest.raises(ValueError, match="HierarchicalNormalRegressor is a regressor"):
        model.fit(None, y, groups=GROUPS)
    assert not hasattr(model, "coef_")


def test_words_leave_a_fitted_estimator_as_it_was():
    model = estimator().fit(None, RNG.standard_normal(N), groups=GROUPS)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="is a regressor"):
        model.fit(None, ["yes"] * N, groups=GROUPS)
    assert vars(model) == before
