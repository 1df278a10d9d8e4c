"""Find rows that are alike: equal groups and equal numbers, told by sorting their hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from skhbm._types import Float, Int

    Hashes = NDArray[np.uint64]

__all__ = ["sort_alike"]

#: Odd multipliers of 64 bits, from the finalizer of SplitMix64 (Steele, Lea & Flood 2014).
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def sort_alike(cells: Int, n_cells: int, columns: Sequence[Any]) -> tuple[Int, Int]:
    """Return an order of rows (n,) that brings alike ones together, and where each kind starts.

    Parameters
    ----------
    cells : ndarray of int of shape (n,)
        The combination of groups of each row, from 0 to n_cells - 1. The order is by these
        first.
    n_cells : int
    columns : sequence of ndarray of shape (n,)
        Finite numbers that must be equal, too.

    Notes
    -----
    Within a cell rows are in the order of a hash of their numbers, which does not depend on the
    other rows.
    """
    shift = np.uint64(max(n_cells - 1, 0).bit_length())
    keys = _hash_rows(columns, len(cells)) >> shift
    if shift:
        keys |= cells.astype(np.uint64) << (np.uint64(64) - shift)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    same_key = keys[1:] == keys[:-1]
    differs = _differ(columns, order, same_key)
    if np.any(differs):
        # Unequal rows of one hash could lie between equal ones.
        order = np.lexsort([*columns, cells])
        differs = _differ([*columns, cells], order, np.ones(len(cells) - 1, dtype=bool))
        same_key = np.ones(len(cells) - 1, dtype=bool)
    starts = np.flatnonzero(np.concatenate([[True], ~same_key | differs]))
    return order, starts


def _hash_rows(columns: Sequence[Any], n: int) -> Hashes:
    """Return a hash (n,) of the numbers in each row; equal numbers have equal hashes."""
    hashes = np.zeros(n, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for column in columns:
            # Adding 0.0 turns -0.0 into 0.0.
            numbers: Float = np.add(column, 0.0, dtype=np.float64)
            hashes ^= numbers.view(np.uint64)
            hashes ^= hashes >> np.uint64(30)
            hashes *= FIRST
            hashes ^= hashes >> np.uint64(27)
            hashes *= SECOND
            hashes ^= hashes >> np.uint64(31)
            hashes += FIRST
    return hashes


def _differ(columns: Sequence[Any], order: Int, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell of neighbours in an order whether they differ; False unless among these (n - 1,)."""
    at = np.flatnonzero(among)
    here, following = order[at], order[at + 1]
    unequal = np.zeros(len(at), dtype=bool)
    for column in columns:
        unequal |= column[here] != column[following]
    out = np.zeros(len(among), dtype=bool)
    out[at] = unequal
    return out
