"""`HierarchicalStudentTRegressor`: a normal core, and heavy tails for outliers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from sklearn.base import RegressorMixin

from skhbm._estimators.responses import HierarchicalResponse
from skhbm._estimators.scores import r2_explained

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["HierarchicalStudentTRegressor"]


@final
class HierarchicalStudentTRegressor(RegressorMixin, HierarchicalResponse, family="student_t"):
    r"""Hierarchical (multilevel, mixed-effects) Bayesian regression with outliers.

    Rows vary about the line of their group by Student's t distribution, of which outliers are a
    part. Intercepts of groups, and slopes if asked for, vary about those of a population:

    .. math::
        y_i = \alpha + x_i'\beta + \sum_f z_i^{f\prime} u^f_{g_f(i)} + \varepsilon_i, \quad
        \varepsilon_i \sim t_\nu(0, \sigma),
        \quad u^f_j \sim \mathrm{Normal}(0, \Sigma_f)

    where z is 1 and the features named in `varying_slopes`, and sigma is a scale: the standard
    deviation is sigma sqrt(nu / (nu - 2)). With one factor and at most two varying terms the
    effects u are integrated out by adaptive quadrature [4]_; otherwise they are sampled.

    <parameters>

    <attributes>

    See Also
    --------
    HierarchicalNormalRegressor : Without outliers, faster and exact.

    Notes
    -----
    Default priors, with s_k the standard deviation of feature k over rows, and s_y 1.4826 times
    the median absolute deviation of y from its median, which outliers do not move:

    - intercept, at the mean of X: Normal(median of y, 2.5 s_y)
    - coef[k]: Normal(0, 2.5 s_y / s_k), the scale of [3]_ with normal tails
    - tau of the intercept, at the mean of X: HalfNormal(2.5 s_y), of a slope:
      HalfNormal(2.5 s_y / s_k)
    - corr, at the mean of X: LKJCorr(2)
    - sigma: HalfNormal(2.5 s_y), nu: Gamma(2, 0.1)

    The variance of a row is infinite in draws with nu below 2, and then the standard deviation
    of predictions is, too; intervals always exist.

    <references>

    Examples
    --------
    >>> from skhbm import HierarchicalStudentTRegressor
    >>> from skhbm.datasets import load_sleepstudy
    >>> X, y, subject = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = HierarchicalStudentTRegressor(varying_slopes="all", random_state=0)
    >>> model = model.fit(X, y, groups=subject)
    >>> print(f"{model.coef_[0]:.0f}")
    11
    """

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
        return r2_explained(self, X, y, groups, sample_weight)
