"""Characteristic functions of mixtures of normals, without a sine or exponential per term.

At equidistant frequencies the terms of a component are exp(i k a - k^2 b). Each term is the
previous term times a ratio, and ratios fall by a constant factor. The compiler does not know
the bounds of loops over components, so that it makes vector instructions of them. No sum is
reordered.
"""

from __future__ import annotations

import math

import numpy as np

from skhbm._numba.jit import JIT, njit

__all__ = ["REACH", "characteristic_function"]

#: All but 6e-14 of a normal distribution, and of its transform, is within so many sds.
REACH = 7.5
#: After so many frequencies powers are computed afresh, so that rounding does not add up.
STRIDE = 64
#: The powers of so many components are computed side by side.
TILE = 128


@njit(**JIT)
def characteristic_function(mean, sd, centre, h, narrowest, most):
    """Return mean_s exp(i k h (mean_s - centre) - (k h sd_s)^2 / 2) for k = 1, 2, ...

    They are real and imaginary parts (2, n), up to the k whose terms are negligible.
    `narrowest` is the least sd. There are none if `most` terms or more were needed. h |mean_s -
    centre| may be up to 2 pi, h sd_s up to one.
    """
    needed = REACH / (h * narrowest)
    n = 1 + int(needed) if needed < most else 0
    phi = np.zeros((2, n))
    total = np.empty((min(n, STRIDE), 2, TILE))
    some = np.empty((2, len(mean) if n > STRIDE else 0))
    for low in range(0, n, STRIDE):
        total[:] = 0.0
        if low == 0:
            _add_components(mean, sd, centre, h, low, total)
        else:
            count = _narrow_enough(mean, sd, REACH / (h * low), some)
            _add_components(some[0, :count], some[1, :count], centre, h, low, total)
        for k in range(min(STRIDE, n - low)):
            for l in range(TILE):
                phi[0, low + k] += total[k, 0, l] / len(mean)
                phi[1, low + k] += total[k, 1, l] / len(mean)
    return phi


@njit(**JIT)
def _narrow_enough(mean, sd, widest, some):
    """Fill some (2, n) with means and sds of components up to `widest`; return their number."""
    count = 0
    for s in range(len(mean)):
        if sd[s] <= widest:
            some[0, count], some[1, count] = mean[s], sd[s]
            count += 1
    return count


@njit(**JIT)
def _add_components(mean, sd, centre, h, low, total):
    """Add the terms of components to total (n, 2, TILE) for k = low + 1, low + 2, ..."""
    powers = np.empty((5, TILE))
    for first in range(0, len(mean), TILE):
        some = slice(first, min(first + TILE, len(mean)))
        if low == 0:
            _start(mean[some], sd[some], centre, h, powers)
        else:
            _restart(mean[some], sd[some], centre, h, low + 1, powers)
        for k in range(len(total)):
            _advance(powers, total[k])


@njit(**JIT)
def _start(mean, sd, centre, h, powers):
    """Fill powers (5, TILE) for k = 1; see `_advance`.

    An eighth of the angle a is below pi / 4, and a quarter of b is below 1 / 8. Their Taylor
    series are exact to rounding.
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


@njit(**JIT)
def _advance(powers, total):
    """Add z_k = exp(i k a - k^2 b) to total (2, TILE), and go on to k + 1.

    `powers` has the real and imaginary parts of z_k and of z_(k+1) / z_k, and exp(-2 b).
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
def _restart(mean, sd, centre, h, k, powers):
    """Fill powers (5, TILE) for any k; see `_advance`."""
    powers[:] = 0.0
    for l in range(len(mean)):
        a, b = h * (mean[l] - centre), 0.5 * (h * sd[l]) ** 2
        size, ratio = math.exp(-k * k * b), math.exp(-(2 * k + 1) * b)
        powers[0, l], powers[1, l] = size * math.cos(k * a), size * math.sin(k * a)
        powers[2, l], powers[3, l] = ratio * math.cos(a), ratio * math.sin(a)
        powers[4, l] = math.exp(-2.0 * b)
