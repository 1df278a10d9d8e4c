"""Access to the private parts under test: what in tests knows how they connect."""

import ctypes

import numpy as np

from skhbm import GroupedStatistics
from skhbm._density.basis import make_basis
from skhbm._density.coefficients import make_coefficients
from skhbm._density.one_factor import make_target
from skhbm._density.pymc_model import build_model
from skhbm._density.several_factors import make_crossed_target
from skhbm._design.design import make_design
from skhbm._design.linear_forms import make_forms
from skhbm._design.terms import Terms
from skhbm._likelihood.given_effects import GivenEffects
from skhbm._likelihood.marginal import make_marginal
from skhbm._priors.defaults import resolve_priors


def make_terms(structure, features):
    return Terms(
        features,
        np.array(structure.slopes, dtype=np.int64),
        structure.intercept,
        structure.varying_intercept,
        structure.correlated,
        structure.residual,
    )


def build(structure, table):
    """Return design, priors and target of the package."""
    statistics = GroupedStatistics.from_arrays(
        table.X, table.y, table.codes, y_err=table.errors
    )
    design = make_design(statistics, [make_terms(structure, table.features)])
    priors = resolve_priors(structure.priors, design)
    coefficients = make_coefficients(design, priors)
    basis = make_basis(design, coefficients)
    return design, priors, make_target(design, priors, coefficients, basis)


def build_crossed(structures, table):
    """Return design, priors and target with several factors, one structure for each.

    Factors are named group0, group1, ...
    """
    statistics = GroupedStatistics.from_arrays(
        table.X, table.y, table.codes, y_err=table.errors
    )
    terms = [make_terms(structure, table.features) for structure in structures]
    design = make_design(statistics, terms)
    priors = resolve_priors(structures[0].priors, design)
    coefficients = make_coefficients(design, priors)
    basis = make_basis(design, coefficients)
    head = make_target(design, priors, coefficients, basis)
    return design, priors, make_crossed_target(design, priors, head, basis)


def choose_coordinates(monkeypatch, kind):
    """Make the coordinates of sampled effects of one kind, whatever the number of groups."""
    most = {"eigenvectors": (10_000, 10_000), "reflection": (1, 10_000), "probes": (1, 0)}
    rotated, full = most[kind]
    monkeypatch.setattr("skhbm._density.coordinates.ROTATED", rotated)
    monkeypatch.setattr("skhbm._density.coordinates.FULL", full)


def kinds_of_coordinates(target):
    """Return whether the groups of each sampled factor are rotated by a matrix."""
    return [factor.coordinates.rotation.shape[2] > 1 for factor in target.factors]


def build_pymc(structure, table):
    """Return the package's PyMC model; of several factors, if several structures are given."""
    several = isinstance(structure, list)
    design, priors, _ = (build_crossed if several else build)(structure, table)
    return build_model(design, priors)


def evaluate_marginal(design, cov, sigma, offset, T):
    """Integrate g ~ Normal(0, I) out, the working coefficients being w = offset + T g.

    Return log density, d/d cov, d/d sigma and d/d offset. With `evaluate_target` the only
    place in tests that knows how the kernel is called: its columns are those of g, those of
    coefficients that are given, and the target.
    """
    return _marginal(design, T)[0].value_and_gradient(cov, sigma, offset)


def evaluate_crossed(design, cov, sigma, offset, effects, T):
    """Do as `evaluate_marginal` does, given effects of the other factors, in working units.

    The derivative in the effects comes last.
    """
    marginal, columns = _marginal(design, T)
    sizes = [other.n_groups for other in design.others]
    forms = make_forms(
        design.several_factors.pseudo_rows, sizes, design.n_groups, len(design.W), columns
    )
    return GivenEffects(marginal, forms).value_and_gradient(cov, sigma, offset, effects)


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


def evaluate_target(target, x):
    """Return log density, gradient and natural values of a target at x.

    Entries of x beyond its dimension are companions.
    """
    x = np.array(x, dtype=float)
    value, gradient = target.value_and_gradient(x)
    natural, table = np.empty(target.n_dim + 1), target.table()
    pointers = [a.ctypes.data_as(ctypes.POINTER(ctypes.c_double)) for a in (x, natural)]
    target.callbacks()[1].ctypes(len(x), len(natural), *pointers, table.ctypes.data)
    return value, gradient, natural[:-1]


def observed_statistics(model, X, y, groups, y_err=None):
    """The statistics of a target, in the coordinates of a fitted model's observed node.

    The model has several factors, and was fitted to the same X, groups and errors.
    """
    design = model._posterior.design
    statistics = GroupedStatistics.from_arrays(X, y, groups, y_err=y_err)
    terms = [factor.terms for factor in design.factors]
    cells = make_design(statistics, terms, design.scaling).several_factors.pseudo_rows
    return np.concatenate([cells.xy[:, -1], cells.rest[:, :, -1].ravel()])
