"""Posterior predictive means, variances, quantiles, densities and samples of new rows.

Rows come in blocks, so memory grows with the rows asked for and not with the draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from skhbm._effects import effect_draws, mean_covariances, row_mixture
from skhbm._kernels import JIT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from skhbm._posterior import GroupMoments, Posterior

    Float = NDArray[np.float64]
    Int = NDArray[np.int64]

__all__ = ["Rows", "covariance", "log_density", "mixtures", "moments", "quantiles", "samples"]

#: Rows whose moments are computed at a time.
BLOCK = 16_384
#: Numbers in a block of rows times draws.
MIXTURE = 2**21


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """New rows, with their groups as codes.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    keys : ndarray of int of shape (n,)
        The group of each row. Negative keys are groups that were not seen: rows
        of the same key share their effects.
    """

    X: Float
    keys: Int

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def codes(self) -> Int:
        """The group of each row (n,), -1 if it was not seen."""
        return np.maximum(self.keys, -1)

    def units(self) -> tuple[Int, Int]:
        """Return the unit of each row (n,), numbered, and the code of each unit."""
        keys, unit = np.unique(self.keys, return_inverse=True)
        return unit, np.maximum(keys, -1)


def moments(
    posterior: Posterior, known: GroupMoments, rows: Rows, *, with_sd: bool
) -> tuple[Float, Float | None]:
    """Return predictive means (n,) and standard deviations (n,) in units of y."""
    scaling, terms = posterior.design.scaling, posterior.design.terms
    codes, mean = rows.codes, np.empty(len(rows))
    sd = np.empty(len(rows)) if with_sd else None
    # One more entry than groups, found at index -1: the group that was not seen.
    effect = np.vstack([known.effect, np.zeros((1, known.effect.shape[1]))])
    effect_cov = np.concatenate([known.effect_cov, known.new_cov[None]])
    cross_cov = np.concatenate([known.cross_cov, np.zeros((1, *known.cross_cov.shape[1:]))])
    noise = np.append(known.noise, known.noise_new)
    for block in _blocks(len(rows), BLOCK):
        fixed, varying = scaling.features(rows.X[block], terms)
        code = codes[block]
        mean[block] = fixed @ known.population + np.sum(varying * effect[code], axis=1)
        if sd is not None:
            variance = noise[code] + np.sum((fixed @ known.population_cov) * fixed, axis=1)
            for a in range(varying.shape[1]):
                half = 0.5 * np.sum(effect_cov[code, a] * varying, axis=1)
                half += np.sum(cross_cov[code, a] * fixed, axis=1)
                variance += 2.0 * varying[:, a] * half
            sd[block] = scaling.y_scale * np.sqrt(np.maximum(variance, 0.0))
    return scaling.y_mean + scaling.y_scale * mean, sd


def covariance(posterior: Posterior, rows: Rows) -> Float:
    """Return the joint predictive covariance (n, n): noise, effects and parameters.

    The covariance of the conditional means plus the mean of the conditional
    covariances, which is zero between rows of different units but for the noise.
    """
    scaling, terms = posterior.design.scaling, posterior.design.terms
    fixed, varying = scaling.features(rows.X, terms)
    L, sigma, w = posterior.conditions()
    unit, unit_codes = rows.units()
    code = rows.codes
    n, n_draws = len(rows), len(L)
    total, sum_mean = np.zeros((n, n)), np.zeros(n)
    sigma_new = posterior.sigma_new.ravel() / scaling.y_scale
    step = max(1, MIXTURE // n)
    center = fixed @ w.mean(axis=0)
    for block in _blocks(n_draws, step):
        size = len(w[block])
        mean, sd = np.empty((n, size)), np.empty((n, size))
        row_mixture(
            L[block], sigma[block], sigma_new[block], w[block], posterior.design.roots,
            fixed, varying, code, mean, sd,
        )  # fmt: skip
        mean -= center[:, None]
        total += mean @ mean.T
        sum_mean += mean.sum(axis=1)
    total = total / n_draws - np.outer(sum_mean, sum_mean) / n_draws**2
    noise = np.where(code >= 0, np.mean(sigma**2, axis=0)[code % sigma.shape[1]], 0.0)
    noise[code < 0] = posterior.new_noise()
    spread = mean_covariances(L, sigma, posterior.design.roots, unit_codes)
    same = unit[:, None] == unit[None, :]
    half = np.einsum("iab,ib->ia", spread[unit], varying)
    total += np.where(same, half @ varying.T, 0.0) + np.diag(noise)
    return scaling.y_scale**2 * 0.5 * (total + total.T)


def quantiles(posterior: Posterior, rows: Rows, probabilities: Float) -> Float:
    """Return quantiles (n, n_quantiles) of the mixture over draws."""
    out = np.empty((len(rows), len(probabilities)))
    for block, mean, sd in mixtures(posterior, rows):
        _mixture_quantiles(mean, sd, probabilities, out[block])
    scaling = posterior.design.scaling
    return scaling.y_mean + scaling.y_scale * out


def log_density(posterior: Posterior, rows: Rows, y: Float) -> Float:
    """Return the log density (n,) of the mixture over draws at y."""
    scaling = posterior.design.scaling
    standard = (y - scaling.y_mean) / scaling.y_scale
    out = np.empty(len(rows))
    for block, mean, sd in mixtures(posterior, rows):
        each = -0.5 * ((standard[block, None] - mean) / sd) ** 2 - np.log(sd)
        top = each.max(axis=1)
        out[block] = top + np.log(np.mean(np.exp(each - top[:, None]), axis=1))
    return out - 0.5 * np.log(2 * np.pi) - np.log(scaling.y_scale)


def samples(
    posterior: Posterior, rows: Rows, n_samples: int, rng: np.random.RandomState
) -> Float:
    """Draw y (n, n_samples) jointly: rows of one unit share their effects."""
    scaling, terms = posterior.design.scaling, posterior.design.terms
    L, sigma, w = posterior.conditions()
    sigma_new = posterior.sigma_new.ravel() / scaling.y_scale
    q = L.shape[1]
    unit_of, codes = rows.units()
    chosen = _spread_draws(len(L), n_samples, rng)
    out = np.empty((len(rows), n_samples))
    for k, s in enumerate(chosen):
        effect = rng.standard_normal((1, len(codes), q))
        one = slice(s, s + 1)
        effect_draws(L[one], sigma[one], w[one], posterior.design.roots, codes, effect)
        scale = np.where(codes >= 0, sigma[s][codes % sigma.shape[1]], sigma_new[s])
        for block in _blocks(len(rows), BLOCK):
            fixed, varying = scaling.features(rows.X[block], terms)
            unit = unit_of[block]
            noise = scale[unit] * rng.standard_normal(len(unit))
            out[block, k] = fixed @ w[s] + np.sum(varying * effect[0, unit], axis=1) + noise
    return scaling.y_mean + scaling.y_scale * out


def _spread_draws(n_draws: int, n_samples: int, rng: np.random.RandomState) -> Int:
    """Choose draws at random, none twice before all were used once."""
    rounds = -(-n_samples // n_draws)
    return np.concatenate([rng.permutation(n_draws) for _ in range(rounds)])[:n_samples]


def _blocks(n: int, size: int) -> Iterator[slice]:
    return (slice(first, min(first + size, n)) for first in range(0, n, size))


def mixtures(posterior: Posterior, rows: Rows) -> Iterator[tuple[slice, Float, Float]]:
    """Yield blocks of rows with the mean and sd (rows, draws) of their mixtures."""
    scaling, terms = posterior.design.scaling, posterior.design.terms
    L, sigma, w = posterior.conditions()
    sigma_new = posterior.sigma_new.ravel() / scaling.y_scale
    codes = rows.codes
    for block in _blocks(len(rows), max(1, MIXTURE // len(L))):
        fixed, varying = scaling.features(rows.X[block], terms)
        code = codes[block]
        mean, sd = np.empty((len(code), len(L))), np.empty((len(code), len(L)))
        row_mixture(
            L, sigma, sigma_new, w, posterior.design.roots, fixed, varying,
            code, mean, sd,
        )  # fmt: skip
        yield block, mean, sd


@njit(**JIT)
def _mixture_quantiles(mean, sd, probabilities, out):
    """Solve mean_s Phi((x - mean_s) / sd_s) = p for each row by guarded Newton steps."""
    n, n_draws = mean.shape
    for i in range(n):
        centre = np.mean(mean[i])
        spread = np.sqrt(np.mean(sd[i] ** 2) + np.var(mean[i]))
        for k in range(len(probabilities)):
            p = probabilities[k]
            # Chebyshev's inequality brackets the quantile.
            reach = spread / np.sqrt(min(p, 1.0 - p)) + 1e-300
            low, high = centre - reach, centre + reach
            x = centre
            for _ in range(100):
                cdf, pdf = 0.0, 0.0
                for s in range(n_draws):
                    z = (x - mean[i, s]) / sd[i, s]
                    cdf += 0.5 * math.erfc(-z * 0.7071067811865476)
                    pdf += math.exp(-0.5 * z * z) / sd[i, s]
                cdf /= n_draws
                pdf *= 0.3989422804014327 / n_draws
                if cdf < p:
                    low = x
                else:
                    high = x
                step = (p - cdf) / pdf if pdf > 0.0 else np.inf
                following = x + step
                if not low < following < high:
                    following = 0.5 * (low + high)
                if abs(following - x) <= 1e-13 * spread:
                    break
                x = following
            out[i, k] = x
