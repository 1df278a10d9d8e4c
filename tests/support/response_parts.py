"""Designs and densities of responses that are not normal, and a textbook density of them."""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import stats

from skhbm._density.assemble_effects import make_effects_density
from skhbm._density.effects_density import effects_of
from skhbm._design.responses import make_response_design
from skhbm._design.terms import Terms
from skhbm._families.table import FAMILIES
from skhbm._inputs.rows import FitRows
from skhbm._priors.responses import resolve_response_priors
from skhbm._statistics.pattern_moments import moments_of_patterns
from skhbm._statistics.patterns import patterns_of_rows


@dataclass(frozen=True)
class ResponseRows:
    """Rows of a response: y (n,), X (n, p), labels (n, n_factors), size (n,)."""

    y: np.ndarray
    X: np.ndarray
    labels: np.ndarray
    size: np.ndarray

    def take(self, order):
        return ResponseRows(self.y[order], self.X[order], self.labels[order], self.size[order])


@dataclass(frozen=True)
class ResponseModel:
    """A model of rows: `slopes` are the features that vary by each factor."""

    family: str
    slopes: tuple
    priors: dict = field(default_factory=dict)
    centred: bool = True
    correlated: bool = True
    intercept: bool = True

    def design(self, rows):
        family = FAMILIES[self.family]
        names = [(f"group{f}", labels) for f, labels in enumerate(rows.labels.T)]
        read = FitRows(rows.X, rows.y, names, None, None, None)
        patterns = patterns_of_rows(read, rows.size, additive=family.additive)
        features = tuple(f"x{k}" for k in range(rows.X.shape[1]))
        terms = [
            Terms(
                features, np.array(slopes, dtype=np.int64), self.intercept, True,
                self.correlated, "shared", self.centred and len(slopes) > 0,
            )
            for slopes in self.slopes
        ]  # fmt: skip
        moments = moments_of_patterns(patterns)
        return make_response_design(family, patterns, moments, terms)

    def build(self, rows):
        """Return design, priors and density."""
        design = self.design(rows)
        priors = resolve_response_priors(self.priors, design)
        return design, priors, make_effects_density(design, priors)


def simulate(model, n, n_levels, n_features=2, seed=0, location=1.0):
    """Return rows of a model, with many sorts of effects, coefficients and sizes."""
    rng = np.random.default_rng(seed)
    X = location + 0.7 * rng.standard_normal((n, n_features))
    codes = [np.concatenate([np.arange(J), rng.integers(0, J, n - J)]) for J in n_levels]
    eta = 0.2 + (X - location) @ np.linspace(0.4, -0.3, n_features)
    for code, J, slopes in zip(codes, n_levels, model.slopes, strict=True):
        effects = 0.6 * rng.standard_normal((J, 1 + len(slopes)))
        terms = np.column_stack([np.ones(n), X[:, list(slopes)] - location])
        eta += np.sum(effects[code] * terms, axis=1)
    family = FAMILIES[model.family]
    size = {None: np.ones(n), "trials": rng.integers(1, 5, n) * 1.0}.get(family.size_name)
    size = rng.uniform(0.5, 3.0, n) if size is None else size
    y = family.draw(rng, size, eta, (0.8, 5.0)[: len(family.dispersion)])
    return ResponseRows(np.asarray(y, dtype=float), X, np.column_stack(codes), size)


def textbook_log_density(model, rows, design, priors, density, natural):
    """Return the log density of hyperparameters and effects, row by row, on their own scale.

    Effects v ~ Normal(0, D R D) at the origin of the varying features, D = diag(tau).
    """
    *scales, dispersion, given = np.split(
        natural[: density.hyper.n_dim], np.cumsum(density.hyper.sizes)[:-1]
    )
    logp = prior_log_density(priors, design, scales, dispersion, given)
    origin = rows.X.mean(axis=0) if design.terms.intercept else np.zeros(rows.X.shape[1])
    if design.terms.intercept:
        eta = given[0] + (rows.X - origin * priors.intercept_at_mean) @ given[1:]
    else:
        eta = rows.X @ given
    pairs = zip(scales[::2], scales[1::2], strict=True)
    effects = effects_of(density, natural)
    for f, ((tau, corr), v) in enumerate(zip(pairs, effects, strict=True)):
        terms = design.factors[f].terms
        units = design.scaling.effect_units(terms)
        R = correlation_matrix(corr, len(tau))
        cov = np.diag(tau) @ R @ np.diag(tau)
        at_origin = v * units
        logp += stats.multivariate_normal(np.zeros(len(tau)), cov).logpdf(at_origin).sum()
        _, codes = np.unique(rows.labels[:, f], return_inverse=True)
        place = origin[terms.slopes] if terms.centred else 0.0
        z = np.column_stack([np.ones(len(eta)), rows.X[:, terms.slopes] - place])
        eta += np.sum(at_origin[codes] * z, axis=1)
    family = design.family
    return logp + family.log_density(rows.y, rows.size, eta, tuple(dispersion)).sum()


def correlation_matrix(corr, q):
    R = np.eye(q)
    if len(corr):
        R[np.tril_indices(q, -1)] = corr
        R = R + R.T - np.eye(q)
    return R


def prior_log_density(priors, design, scales, dispersion, given):
    """Return the log prior; that of correlations is LKJ (Lewandowski et al. 2009)."""
    coefs = [*([priors.intercept] if design.terms.intercept else []), *priors.coef]
    logp = sum(scalar(prior, c) for prior, c in zip(coefs, given, strict=True))
    logp += sum(
        scalar(prior, d) for prior, d in zip(priors.dispersion, dispersion, strict=True)
    )
    for f, of_factor in enumerate(priors.tau):
        tau, corr = scales[2 * f], scales[2 * f + 1]
        logp += sum(scalar(prior, t) for prior, t in zip(of_factor, tau, strict=True))
        R = correlation_matrix(corr, len(tau))
        logp += (priors.eta - 1.0) * np.linalg.slogdet(R)[1] * (len(corr) > 0)
    return logp


def scalar(prior, value):
    """Return the log density of a prior, by SciPy."""
    p = {name: float(v) for name, v in prior.parameters.items()}
    return {
        "Normal": lambda: stats.norm.logpdf(value, p.get("mu", 0.0), p["sigma"]),
        "HalfNormal": lambda: stats.halfnorm.logpdf(value, scale=p["sigma"]),
        "Gamma": lambda: stats.gamma.logpdf(value, p["alpha"], scale=1.0 / p["beta"]),
        "Exponential": lambda: stats.expon.logpdf(value, scale=1.0 / p["lam"]),
        "StudentT": lambda: stats.t.logpdf(value, p["nu"], p["mu"], p["sigma"]),
    }[prior.distribution]()


def permuted(rows, rng):
    """Return the rows in another order, and with other labels of the same groups."""
    rows = rows.take(rng.permutation(len(rows.y)))
    labels = rows.labels.copy()
    for f in range(labels.shape[1]):
        uniques, codes = np.unique(labels[:, f], return_inverse=True)
        labels[:, f] = rng.permutation(len(uniques))[codes]
    return replace(rows, labels=labels)
