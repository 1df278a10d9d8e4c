"""`HierarchicalLogisticRegression`: two classes of any labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, final

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_is_fitted, column_or_1d

from skhbm._estimators.responses import HierarchicalResponse
from skhbm._inputs.arrays import as_weights
from skhbm._inputs.new_rows import read_new_rows
from skhbm._inputs.order import warn_of_observed_order
from skhbm._inputs.third_argument import warns_of_weights

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from skhbm._types import Float

__all__ = ["HierarchicalLogisticRegression"]


@final
class HierarchicalLogisticRegression(ClassifierMixin, HierarchicalResponse, family="bernoulli"):
    r"""Hierarchical (multilevel, mixed-effects) Bayesian logistic regression.

    Rows of two classes belong to groups whose intercepts, and slopes if asked for, vary about
    those of a population:

    .. math::
        \mathrm{logit}\,\Pr(y_i = 1) = \alpha + x_i'\beta + \sum_f z_i^{f\prime} u^f_{g_f(i)},
        \quad u^f_j \sim \mathrm{Normal}(0, \Sigma_f)

    where 1 is the second of `classes_`, and z is 1 and the features named in
    `varying_slopes`. With one factor and at most two varying terms the effects u are integrated
    out by adaptive quadrature [4]_; otherwise they are sampled.

    <parameters>

    <attributes>
    classes_ : ndarray of shape (2,)
        The labels of the classes, sorted. Coefficients are those of the second.

    See Also
    --------
    HierarchicalBinomialRegressor : Numbers of successes of several trials.

    Notes
    -----
    Default priors, with s_k the standard deviation of feature k over rows:

    - intercept, at the mean of X: Normal(logit of the share of the second class, 2.5)
    - coef[k]: Normal(0, 1.25 / s_k), after [3]_
    - tau of the intercept, at the mean of X: HalfNormal(1.5), of a slope: HalfNormal(1 / s_k)
    - corr, at the mean of X: LKJCorr(2)

    Probabilities of rows of new groups are averages over the groups that there may be, and
    closer to a half than those of a group without effect.

    Of draws, intervals and densities of y, 1 is the second class, and 0 the first.

    There is no `class_weight`: weights change what probabilities mean. To weigh errors
    differently, choose another threshold, as with scikit-learn's `FixedThresholdClassifier`.

    <references>

    Examples
    --------
    >>> import numpy as np
    >>> from skhbm import HierarchicalLogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> district = rng.integers(30, size=600)
    >>> X = rng.standard_normal((600, 1))
    >>> eta = 0.5 + X[:, 0] + rng.standard_normal(30)[district]
    >>> y = np.where(rng.random(600) < 1 / (1 + np.exp(-eta)), "yes", "no")
    >>> model = HierarchicalLogisticRegression(random_state=0).fit(X, y, groups=district)
    >>> print(f"{model.coef_[0]:.0f}", model.classes_)
    1 ['no' 'yes']
    >>> model.predict_proba(X[:2], groups=district[:2]).shape
    (2, 2)
    """

    classes_: NDArray[Any]

    @warns_of_weights
    def partial_fit(  # type: ignore[override]  # sizes are one for all rows
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Merge more rows with those of earlier fits and sample the posterior of all.

        The posterior is that of one fit on all rows, whatever the batches and their order. The
        first call is a fit, except that it warns of variances which its rows cannot tell, and
        does not fail.

        Parameters
        ----------
        X, y, groups, sample_weight
            As in :meth:`fit`; groups may be new.
        classes : array-like of shape (2,), default=None
            The labels of both classes. They are needed if the rows of the first call have one
            only.

        Returns
        -------
        object
            The fitted estimator. If the fit fails or is interrupted, it is as it was before.

        Raises
        ------
        TypeError, ValueError
            If the data cannot be used, or are not of the features and factors of the fit.
        """
        return self._add_rows((X, y, groups, sample_weight, {"classes": classes}))

    def predict(  # type: ignore[override]  # classes have no standard deviation
        self, X: ArrayLike | None, groups: Any = None
    ) -> NDArray[Any]:
        """Predict the more probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or None
            As in :meth:`fit`.
        groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
            Labels; `new_groups` decides about those that were not seen or are missing.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels of `classes_`.

        Raises
        ------
        NotFittedError
            Before fit.
        ValueError
            If the rows are not like those of fit.
        """
        probability = self._probability(X, groups)
        return np.asarray(self.classes_[(probability > 0.5).astype(int)])

    def predict_interval(
        self,
        X: ArrayLike | None,
        groups: Any = None,
        coverage: Any = 0.9,
        *,
        kind: str = "mean",
        **size: Any,
    ) -> Float:
        """Predict equal-tailed intervals of the probability of the second class.

        Parameters
        ----------
        X, groups
            As in :meth:`predict`.
        coverage : float, default=0.9
            Probability that the probability is inside.
        kind : {"mean", "response"}, default="mean"
            Whether intervals are of the probability, or of y itself, which is 0 or 1.
        **size : dict of array-like
            SIZE

        Returns
        -------
        ndarray of shape (n_samples, 2)
            Lower and upper bounds.

        Raises
        ------
        ValueError
            If `coverage` is not in (0, 1), or there is no such `kind`.
        """
        return super().predict_interval(X, groups, coverage, kind=kind, **size)

    def predict_quantiles(
        self,
        X: ArrayLike | None,
        groups: Any = None,
        quantiles: ArrayLike = (0.05, 0.25, 0.5, 0.75, 0.95),
        *,
        kind: str = "mean",
        **size: Any,
    ) -> Float:
        """Predict posterior quantiles of the probability of the second class.

        Parameters
        ----------
        X, groups
            As in :meth:`predict`.
        quantiles : array-like of shape (n_quantiles,)
            Probabilities.
        kind : {"mean", "response"}, default="mean"
            Whether quantiles are of the probability, or of y itself, which is 0 or 1.
        **size : dict of array-like
            SIZE

        Returns
        -------
        ndarray of shape (n_samples, n_quantiles)
            Quantiles of each row.

        Raises
        ------
        ValueError
            If a probability is not in (0, 1), or there is no such `kind`.
        """
        return super().predict_quantiles(X, groups, quantiles, kind=kind, **size)

    def predict_proba(self, X: ArrayLike | None, groups: Any = None) -> Float:
        """Predict the posterior mean of the probability of each class.

        Parameters
        ----------
        X, groups
            As in :meth:`predict`.

        Returns
        -------
        ndarray of shape (n_samples, 2)
            Probabilities in the order of `classes_`. Those of a row of a new group are averaged
            over the effects that the group may have.
        """
        probability = self._probability(X, groups)
        return np.column_stack([1.0 - probability, probability])

    def predict_log_proba(self, X: ArrayLike | None, groups: Any = None) -> Float:
        """Return the logarithms of :meth:`predict_proba`.

        Parameters
        ----------
        X, groups
            As in :meth:`predict`.

        Returns
        -------
        ndarray of shape (n_samples, 2)
            Natural logarithms.
        """
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.predict_proba(X, groups)))

    def decision_function(self, X: ArrayLike | None, groups: Any = None) -> Float:
        """Return the logit of the probability of the second class.

        Parameters
        ----------
        X, groups
            As in :meth:`predict`.

        Returns
        -------
        ndarray of shape (n_samples,)
            Positive where the second class is predicted.
        """
        probability = self._probability(X, groups)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(probability) - np.log1p(-probability))

    def score(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the accuracy: the share of rows whose class is predicted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or None
            As in :meth:`predict`.
        y : array-like of shape (n_samples,)
            Labels of classes.
        groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
            As in :meth:`predict`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            Between 0 and 1.
        """
        from sklearn.metrics import accuracy_score

        warn_of_observed_order(X, groups, y=y, sample_weight=sample_weight)
        predicted = self.predict(X, groups)
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    def _probability(self, X: Any, groups: Any) -> Float:
        """Return the probability of the second class of each row (n_samples,)."""
        rows = read_new_rows(self, X, groups)
        return self._predictive(rows, np.ones(len(rows))).moments()[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def _encode(self, fitted: Self, y: Any, before: Any, given: dict[str, Any]) -> Any:
        """Return 0 and 1 in place of labels, whose classes the unfitted copy learns."""
        if y is None:
            msg = f"{type(self).__name__} requires y to be passed, but the target y is None."
            raise ValueError(msg)
        labels = _as_labels(y)
        if before is not None:
            # Batches of a table are read before there is a fit.
            if "classes_" not in vars(fitted):
                fitted.classes_ = self.classes_
            if given.get("classes") is not None:
                _encoded(_as_labels(given["classes"]), fitted.classes_)
            return _encoded(labels, fitted.classes_)
        weights = as_weights(given["sample_weight"], len(labels))
        classes = np.unique(labels if weights is None else labels[weights > 0])
        if given.get("classes") is not None:
            classes = np.unique(np.concatenate([classes, _as_labels(given["classes"])]))
        if len(classes) != 2:
            _refuse_classes(classes)
        fitted.classes_ = classes
        # Rows of weight zero may have other labels.
        return (labels == classes[1]).astype(np.float64)

    def _known_of_target(self, frame: Any, target: str) -> dict[str, Any]:
        labels = frame.select(target).unique()
        labels = labels.collect() if hasattr(labels, "collect") else labels
        return {"classes": labels.get_column(target).to_numpy()}

    def _encoded(self, y: Any) -> Any:
        check_is_fitted(self)
        return _encoded(_as_labels(y), self.classes_)


def _as_labels(y: Any) -> NDArray[Any]:
    """Return labels of classes (n_samples,)."""
    labels = np.asarray(column_or_1d(y, warn=True))
    missing = sum(label is None or label != label for label in labels.tolist())
    if missing and labels.dtype.kind == "O":
        msg = (
            f"Input y contains NaN: {missing} of {len(labels)} labels are missing. Drop these "
            "rows, or give them a label."
        )
        raise ValueError(msg)
    if labels.dtype.kind == "f":
        assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    return labels


def _encoded(labels: NDArray[Any], classes: NDArray[Any]) -> Float:
    """Return 0 for the first class and 1 for the second (n_samples,)."""
    unknown = np.setdiff1d(labels, classes)
    if len(unknown):
        msg = (
            f"`y` has labels that are no classes of the fit, {unknown[:5].tolist()}. The "
            f"classes are {classes.tolist()}."
        )
        raise ValueError(msg)
    return (labels == classes[1]).astype(np.float64)


def _refuse_classes(classes: NDArray[Any]) -> None:
    shown = classes[:5].tolist()
    if len(classes) == 1:
        msg = (
            f"`y` has one class only, {shown[0]!r}: a classifier needs samples of two classes. "
            "Fit to rows of both or, if the other class never occurs, use "
            "HierarchicalBinomialRegressor, whose y are 0 and 1."
        )
        raise ValueError(msg)
    msg = (
        "Only binary classification is supported. The type of the target is multiclass: got "
        f"{len(classes)} classes, {shown}, ... For more than two, use "
        "sklearn.multiclass.OneVsRestClassifier around this estimator, with labels as a column "
        "of X (`group_features`)."
    )
    raise ValueError(msg)
