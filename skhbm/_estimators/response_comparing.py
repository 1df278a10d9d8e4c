"""The methods of an estimator of another response that leave out rows, or add some."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skhbm._estimators.left_out import left_out_factor
from skhbm._estimators.named_size import sizes_of
from skhbm._estimators.response_answers import ResponseAnswers
from skhbm._inputs.new_rows import read_more_rows

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import ArrayLike

    from skhbm._comparison.conditioning import Origin

__all__ = ["ResponseComparing"]


class ResponseComparing(ResponseAnswers):
    """Densities of rows and of groups that are left out, or that come later."""

    def condition_on(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        **size: Any,
    ) -> Self:
        """Return a new estimator that knows more rows, without sampling again.

        The posterior draws are weighted by the density of the rows, group effects
        integrated out, and resampled: Pareto-smoothed importance sampling.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or None
            As in :meth:`predict`. The rows must be new, not rows of fit.
        y : array-like of shape (n_samples,)
            Target.
        groups : array-like of shape (n_samples,), default=None
            Labels of groups of the fit, of new ones, or both.
        **size : dict of array-like
            SIZE

        Returns
        -------
        object
            Fitted to the rows of this estimator, which stays as it is, and the given ones.
            Its ``diagnostics_["pareto_k"]`` says how reliable the weights are.

        Raises
        ------
        NotFittedError
            Before fit.
        ValueError
            If the rows are not like those of fit, labels are missing, or the effects are not
            integrated out: with several factors, or more than two varying terms.

        Warns
        -----
        ConvergenceWarning
            If Pareto k is above 0.7 (less if there are fewer than 2200 draws).
        """
        started = time.perf_counter()
        new = read_more_rows(self, X, self._encoded(y), groups)
        sizes = sizes_of(self, size, len(new.y), observed=True)
        self._family.check_target(new.y, sizes)
        self._check_integrated("condition_on")
        from skhbm._comparison.responses import add_patterns

        def weigh(origin: Origin) -> tuple[Origin, Any]:
            return add_patterns(origin, self._statistics, new, sizes)

        return self._conditioned(weigh, started)

    def loo(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        unit: str = "row",
        **size: Any,
    ) -> Any:
        """Estimate the expected log predictive density of rows or groups that are left out.

        Leave-one-out cross-validation by Pareto-smoothed importance sampling [1]_, without
        fitting again. With one factor the group effects are integrated out of the densities,
        which makes it more reliable than with their draws [2]_.

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
            one group, predicted from the other groups, in a model whose effects are integrated
            out: of one factor and at most two varying terms.
        **size : dict of array-like
            SIZE

        Returns
        -------
        ELPDData
            ArviZ's, in natural logarithms, with pointwise values.

        Raises
        ------
        NotFittedError
            Before fit.
        ValueError
            If the rows are not those of fit, or the unit cannot be left out.

        Warns
        -----
        UserWarning
            If a Pareto k is above the threshold of reliability.

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
        from skhbm._comparison import responses
        from skhbm._comparison.loo import make_elpd

        rows, target, sizes = self._read_again(X, y, groups, size)
        effects = self._effects()
        n_draws = effects.posterior.n_draws
        efficiency = min(self.diagnostics_["min_ess"] / self._posterior.n_draws, 1.0)
        if factor is None:
            units = responses.left_out_rows(effects, rows, target, sizes)
            return make_elpd(units, n_draws, "row", np.arange(len(rows)), efficiency)
        self._check_integrated(f"loo(unit={unit!r})")
        levels = self._statistics.factors[factor]
        units = responses.left_out_groups(effects)
        return make_elpd(units, n_draws, levels.name, levels.labels, efficiency)

    def log_likelihood(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        unit: str = "row",
        **size: Any,
    ) -> xr.DataTree:
        """Add the log likelihood of each draw to `posterior_`, where ArviZ looks for it.

        Parameters
        ----------
        X, y, groups
            As in :meth:`loo`.
        unit : {"row", "group"} or str, default="row"
            Of rows the conditional likelihood, given the draws of the group effects in
            `posterior_`; of groups, as in :meth:`loo`, the marginal one, effects integrated
            out.
        **size : dict of array-like
            SIZE

        Returns
        -------
        DataTree
            `posterior_`, with a variable `y` in its group `log_likelihood`. It stays there
            until the next call; a pickle does not keep it.

        Raises
        ------
        NotFittedError
            Before fit.
        ValueError
            As in :meth:`loo`.
        """
        factor = left_out_factor(self, unit)
        from skhbm._comparison import responses
        from skhbm._posterior.datatree import add_log_likelihood

        rows, target, sizes = self._read_again(X, y, groups, size)
        posterior = self._posterior
        if factor is None:
            values = responses.conditional_densities(posterior, rows, target, sizes)
            dim, names = "row", np.arange(len(rows))
        else:
            self._check_integrated(f"log_likelihood(unit={unit!r})")
            values = np.concatenate([v for _, v in responses.group_densities(posterior)])
            levels = self._statistics.factors[factor]
            dim, names = levels.name, levels.labels
        tree = self.posterior_
        add_log_likelihood(tree, values.T.reshape(*posterior.shape, -1), dim, names)
        return tree

    def _read_again(self, X: Any, y: Any, groups: Any, size: Any) -> Any:
        """Return the rows of the fit, coded, their target and sizes."""
        from skhbm._comparison.responses import read_patterns_again

        def sizes(n: int) -> Any:
            return sizes_of(self, size, n, observed=True)

        return read_patterns_again(self, X, self._encoded(y), groups, sizes)

    def _check_integrated(self, what: str) -> None:
        """Refuse what needs densities of groups, effects integrated out, where they are not."""
        if self._posterior.effects is not None:
            msg = (
                f"{what} needs densities of groups with their effects integrated out, which "
                "this response has for one grouping factor and at most two varying terms. "
                "Fit again with all rows instead."
            )
            raise ValueError(msg)
