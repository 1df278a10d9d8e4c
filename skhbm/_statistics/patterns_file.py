"""Describe patterns as arrays and JSON for a file, and check what is read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._inputs.archive import require
from skhbm._statistics.file import as_names, check_codes, pack_factors, unpack_factors
from skhbm._statistics.patterns import Patterns

if TYPE_CHECKING:
    from skhbm._inputs.archive import Arrays

__all__ = ["pack_patterns", "unpack_patterns"]

ARRAYS = ("codes", "X", "y", "size", "weight", "n")


def pack_patterns(patterns: Patterns) -> tuple[dict[str, Any], Arrays]:
    """Return a description and arrays by name.

    Raises
    ------
    TypeError
        If labels are of a type that JSON does not keep apart.
    """
    factors, labels = pack_factors(patterns.factors)
    names = patterns.feature_names
    about = {
        "factors": factors,
        "feature_names": names if names is None else list(names),
        "additive": patterns.additive,
    }
    return about, {name: getattr(patterns, name) for name in ARRAYS} | labels


def unpack_patterns(about: dict[str, Any], arrays: Arrays) -> Patterns:
    """Return patterns, checked; take what is used from the arrays.

    Whether y can be a response of the family is left to `Family.check_target`, as sums of rows
    need not be: y of patterns of weighted rows may be no whole numbers.
    """
    taken = {name: arrays.pop(name) for name in ARRAYS}
    factors, additive = unpack_factors(about["factors"], arrays), about["additive"]
    require(isinstance(additive, bool), "additive")
    check_codes(taken["codes"], factors)
    rows = len(taken["codes"])
    for name in ARRAYS[1:]:
        array = taken[name]
        require(array.dtype == np.float64, "the dtype of patterns")
        require(bool(np.all(np.isfinite(array))), "patterns, which must be finite")
        require(array.ndim == (2 if name == "X" else 1) and len(array) == rows, "shapes")
    size, weight, n = (taken[name] for name in ("size", "weight", "n"))
    require(bool(np.all(size > 0) and np.all(n > 0)), "sizes and counts, above zero")
    require(bool(np.all(weight == (1.0 if additive else n))), "weights")
    names = as_names(about["feature_names"], taken["X"].shape[1])
    return Patterns(factors, **taken, additive=additive, feature_names=names)
