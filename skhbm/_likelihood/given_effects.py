"""The marginal likelihood with several grouping factors, in numba.

The effects of one factor are integrated out, as in `skhbm._likelihood.marginal`; those of the
others are given. They shift the target, and with it its column of E and of W, by the linear
forms of `skhbm._design.linear_forms`. The single-factor kernel does the rest, on copies of these.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import carray, cfunc, njit

from skhbm._likelihood.marginal import SIZES, marginal_callback
from skhbm._numba.jit import JIT_CALLBACK, JIT_INNER
from skhbm._numba.lanes import LANES
from skhbm._numba.pointers import as_pointer, call_marginal

if TYPE_CHECKING:
    from skhbm._design.linear_forms import Forms
    from skhbm._likelihood.equal_groups import Classes
    from skhbm._likelihood.marginal import Marginal
    from skhbm._types import Float, Int


__all__ = ["TABLE", "Crossed", "crossed_callback", "patch", "pull_back", "shift", "workspace"]


#: Length of the table of sizes and addresses: see `Crossed.table`.
TABLE = SIZES + 16


class Crossed(NamedTuple):
    """A marginal likelihood, and the linear forms by which effects of other factors enter.

    Attributes
    ----------
    marginal : Marginal
        Of groups, or of the slots of classes of groups.
    forms : Forms
    classes : Classes or None
    own : (n_groups,), the target's column of E, where there are classes
    """

    marginal: Marginal
    forms: Forms
    classes: Classes | None = None
    own: Float | None = None

    @property
    def n_effects(self) -> int:
        """Number of effects that are given."""
        return self.forms.n_effects

    def table(self) -> Int:
        """Return the marginal's table, sizes and addresses; valid while the arrays live."""
        arrays: Any = self.forms[:-1]
        n_effects = self.forms.n_effects
        sizes = [len(self.forms.start) - 1, len(self.forms.value), n_effects]
        addresses = [array.ctypes.data for array in arrays]
        sizes_, addresses_ = [len(self.forms.within), 0, 0], [0] * 5
        if self.classes is not None:
            used: Any = (*self.classes[:4], self.own)
            sizes_[1:] = self.classes.Q.shape[1], len(self.classes.has_rest)
            addresses_ = [array.ctypes.data for array in used]
        table = [*self.marginal.table(), *sizes, *addresses, *sizes_, *addresses_]
        return np.array([*table, marginal_callback().address], np.int64)

    def callback(self) -> Any:
        """Return the callback that reads the table."""
        return crossed_callback()

    def value_and_gradient(
        self, cov: Float, sigma: Float, given: Float, effects: Float
    ) -> tuple[float, Float, Float, Float, Float]:
        """Return the log density and its derivatives in cov, sigma, given and effects."""
        inputs = np.concatenate([cov.ravel(), sigma, given, effects.ravel()])
        outputs = np.empty(1 + len(inputs) + (len(self.marginal.mean) + 1) ** 2)
        table = self.table()
        crossed_callback().ctypes(*(a.ctypes.data for a in (table, inputs, outputs)), 1)
        ends = np.cumsum([cov.size, len(sigma), len(given), effects.size])
        d_cov, *gradients, _ = np.split(outputs[1:], ends)
        d_sigma, d_given, d_effects = gradients
        return float(outputs[0]), d_cov.reshape(cov.shape), d_sigma, d_given, d_effects


@cache
def crossed_callback() -> Any:
    """Return `_crossed_marginal` as a C callback, compiled once and cached on disk."""
    return cfunc("void(int64, int64, int64, int64)", **JIT_CALLBACK)(_crossed_marginal)


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
def fill_slots(table, d, target):
    """Fill the targets of the slots of classes, E_y being less d (n_groups,)."""
    n_blocks, n_shifts = table[4], table[12] - table[1] - table[19]
    width, n_classes = table[20], table[21]
    of_group = carray(as_pointer(table[22]), (n_shifts,), np.int64)
    first = carray(as_pointer(table[23]), (n_classes + 1,), np.int64)
    has_rest = carray(as_pointer(table[24]), (n_classes,), np.int64)
    Q = carray(as_pointer(table[25]), (n_shifts, width), np.float64)
    own = carray(as_pointer(table[26]), (n_shifts,), np.float64)
    slots = np.zeros(n_blocks * LANES)
    squares = np.zeros(n_classes)
    for j in range(n_shifts):
        c = of_group[j]
        e = own[j] - d[j]
        squares[c] += e * e
        for a in range(first[c + 1] - first[c] - has_rest[c]):
            slots[first[c] + a] += Q[j, a] * e
    for c in range(n_classes):
        if has_rest[c] > 0:
            rest = squares[c]
            for i in range(first[c], first[c + 1] - 1):
                rest -= slots[i] * slots[i]
            slots[first[c + 1] - 1] = np.sqrt(max(rest, 0.0))
    for i in range(first[n_classes]):
        target[i // LANES, 0, i % LANES] = slots[i]


@njit(**JIT_INNER)
def pull_back_slots(table, p, d_target, form):
    """Turn the forms d (n_groups,) into the derivatives in them; see `pull_back`."""
    n_blocks, n_shifts = table[4], table[12] - table[1] - table[19]
    width, n_classes = table[20], table[21]
    of_group = carray(as_pointer(table[22]), (n_shifts,), np.int64)
    first = carray(as_pointer(table[23]), (n_classes + 1,), np.int64)
    has_rest = carray(as_pointer(table[24]), (n_classes,), np.int64)
    Q = carray(as_pointer(table[25]), (n_shifts, width), np.float64)
    own = carray(as_pointer(table[26]), (n_shifts,), np.float64)
    target = carray(as_pointer(table[7]), (n_blocks, 1, LANES), np.float64)
    # The norm t of what is left, e - QQ'e, has the derivative (e - QQ'e) / t.
    of_rest = np.zeros(n_classes)
    for c in range(n_classes):
        i = first[c + 1] - 1
        t = target[i // LANES, 0, i % LANES]
        if has_rest[c] > 0 and t > 0.0:
            of_rest[c] = d_target[i // LANES, 0, i % LANES] / t
    for j in range(n_shifts):
        c = of_group[j]
        x = of_rest[c] * (own[j] - form[j])
        for a in range(first[c + 1] - first[c] - has_rest[c]):
            i = first[c] + a
            inside = target[i // LANES, 0, i % LANES]
            x += Q[j, a] * (d_target[i // LANES, 0, i % LANES] - of_rest[c] * inside)
        form[j] = p * form[j] - x


@njit(**JIT_INNER)
def shift(table, effects, form, target, W):
    """Fill the forms, and target and W as they are given the effects."""
    q, m, n_within, n_blocks = table[0], table[1], table[3], table[4]
    n_forms, n_entries = table[12], table[13]
    start = carray(as_pointer(table[15]), (n_forms + 1,), np.int64)
    index = carray(as_pointer(table[16]), (n_entries,), np.int32)
    value = carray(as_pointer(table[17]), (n_entries,), np.float64)
    n_shifts = n_forms - n_within * m - table[19]
    within = carray(as_pointer(table[18]), (table[19],), np.int64)
    old_target = carray(as_pointer(table[7]), (n_blocks, q, LANES), np.float64)
    old_W = carray(as_pointer(table[9]), (n_within, m, m), np.float64)
    for i in range(n_forms):
        t = 0.0
        for e in range(start[i], start[i + 1]):
            t += value[e] * effects[index[e]]
        form[i] = t
    W[:] = old_W
    for g in range(n_within):
        at = n_shifts + g * m
        for a in range(m - 1):
            W[g, a, m - 1] -= form[at + a]
        W[g, m - 1, m - 1] -= 2.0 * form[at + m - 1]
    for i in range(table[19]):
        x = form[n_shifts + n_within * m + i]
        W[within[i], m - 1, m - 1] += x * x
    target[:] = old_target
    # Divisions are by a constant, not by q, which would cost more than all the rest.
    squares = 0.0
    for j in range(n_shifts // max(q, 1)):
        for a in range(q):
            d = form[j * q + a]
            squares += d * d
            if table[21] == 0:
                target[j // LANES, a, j % LANES] -= d
        if n_within > 1:
            W[j, m - 1, m - 1] -= squares
            squares = 0.0
    W[0, m - 1, m - 1] -= squares
    if table[21] > 0:
        fill_slots(table, form, target)
    for g in range(n_within):
        # The cross-products of a perfect fit are zero, and rounding may be negative.
        W[g, m - 1, m - 1] = max(W[g, m - 1, m - 1], 1e-16 * old_W[g, m - 1, m - 1])
        for a in range(m - 1):
            W[g, m - 1, a] = W[g, a, m - 1]


@njit(**JIT_INNER)
def pull_back(table, adjoint, form, d_effects):
    """Fill the derivatives in the effects, given those in target and W; overwrite the forms."""
    q, m, n_within, n_blocks = table[0], table[1], table[3], table[4]
    n_forms, n_entries = table[12], table[13]
    start = carray(as_pointer(table[15]), (n_forms + 1,), np.int64)
    index = carray(as_pointer(table[16]), (n_entries,), np.int32)
    value = carray(as_pointer(table[17]), (n_entries,), np.float64)
    n_shifts = n_forms - n_within * m - table[19]
    within = carray(as_pointer(table[18]), (table[19],), np.int64)
    size = n_blocks * q * LANES
    d_target = adjoint[:size].reshape((n_blocks, q, LANES))
    last, precision = adjoint[size : size + m], adjoint[size + m :]
    # The derivatives in W are -precision * last in its last column, half of it in its last
    # entry, which has minus the squares of the shifts.
    if table[21] > 0:
        pull_back_slots(table, precision[0] * last[m - 1], d_target, form)
    else:
        for j in range(n_shifts // max(q, 1)):
            p = precision[j if n_within > 1 else 0] * last[m - 1]
            for a in range(q):
                i = j * q + a
                form[i] = p * form[i] - d_target[j // LANES, a, j % LANES]
    for g in range(n_within):
        at = n_shifts + g * m
        for a in range(m):
            form[at + a] = precision[g] * last[a]
    for i in range(table[19]):
        form[n_shifts + n_within * m + i] *= -precision[within[i]] * last[m - 1]
    d_effects[:] = 0.0
    for i in range(n_forms):
        t = form[i]
        for e in range(start[i], start[i + 1]):
            d_effects[index[e]] += value[e] * t


def _crossed_marginal(table_, inputs_, outputs_, with_gradient):
    """Do as `_likelihood.marginal._marginal` does, with the effects of other factors after its inputs.

    Outputs: log density; gradient in the order of the inputs; U.
    """
    table = carray(as_pointer(table_), (TABLE,), np.int64)
    q, m, k, n_within = table[0], table[1], table[2], table[3]
    n_effects = table[14]
    n_own = q * q + n_within + m - 1 - k
    inputs = carray(as_pointer(inputs_), (n_own + n_effects,), np.float64)
    n_outputs = 1 + n_own + n_effects + (k + 1) ** 2
    outputs = carray(as_pointer(outputs_), (n_outputs,), np.float64)
    form = np.empty(table[12])
    target, W, adjoint = workspace(table)
    shift(table, inputs[n_own:], form, target, W)
    own_table = patch(table, target, W, adjoint)
    own = np.empty(1 + n_own + (k + 1) ** 2)
    call_marginal(table[27], own_table.ctypes.data, inputs_, own.ctypes.data, with_gradient)
    outputs[: 1 + n_own] = own[: 1 + n_own]
    outputs[1 + n_own + n_effects :] = own[1 + n_own :]
    if with_gradient != 0:
        pull_back(own_table, adjoint, form, outputs[1 + n_own : 1 + n_own + n_effects])
