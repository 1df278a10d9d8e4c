"""Where chains start, and how careful their steps are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._priors.compiled import compiled_prior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._density.target import TargetDensity
    from skhbm._priors.prior import Prior
    from skhbm._types import Float, Int

__all__ = ["START", "careful_acceptance", "start_of_scales", "toward_mode"]

#: Chains start at these working scales: neither all nor none of the variance.
START = 0.5
#: Steps of `toward_mode`: each costs a gradient, and far from the mode saves several.
STEPS = 4
#: Variances shrink at most to this share in one step.
SMALLEST = 1e-2
#: Below this many groups the log density of tau has a cliff to the left of its mode, where the
#: between-group variance would vanish, and steps must be smaller than they are on average.
FEW_GROUPS = 10


def start_of_scales(priors: Sequence[Prior], units: Any, working: Any) -> Float:
    """Return where scales of these working values are on PyMC's transform (n,).

    On another transform than the log they start at its zero.
    """
    logs = np.log(np.broadcast_to(working, len(priors)) * units)
    transforms = [compiled_prior(prior).transform for prior in priors]
    return np.where([transform == "log" for transform in transforms], logs, 0.0)


def careful_acceptance(rate: float, n_groups: Sequence[float]) -> float:
    """Return the acceptance rate for factors of so many groups: higher for few of them."""
    fewest = min(*n_groups, FEW_GROUPS)
    return 1 - (1 - rate) * fewest / FEW_GROUPS


def toward_mode(density: TargetDensity, x: Float, scales: Int) -> Float:
    """Return a point closer to the mode than x, by steps of the EM algorithm.

    `scales` are the positions of logs of standard deviations, tau and sigma. If n normal
    variables with scale s have the derivative g in log s, their mean square is expected to be
    s^2 (1 + g / n), which is the next s^2 (Dempster, Laird & Rubin 1977, section 4.4).
    """
    twice_variance = 2.0 * density.scales[scales] ** 2
    for _ in range(STEPS):
        logp, gradient = density.value_and_gradient(x)
        if not np.isfinite(logp) or not np.all(np.isfinite(gradient)):
            break
        ratio = 1.0 + twice_variance * gradient[scales]
        x = x.copy()
        x[scales] += 0.5 * np.log(np.maximum(ratio, SMALLEST))
    return x
