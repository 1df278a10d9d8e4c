"""Statistics -> the standardised roots that the marginal likelihood works on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skhbm._design.linear_forms import shift_forms
from skhbm._design.pseudo_rows import make_pseudo_rows
from skhbm._design.terms import make_scaling
from skhbm._inputs.levels import hashables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._design.pseudo_rows import PseudoRows
    from skhbm._design.terms import Scaling, Terms
    from skhbm._inputs.levels import Levels
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float


__all__ = [
    "Design",
    "Parts",
    "SampledFactor",
    "add_rows",
    "make_design",
    "make_parts",
    "split_roots",
]

#: Directions of a group's Z with less than this share of the largest are not spanned.
RANK_TOLERANCE = 1e-13


@dataclass(frozen=True, slots=True, eq=False)
class SampledFactor:
    """A grouping factor whose effects are sampled.

    Parameters
    ----------
    terms, levels : Terms, Levels
    n : ndarray of shape (n_groups,)
        Number of rows of each group.
    """

    terms: Terms
    levels: Levels
    n: Float

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.levels)


@dataclass(frozen=True, slots=True, eq=False)
class SeveralFactors:
    """What a design with several grouping factors has beside its integrated factor.

    Parameters
    ----------
    factors : tuple of SampledFactor
        The factors whose effects are sampled, in the user's order.
    pseudo_rows : PseudoRows
        All that the likelihood needs of the rows that sampled effects shift.
    shifts : tuple of ndarray
        The linear forms that the effects take off E_y: starts, columns and values of
        `skhbm._design.linear_forms.shift_forms`.
    """

    factors: tuple[SampledFactor, ...]
    pseudo_rows: PseudoRows
    shifts: tuple[Any, Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """Everything that posterior and predictions need of the data.

    Parameters
    ----------
    terms, scaling, levels : Terms, Scaling, Levels
        Terms and levels are those of the factor whose effects are integrated out.
    n : ndarray of shape (n_groups,)
        Number of rows of each group.
    roots : ndarray of shape (n_groups, q, q + m)
        R_j and E_j side by side.
    W : ndarray of shape (1, m, m), or (n_groups, m, m) if by_group
    counts : ndarray of shape (1,), or (n_groups,) if by_group
        As in `skhbm._likelihood.marginal`; m counts the fixed coefficients and the target.
    degrees : ndarray of shape (n_groups,)
        Degrees of freedom that each group's own terms leave over.
    integrated : int
        Position of the integrated factor among all, in the user's order.
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
    integrated: int = 0
    several_factors: SeveralFactors | None = None

    @property
    def others(self) -> tuple[SampledFactor, ...]:
        """The factors whose effects are sampled."""
        return self.several_factors.factors if self.several_factors else ()

    def position(self, factor: int) -> int:
        """Return where a sampled factor, counted among all, is among the sampled."""
        return factor - (factor > self.integrated)

    @property
    def rounding(self) -> float:
        """Variance of a row's target that is rounding, in working units.

        Sums of squares are known to the relative accuracy of doubles, and the target to
        that of its mean: a perfect fit leaves this residual variance.
        """
        epsilon = float(np.finfo(float).eps)
        return 4 * epsilon + (epsilon * self.scaling.y_mean / self.scaling.y_scale) ** 2

    def pooled(self) -> Float:
        """Return the cross-products of fixed terms and target, groups ignored (m, m)."""
        E = self.roots[:, :, len(self.terms.varying) :]
        return self.W.sum(axis=0) + np.einsum("jac,jad->cd", E, E)

    @property
    def log_counts(self) -> Float:
        """How often the log of each residual scale counts: not at all where errors are known.

        It would be a constant, in which the density would drown if the errors are small
        numbers: `counts` is then the sum of 1 / y_err^2.
        """
        return self.counts * (not self.terms.known)

    @property
    def rows(self) -> Float:
        """Number of rows in each within part (1,) or (n_groups,)."""
        return self.n if self.terms.by_group else self.n.sum(keepdims=True)

    @property
    def n_groups(self) -> int:
        """Number of groups of the integrated factor."""
        return len(self.n)

    @property
    def factors(self) -> tuple[Design | SampledFactor, ...]:
        """All factors, each with terms, levels and n, in the user's order."""
        return (*self.others[: self.integrated], self, *self.others[self.integrated :])


class Parts(NamedTuple):
    """What the likelihood needs of each group, before anything is summed over groups.

    Attributes
    ----------
    roots : (n_groups, q, q + m), R_j and E_j side by side
    W : (n_groups, m, m), what is left within each group
    n, weight, degrees : (n_groups,), rows, their weight, and degrees of freedom that the
        group's terms leave over
    """

    roots: Float
    W: Float
    n: Float
    weight: Float
    degrees: Float


def make_design(
    statistics: GroupedStatistics,
    terms: Sequence[Terms],
    scaling: Scaling | None = None,
    integrated: int | None = None,
) -> Design:
    """Standardise the statistics, or scale as given, and split them into their parts.

    The factor that is integrated out is chosen, unless it is given.
    """
    integrated = _choose(statistics, terms) if integrated is None else integrated
    own, groups = terms[integrated], statistics.of_factor(integrated)
    scaling = scaling or make_scaling(groups, centred=own.intercept)
    parts = make_parts(groups, scaling, own)
    R, E = np.split(parts.roots, [len(own.varying)], axis=2)
    several = None
    if len(terms) > 1:
        pseudo_rows = make_pseudo_rows(statistics, scaling, terms, integrated, R, E)
        several = _several_factors(statistics, terms, integrated, pseudo_rows, len(R))
    by_group = own.by_group
    return Design(
        own,
        scaling,
        groups.levels,
        parts.n,
        parts.roots,
        parts.W if by_group else parts.W.sum(axis=0, keepdims=True),
        parts.weight.copy() if by_group else parts.weight.sum(keepdims=True),
        parts.degrees,
        integrated,
        several,
    )


def _several_factors(
    statistics: GroupedStatistics,
    terms: Sequence[Terms],
    integrated: int,
    pseudo_rows: PseudoRows,
    n_groups: int,
) -> SeveralFactors:
    """Collect what is there for the factors that are not integrated out."""
    others = [f for f in range(len(terms)) if f != integrated]
    factors = tuple(SampledFactor(terms[f], *_levels_and_counts(statistics, f)) for f in others)
    forms = shift_forms(pseudo_rows, [factor.n_groups for factor in factors], n_groups)
    return SeveralFactors(factors, pseudo_rows, (forms.indptr, forms.indices, forms.data))


def make_parts(statistics: GroupedStatistics, scaling: Scaling, terms: Terms) -> Parts:
    """Split each group's statistics into within and between parts; it may be empty."""
    R, E, W, rank = split_roots(statistics, scaling, terms)
    roots = np.concatenate([R, E], axis=2)
    degrees = np.maximum(statistics.n - rank, 0.0)
    return Parts(roots, W, statistics.n, statistics.weight, degrees)


def add_rows(
    design: Design, levels: Levels, changed: Levels, before: Parts, after: Parts
) -> Design:
    """Put the parts of groups that changed in place of those before.

    Working coordinates stay as they are. `levels` are those of all groups, `changed`
    those of the parts.
    """
    old = levels.codes_of(hashables(design.levels.labels))
    codes = levels.codes_of(hashables(changed.labels))

    def put(known: Float, new: Float) -> Float:
        out = np.zeros((len(levels), *known.shape[1:]))
        out[old], out[codes] = known, new
        return out

    def total(known: Float, old: Float, new: Float) -> Float:
        if design.terms.by_group:
            return put(known, new)
        return known + (new - old).sum(axis=0)

    return replace(
        design,
        levels=levels,
        n=put(design.n, after.n),
        roots=put(design.roots, after.roots),
        W=total(design.W, before.W, after.W),
        counts=total(design.counts, before.weight, after.weight),
        degrees=put(design.degrees, after.degrees),
    )


def _choose(statistics: GroupedStatistics, terms: Sequence[Terms]) -> int:
    """Choose the factor to integrate out: that with residual scales, or most coefficients."""
    if terms[0].by_group or len(terms) == 1:
        return 0
    sizes = [
        len(levels) * len(one.varying)
        for levels, one in zip(statistics.factors, terms, strict=True)
    ]
    return int(np.argmax(sizes))


def _levels_and_counts(statistics: GroupedStatistics, f: int) -> tuple[Levels, Float]:
    levels = statistics.factors[f]
    return levels, np.bincount(statistics.codes[:, f], statistics.n, minlength=len(levels))


def split_roots(
    statistics: GroupedStatistics, scaling: Scaling, terms: Terms
) -> tuple[Any, Any, Any, Any]:
    """Return R (J, q, q), E (J, q, m), W (J, m, m) and the rank of each Z_j.

    The row of means is split off first, exactly; the centred rest of the varying
    features by an eigenvalue decomposition, which drops what a group does not span.
    """
    unit = np.append(scaling.x_scale, scaling.y_scale)
    origin = np.append(scaling.x_mean, scaling.y_mean)
    mean = (statistics.mean - origin) / unit
    cross = statistics.cross / np.outer(unit, unit)
    z = terms.slopes
    values, vectors = np.linalg.eigh(cross[:, z[:, None], z[None, :]])
    spanned = (
        values > RANK_TOLERANCE * np.maximum(values[:, -1:], 0.0) if len(z) else values > 0
    )
    root = np.sqrt(np.where(spanned, values, 1.0))
    R_rest = np.where(spanned, root, 0.0)[:, :, None] * vectors.mT
    E_rest = np.where(spanned[:, :, None], vectors.mT @ cross[:, z], 0.0) / root[:, :, None]
    W = cross - E_rest.mT @ E_rest

    sqrt_n = np.sqrt(statistics.weight)[:, None]
    R_mean = sqrt_n * (statistics.mean[:, z] / unit[z])
    E_mean = sqrt_n * mean
    if terms.intercept:
        E_rest, W = _pad(E_rest, 1), np.pad(W, ((0, 0), (1, 0), (1, 0)))
        E_mean = np.hstack([sqrt_n, E_mean])
    R_all = np.concatenate([R_mean[:, None], R_rest], axis=1)
    E_all = np.concatenate([E_mean[:, None], E_rest], axis=1)
    rank = spanned.sum(axis=1) + 1.0
    if terms.varying_intercept:
        first = np.zeros((len(R_all), len(z) + 1, 1))
        first[:, 0] = sqrt_n
        return np.concatenate([first, R_all], axis=2), E_all, W, rank
    if not len(z):
        return R_all[:, :0], E_all[:, :0], W + E_all.mT @ E_all, rank * 0.0
    Q, R_all = np.linalg.qr(R_all, mode="complete")
    E_all = Q.mT @ E_all
    rest = E_all[:, -1:]
    return R_all[:, :-1], E_all[:, :-1], W + rest.mT @ rest, rank


def _pad(E: Float, n_left: int) -> Float:
    """Put columns of zeros before those of E: centred features have no intercept."""
    return np.pad(E, ((0, 0), (0, 0), (n_left, 0)))
