"""The effects of groups given draws of all else, where the quadrature integrates them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skhbm._likelihood.quadrature_constants import group_constants
from skhbm._likelihood.quadrature_visits import VISIT, VISITING
from skhbm._numba.records import make_record
from skhbm._numba.threads import in_slices
from skhbm._posterior.visitors import density_visitor, draw_visitor

if TYPE_CHECKING:
    from collections.abc import Callable

    from skhbm._likelihood.quadrature import QuadratureLikelihood
    from skhbm._types import Float, Int

__all__ = ["Given", "draw_effects", "log_group_densities"]

#: Draws that a thread takes at a time.
CHUNK = 64


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


def _visit(
    likelihood: QuadratureLikelihood,
    given: Given,
    codes: Int,
    visitor: Any,
    numbers: Float,
    out: Float,
    threads: int,
) -> None:
    """Have the groups visited at each draw; answers go to out (n_draws, n_codes, ...)."""
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
        )
        for s in range(draws.start, draws.stop):
            record["answers"], record["numbers"] = out[s].ctypes.data, numbers[s].ctypes.data
            call(table.ctypes.data, inputs[s].ctypes.data, record.ctypes.data, VISITING)

    in_slices(visit, len(inputs), threads, CHUNK)
