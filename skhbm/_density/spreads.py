"""Coordinates of standard deviations between groups, which may be zero.

The likelihood of J groups is finite at tau = 0, so that the density of log tau falls to the
left like tau itself: an exponential tail in which chains lose their way. The coordinate z of a
chain is log tau only where the data can tell tau from zero. Below this elbow e,

    log tau = z - s^2,    s = log(1 + exp(e - z)),    derivation (18),

and the density of z falls like that of a normal distribution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skhbm._numba.jit import JIT_INNER, njit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._density.basis import Basis
    from skhbm._design.design import Design
    from skhbm._priors.prior import Prior
    from skhbm._types import Float

__all__ = ["elbows_of", "find_elbows", "log_of_spread", "no_elbows"]

#: Priors that are finite and positive at zero, and the parameter that is their scale.
FLAT = {
    "HalfNormal": "sigma",
    "HalfStudentT": "sigma",
    "HalfCauchy": "beta",
    "Exponential": "scale",
}
#: Above the elbow by more than this, s is rounding.
ABOVE = 40.0


def find_elbows(design: Design, basis: Basis, priors: Sequence[Prior]) -> Float:
    """Return the elbow of each tau (q,), on the natural scale.

    The Fisher information on tau^2 at zero is the sum of (A_j / sigma^2)^2 / 2 over the groups,
    A_j being the entry of Z_j'Z_j. At the elbow tau^2 is one standard error from zero, or tau
    is the scale of its prior, if that is less. Only priors that are finite and positive at zero
    leave the exponential tail: with others the coordinate is the log throughout.
    """
    q = len(design.terms.varying)
    squares = np.einsum("jab,jab->jb", *[design.roots[:, :, :q]] * 2)
    variance = design.scaling.y_scale**-2.0
    if not design.terms.known:
        variance = basis.within[:, -1, -1].sum() / max(design.degrees.sum(), 1.0)
    information = 0.5 * np.sum((squares / variance) ** 2, axis=0)
    return elbows_of(information, design.scaling.effect_units(design.terms), priors)


def elbows_of(information: Float, units: Float, priors: Sequence[Prior]) -> Float:
    """Return the elbows (q,), given the information on tau^2 at zero in working units."""
    found = (information > 0) & np.isfinite(information)
    elbows = np.full(len(information), np.inf)
    elbows[found] = -0.25 * np.log(information[found])
    elbows += np.log(units)
    elbows = np.minimum(elbows, [_log_scale(prior) for prior in priors])
    return np.where(np.isfinite(elbows), elbows, -np.inf)


def _log_scale(prior: Prior) -> float:
    """Return the log of the scale of a prior, -inf if it is not flat at zero."""
    parameters = prior.parameters
    if prior.distribution not in FLAT:
        return -np.inf
    if "lam" in parameters:
        return -float(np.log(float(parameters["lam"])))
    scale = parameters.get(FLAT[prior.distribution])
    return float(np.log(float(scale))) if scale is not None else -np.inf


def no_elbows(q: int) -> Float:
    """Return elbows of q standard deviations whose coordinates are their logs."""
    return np.full(q, -np.inf)


@njit(**JIT_INNER)
def log_of_spread(z, elbow):
    """Return log tau, its derivative in z, and the derivative of the log of this derivative."""
    d = elbow - z
    if d < -ABOVE:
        return z, 1.0, 0.0
    share = 1.0 / (1.0 + np.exp(-d))
    s = d + np.log1p(np.exp(-d)) if d > 0.0 else np.log1p(np.exp(d))
    slope = 1.0 + 2.0 * s * share
    curvature = -2.0 * share * (share + s * (1.0 - share)) / slope
    return z - s * s, slope, curvature  # derivation (18)
