"""Warnings that name the line of the user, however deep in the package they arise."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import joblib
import sklearn

__all__ = ["warn"]

#: Folders whose lines are not the user's: scikit-learn and joblib call estimators in
#: pipelines and searches.
SKIPPED = tuple(
    os.path.join(folder, "")
    for folder in (
        Path(__file__).parents[1],
        *(Path(module.__file__).parent for module in (sklearn, joblib)),
    )
)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called the package, or the tool of scikit-learn around it."""
    warnings.warn(message, category, skip_file_prefixes=SKIPPED)
