"""The data and the priors that every package is given. NumPy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["KINDS", "SIZES", "Case", "make_case"]


class Size(NamedTuple):
    """How many rows, groups and features; S has three groups of given sizes."""

    rows: int
    groups: int
    features: int
    what: str


SIZES = {
    "S": Size(120, 3, 0, "three groups of 20, 40 and 60 rows"),
    "M": Size(5_000, 100, 5, "5,000 rows, 100 groups, 5 features"),
    "L": Size(100_000, 1_000, 10, "100,000 rows, 1,000 groups, 10 features"),
    "XL": Size(1_000_000, 10_000, 10, "1,000,000 rows, 10,000 groups, 10 features"),
}
KINDS = ("intercepts", "slopes")
#: Group coefficients that effective sample sizes are computed for, at the most.
JUDGED = 100


class Case(NamedTuple):
    """Rows, and one prior for each parameter.

    With z a row of Z, 1 and the feature whose slope varies, w one of W, the other features,
    and g its group, ``y = z @ b[g] + w @ coef + noise``. The b are normal about `population`.

    Attributes
    ----------
    X : ndarray of shape (n, p)
        Features, each with mean zero: the intercept at x = 0 is that at the mean of X, so
        all packages can be given the same prior of it.
    y : ndarray of shape (n,)
    groups : ndarray of int of shape (n,)
    n_groups : int
    q : int
        Number of varying terms: 1, or 2 with a slope, that of the first feature.
    """

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray
    n_groups: int
    q: int

    @property
    def Z(self):
        return np.column_stack([np.ones(len(self.y)), self.X[:, : self.q - 1]])

    @property
    def W(self):
        return np.ascontiguousarray(self.X[:, self.q - 1 :])

    @property
    def judged(self):
        """Which groups count in effective sample sizes: the same of every package."""
        return slice(None, None, max(1, self.n_groups // JUDGED))

    @property
    def names(self):
        """Names of the hyperparameters, in the order in which draws of them are compared."""
        features = [f"x{k}" for k in range(self.X.shape[1])]
        taus = ["tau_intercept", "tau_x0"][: self.q]
        return ["intercept", *features, *taus, "sigma", *["corr"][: self.q - 1]]

    @property
    def priors(self):
        """Scales of skhbm's default priors, which are those of rstanarm and bambi, nearly.

        Normal(mean of y, unit) for the intercept, Normal(0, unit / sd of x) for coefficients,
        half-normal with the same scales for tau and sigma.
        """
        unit = 2.5 * self.y.std()
        scales = unit / self.X.std(axis=0)
        return {
            "mean": np.r_[self.y.mean(), np.zeros(self.q - 1)],
            "population": np.r_[unit, scales[: self.q - 1]],
            "coef": scales[self.q - 1 :],
            "sigma": unit,
        }


def make_case(size, kind, *, small=False):
    """Simulate the rows of a size; small keeps the structure only, to fill caches with.

    Groups have sizes as they come by chance, but in S. The standard deviation between
    intercepts is 0.7, between slopes 0.4, their correlation 0.5; that of the noise is 1.
    """
    rows, n_groups, features, _ = SIZES[size]
    if small and size != "S":
        rows, n_groups = 200, 10
    rng = np.random.default_rng([list(SIZES).index(size), KINDS.index(kind)])
    if size == "S":
        groups = np.repeat(np.arange(3), (20, 40, 60))
    else:
        groups = rng.integers(0, n_groups, rows)
        groups[:n_groups] = np.arange(n_groups)
    q = 1 + (kind == "slopes")
    X = rng.standard_normal((rows, max(features, q - 1)))
    X -= X.mean(axis=0)
    coef = np.linspace(-1, 1, X.shape[1]) if X.shape[1] > 1 else np.full(X.shape[1], 0.5)
    covariance = [[0.49, 0.14], [0.14, 0.16]]
    u = rng.multivariate_normal([0.0, 0.0], covariance, n_groups)[:, :q]
    y = 2 + X @ coef + u[groups, 0] + rng.standard_normal(rows)
    if q > 1:
        y += u[groups, 1] * X[:, 0]
    return Case(X, y, groups, n_groups, q)
