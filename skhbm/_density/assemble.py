"""The density of a design and its priors: the one place that chooses and joins its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skhbm._density.basis import make_basis
from skhbm._density.coefficients import make_coefficients
from skhbm._density.hyperparameters import HyperparameterDensity, make_hyperparameters
from skhbm._numba.threads import COMPILING

if TYPE_CHECKING:
    from skhbm._design.design import Design
    from skhbm._priors.prior import Priors

__all__ = ["Density", "make_density"]

type Density = HyperparameterDensity


def make_density(design: Design, priors: Priors) -> Density:
    """Return the density of the hyperparameters, whose priors are compiled if need be."""
    coefficients = make_coefficients(design, priors)
    basis = make_basis(design, coefficients)
    with COMPILING:
        return make_hyperparameters(design, priors, coefficients, basis)
