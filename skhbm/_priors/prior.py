"""`Prior`, and one prior for each scalar parameter of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from skhbm._design.design import Design

__all__ = ["Prior", "Priors", "hierarchical_priors", "is_normal"]

#: Prior sd of the mean of log residual scales: a factor of e.
LOG_MEAN_SD = 1.0
#: Scale of the prior of the spread of log residual scales. The variance of a row of a new
#: group, exp(2 m + 2 s^2) on average given the mean m and spread s, has an expectation only if
#: this scale is below a half.
LOG_SD_SCALE = 0.4
#: What a compiled prior says of its parameter at an unconstrained value t: the natural value
#: and its derivative in t, the log density of t (Jacobian included) and its derivative.
SCALAR = np.dtype([(name, np.float64) for name in ("value", "derivative", "logp", "gradient")])


@dataclass(frozen=True, slots=True, init=False)
class Prior:
    """A prior: a univariate continuous PyMC distribution by name, with its parameters.

    Parameters
    ----------
    distribution : str
        Name of the distribution in PyMC: ``"Normal"``, ``"HalfNormal"``, ``"Gamma"``, ...
        For correlations ``"LKJCorr"``, with ``eta``.
    **parameters : float
        Its parameters, as PyMC calls them, on the natural scale of `X` and `y`.

    Examples
    --------
    >>> Prior("HalfNormal", sigma=10)
    Prior('HalfNormal', sigma=10)
    """

    distribution: str
    parameters: dict[str, Any]

    def __init__(self, distribution: str, *unnamed: Any, **parameters: Any) -> None:
        if unnamed:
            msg = (
                f"Prior takes parameters by name, as in Prior({distribution!r}, sigma="
                f"{unnamed[0]!r}). Got {unnamed[0]!r} without one."
            )
            raise TypeError(msg)
        object.__setattr__(self, "distribution", distribution)
        object.__setattr__(self, "parameters", parameters)

    def __repr__(self) -> str:
        arguments = [repr(self.distribution)]
        arguments += [f"{name}={value!r}" for name, value in self.parameters.items()]
        return f"Prior({', '.join(arguments)})"

    def __hash__(self) -> int:
        return hash((self.distribution, tuple(sorted(self.parameters.items()))))


@dataclass(frozen=True, slots=True, eq=False)
class Priors:
    """One prior per scalar parameter, on the natural scale.

    Parameters
    ----------
    intercept : Prior or None
        None if there is no intercept.
    intercept_at_mean : bool
        Whether the intercept's prior is for the mean of X (the default) or for x = 0.
    coef : tuple of Prior
    tau : tuple of tuple of Prior
        Of the varying terms of each factor, in the user's order.
    eta : float
        Parameter of the LKJ prior of the correlations.
    sigma : Prior or None
        None for the hierarchical prior of residual scales by group, or with known errors.
    dispersion : tuple of Prior
        Of the parameters of a response that is not normal, in the order of its family.
    """

    intercept: Any
    intercept_at_mean: bool
    coef: tuple[Any, ...]
    tau: tuple[tuple[Any, ...], ...]
    eta: float
    sigma: Any
    dispersion: tuple[Any, ...] = ()


def hierarchical_priors(design: Design) -> list[Prior]:
    """Return the priors of mean and sd of log sigma_j, where none is given for sigma."""
    centre = float(np.log(design.scaling.y_scale))
    return [
        Prior("Normal", mu=centre, sigma=LOG_MEAN_SD),
        Prior("HalfNormal", sigma=LOG_SD_SCALE),
    ]


def is_normal(prior: Any) -> bool:
    """Whether a coefficient with this prior can be integrated out."""
    names = set(prior.parameters)
    return prior.distribution == "Normal" and names <= {"mu", "sigma"}
