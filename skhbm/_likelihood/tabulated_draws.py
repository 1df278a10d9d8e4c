"""Exact draws of integrated coefficients, for the likelihood of `skhbm._likelihood.tabulated`.

Matrices are interpolated between the nodes of the panels, and factorised for each draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial.chebyshev import chebvander
from scipy.linalg.lapack import dposv, dpotrf, dpotrs, dtrtrs

from skhbm._likelihood.nodes import between, dual
from skhbm._likelihood.panels import interpolation, locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skhbm._likelihood.tabulated import Tabulated
    from skhbm._types import Float, Int

__all__ = ["draw_coefficients", "n_innovations"]

#: Numbers in the matrices that are interpolated at a time: they stay in the cache.
BATCH = 2e5


def n_innovations(likelihood: Tabulated) -> int:
    """Return how many standard normals a draw takes."""
    groups = likelihood.groups
    return len(groups.mean) + (0 if likelihood.by_ratio else len(groups.n))


def draw_coefficients(
    likelihood: Tabulated, rotation: Float, ratio: Float, variance: Float, z: Float
) -> Float:
    """Draw g (s, k) given t and nu (s,), from standard normals z (s, n_innovations).

    The first k of z are in the order of the coefficients, rotation @ g. What is done to them
    does not depend on the rotation, which among equal eigenvalues is arbitrary.
    """
    k = len(rotation)
    if likelihood.by_ratio:
        return _draw_by_ratio(likelihood, rotation, ratio, variance, z)
    return _draw_by_variance(likelihood, ratio, variance, z[:, :k] @ rotation, z[:, k:])


def _draw_by_ratio(
    likelihood: Tabulated, rotation: Float, ratio: Float, variance: Float, z: Float
) -> Float:
    """Draw with the Cholesky factor of the precision I + A / nu of rotation @ g."""
    groups = likelihood.groups
    add, k = between(groups), len(rotation)
    turn = np.eye(k + 1)
    turn[:k, :k] = rotation

    def at(t: Float) -> Float:
        A = add(1.0 / (1.0 + np.multiply.outer(t, groups.n)))
        A[:, np.arange(k), np.arange(k)] += groups.d
        A[:, :-1, -1] += groups.score
        return turn @ A @ turn.T

    prior = rotation @ groups.mean
    out = np.empty(z.shape)
    for draws, A in _interpolated(likelihood, ratio, at):
        for i, matrix in zip(draws, A, strict=True):
            matrix /= variance[i]
            right = matrix[:-1, -1] - prior
            precision = matrix[:-1, :-1]
            precision[np.arange(k), np.arange(k)] += 1.0
            out[i] = _normal(precision, right, z[i])
    return out @ rotation


def _normal(precision: Float, right: Float, z: Float) -> Float:
    """Return a draw of Normal(P^-1 right, P^-1) for the precision P, from z (k,)."""
    factor, info = dpotrf(precision, lower=1)
    if info == 0:
        mean = dpotrs(factor, right, lower=1)[0]
        return np.asarray(mean + dtrtrs(factor, z, lower=1, trans=1)[0])
    # Rounding of a precision that is nearly singular; it is at least that of the prior.
    values, vectors = np.linalg.eigh(precision)
    values = np.maximum(values, 1.0)
    weights = (right @ vectors) / values + (z @ vectors) / np.sqrt(values)
    return np.asarray(vectors @ weights)


def _draw_by_variance(
    likelihood: Tabulated, ratio: Float, variance: Float, z: Float, noise: Float
) -> Float:
    """Draw g without the groups, then condition on them (Matheron's rule): derivation (17)."""
    groups = likelihood.groups
    scaled = groups.E / np.sqrt(groups.n)[:, None]
    X, nu = scaled[:, :-1], variance[:, None]
    shrunken = nu + groups.d
    g = (groups.score - nu * groups.mean) / shrunken + np.sqrt(nu / shrunken) * z
    if not len(groups.n):
        return np.asarray(g)
    size = np.sqrt(nu * (1.0 / groups.n + ratio[:, None]))
    residual = scaled[:, -1] - g @ X.T + size * noise
    solved = np.empty(residual.shape)
    at = np.arange(len(groups.n))
    for draws, B in _interpolated(likelihood, variance, lambda nu: dual(groups, nu)[0]):
        for i, matrix in zip(draws, B, strict=True):
            matrix[at, at] += ratio[i]
            # The transpose of a symmetric matrix is in LAPACK's order, and is not copied.
            solved[i] = dposv(matrix.T, residual[i], overwrite_a=1)[1]
    return np.asarray(g + (solved @ X) / shrunken)


def _interpolated(
    likelihood: Tabulated, values: Float, at: Callable[[Float], Float]
) -> Iterator[tuple[Int, Float]]:
    """Yield some draws and the matrices of `at` at their values, until all had their turn."""
    panels = likelihood.panels
    n_nodes = panels.nodes.shape[1]
    matrix = interpolation(n_nodes)
    panel, x = locate(panels, values)
    for p in np.unique(panel):
        members = np.flatnonzero(panel == p)
        if p < 0:
            for i in members:
                yield np.array([i]), at(values[[i]])
            continue
        nodes: Any = at(panels.nodes[p])
        size = nodes[0].size
        weights = chebvander(x[members], n_nodes - 1) @ matrix
        step = max(int(BATCH / size), 1)
        for first in range(0, len(members), step):
            some = slice(first, first + step)
            found = weights[some] @ nodes.reshape(n_nodes, size)
            yield members[some], found.reshape(-1, *nodes.shape[1:])
