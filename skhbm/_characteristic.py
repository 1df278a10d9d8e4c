"""Characteristic functions of mixtures of normals, without a sine or exponential per term.

At equidistant frequencies the terms of a component are exp(i k a - k^2 b): each is the one
before times a ratio, and ratios fall by a constant factor. Loops over components have no bound
that the compiler knows, so that it makes vector instructions of them; no sum is reordered.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from skhbm._kernels import JIT

__all__ = ["REACH", "characteristic_function"]

#: Standard deviations that a normal is within, and at which its transform is negligible: 6e-14.
REACH = 7.5
#: Frequencies after which powers are computed afresh, so that rounding does not add up.
RESTART = 64
#: Components whose powers are computed side by side.
TILE = 128


@njit(**JIT)
def characteristic_function(mean, sd, centre, h, narrowest, most):
    """Return mean_s exp(i k h (mean_s - centre) - (k h sd_s)^2 / 2) for k = 1, 2, ...

    Real and imaginary parts (2, n), up to the k whose terms are negligible, narrowest being the
    least sd; none if that is `most` or more. h |mean_s - centre| may be up to 2 pi, h sd_s one.
    """
    needed = REACH / (h * narrowest)
    n = 1 + int(needed) if needed < most else 0
    total = np.zeros((n, 2, TILE))
    powers = np.zeros((7, TILE))
    if n > RESTART:
        # Wide components need few frequencies: they are taken together.
        order = np.argsort(sd)
        mean, sd = mean[order], sd[order]
    for first in range(0, len(mean) if n > 0 else 0, TILE):
        some = slice(first, min(first + TILE, len(mean)))
        _start(mean[some], sd[some], centre, h, powers)
        own = n if n <= RESTART else min(n, 1 + int(REACH / (h * sd[first])))
        for k in range(own):
            if k > 0 and k % RESTART == 0:
                _restart(k + 1, powers)
            _advance(powers, total[k])
    return total.sum(axis=2).T / len(mean)


@njit(**JIT)
def _start(mean, sd, centre, h, powers):
    """Fill powers (7, TILE) for k = 1; see `_advance`.

    Taylor series of an eighth of the angle a, which is below pi / 4, and a quarter of b, which
    is below 1 / 8, are exact to rounding.
    """
    powers[:] = 0.0
    for l in range(len(mean)):
        angle = h * (mean[l] - centre)
        x = 0.125 * angle
        t = x * x
        sin = 1.0 - t * (1.0 / 210.0)
        sin = 1.0 - t * (1.0 / 156.0) * sin
        sin = 1.0 - t * (1.0 / 110.0) * sin
        sin = 1.0 - t * (1.0 / 72.0) * sin
        sin = 1.0 - t * (1.0 / 42.0) * sin
        sin = 1.0 - t * (1.0 / 20.0) * sin
        sin = x - x * t * (1.0 / 6.0) * sin
        cos = 1.0 - t * (1.0 / 182.0)
        cos = 1.0 - t * (1.0 / 132.0) * cos
        cos = 1.0 - t * (1.0 / 90.0) * cos
        cos = 1.0 - t * (1.0 / 56.0) * cos
        cos = 1.0 - t * (1.0 / 30.0) * cos
        cos = 1.0 - t * (1.0 / 12.0) * cos
        cos = 1.0 - t * 0.5 * cos
        sin, cos = 2.0 * sin * cos, 1.0 - 2.0 * sin * sin
        sin, cos = 2.0 * sin * cos, 1.0 - 2.0 * sin * sin
        sin, cos = 2.0 * sin * cos, 1.0 - 2.0 * sin * sin
        exponent = 0.5 * (h * sd[l]) ** 2
        w = -0.25 * exponent
        e = 1.0 + w * (1.0 / 10.0)
        e = 1.0 + w * (1.0 / 9.0) * e
        e = 1.0 + w * (1.0 / 8.0) * e
        e = 1.0 + w * (1.0 / 7.0) * e
        e = 1.0 + w * (1.0 / 6.0) * e
        e = 1.0 + w * (1.0 / 5.0) * e
        e = 1.0 + w * (1.0 / 4.0) * e
        e = 1.0 + w * (1.0 / 3.0) * e
        e = 1.0 + w * 0.5 * e
        e = 1.0 + w * e
        e = e * e
        e = e * e
        powers[0, l], powers[1, l] = e * cos, e * sin
        powers[2, l], powers[3, l] = e * e * e * cos, e * e * e * sin
        powers[4, l] = e * e
        powers[5, l], powers[6, l] = angle, exponent


@njit(**JIT)
def _advance(powers, total):
    """Add z_k = exp(i k a - k^2 b) to total (2, TILE), and go on to k + 1.

    Powers are the real and imaginary parts of z_k and of z_(k+1) / z_k, exp(-2 b), a and b.
    """
    for l in range(powers.shape[1]):
        x, y, re, im = powers[0, l], powers[1, l], powers[2, l], powers[3, l]
        total[0, l] += x
        total[1, l] += y
        powers[0, l] = x * re - y * im
        powers[1, l] = x * im + y * re
        powers[2, l] = re * powers[4, l]
        powers[3, l] = im * powers[4, l]


@njit(**JIT)
def _restart(k, powers):
    """Compute the powers for k afresh."""
    for l in range(powers.shape[1]):
        # The last tile may have places without a component.
        if powers[4, l] > 0.0:
            a, b = powers[5, l], powers[6, l]
            size, ratio = math.exp(-k * k * b), math.exp(-(2 * k + 1) * b)
            powers[0, l], powers[1, l] = size * math.cos(k * a), size * math.sin(k * a)
            powers[2, l], powers[3, l] = ratio * math.cos(a), ratio * math.sin(a)
