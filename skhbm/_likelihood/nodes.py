"""Decompositions at the nodes of the tables of `skhbm._likelihood.tabulated`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from skhbm._types import Float

__all__ = ["Groups", "Tables", "between", "by_ratio_tables", "by_variance_tables", "dual"]

#: Numbers that cross-products of groups of equal roots may take.
LARGEST = 2e7
#: Squared roots that agree in so many digits of the largest are equal.
DIGITS = 12
#: Columns of E below this share of the largest are rounding.
NULL = 1e-13


class Groups(NamedTuple):
    """Groups with one varying term, in the basis of `skhbm._density.basis`.

    Attributes
    ----------
    n : (J,), the squared roots: numbers of rows, if it is the intercept that varies
    E : (J, k + 1), the response last
    d : (k,), the diagonal of the within part
    score : (k,), its column of the response
    rest : float, its last entry
    mean : (k,), the prior is g ~ Normal(-mean, I)
    log_count : float, that log sigma is multiplied by
    """

    n: Float
    E: Float
    d: Float
    score: Float
    rest: float
    mean: Float
    log_count: float


class Tables(NamedTuple):
    """What is kept of the nodes, whose number is r for each panel.

    At node i there are functions of z, which is nu or t, derivation (15) and (16):
    logdet_i + sum_l log(poles_il + z) and square_i + sum_l (u_il z + w_il) / (poles_il + z).

    Attributes
    ----------
    logdet, square : (n_panels, r)
    poles, u, w : (n_panels, r, rank)
    """

    logdet: Float
    square: Float
    poles: Float
    u: Float
    w: Float


def between(groups: Groups) -> Callable[[Float], Float]:
    """Return the function of c (n, J) that is sum_j c_j E_j' E_j (n, k + 1, k + 1)."""
    E = groups.E
    m = E.shape[1]
    digits = np.round(groups.n / np.max(groups.n, initial=0.0), DIGITS)
    _, first, kind = np.unique(digits, return_index=True, return_inverse=True)
    if 2 * len(first) >= len(E) or len(first) * m * m > LARGEST:
        return lambda c: np.array([(E * row[:, None]).T @ E for row in c])
    members = np.split(np.argsort(kind, kind="stable"), np.cumsum(np.bincount(kind)))[:-1]
    products = np.array([(E[some].T @ E[some]).ravel() for some in members])
    return lambda c: (c[:, first] @ products).reshape(-1, m, m)


def by_ratio_tables(groups: Groups, nodes: Float) -> Tables:
    """Decompose A = D + sum_j E_j'E_j / (1 + n_j t) at nodes t (n_panels, r)."""
    columns = np.abs(groups.E[:, :-1]).max(axis=0, initial=0.0)
    alive = (groups.d > 0) | (columns > NULL * np.max(columns, initial=0.0))
    groups = groups._replace(
        E=groups.E[:, [*alive, True]],
        d=groups.d[alive],
        score=groups.score[alive],
        mean=groups.mean[alive],
    )
    add = between(groups)
    panels = [_at_ratios(groups, add, t) for t in nodes]
    return Tables(*map(np.array, zip(*panels, strict=True)))


def _at_ratios(groups: Groups, add: Callable[[Float], Float], t: Float) -> Tables:
    """Return the tables at some ratios t (r,): derivation (15)."""
    scaled = np.multiply.outer(t, groups.n)
    A = add(1.0 / (1.0 + scaled))
    at = np.arange(len(groups.d))
    A[:, at, at] += groups.d
    A[:, at, -1] += groups.score
    values, vectors = np.linalg.eigh(A[:, :-1, :-1])
    values = np.maximum(values, 0.0)
    b = np.einsum("rik,ri->rk", vectors, A[:, :-1, -1])
    mean = np.einsum("rik,i->rk", vectors, groups.mean)
    return Tables(
        np.log1p(scaled).sum(axis=1),
        A[:, -1, -1] + groups.rest,
        values,
        mean * (mean * values + 2 * b),
        -b * b,
    )


def by_variance_tables(groups: Groups, nodes: Float) -> Tables:
    """Decompose S^-1 (I + H) S^-1 at nodes nu (n_panels, r), S = diag(R_j)."""
    panels = [_at_variances(groups, nu) for nu in nodes]
    return Tables(*map(np.array, zip(*panels, strict=True)))


def _at_variances(groups: Groups, nu: Float) -> Tables:
    """Return the tables at some variances nu (r,): derivation (16)."""
    B, residual, logdet, square = dual(groups, nu)
    values, vectors = np.linalg.eigh(B)
    w = np.einsum("rik,ri->rk", vectors, residual) ** 2
    return Tables(logdet, square, np.maximum(values, 0.0), np.zeros(w.shape), w)


def dual(groups: Groups, nu: Float) -> tuple[Float, Float, Float, Float]:
    """Return what the groups are like given variances nu (r,): derivation (16).

    Returns
    -------
    B : (r, J, J), S^-1 (I + H) S^-1
    residual : (r, J), S^-1 times the residuals at the mean of g without the groups
    logdet : (r,), log|I + D / nu| + 2 log|S|
    square : (r,), nu times the quadratic form of the prior and the within part
    """
    n, d, score, mean = groups.n, groups.d, groups.score, groups.mean
    shrunken = nu[:, None] + d
    scaled = groups.E / np.sqrt(n)[:, None]
    X, y = scaled[:, :-1], scaled[:, -1]
    B = np.array([(X / row) @ X.T for row in shrunken]) + np.diag(1.0 / n)
    residual = y - ((score - nu[:, None] * mean) / shrunken) @ X.T
    logdet = np.log1p(d / nu[:, None]).sum(axis=1) + np.log(n).sum()
    form = (nu[:, None] * mean * (mean * d + 2.0 * score) - score**2) / shrunken
    return B, residual, logdet, groups.rest + form.sum(axis=1)
