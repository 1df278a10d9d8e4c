"""What the quadrature and the kernels of rows tell each other.

The quadrature knows groups, effects and nodes, and no family. A kernel of rows knows a family,
and sees the rows of one group. It is called by its address with a record, the state, whose `op`
says what to do (`ask`):

    PREPARE   With all rows: fill `c`, and `shift` with what is added to the linear predictors.
    SLOPES    Fill the first and minus the second derivative of the log density of each row in
              eta. `major` is a curvature that is positive where the second is not.
    EVALUATE  Add to `values` the log density of all rows at a sheet of (n_outer, LANES)
              nodes.
              Node (o, l) moves the predictor of row i by

                  a_i (start + o step) + b_i offsets_l.

              What is linear in the predictor, y eta, is left to the quadrature by those kernels
              of which the table says that they are linear.
    SCORES    With weights of these nodes, which sum to one over all sheets: add the expected
              derivatives of each row to `score`, fill for each node the sums of z times first
              derivatives, `slopes` (n_outer, q, LANES), and add to `d_dispersion`.
    REST      Add what depends on the dispersion alone to `rest`, its derivatives to
              `d_dispersion`.

Rows are padded in each group to a multiple of `LANES`. Padded rows have weight zero.
"""

from __future__ import annotations

import numpy as np
from numba import carray

from skhbm._numba.jit import JIT_INNER, njit
from skhbm._numba.lanes import LANES
from skhbm._numba.pointers import as_pointer, call_rows
from skhbm._numba.records import fields

__all__ = [
    "CHUNK",
    "EVALUATE",
    "PREPARE",
    "REST",
    "SCORES",
    "SLOPES",
    "STATE",
    "aligned",
    "ask",
    "lanes_at",
]
__all__ += ["numbers_at"]

PREPARE, SLOPES, EVALUATE, SCORES, REST = range(5)
#: Rows whose nodes are worked on at a time, a multiple of `LANES`: they stay in the fast cache.
CHUNK = 128
#: `n` rows in `n_blocks` vectors of lanes, `stride` between columns of z. `constant` is 1 if
#: all rows have the same a and b, and `exps` the exponentials of their predictors without
#: effects: at the mode they are exp(`moved`) times these. `uniform` is 1 if all rows have the
#: same c, so that the logarithm of a product of `factors` rows is taken at once. `levels` are
#: distinct (y, size) and their weights (3, n_levels).
STATE = np.dtype(
    [
        *fields(
            *(
                "address",
                "op",
                "n",
                "n_blocks",
                "q",
                "n_dispersion",
                "n_outer",
                "stride",
                "n_levels",
            ),
            *("constant", "uniform", "factors"),
            *(
                "y",
                "size",
                "log_size",
                "weight",
                "weighted_y",
                "c",
                "shift",
                "exps",
                "z",
                "eta",
                "a",
                "b",
            ),
            *("first", "second", "major", "offsets", "values", "weights", "slopes", "score"),
            *("dispersion", "d_dispersion", "levels"),
        ).descr,
        *[(name, np.float64) for name in ("start", "step", "moved", "rest")],
    ]
)


@njit(**JIT_INNER)
def ask(rows, state, op):
    """Call a kernel of rows at the address `rows`."""
    state.op = op
    call_rows(rows, state.address)


@njit(**JIT_INNER)
def aligned(k, n):
    """Return memory for (k, n) vectors of lanes, none of which lies across two cache lines."""
    flat = np.empty(LANES * (k * n + 1))
    skip = (-(flat.ctypes.data >> 3)) & (LANES - 1)
    return flat[skip : skip + LANES * k * n].reshape((k, n, LANES))


@njit(**JIT_INNER)
def lanes_at(address, n):
    """Return a view of n vectors of lanes at an address."""
    return carray(as_pointer(address), (n, LANES), np.float64)


@njit(**JIT_INNER)
def numbers_at(address, n):
    """Return a view of n doubles at an address."""
    return carray(as_pointer(address), (n,), np.float64)
