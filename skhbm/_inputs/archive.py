"""One file of arrays and JSON: a zip of ``.npy`` members beside ``about.json``.

Nothing is pickled, so that reading a file can run no code, whoever has written it. NumPy reads
the arrays too: ``numpy.load(path)["mean"]``. Members are stored uncompressed: a small file
cannot unpack to a large one.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

__all__ = [
    "ARRAY_KINDS",
    "JSON_TYPES",
    "Kind",
    "UnreadableError",
    "encode_scalar",
    "read_archive",
    "require",
    "take",
    "write_archive",
]

#: Kinds of NumPy's dtypes that are kept as arrays.
ARRAY_KINDS = "biufUMm"
#: Types of Python's objects that JSON keeps apart.
JSON_TYPES = (str, int, float, bool, type(None))


class Kind(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    format : str
        Its name in the file.
    version : int
        The version that is written, and the latest that is read. Earlier ones are read, too.
    content : str
        What a sound file holds, for messages.
    """

    format: str
    version: int
    content: str


class UnreadableError(ValueError):
    """A file is sound, but cannot be read here; the message says why."""


def write_archive(path: Any, kind: Kind, about: dict[str, Any], arrays: Arrays) -> None:
    """Write a new file and put it in place of an older one when it is complete."""
    about = {"format": kind.format, "version": kind.version, **about}
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


def read_archive[T](path: Any, kind: Kind, make: Callable[[dict[str, Any], Arrays], T]) -> T:
    """Return what `make` makes of the description and the arrays in a file.

    `make` checks what it is given, and takes from the arrays what it uses: none may be left.

    Raises
    ------
    ValueError
        If the file is damaged or holds anything else.
    """
    with Path(path).open("rb") as file:
        try:
            members = _read(file)
            about = json.loads(members.pop("about.json"))
            require(isinstance(about, dict), "about.json")
            found = about.get("format")
            require(found == kind.format, f"its format, {str(found)[:50]!r}")
            _check_version(about, kind)
            require(all(name.endswith(".npy") for name in members), "the names of its members")
            arrays = {n.removesuffix(".npy"): _as_array(data) for n, data in members.items()}
            # Numbers that no fit can have may overflow before they are refused.
            with np.errstate(all="ignore"):
                made = make(about, arrays)
            require(not arrays, "the number of its members")
            return made
        except UnreadableError as error:
            raise ValueError(str(error)) from None
        except Exception as error:
            msg = (
                f"{str(path)!r} does not hold {kind.content}: it is damaged, cut short or "
                f"something else. {type(error).__name__}: {error}."
            )
            raise ValueError(msg) from None


def encode_scalar(value: Any) -> Any:
    """Return a number, bool, string or None as JSON has it."""
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) not in JSON_TYPES:
        raise TypeError(type(value))
    return value


def require(condition: Any, what: str) -> None:
    """Raise ValueError if something in a file is not as it is written."""
    if not condition:
        msg = f"wrong: {what}"
        raise ValueError(msg)


def take(arrays: Arrays, folder: str) -> Arrays:
    """Take the arrays of a folder out, by their names in it."""
    names = [name for name in arrays if name.startswith(f"{folder}/")]
    return {name.removeprefix(f"{folder}/"): arrays.pop(name) for name in names}


def _check_version(about: dict[str, Any], kind: Kind) -> None:
    version: Any = about.get("version")
    require(type(version) is int and version >= 1, "its version")
    if version > kind.version:
        msg = (
            f"The file was written in version {version} of its format, but this skhbm reads "
            f"versions up to {kind.version}. Upgrade skhbm."
        )
        raise UnreadableError(msg)


def _write(file: Any, arrays: Arrays, about: str) -> None:
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
        require(len(set(names)) == len(names), "the names of its members")
        require(all(i.compress_type == zipfile.ZIP_STORED for i in infos), "its compression")
        size = os.fstat(file.fileno()).st_size
        require(sum(info.file_size for info in infos) <= size, "the sizes of its members")
        return {info.filename: archive.read(info) for info in infos}


def _as_array(data: bytes) -> NDArray[Any]:
    """Return the array in a ``.npy`` member; its size is checked before it is made."""
    stream = io.BytesIO(data)
    require(np.lib.format.read_magic(stream) == (1, 0), "the version of an array")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    require(dtype.kind in ARRAY_KINDS and not fortran, "the dtype of an array")
    body = memoryview(data)[stream.tell() :]
    count = 1
    for length in shape:
        require(length >= 0, "the shape of an array")
        count *= length
    require(dtype.itemsize > 0 and count * dtype.itemsize == len(body), "the size of an array")
    array = np.frombuffer(body, dtype=dtype).reshape(shape).copy()
    require(dtype.kind != "b" or np.all(array.view(np.uint8) <= 1), "truth values")
    return array
