"""Write the statistics of cells as arrays and JSON, alone or in a larger file; read them back.

All that is read is checked: compiled code trusts codes and shapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._inputs.archive import (
    ARRAY_KINDS,
    JSON_TYPES,
    Kind,
    read_archive,
    require,
    write_archive,
)
from skhbm._inputs.levels import Levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skhbm._inputs.archive import Arrays
    from skhbm._types import Int

__all__ = [
    "as_names",
    "check_codes",
    "pack_factors",
    "pack_statistics",
    "read_statistics_file",
    "unpack_factors",
    "unpack_statistics",
    "write_statistics_file",
]

KIND = Kind("skhbm.GroupedStatistics", 1, "statistics as GroupedStatistics.save writes them")
ARRAYS = ("codes", "n", "weight", "mean", "cross")


def write_statistics_file(path: Any, fields: dict[str, Any]) -> None:
    """Write a new file and put it in place of an older one when it is complete."""
    write_archive(path, KIND, *pack_statistics(fields))


def read_statistics_file(path: Any) -> dict[str, Any]:
    """Return the fields of the statistics in a file, checked.

    Raises
    ------
    ValueError
        If the file is damaged or holds anything else.
    """
    return read_archive(path, KIND, unpack_statistics)


def pack_statistics(fields: dict[str, Any]) -> tuple[dict[str, Any], Arrays]:
    """Return a description and arrays by name, of the fields of statistics.

    Raises
    ------
    TypeError
        If labels are of a type that JSON does not keep apart.
    """
    factors, labels = pack_factors(fields["factors"])
    names = fields["feature_names"]
    about = {
        "factors": factors,
        "feature_names": names if names is None else list(names),
        "known_errors": fields["known_errors"],
    }
    return about, {name: fields[name] for name in ARRAYS} | labels


def pack_factors(factors: tuple[Levels, ...]) -> tuple[list[dict[str, Any]], Arrays]:
    """Return a description of each factor, and arrays of labels by name.

    Raises
    ------
    TypeError
        If labels are of a type that JSON does not keep apart.
    """
    arrays: Arrays = {}
    described: list[dict[str, Any]] = []
    for i, levels in enumerate(factors):
        labels = levels.labels
        if labels.dtype.kind in ARRAY_KINDS:
            arrays[f"labels{i}"] = labels
            described.append({"name": levels.name})
        else:
            described.append({"name": levels.name, "labels": _as_json(labels, levels.name)})
    return described, arrays


def unpack_statistics(about: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return the fields of the statistics, checked; take what is used from the arrays."""
    taken = {name: arrays.pop(name) for name in ARRAYS}
    factors = unpack_factors(about["factors"], arrays)
    known = about["known_errors"]
    require(isinstance(known, bool), "known_errors")
    first = check_codes(taken["codes"], factors)
    require(bool(np.all(first > 0)) and (bool(factors) or len(first) == 0), "order of cells")
    _check_moments(*(taken[name] for name in ARRAYS), known_errors=known)
    names = as_names(about["feature_names"], taken["mean"].shape[1] - 1)
    return {"factors": factors, **taken, "feature_names": names, "known_errors": known}


def unpack_factors(described: Any, arrays: Arrays) -> tuple[Levels, ...]:
    """Return the levels of factors, checked; take their labels from the arrays."""
    require(isinstance(described, list), "its factors")
    factors = tuple(_as_levels(f, arrays, i) for i, f in enumerate(described))
    require(len({levels.name for levels in factors}) == len(factors), "names of factors")
    return factors


def as_names(names: Any, n_features: int) -> tuple[str, ...] | None:
    """Return the names of features, checked."""
    if names is None:
        return None
    require(isinstance(names, list) and all(type(n) is str for n in names), "names")
    require(len(names) == n_features, "the number of feature names")
    return tuple(names)


def _as_levels(described: Any, arrays: Arrays, i: int) -> Levels:
    """Return the levels of a factor, whose labels are in JSON or in an array."""
    require(isinstance(described, dict) and type(described.get("name")) is str, "a factor")
    if "labels" in described:
        given = described["labels"]
        require(isinstance(given, list), "labels")
        require(all(type(label) in JSON_TYPES for label in given), "the types of labels")
        require(None not in given, "labels, which are missing")
        labels = np.empty(len(given), dtype=object)
        labels[:] = given
    else:
        labels = arrays.pop(f"labels{i}")
    require(labels.ndim == 1 and bool(np.all(labels == labels)), "labels")
    levels = Levels(labels, described["name"])
    require(len(levels._code_of) == len(labels) > 0, "labels, which must differ")
    return levels


def check_codes(codes: NDArray[Any], factors: tuple[Levels, ...]) -> Int:
    """Check that codes are of all levels and no other, in lexicographic order.

    Return the first step between neighbours that is not zero, (n - 1,): it is zero where they
    are of the same combination.
    """
    require(codes.dtype == np.int64 and codes.ndim == 2, "codes")
    require(codes.shape[1] == len(factors), "the number of factors")
    require(len(codes) > 0, "the number of codes")
    for code, levels in zip(codes.T, factors, strict=True):
        require(bool(code.min() >= 0 and code.max() < len(levels)), "the range of codes")
        require(bool(np.all(np.bincount(code, minlength=len(levels)))), "levels without rows")
    first = np.zeros(len(codes) - 1, dtype=np.int64)
    for code in codes.T:
        np.copyto(first, np.diff(code), where=first == 0)
    require(bool(np.all(first >= 0)), "the order of codes")
    return first


def _check_moments(
    codes: Any, n: Any, weight: Any, mean: Any, cross: Any, *, known_errors: bool
) -> None:
    """Check that counts, means and cross-products can be those of rows."""
    for array in (n, weight, mean, cross):
        require(array.dtype == np.float64, "the dtype of moments")
        require(bool(np.all(np.isfinite(array))), "moments, which must be finite")
    d = mean.shape[1] if mean.ndim == 2 else 0
    shapes = [array.shape for array in (n, weight, mean, cross)]
    cells = len(codes)
    require(d > 0 and shapes == [(cells,), (cells,), (cells, d), (cells, d, d)], "shapes")
    require(bool(np.all(n > 0) and np.all(weight > 0)), "counts, which must be positive")
    require(known_errors or bool(np.allclose(n, weight, rtol=1e-9)), "weights")
    squares = np.diagonal(cross, axis1=1, axis2=2)
    require(bool(np.all(squares >= 0)), "sums of squares")
    largest = np.sqrt(squares[:, :, None]) * np.sqrt(squares[:, None, :])
    require(bool(np.all(np.abs(cross - cross.mT) <= 1e-6 * largest)), "symmetry")


def _as_json(labels: NDArray[Any], name: str) -> list[Any]:
    """Return labels as values that JSON keeps apart by their types."""
    values = [v.item() if isinstance(v, np.generic) else v for v in labels.tolist()]
    other = [value for value in values if type(value) not in JSON_TYPES]
    if other:
        kind = type(other[0])
        msg = (
            f"Labels of type {kind.__module__}.{kind.__qualname__}, such as {other[0]!r} of "
            f"{name!r}, cannot be saved; strings, numbers, bools and datetime64 can. Give the "
            "labels as strings: `list(map(str, groups))`."
        )
        raise TypeError(msg)
    return values
