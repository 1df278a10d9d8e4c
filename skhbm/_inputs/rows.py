"""Checked rows of a fit, and new rows whose groups are coded as in the fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from skhbm._types import Float, Int

__all__ = ["FitRows", "Rows", "numbered"]


class FitRows(NamedTuple):
    """Rows to fit to, with the labels of their groups.

    Attributes
    ----------
    X : ndarray of shape (n, n_features), float64 or float32
    y : ndarray of shape (n,)
    factors : list of (str or None, labels), one for each grouping factor
    weights : ndarray of shape (n,), frequencies, or None where every row counts once
    errors : ndarray of shape (n,), known standard errors of y, or None
    names : tuple of str, the names of the features, or None
    """

    X: Any
    y: Float
    factors: list[tuple[str | None, Any]]
    weights: Float | None = None
    errors: Float | None = None
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """New rows, with their groups as codes.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    keys : tuple of ndarray of int of shape (n,)
        The group of each row in each factor, in the user's order; without factors, zeros.
        Negative keys are groups that were not seen: rows of the same key share their effects.
    """

    X: Float
    keys: tuple[Int, ...]

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, block: slice | Int) -> Rows:
        return Rows(self.X[block], tuple(keys[block] for keys in self.keys))

    def codes(self, factor: int = 0) -> Int:
        """Return the group of each row (n,) in a factor, -1 if it was not seen."""
        return np.maximum(self.keys[factor], -1)

    def units(self, factor: int = 0) -> tuple[Int, Int]:
        """Return the unit of each row (n,), numbered, and the code of each unit."""
        return numbered(self.keys[factor])


def numbered(keys: Int) -> tuple[Int, Int]:
    """Return the unit of each key, numbered, and the code of each unit, -1 if not seen."""
    distinct, unit = np.unique(keys, return_inverse=True)
    return unit, np.maximum(distinct, -1)
