"""The methods of an estimator that predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skhbm._estimators.normal_answers import NormalAnswers
from skhbm._inputs.arrays import as_target, as_weights
from skhbm._inputs.new_rows import read_new_rows, read_observed
from skhbm._inputs.order import warn_of_observed_order
from skhbm._inputs.parameters import (
    as_count,
    as_probabilities,
    as_probability,
    as_random_state,
    has_noise,
)
from skhbm._inputs.third_argument import warns_of_weights
from skhbm._prediction import predictive

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from skhbm._types import Float


__all__ = ["Predicting"]


class Predicting(NormalAnswers):
    """Predictions of new rows by a fitted estimator."""

    def predict(
        self,
        X: ArrayLike | None,
        groups: Any = None,
        return_std: bool = False,
        return_cov: bool = False,
        *,
        kind: str = "response",
    ) -> Any:
        """Predict the target: posterior predictive mean, and its uncertainty if asked for.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or None
            As in :meth:`fit`.
        groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
            Labels; `new_groups` decides about those that were not seen or are missing. Of
            several factors a data frame or dict may have some only: the others are missing.
        return_std : bool, default=False
            Whether to return the standard deviation of each row: residual noise, spread
            between groups and the uncertainty of all parameters.
        return_cov : bool, default=False
            Whether to return the joint covariance of the rows.
        kind : {"response", "mean"}, default="response"
            Whether the uncertainty is that of y, or of its expectation given its group: the
            same without residual noise. For a new or missing group the spread between groups
            is in both. The mean is the same. With known errors there is no residual noise to
            leave out, and no difference.

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
        """
        with_noise = has_noise(kind)
        if return_std and return_cov:
            msg = "At most one of `return_std` and `return_cov` can be requested."
            raise ValueError(msg)
        rows = read_new_rows(self, X, groups)
        moments = self._moments(rows.codes())
        mean, std = predictive.moments(
            self._posterior, moments, rows, with_sd=return_std, with_noise=with_noise
        )
        if return_cov:
            return mean, predictive.covariance(self._posterior, rows, with_noise=with_noise)
        return (mean, std) if return_std else mean

    def predict_interval(
        self,
        X: ArrayLike | None,
        groups: Any = None,
        coverage: Any = 0.9,
        *,
        kind: str = "response",
    ) -> Float:
        """Predict equal-tailed intervals of the posterior predictive distribution.

        Parameters
        ----------
        X, groups
            As in :meth:`predict`.
        coverage : float, default=0.9
            Probability that y is inside, or its expectation.
        kind : {"response", "mean"}, default="response"
            Whether intervals are of y, or of its expectation given its group, as in
            :meth:`predict`.

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
        return self.predict_quantiles(X, groups, quantiles=(tail, 1 - tail), kind=kind)

    def predict_quantiles(
        self,
        X: ArrayLike | None,
        groups: Any = None,
        quantiles: ArrayLike = (0.05, 0.25, 0.5, 0.75, 0.95),
        *,
        kind: str = "response",
    ) -> Float:
        """Predict quantiles of the posterior predictive distribution.

        The distribution is the mixture, over draws, of the normals that y, or its expectation,
        has given each draw.

        Parameters
        ----------
        X, groups
            As in :meth:`predict`.
        quantiles : array-like of shape (n_quantiles,)
            Probabilities.
        kind : {"response", "mean"}, default="response"
            Whether quantiles are of y, or of its expectation given its group, as in
            :meth:`predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_quantiles)
            In units of y.

        Raises
        ------
        ValueError
            If a probability is not in (0, 1), or there is no such `kind`.
        """
        with_noise = has_noise(kind)
        rows = read_new_rows(self, X, groups)
        probabilities = as_probabilities(quantiles, "quantiles")
        return predictive.quantiles(self._posterior, rows, probabilities, with_noise=with_noise)

    def sample_y(
        self,
        X: ArrayLike | None,
        groups: Any = None,
        n_samples: Any = 1,
        random_state: Any = 0,
        *,
        kind: str = "response",
    ) -> Float:
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
            :meth:`predict`. For one seed they differ by the residual noise alone.

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
        return predictive.samples(self._posterior, rows, count, rng, with_noise=with_noise)

    def log_predictive_density(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        y_err: ArrayLike | None = None,
    ) -> Float:
        """Return the log posterior predictive density of each row's target.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or None
            As in :meth:`predict`.
        y : array-like of shape (n_samples,)
            Target.
        groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
            As in :meth:`predict`.
        y_err : array-like of shape (n_samples,), default=None
            Known standard errors of y, if ``residual_scale="known"``. Without them y are
            taken for values of the linear predictor itself.

        Returns
        -------
        ndarray of shape (n_samples,)
            Natural logarithms of densities per unit of y, row by row.

        Raises
        ------
        ValueError
            If X and y differ in length, or `y_err` has no place.
        """
        rows = read_new_rows(self, X, groups)
        warn_of_observed_order(X, groups, y=y, y_err=y_err)
        target, errors = read_observed(self, len(rows), y, y_err)
        return predictive.log_density(self._posterior, rows, target, errors)

    @warns_of_weights
    def score(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the coefficient of determination R^2 of the predictive mean.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or None
            As in :meth:`predict`.
        y : array-like of shape (n_samples,)
            Target.
        groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
            As in :meth:`predict`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            1 is perfect, 0 as good as the mean of y.
        """
        from sklearn.metrics import r2_score

        warn_of_observed_order(X, groups, y=y, sample_weight=sample_weight)
        predicted, target = self.predict(X, groups), as_target(y, self)
        weights = as_weights(sample_weight, len(target))
        return float(r2_score(target, predicted, sample_weight=weights))
