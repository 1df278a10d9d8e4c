"""Counts whose variance is their mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import gammaincc, gammaln

from skhbm._families import no_dispersion
from skhbm._families.family import Family
from skhbm._families.log_link import draw_counts, expected_count, mean
from skhbm._families.targets import check_counts, check_exposure
from skhbm._numba.jit import JIT_INNER, njit

if TYPE_CHECKING:
    from skhbm._types import Float

__all__ = ["POISSON"]


def _check_target(y: Float, size: Any) -> None:
    check_exposure(size)
    check_counts(y)


def _log_density(y: Any, size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    expected = mean(size, eta, dispersion)
    return y * (eta + np.log(size)) - expected - gammaln(np.asarray(y) + 1.0)


def _cdf(y: Any, size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    y, expected = np.broadcast_arrays(np.floor(y), mean(size, eta, dispersion))
    return np.where(y < 0, 0.0, gammaincc(np.maximum(y, 0.0) + 1.0, expected))


def _draw(rng: np.random.Generator, size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Float:
    return draw_counts(rng, mean(size, eta, dispersion))


def _observed_information(y: Any, size: Any, eta: Any, dispersion: tuple[Any, ...]) -> Any:
    return mean(size, eta, dispersion) + 0.0 * y


def _panjer(size: Any, eta: Any, dispersion: tuple[Any, ...]) -> tuple[Any, Any]:
    expected = mean(size, eta, dispersion)
    return np.zeros_like(expected), expected


@njit(**JIT_INNER)
def _derivatives(y, size, eta, d):
    expected = expected_count(size, eta)
    return y * eta - expected, y - expected, -expected


POISSON = Family(
    name="poisson",
    link="log",
    dispersion=(),
    size_name="exposure",
    additive=True,
    discrete=True,
    check_target=_check_target,
    log_density=_log_density,
    mean=mean,
    variance=mean,
    cdf=_cdf,
    draw=_draw,
    observed_information=_observed_information,
    expected_information=mean,
    panjer=_panjer,
    derivatives=_derivatives,
    dispersion_gradient=no_dispersion.dispersion_gradient,
    eta_derivatives=_derivatives,
    eta_dispersion_gradient=no_dispersion.dispersion_gradient,
    rest=no_dispersion.rest,
    rest_gradient=no_dispersion.rest_gradient,
)
