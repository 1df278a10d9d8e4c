"""The marginal likelihood with several grouping factors, in numba.

The effects of one factor are integrated out, as in `skhbm._likelihood.marginal`; the effects of
the others are given. They shift y, and with it the response columns of E and W, by the linear
forms of `skhbm._design.linear_forms`: derivation (11). The kernel of one factor does the rest,
on copies of these columns.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import carray

from skhbm._likelihood.marginal import TABLE as MARGINAL_TABLE
from skhbm._numba.jit import JIT_INNER, c_callback, njit
from skhbm._numba.lanes import LANES
from skhbm._numba.pointers import as_pointer, call_marginal
from skhbm._numba.records import fields, make_record

if TYPE_CHECKING:
    from skhbm._design.linear_forms import Forms
    from skhbm._likelihood.equal_groups import Classes
    from skhbm._likelihood.interface import MarginalLikelihood
    from skhbm._likelihood.marginal import Marginal
    from skhbm._types import Float


__all__ = [
    "TABLE",
    "GivenEffects",
    "given_effects_callback",
    "patch",
    "pull_back",
    "shift",
    "workspace",
]

#: What the callback reads. The fields of the marginal likelihood's record come first, so that
#: its callback can read this record as its own. `marginal` is the address of that callback.
TABLE = np.dtype(
    [
        *MARGINAL_TABLE.descr,
        *fields(
            *("n_forms", "n_entries", "n_effects", "start", "column", "value", "within"),
            *("n_shifts", "n_squares", "width", "n_classes"),
            *("of_group", "first", "has_rest", "Q", "unshifted", "marginal"),
        ).descr,
    ]
)


class GivenEffects(NamedTuple):
    """A marginal likelihood, and the linear forms by which effects of other factors enter.

    Attributes
    ----------
    marginal : Marginal
        Of groups, or of the slots of classes of groups.
    forms : Forms
    classes : Classes or None
    unshifted : (n_groups,), the column of E that belongs to y, where there are classes
    """

    marginal: Marginal
    forms: Forms
    classes: Classes | None = None
    unshifted: Float | None = None

    @property
    def n_integrated(self) -> int:
        """Number of coefficients that are integrated out."""
        return self.marginal.n_integrated

    @property
    def n_within(self) -> int:
        """Number of residual scales."""
        return self.marginal.n_within

    @property
    def n_moments(self) -> int:
        """Length of U among the outputs."""
        return self.marginal.n_moments

    @property
    def n_effects(self) -> int:
        """Number of effects that are given."""
        return self.forms.n_effects

    def table(self) -> Any:
        """Return the record that the callback reads; valid as long as the arrays live."""
        forms, classes = self.forms, self.classes
        marginal = self.marginal.table()
        values: dict[str, Any] = {
            name: marginal[name][0] for name in MARGINAL_TABLE.names or ()
        }
        n_forms, n_squares, W = len(forms.start) - 1, len(forms.within), self.marginal.W
        values |= {"n_forms": n_forms, "n_entries": len(forms.value), "n_squares": n_squares}
        values |= {"n_shifts": n_forms - len(W) * W.shape[1] - n_squares, **forms._asdict()}
        if classes is not None:
            values |= {"width": classes.Q.shape[1], "n_classes": len(classes.has_rest)}
            values |= {"of_group": classes.of_group, "first": classes.first, "Q": classes.Q}
            values |= {"has_rest": classes.has_rest, "unshifted": self.unshifted}
        return make_record(TABLE, **values, marginal=self.marginal.callback().address)

    def callback(self) -> Any:
        """Return the callback that reads the table."""
        return given_effects_callback()

    def value_and_gradient(
        self, cov: Float, sigma: Float, given: Float, effects: Float
    ) -> tuple[float, Float, Float, Float, Float]:
        """Return the log density and its derivatives in cov, sigma, given and effects."""
        inputs = np.concatenate([cov.ravel(), sigma, given, effects.ravel()])
        outputs = np.empty(1 + len(inputs) + (len(self.marginal.mean) + 1) ** 2)
        table = self.table()
        given_effects_callback().ctypes(*(a.ctypes.data for a in (table, inputs, outputs)), 1)
        ends = np.cumsum([cov.size, len(sigma), len(given), effects.size])
        d_cov, *gradients, _ = np.split(outputs[1:], ends)
        d_sigma, d_given, d_effects = gradients
        return float(outputs[0]), d_cov.reshape(cov.shape), d_sigma, d_given, d_effects


if TYPE_CHECKING:
    _: type[MarginalLikelihood] = GivenEffects


@cache
def given_effects_callback() -> Any:
    """Return `_given_effects` as a C callback, compiled once and cached on disk."""
    return c_callback("void(int64, int64, int64, int64)", _given_effects)


@njit(**JIT_INNER)
def workspace(table):
    """Return response, W and adjoint, all of one allocation, for one evaluation."""
    q, m, n_within, n_blocks = table.n_terms, table.n_columns, table.n_within, table.n_blocks
    size, size_W = n_blocks * q * LANES, n_within * m * m
    space = np.empty(2 * size + size_W + m + n_within)
    response = space[:size].reshape((n_blocks, q, LANES))
    W = space[size : size + size_W].reshape((n_within, m, m))
    return response, W, space[size + size_W :]


@njit(**JIT_INNER)
def patch(tables, response, W, adjoint):
    """Return a copy of the record (1,) whose marginal has these arrays.

    numba frees an array after its last use, and neither an address nor a record of an array is
    a use of it. After the call that the copy is made for, both the copy and `adjoint` must be
    used again as arrays, as `pull_back` does.
    """
    patched = tables.copy()
    patched[0].response = response.ctypes.data
    patched[0].W = W.ctypes.data
    patched[0].adjoint = adjoint.ctypes.data
    return patched


@njit(**JIT_INNER)
def fill_slots(table, d, response):
    """Fill the responses of the slots of classes, where E_y is less d (n_groups,)."""
    n_blocks, n_shifts = table.n_blocks, table.n_shifts
    width, n_classes = table.width, table.n_classes
    of_group = carray(as_pointer(table.of_group), (n_shifts,), np.int64)
    first = carray(as_pointer(table.first), (n_classes + 1,), np.int64)
    has_rest = carray(as_pointer(table.has_rest), (n_classes,), np.int64)
    Q = carray(as_pointer(table.Q), (n_shifts, width), np.float64)
    unshifted = carray(as_pointer(table.unshifted), (n_shifts,), np.float64)
    slots = np.zeros(n_blocks * LANES)
    squares = np.zeros(n_classes)
    for j in range(n_shifts):
        c = of_group[j]
        e = unshifted[j] - d[j]
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
        response[i // LANES, 0, i % LANES] = slots[i]


@njit(**JIT_INNER)
def pull_back_slots(table, p, d_response, form):
    """Turn the forms d (n_groups,) into the derivatives in them; see `pull_back`."""
    n_blocks, n_shifts = table.n_blocks, table.n_shifts
    width, n_classes = table.width, table.n_classes
    of_group = carray(as_pointer(table.of_group), (n_shifts,), np.int64)
    first = carray(as_pointer(table.first), (n_classes + 1,), np.int64)
    has_rest = carray(as_pointer(table.has_rest), (n_classes,), np.int64)
    Q = carray(as_pointer(table.Q), (n_shifts, width), np.float64)
    unshifted = carray(as_pointer(table.unshifted), (n_shifts,), np.float64)
    response = carray(as_pointer(table.response), (n_blocks, 1, LANES), np.float64)
    # The norm t of the rest, e - QQ'e, has the derivative (e - QQ'e) / t.
    of_rest = np.zeros(n_classes)
    for c in range(n_classes):
        i = first[c + 1] - 1
        t = response[i // LANES, 0, i % LANES]
        if has_rest[c] > 0 and t > 0.0:
            of_rest[c] = d_response[i // LANES, 0, i % LANES] / t
    for j in range(n_shifts):
        c = of_group[j]
        x = of_rest[c] * (unshifted[j] - form[j])
        for a in range(first[c + 1] - first[c] - has_rest[c]):
            i = first[c] + a
            inside = response[i // LANES, 0, i % LANES]
            x += Q[j, a] * (d_response[i // LANES, 0, i % LANES] - of_rest[c] * inside)
        form[j] = p * form[j] - x


@njit(**JIT_INNER)
def shift(table, effects, form, response, W):
    """Fill the forms, and response and W given the effects: derivation (11)."""
    q, m, n_within, n_blocks = table.n_terms, table.n_columns, table.n_within, table.n_blocks
    n_forms, n_entries, n_shifts = table.n_forms, table.n_entries, table.n_shifts
    start = carray(as_pointer(table.start), (n_forms + 1,), np.int64)
    column = carray(as_pointer(table.column), (n_entries,), np.int32)
    value = carray(as_pointer(table.value), (n_entries,), np.float64)
    within = carray(as_pointer(table.within), (table.n_squares,), np.int64)
    old_response = carray(as_pointer(table.response), (n_blocks, q, LANES), np.float64)
    old_W = carray(as_pointer(table.W), (n_within, m, m), np.float64)
    for i in range(n_forms):
        t = 0.0
        for e in range(start[i], start[i + 1]):
            t += value[e] * effects[column[e]]
        form[i] = t
    W[:] = old_W
    for g in range(n_within):
        at = n_shifts + g * m
        for a in range(m - 1):
            W[g, a, m - 1] -= form[at + a]
        W[g, m - 1, m - 1] -= 2.0 * form[at + m - 1]
    for i in range(table.n_squares):
        x = form[n_shifts + n_within * m + i]
        W[within[i], m - 1, m - 1] += x * x
    response[:] = old_response
    # The loops are over groups and terms: to divide each form's position by q would cost more
    # than all the rest.
    squares = 0.0
    for j in range(n_shifts // max(q, 1)):
        for a in range(q):
            d = form[j * q + a]
            squares += d * d
            if table.n_classes == 0:
                response[j // LANES, a, j % LANES] -= d
        if n_within > 1:
            W[j, m - 1, m - 1] -= squares
            squares = 0.0
    W[0, m - 1, m - 1] -= squares
    if table.n_classes > 0:
        fill_slots(table, form, response)
    for g in range(n_within):
        # The cross-products of a perfect fit are zero, and rounding may make them negative.
        W[g, m - 1, m - 1] = max(W[g, m - 1, m - 1], 1e-16 * old_W[g, m - 1, m - 1])
        for a in range(m - 1):
            W[g, m - 1, a] = W[g, a, m - 1]


@njit(**JIT_INNER)
def pull_back(patched, adjoint, form, d_effects):
    """Fill the derivatives in the effects, given those in response and W; overwrite the forms.

    `patched` (1,) is what `patch` returned.
    """
    table = patched[0]
    q, m, n_within, n_blocks = table.n_terms, table.n_columns, table.n_within, table.n_blocks
    n_forms, n_entries, n_shifts = table.n_forms, table.n_entries, table.n_shifts
    start = carray(as_pointer(table.start), (n_forms + 1,), np.int64)
    column = carray(as_pointer(table.column), (n_entries,), np.int32)
    value = carray(as_pointer(table.value), (n_entries,), np.float64)
    within = carray(as_pointer(table.within), (table.n_squares,), np.int64)
    size = n_blocks * q * LANES
    d_response = adjoint[:size].reshape((n_blocks, q, LANES))
    last, precision = adjoint[size : size + m], adjoint[size + m :]
    # The derivatives in W are -precision * last in its last column, and half of it in the last
    # entry of the column, from which the squares of the shifts are subtracted.
    if table.n_classes > 0:
        pull_back_slots(table, precision[0] * last[m - 1], d_response, form)
    else:
        for j in range(n_shifts // max(q, 1)):
            p = precision[j if n_within > 1 else 0] * last[m - 1]
            for a in range(q):
                i = j * q + a
                form[i] = p * form[i] - d_response[j // LANES, a, j % LANES]
    for g in range(n_within):
        at = n_shifts + g * m
        for a in range(m):
            form[at + a] = precision[g] * last[a]
    for i in range(table.n_squares):
        form[n_shifts + n_within * m + i] *= -precision[within[i]] * last[m - 1]
    d_effects[:] = 0.0
    for i in range(n_forms):
        t = form[i]
        for e in range(start[i], start[i + 1]):
            d_effects[column[e]] += value[e] * t


def _given_effects(table_, inputs_, outputs_, with_gradient):
    """Evaluate the marginal likelihood given the effects, which come after its own inputs.

    Outputs: the log density; its gradient in the order of the inputs; U.
    """
    tables = carray(as_pointer(table_), (1,), TABLE)
    table = tables[0]
    q, m, k, n_within = table.n_terms, table.n_columns, table.n_integrated, table.n_within
    n_effects = table.n_effects
    n_inputs = q * q + n_within + m - 1 - k
    inputs = carray(as_pointer(inputs_), (n_inputs + n_effects,), np.float64)
    n_outputs = 1 + n_inputs + n_effects + (k + 1) ** 2
    outputs = carray(as_pointer(outputs_), (n_outputs,), np.float64)
    form = np.empty(table.n_forms)
    response, W, adjoint = workspace(table)
    shift(table, inputs[n_inputs:], form, response, W)
    patched = patch(tables, response, W, adjoint)
    marginal = np.empty(1 + n_inputs + (k + 1) ** 2)
    call_marginal(
        table.marginal, patched.ctypes.data, inputs_, marginal.ctypes.data, with_gradient
    )
    outputs[: 1 + n_inputs] = marginal[: 1 + n_inputs]
    outputs[1 + n_inputs + n_effects :] = marginal[1 + n_inputs :]
    if with_gradient != 0:
        d_effects = outputs[1 + n_inputs : 1 + n_inputs + n_effects]
        pull_back(patched, adjoint, form, d_effects)
