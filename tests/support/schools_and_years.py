"""Rows of schools that cross with years, and models of every structure with both factors."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from skhbm import HierarchicalNormalRegressor, Prior

SCHOOLS = np.array(["ash", "elm", "fir", "oak", "yew"])
YEARS = np.array([2020, 2021, 2022, 2023, 2024])
SHORT = {"draws": 30, "tune": 60, "chains": 2}


@dataclass
class Data:
    X: np.ndarray
    y: np.ndarray
    school: np.ndarray
    year: np.ndarray
    errors: np.ndarray

    @property
    def groups(self):
        return {"school": SCHOOLS[self.school], "year": YEARS[self.year]}

    def __getitem__(self, at):
        return Data(self.X[at], self.y[at], self.school[at], self.year[at], self.errors[at])


def simulate(seed=59, n=110):
    rng = np.random.default_rng(seed)
    school, year = rng.integers(0, 5, n), np.minimum(rng.geometric(0.4, n) - 1, 4)
    X = np.array([0.5, 1.0]) + rng.standard_normal((n, 2))
    y = 3 + X @ [1.0, -0.5] + rng.normal(0, [1.0, 0.6], (5, 2))[school, 0]
    y += 0.8 * rng.standard_normal(5)[year] + 0.5 * rng.standard_normal(5)[school] * X[:, 0]
    errors = np.exp(rng.normal(-0.3, 0.4, n))
    return Data(X, y + errors * rng.standard_normal(n), school, year, errors)


def fit(data, groups=None, **parameters):
    known = parameters.get("residual_scale") == "known"
    model = HierarchicalNormalRegressor(**{"random_state": 0, **parameters})
    groups = data.groups if groups is None else groups
    return model.fit(data.X, data.y, groups=groups, y_err=data.errors if known else None)


STRUCTURES = {
    "intercepts": {},
    "slopes in one": {"varying_slopes": {"school": ["x0"]}},
    "slopes in both": {
        "varying_slopes": {"school": "all", "year": [1]}, "correlated": {"school": False},
    },
    "slopes alone in one": {
        "varying_slopes": {"year": [0]}, "varying_intercept": {"year": False},
    },
    "informative priors": {
        "varying_slopes": {"year": [1]}, "priors": {"sigma": Prior("HalfNormal", sigma=2)},
    },
    "known": {"residual_scale": "known"},
    "known, slopes": {"residual_scale": "known", "varying_slopes": [0]},
}  # fmt: skip

TERMS = {
    "slopes in one": {"school": ["intercept", "x0"]},
    "slopes in both": {"school": ["intercept", "x0", "x1"], "year": ["intercept", "x1"]},
    "slopes alone in one": {"year": ["x0"]},
    "informative priors": {"year": ["intercept", "x1"]},
    "known, slopes": {"school": ["intercept", "x0"], "year": ["intercept", "x0"]},
}


def table_of(model, f):
    table = model.shrinkage_
    return table[table["factor"] == f].set_index(["group", "coefficient"])


def known_scale(value, precision=1e-3):
    """Return a prior that leaves a positive parameter little doubt."""
    return Prior("LogNormal", mu=float(np.log(value)), sigma=precision)


def pair(data, **other):
    return {**data.groups, **other}


N_ROWS = 110

#: Each factor known, new and missing. Rows 3 and 4 share a new school, 4 and 5 a new year.
LABELS = {
    "school": np.array(
        ["ash", "ash", "oak", "new", "new", "other", None, None, "fir", "yew", "ash"], object
    ),
    "year": np.array(
        [2020, 2023, 2023, 2021, 1999, 1999, 2022, None, 1998, None, 2020], object
    ),
}


@cache
def fitted(structure):
    """Return the model of a structure, the same at every call."""
    data = simulate()
    frame = pd.DataFrame(data.X, columns=["x0", "x1"])
    named = Data(frame, data.y, data.school, data.year, data.errors)
    return fit(named, **STRUCTURES[structure])


def terms_of(structure):
    """Return the names of what varies by each factor."""
    return {f: TERMS.get(structure, {}).get(f, ["intercept"]) for f in ("school", "year")}
