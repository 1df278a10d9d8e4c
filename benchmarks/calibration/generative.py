"""Models to simulate from: parameters from their priors, rows given parameters.

Written with SciPy from what the documentation says of the model, without the package, so that
it can disagree with it. The priors are fixed numbers: under the default ones, which are
scaled by y, there is no distribution that both parameters and rows come from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import numpy as np
from scipy import stats

#: Standard deviations of the normal priors, and scales of the half-normal ones.
INTERCEPT_SD, COEF_SD, SIGMA_SCALE = 2.0, 1.0, 1.0
TAU_SCALES = {"intercept": 1.0, "x0": 0.5, "x1": 0.5}
#: Under ``residual_scale="by_group"``, log sigma_j ~ Normal(m, s): sd of m, whose mean is 0,
#: and scale of s. These are the documented defaults, at a scale of y of one.
LOG_MEAN_SD, LOG_SD_SCALE = 1.0, 0.4
FEATURES = ("x0", "x1")
#: Rows to predict of each known group, and new groups, of a row each.
HELD_OUT, NEW_GROUPS = 2, 8


@dataclass(frozen=True)
class Structure:
    """What varies by what.

    Parameters
    ----------
    slopes : dict of str to tuple of int
        For each factor the features whose coefficients vary.
    sizes : dict of str to int
        Groups of each factor.
    rows : int
        Rows in each cell, a group or a combination of groups.
    by_group : bool
        Whether residual scales are by group.
    """

    slopes: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"group": ()})
    sizes: dict[str, int] = field(default_factory=lambda: {"group": 8})
    rows: int = 5
    by_group: bool = False

    def terms(self, factor):
        """Return the names of the terms that vary by a factor."""
        return ("intercept", *(FEATURES[k] for k in self.slopes[factor]))


STRUCTURES = {
    "intercepts": Structure(),
    "slopes": Structure(slopes={"group": (0, 1)}, rows=6),
    "by_group": Structure(by_group=True, rows=6),
    "two factors": Structure(
        slopes={"school": (0,), "town": ()}, sizes={"school": 7, "town": 5}, rows=2
    ),
}


@dataclass(frozen=True)
class Rows:
    """Rows of the fit, or rows to predict: features (n, 2) and codes of the groups (n,)."""

    X: np.ndarray
    codes: dict[str, np.ndarray]

    def __len__(self):
        return len(self.X)

    def labels(self, prefix=""):
        """Return labels (n,) of the groups, sorted as codes are while these are digits."""
        return {
            factor: np.array([f"{prefix}{factor} {code}" for code in codes])
            for factor, codes in self.codes.items()
        }


def make_rows(structure, seed=0):
    """Return rows of each kind; they are the same in all simulations of a structure.

    "fit" are the rows of the fit, "known" others of the same groups, "new" those of groups
    that the fit has not seen, of all factors.
    """
    rng = np.random.default_rng(seed)
    sizes = list(structure.sizes.values())
    cells = np.indices(sizes).reshape(len(sizes), -1)
    drawn = cells if len(sizes) == 1 else cells[:, rng.integers(prod(sizes), size=max(sizes))]
    codes = {
        "fit": np.repeat(cells, structure.rows, axis=1),
        "known": np.repeat(drawn, HELD_OUT, axis=1),
        "new": np.arange(NEW_GROUPS) % np.array(sizes)[:, None],
    }
    center = np.array([0.5, 0.0])
    return {
        kind: Rows(
            center + rng.standard_normal((own.shape[1], len(FEATURES))),
            dict(zip(structure.sizes, own, strict=True)),
        )
        for kind, own in codes.items()
    }


def draw_hyperparameters(structure, rng):
    """Draw from the priors all that is not of single groups.

    Parameters are named as in ``posterior_``, and have a first axis as draws have there, here
    of length one.
    """
    drawn = {
        "intercept": rng.normal(0, INTERCEPT_SD, size=1),
        "coef": rng.normal(0, COEF_SD, size=(1, len(FEATURES))),
    }
    for factor in structure.sizes:
        terms = structure.terms(factor)
        scales = np.array([TAU_SCALES[term] for term in terms])
        drawn[f"tau_{factor}"] = np.abs(rng.normal(0, scales, size=(1, len(terms))))
        if len(terms) > 1:
            drawn[f"corr_{factor}"] = draw_correlations(len(terms), rng)[None]
    if structure.by_group:
        drawn["log_sigma_mean"] = rng.normal(0, LOG_MEAN_SD, size=1)
        drawn["log_sigma_sd"] = np.abs(rng.normal(0, LOG_SD_SCALE, size=1))
    else:
        drawn["sigma"] = np.abs(rng.normal(0, SIGMA_SCALE, size=1))
    return drawn


def draw_groups(hyperparameters, structure, n, rng):
    """Draw effects and residual scales of all groups n times, given one draw of the rest."""
    drawn = dict(hyperparameters)
    for factor, size in structure.sizes.items():
        tau = hyperparameters[f"tau_{factor}"][0]
        corr = hyperparameters.get(f"corr_{factor}", np.ones((1, 1, 1)))[0]
        cov, zero = tau[:, None] * corr * tau, np.zeros(len(tau))
        effects = rng.multivariate_normal(zero, cov, size=(n, size), method="eigh")
        drawn[f"effect_{factor}"] = effects
    if structure.by_group:
        mean, sd = hyperparameters["log_sigma_mean"][0], hyperparameters["log_sigma_sd"][0]
        size = next(iter(structure.sizes.values()))
        drawn["sigma"] = np.exp(rng.normal(mean, sd, size=(n, size)))
    return drawn


def draw_correlations(n, rng):
    """Draw a correlation matrix from LKJ(2), whose density is its determinant: by rejection."""
    while True:
        corr = np.eye(n)
        corr[np.tril_indices(n, -1)] = rng.uniform(-1, 1, size=n * (n - 1) // 2)
        corr = np.tril(corr) + np.tril(corr, -1).T
        # Determinants of matrices that are not positive definite may be positive.
        if np.linalg.eigvalsh(corr)[0] > 0 and rng.uniform() < np.linalg.det(corr):
            return corr


def linear_predictor(parameters, structure, rows):
    """Return the mean of each row given each draw of the parameters (n_draws, n)."""
    mean = parameters["intercept"][:, None] + parameters["coef"] @ rows.X.T
    for factor, slopes in structure.slopes.items():
        Z = np.column_stack([np.ones(len(rows)), rows.X[:, slopes]])
        own = parameters[f"effect_{factor}"][:, rows.codes[factor]]
        mean = mean + np.sum(own * Z, axis=2)
    return mean


def residual_scale(parameters, structure, rows):
    """Return the residual scale of each row given each draw (n_draws, n or 1)."""
    sigma = parameters["sigma"]
    first = next(iter(structure.sizes))
    return sigma[:, rows.codes[first]] if structure.by_group else sigma[:, None]


def draw_target(parameters, structure, rows, n, rng):
    """Draw y (n, n_rows) given one draw of the parameters, or n."""
    mean = linear_predictor(parameters, structure, rows)
    scale = residual_scale(parameters, structure, rows)
    return rng.normal(mean, scale, size=(n, len(rows)))


def quantities(parameters, structure, rows, y):
    """Return what is ranked, of each draw (n_draws,): parameters, and functions of them.

    Of groups the first, which says of all: they are exchangeable. The standard deviation of all
    effects shows whether they spread enough, the log likelihood errors that no parameter alone
    shows, such as a posterior that is the prior (Modrák et al. 2023,
    https://doi.org/10.1214/23-BA1404).
    """
    values = {"intercept": parameters["intercept"]}
    values |= {f"coef[{name}]": parameters["coef"][:, k] for k, name in enumerate(FEATURES)}
    for factor in structure.sizes:
        terms = structure.terms(factor)
        effects = parameters[f"effect_{factor}"]
        for a, term in enumerate(terms):
            values[f"tau_{factor}[{term}]"] = parameters[f"tau_{factor}"][:, a]
            values[f"effect_{factor}[0, {term}]"] = effects[:, 0, a]
            values[f"sd of effect_{factor}[:, {term}]"] = effects[:, :, a].std(axis=1)
            for b in range(a):
                corr = parameters[f"corr_{factor}"][:, a, b]
                values[f"corr_{factor}[{terms[b]}, {term}]"] = corr
    if structure.by_group:
        values |= {name: parameters[name] for name in ("log_sigma_mean", "log_sigma_sd")}
        values["sigma[0]"] = parameters["sigma"][:, 0]
    else:
        values["sigma"] = parameters["sigma"]
    mean = linear_predictor(parameters, structure, rows)
    scale = residual_scale(parameters, structure, rows)
    values["log likelihood"] = stats.norm.logpdf(y, mean, scale).sum(axis=1)
    return values
