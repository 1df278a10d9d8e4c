"""Log densities of rows and their derivatives in predictors and dispersion, as C callbacks.

There is a callback for each family, compiled from the functions of one row. The names of these
are part of what numba looks compiled code up by: see `skhbm._numba.jit.Kernel`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import carray

from skhbm._families.table import FAMILIES
from skhbm._numba.jit import c_callback
from skhbm._numba.pointers import as_pointer
from skhbm._numba.records import fields, make_record

if TYPE_CHECKING:
    from skhbm._families.family import Family
    from skhbm._types import Float

__all__ = ["FamilyRows"]

#: What the callbacks read.
ROWS = fields("n_rows", "n_dispersion", "y", "size", "weight")


class FamilyRows(NamedTuple):
    """Rows of a response.

    Attributes
    ----------
    family : Family
    y, size, weight : ndarray of shape (n,)
    """

    family: Family
    y: Float
    size: Float
    weight: Float

    @property
    def address(self) -> int:
        """Address of the callback.

        It is called as a marginal likelihood is: see `skhbm._likelihood.interface`. Inputs are
        the predictors (n,) and the dispersion parameters. Outputs are the log density and its
        derivatives in the inputs.
        """
        return int(_callback(self.family.name).address)

    def table(self) -> Any:
        """Return what the callback reads, valid as long as the arrays live."""
        return make_record(
            ROWS,
            n_rows=len(self.y),
            n_dispersion=len(self.family.dispersion),
            y=self.y,
            size=self.size,
            weight=self.weight,
        )

    def derivatives(self, eta: Float, dispersion: Float) -> tuple[float, Float, Float]:
        """Return the log density, and its derivatives in eta and in the dispersion."""
        inputs, table = np.concatenate([eta, dispersion]), self.table()
        out = np.empty(1 + len(inputs))
        addresses = table.ctypes.data, inputs.ctypes.data, out.ctypes.data
        _callback(self.family.name).ctypes(*addresses, 1)
        return float(out[0]), out[1 : 1 + len(eta)], out[1 + len(eta) :]

    def information(self, eta: Float, dispersion: Float) -> Float:
        """Return minus the second derivative in the predictor of each row (n,)."""
        observed = self.family.observed_information(self.y, self.size, eta, tuple(dispersion))
        return self.weight * np.asarray(observed)


@cache
def _callback(name: str) -> Any:
    """Return the callback of a family, compiled once and cached on disk."""
    family = FAMILIES[name]
    function = _make(family.derivatives, family.dispersion_gradient)
    return c_callback("void(int64, int64, int64, int64)", function)


def _make(derivatives: Any, dispersion_gradient: Any) -> Any:
    """Return the function of all rows."""

    def rows(table_, inputs_, outputs_, with_gradient):
        table = carray(as_pointer(table_), (1,), ROWS)[0]
        n, m = table.n_rows, table.n_dispersion
        inputs = carray(as_pointer(inputs_), (n + m,), np.float64)
        outputs = carray(as_pointer(outputs_), (1 + n + m,), np.float64)
        y = carray(as_pointer(table.y), (n,), np.float64)
        size = carray(as_pointer(table.size), (n,), np.float64)
        weight = carray(as_pointer(table.weight), (n,), np.float64)
        dispersion, d_dispersion = inputs[n:], outputs[1 + n :]
        of_row = np.empty(m)
        d_dispersion[:] = 0.0
        total = 0.0
        for i in range(n):
            value, slope, _ = derivatives(y[i], size[i], inputs[i], dispersion)
            total += weight[i] * value
            outputs[1 + i] = weight[i] * slope
            if m > 0 and with_gradient:
                dispersion_gradient(y[i], size[i], inputs[i], dispersion, of_row)
                for k in range(m):
                    d_dispersion[k] += weight[i] * of_row[k]
        outputs[0] = total

    return rows
