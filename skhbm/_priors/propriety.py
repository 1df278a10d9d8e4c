"""Whether there is a posterior: what default priors cannot make up for in the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skhbm._inputs.levels import hashables
from skhbm._inputs.warning import warn
from skhbm._priors.prior import LOG_SD_SCALE

if TYPE_CHECKING:
    from skhbm._design.design import Design

__all__ = ["check_residual_scales"]


def check_residual_scales(design: Design, *, explicit: bool, more_to_come: bool) -> None:
    """Refuse groups without residuals where each group has a residual scale.

    The density of d residuals that are all zero grows as sigma_j^-d when sigma_j goes to zero.
    Under the default prior log sigma_j is normal about a mean with an sd s, so that the mean of
    sigma_j^-d grows as exp(d^2 s^2 / 2). As s is half-normal of scale LOG_SD_SCALE, there is a
    posterior if and only if the sum of d^2 over these groups is below 1 / LOG_SD_SCALE^2. An
    explicit prior of sigma may or may not vanish fast enough at zero: a warning says so.

    Raises
    ------
    ValueError
        If there is no posterior, and no explicit prior, nor more rows to come.
    """
    if not design.terms.by_group:
        return
    missing = design.missing_residuals()
    if np.sum(missing**2) < 1 / LOG_SD_SCALE**2:
        return
    j = int(np.argmax(missing))
    problem = (
        f"`y` has no residuals in group {hashables(design.levels.labels)[j]!r}: it is "
        f"constant, or fitted exactly, in all of its {design.n[j]:g} rows, so there is no "
        "residual scale to estimate. Leave the group out, or set residual_scale='shared'."
    )
    if explicit:
        warn(f"{problem} There is a posterior only if the prior of sigma vanishes at zero.")
    elif more_to_come:
        warn(f"{problem} Or go on with more rows.")
    else:
        raise ValueError(problem)
