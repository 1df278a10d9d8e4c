"""`HierarchicalNegativeBinomialRegressor`: counts that vary more than Poisson's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from sklearn.base import RegressorMixin

from skhbm._estimators.responses import HierarchicalResponse
from skhbm._estimators.scores import deviance_explained

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["HierarchicalNegativeBinomialRegressor"]


@final
class HierarchicalNegativeBinomialRegressor(
    RegressorMixin, HierarchicalResponse, family="negative_binomial"
):
    r"""Hierarchical (multilevel, mixed-effects) Bayesian negative binomial regression.

    The target are counts in some `exposure` that vary more than Poisson's: a count of mean m
    has the variance m + m^2 / alpha. Rows belong to groups whose log rates, and slopes if asked
    for, vary about those of a population:

    .. math::
        y_i \sim \mathrm{NegativeBinomial}(t_i \lambda_i, \alpha_y), \quad
        \log \lambda_i = \alpha + x_i'\beta + \sum_f z_i^{f\prime} u^f_{g_f(i)},
        \quad u^f_j \sim \mathrm{Normal}(0, \Sigma_f)

    where t are the exposures, and z is 1 and the features named in `varying_slopes`. With one
    factor and at most two varying terms the effects u are integrated out by adaptive
    quadrature [4]_; otherwise they are sampled.

    <parameters>

    <attributes>

    See Also
    --------
    HierarchicalPoissonRegressor : Counts whose variance is their mean.

    Notes
    -----
    Default priors are those of :class:`HierarchicalPoissonRegressor` [3]_, and

    - alpha: Gamma(2, 0.1)

    <references>

    Examples
    --------
    >>> import numpy as np
    >>> from skhbm import HierarchicalNegativeBinomialRegressor
    >>> rng = np.random.default_rng(0)
    >>> clinic = rng.integers(20, size=400)
    >>> rate = np.exp(1 + 0.5 * rng.standard_normal(20)[clinic])
    >>> y = rng.poisson(rate * rng.gamma(2, 1 / 2, size=400))
    >>> model = HierarchicalNegativeBinomialRegressor(random_state=0).fit(
    ...     None, y, groups=clinic
    ... )
    >>> print(f"{model.alpha_:.0f}")
    2
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
