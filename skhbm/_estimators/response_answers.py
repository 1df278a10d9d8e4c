"""What an estimator of another response answers: effects, tables and the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._estimators.fitted import INTERVAL, Fitted
from skhbm._posterior.response_effects import DrawnEffects
from skhbm._posterior.response_shrinkage import (
    group_coefficient_draws,
    response_group_coefficients,
    response_shrinkage,
)
from skhbm._posterior.response_variance import (
    response_partition,
    response_r2,
    response_variances,
)
from skhbm._prediction.response_rows import predictors_of
from skhbm._prediction.responses import ResponsePredictive

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pymc as pm
    import xarray as xr

    from skhbm._families.family import Family
    from skhbm._inputs.rows import Rows
    from skhbm._prediction.coefficient_intervals import Coefficient
    from skhbm._types import Float

__all__ = ["ResponseAnswers"]


class ResponseAnswers(Fitted):
    """Answers of a posterior whose effects are drawn when they are asked for."""

    _family: Family

    def _effects(self) -> DrawnEffects:
        """Return the effects that were drawn so far, and what draws more."""
        if "effects" not in self._lazy:
            self._lazy["effects"] = DrawnEffects(self._posterior)
        effects: DrawnEffects = self._lazy["effects"]
        return effects

    def _group_coefficients(self, factor: int) -> Float:
        return response_group_coefficients(self._effects(), factor)

    def _intervals(
        self, which: Coefficient, probabilities: Float
    ) -> tuple[Float, float, Float]:
        effects = self._effects()
        draws = group_coefficient_draws(
            effects, which.factor, with_population=which.with_population
        )[:, :, which.term]
        terms = self._posterior.design.factors[which.factor].terms
        position = terms.varying_positions[which.term]
        population = self._posterior.mean_coefficients()[position]
        bounds = np.quantile(draws, probabilities, axis=0).T
        return draws.mean(axis=0), float(population) * which.with_population, bounds

    def _expected(self, rows: Rows, probabilities: Float) -> tuple[Float, Float]:
        predictive = self._predictive(rows, np.ones(len(rows)))
        mean, _ = predictive.moments(with_noise=False)
        if not len(probabilities):
            return mean, np.empty((len(mean), 0))
        return mean, predictive.quantiles(probabilities, with_noise=False)

    def _as_mean(self, predictor: Float) -> Float:
        return np.asarray(self._family.inverse_link(predictor))

    def _predictive(self, rows: Rows, sizes: Float) -> ResponsePredictive:
        """Return the posterior predictive distributions of rows."""
        effects = self._effects()
        dispersion = effects.posterior.dispersions()
        return ResponsePredictive(self._family, predictors_of(effects, rows), sizes, dispersion)

    def _shrinkage_columns(self, factor: int) -> dict[str, Any]:
        return response_shrinkage(self._effects(), factor, INTERVAL)

    def _variance_columns(self) -> Mapping[str, Any]:
        return response_variances(self._effects(), INTERVAL)

    def _partition_columns(self) -> tuple[list[str], Mapping[str, Any]]:
        return response_partition(self._posterior, INTERVAL)

    def _r2_columns(self) -> tuple[list[str], Mapping[str, Any]]:
        return response_r2(self._effects(), INTERVAL)

    def _to_datatree(self) -> xr.DataTree:
        from skhbm._posterior.datatree import response_datatree

        return response_datatree(self._posterior, self._sample_stats)

    def _build_model(self) -> pm.Model:
        from skhbm._density.pymc_responses import build_response_model

        return build_response_model(self._posterior.design, self._priors)
