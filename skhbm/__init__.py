"""Hierarchical Bayesian regression for scikit-learn.

Names are imported when they are first used: ``import skhbm`` loads neither PyMC, ArviZ,
pandas nor matplotlib.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skhbm import datasets as datasets
    from skhbm import metrics as metrics
    from skhbm._displays.calibration import CalibrationDisplay
    from skhbm._displays.fitted_lines import FittedLinesDisplay
    from skhbm._displays.group_effects import GroupEffectsDisplay
    from skhbm._displays.posterior_predictive import PosteriorPredictiveDisplay
    from skhbm._displays.shrinkage import ShrinkageDisplay
    from skhbm._estimators.binomial import HierarchicalBinomialRegressor
    from skhbm._estimators.logistic import HierarchicalLogisticRegression
    from skhbm._estimators.negative_binomial import HierarchicalNegativeBinomialRegressor
    from skhbm._estimators.normal import HierarchicalNormalRegressor
    from skhbm._estimators.poisson import HierarchicalPoissonRegressor
    from skhbm._estimators.student_t import HierarchicalStudentTRegressor
    from skhbm._inputs.warning import DataWarning
    from skhbm._priors.prior import Prior
    from skhbm._statistics.grouped import GroupedStatistics

__all__ = [
    "CalibrationDisplay",
    "DataWarning",
    "FittedLinesDisplay",
    "GroupEffectsDisplay",
    "GroupedStatistics",
    "HierarchicalBinomialRegressor",
    "HierarchicalLogisticRegression",
    "HierarchicalNegativeBinomialRegressor",
    "HierarchicalNormalRegressor",
    "HierarchicalPoissonRegressor",
    "HierarchicalStudentTRegressor",
    "PosteriorPredictiveDisplay",
    "Prior",
    "ShrinkageDisplay",
    "datasets",
    "metrics",
]
__version__ = "0.1.0"

_HOMES = {
    "CalibrationDisplay": "skhbm._displays.calibration",
    "DataWarning": "skhbm._inputs.warning",
    "FittedLinesDisplay": "skhbm._displays.fitted_lines",
    "GroupEffectsDisplay": "skhbm._displays.group_effects",
    "GroupedStatistics": "skhbm._statistics.grouped",
    "HierarchicalBinomialRegressor": "skhbm._estimators.binomial",
    "HierarchicalLogisticRegression": "skhbm._estimators.logistic",
    "HierarchicalNegativeBinomialRegressor": "skhbm._estimators.negative_binomial",
    "HierarchicalPoissonRegressor": "skhbm._estimators.poisson",
    "HierarchicalStudentTRegressor": "skhbm._estimators.student_t",
    "HierarchicalNormalRegressor": "skhbm._estimators.normal",
    "PosteriorPredictiveDisplay": "skhbm._displays.posterior_predictive",
    "Prior": "skhbm._priors.prior",
    "ShrinkageDisplay": "skhbm._displays.shrinkage",
}


class _Moved(ModuleType):
    """A module that pickles of scorers name, and that is elsewhere now."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module("skhbm.metrics._scorer"), name)


sys.modules.setdefault("skhbm._scoring", _Moved("skhbm._scoring"))


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in ("datasets", "metrics"):
        return import_module(f"skhbm.{name}")
    msg = f"module 'skhbm' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
