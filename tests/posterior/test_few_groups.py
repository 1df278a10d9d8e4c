"""The summary says once that a spread between few groups is largely its prior's."""

import warnings

import numpy as np
import pytest
from marks import FEW_DRAWS

from skhbm import DataWarning, HierarchicalNormalRegressor, Prior

pytestmark = FEW_DRAWS

RNG = np.random.default_rng(5)
DAYS, SITES = np.arange(60) % 6, np.arange(60) // 20
Y = RNG.standard_normal(60) + SITES + RNG.standard_normal(6)[DAYS]


def fitted(priors=None):
    model = HierarchicalNormalRegressor(draws=50, tune=50, random_state=0, priors=priors)
    return model.fit(None, Y, groups={"site": SITES, "day": DAYS})


def said_by(model, *names):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.summary(*names)
    return [str(found.message) for found in caught if found.category is DataWarning]


def test_few_groups_are_said_once_and_not_of_many():
    model = fitted()
    first, second = said_by(model), said_by(model)
    assert len(first) == 1
    assert first[0].startswith("There are 3 groups of 'site' only")
    assert second == []


def test_the_warning_is_at_the_line_of_the_user():
    with pytest.warns(DataWarning, match="There are 3 groups of 'site' only") as caught:
        fitted().summary()
    assert caught[0].filename == __file__


@pytest.mark.parametrize("name", ["tau", "tau_site"])
def test_a_prior_that_was_chosen_is_meant(name):
    assert said_by(fitted({name: Prior("HalfNormal", sigma=1)})) == []


def test_a_table_without_the_spread_says_nothing():
    assert said_by(fitted(), ["intercept"]) == []
