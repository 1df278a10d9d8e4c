"""What a likelihood promises to those who do not know what it integrates out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from skhbm._types import Float, Int

__all__ = ["ConditionalEffects", "MarginalLikelihood"]


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

    def table(self) -> Any:
        """Return what the callback reads, valid as long as this object lives."""

    def callback(self) -> Any:
        """Return the C callback of the log density, its gradient and moments of coefficients.

        ``callback(table, inputs, outputs, with_gradient)`` takes four integers, the first three
        of them addresses. Inputs are the covariance of the integrated effects, the residual
        scales, the k' coefficients that are given and, with several factors, the effects that
        are given, one after another, all in working units. Outputs are the log density, its
        derivatives in the inputs, and a matrix U (k + 1, k + 1) for the k coefficients g that
        are integrated out: g ~ Normal(U[k, :k], U[:k, :k]' U[:k, :k]). A likelihood without U
        has `skhbm._likelihood.tabulated_draws` instead.
        """


class ConditionalEffects(Protocol):
    """The effects u that were integrated out: normal given each draw of all that was not.

    All values are in working units. A unit is a group or, if effects of several factors were
    integrated out, a combination of their groups; its q effects are those of all its varying
    terms. `codes` (n_units,) or (n_units, n_factors) are negative for a group that was not
    seen, whose effects have mean zero and the covariance between groups. `unit` (n_rows,) has
    the position of each row's unit among the codes. Rows are x (n_rows, n_fixed), `fixed`, and
    z (n_rows, q), `varying`; w are the coefficients of the population.
    """

    def add_predictors(
        self, fixed: Float, varying: Float, codes: Int, unit: Int, mean: Float, variance: Float
    ) -> None:
        """Add E and Var of x'w + z'u in each draw to mean and variance (n_rows, n_draws).

        Rows of a unit that follow each other share its moments.
        """

    def conditional_moments(self, codes: Int) -> tuple[Float, Float]:
        """Return E[u] in each draw (n_draws, n_units, q), and mean Cov[u] (n_units, q, q)."""

    def posterior_moments(self, codes: Int, center: Float) -> tuple[Float, Float, Float]:
        """Return E[u] (n, q), Cov[u] (n, q, q) and Cov[u, w] (n, q, n_fixed) over all draws.

        All units were seen. `center` (n_fixed,) is the mean of w.
        """

    def row_covariance(self, varying: Float, codes: Int, unit: Int) -> Float:
        """Return Cov[z'u] between rows given a draw, averaged over draws (n_rows, n_rows)."""

    def draw(self, codes: Int, z: Float, draws: slice) -> None:
        """Turn standard normals z (s, n_units, q) into effects in some draws, in place."""
