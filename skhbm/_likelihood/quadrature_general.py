"""The kernel of rows of any family, from its scalar functions.

It is slower than the kernels of vectors, and right where they would overflow. See
`skhbm._likelihood.quadrature_state` for what a kernel is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import carray

from skhbm._likelihood.quadrature_state import (
    EVALUATE,
    REST,
    SCORES,
    SLOPES,
    STATE,
    lanes_at,
    numbers_at,
)
from skhbm._numba.jit import JIT_INNER, c_callback, njit
from skhbm._numba.lanes import LANES
from skhbm._numba.pointers import as_pointer

if TYPE_CHECKING:
    from skhbm._families.family import Family

__all__ = ["make_general_rows"]


def make_general_rows(family: Family) -> Any:
    """Return the kernel of a family as a C callback, cached on disk."""
    slopes = _make_slopes(family.eta_derivatives)
    values = _make_values(family.eta_derivatives)
    scores = _make_scores(family.eta_derivatives, family.eta_dispersion_gradient)
    rest = _make_rest(family.rest, family.rest_gradient)

    def general_rows(state_):
        state = carray(as_pointer(state_), (1,), STATE)[0]
        if state.op == SLOPES:
            slopes(state)
        elif state.op == EVALUATE:
            values(state)
        elif state.op == SCORES:
            scores(state)
        elif state.op == REST:
            rest(state)

    return c_callback("void(int64)", general_rows)


def _make_slopes(derivatives: Any) -> Any:
    """Return the part of the kernel that has this name, for a family."""

    @njit(**JIT_INNER)
    def fill_slopes(state):
        """Fill the derivatives; the curvature of the wrong sign is turned."""
        n = LANES * state.n_blocks
        y, size, weight = (
            numbers_at(state.y, n), numbers_at(state.size, n), numbers_at(state.weight, n)
        )  # fmt: skip
        eta, d = numbers_at(state.eta, n), numbers_at(state.dispersion, state.n_dispersion)
        first, second = numbers_at(state.first, n), numbers_at(state.second, n)
        major = numbers_at(state.major, n)
        first[:] = 0.0
        second[:] = 0.0
        major[:] = 0.0
        for i in range(state.n):
            _, slope, curvature = derivatives(y[i], size[i], eta[i], d)
            first[i] = weight[i] * slope
            second[i] = -weight[i] * curvature
            major[i] = abs(second[i])

    return fill_slopes


def _make_values(derivatives: Any) -> Any:
    """Return the part of the kernel that has this name, for a family."""

    @njit(**JIT_INNER)
    def add_values(state):
        """Add the log densities."""
        n = state.n
        y, size, weight = (
            numbers_at(state.y, n), numbers_at(state.size, n), numbers_at(state.weight, n)
        )  # fmt: skip
        eta, a, b = numbers_at(state.eta, n), numbers_at(state.a, n), numbers_at(state.b, n)
        d = numbers_at(state.dispersion, state.n_dispersion)
        offsets = lanes_at(state.offsets, 1)
        values = lanes_at(state.values, state.n_outer)
        for o in range(state.n_outer):
            place = state.start + o * state.step
            for i in range(n):
                for l in range(LANES):
                    at = eta[i] + a[i] * place + b[i] * offsets[0, l]
                    values[o, l] += weight[i] * derivatives(y[i], size[i], at, d)[0]

    return add_values


def _make_scores(derivatives: Any, dispersion_gradient: Any) -> Any:
    """Return the part of the kernel that has this name, for a family."""

    @njit(**JIT_INNER)
    def add_scores(state):
        """Add the expected derivatives."""
        n, q = state.n, state.q
        y, size, weight = (
            numbers_at(state.y, n), numbers_at(state.size, n), numbers_at(state.weight, n)
        )  # fmt: skip
        eta, a, b = numbers_at(state.eta, n), numbers_at(state.a, n), numbers_at(state.b, n)
        d = numbers_at(state.dispersion, state.n_dispersion)
        offsets, score = lanes_at(state.offsets, 1), numbers_at(state.score, n)
        z0, z1 = numbers_at(state.z, n), numbers_at(state.z + 8 * state.stride, n)
        weights = lanes_at(state.weights, state.n_outer)
        slopes = lanes_at(state.slopes, state.n_outer * q)
        d_dispersion = numbers_at(state.d_dispersion, state.n_dispersion)
        out = np.zeros(state.n_dispersion)
        for o in range(state.n_outer):
            place = state.start + o * state.step
            for i in range(n):
                for l in range(LANES):
                    at = eta[i] + a[i] * place + b[i] * offsets[0, l]
                    slope = weight[i] * derivatives(y[i], size[i], at, d)[1]
                    score[i] += weights[o, l] * slope
                    slopes[o * q, l] += slope * z0[i]
                    if q > 1:
                        slopes[o * q + 1, l] += slope * z1[i]
                    dispersion_gradient(y[i], size[i], at, d, out)
                    for k in range(len(out)):
                        d_dispersion[k] += weights[o, l] * weight[i] * out[k]

    return add_scores


def _make_rest(rest: Any, rest_gradient: Any) -> Any:
    """Return the part of the kernel that has this name, for a family."""

    @njit(**JIT_INNER)
    def add_rest(state):
        """Add what depends on the dispersion alone, of each distinct (y, size)."""
        levels = carray(as_pointer(state.levels), (3, state.n_levels), np.float64)
        d = numbers_at(state.dispersion, state.n_dispersion)
        d_dispersion = numbers_at(state.d_dispersion, state.n_dispersion)
        out = np.zeros(state.n_dispersion)
        for i in range(state.n_levels):
            state.rest += levels[2, i] * rest(levels[0, i], levels[1, i], d)
            rest_gradient(levels[0, i], levels[1, i], d, out)
            for k in range(len(out)):
                d_dispersion[k] += levels[2, i] * out[k]

    return add_rest
