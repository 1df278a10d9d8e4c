"""The methods of an estimator of another response that predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._estimators.named_size import sizes_of
from skhbm._estimators.response_answers import ResponseAnswers
from skhbm._inputs.new_rows import read_new_rows, read_observed
from skhbm._inputs.order import warn_of_observed_order
from skhbm._inputs.parameters import (
    as_count,
    as_probabilities,
    as_probability,
    as_random_state,
    has_noise,
)
from skhbm._inputs.response import warn_if_not_whole
from skhbm._prediction.response_rows import warn_of_infinite_means
from skhbm._prediction.response_samples import covariance, samples

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from skhbm._types import Float

__all__ = ["ResponsePredicting"]


class ResponsePredicting(ResponseAnswers):
    """Predictions of new rows by a fitted estimator of another response."""

    def predict(
        self,
        X: ArrayLike | None,
        groups: Any = None,
        return_std: bool = False,
        return_cov: bool = False,
        *,
        kind: str = "response",
        **size: Any,
    ) -> Any:
        """Predict the target: posterior predictive mean, and its uncertainty if asked for.

        The mean of a row of a new group is averaged over the effects that the group may have:
        it is not the mean of a group without effect.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or None
            As in :meth:`fit`.
        groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
            Labels; `new_groups` decides about those that were not seen or are missing. Of
            several factors a data frame or dict may have some only: the others are missing.
        return_std : bool, default=False
            Whether to return the standard deviation of each row: that of the distribution of
            the response, spread between groups and the uncertainty of all parameters.
        return_cov : bool, default=False
            Whether to return the joint covariance of the rows.
        kind : {"response", "mean"}, default="response"
            Whether the uncertainty is that of y, or of its expectation given its group. For a
            new or missing group the spread between groups is in both. The mean is the same.
        **size : dict of array-like
            SIZE

        Returns
        -------
        mean : ndarray of shape (n_samples,)
            In units of y.
        std : ndarray of shape (n_samples,)
            Only if `return_std`.
        cov : ndarray of shape (n_samples, n_samples)
            Only if `return_cov`.

        Raises
        ------
        NotFittedError
            Before fit.
        ValueError
            If both are asked for, there is no such `kind`, or the rows are not like those of
            fit.

        Warns
        -----
        DataWarning
            If a mean, or a standard deviation that is asked for, does not exist: that of the
            rate of a new group, under the prior of tau.
        """
        return self._predict(X, groups, return_std, return_cov, kind, size)

    def _predict(
        self,
        X: Any,
        groups: Any,
        return_std: bool,
        return_cov: bool,
        kind: str,
        size: dict[str, Any],
    ) -> Any:
        with_noise = has_noise(kind)
        if return_std and return_cov:
            msg = "At most one of `return_std` and `return_cov` can be requested."
            raise ValueError(msg)
        rows = read_new_rows(self, X, groups)
        sizes = sizes_of(self, size, len(rows))
        design, with_sd = self._posterior.design, return_std or return_cov
        warn_of_infinite_means(design, self._priors, rows, with_sd=with_sd)
        mean, std = self._predictive(rows, sizes).moments(with_noise=with_noise)
        if return_cov:
            cov = covariance(self._effects(), rows, sizes, with_noise=with_noise)
            # The variances of rows are known better than from joint draws.
            np.fill_diagonal(cov, std**2)
            return mean, cov
        return (mean, std) if return_std else mean

    def predict_interval(
        self,
        X: ArrayLike | None,
        groups: Any = None,
        coverage: Any = 0.9,
        *,
        kind: str = "response",
        **size: Any,
    ) -> Float:
        """Predict equal-tailed intervals of the posterior predictive distribution.

        Parameters
        ----------
        X, groups
            As in :meth:`predict`.
        coverage : float, default=0.9
            Probability that y is inside, or its expectation; of whole numbers at least that.
        kind : {"response", "mean"}, default="response"
            Whether intervals are of y, or of its expectation given its group, as in
            :meth:`predict`.
        **size : dict of array-like
            SIZE

        Returns
        -------
        ndarray of shape (n_samples, 2)
            Lower and upper bounds, in units of y.

        Raises
        ------
        ValueError
            If `coverage` is not in (0, 1), or there is no such `kind`.
        """
        tail = (1 - as_probability(coverage, "coverage")) / 2
        return self._quantiles(X, groups, (tail, 1 - tail), kind, size)

    def predict_quantiles(
        self,
        X: ArrayLike | None,
        groups: Any = None,
        quantiles: ArrayLike = (0.05, 0.25, 0.5, 0.75, 0.95),
        *,
        kind: str = "response",
        **size: Any,
    ) -> Float:
        """Predict quantiles of the posterior predictive distribution.

        The distribution is the mixture, over draws, of those that y, or its expectation, has
        given each draw. Quantiles of counts are whole numbers: the least that is not exceeded
        with the probability.

        Parameters
        ----------
        X, groups
            As in :meth:`predict`.
        quantiles : array-like of shape (n_quantiles,)
            Probabilities.
        kind : {"response", "mean"}, default="response"
            Whether quantiles are of y, or of its expectation given its group, as in
            :meth:`predict`.
        **size : dict of array-like
            SIZE

        Returns
        -------
        ndarray of shape (n_samples, n_quantiles)
            In units of y.

        Raises
        ------
        ValueError
            If a probability is not in (0, 1), or there is no such `kind`.
        """
        return self._quantiles(X, groups, quantiles, kind, size)

    def _quantiles(
        self, X: Any, groups: Any, quantiles: Any, kind: str, size: dict[str, Any]
    ) -> Float:
        with_noise = has_noise(kind)
        rows = read_new_rows(self, X, groups)
        sizes = sizes_of(self, size, len(rows))
        probabilities = as_probabilities(quantiles, "quantiles")
        predictive = self._predictive(rows, sizes)
        return predictive.quantiles(probabilities, with_noise=with_noise)

    def sample_y(
        self,
        X: ArrayLike | None,
        groups: Any = None,
        n_samples: Any = 1,
        random_state: Any = 0,
        *,
        kind: str = "response",
        **size: Any,
    ) -> Any:
        """Draw from the joint posterior predictive distribution of the rows.

        Parameters
        ----------
        X, groups
            As in :meth:`predict`.
        n_samples : int, default=1
            Number of draws per row.
        random_state : int, RandomState instance or None, default=0
            Seed.
        kind : {"response", "mean"}, default="response"
            Whether draws are of y, or of its expectation given its group, as in
            :meth:`predict`.
        **size : dict of array-like
            SIZE

        Returns
        -------
        ndarray of shape (n_samples_X, n_samples)
            In units of y. Rows of one group share its effects in each draw, those of a label
            that was not seen too.

        Raises
        ------
        ValueError
            If `n_samples` is not a positive integer, or there is no such `kind`.
        """
        with_noise = has_noise(kind)
        rows = read_new_rows(self, X, groups)
        count = as_count(n_samples, "n_samples")
        rng = as_random_state(random_state)
        sizes = sizes_of(self, size, len(rows))
        return samples(self._effects(), rows, sizes, count, rng, with_noise=with_noise)

    def log_predictive_density(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        **size: Any,
    ) -> Float:
        """Return the log posterior predictive density, or probability, of each row's target.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or None
            As in :meth:`predict`.
        y : array-like of shape (n_samples,)
            Target.
        groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
            As in :meth:`predict`.
        **size : dict of array-like
            SIZE

        Returns
        -------
        ndarray of shape (n_samples,)
            Natural logarithms, row by row.

        Raises
        ------
        ValueError
            If X and y differ in length, or y is nothing that the response can be.
        """
        rows = read_new_rows(self, X, groups)
        warn_of_observed_order(X, groups, y=y, **size)
        target, _ = read_observed(self, len(rows), self._encoded(y), None)
        sizes = sizes_of(self, size, len(rows), observed=True)
        self._family.check_target(target, sizes)
        if self._family.discrete:
            warn_if_not_whole(target)
        return self._predictive(rows, sizes).log_density(target)
