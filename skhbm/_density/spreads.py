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
from skhbm._priors.compiled import compiled_prior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._density.basis import Basis
    from skhbm._design.design import Design
    from skhbm._priors.prior import Prior
    from skhbm._types import Float

__all__ = ["find_elbows", "log_of_spread", "no_elbows"]

#: Above the elbow by more than this, s is rounding.
ABOVE = 40.0


def find_elbows(design: Design, basis: Basis, priors: Sequence[Prior]) -> Float:
    """Return the elbow of each tau (q,), on the natural scale.

    The Fisher information on tau^2 at zero is the sum of (A_j / sigma^2)^2 / 2 over the groups,
    A_j being the entry of Z_j'Z_j. At the elbow tau^2 is one standard error from zero. Scales
    whose prior has another transform than the log keep their coordinate.
    """
    q = len(design.terms.varying)
    squares = np.einsum("jab,jab->jb", *[design.roots[:, :, :q]] * 2)
    variance = 1.0
    if not design.terms.known:
        variance = basis.within[:, -1, -1].sum() / max(design.degrees.sum(), 1.0)
    information = 0.5 * np.sum((squares / variance) ** 2, axis=0)
    logs = np.array([compiled_prior(prior).transform == "log" for prior in priors], dtype=bool)
    found = logs & (information > 0) & np.isfinite(information)
    elbows = no_elbows(q)
    units = design.scaling.effect_units(design.terms)
    elbows[found] = np.log(units[found]) - 0.25 * np.log(information[found])
    return elbows


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
