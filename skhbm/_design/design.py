"""The design: what the marginal likelihood needs of standardised statistics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._design.blocks import Blocks, first_factor, make_blocks
from skhbm._design.roots import make_parts
from skhbm._design.scaling import make_scaling, spread_between
from skhbm._inputs.levels import hashables
from skhbm._inputs.packed import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from skhbm._design.blocks import Layout
    from skhbm._design.roots import Parts
    from skhbm._design.scaling import Scaling
    from skhbm._design.terms import Terms
    from skhbm._inputs.levels import Levels
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float


__all__ = ["Design", "OtherFactor", "SeveralFactors", "add_rows", "make_design"]


#: Directions of a group's features with less than this share of the largest are not spanned.
SPANNED = 1e-10
#: Sums of squares of features in working units below this share of the largest are rounding.
CONSTANT = 1e-20


@dataclass(frozen=True, slots=True, eq=False)
class OtherFactor:
    """A grouping factor beside the first of several.

    Parameters
    ----------
    terms, levels : Terms, Levels
    n : ndarray of shape (n_groups,)
        Number of rows of each group.
    between : float
        Standard deviation of y between groups that count once each.
    """

    terms: Terms
    levels: Levels
    n: Float
    between: float

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.levels)


@dataclass(frozen=True, slots=True, eq=False)
class SeveralFactors:
    """What a design with several grouping factors has beside the first to be eliminated.

    Parameters
    ----------
    factors : tuple of OtherFactor
        The other factors, in the user's order.
    blocks : Blocks
        Cross-products of all effects, with the fixed terms and the response as columns.
    layout : Layout
    """

    factors: tuple[OtherFactor, ...]
    blocks: Blocks
    layout: Layout

    def __getstate__(self) -> list[Any]:
        return [self.factors, [pack(array) for array in self.blocks], self.layout]

    def __setstate__(self, state: list[Any]) -> None:
        factors, blocks, layout = state
        values = factors, Blocks(*map(unpack, blocks)), layout
        for name, value in zip(("factors", "blocks", "layout"), values, strict=True):
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """Everything that posterior and predictions need of the data.

    Parameters
    ----------
    terms, scaling, levels : Terms, Scaling, Levels
        Terms and levels are those of the only factor, or of the first to be eliminated.
    n : ndarray of shape (n_groups,)
        Number of rows of each group.
    roots : ndarray of shape (n_groups, q, q + m)
        R_j and E_j side by side.
    W : ndarray of shape (1, m, m), or (n_groups, m, m) if by_group
    counts : ndarray of shape (1,), or (n_groups,) if by_group
        As in `skhbm._likelihood.marginal`; m counts the fixed terms and the response.
    degrees : ndarray of shape (n_groups,)
        Degrees of freedom that each group's own terms leave over.
    several_factors : SeveralFactors or None
        The other factors, if there are any.
    """

    terms: Terms
    scaling: Scaling
    levels: Levels
    n: Float
    roots: Float
    W: Float
    counts: Float
    degrees: Float
    several_factors: SeveralFactors | None = None

    @property
    def others(self) -> tuple[OtherFactor, ...]:
        """The other factors: none if there is one factor."""
        return self.several_factors.factors if self.several_factors else ()

    @property
    def rounding(self) -> float:
        """Variance of a row's target that is rounding, in working units.

        A perfect fit leaves this residual variance, since sums of squares have the relative
        accuracy of doubles, and the target has that of its mean.
        """
        epsilon = float(np.finfo(float).eps)
        return 4 * epsilon + (epsilon * self.scaling.y_mean / self.scaling.y_scale) ** 2

    def pooled(self) -> Float:
        """Return the cross-products of fixed terms and response, groups ignored (m, m)."""
        E = self.roots[:, :, len(self.terms.varying) :]
        return self.W.sum(axis=0) + np.einsum("jac,jad->cd", E, E)

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Whether each feature is constant: the data say nothing of it then (n_features,)."""
        E = self.roots[:, :, len(self.terms.varying) :]
        squares = np.einsum("jcc->c", self.W) + np.einsum("jac,jac->c", E, E)
        of_features = squares[int(self.terms.intercept) : -1]
        return of_features <= CONSTANT * of_features.max(initial=0.0)

    @property
    def log_counts(self) -> Float:
        """How often the log of each residual scale counts: not at all if errors are known.

        `counts` is then the sum of 1 / y_err^2, times which the log of the fixed scale would
        be a constant. If the errors are small numbers, the density would drown in it.
        """
        return self.counts * (not self.terms.known)

    @property
    def between(self) -> float:
        """Standard deviation of y between groups that count once each, 0 without intercepts."""
        if not self.terms.varying_intercept:
            return 0.0
        root, y, unit = self.roots[:, 0, 0], self.roots[:, :, -1], self.scaling.y_scale
        if self.terms.known:
            noise = 1.0 / (root * unit) ** 2
        else:
            within = self.W[:, -1, -1].sum() + np.sum(y[:, 1:] ** 2)
            noise = within / max(self.n.sum() - len(self.n), 1.0) / self.n
        return unit * spread_between(y[:, 0] / root, noise, centred=self.terms.intercept)

    def missing_residuals(self) -> Float:
        """Return how many residuals of each group are zero whatever its scale (n_groups,).

        That is none, but for groups whose target its own terms and the features fit to
        rounding: then it is all degrees of freedom that these leave over. `W` must be by group.
        """
        xx, xy = self.W[:, :-1, :-1], self.W[:, :-1, -1]
        values, vectors = np.linalg.eigh(xx)
        largest = np.max(values, axis=1, keepdims=True, initial=0.0)
        spanned = values > SPANNED * largest
        along = np.einsum("jab,ja->jb", vectors, xy) ** 2 / np.where(spanned, values, 1.0)
        rest = self.W[:, -1, -1] - np.sum(along, axis=1, where=spanned)
        exact = rest <= 16 * self.counts * self.rounding
        degrees = self.degrees - spanned.sum(axis=1)
        return np.where(exact, np.maximum(degrees, 0.0), 0.0)

    @property
    def rows(self) -> Float:
        """Number of rows in each within part (1,) or (n_groups,)."""
        return self.n if self.terms.by_group else self.n.sum(keepdims=True)

    @property
    def n_groups(self) -> int:
        """Number of these groups."""
        return len(self.n)

    @property
    def factors(self) -> tuple[Design | OtherFactor, ...]:
        """All factors, each with terms, levels and n, in the user's order."""
        first = self.several_factors.layout.first if self.several_factors else 0
        return (*self.others[:first], self, *self.others[first:])


def make_design(
    statistics: GroupedStatistics, terms: Sequence[Terms], scaling: Scaling | None = None
) -> Design:
    """Standardise the statistics and split them into their parts.

    The scaling is found, unless it is given.
    """
    first = first_factor([len(levels) for levels in statistics.factors] or [1], terms)
    varying, groups = terms[first], statistics.of_factor(first)
    scaling = scaling or make_scaling(groups, centred=varying.intercept)
    parts = make_parts(groups, scaling, varying)
    several = None
    if len(terms) > 1:
        others = [f for f in range(len(terms)) if f != first]
        factors = tuple(_other_factor(statistics.of_factor(f), terms[f]) for f in others)
        several = SeveralFactors(factors, *make_blocks(statistics, scaling, terms))
    return Design(
        varying,
        scaling,
        groups.levels,
        parts.n,
        parts.roots,
        parts.W if varying.by_group else parts.W.sum(axis=0, keepdims=True),
        parts.weight.copy() if varying.by_group else parts.weight.sum(keepdims=True),
        parts.degrees,
        several,
    )


def add_rows(
    design: Design, levels: Levels, changed: Levels, before: Parts, after: Parts
) -> Design:
    """Return the design with some parts changed, in the same working coordinates.

    `levels` has the labels of all groups, `changed` the labels of the groups whose parts
    are given as they were before and as they are after.
    """
    old = levels.codes_of(hashables(design.levels.labels))
    codes = levels.codes_of(hashables(changed.labels))

    def put(values: Float, new: Float) -> Float:
        out = np.zeros((len(levels), *values.shape[1:]))
        out[old], out[codes] = values, new
        return out

    def total(values: Float, old: Float, new: Float) -> Float:
        if design.terms.by_group:
            return put(values, new)
        return values + (new - old).sum(axis=0)

    return replace(
        design,
        levels=levels,
        n=put(design.n, after.n),
        roots=put(design.roots, after.roots),
        W=total(design.W, before.W, after.W),
        counts=total(design.counts, before.weight, after.weight),
        degrees=put(design.degrees, after.degrees),
    )


def _other_factor(groups: GroupedStatistics, terms: Terms) -> OtherFactor:
    """Return what is there for a factor, of the statistics of its groups."""
    if groups.known_errors:
        noise = 1.0 / groups.weight
    else:
        degrees = groups.n.sum() - len(groups.n)
        noise = groups.cross[:, -1, -1].sum() / max(degrees, 1.0) / groups.n
    between = spread_between(groups.mean[:, -1], noise, centred=terms.intercept)
    return OtherFactor(terms, groups.levels, groups.n, between)
