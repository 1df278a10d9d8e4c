"""Small models of every structure, and the covariance of their rows written out."""

from dataclasses import dataclass

import numpy as np
from reference import dense_covariance, make_table

from skhbm import HierarchicalNormalRegressor, Prior

STRUCTURES = {
    "intercepts": {},
    "a slope": {"varying_slopes": [0]},
    "independent slopes": {"varying_slopes": "all", "correlated": False},
    "slopes without intercepts": {"varying_slopes": [1], "varying_intercept": False},
    "no intercept": {"fit_intercept": False, "varying_slopes": [0]},
    "by group": {"residual_scale": "by_group"},
    "by group, independent": {
        "residual_scale": "by_group",
        "varying_slopes": [0],
        "priors": {"sigma": Prior("HalfNormal", sigma=2)},
    },
}

#: Priors that do not move with the data, so that other rows have the same.
EXPLICIT = {
    "intercept": Prior("Normal", mu=2, sigma=3),
    "coef": Prior("Normal", mu=0, sigma=2),
    "tau": Prior("HalfNormal", sigma=1.5),
    "sigma": Prior("HalfNormal", sigma=2),
}


def rows_of(seed, sizes=(1, 2, 5, 9, 3, 12), **parameters):
    """Return X, y and group labels of simulated rows."""
    table = make_table(np.random.default_rng(seed), sizes, 2, **parameters)
    return table.X, table.y, np.array(list("abcdefghijklmnop"))[table.codes]


def fit(rows, **parameters):
    X, y, groups = rows
    model = HierarchicalNormalRegressor(random_state=0, **parameters)
    return model.fit(X, y, groups=groups)


@dataclass
class Draw:
    """One posterior draw, on the natural scale."""

    intercept: float
    coef: np.ndarray
    cov: np.ndarray
    sigma: np.ndarray
    slopes: np.ndarray
    varying_intercept: bool

    def mean(self, X):
        return self.intercept + X @ self.coef

    def terms(self, X):
        Z = X[:, self.slopes]
        return np.column_stack([np.ones(len(X)), Z]) if self.varying_intercept else Z

    def covariance(self, X, codes):
        """Covariance of rows, their groups' effects integrated out."""
        sigma = self.sigma[codes % len(self.sigma)]
        return dense_covariance(self.terms(X), codes, self.cov, sigma)


def draws_of(model, *, every=1):
    """Yield the draws in `posterior_` as `Draw`, with their numbers."""
    posterior = model.posterior_["posterior"].to_dataset()
    names = [str(name) for name in posterior["group_term"].to_numpy()]
    slopes = np.array([int(n.removeprefix("x")) for n in names if n != "intercept"], dtype=int)
    flat = {k: v.to_numpy().reshape(-1, *v.shape[2:]) for k, v in posterior.data_vars.items()}
    for s in range(0, len(flat["sigma"]), every):
        tau = flat["tau_group"][s]
        corr = flat["corr_group"][s] if "corr_group" in flat else np.eye(len(tau))
        yield (
            s,
            Draw(
                flat["intercept"][s] if "intercept" in flat else 0.0,
                flat["coef"][s],
                tau[:, None] * corr * tau,
                np.atleast_1d(flat["sigma"][s]),
                slopes,
                "intercept" in names,
            ),
        )
