"""Rows of six sites, the scorers, and what searches should find with them, in loops by hand."""

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import norm
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from skhbm import HierarchicalNormalRegressor
from skhbm.metrics import (
    coverage,
    coverage_scorer,
    interval_scorer,
    log_score,
    neg_crps,
    neg_interval_score,
    neg_root_mean_squared_error,
    r2,
)

#: Scorers of means, and below them scorers of distributions.
POINT = {"r2": r2, "neg_root_mean_squared_error": neg_root_mean_squared_error}

PREDICTIVE = {
    "log_score": log_score,
    "neg_crps": neg_crps,
    "neg_interval_score": neg_interval_score,
    "coverage": coverage,
    "interval_scorer(coverage=0.5)": interval_scorer(coverage=0.5),
    "coverage_scorer(coverage=0.5)": coverage_scorer(coverage=0.5),
}

SCORERS = {**POINT, **PREDICTIVE}
RNG = np.random.default_rng(97)
N, J = 72, 6
GROUPS = np.array(list("abcdef"))[np.arange(N) % J]
X = RNG.normal(2, 3, size=(N, 1))
Y = X[:, 0] + 4 * ndtri((np.arange(J) + 0.5) / J)[np.arange(N) % J] + RNG.standard_normal(N)
TABLE = pd.DataFrame({"dose": X[:, 0], "site": GROUPS})
WEIGHTS = RNG.integers(0, 4, size=N)
ROUTING = {"enable_metadata_routing": True}


def estimator(**parameters):
    small = {"draws": 40, "tune": 60, "chains": 2, "n_jobs": 1, "random_state": 0}
    return HierarchicalNormalRegressor(**{**small, **parameters})


class Normal(RegressorMixin, BaseEstimator):
    """Another estimator of a distribution: one normal, whatever the features."""

    def fit(self, X, y):
        self.mean_, self.sd_ = np.mean(y), np.std(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)

    def log_predictive_density(self, X, y):
        return norm.logpdf(y, self.mean_, self.sd_)

    def predict_quantiles(self, X, quantiles):
        return np.tile(norm.ppf(quantiles, self.mean_, self.sd_), (len(X), 1))


ERRORS = RNG.uniform(0.5, 2.0, size=12)


def by_hand(model, scorer, cv, rows):
    """Return cross-validated scores of X, Y and other arguments by row."""
    scores = []
    for train, test in cv.split(X):
        fitted = clone(model).fit(X[train], Y[train], **{k: v[train] for k, v in rows.items()})
        scores.append(scorer(fitted, X[test], Y[test], **{k: v[test] for k, v in rows.items()}))
    return scores


CV = KFold(2, shuffle=True, random_state=0)
GRID = {"varying_slopes": [None, [0]]}


def scaled():
    return StandardScaler().fit(X)
