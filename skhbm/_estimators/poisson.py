"""`HierarchicalPoissonRegressor`: counts whose variance is their mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from sklearn.base import RegressorMixin

from skhbm._estimators.responses import HierarchicalResponse
from skhbm._estimators.scores import deviance_explained

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["HierarchicalPoissonRegressor"]


@final
class HierarchicalPoissonRegressor(RegressorMixin, HierarchicalResponse, family="poisson"):
    r"""Hierarchical (multilevel, mixed-effects) Bayesian Poisson regression.

    The target are counts, of events or things, in some `exposure`. Rows belong to groups whose
    log rates, and slopes if asked for, vary about those of a population:

    .. math::
        y_i \sim \mathrm{Poisson}(t_i \lambda_i), \quad
        \log \lambda_i = \alpha + x_i'\beta + \sum_f z_i^{f\prime} u^f_{g_f(i)},
        \quad u^f_j \sim \mathrm{Normal}(0, \Sigma_f)

    where t are the exposures, and z is 1 and the features named in `varying_slopes`. With one
    factor and at most two varying terms the effects u are integrated out by adaptive
    quadrature [4]_; otherwise they are sampled.

    <parameters>

    <attributes>

    See Also
    --------
    HierarchicalNegativeBinomialRegressor : Counts that vary more.

    Notes
    -----
    Default priors, with s_k the standard deviation of feature k over rows:

    - intercept, at the mean of X: Normal(log of the rate of all rows, 2.5)
    - coef[k]: Normal(0, 1.25 / s_k), after [3]_
    - tau of the intercept, at the mean of X: HalfNormal(0.8), of a slope:
      HalfNormal(0.29 / s_k)
    - corr, at the mean of X: LKJCorr(2)

    The mean rate of a new group is that of a group without effect times E exp(tau^2 / 2), which
    exists under HalfNormal(s) only if s < 1: there is a warning where it does not, and
    quantiles always exist.

    <references>

    Examples
    --------
    >>> import numpy as np
    >>> from skhbm import HierarchicalPoissonRegressor
    >>> pump = np.arange(10)
    >>> failures = [5, 1, 5, 14, 3, 19, 1, 1, 4, 22]
    >>> hours = [94.3, 15.7, 62.9, 125.8, 5.2, 31.4, 1.0, 1.0, 2.1, 10.5]
    >>> model = HierarchicalPoissonRegressor(random_state=0)
    >>> model = model.fit(None, failures, groups=pump, exposure=hours)
    >>> model.predict_interval(None, groups=[3], exposure=100.0).shape
    (1, 2)
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags

    def score(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        sample_weight: ArrayLike | None = None,
        **size: Any,
    ) -> float:
        """Return the share of deviance that is explained, D^2, as `PoissonRegressor` does.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or None
            As in :meth:`predict`.
        y : array-like of shape (n_samples,)
            Counts.
        groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
            As in :meth:`predict`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        **size : dict of array-like
            SIZE

        Returns
        -------
        float
            1 is perfect, 0 as good as the same rate for all rows.
        """
        return deviance_explained(self, X, y, groups, sample_weight, size)
