"""What all estimators do: fit, sample, add rows, condition; no mathematics.

A final class, as in `normal`, has a signature and implements what is abstract here for its
response. The roles (`fitted`, `predicting`, `comparing`, `tables`, `saving`) are classes over
`BaseHierarchicalEstimator`, which declares all that they may call. No method is overridden once
it is implemented.
"""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils.validation import check_is_fitted

from skhbm._estimators.doc_link import page_template
from skhbm._estimators.progress import ChainTasks, ProgressLine
from skhbm._estimators.selectors import Coefficients
from skhbm._inputs.parameters import as_random_state, check_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from skhbm._comparison.conditioning import Origin
    from skhbm._priors.prior import Priors
    from skhbm._sampling.draws import Draws, Watcher
    from skhbm._sampling.solvers import Settings


__all__ = ["ROUTED", "BaseHierarchicalEstimator"]

#: X, y, groups, sample_weight and what else the response asks for, as a user gives them.
type Rows = tuple[Any, Any, Any, Any, Any]

#: Methods that scikit-learn hands group labels to.
ROUTED = ("fit", "partial_fit", "predict", "score")


class BaseHierarchicalEstimator(CallbackSupportMixin, BaseEstimator, ABC):
    """A model of rows in groups, fitted by draws from its posterior."""

    # The constructor of a final class sets these parameters: scikit-learn reads its signature.
    group_features: Any
    varying_slopes: Any
    varying_intercept: Any
    correlated: Any
    residual_scale: str
    priors: Any
    fit_intercept: bool
    solver: str
    draws: int
    tune: int
    chains: int
    target_accept: float
    new_groups: str
    n_jobs: int | None
    random_state: Any
    verbose: int

    # A fit sets these attributes, the names of the columns of X only if they are strings.
    n_features_in_: int
    feature_names_in_: NDArray[Any]
    coef_ = Coefficients()
    diagnostics_: dict[str, Any]
    _posterior: Any
    _statistics: Any
    _priors: Priors
    _sample_stats: dict[str, Any]
    _origin: Origin | None
    #: Results that were computed when they were asked for, by name.
    _lazy: dict[str, Any]

    # What `save` writes.
    _format: ClassVar[Any]

    # The link in the HTML representation is made of this name.
    _doc_link_module = "skhbm"

    # scikit-learn reads these when metadata routing is enabled.
    __metadata_request__fit: ClassVar = {"groups": True}
    __metadata_request__partial_fit: ClassVar = {"groups": True}
    __metadata_request__predict: ClassVar = {"groups": True}
    __metadata_request__score: ClassVar = {"groups": True}

    @abstractmethod
    def predict(
        self,
        X: ArrayLike | None,
        groups: Any = None,
        return_std: bool = False,
        return_cov: bool = False,
        *,
        kind: str = "response",
    ) -> Any:
        """Predict the target; see `Predicting`."""

    @abstractmethod
    def _reduce(self, fitted: Self, rows: Rows, before: Any = None) -> Any:
        """Check rows, and return what is kept of them; it adds with ``+``.

        `rows` are X, y, groups, sample_weight, and what else the response asks for of each row.
        `before` is what is kept of rows that they are to be added to.
        """

    @abstractmethod
    def _make_design(self, fitted: Self, statistics: Any, *, more_to_come: bool) -> Any:
        """Return what varies by which factor; the unfitted copy has the columns of X."""

    @abstractmethod
    def _make_priors(self, design: Any) -> Priors:
        """Return the prior of each parameter."""

    @abstractmethod
    def _infer(self, design: Any, priors: Priors, settings: Settings) -> tuple[Any, Draws]:
        """Draw the posterior; return it with the draws of the hyperparameters."""

    @abstractmethod
    def _set_response(self, posterior: Any) -> None:
        """Set the fitted attributes that only this response has."""

    def _conditioned(
        self, weigh: Callable[[Origin], tuple[Origin, Any]], started: float
    ) -> Self:
        """Return an estimator whose draws are weighted, and resampled.

        `weigh` adds log weights to the draws of the fit, and says what is kept of all rows.
        """
        from skhbm._comparison.conditioning import resample, warn_if_unreliable

        origin, statistics = weigh(self._first_draws())
        resampled = resample(origin)
        copy = object.__new__(type(self))
        copy.__dict__.update(vars(self))
        copy._set_fitted(
            resampled.posterior, statistics, self._priors, resampled.sample_stats, origin
        )
        n_draws = self._posterior.n_draws
        copy.diagnostics_ = {
            **self.diagnostics_,
            "pareto_k": resampled.k,
            "min_ess": resampled.efficiency * n_draws,
            "seconds": time.perf_counter() - started,
        }
        warn_if_unreliable(resampled.k, n_draws)
        return copy

    def _first_draws(self) -> Origin:
        """Return the draws of the fit, with the weights of rows that came later."""
        if self._origin is not None:
            return self._origin
        from skhbm._comparison.conditioning import Origin

        n_draws = self._posterior.n_draws
        efficiency = self.diagnostics_["min_ess"] / n_draws
        return Origin(self._posterior, np.zeros(n_draws), self._sample_stats, efficiency)

    def get_metadata_routing(self) -> Any:
        """Return what metadata the methods ask scikit-learn's routing for.

        Returns
        -------
        MetadataRequest
            `groups` for fit, partial_fit, predict and score; not if `group_features` says that
            X has them, so that they can be given to a splitter alone.
        """
        request = super().get_metadata_routing()
        if self.group_features is not None:
            for method in ROUTED:
                getattr(request, method).add_request(param="groups", alias=False)
        return request

    def _fit_rows(self, rows: Rows) -> Self:
        """Sample the posterior given the rows."""
        started = time.perf_counter()
        check_parameters(self)
        fitted = self._unfitted_copy()
        statistics = self._reduce(fitted, rows)
        return self._fit(fitted, statistics, started, _as_metadata(rows))

    def _add_rows(self, rows: Rows) -> Self:
        """Sample the posterior given more rows and those of earlier fits."""
        started = time.perf_counter()
        check_parameters(self)
        fitted = self._unfitted_copy()
        before = self._statistics if self.__sklearn_is_fitted__() else None
        if before is not None:
            fitted._keep_columns(self)
        batch = self._reduce(fitted, rows, before)
        statistics = batch if before is None else before + batch
        metadata = _as_metadata(rows)
        return self._fit(fitted, statistics, started, metadata, more_to_come=True)

    def _fit(
        self,
        fitted: Self,
        statistics: Any,
        started: float,
        rows: dict[str, Any],
        *,
        more_to_come: bool = False,
    ) -> Self:
        """Sample the posterior and take over from an unfitted copy what it has learned."""
        design = self._make_design(fitted, statistics, more_to_come=more_to_come)
        priors = self._make_priors(design)
        unchanged = dict(vars(self))
        try:
            self._sample(fitted, statistics, design, priors, started, rows)
        except BaseException:
            # scikit-learn's attributes for callbacks stay if their teardown is interrupted.
            self.__dict__ = unchanged
            raise
        self.__dict__ = fitted.__dict__

        from skhbm._posterior.diagnostics import warn_if_not_converged

        n_draws = self._posterior.n_draws
        warn_if_not_converged(self.diagnostics_, n_draws, design.terms, design.scaling)
        return self

    @with_callbacks  # type: ignore[untyped-decorator]  # scikit-learn has no types
    def _sample(
        self,
        fitted: Self,
        statistics: Any,
        design: Any,
        priors: Priors,
        started: float,
        rows: dict[str, Any],
    ) -> None:
        """Sample the posterior into an unfitted copy; callbacks are told of this estimator."""
        from skhbm._posterior.diagnostics import diagnose

        context = self._init_callback_context(
            max_subtasks=self.chains, sequential_subtasks=False
        )
        context.call_on_fit_task_begin(estimator=self, **rows)
        total = self.tune + self.draws
        line = ProgressLine(total, sys.stdout if self.verbose else None)
        watchers: list[Any] = [line] if self.verbose else []
        if hasattr(self, "_skl_callbacks"):
            watchers.append(ChainTasks(context, self.chains, total, estimator=self, **rows))
        with line:
            posterior, draws = self._infer(design, priors, self._settings(watchers))
            # Chains that do not move have not converged: their R-hat is infinite or NaN.
            with np.errstate(divide="ignore", invalid="ignore"):
                diagnostics = diagnose(posterior, draws)
            fitted._set_fitted(posterior, statistics, priors, draws.statistics)
            fitted.diagnostics_ = {**diagnostics, "seconds": time.perf_counter() - started}
            line.conclude(posterior.shape, fitted.diagnostics_)
        context.call_on_fit_task_end(
            estimator=self, reconstruction_attributes=lambda: vars(fitted), **rows
        )

    def _settings(self, watchers: Sequence[Watcher]) -> Settings:
        """Return how to draw; a seed is taken from a generator of random numbers."""
        from skhbm._numba.threads import n_threads
        from skhbm._sampling.solvers import Settings

        return Settings(
            self.draws,
            self.tune,
            self.chains,
            float(self.target_accept),
            int(as_random_state(self.random_state).randint(2**31 - 1)),
            n_threads(self.n_jobs, self.chains),
            watchers,
        )

    def _set_fitted(
        self,
        posterior: Any,
        statistics: Any,
        priors: Priors,
        sample_stats: dict[str, Any],
        origin: Origin | None = None,
    ) -> None:
        """Set the fitted attributes."""
        self._posterior = posterior
        self._statistics = statistics
        self._priors = priors
        self._sample_stats = sample_stats
        self._origin = origin
        self._lazy = {}
        mean = posterior.mean_coefficients()
        self.intercept_ = float(mean[0])
        self.coef_ = mean[1:]
        factors = posterior.design.factors if statistics.factors else ()
        self.groups_ = self._by_factor(lambda f: factors[f].levels.labels, np.empty(0, object))
        self.n_groups_ = self._by_factor(lambda f: factors[f].n_groups, 0)
        self.group_scale_ = self._by_factor(
            lambda f: posterior.scales_at_zero(f).tau.mean(axis=(0, 1)), np.empty(0)
        )
        self._set_response(posterior)

    def _by_factor(self, function: Callable[[int], Any], without: Any = None) -> Any:
        """Return the value of a function for the factor, or a dict if there are several."""
        check_is_fitted(self)
        names = [levels.name for levels in self._statistics.factors]
        if not names:
            return function(0)[:0] if without is None else without
        if len(names) == 1:
            return function(0)
        return {name: function(factor) for factor, name in enumerate(names)}

    def _unfitted_copy(self) -> Self:
        """Return an estimator with the same parameters and nothing fitted."""
        copy = object.__new__(type(self))
        fitted = (
            "_posterior",
            "_statistics",
            "_priors",
            "_sample_stats",
            "_origin",
            "_lazy",
        )
        kept = {k: v for k, v in vars(self).items() if not k.endswith("_") and k not in fitted}
        copy.__dict__.update(kept)
        return copy

    def _keep_columns(self, fitted: Self) -> None:
        """Take over what a fitted estimator knows of the columns of X."""
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))

    @property
    def _doc_link_template(self) -> str:
        return page_template()

    def _get_fitted_attr_html(self, doc_link: str = "") -> Any:
        """Show the attributes that are set: to show properties would compute them."""
        table = super()._get_fitted_attr_html.__func__(SimpleNamespace(**vars(self)), doc_link)
        table.estimator_class = type(self)
        return table

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether there is a posterior."""
        return "_posterior" in vars(self)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be computed again."""
        state = super().__getstate__()
        return {**state, "_lazy": {}} if "_lazy" in state else state


def _as_metadata(rows: Rows) -> dict[str, Any]:
    """Return the rows as callbacks get them, with the metadata that `score` takes."""
    X, y, groups, sample_weight, _ = rows
    metadata = {"groups": groups, "sample_weight": sample_weight}
    given = {name: value for name, value in metadata.items() if value is not None}
    return {"X": X, "y": y, "metadata": given}
