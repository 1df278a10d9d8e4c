"""Weights are frequencies: what their sum is taken for, and weights in the place of labels."""

import inspect

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS

from skhbm import DataWarning, HierarchicalNormalRegressor

pytestmark = FEW_DRAWS

N = 40
RNG = np.random.default_rng(2)
GROUPS = np.repeat(list("abcd"), N // 4)
Y = RNG.standard_normal(N) + np.repeat([0.0, 2.0, 3.0, 6.0], N // 4)
SUM = r"the largest is 0.5\). A weight .* their sum, 20, for the number of rows, of which 40"


def estimator(**parameters):
    return HierarchicalNormalRegressor(draws=50, tune=50, random_state=0, **parameters)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_a_sum_of_fractions_is_taken_for_is_said(method):
    with pytest.warns(DataWarning, match=SUM):
        getattr(estimator(), method)(None, Y, groups=GROUPS, sample_weight=np.full(N, 0.5))


def test_weights_of_mean_one_are_left_alone():
    estimator().fit(None, Y, groups=GROUPS, sample_weight=np.tile([0.5, 1.5], N // 2))


@pytest.mark.filterwarnings("ignore:All entries of `sample_weight`:skhbm.DataWarning")
@pytest.mark.parametrize("weight", [0.01, 0.025, 0.05])
def test_weights_that_sum_to_less_than_the_groups_are_named(weight):
    model = estimator()
    with pytest.raises(ValueError, match=r"The sum of `sample_weight` .* is not above the"):
        model.fit(None, Y, groups=GROUPS, sample_weight=np.full(N, weight))
    assert not hasattr(model, "coef_")


THIRD = "The third argument of `{}` is `groups`, .* could be weights. Name the argument"
WEIGHTS = {
    "whole numbers": RNG.integers(1, 4, N),
    "whole floats": RNG.integers(1, 4, N).astype(float),
    "fractions": RNG.integers(1, 4, N) / 2,
    "a list": RNG.integers(1, 4, N).tolist(),
    "a Series without a name": pd.Series(RNG.integers(1, 4, N)),
}


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_third_argument_that_could_be_weights_is_warned_of(method, weights):
    with pytest.warns(DataWarning, match=THIRD.format(method)):
        getattr(estimator(), method)(None, Y, weights)


def test_a_third_argument_of_score_that_could_be_weights_is_warned_of():
    numbers = np.repeat([1, 2, 3, 4], N // 4)
    model = estimator().fit(None, Y, groups=numbers)
    with pytest.warns(DataWarning, match=THIRD.format("score")):
        model.score(None, Y, numbers)


LABELS = {
    "words": GROUPS,
    "numbers from 0": np.repeat([0, 1, 2, 3], N // 4),
    "a Series with a name": pd.Series(np.repeat([1, 2, 3, 4], N // 4), name="site"),
    "large numbers": np.repeat([1001, 1002, 1003, 1004], N // 4),
    "many numbers": np.repeat(np.arange(1, 21), 2),
    "two factors": np.column_stack([np.arange(N) % 3, np.arange(N) % 4]) + 1,
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_a_third_argument_of_labels_is_left_alone(labels):
    estimator().fit(None, Y, labels)


def test_labels_with_the_name_of_the_argument_are_left_alone():
    numbers = np.repeat([1, 2, 3, 4], N // 4)
    model = estimator().fit(None, Y, groups=numbers)
    model.score(None, Y, groups=numbers)
    estimator().fit(None, Y, numbers, np.ones(N))


def test_signatures_are_those_of_the_methods():
    names = ["self", "X", "y", "groups", "sample_weight", "y_err"]
    assert list(inspect.signature(HierarchicalNormalRegressor.fit).parameters) == names
