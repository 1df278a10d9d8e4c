"""The files of estimators: those of a normal response, and of others."""

from __future__ import annotations

from typing import Any

from skhbm._estimators.file import Format
from skhbm._inputs.archive import Kind
from skhbm._posterior.file import (
    pack_design,
    pack_posterior,
    unpack_design,
    unpack_posterior,
)
from skhbm._posterior.response_file import (
    pack_response_design,
    pack_response_posterior,
    unpack_response_design,
    unpack_response_posterior,
)
from skhbm._statistics.file import pack_statistics, unpack_statistics
from skhbm._statistics.grouped import GroupedStatistics
from skhbm._statistics.patterns_file import pack_patterns, unpack_patterns

__all__ = ["NORMAL", "format_of_response"]


def _pack_statistics(statistics: GroupedStatistics) -> Any:
    return pack_statistics(statistics._fields())


def _unpack_statistics(about: Any, arrays: Any) -> GroupedStatistics:
    return GroupedStatistics(**unpack_statistics(about, arrays))


NORMAL = Format(
    Kind(
        "skhbm.HierarchicalNormalRegressor",
        # Version 1 had no origins of varying terms: all were at x = 0. Version 2 had draws of
        # the effects of all factors but one, which are not needed any more.
        3,
        "a fitted estimator as HierarchicalNormalRegressor.save writes it",
    ),
    _pack_statistics,
    _unpack_statistics,
    pack_design,
    unpack_design,
    pack_posterior,
    unpack_posterior,
    has_residual=True,
)


def format_of_response(name: str) -> Format:
    """Return the format of the class of this name."""
    return Format(
        Kind(f"skhbm.{name}", 1, f"a fitted estimator as {name}.save writes it"),
        pack_patterns,
        unpack_patterns,
        pack_response_design,
        unpack_response_design,
        pack_response_posterior,
        unpack_response_posterior,
        has_residual=False,
    )
