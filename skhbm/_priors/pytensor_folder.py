"""PyTensor's folder of compiled code, which is made when its numba backend is imported."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["ensure_folder"]


@cache
def ensure_folder() -> None:
    """Have PyTensor use a temporary folder if its own cannot be written.

    The folder is removed when the process ends. Call this before the first
    import of `pytensor.link.numba`, which ends in an OSError otherwise.
    """
    import pytensor

    setting: Any = type(pytensor.config).base_compiledir
    try:
        folder = Path(setting.val) / "numba"
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        try:
            instead = tempfile.mkdtemp(prefix="pytensor-")
        except OSError:
            msg = (
                f"PyTensor, which compiles priors, must write to its folder {str(folder)!r}, "
                f"or to a temporary one. Got {error}. Set the environment variable TMPDIR to a "
                "folder that can be written."
            )
            raise ImportError(msg) from error
        setting.val = Path(instead)
        atexit.register(shutil.rmtree, instead, ignore_errors=True)
