"""Mixtures of normals with equal weights: log densities, quantiles, ranked probability scores.

A row's predictive distribution is such a mixture, with a component for each of thousands of
draws. For quantiles and scores it is condensed to its characteristic function about the mean c,

    phi_k = mean_s exp(i k h (m_s - c) - (k h sd_s)^2 / 2),    h = 2 pi / P.

Let X' be an independent copy of X, and x = c + u. The Fourier series of a step and of a
distance, of period P, give

    Pr(X <= x) = 1/2 + u / P - sum_k Im(phi_k exp(-i k h u)) / (pi k),
    E|X - x|   = P/6 + (u^2 + Var X) / P - P / pi^2 sum_k Re(phi_k exp(-i k h u)) / k^2,
    E|X - X'|  = P/6 + 2 Var X / P - P / pi^2 sum_k |phi_k|^2 / k^2,

The first series is due to Davies (1973, https://doi.org/10.1093/biomet/60.2.415), here with the
term of k = 0. The other two follow from |v| = P/6 + v^2 / P - P / pi^2 sum_k cos(k h v) / k^2,
which holds for |v| <= P. They neglect what is farther than P from x or X', and the terms that
the sums leave out. A dozen terms are enough for 12 digits, unless some component is far
narrower than the mixture.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from skhbm._numba.jit import JIT, JIT_INNER, njit
from skhbm._prediction.characteristic import REACH, characteristic_function

if TYPE_CHECKING:
    from skhbm._types import Float


__all__ = ["add_noise", "log_densities", "quantiles", "ranked_scores"]

#: The series serve for quantiles within so many standard deviations from the means.
SPAN = 3.0
#: So many terms cost as much as to solve for quantiles with all components.
MOST = 512
#: Where density times spread is less, the series do not give quantiles to 11 digits.
SPARSE = 0.01
#: So many terms of a component cost as much as a pair of components.
PAIR = 10.0
#: Series are computed if they have no more than so many terms per component.
MOST_PER_COMPONENT = 16


@njit(**JIT)
def add_noise(variance, noise, new, codes, extra, narrowest):
    """Turn variances (n, n_draws) of linear predictors into standard deviations of y.

    noise (1 or n_groups, n_draws) has the residual scales, new (n_draws,) the scales of a group
    that was not seen, extra (n,) known errors.
    """
    for i in range(len(codes)):
        scale = new if codes[i] < 0 else noise[codes[i] % len(noise)]
        _add_squares(variance[i], scale, extra[i] ** 2, narrowest)


@njit(**JIT_INNER)
def _add_squares(variance, scale, extra, narrowest):
    """Turn variances (n_draws,) into roots of their sums with scale^2 and extra."""
    for s in range(len(variance)):
        total = variance[s] + scale[s] * scale[s] + extra
        variance[s] = max(math.sqrt(total), narrowest)


@njit(**JIT)
def log_densities(mean, sd, y):
    """Return the log densities (n,) at y (n,) of mixtures (n, n_draws)."""
    out = np.empty(len(y))
    for i in range(len(y)):
        top = -np.inf
        for s in range(mean.shape[1]):
            z = (y[i] - mean[i, s]) / sd[i, s]
            top = max(top, -0.5 * z * z)
        if top == -np.inf:
            out[i] = top
            continue
        total = 0.0
        for s in range(mean.shape[1]):
            z = (y[i] - mean[i, s]) / sd[i, s]
            total += math.exp(-0.5 * z * z - top) / sd[i, s]
        out[i] = top + math.log(total / mean.shape[1]) - 0.5 * math.log(2.0 * math.pi)
    return out


@njit(**JIT)
def quantiles(mean, sd, probabilities, scores):
    """Return quantiles (n, n_quantiles) of mixtures; `scores` are a standard normal's."""
    out = np.empty((len(mean), len(scores)))
    for i in range(len(mean)):
        m, scale = mean[i], sd[i]
        centre, spread, farthest, narrowest, widest = _extent(m, scale)
        period = 2.0 * farthest + (REACH + SPAN) * widest
        h = 2.0 * math.pi / period
        phi = characteristic_function(m, scale, centre, h, narrowest, MOST)
        for k in range(len(scores)):
            p, z = probabilities[k], scores[k]
            # The quantile of the mixture is between the quantiles of its components.
            low = centre - farthest + min(z * narrowest, z * widest)
            high = centre + farthest + max(z * narrowest, z * widest)
            x, resolved = min(max(centre + spread * z, low), high), False
            if phi.shape[1] > 0:
                x, density = _solve(m, scale, centre, h, phi, p, x, low, high, spread)
                resolved = density * spread >= SPARSE
            if not resolved:
                x = min(max(x, low), high)
                x, _ = _solve(m, scale, centre, h, phi[:, :0], p, x, low, high, spread)
            out[i, k] = x
    return out


def ranked_scores(mean: Float, sd: Float, y: Float) -> Float:
    """Return the continuous ranked probability scores (n,) of mixtures (n, n_draws) at y.

    They are E|X - y| - E|X - X'| / 2, eq. 21 of Gneiting & Raftery (2007).
    """
    to_y, between = _distances(mean, sd, y)
    for i in np.flatnonzero(between < 0.0):
        order = np.argsort(mean[i])
        between[i] = _pair_distance(mean[i, order], sd[i, order])
    scores: Float = to_y - 0.5 * between
    return scores


@njit(**JIT)
def _distances(mean, sd, y):
    """Return E|X - y| and E|X - X'| (n,); the latter is -1 where a sum of pairs costs less."""
    to_y, between = np.empty(len(y)), np.full(len(y), -1.0)
    for i in range(len(y)):
        m, scale = mean[i], sd[i]
        centre, spread, farthest, narrowest, widest = _extent(m, scale)
        period = 2.0 * farthest + math.sqrt(2.0) * REACH * widest
        h = 2.0 * math.pi / period
        most = MOST_PER_COMPONENT * len(m) if _worth(scale, h, farthest, widest) else 0
        phi = characteristic_function(m, scale, centre, h, narrowest, most)
        u, variance = y[i] - centre, spread * spread
        if phi.shape[1] > 0:
            between[i] = _series_pair_distance(phi, h, variance)
        if phi.shape[1] > 0 and abs(u) + farthest + REACH * widest <= period:
            to_y[i] = _series_distance(phi, h, u, variance)
        else:
            to_y[i] = _distance(m, scale, y[i])
    return to_y, between


@njit(**JIT_INNER)
def _worth(sd, h, farthest, widest):
    """Whether the series cost less than the sum over pairs that are not well apart."""
    terms = 0.0
    for s in range(len(sd)):
        terms += REACH / (h * sd[s])
    pairs = len(sd) ** 2 * min(0.5, 12.0 * widest / farthest)
    return terms < PAIR * pairs


@njit(**JIT_INNER)
def _extent(mean, sd):
    """Return centre, spread, the means' largest distance from it, least and largest sd."""
    low, high, narrowest, widest = mean[0], mean[0], sd[0], sd[0]
    first, second = 0.0, 0.0
    for s in range(len(mean)):
        low, high = min(low, mean[s]), max(high, mean[s])
        narrowest, widest = min(narrowest, sd[s]), max(widest, sd[s])
        d = mean[s] - mean[0]
        first += d
        second += d * d + sd[s] * sd[s]
    first /= len(mean)
    centre = mean[0] + first
    spread = math.sqrt(max(second / len(mean) - first * first, 0.0))
    return centre, spread, max(high - centre, centre - low), narrowest, widest


@njit(**JIT_INNER)
def _solve(mean, sd, centre, h, phi, p, x, low, high, spread):
    """Solve Pr(X <= x) = p by guarded Newton steps; return x and the density there.

    Probabilities come from the series or, where phi is empty, from sums over components.
    """
    density = 0.0
    for _ in range(100):
        if phi.shape[1] > 0:
            below, density = _series_probability(phi, h, x - centre)
        else:
            below, density = _probability(mean, sd, x)
        if below < p:
            low = x
        else:
            high = x
        step = (p - below) / density if density > 0.0 else np.inf
        following = x + step
        if not low < following < high:
            following = 0.5 * (low + high)
        if abs(following - x) <= 1e-13 * spread:
            break
        x = following
    return x, density


@njit(**JIT_INNER)
def _probability(mean, sd, x):
    """Return the mixture's distribution function and density."""
    below, density = 0.0, 0.0
    for s in range(len(mean)):
        z = (x - mean[s]) / sd[s]
        below += 0.5 * math.erfc(-z * 0.7071067811865476)
        density += math.exp(-0.5 * z * z) / sd[s]
    return below / len(mean), density * 0.3989422804014327 / len(mean)


@njit(**JIT_INNER)
def _series_probability(phi, h, u):
    """Return distribution function and density at u from the centre, by their series."""
    below, density = 0.0, 0.5
    step_re, step_im = math.cos(h * u), -math.sin(h * u)
    re, im = step_re, step_im
    for k in range(phi.shape[1]):
        below += (phi[0, k] * im + phi[1, k] * re) / (k + 1)
        density += phi[0, k] * re - phi[1, k] * im
        re, im = re * step_re - im * step_im, re * step_im + im * step_re
    return 0.5 + (0.5 * h * u - below) / math.pi, density * h / math.pi


@njit(**JIT_INNER)
def _series_distance(phi, h, u, variance):
    """Return E|X - x| of an x at u from the centre."""
    total, period = 0.0, 2.0 * math.pi / h
    step_re, step_im = math.cos(h * u), -math.sin(h * u)
    re, im = step_re, step_im
    for k in range(phi.shape[1]):
        total += (phi[0, k] * re - phi[1, k] * im) / (k + 1.0) ** 2
        re, im = re * step_re - im * step_im, re * step_im + im * step_re
    return period / 6.0 + (u * u + variance) / period - period / math.pi**2 * total


@njit(**JIT_INNER)
def _series_pair_distance(phi, h, variance):
    """Return E|X - X'|."""
    total, period = 0.0, 2.0 * math.pi / h
    for k in range(phi.shape[1]):
        total += (phi[0, k] ** 2 + phi[1, k] ** 2) / (k + 1.0) ** 2
    return period / 6.0 + 2.0 * variance / period - period / math.pi**2 * total


@njit(**JIT_INNER)
def _distance(mean, sd, y):
    """Return E|X - y|, component by component."""
    total = 0.0
    for s in range(len(mean)):
        total += _normal_distance(y - mean[s], sd[s])
    return total / len(mean)


@njit(**JIT)
def _pair_distance(mean, sd):
    """Return E|X - X'|, pair by pair, of components in the order of their means.

    The sum is eq. 5 of Grimit, Gneiting, Berrocal & Johnson (2006). The distance of a pair that
    is well apart is the difference of its means.
    """
    n, widest, total = len(mean), np.max(sd), 0.0
    for s in range(n):
        total += 2.0 * (2 * s + 1 - n) * (mean[s] - mean[0])
        total += _normal_distance(0.0, math.sqrt(2.0) * sd[s])
        for t in range(s + 1, n):
            d = mean[t] - mean[s]
            if d > (REACH + 1.0) * math.hypot(sd[s], widest):
                break
            total += 2.0 * (_normal_distance(d, math.hypot(sd[s], sd[t])) - d)
    return total / n**2


@njit(**JIT_INNER)
def _normal_distance(mean, sd):
    """Return E|X| of a normal."""
    z = mean / sd
    near = 0.7978845608028654 * sd * math.exp(-0.5 * z * z)
    return mean * math.erf(z * 0.7071067811865476) + near
