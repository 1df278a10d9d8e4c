"""The methods of an estimator to compare models by: cross-validation by its draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._comparison.rows_of_fit import read_rows_again
from skhbm._estimators.left_out import left_out_factor
from skhbm._estimators.normal_answers import NormalAnswers
from skhbm._posterior.nodes import condensed_for_ratios

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import ArrayLike

__all__ = ["Comparing"]


class Comparing(NormalAnswers):
    """Densities of rows and of groups that are left out."""

    def loo(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        unit: str = "row",
        y_err: ArrayLike | None = None,
    ) -> Any:
        """Estimate the expected log predictive density of rows or groups that are left out.

        Leave-one-out cross-validation by Pareto-smoothed importance sampling [1]_, without
        fitting again. The group effects are integrated out of the densities, which makes it
        more reliable than with their draws [2]_.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or None
            The rows of fit, in any order. A row of weight 2 must come twice.
        y : array-like of shape (n_samples,)
            Their target.
        groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
            Their labels.
        unit : {"row", "group"} or str, default="row"
            What is left out: one row, predicted from all others, those of its group too; or
            one group, predicted from the other groups. With several factors "group" is a group
            of the first one; name another whose groups are to be left out.
        y_err : array-like of shape (n_samples,), default=None
            Their known standard errors, if ``residual_scale="known"``.

        Returns
        -------
        ELPDData
            ArviZ's, in natural logarithms of densities per unit of y, with pointwise
            values. Its `p`, the effective number of parameters, is the log density of the
            posterior predictive distribution, of each unit that is not left out, minus
            `elpd`.

        Raises
        ------
        NotFittedError
            Before fit.
        ValueError
            If the rows are not those of fit, or `unit` is "group" in a model without groups.

        Warns
        -----
        UserWarning
            If a Pareto k is above the threshold of reliability.

        Notes
        -----
        Default priors, which are scaled by the data, stay as they are when a unit is left
        out. With ``residual_scale="by_group"`` a group that is left out takes its residual
        scale with it: under the default prior that is integrated out, under an explicit one
        Pareto k tends to be high. With several factors ratios come from some of the draws, a
        thousand at most, with the coefficients integrated out of them.

        References
        ----------
        .. [1] A. Vehtari, A. Gelman and J. Gabry (2017). Practical Bayesian model
           evaluation using leave-one-out cross-validation and WAIC. Statistics and
           Computing 27, 1413-1432. https://doi.org/10.1007/s11222-016-9696-4
        .. [2] E. C. Merkle, D. Furr and S. Rabe-Hesketh (2019). Bayesian comparison of latent
           variable models: conditional versus marginal likelihoods. Psychometrika 84,
           802-829. https://doi.org/10.1007/s11336-019-09679-0
        """
        factor = left_out_factor(self, unit)
        rows, target, errors = read_rows_again(self, X, y, groups, y_err)
        from skhbm._comparison import loo

        statistics = self._statistics
        posterior = condensed_for_ratios(self._posterior, len(rows))
        efficiency = self.diagnostics_["min_ess"] / posterior.n_draws
        if factor is None:
            units = loo.left_out_rows(posterior, rows, target, errors)
            dim, names = "row", np.arange(len(rows))
        else:
            units = loo.left_out_groups(posterior, statistics, factor, rows, errors)
            dim, names = statistics.factors[factor].name, statistics.factors[factor].labels
        return loo.make_elpd(units, posterior.n_draws, dim, names, efficiency)

    def log_likelihood(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        unit: str = "row",
        y_err: ArrayLike | None = None,
    ) -> xr.DataTree:
        """Add the log likelihood of each draw to `posterior_`, where ArviZ looks for it.

        Parameters
        ----------
        X, y, groups
            As in :meth:`loo`.
        unit : {"row", "group"} or str, default="row"
            Of rows the conditional likelihood, given the draws of the group effects in
            `posterior_`; of groups, as in :meth:`loo`, the marginal one, given the rows of
            other groups, effects integrated out.
        y_err : array-like of shape (n_samples,), default=None
            As in :meth:`loo`.

        Returns
        -------
        DataTree
            `posterior_`, with a variable `y` in its group `log_likelihood`: natural
            logarithms of densities per unit of y, of dimensions chain, draw and row, or the
            grouping factor. It stays there until the next call; a pickle does not keep it.

        Raises
        ------
        NotFittedError
            Before fit.
        ValueError
            As in :meth:`loo`.
        """
        factor = left_out_factor(self, unit)
        rows, target, errors = read_rows_again(self, X, y, groups, y_err)
        from skhbm._comparison import loo
        from skhbm._posterior.datatree import add_log_likelihood

        posterior, statistics = self._posterior, self._statistics
        if factor is None:
            values = loo.conditional_densities(posterior, rows, target, errors)
            dim, names = "row", np.arange(len(rows))
        else:
            values = loo.marginal_densities(posterior, statistics, factor, rows, errors)
            dim, names = statistics.factors[factor].name, statistics.factors[factor].labels
        tree = self.posterior_
        add_log_likelihood(tree, values.T.reshape(*posterior.shape, -1), dim, names)
        return tree
