"""The effects of groups given draws of all else, where the quadrature integrates them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skhbm._likelihood.grouped_rows import GroupedRows
from skhbm._likelihood.quadrature import make_quadrature
from skhbm._likelihood.quadrature_constants import group_constants, row_constants, row_rests
from skhbm._likelihood.quadrature_visits import VISIT, VISITING
from skhbm._numba.lanes import LANES
from skhbm._numba.records import make_record
from skhbm._numba.threads import in_slices
from skhbm._posterior.visitors import density_visitor, draw_visitor, left_out_visitor

if TYPE_CHECKING:
    from skhbm._likelihood.quadrature import QuadratureLikelihood
    from skhbm._types import Float, Int

__all__ = ["Given", "GivenRows", "draw_effects", "log_group_densities", "log_left_out"]

#: Draws that a thread takes at a time.
CHUNK = 64


class GivenRows(NamedTuple):
    """Single rows, in any order: response, size, fixed and varying terms, and groups."""

    y: Float
    size: Float
    fixed: Float
    varying: Float
    codes: Int


class Given(NamedTuple):
    """Draws of what the effects depend on.

    Attributes
    ----------
    cov : ndarray of shape (n_draws, q, q)
        Covariance of the effects.
    dispersion : ndarray of shape (n_draws, n_dispersion)
    coefficients : ndarray of shape (n_draws, k)
    """

    cov: Float
    dispersion: Float
    coefficients: Float

    def inputs(self) -> Float:
        """Return the inputs of the likelihood (n_draws, n_inputs)."""
        flat = self.cov.reshape(len(self.cov), -1)
        return np.ascontiguousarray(np.hstack([flat, self.dispersion, self.coefficients]))


def draw_effects(
    likelihood: QuadratureLikelihood, given: Given, codes: Int, seed: int, threads: int = 1
) -> Float:
    """Draw the effects (n_draws, n_codes, q) of groups from their conditional distributions.

    The draws of a group depend on its code, the seed and the number of draws, and on no other
    group. A group of no rows has the distribution of a new one.
    """
    n_draws, q, _ = given.cov.shape
    numbers = np.empty((n_draws, len(codes), q))
    for slot, code in enumerate(codes.tolist()):
        rng = np.random.Generator(np.random.Philox(key=[seed % 2**64, code]))
        numbers[:, slot] = rng.random((n_draws, q))
    out = np.zeros((n_draws, len(codes), q))
    if q:
        _visit(likelihood, given, codes, draw_visitor(), numbers, out, threads)
    return out


def log_group_densities(
    likelihood: QuadratureLikelihood, given: Given, codes: Int, threads: int = 1
) -> Float:
    """Return log p(y_j | theta) (n_draws, n_codes) of groups, with all constants."""
    out = np.zeros((len(given.cov), len(codes)))
    _visit(likelihood, given, codes, density_visitor(), out, out, threads)
    return out + group_constants(likelihood, codes, given.dispersion)


def log_left_out(
    likelihood: QuadratureLikelihood, given: Given, rows: GivenRows, threads: int = 1
) -> Float:
    """Return log p(y_i | the other rows, theta) (n_draws, n_rows), with all constants.

    The rows are among those of the likelihood. Where a row determines its group, so that the
    nodes do not serve without it, the group is integrated again without the row.
    """
    order = np.argsort(rows.codes, kind="stable")
    codes, counts = np.unique(rows.codes, return_counts=True)
    y, size, fixed, varying = (array[order] for array in rows[:4])
    n, q = len(y), varying.shape[1]
    eta = np.zeros((len(given.cov), n + LANES))
    eta[:, :n] = given.coefficients @ fixed.T
    z, padded = np.zeros((2, n)), np.ones((3, n + LANES))
    z[:q], padded[0, :n], padded[1, :n] = varying.T, y, size
    logs, ones = np.log(padded[1]), np.ones(n + LANES)
    found = np.empty((len(eta), n))
    more = {
        "row_starts": np.concatenate([[0], np.cumsum(counts)]),
        "y": padded[0],
        "size": padded[1],
        "log_size": logs,
        "ones": ones,
        "z": z,
        "n_rows": n,
    }
    _visit(likelihood, given, codes, left_out_visitor(), eta, found, threads, more)
    for i in np.flatnonzero(np.any(np.isnan(found), axis=0)).tolist():
        which = np.isnan(found[:, i])
        some = Given(*(array[which] for array in given))
        row = y[i], size[i], fixed[i], varying[i]
        found[which, i] = _again_without(likelihood, some, int(rows.codes[order[i]]), row)
        rest = row_rests(likelihood, y[i : i + 1], size[i : i + 1], ones[:1], some.dispersion)
        found[which, i] += rest
    pairs, which = np.unique(np.stack([y, size]), axis=1, return_inverse=True)
    constants = row_constants(likelihood, pairs[0], pairs[1], given.dispersion[:1].T)
    found += constants[which.ravel()]
    out = np.empty_like(found)
    out[:, order] = found
    return out


def _again_without(
    likelihood: QuadratureLikelihood, given: Given, code: int, row: tuple[Any, ...]
) -> Float:
    """Return log p(y_j) - log p(y_j without a row) without constants (n_draws,)."""
    whole = likelihood.rows_of(code)
    before, after = np.zeros((2, len(given.cov), 1))
    _visit(likelihood, given, np.array([code]), density_visitor(), before, before, 1)
    rest = without_row(whole, row)
    if len(rest.y):
        alone = make_quadrature(likelihood.family, rest)
        _visit(alone, given, np.array([0]), density_visitor(), after, after, 1)
    return np.asarray((before - after)[:, 0])


def without_row(rows: GroupedRows, row: tuple[Any, ...]) -> GroupedRows:
    """Return the rows of a group without one of them, which may be a part of a pattern."""
    y, size, fixed, varying = row
    alike = np.all(rows.fixed == fixed, axis=1) & np.all(rows.varying == varying, axis=1)
    same = alike & (rows.y == y) & (rows.size == size)
    values = rows.y.copy(), rows.size.copy(), rows.weight.copy()
    if np.any(same):
        values[2][np.argmax(same)] -= 1.0
    else:
        values[0][np.argmax(alike)] -= y
        values[1][np.argmax(alike)] -= size
    left = (values[2] > 0) & (values[1] > 0)
    y, size, weight = (array[left] for array in values)
    starts = np.array([0, np.count_nonzero(left)])
    return GroupedRows(y, size, weight, rows.fixed[left], rows.varying[left], starts)


def _visit(
    likelihood: QuadratureLikelihood,
    given: Given,
    codes: Int,
    visitor: Any,
    numbers: Float,
    out: Float,
    threads: int,
    more: dict[str, Any] | None = None,
) -> None:
    """Have the groups visited at each draw; answers go to out (n_draws, n_codes, ...).

    `numbers` (n_draws, ...) are the visitor's, and with `more` the predictors of its rows.
    """
    table, call, inputs = likelihood.table(), likelihood.callback().ctypes, given.inputs()
    slots = np.full(len(likelihood.counts), -1)
    slots[codes] = np.arange(len(codes))

    def visit(draws: slice) -> None:
        record = make_record(
            VISIT,
            visitor=visitor.address,
            slots=slots,
            n_terms=likelihood.n_terms,
            n_answers=len(codes),
            **(more or {}),
        )
        for s in range(draws.start, draws.stop):
            record["answers"], record["numbers"] = out[s].ctypes.data, numbers[s].ctypes.data
            record["eta"] = record["numbers"]
            call(table.ctypes.data, inputs[s].ctypes.data, record.ctypes.data, VISITING)

    in_slices(visit, len(inputs), threads, CHUNK)
