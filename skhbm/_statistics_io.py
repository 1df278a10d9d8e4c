"""Statistics of cells as one file: a zip of ``.npy`` arrays and one JSON member.

Nothing is pickled, so that reading a file can run no code, whoever has written it. NumPy reads
the arrays too: ``numpy.load(path)["mean"]``. Members are stored as they are, so that
no file holds more than its size says.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._labels import Levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skhbm._statistics import GroupedStatistics

__all__ = ["read_statistics_file", "write_statistics_file"]

FORMAT = "skhbm.GroupedStatistics"
VERSION = 1
ARRAYS = ("codes", "n", "weight", "mean", "cross")
#: Kinds of NumPy's dtypes of labels that are kept as arrays; others are JSON.
LABEL_KINDS = "biufUMm"
JSON_TYPES = (str, int, float, bool, type(None))


def write_statistics_file(path: Any, statistics: GroupedStatistics) -> None:
    """Write a new file and put it in place of an older one when it is complete."""
    arrays = {name: getattr(statistics, name) for name in ARRAYS}
    factors: list[dict[str, Any]] = []
    for i, levels in enumerate(statistics.factors):
        labels = levels.labels
        if labels.dtype.kind in LABEL_KINDS:
            arrays[f"labels{i}"] = labels
            factors.append({"name": levels.name})
        else:
            factors.append({"name": levels.name, "labels": _as_json(labels, levels.name)})
    names = statistics.feature_names
    about = {
        "format": FORMAT,
        "version": VERSION,
        "factors": factors,
        "feature_names": names if names is None else list(names),
        "known_errors": statistics.known_errors,
    }
    target = Path(os.path.realpath(path))
    draft = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        with draft.open("xb") as file:
            _write(file, arrays, json.dumps(about))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def read_statistics_file(path: Any) -> dict[str, Any]:
    """Return the fields of the statistics in a file, checked.

    Raises
    ------
    ValueError
        If the file is damaged or holds anything else.
    """
    with Path(path).open("rb") as file:
        try:
            members = _read(file)
            about = json.loads(members.pop("about.json"))
            _require(isinstance(about, dict) and about.get("format") == FORMAT, "its format")
            _check_version(about)
            return _as_fields(about, {name: _as_array(m) for name, m in members.items()})
        except _NewerError as error:
            raise ValueError(str(error)) from None
        except Exception as error:
            msg = (
                f"{str(path)!r} does not hold statistics as GroupedStatistics.save writes "
                "them: it is damaged, cut short or something else. "
                f"{type(error).__name__}: {error}."
            )
            raise ValueError(msg) from None


class _NewerError(ValueError):
    """The file is sound, but of a later version."""


def _check_version(about: dict[str, Any]) -> None:
    version = about.get("version")
    _require(type(version) is int and version >= 1, "its version")
    if version != VERSION:
        msg = (
            f"The statistics were written in version {version} of their format, but this skhbm "
            f"reads version {VERSION}. Upgrade skhbm."
        )
        raise _NewerError(msg)


def _write(file: Any, arrays: dict[str, NDArray[Any]], about: str) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("about.json"), about)
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(
                    member, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False
                )


def _read(file: Any) -> dict[str, bytes]:
    """Return the bytes of each member, their checksums verified."""
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        names = [info.filename for info in infos]
        _require(len(set(names)) == len(names), "the names of its members")
        _require(all(i.compress_type == zipfile.ZIP_STORED for i in infos), "its compression")
        size = os.fstat(file.fileno()).st_size
        _require(sum(info.file_size for info in infos) <= size, "the sizes of its members")
        return {info.filename: archive.read(info) for info in infos}


def _as_array(data: bytes) -> NDArray[Any]:
    """Return the array in a ``.npy`` member; its size is checked before it is made."""
    stream = io.BytesIO(data)
    _require(np.lib.format.read_magic(stream) == (1, 0), "the version of an array")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    _require(dtype.kind in LABEL_KINDS and not fortran, "the dtype of an array")
    body = memoryview(data)[stream.tell() :]
    count = 1
    for length in shape:
        _require(length >= 0, "the shape of an array")
        count *= length
    _require(dtype.itemsize > 0 and count * dtype.itemsize == len(body), "the size of an array")
    return np.frombuffer(body, dtype=dtype).reshape(shape).copy()


def _as_fields(about: dict[str, Any], members: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the checked fields of the statistics."""
    arrays = {name: members.pop(f"{name}.npy") for name in ARRAYS}
    described = about["factors"]
    _require(isinstance(described, list), "its factors")
    factors = tuple(_as_levels(f, members, i) for i, f in enumerate(described))
    _require(not members, "the number of its members")
    _require(len({levels.name for levels in factors}) == len(factors), "names of factors")
    known, names = about["known_errors"], about["feature_names"]
    _require(isinstance(known, bool), "known_errors")
    _check_codes(arrays["codes"], factors)
    _check_moments(*(arrays[name] for name in ARRAYS), known_errors=known)
    if names is not None:
        _require(isinstance(names, list) and all(type(n) is str for n in names), "names")
        _require(len(names) == arrays["mean"].shape[1] - 1, "the number of feature names")
        names = tuple(names)
    return {"factors": factors, **arrays, "feature_names": names, "known_errors": known}


def _as_levels(described: Any, members: dict[str, NDArray[Any]], i: int) -> Levels:
    """Return the levels of a factor, from JSON or from an array of their own."""
    _require(isinstance(described, dict) and type(described.get("name")) is str, "a factor")
    if "labels" in described:
        given = described["labels"]
        _require(isinstance(given, list), "labels")
        _require(all(type(label) in JSON_TYPES for label in given), "the types of labels")
        labels = np.empty(len(given), dtype=object)
        labels[:] = given
    else:
        labels = members.pop(f"labels{i}.npy")
    _require(labels.ndim == 1 and bool(np.all(labels == labels)), "labels")
    levels = Levels(labels, described["name"])
    _require(len(levels._code_of) == len(labels) > 0, "labels, which must differ")
    return levels


def _check_codes(codes: NDArray[Any], factors: tuple[Levels, ...]) -> None:
    """Check that cells differ, are in order, and are of all levels and no other."""
    _require(codes.dtype == np.int64 and codes.ndim == 2, "codes")
    _require(codes.shape[1] == len(factors), "the number of factors")
    _require(len(codes) == 1 if not factors else len(codes) > 0, "the number of cells")
    for code, levels in zip(codes.T, factors, strict=True):
        _require(bool(code.min() >= 0 and code.max() < len(levels)), "the range of codes")
        _require(bool(np.all(np.bincount(code, minlength=len(levels)))), "levels without cells")
    step = np.diff(codes, axis=0)
    first = np.argmax(step != 0, axis=1) if factors else np.empty(0, dtype=np.int64)
    _require(bool(np.all(step[np.arange(len(step)), first] > 0)), "the order of cells")


def _check_moments(
    codes: Any, n: Any, weight: Any, mean: Any, cross: Any, *, known_errors: bool
) -> None:
    """Check that counts, means and cross-products can be those of rows."""
    for array in (n, weight, mean, cross):
        _require(array.dtype == np.float64, "the dtype of moments")
        _require(bool(np.all(np.isfinite(array))), "moments, which must be finite")
    d = mean.shape[1] if mean.ndim == 2 else 0
    shapes = [array.shape for array in (n, weight, mean, cross)]
    cells = len(codes)
    _require(d > 0 and shapes == [(cells,), (cells,), (cells, d), (cells, d, d)], "shapes")
    _require(bool(np.all(n > 0) and np.all(weight > 0)), "counts, which must be positive")
    _require(known_errors or bool(np.allclose(n, weight, rtol=1e-9)), "weights")
    squares = np.diagonal(cross, axis1=1, axis2=2)
    _require(bool(np.all(squares >= 0)), "sums of squares")
    largest = np.sqrt(squares[:, :, None]) * np.sqrt(squares[:, None, :])
    _require(bool(np.all(np.abs(cross - cross.mT) <= 1e-6 * largest)), "symmetry")


def _require(condition: bool, what: str) -> None:
    if not condition:
        msg = f"wrong: {what}"
        raise ValueError(msg)


def _as_json(labels: NDArray[Any], name: str) -> list[Any]:
    """Return labels as values that JSON keeps apart by their types."""
    values = [v.item() if isinstance(v, np.generic) else v for v in labels.tolist()]
    other = [value for value in values if type(value) not in JSON_TYPES]
    if other:
        kind = type(other[0])
        msg = (
            f"Labels of type {kind.__module__}.{kind.__qualname__}, such as {other[0]!r} of "
            f"{name!r}, cannot be saved; strings, numbers, bools and datetime64 can. Give the "
            "labels as strings: `groups.astype(str)`."
        )
        raise TypeError(msg)
    return values
