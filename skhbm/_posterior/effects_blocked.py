"""The effects of several factors, all integrated out, given nodes of the hyperparameters.

At each node the blocks are factorised anew (`skhbm._likelihood.blocked_kernels`). What follows
is exact given the node: coefficients and effects are jointly normal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skhbm._posterior.factors_at_nodes import at_nodes
from skhbm._posterior.points import coefficient_roots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from skhbm._design.blocks import Blocks, Layout
    from skhbm._likelihood.interface import ConditionalEffects, RowTerms
    from skhbm._posterior.factors_at_nodes import AtNode, Nodes
    from skhbm._posterior.points import Points
    from skhbm._types import Float

__all__ = ["BlockedEffects", "LevelMoments"]


class LevelMoments(NamedTuple):
    """Moments of the effects of a factor over all nodes, in working units.

    Attributes
    ----------
    mean : (n_levels, q), cov : (n_levels, q, q)
    cross : (n_levels, q, n_fixed), covariances with the working coefficients
    """

    mean: Float
    cov: Float
    cross: Float


@dataclass(frozen=True, slots=True, eq=False)
class BlockedEffects:
    """The joint distribution of coefficients and effects, given nodes.

    Parameters
    ----------
    blocks : Blocks
        With the columns (g, c, response) of `points`.
    layout : Layout
    points : Points
    nodes : Nodes
    """

    blocks: Blocks
    layout: Layout
    points: Points
    nodes: Nodes

    @property
    def n_effects(self) -> int:
        """Number of effects of all factors."""
        J, q, _ = self.blocks.E.shape
        return J * q + len(self.blocks.head)

    def densities(self) -> tuple[Float, Float]:
        """Return log|M| (n,) and K (n, m, m) at each node."""
        n, m = len(self.nodes.sigma), len(self.blocks.C)
        logdet, K = np.empty(n), np.empty((n, m, m))

        def fill(at: AtNode, i: int) -> int:
            logdet[i], K[i] = at.logdet, at.K
            return i

        list(self._at_nodes(fill, solved=False))
        return logdet, K

    def predictors(self, rows: RowTerms) -> tuple[Float, Float]:
        """Return E and Var (n_rows, n_nodes) of x'w + z'u given each node."""
        mean, variance = self.seen_predictors(rows)
        return mean, variance + self._new_variances(rows)

    def seen_predictors(self, rows: RowTerms) -> tuple[Float, Float]:
        """Return what `predictors` does, without the effects of groups that were not seen."""
        mean, variance = np.empty((2, len(rows.fixed), len(self.nodes.sigma)))

        def fill(at: AtNode, i: int) -> int:
            mean[:, i], variance[:, i] = self._predict(at, i, rows)
            return i

        list(self._at_nodes(fill))
        return mean, variance

    def level_moments(self) -> list[LevelMoments]:
        """Return the moments of the effects of all factors over the nodes."""
        weight, origin, center = self.nodes.weight, 0.0, 0.0
        sums: list[Any] = []
        for i, (w, parts) in enumerate(self._at_nodes(self._levels)):
            if not sums:
                # Counted from one of them, no digits of coefficients are lost.
                origin = w
                sums = [[np.zeros_like(part) for part in of_factor] for of_factor in parts]
            center += weight[i] * (w - origin)
            for total, (mean, cov, cross) in zip(sums, parts, strict=True):
                total[0] += weight[i] * mean
                total[1] += weight[i] * (cov + mean[:, :, None] * mean[:, None, :])
                total[2] += weight[i] * (cross + mean[:, :, None] * (w - origin))
        return [
            LevelMoments(
                mean,
                second - mean[:, :, None] * mean[:, None, :],
                cross - mean[:, :, None] * center,
            )
            for mean, second, cross in sums
        ]

    def population_moments(self) -> tuple[Float, Float]:
        """Return E[w] (n_fixed,) and Cov[w] over all nodes."""
        points, nodes = self.points, self.nodes
        U, g = coefficient_roots(self.cross_products(), points.mean, nodes.sigma, nodes.sampled)
        centers = points.base + g @ points.rotated.T + nodes.sampled @ points.slope.T
        center = nodes.weight @ centers
        off = (centers - center) * np.sqrt(nodes.weight)[:, None]
        half = (U @ points.rotated.T) * np.sqrt(nodes.weight)[:, None, None]
        return center, off.T @ off + np.einsum("iab,iac->bc", half, half)

    def cross_products(self) -> Float:
        """Return K (n, m, m) of each node."""
        return self.densities()[1]

    def row_covariance(self, rows: RowTerms) -> Float:
        """Return Cov[x'w + z'u] between rows over all nodes, without groups not seen."""
        mean, _ = self.seen_predictors(rows)
        weight = self.nodes.weight
        deviation = (mean - (mean @ weight)[:, None]) * np.sqrt(weight)
        total = deviation @ deviation.T
        for part in self._at_nodes(partial(self._between_rows, rows=rows)):
            total += part
        return total

    def draw(self, w: Float, z: Float) -> list[Float]:
        """Draw the effects of all factors (n_nodes, n_levels, q) given coefficients.

        w (n_nodes, n_fixed) are working coefficients, z (n_nodes, n_effects) standard normals.
        Nodes of equal scales that follow each other share a factor.
        """
        ends = self._runs()
        J, q, _ = self.blocks.E.shape
        first, rest = np.empty((len(w), J, q)), np.empty((len(w), len(self.blocks.head)))
        v = self._contrast(w)

        def fill(at: AtNode, i: int) -> int:
            some = slice(ends[i], ends[i + 1])
            given = v[some] / self.nodes.sigma[some, None]
            first[some], rest[some] = self._draw(at, given, z[some])
            return i

        list(self._at_nodes(fill, ends[:-1], solved=False))
        sigma = self.nodes.sigma[:, None, None]
        return [
            sigma * np.einsum("sab,sjb->sja", root, effects)
            for root, effects in zip(self.nodes.roots, self._split(first, rest), strict=True)
        ]

    def _at_nodes(
        self,
        function: Callable[[AtNode, int], Any],
        which: Sequence[int] | None = None,
        *,
        solved: bool = True,
    ) -> Iterator[Any]:
        """Yield a function of the factor at each node: `skhbm._posterior.factors_at_nodes`."""
        return at_nodes(self.blocks, self.layout, self.nodes, function, which, solved=solved)

    def _new_variances(self, rows: RowTerms) -> Float:
        """Return Var[z'u] (n_rows, n_nodes) of effects of groups that were not seen."""
        out = np.zeros((len(rows.fixed), len(self.nodes.sigma)))
        first = 0
        for position, f in enumerate((self.layout.first, *self.layout.others)):
            last = first + self.layout.widths[f] * (position > 0)
            z = rows.terms[:, first:last] if position else rows.z
            new = rows.codes[:, position] < 0
            half = np.einsum("ia,sab->isb", z[new], self.nodes.roots[f], optimize=True)
            out[new] += np.sum(half**2, axis=2) * self.nodes.sigma**2
            first = last
        return out

    def _coefficients(self, K: Float, i: int) -> tuple[Float, Float]:
        """Return U (k, k) with Cov[g] = U'U, and E[g] (k,), at a node."""
        sigma, sampled = self.nodes.sigma[i : i + 1], self.nodes.sampled[i : i + 1]
        U, mean = coefficient_roots(K[None], self.points.mean, sigma, sampled)
        return U[0], mean[0]

    def _contrast(self, w: Float) -> Float:
        """Return (-g, -c, 1) (n, m) of working coefficients w (n, n_fixed)."""
        points, nodes = self.points, self.nodes
        left = w - points.base - nodes.sampled @ points.slope.T
        g = np.linalg.lstsq(points.rotated, left.T, rcond=None)[0].T
        return np.hstack([-g, -nodes.sampled, np.ones((len(w), 1))])

    def _of_rows(self, at: AtNode, rows: RowTerms) -> tuple[Float, Float]:
        """Return Var[z'u] over sigma^2 (n_rows,), and z'T b_D (n_rows, m): derivation (12)."""
        from skhbm._posterior.blocked_rows import row_moments

        assert at.solved is not None
        spreads, first, rest = at.solved
        variance, mean = np.empty(len(rows.fixed)), np.empty((len(rows.fixed), len(at.K)))
        row_moments(
            self.blocks, at.factor, at.inverse, spreads, at.T, at.rest, first, rest,
            rows.codes, rows.where, rows.z, rows.terms, variance, mean,
        )  # fmt: skip
        return variance, mean

    def _predict(self, at: AtNode, i: int, rows: RowTerms) -> tuple[Float, Float]:
        """Return E and Var (n_rows,) of the linear predictors at a node."""
        variance, mean = self._of_rows(at, rows)
        U, g = self._coefficients(at.K, i)
        h, k = self._left_to_coefficients(rows, mean), len(g)
        half = h[:, :k] @ U.T
        variance = self.nodes.sigma[i] ** 2 * variance + np.sum(half**2, axis=1)
        return h[:, -1] + h[:, :k] @ g + h[:, k:-1] @ self.nodes.sampled[i], variance

    def _left_to_coefficients(self, rows: RowTerms, effects: Float) -> Float:
        """Return what of x effects do not take up (n_rows, m), for g, c and, last, a constant.

        `effects` (n_rows, m) are z'T b_D.
        """
        points = self.points
        fixed = rows.fixed @ np.column_stack([points.rotated, points.slope, points.base])
        fixed[:, :-1] -= effects[:, :-1]
        fixed[:, -1] += effects[:, -1]
        return fixed

    def _between_rows(self, at: AtNode, i: int, rows: RowTerms) -> Float:
        """Return the weighted covariance (n_rows, n_rows) of linear predictors at a node."""
        from skhbm._likelihood.blocked import addresses
        from skhbm._likelihood.blocked_kernels import solve
        from skhbm._posterior.blocked_rows import row_vectors

        b, c = np.empty(rows.z.shape), np.zeros((len(self.blocks.head), len(rows.fixed)))
        terms = (rows.codes, rows.where, rows.z, rows.terms)
        row_vectors(self.blocks, at.factor, at.T, at.rest, *terms, b, c)
        solve(self.blocks, addresses(), at.factor, c, False)
        code = rows.codes[:, 0]
        same = (code[:, None] == code) & (code >= 0)
        within = np.where(same, b @ b.T, 0.0) + c.T @ c
        U, g = self._coefficients(at.K, i)
        half = self._left_to_coefficients(rows, self._of_rows(at, rows)[1])[:, : len(g)] @ U.T
        return self.nodes.weight[i] * (self.nodes.sigma[i] ** 2 * within + half @ half.T)

    def _levels(self, at: AtNode, i: int) -> tuple[Float, list[tuple[Float, Float, Float]]]:
        """Return E[w], and mean, covariance and covariance with w of the levels of factors."""
        from skhbm._posterior.blocked_rows import diagonal_blocks

        assert at.solved is not None
        spreads, first, rest = at.solved
        U, g = self._coefficients(at.K, i)
        k, q = len(g), spreads.shape[1]
        v = np.concatenate([-g, -self.nodes.sampled[i], [1.0]])
        half = np.linalg.inv(at.factor.F)
        cov = half.mT @ (np.eye(q) + spreads) @ half  # derivation (12)
        covariances = [cov] * len(self.nodes.roots)
        for f, where in zip(self.layout.others, self.layout.where, strict=True):
            block = np.empty((len(where), self.layout.widths[f], self.layout.widths[f]))
            diagonal_blocks(self.blocks, at.inverse, where, block)
            covariances[f] = block
        b_D = self._split(*(np.moveaxis(part, -1, 0) for part in (first, rest)))
        out = []
        for root, C, b in zip(self.nodes.roots, covariances, b_D, strict=True):
            T = root[i]
            Tb = np.einsum("ab,cjb->jac", T, b)
            half = Tb[:, :, :k] @ U.T
            spread = self.nodes.sigma[i] ** 2 * np.einsum("ab,jbc,dc->jad", T, C, T)
            cross = -half @ (U @ self.points.rotated.T)
            out.append((Tb @ v, spread + half @ half.mT, cross))
        points = self.points
        w = points.base + points.rotated @ g + points.slope @ self.nodes.sampled[i]
        return w, out

    def _draw(self, at: AtNode, given: Float, z: Float) -> tuple[Float, Float]:
        """Return draws of v (n, J, q), (n, R) from standard normals, given (-w, 1) / sigma."""
        from skhbm._likelihood.blocked import addresses
        from skhbm._likelihood.blocked_kernels import first_solutions, solve

        J, q, m = self.blocks.E.shape
        n = len(z)
        rest = at.factor.H @ given.T + z[:, J * q :].T
        rest = np.ascontiguousarray(rest)
        solve(self.blocks, addresses(), at.factor, rest, True)
        first = at.factor.G.reshape(J * q, m) @ given.T + z[:, : J * q].T
        first = np.ascontiguousarray(first).reshape(J, q, n)
        first_solutions(self.blocks, at.factor, rest, first)
        return np.moveaxis(first, 2, 0), rest.T

    def _split(self, first: Float, rest: Float) -> list[Float]:
        """Return coefficients (n, n_levels, q) of factors in the user's order."""
        out = [first] * len(self.layout.widths)
        for f, where in zip(self.layout.others, self.layout.where, strict=True):
            out[f] = rest[:, where[:, None] + np.arange(self.layout.widths[f])]
        return out

    def _runs(self) -> list[int]:
        """Return where runs of equal nodes begin, and their end."""
        parts = [root.reshape(len(root), -1) for root in self.nodes.roots]
        theta = np.hstack([*parts, self.nodes.sampled])
        new = np.any(theta[1:] != theta[:-1], axis=1)
        return np.flatnonzero(np.concatenate([[True], new, [True]])).tolist()


if TYPE_CHECKING:
    _: type[ConditionalEffects] = BlockedEffects
