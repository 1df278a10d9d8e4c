"""Small models of every structure, and the covariance of their rows written out."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
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
        """Return the covariance of rows, effects of their groups integrated out."""
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


#: A prior of a coefficient that is not integrated out.
STUDENT = Prior("StudentT", nu=4, mu=0, sigma=1.5)

#: With several factors: what varies by which of them, and the kind of residual scale.
SEVERAL_FACTORS = {
    "intercepts": {},
    "slopes of both": {"varying_slopes": {"school": [0], "town": "all"}},
    "slopes without intercepts": {
        "varying_slopes": {"school": [1], "town": [0]},
        "varying_intercept": {"town": False},
    },
    "no intercept": {"fit_intercept": False, "varying_slopes": {"town": [0]}},
    "known errors": {"residual_scale": "known", "varying_slopes": {"school": [0]}},
    "a sampled coefficient": {"varying_slopes": {"school": [0]}},
}


def explicit_priors(name):
    """Return priors of a structure of `SEVERAL_FACTORS` that do not move with the data."""
    priors = dict(EXPLICIT)
    if name == "known errors":
        del priors["sigma"]
    if name == "no intercept":
        del priors["intercept"]
    if name == "a sampled coefficient":
        priors["coef"] = {"x0": STUDENT, "x1": EXPLICIT["coef"]}
    return priors


def crossed_rows(seed, n=60, n_schools=7, n_towns=4, *, errors=False):
    """Return X, y and labels of schools crossed with towns, and known errors if asked for."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2))
    X[:, 0] += 0.5
    schools = np.concatenate(
        [np.arange(n_schools), rng.integers(n_schools, size=n - n_schools)]
    )
    towns = rng.permutation(np.arange(n) % n_towns)
    scale = rng.uniform(0.4, 1.2, size=n) if errors else np.full(n, 0.8)
    y = 2 + X @ [1.0, -0.5] + scale * rng.standard_normal(n)
    y += rng.standard_normal(n_schools)[schools] + 0.7 * rng.standard_normal(n_towns)[towns]
    y += 0.5 * X[:, 0] * rng.standard_normal(n_schools)[schools]
    labels = {
        "school": np.array(list("abcdefghijklmnop"))[schools],
        "town": np.array(list("stuvwxyz"))[towns],
    }
    groups = pd.DataFrame(labels)
    return (X, y, groups, scale) if errors else (X, y, groups)


def fit_several_factors(name, rows, **parameters):
    """Fit a structure of `SEVERAL_FACTORS` with explicit priors."""
    X, y, groups, *errors = rows
    parameters = {"random_state": 0, "priors": explicit_priors(name), **parameters}
    model = HierarchicalNormalRegressor(**SEVERAL_FACTORS[name], **parameters)
    return model.fit(X, y, groups=groups, y_err=errors[0] if errors else None)


@dataclass
class Varying:
    """The effects of one factor in one posterior draw."""

    cov: np.ndarray
    effects: np.ndarray
    positions: np.ndarray

    def terms(self, X):
        return np.column_stack([np.ones(len(X)), X])[:, self.positions]

    def offset(self, X, codes):
        """Return what drawn effects add to each row."""
        return np.sum(self.terms(X) * self.effects[codes], axis=1)

    def covariance(self, X, codes):
        """Return the covariance of rows whose group's effects are integrated out."""
        return dense_covariance(self.terms(X), codes, self.cov, np.zeros(len(X)))


@dataclass
class SeveralFactorsDraw:
    """One posterior draw with several factors, on the natural scale."""

    intercept: float
    coef: np.ndarray
    sigma: np.ndarray
    factors: list

    def mean(self, X):
        return self.intercept + X @ self.coef

    def noise(self, n, errors=()):
        """Return standard deviations of n rows, which may be known."""
        return errors[0] if errors else np.full(n, self.sigma[0])

    def marginal(self, name, X, codes, errors=()):
        """Return mean and covariance of rows under `explicit_priors`, noise included.

        All effects and the coefficients with normal priors are integrated out. `codes` are
        those of levels among themselves, whether they were fitted or not.
        """
        sampled = name == "a sampled coefficient"
        mean = np.full(len(X), 0.0 if name == "no intercept" else 2.0)
        mean += sampled * self.coef[0] * X[:, 0]
        cov = np.diag(self.noise(len(X), errors) ** 2) + 9.0 * (name != "no intercept")
        cov += 4.0 * X[:, int(sampled) :] @ X[:, int(sampled) :].T
        for factor, code in zip(self.factors, codes.T, strict=True):
            cov += factor.covariance(X, code)
        return mean, cov


def codes_among(model, groups):
    """Return the codes of labels in each factor (n, n_factors), -1 for new ones."""
    return np.column_stack(
        [pd.Index(model.groups_[name]).get_indexer(groups[name]) for name in model.groups_]
    )


def draws_of_several_factors(model, *, every=1):
    """Yield the draws in `posterior_` as `SeveralFactorsDraw`, with their numbers."""
    posterior = model.posterior_["posterior"].to_dataset()
    flat = {k: v.to_numpy().reshape(-1, *v.shape[2:]) for k, v in posterior.data_vars.items()}
    names = ["intercept", *(str(k) for k in posterior["feature"].to_numpy())]
    for s in range(0, len(flat["coef"]), every):
        factors = []
        for f in model.groups_:
            tau = flat[f"tau_{f}"][s]
            corr = flat[f"corr_{f}"][s] if f"corr_{f}" in flat else np.eye(len(tau))
            positions = np.array([names.index(k) for k in posterior[f"{f}_term"].to_numpy()])
            factors.append(
                Varying(tau[:, None] * corr * tau, flat[f"effect_{f}"][s], positions)
            )
        intercept = flat["intercept"][s] if "intercept" in flat else 0.0
        sigma = np.atleast_1d(flat["sigma"][s]) if "sigma" in flat else np.zeros(1)
        yield s, SeveralFactorsDraw(intercept, flat["coef"][s], sigma, factors)
