"""Draws from a density without a Markov chain: Laplace's approximation, corrected.

A Student-t distribution is put at the mode of the density, with its curvature. Draws from this
proposal are weighted by the ratio of the two densities, smoothed (`skhbm._sampling.psis`), and
resampled: they are of the posterior itself, as far as Pareto k says that the weights can be
trusted.

Where the curvature at the mode misjudges the tails (as of the log of a scale that may be zero),
proposals are learned: the next proposal has the mean and covariance of the weighted draws so
far. All draws stay in use, weighted by the density of the mixture of proposals that they came
from (adaptive multiple importance sampling: Cornuet, Marin, Mira & Robert 2012,
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
from skhbm._sampling.psis import pareto_smooth, systematic

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
#: How often the proposal is learned anew at the most.
ROUNDS = 4
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

    The wider part is for densities that fall slowly to one side, however narrow they are: that
    of the log of a standard deviation falls exponentially at a rate of 1 to the left.
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
    """All draws so far, of a mixture of proposals."""

    proposals: list[_Proposal]
    sizes: list[int]
    x: Float
    logp: Float
    moments: Float

    def weights(self) -> tuple[Float, float]:
        """Return normalised smoothed weights (n,) and Pareto k."""
        logs = [np.log(n) + p.log_density(self.x) for p, n in zip(*self[:2], strict=True)]
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
    # The order is random, since draws of a single proposal are not of the posterior.
    order = rng.permutation(len(weights))
    chosen = order[systematic(weights[order], n, rng)]
    # Moments are of use only if those of all draws were kept.
    kept = len(sample.moments) == len(weights)
    return Weighted(
        natural_values(density, sample.x[chosen]),
        sample.logp[chosen],
        sample.moments[chosen] if kept else sample.moments[:0],
        Weights(k, 1.0 / np.sum(weights**2)),
    )


def _learn_proposal(
    density: TargetDensity, start: Float, rng: np.random.Generator, threads: int
) -> tuple[_Sample, _Proposal]:
    """Return a proposal that covers the density, if one is found, and all draws so far."""
    pilot = max(PILOT, PILOT_BY_DIMENSION * len(start))
    proposal = _at_mode(density, start)
    nothing = np.empty((0, *density.moments_shape))
    sample = _Sample([], [], np.empty((0, len(start))), np.empty(0), nothing)
    sample = _extend(sample, proposal, density, rng, PILOT, threads)
    for _ in range(ROUNDS):
        weights, k = sample.weights()
        share = 1.0 / np.sum(weights**2) / len(weights)
        if (k < GOOD_K and share > GOOD_SHARE) or share * pilot < LEARNABLE * len(start):
            break
        if len(weights) < pilot:
            sample = _extend(sample, proposal, density, rng, pilot - len(weights), threads)
            weights, _ = sample.weights()
        proposal = _learn(sample.x, weights)
        sample = _extend(sample, proposal, density, rng, pilot, threads)
    return sample, proposal


def _at_mode(density: TargetDensity, start: Float) -> _Proposal:
    """Return the proposal that has the mode of the density, and its curvature there."""
    if not len(start):
        return _Proposal(start, np.empty((0, 0)))

    def minus(x: Float) -> tuple[float, Float]:
        logp, gradient = density.value_and_gradient(x)
        finite = np.isfinite(logp) and np.all(np.isfinite(gradient))
        return (-logp, -gradient) if finite else (np.inf, np.zeros(len(x)))

    mode = minimize(minus, start, jac=True, method="BFGS", options={"gtol": 1e-3}).x
    steps = STEP * np.eye(len(mode))
    rows = [(minus(mode + h)[1] - minus(mode - h)[1]) / (2.0 * STEP) for h in steps]
    values, vectors = np.linalg.eigh(0.5 * (np.array(rows) + np.array(rows).T))
    covariance = (vectors / np.maximum(values, FLATTEST)) @ vectors.T
    return _Proposal(mode, np.linalg.cholesky(covariance))


def _learn(x: Float, weights: Float) -> _Proposal:
    """Return the proposal that has the mean and covariance of weighted draws."""
    center = weights @ x
    residual = (x - center) * np.sqrt(weights)[:, None]
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
    x = proposal.draw(rng, n)
    proposals, sizes = sample.proposals, sample.sizes
    if proposals and proposals[-1] is proposal:
        sizes = [*sizes[:-1], sizes[-1] + n]
    else:
        proposals, sizes = [*proposals, proposal], [*sizes, n]
    new = (x, *log_densities(density, x, threads))
    arrays = [np.concatenate(pair) for pair in zip(sample[2:], new, strict=True)]
    return _Sample(proposals, sizes, *arrays)
