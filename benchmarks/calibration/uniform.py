"""Whether ranks are uniform: their distribution function against simultaneous bands.

After Säilynoja, Bürkner & Vehtari (2022), https://doi.org/10.1007/s11222-022-10090-6.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from skhbm._prediction.calibration import share_below, simulated_tails, tail

#: Where the distribution function is looked at.
POINTS = np.arange(1, 40) / 40
#: Uniform samples that a p-value compares with: the least that it can be is one in as many.
N_SIMULATIONS = 100_000


def uniform_ranks(ranks, n_draws, seed=0):
    """Return numbers (n,) in (0, 1): uniform, if the ranks (n,) in 0..n_draws are.

    Each is drawn from the interval that its rank stands for, so that no grid is left.
    """
    rng = np.random.default_rng(seed)
    return (np.asarray(ranks) + rng.uniform(size=len(ranks))) / (n_draws + 1)


def p_value(values):
    """Return the probability that as many uniform numbers stray as far from uniform.

    A band of probability 1 - p touches their distribution function.
    """
    n = len(values)
    counts = np.round(n * share_below(np.asarray(values), POINTS)).astype(int)
    simulated = _tails(n)
    return (1 + np.count_nonzero(simulated <= tail(counts, n, POINTS))) / (1 + len(simulated))


@cache
def _tails(n):
    return simulated_tails(n, POINTS, N_SIMULATIONS)


def coverage(inside):
    """Return the mean (3,) of the shares (n, 3) within intervals, and its standard error.

    That is of the spread between data sets: rows of one are not independent.
    """
    inside = np.asarray(inside)
    return inside.mean(axis=0), inside.std(axis=0, ddof=1) / np.sqrt(len(inside))
