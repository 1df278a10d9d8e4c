"""Successes among trials, with the logit of their probability as linear predictor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import betaln

from skhbm._families import logit_link, no_dispersion
from skhbm._families.family import Family
from skhbm._families.targets import check_counts, check_whole

if TYPE_CHECKING:
    from skhbm._types import Float

__all__ = ["BINOMIAL"]


def _check_target(y: Float, size: Any) -> None:
    """Raise ValueError unless trials and y are whole numbers, and 0 <= y <= trials."""
    trials = np.broadcast_to(np.asarray(size, dtype=float), y.shape)
    check_whole(trials, "trials", 1)
    check_counts(y)
    wrong = y > trials
    if np.any(wrong):
        first = int(np.argmax(wrong))
        msg = (
            "`y` must be the number of successes among `trials`, but "
            f"{np.count_nonzero(wrong)} of {y.size} are larger, such as {y[first]:g} of "
            f"{trials[first]:g} at position {first}."
        )
        raise ValueError(msg)


def _log_density(y: Any, size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    """Return the log probability of y successes in any order."""
    failures = np.asarray(size) - y
    orders = -np.log1p(size) - betaln(failures + 1.0, np.asarray(y) + 1.0)
    return orders + logit_link.log_likelihood(y, size, np.asarray(eta))


BINOMIAL = Family(
    name="binomial",
    link="logit",
    dispersion=(),
    size_name="trials",
    additive=True,
    discrete=True,
    check_target=_check_target,
    log_density=_log_density,
    mean=logit_link.mean,
    variance=logit_link.variance,
    cdf=logit_link.cdf,
    draw=logit_link.draw,
    observed_information=logit_link.observed_information,
    expected_information=logit_link.expected_information,
    panjer=logit_link.panjer,
    derivatives=logit_link.derivatives,
    dispersion_gradient=no_dispersion.dispersion_gradient,
    eta_derivatives=logit_link.derivatives,
    eta_dispersion_gradient=no_dispersion.dispersion_gradient,
    rest=no_dispersion.rest,
    rest_gradient=no_dispersion.rest_gradient,
)
