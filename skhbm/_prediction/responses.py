"""Posterior predictive distributions of responses that are not normal.

A row's distribution is the equal mixture, over draws, of the family's distributions at its
linear predictor, which is itself normal given a draw where a group was not seen. Rows are
computed in blocks, so that memory does not grow with rows times draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr, ndtri

from skhbm._prediction import mixtures
from skhbm._prediction.count_mixtures import CountDistribution
from skhbm._prediction.response_components import of_row, scale_mixture
from skhbm._prediction.response_densities import log_densities
from skhbm._prediction.response_moments import predictive_moments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skhbm._families.family import Family
    from skhbm._prediction.response_blocks import Block, LinearPredictors
    from skhbm._types import Float

__all__ = ["ResponsePredictive"]

#: A linear predictor without variance in a draw gets a narrow distribution for its quantiles.
NARROWEST = 1e-9
#: Means of a log link are kept from overflow.
LARGEST_ETA = 700.0


@dataclass(frozen=True, slots=True, eq=False)
class ResponsePredictive:
    """The posterior predictive distributions of some rows.

    Parameters
    ----------
    family : Family
        The distribution of y given the linear predictor.
    predictors : LinearPredictors
        Of the rows, in each draw.
    size : ndarray of shape (n,)
        Trials, exposures, or 1.
    dispersion : tuple of ndarray of shape (n_draws,)
        The draws of the family's dispersion parameters.
    """

    family: Family
    predictors: LinearPredictors
    size: Float
    dispersion: tuple[Float, ...]

    def moments(self, *, with_noise: bool = True) -> tuple[Float, Float]:
        """Return means and standard deviations (n,) of y.

        Without noise they are, here and below, of the expectation of y given its groups. The
        standard deviation of a t distribution is infinite if a draw of nu is 2 or less.
        """
        given = self.family, self.predictors, self.size, self.dispersion
        return predictive_moments(*given, with_noise=with_noise)

    def quantiles(self, probabilities: Float, *, with_noise: bool = True) -> Float:
        """Return quantiles (n, n_quantiles): those of counts are whole numbers.

        The quantile of a count is the least that is not exceeded with the probability.
        """
        probabilities = np.asarray(probabilities, dtype=float)
        if not with_noise:
            return self._expectation_quantiles(probabilities)
        if not self.family.discrete:
            scores = ndtri(probabilities)
            return self._of_normals(
                lambda mean, sd, _: mixtures.quantiles(mean, sd, probabilities, scores),
                len(probabilities),
            )
        return self._of_counts(lambda count, _: count.quantiles(probabilities), probabilities)

    def _expectation_quantiles(self, probabilities: Float) -> Float:
        """Return the quantiles of expectations: of the linear predictors, transformed."""
        scores, eta = ndtri(probabilities), np.empty((len(self.size), len(probabilities)))

        def fill(block: Block) -> None:
            mean, variance = block.by_draw()
            eta[block.rows] = np.quantile(mean, probabilities, axis=1).T
            if variance is None:
                return
            new = np.any(variance > 0, axis=1)
            sd = np.sqrt(np.maximum(variance[new], NARROWEST**2))
            eta[block.rows[new]] = mixtures.quantiles(mean[new], sd, probabilities, scores)

        self.predictors.for_each(fill)
        if self.family.link == "log":
            np.minimum(eta, LARGEST_ETA, out=eta)
        size = self.size[:, None] if self.family.size_name else 1.0
        return np.asarray(size * self.family.inverse_link(eta))

    def log_density(self, y: Float) -> Float:
        """Return the log density, or probability, (n,) at y (n,)."""
        out = np.empty(len(y))

        def fill(block: Block) -> None:
            rows = block.rows
            mean, variance = block.by_draw()
            out[rows] = log_densities(
                self.family, mean, variance, y[rows], self.size[rows], self.dispersion
            )

        self.predictors.for_each(fill)
        return out

    def cdf(self, y: Float) -> Float:
        """Return the probability (n,) of no more than y (n,)."""
        if self.family.discrete:
            of_count: Callable[..., Any] = lambda count, i: count.cdf(y[i])  # noqa: E731  # typed
            return self._of_counts(of_count, np.empty(1))[:, 0]
        return self._of_normals(
            lambda mean, sd, rows: ndtr((y[rows, None] - mean) / sd).mean(axis=1)[:, None], 1
        )[:, 0]

    def ranked_score(self, y: Float) -> Float:
        """Return the continuous ranked probability score (n,) at y (n,)."""
        if self.family.discrete:
            of_count: Callable[..., Any] = lambda count, i: count.ranked_score(y[i])  # noqa: E731  # typed
            return self._of_counts(of_count, np.empty(1))[:, 0]
        return self._of_normals(
            lambda mean, sd, rows: mixtures.ranked_scores(mean, sd, y[rows])[:, None], 1
        )[:, 0]

    def _components(self, block: Block) -> Iterator[tuple[int, Float, tuple[Float, ...]]]:
        """Yield the position of each row, with the components of its mixture."""
        mean, variance = block.by_draw()
        for k, i in enumerate(block.rows):
            spread = None if variance is None else variance[k]
            yield i, *of_row(mean[k], spread, self.dispersion)

    def _of_counts(self, function: Callable[..., Any], like: Float) -> Float:
        """Return a function (n, k) of each row's distribution and position."""
        out = np.empty((len(self.size), len(like)))

        def fill(block: Block) -> None:
            for i, eta, dispersion in self._components(block):
                count = CountDistribution(self.family, float(self.size[i]), eta, dispersion)
                out[i] = function(count, i)

        self.predictors.for_each(fill)
        return out

    def _of_normals(self, function: Callable[..., Any], width: int) -> Float:
        """Return a function (n, width) of mean and sd of the normals that make up t's."""
        out = np.empty((len(self.size), width))

        def fill(block: Block) -> None:
            mean, sd = scale_mixture(*block.by_draw(), *self.dispersion)
            out[block.rows] = function(mean, sd, block.rows)

        self.predictors.for_each(fill)
        return out
