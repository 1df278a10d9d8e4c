"""Rows of five sites, and estimators that take their labels by keyword or by column."""

import numpy as np
import pandas as pd

from skhbm import HierarchicalNormalRegressor

RNG = np.random.default_rng(137)
CODES = RNG.permuted(np.repeat(np.arange(5), 12))
FRAME = pd.DataFrame(RNG.normal(1, 2, size=(len(CODES), 2)), columns=["age", "dose"])
SITE = pd.Series(np.array(["east", "north", "south", "west", "zenith"])[CODES], name="site")
#: The features, and the labels as their last column.
TABLE = FRAME.assign(site=SITE)
Y = pd.Series(
    FRAME.to_numpy() @ [1.0, -0.5]
    + np.linspace(-10, 10, 5)[CODES]
    + 0.7 * RNG.standard_normal(5)[CODES] * FRAME["dose"].to_numpy()
    + RNG.standard_normal(len(CODES)),
    name="y",
)


def by_keyword(**parameters):
    """Return an estimator that takes labels by `groups=`."""
    given = {"draws": 50, "tune": 50, "random_state": 0, **parameters}
    return HierarchicalNormalRegressor(**given)


def by_column(**parameters):
    """Return an estimator that takes labels from the column "site" of X."""
    return by_keyword(**{"group_features": "site", **parameters})


def assert_same(actual, expected):
    """Assert equality but for rounding."""
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)
