"""Rows of a response: their log density and its derivatives, given linear predictors."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skhbm._density.family_rows_kernel import IN_LANES, ROWS, row_by_row
from skhbm._families.table import FAMILIES
from skhbm._numba.jit import c_callback
from skhbm._numba.lanes import LANES
from skhbm._numba.records import make_record

if TYPE_CHECKING:
    from skhbm._families.family import Family
    from skhbm._types import Float

__all__ = ["FamilyRows", "in_lanes", "make_family_rows"]


class FamilyRows(NamedTuple):
    """Rows of a response.

    Attributes
    ----------
    family : Family
    y, size, weight : ndarray of shape (n,)
    blocks : tuple of ndarray of shape (n_blocks, LANES)
        The same, filled up with rows of weight 0.
    values, counts : ndarray of shape (n_values,)
        Values of y, and the weights of their rows. There is a single one for all rows if y is
        not discrete.
    """

    family: Family
    y: Float
    size: Float
    weight: Float
    blocks: tuple[Float, Float, Float]
    values: Float
    counts: Float

    @property
    def n_blocks(self) -> int:
        """Number of blocks of rows."""
        return len(self.blocks[0])

    @property
    def address(self) -> int:
        """Address of the callback of `skhbm._density.family_rows_kernel`."""
        return int(_callback(self.family.name).address)

    def table(self) -> Any:
        """Return what the callback reads, valid as long as the arrays live."""
        y, size, weight = self.blocks
        return make_record(
            ROWS,
            n_blocks=self.n_blocks,
            n_dispersion=len(self.family.dispersion),
            n_values=len(self.values),
            y=y,
            size=size,
            weight=weight,
            values=self.values,
            counts=self.counts,
        )

    def derivatives(self, eta: Float, dispersion: Float) -> tuple[float, Float, Float]:
        """Return the log density, and its derivatives in eta and in the dispersion."""
        n = self.n_blocks * LANES
        inputs, table = np.zeros(n + len(dispersion)), self.table()
        inputs[: len(eta)], inputs[n:] = eta, dispersion
        out = np.empty(1 + len(inputs))
        addresses = table.ctypes.data, inputs.ctypes.data, out.ctypes.data
        _callback(self.family.name).ctypes(*addresses, 1)
        return float(out[0]), out[1 : 1 + len(eta)], out[1 + n :]

    def information(self, eta: Float, dispersion: Float) -> Float:
        """Return minus the second derivative in the predictor of each row (n,)."""
        observed = self.family.observed_information(self.y, self.size, eta, tuple(dispersion))
        return self.weight * np.asarray(observed)


def make_family_rows(family: Family, y: Float, size: Float, weight: Float) -> FamilyRows:
    """Return the rows of a response."""
    values, counts = np.zeros(1), np.array([weight.sum()])
    if family.discrete:
        values, which = np.unique(y, return_inverse=True)
        counts = np.bincount(which, weight)
    blocks = in_lanes(y), in_lanes(size, filled=1.0), in_lanes(weight)
    return FamilyRows(family, y, size, weight, blocks, values.astype(float), counts)


def in_lanes(values: Float, filled: float = 0.0) -> Float:
    """Return rows (n, ...) in lanes (n_blocks, ..., LANES), filled up to whole blocks."""
    n_blocks = -(-len(values) // LANES)
    out = np.full((n_blocks * LANES, *values.shape[1:]), filled)
    out[: len(values)] = values
    out = out.reshape(n_blocks, LANES, *values.shape[1:])
    return np.ascontiguousarray(np.moveaxis(out, 1, -1))


@cache
def _callback(name: str) -> Any:
    """Return the callback of a family, compiled once and cached on disk."""
    family, signature = FAMILIES[name], "void(int64, int64, int64, int64)"
    if name in IN_LANES:
        return c_callback(signature, IN_LANES[name])
    return c_callback(signature, row_by_row(family.derivatives, family.dispersion_gradient))
