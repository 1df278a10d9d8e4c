"""The marginal likelihood with several grouping factors, in numba.

The effects of one factor are integrated out, as in `skhbm._likelihood`; those of the
others are given. They shift the target by o = Z u, of which the pseudo-rows of
`skhbm._cells` tell what becomes of E and W. The single-factor kernel does the rest, on
copies of the target's column of E and of W.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.extending import intrinsic

from skhbm._kernels import JIT_CALLBACK, JIT_INNER, LANES, as_pointer
from skhbm._likelihood import SIZES, marginal_callback

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from skhbm._likelihood import Marginal

    Float = NDArray[np.float64]
    Int = NDArray[np.int64]

__all__ = ["TABLE", "Crossed", "crossed_callback", "patch", "pull_back", "shift", "workspace"]


#: Length of the table of sizes and addresses: see `Crossed.table`.
TABLE = SIZES + 10


class Crossed(NamedTuple):
    """A marginal likelihood, and the pseudo-rows that effects of other factors shift.

    Attributes
    ----------
    marginal : Marginal
    group : (n_rows,), of the integrated factor
    Q : (n_rows, q)
    within : (n_rows, m), in the columns of `marginal`
    codes : (n_rows, n_others), positions of the first effect of each row's group among all
        effects, which are those of the groups of the first other factor, term by term, ...
    terms : (n_rows, n_terms), the varying terms of all other factors
    widths : (n_others,), the number of terms of each
    n_effects : int
    """

    marginal: Marginal
    group: Int
    Q: Float
    within: Float
    codes: Int
    terms: Float
    widths: Int
    n_effects: int

    def table(self) -> Int:
        """Return the marginal's table, sizes and addresses; valid while the arrays live."""
        arrays = (self.group, self.Q, self.within, self.codes, self.terms, self.widths)
        sizes = [len(self.group), len(self.widths), self.terms.shape[1], self.n_effects]
        addresses = [array.ctypes.data for array in arrays]
        return np.array([*self.marginal.table(), *sizes, *addresses], np.int64)

    def evaluator(self) -> Callable[[int, int], None]:
        """Return a function of the addresses of inputs and outputs; no gradient."""
        table, call = self.table(), crossed_callback().ctypes
        marginal = marginal_callback().address
        return lambda inputs, outputs: call(table.ctypes.data, inputs, outputs, 0, marginal)

    def value_and_gradient(
        self, cov: Float, sigma: Float, given: Float, effects: Float
    ) -> tuple[float, Float, Float, Float, Float]:
        """Return the log density and its derivatives in cov, sigma, given and effects."""
        inputs = np.concatenate([cov.ravel(), sigma, given, effects.ravel()])
        outputs = np.empty(1 + len(inputs) + (len(self.marginal.mean) + 1) ** 2)
        table, address = self.table(), marginal_callback().address
        pointers = [a.ctypes.data for a in (table, inputs, outputs)]
        crossed_callback().ctypes(*pointers, 1, address)
        ends = np.cumsum([cov.size, len(sigma), len(given), effects.size])
        d_cov, *gradients, _ = np.split(outputs[1:], ends)
        return float(outputs[0]), d_cov.reshape(cov.shape), *gradients


@cache
def crossed_callback() -> Any:
    """Return `_crossed_marginal` as a C callback, compiled once and cached on disk."""
    return cfunc("void(int64, int64, int64, int64, int64)", **JIT_CALLBACK)(_crossed_marginal)


@intrinsic
def call_marginal(
    typingctx: Any, address: Any, table: Any, inputs: Any, outputs: Any, gradient: Any
) -> Any:
    """Call `_likelihood.marginal_callback` at an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integer = ir.IntType(64)
        signature_ = ir.FunctionType(ir.VoidType(), [integer] * 4)
        function = builder.inttoptr(args[0], signature_.as_pointer())
        builder.call(function, args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


@njit(**JIT_INNER)
def workspace(table):
    """Return target, W and adjoint, all of one allocation, for one evaluation."""
    q, m, n_within, n_blocks = table[0], table[1], table[3], table[4]
    size, size_W = n_blocks * q * LANES, n_within * m * m
    space = np.empty(2 * size + size_W + m + n_within)
    target = space[:size].reshape((n_blocks, q, LANES))
    W = space[size : size + size_W].reshape((n_within, m, m))
    return target, W, space[size + size_W :]


@njit(**JIT_INNER)
def patch(table, target, W, adjoint):
    """Return a copy of the table whose marginal has arrays of one's own.

    numba frees an array after its last use, and an address is none: table and adjoint must
    be used again after the call that they are made for.
    """
    own = table.copy()
    own[7] = target.ctypes.data
    own[9] = W.ctypes.data
    own[11] = adjoint.ctypes.data
    return own


@njit(**JIT_INNER)
def shift(table, effects, offset, d, target, W):
    """Fill offset (n_rows,), d (n_groups, q), and target and W as they are given effects."""
    q, m, n_within, n_blocks = table[0], table[1], table[3], table[4]
    n_rows, n_others, n_terms = table[12], table[13], table[14]
    group = carray(as_pointer(table[16]), (n_rows,), np.int64)
    Q = carray(as_pointer(table[17]), (n_rows, q), np.float64)
    within = carray(as_pointer(table[18]), (n_rows, m), np.float64)
    codes = carray(as_pointer(table[19]), (n_rows, n_others), np.int64)
    terms = carray(as_pointer(table[20]), (n_rows, n_terms), np.float64)
    widths = carray(as_pointer(table[21]), (n_others,), np.int64)
    old_target = carray(as_pointer(table[7]), (n_blocks, q, LANES), np.float64)
    old_W = carray(as_pointer(table[9]), (n_within, m, m), np.float64)
    d[:] = 0.0
    W[:] = old_W
    for i in range(n_rows):
        at = 0
        o = 0.0
        for f in range(n_others):
            first = codes[i, f]
            for t in range(widths[f]):
                o += terms[i, at + t] * effects[first + t]
            at += widths[f]
        offset[i] = o
        j = group[i]
        for a in range(q):
            d[j, a] += Q[i, a] * o
        g = j if n_within > 1 else 0
        for a in range(m - 1):
            W[g, a, m - 1] -= within[i, a] * o
        W[g, m - 1, m - 1] += o * (o - 2.0 * within[i, m - 1])
    target[:] = old_target
    for j in range(len(d)):
        g = j if n_within > 1 else 0
        for a in range(q):
            target[j // LANES, a, j % LANES] -= d[j, a]
            W[g, m - 1, m - 1] -= d[j, a] * d[j, a]
    for g in range(n_within):
        # The cross-products of a perfect fit are zero, and rounding may be negative.
        W[g, m - 1, m - 1] = max(W[g, m - 1, m - 1], 1e-16 * old_W[g, m - 1, m - 1])
        for a in range(m - 1):
            W[g, m - 1, a] = W[g, a, m - 1]


@njit(**JIT_INNER)
def pull_back(table, adjoint, offset, d, d_effects):
    """Fill the derivatives in the effects, given those in target and W."""
    q, m, n_within, n_blocks = table[0], table[1], table[3], table[4]
    n_rows, n_others, n_terms = table[12], table[13], table[14]
    group = carray(as_pointer(table[16]), (n_rows,), np.int64)
    Q = carray(as_pointer(table[17]), (n_rows, q), np.float64)
    within = carray(as_pointer(table[18]), (n_rows, m), np.float64)
    codes = carray(as_pointer(table[19]), (n_rows, n_others), np.int64)
    terms = carray(as_pointer(table[20]), (n_rows, n_terms), np.float64)
    widths = carray(as_pointer(table[21]), (n_others,), np.int64)
    size = n_blocks * q * LANES
    d_target = adjoint[:size].reshape((n_blocks, q, LANES))
    last, precision = adjoint[size : size + m], adjoint[size + m :]
    d_effects[:] = 0.0
    for i in range(n_rows):
        j = group[i]
        p = precision[j if n_within > 1 else 0]
        # Derivatives in W: -p * last in its last column, -p / 2 * last in its last entry.
        x = p * last[m - 1] * (within[i, m - 1] - offset[i])
        for a in range(m - 1):
            x += p * last[a] * within[i, a]
        for a in range(q):
            of_target = d_target[j // LANES, a, j % LANES]
            x -= Q[i, a] * (of_target - p * last[m - 1] * d[j, a])
        at = 0
        for f in range(n_others):
            first = codes[i, f]
            for t in range(widths[f]):
                d_effects[first + t] += terms[i, at + t] * x
            at += widths[f]


def _crossed_marginal(table_, inputs_, outputs_, with_gradient, marginal):
    """Do as `_likelihood._marginal` does, with the effects of other factors after its inputs.

    Outputs: log density; gradient in the order of the inputs; U.
    """
    table = carray(as_pointer(table_), (TABLE,), np.int64)
    q, m, k, n_within, n_blocks = table[0], table[1], table[2], table[3], table[4]
    n_rows, n_effects = table[12], table[15]
    n_own = q * q + n_within + m - 1 - k
    inputs = carray(as_pointer(inputs_), (n_own + n_effects,), np.float64)
    n_outputs = 1 + n_own + n_effects + (k + 1) ** 2
    outputs = carray(as_pointer(outputs_), (n_outputs,), np.float64)
    offset, d = np.empty(n_rows), np.empty((n_blocks * LANES, q))
    target, W, adjoint = workspace(table)
    shift(table, inputs[n_own:], offset, d, target, W)
    own_table = patch(table, target, W, adjoint)
    own = np.empty(1 + n_own + (k + 1) ** 2)
    call_marginal(
        marginal, own_table.ctypes.data, inputs_, own.ctypes.data, with_gradient
    )
    outputs[: 1 + n_own] = own[: 1 + n_own]
    outputs[1 + n_own + n_effects :] = own[1 + n_own :]
    if with_gradient != 0:
        pull_back(own_table, adjoint, offset, d, outputs[1 + n_own : 1 + n_own + n_effects])
