"""Warnings that name the line of the user, however deep in the package they arise."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import joblib
import sklearn

__all__ = ["DataWarning", "warn"]

#: Folders whose lines are not the user's: scikit-learn and joblib call estimators in
#: pipelines and searches.
SKIPPED = tuple(
    os.path.join(folder, "")
    for folder in (
        Path(__file__).parents[1],
        *(Path(module.__file__).parent for module in (sklearn, joblib)),
    )
)


class DataWarning(UserWarning):
    """Data that may not be what they are taken for, or that say little of what is asked.

    What is computed is right for the data as they are given. Filter these warnings by
    their category where the data are meant:
    ``warnings.filterwarnings("ignore", category=skhbm.DataWarning)``.

    Parameters
    ----------
    message : str
        What the data look like, and what to do.

    Examples
    --------
    >>> from skhbm import DataWarning
    >>> issubclass(DataWarning, UserWarning)
    True
    """

    __module__ = "skhbm"

    def __init__(self, message: str) -> None:
        super().__init__(message)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called the package, or the tool of scikit-learn around it."""
    warnings.warn(message, category, skip_file_prefixes=SKIPPED)
