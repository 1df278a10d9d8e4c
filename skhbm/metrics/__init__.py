"""Scorers of predictive distributions and means, which take groups.

Each is a function ``score(estimator, X, y, groups=None, sample_weight=None)``, greater being
better, for scikit-learn's ``scoring=``: alone or in a dict, in searches, cross-validation and
permutation importance. `r2`, `neg_root_mean_squared_error` and `neg_mean_poisson_deviance` are
of any regressor, `neg_brier_score` is of any classifier of two classes, the others are of
predictive distributions; pipelines and searches are looked into for the estimator that predicts
them.

Labels are those in the column of X that ``group_features`` names, or `groups`. With
scikit-learn's metadata routing enabled, scorers request `groups`, as the estimator does:

>>> import sklearn
>>> from sklearn.model_selection import GridSearchCV
>>> from skhbm import HierarchicalNormalRegressor
>>> from skhbm.datasets import load_radon
>>> from skhbm.metrics import log_score
>>> X, y, county = load_radon(return_X_y=True)
>>> models = {"varying_slopes": [None, [0]]}
>>> with sklearn.config_context(enable_metadata_routing=True):
...     search = GridSearchCV(
...         HierarchicalNormalRegressor(random_state=0), models, scoring=log_score, cv=2
...     )
...     search = search.fit(X, y, groups=county)
>>> f"{search.best_score_:.1f}"
'-1.2'

String scorers such as ``scoring="r2"`` predict without `groups`: with those, as with
`cross_val_predict`, labels must be a column of X.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.metrics import mean_poisson_deviance, r2_score, root_mean_squared_error

from skhbm._inputs.arrays import as_target, as_weights
from skhbm._inputs.order import warn_of_observed_order
from skhbm._inputs.parameters import as_probability
from skhbm.metrics._scorer import Scorer, point_prediction, weighted_mean
from skhbm.metrics._scores import (
    brier_scores,
    interval_scores,
    intervals,
    log_densities,
    ranked_scores,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "coverage",
    "coverage_scorer",
    "interval_scorer",
    "log_score",
    "neg_brier_score",
    "neg_crps",
    "neg_interval_score",
    "neg_mean_poisson_deviance",
    "neg_root_mean_squared_error",
    "r2",
]

#: The probability of the intervals of `neg_interval_score` and `coverage`.
DEFAULT = 0.9


@Scorer
def log_score(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    groups: Any = None,
    sample_weight: ArrayLike | None = None,
    y_err: ArrayLike | None = None,
    trials: ArrayLike | None = None,
    exposure: ArrayLike | None = None,
) -> float:
    """Score by the mean log predictive density of the targets.

    It is strictly proper, and local: only the density at the target matters [1]_. The sum over
    held-out rows estimates the expected log predictive density, as `loo` does [2]_.

    Parameters
    ----------
    estimator : estimator
        Fitted, with the method ``log_predictive_density``, or a pipeline or search that ends
        in one.
    X : array-like of shape (n_samples, n_features) or None
        Rows to predict.
    y : array-like of shape (n_samples,)
        Their targets.
    groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
        Their labels, unless they are columns of X.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the mean.
    y_err : array-like of shape (n_samples,), default=None
        Known standard errors of y, if ``residual_scale="known"``: y is scored then, which has
        these errors, not the linear predictor.
    trials, exposure : array-like of shape (n_samples,), default=None
        What rows are successes of, or counted in, for an estimator whose methods take either.

    Returns
    -------
    float
        Mean of natural logarithms of densities per unit of y, or of probabilities of counts
        and classes; greater is better.

    Raises
    ------
    TypeError
        If the estimator predicts no density.
    ValueError
        If `y_err` is missing for a model of known errors, or given for another, or if `trials`
        or `exposure` are given for an estimator that does not take them.

    See Also
    --------
    neg_crps : Less sensitive to outliers, in units of y.
    skhbm.HierarchicalNormalRegressor.loo : The same of the rows of fit, without fitting again.

    References
    ----------
    .. [1] T. Gneiting and A. E. Raftery (2007). Strictly proper scoring rules, prediction,
       and estimation. Journal of the American Statistical Association 102(477), 359-378.
       Section 4.1. https://doi.org/10.1198/016214506000001437
    .. [2] A. Vehtari, A. Gelman and J. Gabry (2017). Practical Bayesian model evaluation
       using leave-one-out cross-validation and WAIC. Statistics and Computing 27,
       1413-1432. https://doi.org/10.1007/s11222-016-9696-4

    Examples
    --------
    >>> from skhbm import HierarchicalNormalRegressor
    >>> from skhbm.datasets import load_radon
    >>> from skhbm.metrics import log_score
    >>> X, y, county = load_radon(return_X_y=True)
    >>> model = HierarchicalNormalRegressor(random_state=0)
    >>> model = model.fit(X[::2], y[::2], groups=county[::2])
    >>> score = log_score(model, X[1::2], y[1::2], groups=county[1::2])
    >>> f"{score:.2f}"
    '-1.14'
    """
    sizes = {"trials": trials, "exposure": exposure}
    values = log_densities("log_score", estimator, X, y, groups, y_err, sizes)
    return weighted_mean(values, sample_weight)


@Scorer
def neg_crps(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    groups: Any = None,
    sample_weight: ArrayLike | None = None,
    y_err: ArrayLike | None = None,
    trials: ArrayLike | None = None,
    exposure: ArrayLike | None = None,
) -> float:
    r"""Score by the negative mean continuous ranked probability score (CRPS).

    .. math:: \mathrm{CRPS}(F, y) = \int (F(x) - 1\{y \le x\})^2 \,dx
        = \mathrm{E}|X - y| - \tfrac12 \mathrm{E}|X - X'|

    for independent X and X' of the predictive distribution F [1]_. It is strictly proper, and
    the absolute error if F is a point. Computed exactly for the mixture of normals over all
    draws, whose double sum [2]_ is replaced by Fourier series with an error near rounding. For
    counts it is the sum of (F(k) - 1{y <= k})^2 over k = 0, 1, ... [3]_.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator of this package, or a pipeline or search that ends in one.
    X, y, groups, sample_weight, y_err, trials, exposure
        As in `log_score`.

    Returns
    -------
    float
        At most zero, in units of y; greater is better.

    Raises
    ------
    TypeError
        If the estimator is another one.
    ValueError
        If `y_err` is missing for a model of known errors, or given for another, or if `trials`
        or `exposure` are given for an estimator that does not take them.

    See Also
    --------
    log_score : Sharper, where the model's tails are to be trusted.

    References
    ----------
    .. [1] T. Gneiting and A. E. Raftery (2007). Strictly proper scoring rules, prediction,
       and estimation. Journal of the American Statistical Association 102(477), 359-378.
       Equation 21. https://doi.org/10.1198/016214506000001437
    .. [2] E. P. Grimit, T. Gneiting, V. J. Berrocal and N. A. Johnson (2006). The continuous
       ranked probability score for circular variables and its application to mesoscale
       forecast ensemble verification. Quarterly Journal of the Royal Meteorological Society
       132, 2925-2942. Equation 5. https://doi.org/10.1256/qj.05.235
    .. [3] C. Czado, T. Gneiting and L. Held (2009). Predictive model assessment for count
       data. Biometrics 65(4), 1254-1261. https://doi.org/10.1111/j.1541-0420.2009.01191.x

    Examples
    --------
    >>> from skhbm import HierarchicalNormalRegressor
    >>> from skhbm.datasets import load_radon
    >>> from skhbm.metrics import neg_crps
    >>> X, y, county = load_radon(return_X_y=True)
    >>> model = HierarchicalNormalRegressor(random_state=0)
    >>> model = model.fit(X[::2], y[::2], groups=county[::2])
    >>> score = neg_crps(model, X[1::2], y[1::2], groups=county[1::2])
    >>> f"{score:.2f}"
    '-0.42'
    """
    sizes = {"trials": trials, "exposure": exposure}
    values = ranked_scores("neg_crps", estimator, X, y, groups, y_err, sizes)
    return -weighted_mean(values, sample_weight)


def interval_scorer(coverage: float = 0.9) -> Scorer:
    r"""Make a scorer of the equal-tailed predictive intervals of some probability.

    The scorer is the negative mean of the interval score [1]_: the width of an interval
    [l, u], and a penalty for a target outside,

    .. math:: (u - l) + \frac2\alpha (l - y)_+ + \frac2\alpha (y - u)_+,
        \quad \alpha = 1 - \mathrm{coverage},

    which is proper: its expectation is least for the true quantiles. It takes the arguments of
    `neg_interval_score`.

    Parameters
    ----------
    coverage : float, default=0.9
        Probability of the intervals.

    Returns
    -------
    Scorer
        A function ``score(estimator, X, y, groups=None, sample_weight=None, y_err=None,
        trials=None, exposure=None)``.

    Raises
    ------
    TypeError, ValueError
        If `coverage` is not a number in (0, 1).

    See Also
    --------
    neg_interval_score : That of 90 % intervals.
    coverage_scorer : The share of targets inside, which is no score to maximise.

    References
    ----------
    .. [1] T. Gneiting and A. E. Raftery (2007). Strictly proper scoring rules, prediction,
       and estimation. Journal of the American Statistical Association 102(477), 359-378.
       Equation 43. https://doi.org/10.1198/016214506000001437

    Examples
    --------
    >>> from skhbm.metrics import interval_scorer
    >>> interval_scorer(coverage=0.5)
    interval_scorer(coverage=0.5)
    """
    inside = as_probability(coverage, "coverage")

    def scorer(
        estimator: Any,
        X: Any,
        y: ArrayLike,
        groups: Any = None,
        sample_weight: ArrayLike | None = None,
        y_err: ArrayLike | None = None,
        trials: ArrayLike | None = None,
        exposure: ArrayLike | None = None,
    ) -> float:
        """Score by the negative mean interval score; see `interval_scorer`."""
        sizes = {"trials": trials, "exposure": exposure}
        rows = intervals("interval_scorer", estimator, X, y, groups, y_err, sizes, inside)
        return -weighted_mean(interval_scores(*rows, inside), sample_weight)

    return Scorer(scorer, "interval_scorer", coverage=coverage)


@Scorer
def neg_interval_score(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    groups: Any = None,
    sample_weight: ArrayLike | None = None,
    y_err: ArrayLike | None = None,
    trials: ArrayLike | None = None,
    exposure: ArrayLike | None = None,
) -> float:
    """Score by the negative mean interval score of 90 % predictive intervals.

    It rewards narrow intervals and penalises targets outside, and is proper: see
    `interval_scorer` for the formula, its source, and other probabilities.

    Parameters
    ----------
    estimator : estimator
        Fitted, with the method ``predict_quantiles``, or a pipeline or search that ends in
        one.
    X, y, groups, sample_weight, y_err, trials, exposure
        As in `log_score`.

    Returns
    -------
    float
        At most zero, in units of y; greater is better.

    Raises
    ------
    TypeError
        If the estimator predicts no quantiles.
    ValueError
        If `y_err` is missing for a model of known errors, or given for another, or if `trials`
        or `exposure` are given for an estimator that does not take them.

    See Also
    --------
    interval_scorer : The same of intervals of another probability.

    Examples
    --------
    >>> from skhbm import HierarchicalNormalRegressor
    >>> from skhbm.datasets import load_radon
    >>> from skhbm.metrics import neg_interval_score
    >>> X, y, county = load_radon(return_X_y=True)
    >>> model = HierarchicalNormalRegressor(random_state=0)
    >>> model = model.fit(X[::2], y[::2], groups=county[::2])
    >>> score = neg_interval_score(model, X[1::2], y[1::2], groups=county[1::2])
    >>> f"{score:.1f}"
    '-3.2'
    """
    sizes = {"trials": trials, "exposure": exposure}
    rows = intervals("neg_interval_score", estimator, X, y, groups, y_err, sizes, DEFAULT)
    return -weighted_mean(interval_scores(*rows, DEFAULT), sample_weight)


def coverage_scorer(coverage: float = 0.9) -> Scorer:
    """Make a scorer that is the share of targets in predictive intervals of some probability.

    It takes the arguments of `coverage`, and is as little to be maximised as that.

    Parameters
    ----------
    coverage : float, default=0.9
        Probability of the intervals.

    Returns
    -------
    Scorer
        A function ``score(estimator, X, y, groups=None, sample_weight=None, y_err=None,
        trials=None, exposure=None)``.

    Raises
    ------
    TypeError, ValueError
        If `coverage` is not a number in (0, 1).

    See Also
    --------
    coverage : That of 90 % intervals.
    interval_scorer : A proper score of the same intervals.

    Examples
    --------
    >>> from skhbm.metrics import coverage_scorer
    >>> coverage_scorer(coverage=0.5)
    coverage_scorer(coverage=0.5)
    """
    inside = as_probability(coverage, "coverage")

    def scorer(
        estimator: Any,
        X: Any,
        y: ArrayLike,
        groups: Any = None,
        sample_weight: ArrayLike | None = None,
        y_err: ArrayLike | None = None,
        trials: ArrayLike | None = None,
        exposure: ArrayLike | None = None,
    ) -> float:
        """Return the share of targets in predictive intervals; see `coverage_scorer`."""
        sizes = {"trials": trials, "exposure": exposure}
        target, low, high = intervals(
            "coverage_scorer", estimator, X, y, groups, y_err, sizes, inside
        )
        return weighted_mean((low <= target) & (target <= high), sample_weight)

    return Scorer(scorer, "coverage_scorer", coverage=coverage)


@Scorer
def coverage(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    groups: Any = None,
    sample_weight: ArrayLike | None = None,
    y_err: ArrayLike | None = None,
    trials: ArrayLike | None = None,
    exposure: ArrayLike | None = None,
) -> float:
    """Return the share of targets within 90 % predictive intervals.

    A diagnosis, not a score: it should be near 0.9, neither below nor above, and intervals that
    are too wide have most. To choose between models use `neg_interval_score`, which is proper.

    Parameters
    ----------
    estimator : estimator
        Fitted, with the method ``predict_quantiles``, or a pipeline or search that ends in
        one.
    X, y, groups, sample_weight, y_err, trials, exposure
        As in `log_score`.

    Returns
    -------
    float
        Between zero and one, without unit.

    Raises
    ------
    TypeError
        If the estimator predicts no quantiles.
    ValueError
        If `y_err` is missing for a model of known errors, or given for another, or if `trials`
        or `exposure` are given for an estimator that does not take them.

    See Also
    --------
    coverage_scorer : The same of intervals of another probability.
    neg_interval_score : A proper score of the same intervals.

    Examples
    --------
    >>> from skhbm import HierarchicalNormalRegressor
    >>> from skhbm.datasets import load_radon
    >>> from skhbm.metrics import coverage
    >>> X, y, county = load_radon(return_X_y=True)
    >>> model = HierarchicalNormalRegressor(random_state=0)
    >>> model = model.fit(X[::2], y[::2], groups=county[::2])
    >>> score = coverage(model, X[1::2], y[1::2], groups=county[1::2])
    >>> f"{score:.2f}"
    '0.91'
    """
    sizes = {"trials": trials, "exposure": exposure}
    target, low, high = intervals("coverage", estimator, X, y, groups, y_err, sizes, DEFAULT)
    return weighted_mean((low <= target) & (target <= high), sample_weight)


@Scorer
def r2(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    groups: Any = None,
    sample_weight: ArrayLike | None = None,
    trials: ArrayLike | None = None,
    exposure: ArrayLike | None = None,
) -> float:
    """Score by R^2, the coefficient of determination of predicted means.

    It is the score of :func:`sklearn.metrics.r2_score`, as ``scoring="r2"`` is, with `groups`
    handed to the estimator.

    Parameters
    ----------
    estimator : estimator
        Any fitted regressor.
    X, y, groups, sample_weight, trials, exposure
        As in `log_score`; a regressor that takes no groups is not given any.

    Returns
    -------
    float
        1 is perfect, 0 as good as the mean of y.

    Raises
    ------
    TypeError
        If the estimator does not predict.

    See Also
    --------
    log_score : A score of the predictive distribution.

    Examples
    --------
    >>> from skhbm import HierarchicalNormalRegressor
    >>> from skhbm.datasets import load_radon
    >>> from skhbm.metrics import r2
    >>> X, y, county = load_radon(return_X_y=True)
    >>> model = HierarchicalNormalRegressor(random_state=0)
    >>> model = model.fit(X[::2], y[::2], groups=county[::2])
    >>> score = r2(model, X[1::2], y[1::2], groups=county[1::2])
    >>> f"{score:.2f}"
    '0.16'
    """
    sizes = {"trials": trials, "exposure": exposure}
    predicted = point_prediction("r2", estimator, X, groups, sizes)
    warn_of_observed_order(X, groups, y=y, sample_weight=sample_weight)
    target = as_target(y, estimator)
    weights = as_weights(sample_weight, len(target))
    return float(r2_score(target, predicted, sample_weight=weights))


@Scorer
def neg_root_mean_squared_error(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    groups: Any = None,
    sample_weight: ArrayLike | None = None,
    trials: ArrayLike | None = None,
    exposure: ArrayLike | None = None,
) -> float:
    """Score by the negative root mean squared error of predicted means.

    It is the negative of :func:`sklearn.metrics.root_mean_squared_error`, as
    ``scoring="neg_root_mean_squared_error"`` is, with `groups` handed to the estimator.

    Parameters
    ----------
    estimator : estimator
        Any fitted regressor.
    X, y, groups, sample_weight, trials, exposure
        As in `log_score`; a regressor that takes no groups is not given any.

    Returns
    -------
    float
        At most zero, in units of y; greater is better.

    Raises
    ------
    TypeError
        If the estimator does not predict.

    See Also
    --------
    neg_crps : A score of the predictive distribution in the same units.

    Examples
    --------
    >>> from skhbm import HierarchicalNormalRegressor
    >>> from skhbm.datasets import load_radon
    >>> from skhbm.metrics import neg_root_mean_squared_error
    >>> X, y, county = load_radon(return_X_y=True)
    >>> model = HierarchicalNormalRegressor(random_state=0)
    >>> model = model.fit(X[::2], y[::2], groups=county[::2])
    >>> score = neg_root_mean_squared_error(model, X[1::2], y[1::2], groups=county[1::2])
    >>> f"{score:.2f}"
    '-0.76'
    """
    sizes = {"trials": trials, "exposure": exposure}
    predicted = point_prediction("neg_root_mean_squared_error", estimator, X, groups, sizes)
    warn_of_observed_order(X, groups, y=y, sample_weight=sample_weight)
    target = as_target(y, estimator)
    weights = as_weights(sample_weight, len(target))
    return -float(root_mean_squared_error(target, predicted, sample_weight=weights))


@Scorer
def neg_mean_poisson_deviance(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    groups: Any = None,
    sample_weight: ArrayLike | None = None,
    trials: ArrayLike | None = None,
    exposure: ArrayLike | None = None,
) -> float:
    """Score by the negative mean Poisson deviance of predicted means of counts.

    It is the negative of :func:`sklearn.metrics.mean_poisson_deviance`, as
    ``scoring="neg_mean_poisson_deviance"`` is, with `groups` and `exposure` handed to the
    estimator.

    Parameters
    ----------
    estimator : estimator
        Any fitted regressor that predicts positive means.
    X, y, groups, sample_weight, trials, exposure
        As in `log_score`; a regressor that takes no groups is not given any.

    Returns
    -------
    float
        At most zero; greater is better.

    Raises
    ------
    TypeError
        If the estimator does not predict.
    ValueError
        If a target is negative, or a predicted mean not positive.

    See Also
    --------
    log_score : A score of the predictive distribution.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import PoissonRegressor
    >>> from skhbm.metrics import neg_mean_poisson_deviance
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([1, 0, 3, 5])
    >>> model = PoissonRegressor(alpha=0).fit(X, y)
    >>> f"{neg_mean_poisson_deviance(model, X, y):.2f}"
    '-0.68'
    """
    sizes = {"trials": trials, "exposure": exposure}
    predicted = point_prediction("neg_mean_poisson_deviance", estimator, X, groups, sizes)
    warn_of_observed_order(X, groups, y=y, sample_weight=sample_weight)
    target = as_target(y, estimator)
    weights = as_weights(sample_weight, len(target))
    return -float(mean_poisson_deviance(target, predicted, sample_weight=weights))


@Scorer
def neg_brier_score(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    groups: Any = None,
    sample_weight: ArrayLike | None = None,
    trials: ArrayLike | None = None,
) -> float:
    r"""Score by the negative Brier score: the mean squared error of probabilities.

    For a probability p of the second class, y being 1 for it and 0 for the first,

    .. math:: \mathrm{BS} = \frac1n \sum_i (p_i - y_i)^2,

    which is strictly proper [1]_. Successes among trials are scored trial by trial.

    Parameters
    ----------
    estimator : estimator
        Any fitted classifier of two classes with the method ``predict_proba``, or a
        HierarchicalBinomialRegressor; or a pipeline or search that ends in one.
    X : array-like of shape (n_samples, n_features) or None
        Rows to predict.
    y : array-like of shape (n_samples,)
        Their classes, or numbers of successes.
    groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
        Their labels, unless they are columns of X; a classifier that takes no groups is not
        given any.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the mean.
    trials : array-like of shape (n_samples,), default=None
        Numbers of trials, of successes.

    Returns
    -------
    float
        Between -1 and 0; greater is better.

    Raises
    ------
    TypeError
        If the estimator predicts no probabilities.
    ValueError
        If there are more than two classes, or y has others.

    See Also
    --------
    log_score : Sharper for probabilities near 0 and 1.

    References
    ----------
    .. [1] T. Gneiting and A. E. Raftery (2007). Strictly proper scoring rules, prediction,
       and estimation. Journal of the American Statistical Association 102(477), 359-378.
       Section 3. https://doi.org/10.1198/016214506000001437

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skhbm.metrics import neg_brier_score
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array(["no", "yes", "no", "yes"])
    >>> model = LogisticRegression().fit(X, y)
    >>> f"{neg_brier_score(model, X, y):.2f}"
    '-0.21'
    """
    values, counts = brier_scores("neg_brier_score", estimator, X, y, groups, trials)
    weights = as_weights(sample_weight, len(values))
    return -weighted_mean(values, counts if weights is None else counts * weights)
