"""Where the integrand of a group with one varying term has its mode, and how wide it is.

Effects are u = scale v with v ~ Normal(0, 1), so that nothing is divided by their standard
deviation. The mode need not be exact: the trapezoidal rule does not depend on where its nodes
are placed, to the precision that it has.
"""

from __future__ import annotations

import numpy as np

from skhbm._likelihood.quadrature_state import SLOPES, ask, lanes_at
from skhbm._numba.jit import JIT_INNER, njit
from skhbm._numba.lanes import at_least, greatest, load, splat, store, total

__all__ = ["CLOSE", "FARTHEST", "LEAST_PART", "STEPS", "find_mode", "largest", "move"]

#: Newton's method stops after a step that is short in units of the integrand's width, squared.
CLOSE = 0.3
#: No step moves a predictor by more than this, and at most so many are made.
FARTHEST, STEPS = 2.0, 200
#: A curvature below this part of the one that is positive is replaced by the latter.
LEAST_PART = 0.3


@njit(**JIT_INNER)
def move(state, eta, a, v):
    """Fill the predictors eta + a v of the group, with the shift of the kernel."""
    base, shift = lanes_at(state.eta, state.n_blocks), lanes_at(state.shift, state.n_blocks)
    for i in range(state.n_blocks):
        store(base, (i,), load(eta, (i,)) + load(shift, (i,)) + load(a, (i,)) * v)


@njit(**JIT_INNER)
def largest(values):
    """Return the largest absolute value of vectors of lanes (n, LANES)."""
    most = splat(0.0)
    for i in range(len(values)):
        value = load(values, (i,))
        most = at_least(at_least(value, most), value * -1.0)
    return greatest(most)


@njit(**JIT_INNER)
def find_mode(state, rows, concave, eta, a, widest, v):
    """Return the mode in v, from a start, and the width there; move the predictors there.

    `a` are changes of the predictors with v, `widest` is the largest of them.
    """
    n = state.n_blocks
    first, second = lanes_at(state.first, n), lanes_at(state.second, n)
    major = lanes_at(state.major, n)
    farthest, before, width = FARTHEST, 0.0, 1.0
    for _ in range(STEPS):
        state.moved = widest * v
        if state.constant == 0:
            move(state, eta, a, v)
        ask(rows, state, SLOPES)
        slope, curvature, positive = splat(0.0), splat(0.0), splat(0.0)
        for i in range(n):
            a_i = load(a, (i,))
            slope += a_i * load(first, (i,))
            squared = a_i * a_i
            curvature += squared * load(second, (i,))
            if concave == 0:
                positive += squared * load(major, (i,))
        H, most = total(curvature), total(positive)
        if concave == 0 and LEAST_PART * most > H:
            H = most
        g = total(slope) - v
        width = 1.0 / np.sqrt(1.0 + H)
        step = g * width * width
        if step * before < 0.0:
            farthest = max(0.5 * farthest, 1e-3)
        moved = abs(step) * widest
        before = step
        if moved > farthest:
            v += step * farthest / moved
            continue
        v += step
        if g * step < CLOSE:
            break
    state.moved = widest * v
    move(state, eta, a, v)
    return v, width
