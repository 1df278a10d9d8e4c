"""Sheets of nodes: the log integrand of a group at them, and expectations over them.

A sheet has vectors of `LANES` nodes, o = 0, 1, ... Node (o, l) is at x = start + o step along
the direction a, and at offsets_l along b; with one varying term both are the same direction.
"""

from __future__ import annotations

import numpy as np

from skhbm._likelihood.quadrature_mode import largest
from skhbm._likelihood.quadrature_state import ask, lanes_at, numbers_at
from skhbm._numba.elementary import exp
from skhbm._numba.jit import JIT_INNER, njit
from skhbm._numba.lanes import at_least, greatest, load, splat, store, total

__all__ = ["FACTORS", "SMALL", "describe_rows", "longest_step", "normalize", "on_sheet", "tail"]

#: Vectors of lanes take exp of what lies within this of zero; scalars do for more.
LARGEST = 600.0
#: One logarithm is taken of the product of so many 1 + s, if log s is below this.
FACTORS, SMALL = 16, 34.0
#: Longest steps for an exponential, and for Student-t errors in units of sigma sqrt(nu).
EXPONENTIAL_STEP, STUDENT_STEP = 0.8, 0.5


@njit(**JIT_INNER)
def describe_rows(state, linear, about):
    """Fill sums over rows of y times predictor, y a and y b, and the largest of all three."""
    n = state.n_blocks
    y, base, shift = (
        lanes_at(state.weighted_y, n), lanes_at(state.eta, n), lanes_at(state.shift, n)
    )  # fmt: skip
    a, b = lanes_at(state.a, n), lanes_at(state.b, n)
    at_base, along_a, along_b = splat(0.0), splat(0.0), splat(0.0)
    for i in range(n):
        y_i = load(y, (i,))
        at_base += y_i * (load(base, (i,)) - load(shift, (i,)))
        along_a += y_i * load(a, (i,))
        along_b += y_i * load(b, (i,))
    about[0], about[1], about[2] = total(at_base), total(along_a), total(along_b)
    if linear == 0:
        about[:3] = 0.0
    about[3], about[4], about[5] = largest(base), largest(a), largest(b)


@njit(**JIT_INNER)
def on_sheet(table, state, op, about):
    """Have a sheet worked on, by the kernel of vectors where nothing overflows.

    Return whether it was.
    """
    n_outer, offsets = state.n_outer, lanes_at(state.offsets, 1)
    reach = max(abs(state.start), abs(state.start + state.step * (n_outer - 1)))
    top = about[3] + about[4] * reach + about[5] * max(abs(offsets[0, 0]), abs(offsets[0, 7]))
    safe = table.vectors == 1
    if table.squares == 1 and safe:
        d = numbers_at(state.dispersion, 2)
        top = 2.0 * np.log(1.0 + (top + table.largest_y) / (d[0] * np.sqrt(d[1])))
        safe = d[1] < table.largest_dispersion
    elif state.n_dispersion > 0 and safe:
        safe = numbers_at(state.dispersion, 1)[0] < table.largest_dispersion
    if safe and top < LARGEST:
        state.factors = FACTORS if top < SMALL else 1
        ask(table.rows, state, op)
        return True
    base, shift = lanes_at(state.eta, state.n_blocks), lanes_at(state.shift, state.n_blocks)
    for i in range(state.n_blocks):
        store(base, (i,), load(base, (i,)) - load(shift, (i,)))
    ask(table.general, state, op)
    for i in range(state.n_blocks):
        store(base, (i,), load(base, (i,)) + load(shift, (i,)))
    return False


@njit(**JIT_INNER)
def longest_step(table, state, slope):
    """Return the longest step along a direction in which predictors change by `slope` at most.

    The distance of singularities from the real axis bounds it: pi / 2 for many rows with an
    exponential, sigma sqrt(nu) for Student-t errors. For another family it is not known.
    """
    smooth = EXPONENTIAL_STEP
    if table.squares == 1:
        d = numbers_at(state.dispersion, 2)
        smooth = STUDENT_STEP * d[0] * np.sqrt(d[1])
    if slope == 0.0 or (table.exponential == 0 and table.squares == 0):
        return np.inf
    return smooth / slope


@njit(**JIT_INNER)
def normalize(logs, first, last, weights):
    """Fill weights with exp(logs) over their largest, of the vectors first to last.

    Return the largest log and the sum of the weights.
    """
    most = load(logs, (first,))
    for o in range(first + 1, last):
        most = at_least(load(logs, (o,)), most)
    top = greatest(most)
    if not np.isfinite(top):
        top = 0.0
    every = splat(0.0)
    for o in range(first, last):
        weight = exp(load(logs, (o,)) - top)
        store(weights, (o,), weight)
        every += weight
    return top, total(every)


@njit(**JIT_INNER)
def tail(last, before):
    """Return the sum of a geometric series that goes on after these two terms."""
    if last == 0.0:
        return 0.0
    ratio = last / before if before > 0.0 else 1.0
    return last * ratio / (1.0 - ratio) if ratio < 1.0 else np.inf
