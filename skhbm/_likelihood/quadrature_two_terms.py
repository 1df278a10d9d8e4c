"""The integral over the effects of a group with two varying terms.

The nodes are a grid in coordinates x, v = mode + C x, where C C' is minus the inverse Hessian
of the log integrand at its mode. C is an upper triangle: the first coordinate goes from vector
to vector, the second along the lanes, in `n_wide` sheets side by side.
"""

from __future__ import annotations

import numpy as np

from skhbm._likelihood.quadrature_mode import CLOSE, FARTHEST, LEAST_PART, STEPS, largest
from skhbm._likelihood.quadrature_nodes import (
    describe_rows,
    longest_step,
    normalize,
    on_sheet,
    tail,
)
from skhbm._likelihood.quadrature_state import (
    EVALUATE,
    SCORES,
    SLOPES,
    ask,
    lanes_at,
    numbers_at,
)
from skhbm._numba.jit import JIT_INNER, njit
from skhbm._numba.lanes import LANES, load, splat, store, total
from skhbm._numba.records import fields

__all__ = ["GRID", "MOST_VECTORS", "gradient_two", "integrate_two"]

#: See `skhbm._likelihood.quadrature_one_term`.
STEP, TOLERANCE, TAIL = 0.85, 6e-3, 1e-8
#: The same where the log integrand is not concave.
FINE_STEP, FINE_TOLERANCE = 0.6, 2e-4
#: The nodes begin with those within so many widths of the mode; MORE are added at an end.
REACH, MORE = 5.5, 4
#: At most so many vectors of nodes are used.
MOST_VECTORS, MOST_WIDE = 1024, 8
#: Where there may be several modes the grid covers so many standard deviations of the prior,
#: for groups of at most so many rows.
PRIOR_RANGE, FEW = 6.0, 24
LOG_2PI = 1.8378770664093453
#: The grid of a group: its mode, the triangle C, first nodes, steps and numbers of nodes.
GRID = np.dtype(
    [
        *[(name, np.float64) for name in ("v0", "v1", "c00", "c01", "c11")],
        *[(name, np.float64) for name in ("first", "first_wide", "step", "step_wide")],
        *fields("n_outer", "n_wide").descr,
    ]
)


@njit(**JIT_INNER)
def integrate_two(table, state, eta, z, L, nodes, about, grid):
    """Return the log of the integral over a group's effects (2,).

    `nodes` are logs, values, weights and margins (MOST_VECTORS, LANES) at least. `grid` is
    filled, and `about` by `describe_rows`.
    """
    logs, values, weights, margins = nodes[0], nodes[1], nodes[2], nodes[3]
    a, b = lanes_at(state.a, state.n_blocks), lanes_at(state.b, state.n_blocks)
    for i in range(state.n_blocks):
        z1 = load(z, (1, i))
        store(a, (i,), load(z, (0, i)) * L[0, 0] + z1 * L[1, 0])
        store(b, (i,), z1 * L[1, 1])
    find_mode_two(state, table.rows, table.concave, eta, a, b, grid)
    for i in range(state.n_blocks):
        a_i = load(a, (i,))
        store(b, (i,), a_i * grid.c01 + load(b, (i,)) * grid.c11)
        store(a, (i,), a_i * grid.c00)
    describe_rows(state, table.linear, about)
    step = STEP if table.concave == 1 else FINE_STEP
    tolerance = TOLERANCE if table.concave == 1 else FINE_TOLERANCE
    grid.step = min(step, longest_step(table, state, about[4]))
    grid.step_wide = min(step, longest_step(table, state, about[5]))
    begin_grid(grid, table.concave == 0 and state.n <= FEW)
    top, every = 0.0, 1.0
    while True:
        for wide in range(grid.n_wide):
            fill_grid(table, state, about, grid, wide, logs, values)
        n_vectors = grid.n_outer * grid.n_wide
        top, every = normalize(logs, 0, n_vectors, weights)
        if not change_grid(grid, weights, every, margins, tolerance):
            break
    for o in range(grid.n_outer * grid.n_wide):
        store(weights, (o,), load(weights, (o,)) * (1.0 / every))
    size = grid.c00 * grid.step * grid.c11 * grid.step_wide
    return top + np.log(every * size) - LOG_2PI


@njit(**JIT_INNER)
def find_mode_two(state, rows, concave, eta, a, b, grid):
    """Fill the mode and the triangle C, and move the predictors to the mode."""
    n = state.n_blocks
    base, shift = lanes_at(state.eta, n), lanes_at(state.shift, n)
    first, second = lanes_at(state.first, n), lanes_at(state.second, n)
    widest_a, widest_b = largest(a), largest(b)
    v0, v1, before0, before1, farthest = 0.0, 0.0, 0.0, 0.0, FARTHEST
    done = False
    for k in range(STEPS + 1):
        for i in range(n):
            moved = load(a, (i,)) * v0 + load(b, (i,)) * v1
            store(base, (i,), load(eta, (i,)) + load(shift, (i,)) + moved)
        if done or k == STEPS:
            break
        ask(rows, state, SLOPES)
        g0, g1 = splat(0.0), splat(0.0)
        for i in range(n):
            slope = load(first, (i,))
            g0 += load(a, (i,)) * slope
            g1 += load(b, (i,)) * slope
        h00, h10, h11 = sums_of_squares(a, b, second)
        if concave == 0:
            p00, p10, p11 = sums_of_squares(a, b, lanes_at(state.major, n))
            r00, r10, r11 = (
                h00 - LEAST_PART * p00,
                h10 - LEAST_PART * p10,
                h11 - LEAST_PART * p11,
            )
            if r00 < 0.0 or r11 < 0.0 or r00 * r11 < r10 * r10:
                h00, h10, h11 = p00, p10, p11
        # I + H = F F' for a lower triangle F, and C = F^-T.
        slope0, slope1 = total(g0) - v0, total(g1) - v1
        root = np.sqrt(1.0 + h00)
        left = h10 / root
        low = np.sqrt(max(1.0 + h11 - left * left, 1e-12 * (1.0 + h11)))
        grid.c00, grid.c01, grid.c11 = 1.0 / root, -left / (root * low), 1.0 / low
        x0 = grid.c00 * slope0
        x1 = grid.c01 * slope0 + grid.c11 * slope1
        step0, step1 = grid.c00 * x0 + grid.c01 * x1, grid.c11 * x1
        if step0 * before0 + step1 * before1 < 0.0:
            farthest = max(0.5 * farthest, 1e-3)
        before0, before1 = step0, step1
        distance = abs(step0) * widest_a + abs(step1) * widest_b
        part = farthest / distance if distance > farthest else 1.0
        v0 += part * step0
        v1 += part * step1
        done = part == 1.0 and x0 * x0 + x1 * x1 < CLOSE
    grid.v0, grid.v1 = v0, v1


@njit(**JIT_INNER)
def sums_of_squares(a, b, second):
    """Return the sums of a^2, a b and b^2 times the numbers `second` of rows."""
    aa, ab, bb = splat(0.0), splat(0.0), splat(0.0)
    for i in range(len(a)):
        a_i, b_i, h = load(a, (i,)), load(b, (i,)), load(second, (i,))
        aa += a_i * a_i * h
        ab += a_i * b_i * h
        bb += b_i * b_i * h
    return total(aa), total(ab), total(bb)


@njit(**JIT_INNER)
def begin_grid(grid, all_of_prior):
    """Place nodes about the mode, or over all of the prior as far as there is room."""
    reach, reach_wide = REACH, REACH
    if all_of_prior:
        reach_wide = max(reach_wide, (abs(grid.v1) + PRIOR_RANGE) / grid.c11)
        all_v0 = abs(grid.v0) + PRIOR_RANGE + reach_wide * abs(grid.c01)
        reach = max(reach, all_v0 / grid.c00)
    grid.n_wide = min(int(2.0 * reach_wide / (grid.step_wide * LANES)) + 1, MOST_WIDE)
    most = MOST_VECTORS // (4 * grid.n_wide)
    grid.n_outer = min(int(2.0 * reach / grid.step) + 2, most)
    grid.first = -0.5 * grid.step * (grid.n_outer - 1)
    grid.first_wide = -0.5 * grid.step_wide * (LANES * grid.n_wide - 1)


@njit(**JIT_INNER)
def set_sheet(state, grid, wide):
    """Place the nodes of a sheet."""
    offsets = lanes_at(state.offsets, 1)
    for l in range(LANES):
        offsets[0, l] = grid.first_wide + grid.step_wide * (LANES * wide + l)
    state.start, state.step, state.n_outer = grid.first, grid.step, grid.n_outer


@njit(**JIT_INNER)
def fill_grid(table, state, about, grid, wide, logs, values):
    """Fill the log integrand at the nodes of a sheet."""
    set_sheet(state, grid, wide)
    first = wide * grid.n_outer
    for o in range(grid.n_outer):
        store(values, (first + o,), splat(0.0))
    state.values = values.ctypes.data + 8 * LANES * first
    vectors = on_sheet(table, state, EVALUATE, about)
    at_base, along_a, along_b = about[0], about[1], about[2]
    if not vectors:
        at_base, along_a, along_b = 0.0, 0.0, 0.0
    x1 = load(lanes_at(state.offsets, 1), (0,))
    v1 = x1 * grid.c11 + grid.v1
    common = x1 * along_b + at_base - v1 * v1 * 0.5
    for o in range(grid.n_outer):
        x0 = state.start + o * state.step
        v0 = x1 * grid.c01 + (grid.v0 + grid.c00 * x0)
        log = load(values, (first + o,)) + common + along_a * x0 - v0 * v0 * 0.5
        store(logs, (first + o,), log)


@njit(**JIT_INNER)
def change_grid(grid, weights, every, margins, tolerance):
    """Make the grid wider or finer where that is needed; return whether it was."""
    n_outer, n_wide = grid.n_outer, grid.n_wide
    at = margins.ctypes.data
    outer = numbers_at(at, MOST_VECTORS)
    along = numbers_at(at + 8 * MOST_VECTORS, MOST_VECTORS)
    for o in range(n_outer):
        outer[o] = 0.0
    for wide in range(n_wide):
        s = splat(0.0)
        for o in range(n_outer):
            weight = load(weights, (wide * n_outer + o,))
            outer[o] += total(weight)
            s += weight
        store(margins, (MOST_VECTORS // LANES + wide,), s)
    changed = False
    if n_outer * n_wide * 2 > MOST_VECTORS:
        return False
    n_along = LANES * n_wide
    if tail(along[0], along[1]) > TAIL * every:
        grid.first_wide -= LANES * grid.step_wide
        grid.n_wide += 1
        changed = True
    if tail(along[n_along - 1], along[n_along - 2]) > TAIL * every:
        grid.n_wide += 1
        changed = True
    if tail(outer[0], outer[1]) > TAIL * every:
        grid.first -= MORE * grid.step
        grid.n_outer += MORE
        changed = True
    if tail(outer[n_outer - 1], outer[n_outer - 2]) > TAIL * every:
        grid.n_outer += MORE
        changed = True
    if changed:
        return True
    if uneven(outer, n_outer) > tolerance * every:
        grid.step *= 0.5
        grid.n_outer *= 2
        return True
    if uneven(along, n_along) > tolerance * every:
        grid.step_wide *= 0.5
        grid.n_wide *= 2
        return True
    return False


@njit(**JIT_INNER)
def uneven(numbers, n):
    """Return the difference between the sums of even and of odd numbers."""
    difference = 0.0
    for k in range(n):
        difference += numbers[k] if k % 2 == 0 else -numbers[k]
    return abs(difference)


@njit(**JIT_INNER)
def gradient_two(table, state, nodes, about, grid, M):
    """Add the expected derivatives to the scores and to those of dispersion.

    M (2, 2) is increased by E[v g'], g being the derivatives in the effects.
    """
    values, weights, slopes = nodes[1], nodes[2], nodes[4]
    m00, m01, m10, m11 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for wide in range(grid.n_wide):
        set_sheet(state, grid, wide)
        first = wide * grid.n_outer
        for o in range(2 * grid.n_outer):
            store(slopes, (o,), splat(0.0))
        state.values = values.ctypes.data + 8 * LANES * first
        state.weights = weights.ctypes.data + 8 * LANES * first
        state.slopes = slopes.ctypes.data
        on_sheet(table, state, SCORES, about)
        x1 = load(lanes_at(state.offsets, 1), (0,))
        v1 = x1 * grid.c11 + grid.v1
        for o in range(grid.n_outer):
            v0 = x1 * grid.c01 + (grid.v0 + grid.c00 * (state.start + o * state.step))
            weight = load(weights, (first + o,))
            g0 = weight * load(slopes, (2 * o,))
            g1 = weight * load(slopes, (2 * o + 1,))
            m00 += v0 * g0
            m01 += v0 * g1
            m10 += v1 * g0
            m11 += v1 * g1
    M[0, 0] += total(m00)
    M[0, 1] += total(m01)
    M[1, 0] += total(m10)
    M[1, 1] += total(m11)
