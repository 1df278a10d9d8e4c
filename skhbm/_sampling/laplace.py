"""Draws from a density without a Markov chain: Laplace's approximation, corrected.

A Student-t distribution is put at the mode of the density, with its curvature. Points of this
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

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from skhbm._density.evaluation import natural_values
from skhbm._sampling.draws import Weights
from skhbm._sampling.half_t import HalfT
from skhbm._sampling.mode import find_mode
from skhbm._sampling.proposals import Proposal
from skhbm._sampling.psis import good_k, pareto_smooth, resample

if TYPE_CHECKING:
    from skhbm._density.target import Evaluated, PointDensity, TargetDensity
    from skhbm._types import Float, Int


__all__ = ["PILOT", "Plan", "Weighted", "laplace", "make_plan"]

#: Draws by which a proposal is judged: the least number, and a number for each dimension.
PILOT, PILOT_BY_DIMENSION = 500, 50
#: How often the proposal is learned anew at the most: from pilots, and from all draws.
ROUNDS, MORE_ROUNDS = 4, 3
#: How often it is learned from pilots where evaluations are dear; from all draws it is once.
FEW_ROUNDS = 3
#: A proposal is good enough with k below, and with an effective share of draws above these.
GOOD_K, GOOD_SHARE = 0.5, 0.5
#: An effective share of all draws below this is worth another round.
POOR_SHARE = 0.1
#: Effective draws for each dimension that a covariance can be learned from, and the power that
#: flattens weights where there are fewer.
LEARNABLE, FLATTER = 5, 0.8
#: Dimensions in which weights are flattened.
FLATTENED = 30
#: Parameters at most: the time for a matrix of curvatures grows with their cube.
LARGEST = 2000
#: Points in three dimensions for so many draws, where an evaluation takes so many seconds, and
#: how their number falls as it takes longer: a faster one makes for more points and less time.
POINTS, DRAWS, SECONDS, FALL = 620, 4000, 0.0227, 0.36
#: Points at most, and seconds of CPU that they may take, for so many draws.
MOST, PATIENCE = 4000, 60.0
#: Seconds of CPU of all points up to which rounds are as many as if they cost nothing, and
#: beyond which the proposal at the mode is left as it is if it is good enough.
BRIEF, LONG = 1.0, 20.0
#: Points at least: where evaluations are cheap, and where they are dear.
ENOUGH, LEAST = 256, 64


class Plan(NamedTuple):
    """How many points to evaluate.

    Attributes
    ----------
    first : int
        Points that the proposal at the mode is judged by.
    pilot : int
        Points that a proposal is learned from, and judged by.
    points : int
        Points of the final proposal.
    rounds, more_rounds : int
        How often a proposal is learned from pilots, and from all points.
    good_k : float
        Pareto k below which no more rounds are worth their time.
    """

    first: int
    pilot: int
    points: int
    rounds: int
    more_rounds: int
    good_k: float


class Weighted(NamedTuple):
    """Draws from a density, resampled to equal weights.

    Attributes
    ----------
    values : ndarray of shape (n, n_dim)
        Natural values, in the order of the density.
    logp : ndarray of shape (n,)
        Log densities of the unconstrained draws.
    moments : ndarray of shape (n, *moments_shape), or of length 0
        Moments of what is integrated out: see `skhbm._density.evaluation`.
    points : ndarray of int of shape (n,)
        Numbers of the points that draws come from.
    cross_products : ndarray of shape (n_points, m, m), or of length 0
        Cross-products at these points, if they were kept.
    weights : Weights
    """

    values: Float
    logp: Float
    moments: Float
    points: Int
    cross_products: Float
    weights: Weights


class _Sample(NamedTuple):
    """Points of a mixture of proposals, and their log densities in the coordinates z."""

    density: PointDensity
    coordinates: HalfT
    proposals: list[Proposal]
    sizes: list[int]
    z: Float
    logp: Float
    found: Evaluated | None

    def weights(self) -> tuple[Float, float]:
        """Return normalised smoothed weights (n,) and Pareto k."""
        pairs = zip(self.proposals, self.sizes, strict=True)
        logs = [np.log(n) + proposal.log_density(self.z) for proposal, n in pairs]
        ratios = self.logp - logsumexp(logs, axis=0)
        smoothed, k = pareto_smooth(ratios[None])
        return np.exp(smoothed[0]), float(k[0])


def make_plan(density: TargetDensity, n: int) -> Plan:
    """Return how many points to evaluate for n draws.

    If an evaluation takes no time to speak of, a draw costs one.
    """
    pilot = max(PILOT, PILOT_BY_DIMENSION * density.n_dim)
    if density.seconds == 0:
        return Plan(PILOT, pilot, n, ROUNDS, MORE_ROUNDS, GOOD_K)
    # In more dimensions a smaller share of the points counts.
    wanted = POINTS * (density.seconds / SECONDS) ** -FALL * (4 + density.n_dim) / 8
    wanted = min(wanted, MOST, PATIENCE / density.seconds)
    points = round(max(LEAST, min(wanted, ENOUGH), wanted * n / DRAWS))
    pilot = min(pilot, points // 2)
    if density.seconds * points > LONG:
        return Plan(points, points, 0, 1, 0, good_k(points))
    if density.seconds * points < BRIEF:
        return Plan(pilot, pilot, points - pilot, ROUNDS, MORE_ROUNDS, GOOD_K)
    return Plan(pilot, pilot, points - pilot, FEW_ROUNDS, 1, good_k(points))


def laplace(
    density: TargetDensity, start: Float, *, n: int, seed: int, threads: int
) -> Weighted:
    """Draw n times from a density, by importance sampling about its mode.

    Raises ValueError if there are too many parameters for that.
    """
    if len(start) > LARGEST:
        msg = (
            f"solver='laplace' is for at most {LARGEST} parameters that are not integrated "
            f"out. Got {len(start)}: residual scales of groups are among them. Use "
            "solver='nuts'."
        )
        raise ValueError(msg)
    rng = np.random.default_rng([seed, 3])
    plan = make_plan(density, n)
    sample = _learn_proposal(density, start, plan, rng, threads)
    weights, k = sample.weights()
    if plan.points:
        if 1.0 / np.sum(weights**2) >= _learnable(sample):
            sample = _learn(sample, weights, rng)
        sample = _extend(sample, plan.points, threads)
        weights, k = sample.weights()
    for _ in range(plan.more_rounds):
        # All draws may show of the tails what pilots could not see.
        size = 1.0 / np.sum(weights**2)
        if size < max(LEARNABLE, _learnable(sample)) or (
            k < plan.good_k and size > POOR_SHARE * len(weights)
        ):
            break
        sample = _extend(_learn(sample, weights, rng), plan.points, threads)
        weights, k = sample.weights()
    return _resample(density, sample, weights, k, n, rng)


def _resample(
    density: TargetDensity,
    sample: _Sample,
    weights: Float,
    k: float,
    n: int,
    rng: np.random.Generator,
) -> Weighted:
    """Draw from the weighted points, and what was integrated out at each."""
    chosen, spread = resample(weights, n, rng)
    points, numbers = np.unique(chosen, return_inverse=True)
    found: Any = sample.found
    x, _ = sample.coordinates.unconstrained(sample.z[chosen])
    whole, logp = sample.density.complete(x, found.take(chosen), rng)
    return Weighted(
        natural_values(density, whole),
        logp,
        found.take(chosen).moments,
        numbers,
        found.take(points).cross,
        Weights(k, spread, len(weights)),
    )


def _learn_proposal(
    density: TargetDensity, start: Float, plan: Plan, rng: np.random.Generator, threads: int
) -> _Sample:
    """Return points whose last proposal covers the density, if one is found."""
    sample = _extend(_at_mode(density, start, rng, threads), plan.first, threads)
    before = 0.0
    for _ in range(plan.rounds):
        weights, k = sample.weights()
        size = 1.0 / np.sum(weights**2)
        in_pilot = size * plan.pilot / len(weights)
        hopeless = size < min(LEARNABLE, 2 * before) or in_pilot < _learnable(sample)
        if hopeless or (k < plan.good_k and size > GOOD_SHARE * len(weights)):
            break
        before = size
        if len(weights) < plan.pilot:
            sample = _extend(sample, plan.pilot - len(weights), threads)
            weights, _ = sample.weights()
        sample = _extend(_learn(sample, weights, rng), plan.pilot, threads)
    return sample


def _at_mode(
    density: TargetDensity, start: Float, rng: np.random.Generator, threads: int
) -> _Sample:
    """Return no points, and the proposal with the mode of the density and its curvature."""
    mode, covariance = find_mode(density, start, threads)
    of_points = density.points_about(mode)
    forms = of_points.forms
    center, root = forms @ mode, np.linalg.cholesky(forms @ covariance @ forms.T)
    coordinates = HalfT(of_points.spreads, center[of_points.spreads])
    z, slope = coordinates.at_center(center)
    proposal = Proposal(z, root / slope[:, None], of_points.spreads, rng)
    nothing = np.empty((0, len(z))), np.empty(0)
    return _Sample(of_points, coordinates, [proposal], [0], *nothing, None)


def _learnable(sample: _Sample) -> float:
    """Return how many points must count for a proposal to be learned from.

    In few dimensions weights can be flattened. In many k would not tell what they miss.
    """
    d = sample.z.shape[1]
    return LEARNABLE * d if d > FLATTENED else 0.0


def _learn(sample: _Sample, weights: Float, rng: np.random.Generator) -> _Sample:
    """Add the proposal that has the mean and covariance of the weighted points.

    Where too few of them count, weights are flattened: their powers are those of a wider
    distribution between the proposals and the posterior, which the next round starts from.
    """
    n, d = sample.z.shape
    wanted = min(LEARNABLE * d, 0.5 * n)
    # Weights that are zero, as too small for a double, would stay so.
    weights = np.maximum(weights, np.finfo(float).tiny)
    while 1.0 / np.sum(weights**2) < wanted:
        weights = weights**FLATTER
        weights = weights / weights.sum()
    center = weights @ sample.z
    residual = (sample.z - center) * np.sqrt(weights)[:, None]
    proposal = Proposal(
        center, np.linalg.qr(residual, mode="r").T, sample.coordinates.positions, rng
    )
    return sample._replace(proposals=[*sample.proposals, proposal], sizes=[*sample.sizes, 0])


def _extend(sample: _Sample, n: int, threads: int) -> _Sample:
    """Add n points of the last proposal."""
    z = sample.proposals[-1].draw(n)
    x, slopes = sample.coordinates.unconstrained(z)
    found = sample.density.evaluate(x, threads)
    logp = found.logp + np.log(slopes).sum(axis=1)
    return sample._replace(
        sizes=[*sample.sizes[:-1], sample.sizes[-1] + n],
        z=np.concatenate([sample.z, z]),
        logp=np.concatenate([sample.logp, logp]),
        found=found if sample.found is None else sample.found.join(found),
    )
