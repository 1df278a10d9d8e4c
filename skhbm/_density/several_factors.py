"""The density with several grouping factors: what it adds to that of the integrated one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._density.coordinates import find_reference, make_coordinates
from skhbm._density.one_factor_kernel import density_callback, expand_callback
from skhbm._density.several_factors_kernel import (
    FACTOR,
    TABLE,
    several_factors_density,
    several_factors_expand,
)
from skhbm._density.start import careful_acceptance, start_of_scales
from skhbm._density.target import TargetDensity
from skhbm._design.linear_forms import make_forms
from skhbm._likelihood.equal_groups import make_classes
from skhbm._likelihood.given_effects import GivenEffects
from skhbm._likelihood.marginal import make_marginal
from skhbm._numba.records import make_record
from skhbm._priors.compiled import as_table

if TYPE_CHECKING:
    from skhbm._density.coordinates import Coordinates, Reference
    from skhbm._density.one_factor import OneFactorDensity
    from skhbm._design.design import Design
    from skhbm._design.terms import Terms
    from skhbm._priors.prior import Prior, Priors
    from skhbm._types import Float, Int


__all__ = ["SampledFactorDensity", "SeveralFactorsDensity", "make_several_factors"]


@dataclass(frozen=True, slots=True, eq=False)
class SampledFactorDensity:
    """What the callback reads of a factor whose effects are sampled.

    Parameters
    ----------
    units : ndarray of shape (q,)
        Natural size of a working unit of each effect.
    eta : float
        Parameter of the LKJ prior of the correlations, 0 if effects are independent.
    address, parameters
        Compiled priors of tau, as in `OneFactorDensity`.
    coordinates : Coordinates
    priors : tuple of Prior
        The same priors, as they were given.
    """

    units: Float
    eta: float
    address: Int
    parameters: Float
    coordinates: Coordinates
    priors: tuple[Prior, ...]

    @property
    def n_terms(self) -> int:
        """Number of varying terms."""
        return len(self.units)

    @property
    def n_correlations(self) -> int:
        """Number of sampled correlations."""
        q = self.n_terms
        return q * (q - 1) // 2 if self.eta > 0 else 0

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return self.coordinates.rotation.shape[-1]

    @property
    def n_dim(self) -> int:
        """Number of its unconstrained parameters."""
        return sum(self.sizes)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Numbers of standard deviations, correlations and effects."""
        return self.n_terms, self.n_correlations, self.n_terms * self.n_groups

    def start_at(self, tau: Float) -> Float:
        """Return the unconstrained point of these working scales (n_dim,), zero otherwise."""
        x = np.zeros(self.n_dim)
        x[: self.n_terms] = start_of_scales(self.priors, self.units, tau)
        return x

    def table(self, first: int) -> Any:
        """Return its record; `first` is the position of its effects among all."""
        coordinates = self.coordinates
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
            information=coordinates.estimates,
            rotation=coordinates.rotation,
            eta=self.eta,
        )


@dataclass(frozen=True, slots=True, eq=False)
class SeveralFactorsDensity(TargetDensity):
    """The density of the integrated factor, and what the others add to it.

    Parameters
    ----------
    head : OneFactorDensity
        The part of the integrated factor.
    likelihood : GivenEffects
        The marginal likelihood, given the effects of the other factors.
    factors : tuple of SampledFactorDensity
    tables : tuple of ndarray
        The tables of the head, of the likelihood and of the factors, kept alive.
    reference : Reference
        Chains start there.
    """

    head: OneFactorDensity
    likelihood: GivenEffects
    factors: tuple[SampledFactorDensity, ...]
    tables: tuple[Any, Any, Any]
    reference: Reference

    @property
    def n_dim(self) -> int:
        """Length of the unconstrained vector, and of the vector of natural values."""
        return self.head.n_dim + sum(factor.n_dim for factor in self.factors)

    @property
    def moments_shape(self) -> tuple[int, int]:
        """Shape of the matrix U of the likelihood."""
        return self.head.moments_shape

    @property
    def start(self) -> Float:
        """Unconstrained point about which chains start (n_dim,)."""
        tau, *others = self.reference.tau
        parts = [self.head.start_at(tau, self.reference.sigma)]
        for factor, scales in zip(self.factors, others, strict=True):
            parts.append(factor.start_at(scales))
        return np.concatenate(parts)

    @property
    def spreads(self) -> Int:
        """Positions of the tau of all factors, and of other spreads of the head."""
        parts, first = [self.head.spreads], self.head.n_dim
        for factor in self.factors:
            parts.append(np.arange(first, first + factor.n_terms))
            first += factor.n_dim
        return np.concatenate(parts)

    def in_logs(self) -> SeveralFactorsDensity:
        """Return the same density with logs of tau as coordinates: they are."""
        return self

    def acceptance(self, rate: float) -> float:
        """Return the acceptance rate of steps: higher than asked for few groups."""
        if not self.head.n_terms:
            return rate
        # Where effects are sampled each of the terms needs as many groups.
        sampled = [factor.n_groups / factor.n_terms for factor in self.factors]
        return careful_acceptance(rate, [len(self.head.log_residual), *sampled])

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


def make_several_factors(
    design: Design, priors: Priors, head: OneFactorDensity
) -> SeveralFactorsDensity:
    """Collect what the compiled density reads, beside the integrated factor's."""
    sizes = [other.n_groups for other in design.others]
    likelihood = _make_likelihood(design, head, sizes)
    reference = find_reference(design)
    coordinates = make_coordinates(likelihood, sizes, reference, head.center)
    factors = tuple(
        _make_factor(design, other.terms, *prior, chosen)
        for other, prior, chosen in zip(design.others, priors.others, coordinates, strict=True)
    )
    effects = np.array([factor.n_terms * factor.n_groups for factor in factors])
    firsts = np.cumsum(effects) - effects
    rows = [factor.table(int(first)) for factor, first in zip(factors, firsts, strict=True)]
    tables = head.table(), likelihood.table(), np.concatenate(rows)
    return SeveralFactorsDensity(head, likelihood, factors, tables, reference)


def _make_factor(
    design: Design, terms: Terms, tau: tuple[Prior, ...], eta: float, coordinates: Coordinates
) -> SampledFactorDensity:
    address, parameters = as_table(tau)
    units, eta = design.scaling.effect_units(terms), eta if terms.n_correlations else 0.0
    return SampledFactorDensity(units, eta, address, parameters, coordinates, tau)


def _make_likelihood(design: Design, head: OneFactorDensity, sizes: list[int]) -> GivenEffects:
    """Return the likelihood; groups of one varying term and equal design share their work."""
    several: Any = design.several_factors
    # With several factors the likelihood of the head is not tabulated.
    marginal: Any = head.likelihood
    basis, n_within = head.basis, head.likelihood.n_within
    forms = make_forms(several.pseudo_rows, sizes, design.n_groups, n_within, basis.columns)
    if len(design.terms.varying) > 1 or design.terms.by_group:
        return GivenEffects(marginal, forms)
    E = design.roots[:, :, 1:] @ basis.columns
    classes = make_classes(design.roots[:, :, :1], E[:, :, :-1])
    response = np.ascontiguousarray(E[:, 0, -1])
    slots = np.dstack([classes.roots, classes.responses(response)[:, None]])
    marginal = make_marginal(basis.mean, slots, classes.weight, basis.within, design.log_counts)
    return GivenEffects(marginal, forms, classes, response)
