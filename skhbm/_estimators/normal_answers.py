"""What an estimator of a normal response answers: moments of effects, tables and the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._estimators.fitted import INTERVAL, Fitted
from skhbm._posterior.moments import add_moments, start_moments
from skhbm._posterior.shrinkage import group_coefficients, shrinkage_columns
from skhbm._posterior.variance import partition_columns, r2_columns, variance_columns
from skhbm._prediction import predictive
from skhbm._prediction.coefficient_intervals import estimates, intervals, quantiles

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pymc as pm
    import xarray as xr

    from skhbm._inputs.rows import Rows
    from skhbm._posterior.moments import GroupMoments
    from skhbm._prediction.coefficient_intervals import Coefficient
    from skhbm._types import Float, Int

__all__ = ["NormalAnswers"]


class NormalAnswers(Fitted):
    """Answers of a posterior whose effects are normal given each draw."""

    def _moments(self, codes: Int | None = None) -> GroupMoments:
        """Return the moments, computed once, of the coded groups or of all."""
        if "moments" not in self._lazy:
            self._lazy["moments"] = start_moments(self._posterior)
        moments: GroupMoments = self._lazy["moments"]
        done = moments.done
        if not np.all(done if codes is None else done[codes] | (codes < 0)):
            wanted = np.flatnonzero(~done) if codes is None else np.unique(codes[codes >= 0])
            add_moments(moments, self._posterior, wanted)
        return moments

    def _group_coefficients(self, factor: int) -> Float:
        return group_coefficients(self._posterior, self._moments(), factor)

    def _intervals(
        self, which: Coefficient, probabilities: Float
    ) -> tuple[Float, float, Float]:
        estimate, population = estimates(self._posterior, self._moments(), which)
        return estimate, population, quantiles(self._posterior, which, probabilities)

    def _expected(self, rows: Rows, probabilities: Float) -> tuple[Float, Float]:
        moments = self._moments(rows.codes())
        mean, _ = predictive.moments(self._posterior, moments, rows, with_sd=False)
        if not len(probabilities):
            return mean, np.empty((len(mean), 0))
        bounds = predictive.quantiles(self._posterior, rows, probabilities, with_noise=False)
        return mean, bounds

    def _as_mean(self, predictor: Float) -> Float:
        return predictor

    def _shrinkage_columns(self, factor: int) -> dict[str, Any]:
        posterior, moments = self._posterior, self._moments()
        interval = intervals(posterior, moments, factor, INTERVAL)
        return shrinkage_columns(posterior, moments, factor, INTERVAL, interval)

    def _variance_columns(self) -> Mapping[str, Any]:
        return variance_columns(self._posterior, self._statistics, INTERVAL)

    def _partition_columns(self) -> tuple[list[str], Mapping[str, Any]]:
        return partition_columns(self._posterior, self._statistics, INTERVAL)

    def _r2_columns(self) -> tuple[list[str], Mapping[str, Any]]:
        return r2_columns(self._posterior, self._statistics, INTERVAL)

    def _to_datatree(self) -> xr.DataTree:
        from skhbm._posterior.datatree import to_datatree

        return to_datatree(self._posterior, self._statistics, self._sample_stats)

    def _build_model(self) -> pm.Model:
        from skhbm._density.pymc_model import build_model

        return build_model(self._posterior.design, self._priors, self._statistics)
