"""Access to the private parts under test: what in tests knows how they connect."""

import ctypes
from dataclasses import replace

import numpy as np

from skhbm import GroupedStatistics
from skhbm._density.assemble import make_density
from skhbm._density.pymc_model import build_model
from skhbm._design.design import make_design
from skhbm._design.terms import Terms
from skhbm._likelihood.marginal import make_marginal
from skhbm._priors.defaults import hold_at_means, resolve_priors


def make_terms(structure, features):
    return Terms(
        features,
        np.array(structure.slopes, dtype=np.int64),
        structure.intercept,
        structure.varying_intercept,
        structure.correlated,
        structure.residual,
    )


def build(structures, table):
    """Return design, priors and density of the package, of one structure for each factor.

    Several factors are named group0, group1, ...; a structure alone is that of a single one.
    """
    _, design, priors = build_parts(structures, table)
    return design, priors, make_density(design, priors)


def build_parts(structures, table):
    """Return statistics, design and priors of the package."""
    structures = structures if isinstance(structures, list) else [structures]
    statistics = GroupedStatistics.from_arrays(
        table.X, table.y, table.codes, y_err=table.errors
    )
    terms = [make_terms(structure, table.features) for structure in structures]
    names = [levels.name for levels in statistics.factors]
    priors = structures[0].priors
    at_means = hold_at_means(priors, terms, names) if names else [False]
    terms = [replace(part, centred=at) for part, at in zip(terms, at_means, strict=True)]
    design = make_design(statistics, terms)
    return statistics, design, resolve_priors(priors, design)


def build_pymc(structures, table):
    """Return the package's PyMC model of one structure for each factor."""
    statistics, design, priors = build_parts(structures, table)
    return build_model(design, priors, statistics)


def evaluate_marginal(design, cov, sigma, offset, T):
    """Integrate g ~ Normal(0, I) out, the working coefficients being w = offset + T g.

    Return log density, d/d cov, d/d sigma and d/d offset. With `evaluate_density` this is the
    only place in tests that knows how the kernel is called: its columns are those of g, those
    of coefficients that are given, and the response.
    """
    return _marginal(design, T)[0].value_and_gradient(cov, sigma, offset)


def _marginal(design, T):
    p, k = T.shape
    q = len(design.terms.varying)
    columns = np.zeros((p + 1, k + p + 1))
    columns[:p] = np.hstack([T, np.eye(p), np.zeros((p, 1))])
    columns[p, -1] = 1.0
    roots = np.concatenate([design.roots[:, :, :q], design.roots[:, :, q:] @ columns], axis=2)
    W = columns.T @ design.W @ columns
    ones = np.ones(len(roots))
    return make_marginal(np.zeros(k), roots, ones, W, design.log_counts), columns


def evaluate_density(density, x):
    """Return log density, gradient and natural values of a density at x.

    Entries of x beyond its dimension are companions.
    """
    x = np.array(x, dtype=float)
    value, gradient = density.value_and_gradient(x)
    natural, table = np.empty(density.n_dim + 1), density.table()
    pointers = [a.ctypes.data_as(ctypes.POINTER(ctypes.c_double)) for a in (x, natural)]
    density.callbacks()[1].ctypes(len(x), len(natural), *pointers, table.ctypes.data)
    return value, gradient, natural[:-1]


class FlatDensity:
    """A density of the package as functions of one flat vector."""

    def __init__(self, density):
        self.density, self.n_dim = density, density.n_dim

    def logp(self, x):
        return evaluate_density(self.density, x)[0]

    def gradient(self, x):
        return evaluate_density(self.density, x)[1]

    def natural(self, x):
        return evaluate_density(self.density, x)[2]


def observed_statistics(model, X, y, groups, y_err=None):
    """Return the statistics of a response, as a fitted model's observed node has them.

    The model has several factors, and was fitted to the same X, groups and errors.
    """
    statistics = GroupedStatistics.from_arrays(X, y, groups, y_err=y_err)
    return statistics_of_cells(statistics, model._posterior.design.scaling)


def statistics_of_cells(statistics, scaling):
    """Return what is observed with several factors, in the design's working units."""
    mean = (statistics.mean[:, -1] - scaling.y_mean) / scaling.y_scale
    units = np.append(scaling.x_scale, scaling.y_scale) * scaling.y_scale
    return np.concatenate([mean, (statistics.cross[:, :, -1] / units).ravel()])
