"""One success or none: logistic regression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._families import logit_link, no_dispersion
from skhbm._families.family import Family

if TYPE_CHECKING:
    from skhbm._types import Float

__all__ = ["BERNOULLI"]


def _check_target(y: Float, size: Any) -> None:
    """Raise ValueError unless y is 0 or 1."""
    wrong = (y != 0) & (y != 1)
    if np.any(wrong):
        msg = (
            "`y` must be 0 or 1, but "
            f"{np.count_nonzero(wrong)} of {y.size} are not, such as "
            f"{float(y[wrong][0])!r} at position {int(np.argmax(wrong))}. Successes among "
            "several trials have a binomial response."
        )
        raise ValueError(msg)


def _log_density(y: Any, size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    return logit_link.log_likelihood(y, size, np.asarray(eta))


BERNOULLI = Family(
    name="bernoulli",
    link="logit",
    dispersion=(),
    size_name=None,
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
