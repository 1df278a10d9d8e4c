"""The basis in which population coefficients are integrated out, or sampled.

Standardised coefficients g ~ Normal(0, I) may be rotated at will. In the basis of the
eigenvectors of their cross-products within groups, centred at the least squares solution,
the within part of the likelihood is a diagonal and a residual sum of squares: nothing
cancels as the residual scale goes to zero, and directions that the data say nothing about (with
more features than rows, or collinear features) are exactly zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from skhbm._density.coefficients import Coefficients
    from skhbm._design.design import Design
    from skhbm._types import Float


__all__ = ["Basis", "make_basis"]

#: Eigenvalues below this share of the largest are rounding.
NULL = 1e-12
#: Sum of squares of a direction, per prior variance, below which the direction is not counted
#: from least squares, which can be anywhere. What is left of its normal equation is at most the
#: root of this sum of squares, so that nothing cancels either way.
RIDGE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """Coordinates of the population coefficients: w = base + rotated @ g + slope @ c.

    Parameters
    ----------
    base : ndarray of shape (n_fixed,)
        Working coefficients at g = 0, c = 0.
    rotated : ndarray of shape (n_fixed, k)
        Working coefficients per integrated coefficient g.
    rotation : ndarray of shape (k, k)
        The eigenvectors: rotation @ g are the standardised coefficients.
    slope : ndarray of shape (n_fixed, s)
        Working coefficients per sampled coefficient c, on the natural scale.
    mean : ndarray of shape (k,)
        The prior is g ~ Normal(-mean, I): g is counted from least squares.
    within : ndarray of shape (1 or n_groups, k + s + 1, k + s + 1)
        The within part of the cross-products in these coordinates, the response last.
    """

    base: Float
    rotated: Float
    rotation: Float
    slope: Float
    mean: Float
    within: Float

    @property
    def columns(self) -> Float:
        """The new columns of [X y] in terms of the old (m, k + s + 1)."""
        out = np.zeros((len(self.base) + 1, self.within.shape[1]))
        out[:-1] = np.column_stack([self.rotated, self.slope, -self.base])
        out[-1, -1] = 1.0
        return out


def make_basis(design: Design, coefficients: Coefficients) -> Basis:
    """Diagonalise the within part of the integrated coefficients' likelihood."""
    T, slope, offset = coefficients.T, coefficients.slope, coefficients.offset
    pooled = design.W.sum(axis=0)
    values, vectors = np.linalg.eigh(T.T @ pooled[:-1, :-1] @ T)
    spanned = values > NULL * np.max(values, initial=0.0)
    values = np.where(spanned, values, 1.0)
    rotated = T @ vectors
    score = rotated.T @ (pooled[:-1, -1] - pooled[:-1, :-1] @ offset)
    mean = np.where(spanned, score / (values + RIDGE), 0.0)
    base = offset + rotated @ mean
    k = len(mean)
    basis = Basis(
        base, rotated, vectors, slope, mean, np.zeros((1, *[k + slope.shape[1] + 1] * 2))
    )
    columns = basis.columns
    within = columns.T @ design.W @ columns  # derivation (2)
    null = np.flatnonzero(~spanned)
    within[:, null, :] = within[:, :, null] = 0.0
    if len(within) == 1:
        # The eigenvalues and the normal equations are exact, products of columns only nearly.
        within[0, :k, :k] = np.diag(np.where(spanned, values, 0.0))
        within[0, :k, -1] = within[0, -1, :k] = RIDGE * mean
    within[:, -1, -1] = np.maximum(within[:, -1, -1], 0.0) + design.counts * design.rounding
    return Basis(base, rotated, vectors, slope, mean, within)
