"""Rows with their target and, for other responses, their predictive distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skhbm._estimators.named_size import sizes_of
from skhbm._inputs.new_rows import read_new_rows, read_observed
from skhbm._inputs.order import warn_of_observed_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skhbm._estimators.response_predicting import ResponsePredicting
    from skhbm._prediction.responses import ResponsePredictive
    from skhbm._types import Float

__all__ = ["scored_rows"]


def scored_rows(
    model: ResponsePredicting, X: Any, y: Any, groups: Any, sizes: Mapping[str, Any]
) -> tuple[ResponsePredictive, Float]:
    """Return the predictive distributions of rows, and their target as numbers (n,), checked.

    `sizes` has trials or exposures by name, if there are any.
    """
    rows = read_new_rows(model, X, groups)
    warn_of_observed_order(X, groups, y=y, **sizes)
    target, _ = read_observed(model, len(rows), model._encoded(y), None)
    size = sizes_of(model, dict(sizes), len(rows))
    model._family.check_target(target, size)
    return model._predictive(rows, size), target
