"""Draws from a density without a Markov chain: Laplace's approximation, corrected.

A Student-t distribution is put at the mode of the density, with its curvature. Draws from this
proposal are weighted by the ratio of the two densities, smoothed (`skhbm._sampling.psis`), and
resampled: they are of the posterior itself, as far as Pareto k says that the weights can be
trusted.

Standard deviations that may be zero have coordinates of their own (`skhbm._sampling.half_t`).
Where the curvature at the mode misjudges the tails even so, proposals are learned: the next
proposal has the mean and covariance of the weighted draws so far. All draws stay in use,
weighted by the density of the mixture of proposals that they came from (adaptive multiple
importance sampling: Cornuet, Marin, Mira & Robert 2012,
https://doi.org/10.1111/j.1467-9469.2011.00756.x).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from scipy.special import logsumexp

from skhbm._density.evaluation import log_densities, natural_values
from skhbm._sampling.draws import Weights
from skhbm._sampling.half_t import HalfT
from skhbm._sampling.psis import pareto_smooth, resample

if TYPE_CHECKING:
    from skhbm._density.target import TargetDensity
    from skhbm._types import Float


__all__ = ["PILOT", "Weighted", "laplace"]

#: Degrees of freedom of the proposals: tails heavier than those of the posterior.
DEGREES = 5.0
#: Share of the draws of a proposal from a wider distribution, and how much wider it is.
SHARE, WIDER = 0.2, 3.0
#: Draws by which a proposal is judged: the least number, and a number for each dimension.
PILOT, PILOT_BY_DIMENSION = 500, 50
#: How often the proposal is learned anew at the most: from pilots, and from all draws.
ROUNDS, MORE_ROUNDS = 4, 3
#: A proposal is good enough with k below, and with an effective share of draws above these.
GOOD_K, GOOD_SHARE = 0.5, 0.5
#: Effective draws for each dimension that a covariance can be learned from.
LEARNABLE = 5
#: Step of the differences of gradients that the curvature is made of.
STEP = 1e-4
#: Parameters at most: the time for a matrix of curvatures grows with their cube.
LARGEST = 2000
#: Smallest curvature: no proposal is wider than ten units of the unconstrained parameters.
FLATTEST = 1e-2


class Weighted(NamedTuple):
    """Draws from a density, resampled to equal weights.

    Attributes
    ----------
    values : ndarray of shape (n, n_dim)
        Natural values, in the order of the density.
    logp : ndarray of shape (n,)
        Log densities of the unconstrained draws.
    moments : ndarray of shape (n, *moments_shape), or (0, *moments_shape)
        Moments of what is integrated out: see `skhbm._density.evaluation`.
    weights : Weights
    """

    values: Float
    logp: Float
    moments: Float
    weights: Weights


class _Proposal(NamedTuple):
    """A mixture of a multivariate Student-t distribution and a wider one of the same center.

    The wider part is for densities that fall slowly to one side, however narrow they are.
    """

    center: Float
    root: Float

    def draw(self, rng: np.random.Generator, n: int) -> Float:
        """Return n draws, as rows."""
        z = rng.standard_normal((n, len(self.center)))
        z /= np.sqrt(rng.chisquare(DEGREES, n) / DEGREES)[:, None]
        z[: round(SHARE * n)] *= WIDER
        return self.center + z @ self.root.T

    def log_density(self, x: Float) -> Float:
        """Return log densities of rows, up to a constant that all proposals share."""
        d = len(self.center)
        z = solve_triangular(self.root, (x - self.center).T, lower=True)
        squares = np.sum(z**2, axis=0) / DEGREES
        narrow = np.log1p(-SHARE) - 0.5 * (DEGREES + d) * np.log1p(squares)
        wide = np.log(SHARE) - 0.5 * (DEGREES + d) * np.log1p(squares / WIDER**2)
        both = np.logaddexp(narrow, wide - d * np.log(WIDER))
        return np.asarray(both - np.sum(np.log(np.abs(np.diag(self.root)))))


class _Sample(NamedTuple):
    """Draws of a mixture of proposals, and their log densities in the coordinates z."""

    coordinates: HalfT
    proposals: list[_Proposal]
    sizes: list[int]
    z: Float
    logp: Float
    moments: Float

    def weights(self) -> tuple[Float, float]:
        """Return normalised smoothed weights (n,) and Pareto k."""
        logs = [np.log(n) + p.log_density(self.z) for p, n in zip(*self[1:3], strict=True)]
        ratios = self.logp - logsumexp(logs, axis=0)
        smoothed, k = pareto_smooth(ratios[None])
        return np.exp(smoothed[0]), float(k[0])


def laplace(
    density: TargetDensity, start: Float, *, n: int, seed: int, threads: int
) -> Weighted:
    """Draw n times from a density, by importance sampling about its mode.

    Raises ValueError if there are too many parameters for that.
    """
    if len(start) > LARGEST:
        msg = (
            f"solver='laplace' is for at most {LARGEST} parameters that are not integrated "
            f"out. Got {len(start)}: effects of all grouping factors but one and residual "
            "scales of groups are among them. Use solver='nuts'."
        )
        raise ValueError(msg)
    rng = np.random.default_rng([seed, 3])
    sample, proposal = _learn_proposal(density, start, rng, threads)
    sample = _extend(sample, proposal, density, rng, n, threads)
    weights, k = sample.weights()
    for _ in range(MORE_ROUNDS):
        # All draws may show of the tails what pilots could not see.
        if k < GOOD_K or 1.0 / np.sum(weights**2) < LEARNABLE * len(start):
            break
        proposal = _learn(sample.z, weights)
        sample = _extend(sample, proposal, density, rng, n, threads)
        weights, k = sample.weights()
    chosen, spread = resample(weights, n, rng)
    x, slopes = sample.coordinates.unconstrained(sample.z[chosen])
    # Moments are of use only if those of all draws were kept.
    kept = len(sample.moments) == len(weights)
    return Weighted(
        natural_values(density, x),
        sample.logp[chosen] - np.log(slopes).sum(axis=1),
        sample.moments[chosen] if kept else sample.moments[:0],
        Weights(k, spread),
    )


def _learn_proposal(
    density: TargetDensity, start: Float, rng: np.random.Generator, threads: int
) -> tuple[_Sample, _Proposal]:
    """Return a proposal that covers the density, if one is found, and all draws so far."""
    d, pilot = len(start), max(PILOT, PILOT_BY_DIMENSION * len(start))
    coordinates, proposal = _at_mode(density, start)
    nothing = np.empty((0, *density.moments_shape))
    sample = _Sample(coordinates, [], [], np.empty((0, d)), np.empty(0), nothing)
    sample = _extend(sample, proposal, density, rng, PILOT, threads)
    for _ in range(ROUNDS):
        weights, k = sample.weights()
        share = 1.0 / np.sum(weights**2) / len(weights)
        if (k < GOOD_K and share > GOOD_SHARE) or share * pilot < LEARNABLE * d:
            break
        if len(weights) < pilot:
            sample = _extend(sample, proposal, density, rng, pilot - len(weights), threads)
            weights, _ = sample.weights()
        proposal = _learn(sample.z, weights)
        sample = _extend(sample, proposal, density, rng, pilot, threads)
    return sample, proposal


def _at_mode(density: TargetDensity, start: Float) -> tuple[HalfT, _Proposal]:
    """Return coordinates and the proposal with the mode of the density, and its curvature."""
    if not len(start):
        return HalfT(density.spreads, start), _Proposal(start, np.empty((0, 0)))

    def minus(x: Float) -> tuple[float, Float]:
        logp, gradient = density.value_and_gradient(x)
        finite = np.isfinite(logp) and np.all(np.isfinite(gradient))
        return (-logp, -gradient) if finite else (np.inf, np.zeros(len(x)))

    mode = minimize(minus, start, jac=True, method="BFGS", options={"gtol": 1e-3}).x
    steps = STEP * np.eye(len(mode))
    rows = [(minus(mode + h)[1] - minus(mode - h)[1]) / (2.0 * STEP) for h in steps]
    values, vectors = np.linalg.eigh(0.5 * (np.array(rows) + np.array(rows).T))
    covariance = (vectors / np.maximum(values, FLATTEST)) @ vectors.T
    coordinates = HalfT(density.spreads, mode[density.spreads])
    center, slope = coordinates.at_center(mode)
    return coordinates, _Proposal(center, np.linalg.cholesky(covariance) / slope[:, None])


def _learn(z: Float, weights: Float) -> _Proposal:
    """Return the proposal that has the mean and covariance of weighted draws."""
    center = weights @ z
    residual = (z - center) * np.sqrt(weights)[:, None]
    return _Proposal(center, np.linalg.qr(residual, mode="r").T)


def _extend(
    sample: _Sample,
    proposal: _Proposal,
    density: TargetDensity,
    rng: np.random.Generator,
    n: int,
    threads: int,
) -> _Sample:
    """Add n draws of a proposal."""
    coordinates, proposals, sizes = sample[:3]
    if proposals and proposals[-1] is proposal:
        sizes = [*sizes[:-1], sizes[-1] + n]
    else:
        proposals, sizes = [*proposals, proposal], [*sizes, n]
    z = proposal.draw(rng, n)
    x, slopes = coordinates.unconstrained(z)
    logp, moments = log_densities(density, x, threads)
    new = z, logp + np.log(slopes).sum(axis=1), moments
    arrays = [np.concatenate(pair) for pair in zip(sample[3:], new, strict=True)]
    return _Sample(coordinates, proposals, sizes, *arrays)
