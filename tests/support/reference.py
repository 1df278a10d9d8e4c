"""Independent, slow and plain versions of what the package computes, for tests.

Everything here works on rows, in natural units, with dense covariances; nothing is
imported from the package but what builds the objects under test.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from arviz_stats.base import array_stats
from scipy import linalg, stats

from skhbm import Prior

EPS = np.finfo(float).eps

#: SciPy's twins of PyMC's distributions, with PyMC's parameters.
SCIPY = {
    "Normal": lambda mu=0.0, sigma=1.0: stats.norm(mu, sigma),
    "HalfNormal": lambda sigma=1.0: stats.halfnorm(scale=sigma),
    "HalfCauchy": lambda beta=1.0: stats.halfcauchy(scale=beta),
    "StudentT": lambda nu, mu=0.0, sigma=1.0: stats.t(nu, mu, sigma),
    "Exponential": lambda lam: stats.expon(scale=1 / lam),
    "Gamma": lambda alpha, beta: stats.gamma(alpha, scale=1 / beta),
    "InverseGamma": lambda alpha, beta: stats.invgamma(alpha, scale=beta),
    "LogNormal": lambda mu=0.0, sigma=1.0: stats.lognorm(sigma, scale=np.exp(mu)),
    "Laplace": lambda mu, b: stats.laplace(mu, b),
    "Uniform": lambda lower, upper: stats.uniform(lower, upper - lower),
}


def to_scipy(prior):
    return SCIPY[prior.distribution](**prior.parameters)


@dataclass
class Table:
    """Rows, with their groups as codes (n,) or, of several factors, (n, n_factors)."""

    X: np.ndarray
    y: np.ndarray
    codes: np.ndarray
    errors: np.ndarray | None = None

    @property
    def n_groups(self):
        return int(self.codes.max()) + 1

    @property
    def features(self):
        return tuple(f"x{k}" for k in range(self.X.shape[1]))


def make_table(rng, sizes, n_features, *, constant_within=(), location=0.0, scale=1.0):
    """Simulate rows: intercepts and slopes vary, noise has an sd of about one.

    `constant_within` names features that take one value in each group.
    """
    codes = np.repeat(np.arange(len(sizes)), sizes)
    X = rng.standard_normal((len(codes), n_features))
    for k in constant_within:
        X[:, k] = rng.standard_normal(len(sizes))[codes]
    X = location + scale * X
    slopes = rng.normal(0.5, 0.7, size=(len(sizes), n_features)) / scale
    intercepts = rng.normal(2.0, 1.0, size=len(sizes))
    noise = rng.uniform(0.6, 1.5, size=len(sizes))[codes] * rng.standard_normal(len(codes))
    y = intercepts[codes] + np.sum((X - location) * slopes[codes], axis=1) + noise
    return Table(X, y, codes)


def make_several_factors_table(rng, codes, n_features, *, location=0.0, errors=None):
    """Simulate rows with codes (n, n_factors): intercepts and slopes vary by each factor.

    `location` is the mean of features of unit standard deviation, in themselves and within
    each group; `errors` is the spread of known ones on the log scale.
    """
    n, n_factors = codes.shape
    X = location + rng.standard_normal((n, n_features))
    y = 2.0 + 0.5 * X.sum(axis=1)
    for f in range(n_factors):
        J = codes[:, f].max() + 1
        y += rng.standard_normal(J)[codes[:, f]]
        slopes = 0.5 * rng.standard_normal((J, n_features))
        y += np.sum((X - location) * slopes[codes[:, f]], axis=1)
    noise = np.ones(n) if errors is None else np.exp(errors * rng.standard_normal(n))
    y += noise * rng.standard_normal(n)
    return Table(X, y, codes, None if errors is None else noise)


@dataclass
class Structure:
    """What a model is made of; `priors` are as the user gives them."""

    slopes: tuple = ()
    intercept: bool = True
    varying_intercept: bool = True
    correlated: bool = True
    by_group: bool = False
    priors: dict = field(default_factory=dict)
    known: bool = False

    @property
    def residual(self):
        return "known" if self.known else "by_group" if self.by_group else "shared"

    @property
    def q(self):
        return len(self.slopes) + self.varying_intercept

    @property
    def n_correlations(self):
        return self.q * (self.q - 1) // 2 if self.correlated else 0

    @property
    def hierarchical(self):
        return self.by_group and "sigma" not in self.priors

    @property
    def at_means(self):
        """Whether the priors of tau and corr are the defaults, which hold at the means of X."""
        tau = self.priors.get("tau", {})
        explicit = isinstance(tau, Prior) or "intercept" in tau or "corr" in self.priors
        return self.intercept and self.varying_intercept and not explicit


class Oracle:
    """The model as its documentation states it, on rows and in natural units."""

    def __init__(self, structure, table):
        self.structure, self.table = structure, table
        X, y = table.X, table.y
        given = structure.priors
        centred = structure.intercept
        # Known errors weight the means and standard deviations that default priors refer to.
        share = np.ones(len(y)) if table.errors is None else table.errors**-2.0
        share = share / share.sum()
        center = share @ X
        s_y = np.sqrt(share @ (y - share @ y * centred) ** 2)
        s_x = np.sqrt(share @ (X - center * centred) ** 2)
        origin = center * centred
        slopes = list(structure.slopes)

        coef = [Prior("Normal", mu=0.0, sigma=2.5 * s_y / s) for s in s_x]
        coef = self._entries(given.get("coef"), table.features, coef)
        at_mean = structure.intercept and "intercept" not in given
        #: The intercept belongs to the mean of X under its default prior, to 0 otherwise.
        self.H = X - center if at_mean else X
        self.coef_priors = coef
        if structure.intercept:
            default = Prior("Normal", mu=share @ y, sigma=2.5 * s_y)
            self.coef_priors = [given.get("intercept", default), *coef]
            self.H = np.column_stack([np.ones(len(y)), self.H])
        self.normal = np.array(
            [p.distribution == "Normal" for p in self.coef_priors], dtype=bool
        )

        tau = [Prior("HalfNormal", sigma=2.5 * s_y / s_x[k]) for k in slopes]
        names = [table.features[k] for k in slopes]
        self.Z = (X - origin * structure.at_means)[:, slopes]
        if structure.varying_intercept:
            reach = np.sqrt(1 + np.sum((origin[slopes] / s_x[slopes]) ** 2))
            reach = 1.0 if structure.at_means else reach
            tau.insert(0, Prior("HalfNormal", sigma=2.5 * s_y * reach))
            names.insert(0, "intercept")
            self.Z = np.column_stack([np.ones(len(y)), self.Z])
        self.tau_priors = self._entries(given.get("tau"), names, tau)
        self.eta = given["corr"].parameters["eta"] if "corr" in given else 2.0
        self.sigma_prior = given.get("sigma", Prior("HalfNormal", sigma=2.5 * s_y))
        self.log_scale = np.log(s_y)

    @staticmethod
    def _entries(given, names, defaults):
        if given is None:
            return list(defaults)
        if isinstance(given, Prior):
            return [given] * len(names)
        return [given.get(n, d) for n, d in zip(names, defaults, strict=True)]

    def split(self, natural, *, sampled):
        """Split (tau, correlations, scales, coefficients); `sampled` are those in the last."""
        q, r = self.structure.q, self.structure.n_correlations
        n_scales = len(natural) - q - r - int(sampled.sum())
        tau, corr, scales, coef = np.split(natural, np.cumsum([q, r, n_scales]))
        R = np.eye(q)
        rows, columns = np.tril_indices(q, -1)
        if r:
            R[rows, columns] = R[columns, rows] = corr
        return tau, R, scales, coef

    def log_prior(self, tau, R, scales, coef, *, sampled):
        """Return the log density of the natural values, `sampled` of the coefficients too."""
        logp = log_effects_prior(self, tau, R)
        if self.structure.hierarchical:
            mean, spread, *sigma = scales
            logp += stats.norm(self.log_scale, 1).logpdf(mean)
            logp += stats.halfnorm(scale=0.4).logpdf(spread)
            logp += stats.lognorm(spread, scale=np.exp(mean)).logpdf(sigma).sum()
        elif not self.structure.known:
            logp += to_scipy(self.sigma_prior).logpdf(scales).sum()
        chosen = [
            p for p, is_sampled in zip(self.coef_priors, sampled, strict=True) if is_sampled
        ]
        return logp + sum(to_scipy(p).logpdf(c) for p, c in zip(chosen, coef, strict=True))

    def log_likelihood(self, tau, R, scales, coef, *, sampled, others=0.0):
        """Return the log density of y, effects and coefficients not sampled integrated out.

        `others` is the covariance of the rows by effects of other factors.
        """
        table = self.table
        sigma = scales[2:] if self.structure.hierarchical else scales
        if self.structure.known:
            sigma = table.errors
        elif self.structure.by_group:
            sigma = sigma[table.codes]
        else:
            sigma = np.full(len(table.y), sigma[0])
        mean = self.H[:, sampled] @ coef
        integrated = [p for p, s in zip(self.coef_priors, sampled, strict=True) if not s]
        H = self.H[:, ~sampled]
        mean = mean + H @ np.array([p.parameters.get("mu", 0.0) for p in integrated])
        sd = np.array([p.parameters.get("sigma", 1.0) for p in integrated])
        cov = dense_covariance(self.Z, table.codes, tau[:, None] * R * tau, sigma)
        return dense_log_density(table.y - mean, cov + others + (H * sd**2) @ H.T)

    def log_density(self, natural, *, sampled):
        """Return prior times likelihood, as a density of the natural values."""
        parts = self.split(natural, sampled=sampled)
        return self.log_prior(*parts, sampled=sampled) + self.log_likelihood(
            *parts, sampled=sampled
        )


class MarginalOracle:
    """The model with several factors, the effects of all of them integrated out.

    Parameters
    ----------
    structures : list of Structure
        One for each factor, which agree in the intercept, the residual and the priors.
    """

    def __init__(self, structures, table):
        oracles = []
        for f, structure in enumerate(structures):
            priors = {k: v for k, v in structure.priors.items() if not k.startswith("tau_")}
            prior = structure.priors.get(f"tau_group{f}")
            priors |= {} if prior is None else {"tau": prior}
            rows = Table(table.X, table.y, table.codes[:, f], table.errors)
            oracles.append(Oracle(replace(structure, priors=priors), rows))
        self.integrated, *self.others = oracles

    @property
    def normal(self):
        return self.integrated.normal

    def log_density(self, natural, *, sampled):
        """Return prior times likelihood, as a density of the natural values.

        These are tau and correlations of each factor in turn, the residual scales and the
        coefficients that are sampled.
        """
        oracles = [self.integrated, *self.others]
        sizes = [(o.structure.q, o.structure.n_correlations) for o in oracles]
        *of_factors, rest = np.split(natural, np.cumsum([sum(size) for size in sizes]))
        logp, others = 0.0, 0.0
        for oracle, values in zip(self.others, of_factors[1:], strict=True):
            tau, R, _, _ = oracle.split(values, sampled=np.zeros(0))
            logp += log_effects_prior(oracle, tau, R)
            cov, none = tau[:, None] * R * tau, np.zeros(len(oracle.table.y))
            others = others + dense_covariance(oracle.Z, oracle.table.codes, cov, none)
        parts = self.integrated.split(np.concatenate([of_factors[0], rest]), sampled=sampled)
        logp += self.integrated.log_prior(*parts, sampled=sampled)
        return logp + self.integrated.log_likelihood(*parts, sampled=sampled, others=others)


def log_effects_prior(oracle, tau, R):
    """Return the log prior density of the standard deviations and correlations of a factor."""
    logp = sum(to_scipy(p).logpdf(t) for p, t in zip(oracle.tau_priors, tau, strict=True))
    if oracle.structure.n_correlations:
        logp += (oracle.eta - 1) * np.linalg.slogdet(R)[1]
    return logp


def working_rows(design, structure, table):
    """Standardise rows by the design's scaling, written out."""
    scaling = design.scaling
    fixed = (table.X - scaling.x_mean) / scaling.x_scale
    at_zero = table.X / scaling.x_scale
    varying = (fixed if structure.at_means else at_zero)[:, list(structure.slopes)]
    ones = np.ones((len(fixed), 1))
    fixed = np.hstack([ones, fixed]) if structure.intercept else fixed
    varying = np.hstack([ones, varying]) if structure.varying_intercept else varying
    return fixed, varying, (table.y - scaling.y_mean) / scaling.y_scale


def dense_covariance(Z, codes, cov, sigma):
    """Covariance of rows whose group's effects are integrated out."""
    same = codes[:, None] == codes[None, :]
    return np.where(same, Z @ cov @ Z.T, 0.0) + np.diag(sigma**2)


def dense_log_density(residual, cov):
    return stats.multivariate_normal(np.zeros(len(cov)), cov).logpdf(residual)


def gaussian_posterior(H, y, cov, prior_mean, prior_sd):
    """Mean and covariance of coefficients c, y ~ Normal(H c, cov), c ~ Normal(m, sd)."""
    factor = linalg.cho_factor(cov)
    precision = H.T @ linalg.cho_solve(factor, H) + np.diag(prior_sd**-2)
    covariance = np.linalg.inv(precision)
    score = H.T @ linalg.cho_solve(factor, y) + prior_mean / prior_sd**2
    return covariance @ score, covariance


def differentiate(function, x, h=2e-3):
    """Return the derivative of a function of a vector, last axis first, and its error.

    Sixth-order central differences. The error is that of truncation, from comparison with
    twice the step, plus rounding: values cancel to EPS times their size times the
    condition of the problem, which is taken as 100, over h.
    """
    weights = np.array([-1, 9, -45, 45, -9, 1]) / 60
    steps = np.array([-3, -2, -1, 1, 2, 3])
    size = 0.0
    rough, fine = [], []
    for i in range(len(x)):
        unit = np.zeros(len(x))
        unit[i] = 1.0
        values = [np.asarray(function(x + k * h * unit)) for k in steps]
        wide = [np.asarray(function(x + k * 2 * h * unit)) for k in steps]
        size = max(size, np.abs(values).max())
        fine.append(np.tensordot(weights, np.array(values), axes=1) / h)
        rough.append(np.tensordot(weights, np.array(wide), axes=1) / (2 * h))
    fine, rough = np.array(fine), np.array(rough)
    return fine, np.abs(fine - rough) + 100 * EPS * size / h


def log_volume(transform, x):
    """Return log |d transform / d x| and the error of its differences."""
    jacobian, error = differentiate(transform, x)
    inverse = np.linalg.inv(jacobian)
    return np.linalg.slogdet(jacobian)[1], float(np.sum(np.abs(inverse.T) * error))


def assert_dense(density, dense, points):
    """Assert that a density of unconstrained points is the dense one of its natural values.

    They differ by the volume of the transform and a constant. `density` has the methods
    ``logp``, ``natural`` and ``gradient``, of a point; `dense` is a function of natural values.
    """
    rest, tolerance = [], 0.0
    for x in points:
        volume, error = log_volume(density.natural, x)
        expected = dense(density.natural(x))
        rest.append(density.logp(x) - expected - volume)
        tolerance = max(tolerance, 1e-9 * abs(expected) + error)
    assert spread_of(rest) <= 2 * tolerance
    assert tolerance <= 1e-5


def assert_gradient(density, points):
    """Assert that the gradient of such a density is that of its differences."""
    for x in points:
        expected, error = differentiate(density.logp, x)
        assert np.all(np.abs(density.gradient(x) - expected) <= 5 * error)
        assert np.all(error <= 1e-4 * (1 + np.abs(expected).max()))


def spread_of(values):
    return float(np.max(values) - np.min(values))


def mcse(draws, method="mean", prob=None):
    """Monte Carlo standard error of draws (n_chains, n_draws, ...)."""
    draws = np.asarray(draws)
    flat = draws.reshape(*draws.shape[:2], -1)
    extra = {} if prob is None else {"prob": prob}
    errors = [
        array_stats.mcse(flat[:, :, i], chain_axis=0, draw_axis=1, method=method, **extra)
        for i in range(flat.shape[2])
    ]
    return np.array(errors, dtype=float).reshape(draws.shape[2:])


def assert_equal_to_rounding(actual, expected, rtol=1e-6):
    """Compare two results that differ by the order of sums only, after NUTS.

    Rounding moves a trajectory by some EPS at each of its ~1e4 leapfrog steps. Where the
    density is close to log-concave (no correlations sampled) moves do not grow, and 1e4 EPS
    times the condition of the data (at most ~1e5 in tests) is below 1e-6 of the draws.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    scale = np.abs(expected).max() if expected.size else 0.0
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * scale)
