"""What the estimators of all other responses share: parameters and methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sklearn.base import BaseEstimator

from skhbm._estimators.base import ROUTED
from skhbm._estimators.formats import format_of_response
from skhbm._estimators.named_size import name_sizes
from skhbm._estimators.response_comparing import ResponseComparing
from skhbm._estimators.response_docs import complete
from skhbm._estimators.response_predicting import ResponsePredicting
from skhbm._estimators.response_tables import ResponseTables
from skhbm._estimators.saving import Saving
from skhbm._families.table import FAMILIES

if TYPE_CHECKING:
    from skhbm._estimators.file import Format
    from skhbm._families.family import Family

__all__ = ["HierarchicalResponse"]


class HierarchicalResponse(
    Saving, ResponsePredicting, ResponseComparing, ResponseTables, BaseEstimator
):
    """An estimator of a response that is not normal; a final class names its family."""

    _format: ClassVar[Format]
    _family: ClassVar[Family]  # type: ignore[misc]  # roles read it from an instance

    def __init_subclass__(cls, *, family: str, **kwargs: Any) -> None:
        """Give a final class its family, the names of its sizes, and its documentation."""
        cls._family = FAMILIES[family]
        cls._format = format_of_response(cls.__name__)
        size = cls._family.size_name
        name_sizes(cls, size)
        requested = {"groups": True} if size is None else {"groups": True, size: True}
        for method in ROUTED:
            setattr(cls, f"__metadata_request__{method}", requested)
        cls.__doc__ = complete(cls.__doc__ or "", cls._family.dispersion, cls._family.link)
        super().__init_subclass__(**kwargs)

    def __init__(
        self,
        *,
        group_features: Any = None,
        varying_slopes: Any = None,
        varying_intercept: Any = True,
        correlated: Any = True,
        priors: Any = None,
        fit_intercept: bool = True,
        solver: str = "auto",
        draws: int = 1000,
        tune: int = 1000,
        chains: int = 4,
        target_accept: float = 0.9,
        new_groups: str = "population",
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.group_features = group_features
        self.varying_slopes = varying_slopes
        self.varying_intercept = varying_intercept
        self.correlated = correlated
        self.priors = priors
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.draws = draws
        self.tune = tune
        self.chains = chains
        self.target_accept = target_accept
        self.new_groups = new_groups
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
