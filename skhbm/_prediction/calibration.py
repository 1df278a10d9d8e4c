"""Probability integral transforms, and how far from uniform chance alone takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import bdtr, bdtrc, ndtr
from scipy.stats import binom

from skhbm._prediction.predictive import at_targets

if TYPE_CHECKING:
    from skhbm._inputs.rows import Rows
    from skhbm._posterior.posterior import Posterior
    from skhbm._types import Float, Int


__all__ = [
    "NOMINAL",
    "band",
    "central_coverage",
    "distribution",
    "reliability",
    "share_below",
    "simulated_tails",
    "tail",
]

#: Probabilities at which calibration is looked at.
NOMINAL = np.arange(1, 100) / 100
#: Number of simulated samples of uniform numbers, and the most numbers in a sample.
N_SIMULATIONS, LARGEST = 1000, 10_000


def distribution(
    posterior: Posterior, rows: Rows, y: Float, errors: Float | None = None
) -> Float:
    """Return the predictive probability (n,) of a target below y, which may have known errors.

    That is the distribution function of the mixture over draws at y, and is called the
    probability integral transform of y.
    """

    def below(mean: Float, sd: Float, standard: Float) -> Float:
        return np.asarray(ndtr((standard[:, None] - mean) / sd).mean(axis=1))

    return at_targets(below, posterior, rows, y, errors)


def share_below(values: Float, points: Float) -> Float:
    """Return the share of values at or below each point."""
    return np.searchsorted(np.sort(values), points, side="right") / len(values)


def central_coverage(y: Float, bounds: Float, probabilities: Float) -> tuple[Float, Float]:
    """Return the nominal and the observed coverage of central intervals.

    bounds (n, n_quantiles) are quantiles of each y at the probabilities, which are sorted and
    symmetric about 1/2. If the median is among them, it bounds no interval.
    """
    half = len(probabilities) // 2
    lower, upper = bounds[:, :half][:, ::-1], bounds[:, -half:]
    inside = (y[:, None] >= lower) & (y[:, None] <= upper)
    nominal = probabilities[-half:] - probabilities[:half][::-1]
    return nominal, inside.mean(axis=0)


def reliability(
    probabilities: Float, events: Float, trials: Float, n_bins: int, probability: float
) -> tuple[Float, Float, Float, Float]:
    """Return mean probabilities of bins, shares of events, and bounds of calibrated shares.

    Rows (n,) are put into bins of about equal numbers of trials, in the order of their
    probabilities; equal ones into the same bin. The shares of all bins are within the bounds,
    which are quantiles of binomial distributions (Bröcker & Smith 2007,
    https://doi.org/10.1175/WAF993.1), at once with at least the given probability.
    """
    order = np.argsort(probabilities, kind="stable")
    values, first = np.unique(probabilities[order], return_index=True)
    n = np.add.reduceat(trials[order], first)
    happened = np.add.reduceat(events[order], first)
    middle = (np.cumsum(n) - 0.5 * n) / n.sum()
    _, bins = np.unique(np.floor(middle * n_bins), return_inverse=True)
    total = np.bincount(bins, n)
    nominal = np.bincount(bins, n * values) / total
    observed = np.bincount(bins, happened) / total
    outside = 1.0 - probability ** (1.0 / len(total))
    lower, upper = (
        binom.ppf(share, np.rint(total), nominal) / np.rint(total)
        for share in (outside / 2.0, 1.0 - outside / 2.0)
    )
    return nominal, observed, lower, upper


def tail(counts: Int, n: int, points: Float) -> Float:
    """Return how far out counts (..., n_points) below the points are, at the worst point.

    That is twice the binomial probability of a count as small or as great, the least over
    points: gamma in section 2.2 of Säilynoja, Bürkner & Vehtari (2022).
    """
    below = bdtr(counts, n, points)
    above = np.where(counts > 0, bdtrc(np.maximum(counts - 1, 0), n, points), 1.0)
    return 2 * np.minimum(below, above).min(axis=-1)


def simulated_tails(n: int, points: Float, n_simulations: int) -> Float:
    """Return `tail` of as many samples (n_simulations,) of n independent uniform numbers.

    ArviZ's simulation drops the upper tails of a sample with no number below some point,
    and its bands of few numbers are too narrow: a band for 50 % of 20 numbers held 27 %.
    """
    rng = np.random.default_rng(0)
    shares = np.diff(points, prepend=0, append=1)
    counts = rng.multinomial(n, shares, size=n_simulations)[:, :-1].cumsum(axis=1)
    return tail(counts, n, points)


def band(n: int, points: Float, probability: float) -> tuple[Float, Float]:
    """Return bounds of the share below each point of n independent uniform numbers.

    The shares at all points are within them at once with the given probability. The bounds
    are quantiles of binomial distributions, at a level found by simulation (Säilynoja, Bürkner
    & Vehtari 2022, section 2.2). No more than 10,000 numbers are simulated, as the level hardly
    changes beyond.
    """
    from arviz_stats.ecdf_utils import get_pointwise_confidence_band

    tails = simulated_tails(min(n, LARGEST), points, N_SIMULATIONS)
    level = np.quantile(tails, 1 - probability, method="lower")
    lower, upper = get_pointwise_confidence_band(1 - level, n, points)
    return lower, upper
