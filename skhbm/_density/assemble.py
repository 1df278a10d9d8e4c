"""The density of a design and its priors: the one place that chooses and joins its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skhbm._density.basis import make_basis
from skhbm._density.coefficients import make_coefficients
from skhbm._density.one_factor import OneFactorDensity, make_one_factor
from skhbm._density.several_factors import SeveralFactorsDensity, make_several_factors
from skhbm._numba.threads import COMPILING

if TYPE_CHECKING:
    from skhbm._design.design import Design
    from skhbm._priors.prior import Priors

__all__ = ["Density", "make_density"]

type Density = OneFactorDensity | SeveralFactorsDensity


def make_density(design: Design, priors: Priors) -> Density:
    """Return the density of the hyperparameters, whose priors are compiled if need be."""
    coefficients = make_coefficients(design, priors)
    basis = make_basis(design, coefficients)
    with COMPILING:
        head = make_one_factor(design, priors, coefficients, basis)
        return make_several_factors(design, priors, head) if design.others else head
