"""Rows of five named sites, and models of every structure with one factor."""

from functools import cache

import numpy as np
import pandas as pd

from skhbm import HierarchicalNormalRegressor, Prior

J, SIZE = 5, 16
RNG = np.random.default_rng(79)
SITES = np.array(["east", "north", "south", "west", "zenith"])
CODES = RNG.permuted(np.repeat(np.arange(J), SIZE))
FRAME = pd.DataFrame(RNG.normal(1, 2, size=(J * SIZE, 2)), columns=["age", "dose"])
SITE = pd.Series(SITES[CODES], name="site")

Y = pd.Series(
    FRAME.to_numpy() @ [1.0, -0.5]
    + np.linspace(-10, 10, J)[CODES]
    + RNG.standard_normal(len(CODES)),
    name="y",
)


def estimator(**parameters):
    return HierarchicalNormalRegressor(
        **{"draws": 50, "tune": 50, "random_state": 0, **parameters}
    )


def fit(**parameters):
    return estimator(**parameters).fit(FRAME, Y, groups=SITE)


STRUCTURES = {
    "intercepts": {},
    "one slope": {"varying_slopes": ["dose"]},
    "all slopes": {"varying_slopes": "all"},
    "independent slopes": {"varying_slopes": ["dose"], "correlated": False},
    "a slope without intercepts": {"varying_slopes": ["age"], "varying_intercept": False},
    "no intercept": {"fit_intercept": False},
    "by group": {"residual_scale": "by_group"},
    "by group, independent": {
        "residual_scale": "by_group",
        "priors": {"sigma": Prior("HalfNormal", sigma=2)},
    },
}

TERMS = {
    "one slope": ["intercept", "dose"],
    "all slopes": ["intercept", "age", "dose"],
    "independent slopes": ["intercept", "dose"],
    "a slope without intercepts": ["age"],
}


@cache
def fitted(structure):
    """Return the model of a structure, the same at every call."""
    return fit(**STRUCTURES[structure])


def terms_of(structure):
    """Return the names of what varies by site."""
    return TERMS.get(structure, ["intercept"])
