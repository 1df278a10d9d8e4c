"""Small data for each response, and the estimators that are fitted to them."""

import functools

import numpy as np
import pandas as pd
from scipy.special import expit

import skhbm

#: Names of the classes by response.
CLASSES = {
    "logistic": "HierarchicalLogisticRegression",
    "binomial": "HierarchicalBinomialRegressor",
    "poisson": "HierarchicalPoissonRegressor",
    "negative binomial": "HierarchicalNegativeBinomialRegressor",
    "student t": "HierarchicalStudentTRegressor",
}
#: What users call the sizes of rows.
SIZES = {"binomial": "trials", "poisson": "exposure", "negative binomial": "exposure"}
N_GROUPS = 12


class Data:
    """Rows of a response: X, y, labels, and sizes by their name."""

    def __init__(self, X, y, groups, size):
        self.X, self.y, self.groups, self.size = X, y, groups, size

    def rows(self, which):
        """Return the arguments of `fit` for some of the rows."""
        size = {name: values[which] for name, values in self.size.items()}
        asked = {"X": self.X.iloc[which], "y": self.y[which], "groups": self.groups.iloc[which]}
        return {**asked, **size}

    @property
    def all(self):
        return self.rows(np.arange(len(self.y)))


def simulate(response, *, n=240, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(N_GROUPS, size=n)
    X = pd.DataFrame({"a": rng.standard_normal(n), "b": np.round(rng.standard_normal(n))})
    eta = 0.3 + 0.5 * X["a"].to_numpy() + 0.7 * rng.standard_normal(N_GROUPS)[codes]
    trials, exposure = rng.integers(1, 9, size=n), np.round(rng.uniform(0.5, 3, size=n), 2)
    y, size = {
        "logistic": lambda: (np.where(rng.random(n) < expit(eta), "yes", "no"), {}),
        "binomial": lambda: (rng.binomial(trials, expit(eta)), {"trials": trials}),
        "poisson": lambda: (rng.poisson(exposure * np.exp(eta)), {"exposure": exposure}),
        "negative binomial": lambda: (
            rng.poisson(exposure * np.exp(eta) * rng.gamma(2, 0.5, size=n)),
            {"exposure": exposure},
        ),
        "student t": lambda: (eta + 0.5 * rng.standard_t(3, size=n), {}),
    }[response]()
    return Data(X, y, pd.Series(codes, name="site").map(lambda code: f"s{code:02}"), size)


def make(response, **parameters):
    parameters = {"solver": "laplace", "random_state": 0, **parameters}
    return getattr(skhbm, CLASSES[response])(**parameters)


@functools.cache
def fitted(response, slopes=False):
    """A model of all rows, which tests must not change."""
    return make(response, varying_slopes=["a"] if slopes else None).fit(**simulate(response).all)
