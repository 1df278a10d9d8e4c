"""What a likelihood promises to those who do not know what it integrates out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from skhbm._types import Float, Int

__all__ = ["ConditionalEffects", "MarginalLikelihood", "RowTerms"]


class MarginalLikelihood(Protocol):
    """The density of the response given scales and what is sampled, all else integrated out.

    Compiled code calls it by the address of its callback.
    """

    @property
    def n_integrated(self) -> int:
        """Number k of coefficients that are integrated out."""

    @property
    def n_within(self) -> int:
        """Number of residual scales."""

    @property
    def n_moments(self) -> int:
        """Length of U among the outputs: (k + 1)^2, or 0 if there is no U."""

    @property
    def work(self) -> float:
        """Predicted nanoseconds of CPU of a value; 0 if it takes next to no time."""

    def table(self) -> Any:
        """Return what the callback reads, valid as long as this object lives."""

    def callback(self) -> Any:
        """Return the C callback of the log density, its gradient and moments of coefficients.

        ``callback(table, inputs, outputs, with_gradient)`` takes four integers, the first three
        of them addresses. Inputs are the covariances of the effects of each factor, the
        residual scales and the k' coefficients that are given, one after another, all in
        working units. Outputs are the log density, its
        derivatives in the inputs, and a matrix U (k + 1, k + 1) for the k coefficients g that
        are integrated out: g ~ Normal(U[k, :k], U[:k, :k]' U[:k, :k]). A likelihood without U
        has `skhbm._likelihood.tabulated_draws` instead.
        """


class RowTerms(NamedTuple):
    """Rows whose linear predictors are asked for, in working units.

    Attributes
    ----------
    fixed : ndarray of shape (n_rows, n_fixed)
        Fixed terms x.
    codes : ndarray of int of shape (n_rows, n_factors)
        Groups, negative for a group that was not seen. With several factors columns are in the
        order of elimination: `skhbm._design.blocks`.
    where : ndarray of int of shape (n_rows, n_factors - 1)
        Positions of the effects of the groups of all factors but the first.
    z : ndarray of shape (n_rows, q)
        Varying terms of the first factor.
    terms : ndarray of shape (n_rows, sum of widths)
        Varying terms of the others, side by side.
    """

    fixed: Float
    codes: Int
    where: Int
    z: Float
    terms: Float

    def some(self, which: slice) -> RowTerms:
        """Return some of the rows."""
        where = self.where[which]
        fixed, z, terms = (array[which] for array in (self.fixed, self.z, self.terms))
        return RowTerms(fixed, self.codes[which], where, z, terms)


class ConditionalEffects(Protocol):
    """The effects u that were integrated out, given values of what was not.

    Values are draws, or nodes that stand for them. What is integrated out beside the effects
    may include the coefficients w.
    """

    def predictors(self, rows: RowTerms) -> tuple[Float, Float]:
        """Return E and Var of x'w + z'u given each value (n_rows, n_values).

        Effects of groups that were not seen have mean zero and the covariance between groups.
        """
