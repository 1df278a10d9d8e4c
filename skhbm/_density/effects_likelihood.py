"""The density of rows and effects given scales and coefficients, in whitened coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skhbm._density.effects_gaussian import on_diagonal
from skhbm._density.effects_kernel import EFFECTS, PLACED, effects_callback
from skhbm._density.effects_reference import diagonal_blocks
from skhbm._density.family_rows import in_lanes
from skhbm._numba.records import make_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._density.effects_gaussian import EffectRows, Stage
    from skhbm._density.effects_reference import Reference
    from skhbm._density.family_rows import FamilyRows
    from skhbm._types import Float, Int

__all__ = ["EffectsLikelihood", "make_effects_likelihood"]

#: Entries of maps below this share of the largest are rounding.
NEGLIGIBLE = 1e-12
#: Axes are stretched if their variances are not within this factor of 1, so many at most.
NEAR, MOST = 1.25, 200


class Csr(NamedTuple):
    """A sparse matrix: starts of rows (n + 1,), columns and values (n_entries,)."""

    start: Int
    column: Int
    value: Float


class Placed(NamedTuple):
    """How the effects of a factor are placed.

    Attributes
    ----------
    information : ndarray of shape (J, q, q)
        Information of the levels, the factors before this one integrated out.
    scores : ndarray of shape (J q,)
    score_map : Csr of shape (J q, k + n_effects)
        Scores are ``scores + score_map @ [coefficients, effects]``. Those of the first factor
        are found from the rows.
    axes : ndarray of shape (r, J q)
    gains : ndarray of shape (r,)
        Coordinates of the levels are ``z + axes.T @ (gains * (axes @ z))``.
    """

    information: Float
    scores: Float
    score_map: Csr
    axes: Float
    gains: Float

    @property
    def n_roots(self) -> int:
        """Number of entries of all matrices (q, q)."""
        return self.information.size


@dataclass(frozen=True, slots=True, eq=False)
class EffectsLikelihood:
    """What the callback reads: a `MarginalLikelihood` that integrates nothing out.

    Parameters
    ----------
    rows : EffectRows
    response : FamilyRows
        In the order of the same rows.
    first_entry : tuple of int
        Where the covariance of each factor begins among the inputs.
    placed : tuple of Placed
        In the order of elimination.
    weight, working : ndarray of shape (n,)
        Of the normal approximation.
    kept : dict
        Arrays and records that the table refers to.
    alive : list
        What these refer to.
    """

    rows: EffectRows
    response: FamilyRows
    first_entry: tuple[int, ...]
    placed: tuple[Placed, ...]
    weight: Float
    working: Float
    kept: dict[str, Any]
    alive: list[Any]

    @property
    def n_integrated(self) -> int:
        """Number of coefficients that are integrated out."""
        return 0

    @property
    def n_within(self) -> int:
        """Number of dispersion parameters, which are in the place of residual scales."""
        return len(self.response.family.dispersion)

    @property
    def n_moments(self) -> int:
        """Length of the moments of coefficients."""
        return 0

    @property
    def work(self) -> float:
        """Nanoseconds of CPU of a value: there is no other way than to sample."""
        return 0.0

    def table(self) -> Any:
        """Return the record that the callback reads, without coordinates."""
        rows, kept = self.rows, self.kept
        return make_record(
            EFFECTS,
            n_rows=len(rows.fixed),
            n_blocks=self.response.n_blocks,
            n_factors=len(self.placed),
            n_coef=rows.fixed.shape[1],
            n_dispersion=self.n_within,
            n_entries=sum(z.shape[1] ** 2 for z in rows.terms),
            n_effects=sum(rows.sizes),
            n_roots=sum(factor.n_roots for factor in self.placed),
            weight=self.weight,
            working=self.working,
            rows=self.response.address,
            **kept,
        )

    def callback(self) -> Any:
        """Return the callback that reads the table."""
        return effects_callback()


def make_effects_likelihood(
    rows: EffectRows, response: FamilyRows, reference: Reference, first_entry: Sequence[int]
) -> tuple[EffectsLikelihood, Float, Float]:
    """Choose coordinates about a reference point.

    Returns
    -------
    likelihood : EffectsLikelihood
    center : ndarray of shape (k,)
        The coefficients at the mode.
    covariance : ndarray of shape (k, k)
        Their covariance, all effects integrated out.
    """
    gaussian = reference.gaussian
    n_effects, k = sum(rows.sizes), rows.fixed.shape[1]
    # Columns of maps are coefficients and effects.
    position = np.concatenate([k + np.arange(n_effects), np.arange(k)])
    placed, left, at = [], gaussian.left, 0
    for f, (size, cov) in enumerate(zip(rows.sizes, reference.covariances, strict=True)):
        mode, places = gaussian.mode[at:], position[at:]
        if f < len(gaussian.stages):
            factor = _place_stage(gaussian.stages[f], cov, mode, places, from_rows=f == 0)
        else:
            factor, left = _place(left, size, cov, mode, places)
        placed.append(factor)
        at += size
    likelihood = EffectsLikelihood(
        rows,
        response,
        tuple(first_entry),
        tuple(placed),
        gaussian.weight,
        gaussian.working,
        *_collect(rows, response, placed, first_entry),
    )
    return likelihood, gaussian.mode[n_effects:], np.linalg.inv(left)


def _place_stage(
    stage: Stage, cov: Float, mode: Float, position: Int, *, from_rows: bool
) -> Placed:
    """Place a factor whose levels are independent given what comes after it.

    `mode` is that of its effects and of what comes after them, `position` where these are among
    coefficients and effects.
    """
    size = stage.cross.shape[0]
    information = stage.precision - np.linalg.inv(cov)
    axes = np.empty((0, size)), np.empty(0)
    if from_rows:
        return Placed(information, np.zeros(size), _as_csr(np.empty((size, 0))), *axes)
    scores = on_diagonal(stage.precision) @ mode[:size] + stage.cross @ mode[size:]
    cross = stage.cross.tocsr()
    columns = position[size:][cross.indices]
    score_map = Csr(cross.indptr.astype(np.int64), columns, -cross.data)
    return Placed(information, scores, score_map, *axes)


def _place(
    precision: Float, size: int, cov: Float, mode: Float, position: Int
) -> tuple[Placed, Float]:
    """Place a factor given what comes after it; return the precision of the latter, too.

    The first `size` entries of `mode` are effects of the factor. Given the rest they have the
    precision P and the mean mode - P^-1 B (rest - its mode), [P B] being the first rows of
    `precision`. If V are the blocks on the diagonal of P, inverted, scores s have the mean V s.
    """
    q = len(cov)
    head, rest = precision[:size, :size], precision[:size, size:]
    blocks, covariance = diagonal_blocks(head, q), np.linalg.inv(head)
    gain = covariance @ rest
    inverse = on_diagonal(blocks)
    scores = inverse @ (mode[:size] + gain @ mode[size:])
    # The root of a block is that of `skhbm._density.effects_levels_kernel`.
    L = np.linalg.cholesky(cov)
    information = blocks - np.linalg.inv(cov)
    G = np.linalg.cholesky(np.eye(q) + L.T @ information @ L)
    to_standard = on_diagonal(np.swapaxes(G, 1, 2) @ np.linalg.inv(L))
    axes = _far_from_one(to_standard @ (to_standard @ covariance).T)
    score_map = _as_csr(-(inverse @ gain))
    score_map = score_map._replace(column=position[size:][score_map.column])
    factor = Placed(information, scores, score_map, *axes)
    return factor, precision[size:, size:] - rest.T @ gain


def _far_from_one(covariance: Float) -> tuple[Float, Float]:
    """Return axes (r, n) whose variances are far from 1, and gains of standard deviation."""
    n = len(covariance)
    if np.abs(covariance - np.eye(n)).max(initial=0.0) < NEAR - 1.0:
        return np.empty((0, n)), np.empty(0)
    values, vectors = np.linalg.eigh(covariance)
    distance = np.abs(np.log(values))
    chosen = np.argsort(distance)[::-1][:MOST]
    chosen = chosen[distance[chosen] > np.log(NEAR)]
    return np.ascontiguousarray(vectors[:, chosen].T), np.sqrt(values[chosen]) - 1.0


def _as_csr(matrix: Float) -> Csr:
    """Return a matrix row by row, without entries that are rounding."""
    size = np.abs(matrix)
    kept = size > NEGLIGIBLE * size.max(initial=0.0)
    start = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    return Csr(start.astype(np.int64), np.nonzero(kept)[1].astype(np.int64), matrix[kept])


def _collect(
    rows: EffectRows, response: FamilyRows, placed: list[Placed], first_entry: Sequence[int]
) -> tuple[dict[str, Any], list[Any]]:
    """Return arrays and records in the layout of the kernel, and what these refer to."""
    n_entries = sum(z.shape[1] ** 2 for z in rows.terms)
    factors = np.zeros(len(placed), PLACED)
    alive: list[Any] = []
    first, first_root = 0, n_entries
    for f, factor in enumerate(placed):
        J, q, _ = factor.information.shape
        arrays = {
            "where": first + q * rows.codes[:, f],
            "terms": np.ascontiguousarray(rows.terms[f].T),
            "information": np.ascontiguousarray(factor.information),
            "scores": factor.scores,
            "turns": factor.axes,
            "gains": factor.gains,
            **{f"map_{name}": array for name, array in factor.score_map._asdict().items()},
        }
        alive.append(arrays)
        numbers = {
            "n_levels": J, "n_terms": q, "first_entry": first_entry[f], "first": first,
            "first_root": first_root, "n_turns": len(factor.gains),
        }  # fmt: skip
        for name, number in numbers.items():
            factors[f][name] = number
        for name, array in arrays.items():
            factors[f][name] = array.ctypes.data
        first += J * q
        first_root += factor.n_roots
    kept = {
        "factors": factors,
        "fixed": in_lanes(rows.fixed),
        "rows_table": response.table(),
    }
    return kept, alive
