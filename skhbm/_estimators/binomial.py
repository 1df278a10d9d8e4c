"""`HierarchicalBinomialRegressor`: numbers of successes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from sklearn.base import RegressorMixin

from skhbm._estimators.responses import HierarchicalResponse
from skhbm._estimators.scores import deviance_explained

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["HierarchicalBinomialRegressor"]


@final
class HierarchicalBinomialRegressor(RegressorMixin, HierarchicalResponse, family="binomial"):
    r"""Hierarchical (multilevel, mixed-effects) Bayesian binomial regression.

    The target is the number of successes of some trials, 1 if `trials` are not given. Rows
    belong to groups whose intercepts, and slopes if asked for, vary about those of a
    population:

    .. math::
        y_i \sim \mathrm{Binomial}(m_i, p_i), \quad
        \mathrm{logit}\,p_i = \alpha + x_i'\beta + \sum_f z_i^{f\prime} u^f_{g_f(i)},
        \quad u^f_j \sim \mathrm{Normal}(0, \Sigma_f)

    where m are the trials, and z is 1 and the features named in `varying_slopes`. With one
    factor and at most two varying terms the effects u are integrated out by adaptive
    quadrature [4]_; otherwise they are sampled.

    <parameters>

    <attributes>

    See Also
    --------
    HierarchicalLogisticRegression : A classifier of two classes.

    Notes
    -----
    Default priors, with s_k the standard deviation of feature k over rows:

    - intercept, at the mean of X: Normal(logit of the share of successes, 2.5)
    - coef[k]: Normal(0, 1.25 / s_k), after [3]_
    - tau of the intercept, at the mean of X: HalfNormal(1.5), of a slope: HalfNormal(1 / s_k)
    - corr, at the mean of X: LKJCorr(2)

    <references>

    Examples
    --------
    >>> import numpy as np
    >>> from skhbm import HierarchicalBinomialRegressor
    >>> rng = np.random.default_rng(0)
    >>> herd, size = np.repeat(np.arange(15), 4), rng.integers(5, 30, size=60)
    >>> cases = rng.binomial(size, 1 / (1 + np.exp(1.5 - 0.7 * rng.standard_normal(15)[herd])))
    >>> model = HierarchicalBinomialRegressor(random_state=0)
    >>> model = model.fit(None, cases, groups=herd, trials=size)
    >>> model.predict(None, groups=[0, 0], trials=[10, 20]).shape
    (2,)
    """

    def score(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        sample_weight: ArrayLike | None = None,
        **size: Any,
    ) -> float:
        """Return the share of deviance that is explained, D^2, of the predictive mean.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or None
            As in :meth:`predict`.
        y : array-like of shape (n_samples,)
            Numbers of successes.
        groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
            As in :meth:`predict`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        **size : dict of array-like
            SIZE

        Returns
        -------
        float
            1 is perfect, 0 as good as the same probability for all rows.
        """
        return deviance_explained(self, X, y, groups, sample_weight, size)
