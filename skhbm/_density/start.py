"""Where chains start, and how careful their steps are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._priors.compiled import compiled_prior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._priors.prior import Prior
    from skhbm._types import Float

__all__ = ["START", "careful_acceptance", "start_of_scales"]

#: Chains start at these working scales: neither all nor none of the variance.
START = 0.5
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
