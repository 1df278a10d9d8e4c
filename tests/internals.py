"""Access to the private parts under test: what in tests knows how they connect."""

import ctypes

import numpy as np

from skhbm import GroupedStatistics
from skhbm._basis import make_basis
from skhbm._coefficients import make_coefficients
from skhbm._density import expand_callback
from skhbm._design import Terms, make_design
from skhbm._likelihood import make_marginal
from skhbm._model import build_model
from skhbm._resolve import resolve_priors
from skhbm._target import make_target


def make_terms(structure, features):
    return Terms(
        features,
        np.array(structure.slopes, dtype=np.int64),
        structure.intercept,
        structure.varying_intercept,
        structure.correlated,
        "by_group" if structure.by_group else "shared",
    )


def build(structure, table):
    """Return design, priors and target of the package."""
    statistics = GroupedStatistics.from_arrays(table.X, table.y, table.codes)
    design = make_design(statistics, [make_terms(structure, table.features)])
    priors = resolve_priors(structure.priors, design)
    coefficients = make_coefficients(design, priors)
    basis = make_basis(design, coefficients)
    return design, priors, make_target(design, priors, coefficients, basis)


def build_pymc(structure, table):
    """Return the package's PyMC model."""
    design, priors, _ = build(structure, table)
    return build_model(design, priors)


def evaluate_marginal(design, cov, sigma, offset, T):
    """Integrate g ~ Normal(0, I) out, the working coefficients being w = offset + T g.

    Return log density, d/d cov, d/d sigma and d/d offset. With `evaluate_target` the only
    place in tests that knows how the kernel is called: its columns are those of g, those of
    coefficients that are given, and the target.
    """
    p, k = T.shape
    q = len(design.terms.varying)
    columns = np.zeros((p + 1, k + p + 1))
    columns[:p] = np.hstack([T, np.eye(p), np.zeros((p, 1))])
    columns[p, -1] = 1.0
    roots = np.concatenate([design.roots[:, :, :q], design.roots[:, :, q:] @ columns], axis=2)
    W = columns.T @ design.W @ columns
    marginal = make_marginal(np.zeros(k), roots, np.ones(len(roots)), W, design.counts)
    return marginal.value_and_gradient(cov, sigma, offset)


def evaluate_target(target, x):
    """Return log density, gradient and natural values of a `Target` at x."""
    x = np.array(x, dtype=float)
    value, gradient = target.value_and_gradient(x)
    natural, table = np.empty(target.n_dim + 1), target.table()
    pointers = [a.ctypes.data_as(ctypes.POINTER(ctypes.c_double)) for a in (x, natural)]
    expand_callback().ctypes(len(x), len(natural), *pointers, table.ctypes.data)
    return value, gradient, natural[:-1]
