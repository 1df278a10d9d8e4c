"""The methods of an estimator of another response that fit it to rows, or add rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from skhbm._design.identifiability import warn_of_far_slopes
from skhbm._design.responses import make_response_design
from skhbm._design.specification import make_terms, terms_of_names
from skhbm._estimators.base import BaseHierarchicalEstimator
from skhbm._estimators.named_size import sizes_of
from skhbm._inputs.fit_rows import read_fit_rows
from skhbm._inputs.response import warn_if_not_whole
from skhbm._inputs.third_argument import warns_of_weights
from skhbm._priors.defaults import hold_at_means
from skhbm._priors.responses import resolve_response_priors
from skhbm._statistics.pattern_moments import moments_of_patterns
from skhbm._statistics.patterns import patterns_of_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from skhbm._design.responses import ResponseDesign
    from skhbm._families.family import Family
    from skhbm._posterior.responses import ResponsePosterior
    from skhbm._priors.prior import Priors
    from skhbm._sampling.draws import Draws
    from skhbm._sampling.solvers import Settings
    from skhbm._statistics.patterns import Patterns

__all__ = ["ResponseFitting"]


class ResponseFitting(BaseHierarchicalEstimator):
    """Fits of an estimator to rows, which are kept as patterns."""

    _family: Family
    # There is no residual scale by group, nor known errors.
    residual_scale = "shared"

    def fit(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        sample_weight: ArrayLike | None = None,
        **size: Any,
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
            Frequencies: a weight of 2 is the row twice.
        **size : dict of array-like
            SIZE

        Returns
        -------
        object
            The fitted estimator. If the fit fails or is interrupted, it is as it was before.

        Raises
        ------
        TypeError, ValueError
            If a parameter or the data cannot be used; the message says what to do.
        """
        return self._fit_rows((X, y, groups, sample_weight, size))

    fit = warns_of_weights(fit)

    def partial_fit(
        self,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        sample_weight: ArrayLike | None = None,
        **size: Any,
    ) -> Self:
        """Merge more rows with those of earlier fits and sample the posterior of all.

        The posterior is that of one fit on all rows, whatever the batches and their order. The
        first call is a fit, except that it warns of variances which its rows cannot tell, and
        does not fail.

        Parameters
        ----------
        X, y, groups, sample_weight
            As in :meth:`fit`; groups may be new.
        **size : dict of array-like
            SIZE

        Returns
        -------
        object
            The fitted estimator. If the fit fails or is interrupted, it is as it was before.

        Raises
        ------
        TypeError, ValueError
            If the data cannot be used, or are not of the features and factors of the fit.
        """
        return self._add_rows((X, y, groups, sample_weight, size))

    partial_fit = warns_of_weights(partial_fit)

    def _encode(self, fitted: Any, y: Any, before: Any, given: dict[str, Any]) -> Any:
        """Return the response as numbers; a classifier learns its classes.

        `given` are the other arguments of `fit` by name.
        """
        del fitted, before, given
        return y

    def _reduce(self, fitted: Self, rows: Any, before: Any = None) -> Patterns:
        X, y, groups, sample_weight, size = rows
        factors = None if before is None else before.factors
        y = self._encode(fitted, y, before, {"sample_weight": sample_weight, **size})
        read = read_fit_rows(fitted, X, y, groups, sample_weight, None, factors)
        sizes = sizes_of(self, size, len(read.y), observed=before is not None)
        self._family.check_target(read.y, sizes)
        if self._family.discrete:
            warn_if_not_whole(read.y)
        names = ["group" if name is None else name for name, _ in read.factors]
        if before is None:
            # Mistakes that names alone show are refused before rows are summed.
            terms_of_names(fitted, names, known_errors=False)
        return patterns_of_rows(read, sizes, additive=self._family.additive)

    def _make_design(
        self, fitted: Self, statistics: Any, *, more_to_come: bool
    ) -> ResponseDesign:
        moments = moments_of_patterns(statistics)
        terms = make_terms(fitted, moments, self._family, more_to_come=more_to_come)
        names = [levels.name for levels in moments.factors]
        if names:
            centred = hold_at_means(self.priors, terms, names)
            terms = tuple(
                replace(of_factor, centred=at_means)
                for of_factor, at_means in zip(terms, centred, strict=True)
            )
        design = make_response_design(self._family, statistics, moments, terms)
        warn_of_far_slopes(terms, design.scaling)
        return design

    def _make_priors(self, design: Any) -> Priors:
        return resolve_response_priors(self.priors, design)

    def _infer(
        self, design: Any, priors: Priors, settings: Settings
    ) -> tuple[ResponsePosterior, Draws]:
        from skhbm._priors.pytensor_folder import ensure_folder

        ensure_folder()
        from skhbm._estimators.inference import infer_response

        return infer_response(design, priors, self.solver, settings)

    def _set_response(self, posterior: ResponsePosterior) -> None:
        for i, name in enumerate(self._family.dispersion):
            setattr(self, f"{name}_", float(posterior.dispersion[:, :, i].mean()))
