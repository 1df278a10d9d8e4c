"""What an estimator of another response answers: effects, tables and the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skhbm._estimators.fitted import INTERVAL, Fitted
from skhbm._posterior.response_effects import DrawnEffects
from skhbm._posterior.response_shrinkage import response_group_coefficients, response_shrinkage
from skhbm._posterior.response_variance import (
    response_partition,
    response_r2,
    response_variances,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pymc as pm
    import xarray as xr

    from skhbm._families.family import Family
    from skhbm._types import Float

__all__ = ["ResponseAnswers"]


class ResponseAnswers(Fitted):
    """Answers of a posterior whose effects are drawn when they are asked for."""

    _family: Family

    def _encoded(self, y: Any) -> Any:
        """Return the response as numbers."""
        return y

    def _effects(self) -> DrawnEffects:
        """Return the effects that were drawn so far, and what draws more."""
        if "effects" not in self._lazy:
            self._lazy["effects"] = DrawnEffects(self._posterior)
        effects: DrawnEffects = self._lazy["effects"]
        return effects

    def _group_coefficients(self, factor: int) -> Float:
        return response_group_coefficients(self._effects(), factor)

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
