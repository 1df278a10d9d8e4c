"""Files of arrays and JSON that were damaged, or made by someone who means harm."""

import json
import pickle
import zipfile
from io import BytesIO

import numpy as np


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


FOREIGN = ["pickle", "npy of objects", "npz of objects", "npz", "zip", "text", "nothing"]


def foreign(name, tmp_path):
    """Return the bytes of a file that is something else."""
    bomb, stream = Bomb(tmp_path / "ran"), BytesIO()
    if name == "pickle":
        return pickle.dumps(bomb)
    if name == "npy of objects":
        np.save(stream, np.array([bomb], dtype=object), allow_pickle=True)
    elif name == "npz of objects":
        np.savez(stream, allow_pickle=True, mean=np.array([bomb], dtype=object))
    elif name == "npz":
        np.savez(stream, mean=np.ones(3))
    elif name == "zip":
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("about.json", json.dumps({"format": "else"}))
    return {"text": b"n,mean\n1,2\n", "nothing": b""}.get(name, stream.getvalue())


def npy(array, *, allow_pickle=False):
    """Return the bytes of an array."""
    stream = BytesIO()
    np.lib.format.write_array(stream, array, version=(1, 0), allow_pickle=allow_pickle)
    return stream.getvalue()


def header(text, body=b""):
    """Return the bytes of an array whose header says something, followed by a body."""
    text = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


HUGE = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
OBJECTS = "{'descr': '|O', 'fortran_order': False, 'shape': (6,), }"
CALL = "{'descr': '<f8', 'fortran_order': False, 'shape': (__import__('os').getpid(),), }"


def members_of(data):
    """Return the bytes of each member of a file."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(members, compression=zipfile.ZIP_STORED):
    """Return the bytes of a file of members, its checksums right; None is none."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, value in members.items():
            if value is not None:
                archive.writestr(name, value)
    return stream.getvalue()


def rewritten(data, compression=zipfile.ZIP_STORED, about=None, **arrays):
    """Return the file with some members changed, its checksums right; None drops one.

    `about` is what the description gets, or a function that changes it.
    """
    members = members_of(data)
    described = json.loads(members["about.json"])
    if callable(about):
        about(described)
    else:
        described |= about or {}
    members["about.json"] = json.dumps(described).encode()
    members |= {name + ".npy": value for name, value in arrays.items()}
    return archive_of(members, compression)
