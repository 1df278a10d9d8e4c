"""Rows of one grouping factor as the quadrature reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from skhbm._types import Float, Int

__all__ = ["GroupedRows"]


class GroupedRows(NamedTuple):
    """Rows, or patterns of rows, sorted by group.

    Attributes
    ----------
    y : ndarray of shape (n,)
        Response.
    size : ndarray of shape (n,)
        Trials, exposure, or 1.
    weight : ndarray of shape (n,)
        How many rows each stands for.
    fixed : ndarray of shape (n, k)
        Fixed terms, the intercept among them.
    varying : ndarray of shape (n, q)
        Varying terms.
    starts : ndarray of int of shape (n_groups + 1,)
        Rows starts[j] to starts[j + 1] are those of group j.
    """

    y: Float
    size: Float
    weight: Float
    fixed: Float
    varying: Float
    starts: Int
