"""The density of rows given each draw, when the effects of some factors are sampled.

Groups are of the factor that is integrated out. Once the drawn effects of other factors are
taken off the response, the rows of a group are independent of the rows of other groups. But
levels without draws have effects t ~ Normal(0, S) that tie groups together. With K, the
block-diagonal matrix of the roots of S,

    log p(rows | t) = c + b't - t'A t / 2,    M = I + K'A K = C C',    x = C^-1 K'b,
    log p(rows) = c + x'x / 2 - log|C|,       t = K C^-T (x + z),  z standard normal,

where c, A and b are sums over groups. Let Z be the terms of these effects in the pseudo-rows;
then, in the letters of `skhbm._comparison.group_density`, with Y = F^-1 Q_j'Z / sigma_j and
Z~ = Z - Q Q'Z,

    A = sum_j Y'Y + Z~'Z~ / sigma_j^2,    b = sum_j Y'y + Z~'r / sigma_j^2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skhbm._comparison.group_density import Left, densities, density_root, quadratics
from skhbm._design.linear_forms import first_effects
from skhbm._design.pseudo_rows import make_pseudo_rows
from skhbm._design.roots import make_parts
from skhbm._numba.jit import JIT, njit
from skhbm._posterior.effects import covariance_roots, row_offsets, scale_of
from skhbm._posterior.posterior import flat

if TYPE_CHECKING:
    from skhbm._design.pseudo_rows import PseudoRows
    from skhbm._design.roots import Parts
    from skhbm._posterior.posterior import Posterior
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float, Int


__all__ = ["GroupRows", "Undrawn", "group_rows", "left_by_effects", "undrawn"]


@dataclass(frozen=True, slots=True, eq=False)
class GroupRows:
    """The pseudo-rows of some groups.

    Parameters
    ----------
    groups : ndarray of int of shape (n_groups,)
        Their codes among the groups of the posterior, negative for new groups.
    parts : Parts
    pseudo_rows : PseudoRows
        With one within part for each group.
    keys : tuple of ndarray of int of shape (n_rows,)
        Codes in the other factors among the levels of the posterior. Negative keys are levels
        without draws: -1, -2, ...
    """

    groups: Int
    parts: Parts
    pseudo_rows: PseudoRows
    keys: tuple[Int, ...]

    @property
    def starts(self) -> Int:
        """The first pseudo-row of each group (n_groups,)."""
        return np.searchsorted(self.pseudo_rows.group, np.arange(len(self.groups)))

    def without_draws(self, factor: int, code: int) -> GroupRows:
        """Return the same rows without the draws of a level of another factor."""
        keys = list(self.keys)
        keys[factor] = np.where(keys[factor] == code, -1, keys[factor])
        return replace(self, keys=tuple(keys))


class Undrawn(NamedTuple):
    """The density of rows in each draw, and the distribution of effects without draws.

    Attributes
    ----------
    log_density : (n_draws,), of the rows, per unit of y
    root : (n_draws, d, d), K C^-T
    center : (n_draws, d), x
    """

    log_density: Float
    root: Float
    center: Float

    def draw(self, rng: np.random.Generator) -> Float:
        """Draw the effects (n_draws, d), by factor, level and term, in working units."""
        z = self.center + rng.standard_normal(self.center.shape)
        return np.einsum("sab,sb->sa", self.root, z)


def group_rows(posterior: Posterior, statistics: GroupedStatistics) -> GroupRows:
    """Turn the cells of some groups into pseudo-rows."""
    design, f = posterior.design, posterior.design.integrated
    # The within part of each group is needed, as with residual scales by group.
    terms = [replace(factor.terms, residual="by_group") for factor in design.factors]
    parts = make_parts(statistics.of_factor(f), design.scaling, terms[f])
    pseudo_rows = make_pseudo_rows(statistics, design.scaling, terms, f, parts.roots)
    codes = [
        factor.levels.encode(levels.labels, len(levels))[0]
        for factor, levels in zip(design.factors, statistics.factors, strict=True)
    ]
    groups = codes.pop(f)
    keys = tuple(of[rows] for of, rows in zip(codes, pseudo_rows.codes, strict=True))
    return GroupRows(groups, parts, pseudo_rows, keys)


def left_by_effects(posterior: Posterior, rows: GroupRows) -> Left:
    """Take coefficients and drawn effects off the response of the groups."""
    return _left(posterior, rows)[0]


def undrawn(posterior: Posterior, rows: GroupRows, sigma: Float) -> Undrawn:
    """Integrate the effects of levels without draws out of the density of rows.

    `sigma` (n_draws, 1 or n_groups) has residual scales in working units.
    """
    left, residual = _left(posterior, rows)
    value = densities(posterior, left, sigma).sum(axis=0)
    Z, K = _undrawn_terms(posterior, rows)
    n_draws, d = K.shape[:2]
    A, b = np.zeros((n_draws, d, d)), np.zeros((n_draws, d))
    if not d:
        return Undrawn(value, A, b)
    QZ = _project(rows.pseudo_rows.Q, rows.starts, Z)
    L = posterior.covariance_roots()
    _add_groups(L, sigma, left.R, left.between, QZ, residual, Z, rows.starts, A, b)
    C = np.linalg.cholesky(np.eye(d) + K.mT @ A @ K)
    center = np.linalg.solve(C, np.einsum("sba,sb->sa", K, b)[:, :, None])[:, :, 0]
    logdet = np.sum(np.log(np.einsum("saa->sa", C)), axis=1)
    log_density = value + 0.5 * np.sum(center**2, axis=1) - logdet
    return Undrawn(log_density, K @ np.linalg.inv(C).mT, center)


def _left(posterior: Posterior, rows: GroupRows) -> tuple[Left, Float]:
    """Return what is left of the groups, and of each row (n_rows, n_draws) within them."""
    pseudo_rows, parts = rows.pseudo_rows, rows.parts
    w = posterior.coefficients()
    v = np.hstack([-w, np.ones((len(w), 1))])
    residual = pseudo_rows.xy @ v.T
    sizes = [other.n_groups for other in posterior.design.others]
    widths = np.array([z.shape[1] for z in pseudo_rows.terms])
    first = first_effects(rows.keys, list(widths), sizes)
    row_offsets(flat(posterior.sampled), first, -np.hstack(pseudo_rows.terms), widths, residual)
    between = _project(pseudo_rows.Q, rows.starts, residual)
    within = np.add.reduceat(residual**2, rows.starts)
    within += quadratics(v, pseudo_rows.rest, parts.weight * posterior.design.rounding)
    R = np.ascontiguousarray(parts.roots[:, :, : pseudo_rows.integrated.shape[1]])
    return Left(R, between, within, parts.n), residual


def _undrawn_terms(posterior: Posterior, rows: GroupRows) -> tuple[Float, Float]:
    """Return Z (n_rows, d) of the effects without draws, and the roots K (n_draws, d, d)."""
    columns, roots = [np.zeros((len(rows.pseudo_rows.xy), 0))], []
    for keys, z, cov in zip(
        rows.keys, rows.pseudo_rows.terms, posterior.other_covariances(), strict=True
    ):
        n_new = int(-keys.min(initial=0))
        terms = np.zeros((len(z), n_new, z.shape[1]))
        new = np.flatnonzero(keys < 0)
        terms[new, -1 - keys[new]] = z[new]
        columns.append(terms.reshape(len(z), -1))
        roots += [covariance_roots(cov)] * n_new
    Z = np.hstack(columns)
    K = np.zeros((posterior.n_draws, Z.shape[1], Z.shape[1]))
    first = 0
    for root in roots:
        last = first + root.shape[1]
        K[:, first:last, first:last] = root
        first = last
    return Z, K


@njit(**JIT)
def _project(Q, starts, values):
    """Return Q_j' values (n_groups, q, k) of each group; leave the rest in values (n, k).

    The rows of the groups begin at starts.
    """
    (n, q), k = Q.shape, values.shape[1]
    out = np.zeros((len(starts), q, k))
    for j in range(len(starts)):
        end = starts[j + 1] if j + 1 < len(starts) else n
        for i in range(starts[j], end):
            for a in range(q):
                for s in range(k):
                    out[j, a, s] += Q[i, a] * values[i, s]
        for i in range(starts[j], end):
            for a in range(q):
                for s in range(k):
                    values[i, s] -= Q[i, a] * out[j, a, s]
    return out


@njit(**JIT)
def _add_groups(L, sigma, R, between, QZ, residual, rest, starts, A, b):
    """Add the sums over groups to A (s, d, d) and b (s, d).

    QZ (n_groups, q, d) and rest (n_rows, d) are the effects' terms between and within groups.
    The rows of the groups begin at starts.
    """
    n_draws, q, _ = L.shape
    d = rest.shape[1]
    F, RL, Y, y = np.empty((q, q)), np.empty((q, q)), np.empty((q, d)), np.empty(q)
    within = np.empty((d, d))
    for j in range(len(starts)):
        end = starts[j + 1] if j + 1 < len(starts) else len(rest)
        within[:] = 0.0
        for i in range(starts[j], end):
            for a in range(d):
                if rest[i, a] != 0.0:
                    for c in range(d):
                        within[a, c] += rest[i, a] * rest[i, c]
        for s in range(n_draws):
            scale = scale_of(sigma, s, j)
            density_root(L[s], R[j], scale, RL, F)
            # Forward substitution turns E into Y and e into y: derivation (4).
            for a in range(q):
                y[a] = between[j, a, s] / scale
                Y[a] = QZ[j, a] / scale
                for e in range(a):
                    y[a] -= F[a, e] * y[e]
                    Y[a] -= F[a, e] * Y[e]
                y[a] /= F[a, a]
                Y[a] /= F[a, a]
            for a in range(d):
                for i in range(starts[j], end):
                    b[s, a] += rest[i, a] * residual[i, s] / scale**2
                for e in range(q):
                    b[s, a] += Y[e, a] * y[e]
                for c in range(d):
                    A[s, a, c] += within[a, c] / scale**2
                    for e in range(q):
                        A[s, a, c] += Y[e, a] * Y[e, c]
