"""The methods of an estimator of a normal response that fit it to rows, or add rows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from skhbm._design.specification import terms_of_names
from skhbm._estimators.base import BaseHierarchicalEstimator
from skhbm._estimators.given_statistics import check_statistics
from skhbm._inputs.fit_rows import read_fit_rows
from skhbm._inputs.new_rows import read_more_rows
from skhbm._inputs.parameters import check_parameters
from skhbm._inputs.response import warn_if_not_normal
from skhbm._inputs.third_argument import warns_of_weights
from skhbm._statistics.grouped import statistics_of_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from skhbm._comparison.conditioning import Origin
    from skhbm._statistics.grouped import GroupedStatistics

__all__ = ["Fitting"]


class Fitting(BaseHierarchicalEstimator):
    """Fits of an estimator to rows, which are reduced to their statistics."""

    @warns_of_weights
    def fit(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        sample_weight: ArrayLike | None = None,
        y_err: ArrayLike | None = None,
    ) -> Self:
        """Sample the posterior given the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or None
            Features, and the group column if `group_features` names one. None fits
            intercepts only.
        y : array-like of shape (n_samples,)
            Target.
        groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
            Group labels of any hashable kind, unless they are columns of X: one grouping
            factor, or several as columns of an array or data frame or entries of a dict.
            Give it by name: other estimators have `sample_weight` in this place, and a third
            argument of numbers that could be weights is warned of.
        sample_weight : array-like of shape (n_samples,), default=None
            Frequencies: a weight of 2 is the row twice, and their sum is taken for the number
            of rows.
        y_err : array-like of shape (n_samples,), default=None
            Known standard errors of y, if ``residual_scale="known"``.

        Returns
        -------
        HierarchicalNormalRegressor
            The fitted estimator. If the fit fails or is interrupted, it is as it was before.

        Raises
        ------
        TypeError, ValueError
            If a parameter or the data cannot be used; the message says what to do.
        """
        return self._fit_rows((X, y, groups, sample_weight, y_err))

    @warns_of_weights
    def partial_fit(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        sample_weight: ArrayLike | None = None,
        y_err: ArrayLike | None = None,
    ) -> Self:
        """Merge more rows with those of earlier fits and sample the posterior of all.

        The posterior is that of one fit on all rows, whatever the batches and their order: rows
        are kept as :class:`GroupedStatistics`, which add exactly. The first call is a fit,
        except that it warns of variances which its rows cannot tell, and does not fail.

        Parameters
        ----------
        X, y, groups, sample_weight, y_err
            As in :meth:`fit`; groups may be new.

        Returns
        -------
        HierarchicalNormalRegressor
            The fitted estimator. If the fit fails or is interrupted, it is as it was before.

        Raises
        ------
        TypeError, ValueError
            If the data cannot be used, or are not of the features and factors of the fit.
        """
        return self._add_rows((X, y, groups, sample_weight, y_err))

    def fit_statistics(self, statistics: GroupedStatistics) -> Self:
        """Sample the posterior given the statistics of the rows.

        Parameters
        ----------
        statistics : GroupedStatistics
            From :meth:`GroupedStatistics.from_arrays`, merged with ``+``.

        Returns
        -------
        HierarchicalNormalRegressor
            The fitted estimator, the same as by :meth:`fit` on the rows.

        Raises
        ------
        TypeError, ValueError
            If a parameter or the statistics cannot be used.
        """
        started = time.perf_counter()
        check_parameters(self)
        fitted = self._unfitted_copy()
        check_statistics(fitted, statistics)
        return self._fit(fitted, statistics, started, {})

    def condition_on(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        y_err: ArrayLike | None = None,
    ) -> Self:
        """Return a new estimator that knows more rows, without sampling again.

        The posterior draws are weighted by the density of the rows, group effects
        integrated out, and resampled: Pareto-smoothed importance sampling [1]_. For a few
        rows of a new group, or more rows of a group of the fit. Repeated conditioning is as
        good as conditioning once on all the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or None
            As in :meth:`predict`. The rows must be new, not rows of fit.
        y : array-like of shape (n_samples,)
            Target.
        groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
            Labels of groups of the fit, of new ones, or both.
        y_err : array-like of shape (n_samples,), default=None
            Known standard errors of y, if ``residual_scale="known"``.

        Returns
        -------
        HierarchicalNormalRegressor
            Fitted to the rows of this estimator, which stays as it is, and the given ones.
            Its ``diagnostics_["pareto_k"]`` says how reliable the weights are,
            ``diagnostics_["min_ess"]`` is that of the fit times the efficiency of the weights.

        Raises
        ------
        NotFittedError
            Before fit.
        ValueError
            If the rows are not like those of fit, or labels are missing.

        Warns
        -----
        ConvergenceWarning
            If Pareto k is above 0.7 (less if there are fewer than 2200 draws).

        Notes
        -----
        Default priors stay those of the fit, scaled by its rows. With
        ``residual_scale="by_group"`` a new group's scale is drawn from its
        conditional distribution given each draw, in 32 candidates. With several factors all
        effects and the coefficients with normal priors are integrated out of the weights, and
        drawn anew.

        References
        ----------
        .. [1] A. Vehtari, D. Simpson, A. Gelman, Y. Yao and J. Gabry (2024). Pareto
           smoothed importance sampling. Journal of Machine Learning Research 25(72), 1-58.
           https://jmlr.org/papers/v25/19-556.html
        """
        started = time.perf_counter()
        new = statistics_of_rows(read_more_rows(self, X, y, groups, y_err))
        from skhbm._comparison.conditioning import condition

        def weigh(origin: Origin) -> tuple[Origin, GroupedStatistics]:
            return condition(origin, self._statistics, new, self._priors)

        return self._conditioned(weigh, started)

    def _reduce(self, fitted: Self, rows: Any, before: Any = None) -> GroupedStatistics:
        X, y, groups, sample_weight, y_err = rows
        factors = None if before is None else before.factors
        read = read_fit_rows(fitted, X, y, groups, sample_weight, y_err, factors)
        names = ["group" if name is None else name for name, _ in read.factors]
        if before is None:
            # Mistakes that names alone show are refused before rows are summed.
            terms_of_names(fitted, names, known_errors=read.errors is not None)
        if names:
            # A fit without groups is warned of as such, which comes first.
            warn_if_not_normal(read.y)
        return statistics_of_rows(read)
