"""Distribution functions, quantiles and ranked probability scores of mixtures of counts.

Probabilities of successive counts follow from each other (`Family.panjer`), for all components
at once, at a nanosecond or so each: `CountDistribution` sums them up. Where counts range over
many thousands it is evaluated where it is needed, by the distribution functions of the
components.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from skhbm._families.family import Family
    from skhbm._types import Float

__all__ = ["CountDistribution"]

#: After so many counts probabilities are computed afresh, so that those which underflow return.
CHUNK = 64
#: From more counts on the distribution function is evaluated at some of them.
MOST = 8192
#: Rounding of probabilities that are compared.
NEGLIGIBLE = 1e-12
#: Where the distribution function is this near one, the rest adds nothing to a score.
ENOUGH = 1.0 - 1e-9
#: So many counts, between which the distribution function of a wide range is taken for linear.
KNOTS = 256
#: The largest count that is looked for.
LARGEST = 2.0**62


class CountDistribution:
    """The equal mixture of the distributions of a count, over components.

    Parameters
    ----------
    family : Family
        Of counts.
    size : float
        Trials or exposure of the row.
    eta : ndarray of shape (n_components,)
        Linear predictors.
    dispersion : tuple of ndarray of shape (n_components,)
    """

    def __init__(
        self, family: Family, size: float, eta: Float, dispersion: tuple[Float, ...]
    ) -> None:
        self.family, self.size, self.eta, self.dispersion = family, size, eta, dispersion
        self.expected = family.mean(size, eta, dispersion) + np.zeros_like(eta)
        self.spread = np.sqrt(family.variance(size, eta, dispersion))
        lowest = np.floor(np.min(self.expected - 12.0 * self.spread) - 30.0)
        #: The probability of less than this count is negligible.
        self.first = float(max(0.0, lowest))
        self._wide = float(np.median(self.expected)) - self.first > MOST
        self._below = np.empty(0)

    def at(self, count: float) -> float:
        """Return the probability of no more than a count, by the family's function."""
        return float(np.mean(self.family.cdf(count, self.size, self.eta, self.dispersion)))

    def cdf(self, y: float) -> float:
        """Return the probability of no more than y."""
        count = float(np.floor(y)) - self.first
        if count < 0:
            return 0.0
        if count < MOST and self._tabulate(ENOUGH, count):
            return float(self._below[min(int(count), len(self._below) - 1)])
        return self.at(y)

    def quantiles(self, probabilities: Float) -> Float:
        """Return the least counts whose distribution function reaches the probabilities."""
        wanted = probabilities - NEGLIGIBLE
        self._tabulate(float(np.max(wanted)))
        where = np.searchsorted(self._below, wanted)
        out = self.first + where.astype(float)
        for k in np.flatnonzero(where == len(self._below)):
            out[k] = self._search(wanted[k])
        return out

    def ranked_score(self, y: float) -> float:
        """Return sum_k (F(k) - 1{k >= y})^2.

        It is the continuous ranked probability score of a count (Czado, Gneiting & Held 2009,
        https://doi.org/10.1111/j.1541-0420.2009.01191.x).
        """
        if not self._tabulate(ENOUGH):
            return self._wide_score(y)
        counts = self.first + np.arange(len(self._below))
        inside = float(np.sum((self._below - (counts >= y)) ** 2))
        return inside + max(self.first - y, 0.0) + max(y - 1.0 - counts[-1], 0.0)

    def _tabulate(self, probability: float, count: float = np.inf) -> bool:
        """Sum up until a probability, or a count from the first, is reached, if it can be."""
        while len(self._below) <= count and not (
            len(self._below) and self._below[-1] >= probability
        ):
            if self._wide or len(self._below) >= MOST:
                return False
            self._extend()
        return True

    def _extend(self) -> None:
        """Sum up some more counts."""
        from skhbm._prediction.count_lanes import LANES, successive

        family, size = self.family, self.size
        start, n = self.first + len(self._below), len(self.eta)
        assert family.panjer is not None
        log_p = family.log_density(
            min(start, size) if family.link == "logit" else start,
            size,
            self.eta,
            self.dispersion,
        )
        columns = (np.exp(log_p), *family.panjer(size, self.eta, self.dispersion))
        lanes = np.zeros((3, -(-n // LANES) * LANES))
        for lane, column in zip(lanes, columns, strict=True):
            lane[:n] = column
        current, a, b = lanes.reshape(3, -1, LANES)
        some = CHUNK
        if family.link == "logit":
            some = int(min(CHUNK, size - start + 1.0))
        p = successive(current, a, b, start, some, n)
        before = self._below[-1] if len(self._below) else 0.0
        below = np.minimum(before + np.cumsum(p), 1.0)
        if family.link == "logit" and start + some > size:
            below[-1] = 1.0
        self._below = np.concatenate([self._below, below])

    def _search(self, probability: float) -> float:
        """Return the least count whose distribution function reaches a probability."""
        low, high = self.first - 1.0, max(2.0 * self.first, 1.0)
        while self.at(high) < probability and high < LARGEST:
            low, high = high, 2.0 * high
        while high - low > 1.0:
            middle = np.floor(0.5 * (low + high))
            if middle in (low, high):
                break
            if self.at(middle) < probability:
                low = middle
            else:
                high = middle
        return float(high)

    def _wide_score(self, y: float) -> float:
        """Return the ranked probability score of a wide range of counts."""
        near = self.expected + self.spread * np.linspace(-4.0, 4.0, 9)[:, None]
        ends = np.quantile(near, np.linspace(0.0, 1.0, KNOTS))
        last = 2.0 * ends[-1]
        while self.at(last) < ENOUGH and last < LARGEST:
            last *= 2.0
        knots = np.concatenate([ends, np.geomspace(ends[-1], last, KNOTS // 8), [y - 1.0, y]])
        knots = np.unique(np.floor(np.concatenate([[self.first - 1.0], knots])))
        knots = knots[knots >= self.first - 1.0]
        below = np.array([self.at(k) for k in knots]) - (knots >= y)
        width, left, right = np.diff(knots), below[:-1], below[1:]
        # The sum over k of the squares of what is linear between two knots, the left one in.
        slope = (right - left) / width
        n1, n2 = width * (width - 1) / 2, width * (width - 1) * (2 * width - 1) / 6
        total = np.sum(width * left**2 + 2 * left * slope * n1 + slope**2 * n2)
        return float(total + max(self.first - y, 0.0))
