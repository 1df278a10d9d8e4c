"""The attributes, tables and posterior of a fitted estimator."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from sklearn.utils.validation import check_is_fitted

from skhbm._estimators.base import BaseHierarchicalEstimator
from skhbm._inputs.parameters import as_probability

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd
    import pymc as pm
    import xarray as xr

    from skhbm._inputs.rows import Rows
    from skhbm._prediction.coefficient_intervals import Coefficient
    from skhbm._types import Float


__all__ = ["INTERVAL", "Fitted"]

#: Probability of the intervals in the tables of shrinkage and variance components.
INTERVAL = 0.9


class Fitted(BaseHierarchicalEstimator):
    """Attributes of a fitted estimator that are computed when they are asked for."""

    @property
    def group_coef_(self) -> Any:
        """Posterior means of the groups' coefficients (n_groups, n_coef), or a dict of them."""
        return self._by_factor(lambda factor: self._group_coefficients(factor)[:, 1:])

    @property
    def group_intercept_(self) -> Any:
        """Posterior means of the groups' intercepts (n_groups,), or a dict of them."""
        return self._by_factor(lambda factor: self._group_coefficients(factor)[:, 0])

    @property
    def shrinkage_(self) -> pd.DataFrame:
        """Table of the groups' estimates and pooling; see the class."""
        check_is_fitted(self)
        import pandas as pd

        n_factors = len(self._posterior.design.factors)
        tables = [pd.DataFrame(self._shrinkage_columns(factor)) for factor in range(n_factors)]
        return tables[0] if n_factors == 1 else pd.concat(tables, ignore_index=True)

    @property
    def variance_components_(self) -> pd.DataFrame:
        """Table of the variance components; see the class."""
        check_is_fitted(self)
        import pandas as pd

        return pd.DataFrame(self._variance_columns())

    @property
    def variance_partition_(self) -> pd.DataFrame:
        """Table of the parts of a row's variance; see the class."""
        return self._table(self._partition_columns, "component")

    @property
    def bayesian_r2_(self) -> pd.DataFrame:
        """Table of Bayesian R^2; see the class."""
        return self._table(self._r2_columns, "kind")

    @property
    def posterior_(self) -> xr.DataTree:
        """All draws in ArviZ's form; those of the effects are made when first asked for."""
        check_is_fitted(self)
        if "posterior" not in self._lazy:
            self._lazy["posterior"] = self._to_datatree()
        return self._lazy["posterior"]

    @property
    def model_(self) -> pm.Model:
        """The model that is sampled, as a PyMC model, built when asked for."""
        return self.to_pymc()

    def to_pymc(self) -> pm.Model:
        """Build the model that is sampled as a PyMC model, to look at or to extend.

        Returns
        -------
        pymc.Model
            With the names of `posterior_` and its dims and coords. The groups' effects are
            not in it: they are integrated out. The observed node, ``statistics``, holds the
            statistics of y and can be simulated: ``pymc.sample_prior_predictive``.

        Raises
        ------
        NotFittedError
            Before fit.
        """
        check_is_fitted(self)
        from skhbm._priors.pytensor_folder import ensure_folder

        ensure_folder()
        return self._build_model()

    def summary(
        self,
        var_names: str | Iterable[str] | None = None,
        *,
        kind: str = "all",
        ci_prob: float | None = INTERVAL,
        ci_kind: str | None = None,
        round_to: Any = "auto",
    ) -> pd.DataFrame:
        """Make ArviZ's table of the posterior: means, intervals and diagnostics.

        By default of the population's parameters: those that have no entry for each group.

        Parameters
        ----------
        var_names : str or iterable of str, default=None
            Variables of `posterior_`, as "effect_school"; a "~" before names leaves them out.
        kind : str, default="all"
            The columns: "all", "stats", "diagnostics", or another of
            :func:`arviz_stats.summary`.
        ci_prob : float, default=0.9
            Probability of the intervals. None is ArviZ's setting.
        ci_kind : {"eti", "hdi"}, default=None
            Whether these are equal-tailed or of highest density. None is ArviZ's setting,
            equal-tailed unless it was changed.
        round_to : int, "auto" or "none", default="auto"
            Decimals that are shown. "auto" shows those that the Monte Carlo error leaves;
            the values are not rounded.

        Returns
        -------
        DataFrame
            One row for each number, named as in ``coef[floor]``; of a matrix of correlations
            each pair once. In units of y, and y per unit of X.

        Raises
        ------
        NotFittedError
            Before fit.
        TypeError, ValueError
            If an argument is not one of these.

        Warns
        -----
        DataWarning
            Once for each fit, if a standard deviation tau is between two to four groups and has
            the default prior: it is largely what its prior says.

        Notes
        -----
        Effects of groups, and residual scales by group, are left out by default since they may
        be thousands; draws of effects are not made unless they are asked for.

        Examples
        --------
        >>> from skhbm import HierarchicalNormalRegressor
        >>> from skhbm.datasets import load_radon
        >>> X, y, county = load_radon(return_X_y=True, as_frame=True)
        >>> model = HierarchicalNormalRegressor(random_state=0).fit(X, y, groups=county)
        >>> model.summary(["intercept", "coef"], kind="stats", round_to=1)
                           mean   sd  eti90_lb  eti90_ub
        intercept           1.5  0.0       1.4       1.5
        coef[floor]        -0.7  0.1      -0.8      -0.6
        coef[log_uranium]   0.7  0.1       0.6       0.9
        """
        check_is_fitted(self)
        if ci_prob is not None:
            as_probability(ci_prob, "ci_prob")
        from skhbm._posterior.summary import summarise, warn_of_few_groups

        table = summarise(
            self._posterior,
            var_names,
            lambda name: self.posterior_["posterior"][name].to_numpy(),
            kind=kind,
            ci_prob=ci_prob,
            ci_kind=ci_kind,
            round_to=round_to,
        )
        if "few_groups" not in self._lazy:
            self._lazy["few_groups"] = warn_of_few_groups(self._posterior, self.priors, table)
        return table

    def _table(self, columns: Any, name: str) -> pd.DataFrame:
        """Return a table whose rows have names."""
        check_is_fitted(self)
        import pandas as pd

        rows, values = columns()
        return pd.DataFrame(values, index=pd.Index(rows, name=name))

    @abstractmethod
    def _group_coefficients(self, factor: int) -> Float:
        """Return posterior means of population + effect (n_groups, 1 + n_features)."""

    @abstractmethod
    def _intervals(
        self, which: Coefficient, probabilities: Float
    ) -> tuple[Float, float, Float]:
        """Return means (n_groups,) of a varying coefficient, that of the population, quantiles.

        The quantiles are (n_groups, n_probabilities).
        """

    @abstractmethod
    def _expected(self, rows: Rows, probabilities: Float) -> tuple[Float, Float]:
        """Return means (n,) and quantiles (n, n_probabilities) of the expectation of y."""

    @abstractmethod
    def _as_mean(self, predictor: Float) -> Float:
        """Return the expectation of y of size 1 at values of the linear predictor."""

    def _encoded(self, y: Any) -> Any:
        """Return the response as numbers."""
        return y

    @abstractmethod
    def _shrinkage_columns(self, factor: int) -> dict[str, Any]:
        """Return the columns of `shrinkage_` for a factor."""

    @abstractmethod
    def _variance_columns(self) -> Mapping[str, Any]:
        """Return the columns of `variance_components_`."""

    @abstractmethod
    def _partition_columns(self) -> tuple[list[str], Mapping[str, Any]]:
        """Return the names of the parts of `variance_partition_`, and its columns."""

    @abstractmethod
    def _r2_columns(self) -> tuple[list[str], Mapping[str, Any]]:
        """Return the kinds of `bayesian_r2_`, and its columns."""

    @abstractmethod
    def _to_datatree(self) -> xr.DataTree:
        """Return all draws in ArviZ's form."""

    @abstractmethod
    def _build_model(self) -> pm.Model:
        """Return the model that is sampled."""
