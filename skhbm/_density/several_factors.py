"""Design and priors -> the compiled target density with several grouping factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._density.coordinates import find_reference, make_coordinates
from skhbm._density.one_factor import Evaluated, Target, as_table, initial_point, log_start
from skhbm._density.one_factor_kernel import density_callback, expand_callback
from skhbm._density.several_factors_kernel import (
    FACTOR,
    TABLE,
    several_factors_density,
    several_factors_expand,
)
from skhbm._design.linear_forms import make_forms
from skhbm._likelihood.equal_groups import make_classes
from skhbm._likelihood.given_effects import GivenEffects
from skhbm._likelihood.marginal import make_marginal
from skhbm._numba.records import make_record

if TYPE_CHECKING:
    from skhbm._density.basis import Basis
    from skhbm._density.coordinates import Coordinates, Reference
    from skhbm._design.design import Design
    from skhbm._priors.prior import Priors
    from skhbm._types import Float, Int


__all__ = ["CrossedTarget", "SampledFactor", "make_crossed_target", "start_at_reference"]


@dataclass(frozen=True, slots=True, eq=False)
class SampledFactor:
    """What the callback reads of a factor whose effects are sampled.

    Parameters
    ----------
    units : ndarray of shape (q + 1,)
        Natural sizes of a working unit of each effect; the parameter of the LKJ prior, 0 when
        effects are independent.
    address, parameters
        Compiled priors of tau, as in `Target`.
    coordinates : Coordinates
    """

    units: Float
    address: Int
    parameters: Float
    coordinates: Coordinates

    @property
    def n_terms(self) -> int:
        """Number of varying terms."""
        return len(self.units) - 1

    @property
    def n_correlations(self) -> int:
        """Number of sampled correlations."""
        q = self.n_terms
        return q * (q - 1) // 2 if self.units[q] > 0 else 0

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return self.coordinates.rotation.shape[-1]

    @property
    def n_dim(self) -> int:
        """Number of its unconstrained parameters."""
        return self.n_terms * (1 + self.n_groups) + self.n_correlations

    def table(self, first: int) -> Any:
        """Return its record; `first` is the position of its effects among all."""
        coordinates = self.coordinates
        *_, eta = self.units
        return make_record(
            FACTOR,
            n_terms=self.n_terms,
            n_correlations=self.n_correlations,
            n_groups=self.n_groups,
            n_dim=self.n_dim,
            rotation_kind=coordinates.kind,
            n_parameters=self.parameters.shape[1],
            first=first,
            units=self.units,
            priors=self.address,
            parameters=self.parameters,
            information=coordinates.own,
            rotation=coordinates.rotation,
            eta=eta,
        )


@dataclass(frozen=True, slots=True, eq=False)
class CrossedTarget(Evaluated):
    """The target of the integrated factor, and what the others add to it.

    Parameters
    ----------
    head : Target
    crossed : GivenEffects
    factors : tuple of SampledFactor
    tables : tuple of ndarray
        The tables of the head, of `crossed` and of the factors, kept alive.
    reference : Reference
    """

    head: Target
    crossed: GivenEffects
    factors: tuple[SampledFactor, ...]
    tables: tuple[Any, Any, Any]
    reference: Reference

    @property
    def likelihood(self) -> GivenEffects:
        """The marginal likelihood, given the effects."""
        return self.crossed

    @property
    def n_dim(self) -> int:
        """Length of the unconstrained vector, and of the vector of natural values."""
        return self.head.n_dim + sum(factor.n_dim for factor in self.factors)

    def table(self, *, gradient: bool = True) -> Any:  # noqa: ARG002  # it is always there
        """Return the record that the callbacks read; valid as long as this object lives."""
        head, likelihood, factors = self.tables
        return make_record(
            TABLE,
            n_head=self.head.n_dim,
            n_factors=len(self.factors),
            most_terms=max(factor.n_terms for factor in self.factors),
            head_density=density_callback().address,
            head_expand=expand_callback().address,
            head_table=head,
            likelihood_table=likelihood,
            factors=factors,
        )

    def callbacks(self) -> tuple[Any, Any]:
        """Return the callbacks of the density and of the natural values."""
        return several_factors_density(), several_factors_expand()


def make_crossed_target(
    design: Design, priors: Priors, head: Target, basis: Basis
) -> CrossedTarget:
    """Collect what the compiled density reads, beside the integrated factor's."""
    sizes = [other.n_groups for other in design.others]
    crossed = _make_crossed(design, head, basis, sizes)
    reference = find_reference(design)
    coordinates = make_coordinates(crossed, sizes, reference, head.center)
    factors = []
    for other, (tau, eta), chosen in zip(
        design.others, priors.others, coordinates, strict=True
    ):
        address, parameters = as_table(tau)
        units = design.scaling.effect_units(other.terms)
        eta = eta if other.terms.n_correlations else 0.0
        factors.append(SampledFactor(np.append(units, eta), address, parameters, chosen))
    effects = np.array([factor.n_terms * factor.n_groups for factor in factors])
    firsts = np.cumsum(effects) - effects
    rows = [factor.table(int(first)) for factor, first in zip(factors, firsts, strict=True)]
    tables = head.table(), crossed.table(), np.concatenate(rows)
    return CrossedTarget(head, crossed, tuple(factors), tables, reference)


def _make_crossed(design: Design, head: Target, basis: Basis, sizes: list[int]) -> GivenEffects:
    """Return the likelihood; groups of one varying term and equal design share their work."""
    several: Any = design.several_factors
    pseudo_rows = several.pseudo_rows
    forms = make_forms(pseudo_rows, sizes, design.n_groups, len(head.marginal.W), basis.columns)
    if len(design.terms.varying) > 1 or design.terms.by_group:
        return GivenEffects(head.marginal, forms)
    E = design.roots[:, :, 1:] @ basis.columns
    classes = make_classes(design.roots[:, :, :1], E[:, :, :-1])
    own = np.ascontiguousarray(E[:, 0, -1])
    slots = np.dstack([classes.roots, classes.responses(own)[:, None]])
    marginal = make_marginal(basis.mean, slots, classes.weight, basis.within, design.log_counts)
    return GivenEffects(marginal, forms, classes, own)


def start_at_reference(target: CrossedTarget, priors: Priors) -> Float:
    """Return the unconstrained point about which chains start (n_dim,)."""
    reference, head = target.reference, target.head
    x = [initial_point(head, priors, reference.tau[0], reference.sigma)]
    for factor, (tau, _), own in zip(
        target.factors, priors.others, reference.tau[1:], strict=True
    ):
        rest = np.zeros(factor.n_dim - factor.n_terms)
        x += [log_start(tau, factor.units, own), rest]
    return np.concatenate(x)
