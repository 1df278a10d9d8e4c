"""Checks of targets that several families share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from skhbm._types import Float

__all__ = ["check_counts", "check_exposure", "check_whole"]

#: Larger whole numbers are not all told apart by floats.
LARGEST = 2.0**53


def check_counts(y: Float) -> None:
    """Raise ValueError unless all values are 0 or more.

    The likelihood of fractions is that of whole numbers, continued: a quasi-likelihood.
    """
    wrong = ~((y >= 0) & (y <= LARGEST))
    if np.any(wrong):
        msg = (
            f"`y` must hold counts from 0 to 2^53, but {np.count_nonzero(wrong)} of {y.size} "
            f"values are not, such as {float(y[wrong][0])!r} at position "
            f"{int(np.argmax(wrong))}."
        )
        raise ValueError(msg)


def check_whole(y: Float, name: str, least: int) -> None:
    """Raise ValueError unless all values are whole numbers from `least` on."""
    wrong = ~((y >= least) & (y == np.rint(y)) & (y <= LARGEST))
    if np.any(wrong):
        msg = (
            f"`{name}` must hold whole numbers from {least} to 2^53, but "
            f"{np.count_nonzero(wrong)} of {y.size} are not, such as "
            f"{float(y[wrong][0])!r} at position {int(np.argmax(wrong))}."
        )
        raise ValueError(msg)


def check_exposure(size: Any) -> None:
    """Raise ValueError unless all exposures are positive."""
    size = np.atleast_1d(np.asarray(size, dtype=float))
    wrong = ~((size > 0) & np.isfinite(size))
    if np.any(wrong):
        msg = (
            "`exposure` must be positive and finite, such as years or area observed, but "
            f"{np.count_nonzero(wrong)} of {size.size} are not, such as "
            f"{float(size[wrong][0])!r} at position {int(np.argmax(wrong))}. Leave rows "
            "without exposure out."
        )
        raise ValueError(msg)
