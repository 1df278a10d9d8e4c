"""Where the integrand of a group has its mode, and how wide it is.

Effects are u = L v with v ~ Normal(0, I), so that nothing is divided by their standard
deviations. The mode need not be exact: the trapezoidal rule does not depend on where its nodes
are placed, to the precision that it has.
"""

from __future__ import annotations

import numpy as np

from skhbm._likelihood.quadrature_state import SLOPES, ask, lanes_at
from skhbm._numba.jit import JIT_INNER, njit
from skhbm._numba.lanes import at_least, load, splat, store, total

__all__ = ["find_mode", "largest", "move"]

#: Newton's method stops when a step is short in units of the integrand's width, squared.
CLOSE = 0.05
#: No step moves a predictor by more than this, and at most so many are made.
FARTHEST, STEPS = 2.0, 200
#: A curvature that is less than this part of the one that is positive is replaced by the latter.
LEAST_PART = 0.3


@njit(**JIT_INNER)
def move(state, eta, z, u):
    """Fill the predictors eta + z'u of the group, with the shift of the kernel."""
    base, shift = lanes_at(state.eta, state.n_blocks), lanes_at(state.shift, state.n_blocks)
    for i in range(state.n_blocks):
        moved = load(eta, (i,)) + load(shift, (i,))
        for k in range(len(u)):
            moved += load(z, (k, i)) * u[k]
        store(base, (i,), moved)


@njit(**JIT_INNER)
def largest(values):
    """Return the largest absolute value of vectors of lanes (n, LANES)."""
    most = splat(0.0)
    for i in range(len(values)):
        value = load(values, (i,))
        most = at_least(at_least(value, most), value * -1.0)
    top = 0.0
    out = np.empty((1, 8))
    store(out, (0,), most)
    for l in range(8):
        top = max(top, out[0, l])
    return top


@njit(**JIT_INNER)
def find_mode(state, rows, concave, eta, z, L, v, C):
    """Move v (q,) to the mode, and the predictors there.

    C is filled with an upper triangle: C C' is minus the inverse of the Hessian in v.
    """
    q = len(v)
    u, g, step, before = np.zeros(q), np.zeros(q), np.zeros(q), np.zeros(q)
    H, widest = np.zeros((q, q)), np.zeros(q)
    for k in range(q):
        widest[k] = largest(z[k])
    farthest = FARTHEST
    for _ in range(STEPS):
        effects(L, v, u)
        move(state, eta, z, u)
        ask(rows, state, SLOPES)
        curvature(state, concave, z, H)
        to_whitened(L, H)
        gradient(state, z, L, v, g)
        invert(H, C)
        decrement, turned, moved = 0.0, 0.0, 0.0
        for k in range(q):
            step[k] = 0.0
            for a in range(q):
                for b in range(q):
                    step[k] += C[k, a] * C[b, a] * g[b]
            decrement += g[k] * step[k]
            turned += before[k] * step[k]
        effects(L, step, u)
        for k in range(q):
            moved += abs(u[k]) * widest[k]
        if turned < 0.0:
            farthest = max(0.5 * farthest, 1e-3)
        part = min(1.0, farthest / moved) if moved > 0.0 else 1.0
        for k in range(q):
            v[k] += part * step[k]
            before[k] = step[k]
        if part == 1.0 and decrement < CLOSE:
            break
    effects(L, v, u)
    move(state, eta, z, u)


@njit(**JIT_INNER)
def effects(L, v, u):
    """Fill u = L v for a lower triangle L."""
    for a in range(len(v)):
        u[a] = 0.0
        for b in range(a + 1):
            u[a] += L[a, b] * v[b]


@njit(**JIT_INNER)
def curvature(state, concave, z, S):
    """Fill the sums of z z' times minus the second derivatives."""
    sums_of_squares(state.second, z, S)
    if concave == 1:
        return
    major = np.empty_like(S)
    sums_of_squares(state.major, z, major)
    rest = S - LEAST_PART * major
    small = rest[0, 0] < 0.0
    if len(S) > 1:
        small = small or rest[0, 0] * rest[1, 1] < rest[0, 1] * rest[0, 1] or rest[1, 1] < 0.0
    if small:
        S[:] = major


@njit(**JIT_INNER)
def sums_of_squares(address, z, S):
    """Fill the sums (q, q) of z z' times the numbers of rows at an address."""
    q, n, _ = z.shape
    numbers = lanes_at(address, n)
    for a in range(q):
        for b in range(a + 1):
            s = splat(0.0)
            for i in range(n):
                s += load(z, (a, i)) * load(z, (b, i)) * load(numbers, (i,))
            S[a, b] = total(s)
            S[b, a] = S[a, b]


@njit(**JIT_INNER)
def to_whitened(L, H):
    """Turn S into I + L'S L."""
    q = len(L)
    if q == 1:
        H[0, 0] = 1.0 + L[0, 0] * L[0, 0] * H[0, 0]
        return
    a, b, d = L[0, 0], L[1, 0], L[1, 1]
    top, corner, low = H[0, 0], H[1, 0], H[1, 1]
    H[0, 0] = 1.0 + a * a * top + 2.0 * a * b * corner + b * b * low
    H[1, 0] = d * (a * corner + b * low)
    H[0, 1] = H[1, 0]
    H[1, 1] = 1.0 + d * d * low


@njit(**JIT_INNER)
def gradient(state, z, L, v, g):
    """Fill the gradient of the log integrand in v."""
    q, n, _ = z.shape
    first = lanes_at(state.first, n)
    for b in range(q):
        g[b] = -v[b]
    for a in range(q):
        s = splat(0.0)
        for i in range(n):
            s += load(z, (a, i)) * load(first, (i,))
        slope = total(s)
        for b in range(a + 1):
            g[b] += L[a, b] * slope


@njit(**JIT_INNER)
def invert(H, C):
    """Fill the upper triangle C with C C' = H^-1."""
    C[:] = 0.0
    if len(H) == 1:
        C[0, 0] = 1.0 / np.sqrt(H[0, 0])
        return
    # H = F F' for the lower triangle F, and C = F^-T.
    top = np.sqrt(H[0, 0])
    left = H[1, 0] / top
    low = np.sqrt(max(H[1, 1] - left * left, 1e-12 * H[1, 1]))
    C[0, 0], C[1, 1] = 1.0 / top, 1.0 / low
    C[0, 1] = -left / (top * low)
