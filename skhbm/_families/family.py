"""What there is to know of a distribution of the response given its linear predictor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, logit

if TYPE_CHECKING:
    from collections.abc import Callable

    from skhbm._types import Float

    Dispersion = tuple[Any, ...]

__all__ = ["Family"]

INVERSE_LINKS: dict[str, Callable[[Any], Any]] = {
    "logit": expit,
    "log": np.exp,
    "identity": np.asarray,
}
LINKS: dict[str, Callable[[Any], Any]] = {
    "logit": logit,
    "log": np.log,
    "identity": np.asarray,
}


@dataclass(frozen=True, slots=True)
class Family:
    """A distribution of the response y of a row, given its linear predictor eta.

    A row is (y, size, eta, dispersion). Its `size` is the number of trials of a binomial y, the
    exposure of a count, whose mean is size * exp(eta), and 1 otherwise. A new family is a file
    that makes one object of this class from pure functions, and a line in `table.FAMILIES`.

    The functions of NumPy broadcast y, size, eta and each array of the tuple `dispersion`
    against each other, and import no numba. The functions of numba take and return floats;
    there `d` is an array (n_dispersion,). They are decorated by ``njit(**JIT_INNER)`` of
    `skhbm._numba.jit`, to be called by compiled code only. All must be finite and accurate
    for abs(eta) up to 700, counts up to 1e6, sizes from 1e-6 to 1e6, and for dispersions that
    are so large that the distribution is its own limit. Where a density underflows its log is
    a large negative number, as its derivatives may be.

    Attributes
    ----------
    name : str
        Its name in `FAMILIES`, and in messages and files.
    link : {"logit", "log", "identity"}
        The function of the mean of a row of size 1 that is the linear predictor.
    dispersion : tuple of str
        Names of the dispersion parameters, which are positive, in PyMC's words.
    size_name : {"trials", "exposure"} or None
        What users call the size; None if it is 1 for all rows.
    additive : bool
        Whether rows that share eta can be replaced by one, with the sums of y and of size: the
        sum of their log densities depends on eta through these sums alone.
    discrete : bool
        Whether y is a whole number from 0 on.
    check_target : callable
        ``(y, size) -> None``. It raises ValueError, in a sentence, for a y (n,) or a size (n,)
        that the distribution cannot have. Both are finite arrays of floats, or size is 1.0.
    log_density : callable
        ``(y, size, eta, dispersion)``: the log density or probability, with all constants.
        That of a Bernoulli family, for a y of several trials, is of the trials one by one.
    mean, variance : callable
        ``(size, eta, dispersion)``: moments of y; the variance may be infinite. A distribution
        without a mean has its median instead.
    cdf : callable
        ``(y, size, eta, dispersion)``: the probability of no more than y, for any real y.
    draw : callable
        ``(rng, size, eta, dispersion)``: independent draws of y, as floats.
    observed_information : callable
        ``(y, size, eta, dispersion)``: minus the second derivative of the log density in eta.
    expected_information : callable
        ``(size, eta, dispersion)``: the expectation of the former over y.
    panjer : callable or None
        ``(size, eta, dispersion) -> (a, b)``, if p(y) / p(y - 1) = a + b / y for y = 1, 2, ...,
        as for all counts here (Panjer 1981, https://doi.org/10.1017/S0515036100006796).
        None for a continuous y.
    derivatives : compiled function
        ``(y, size, eta, d) -> (log density, first, second)``: the log density without terms
        that depend on neither eta nor d, and its first and second derivative in eta.
    dispersion_gradient : compiled function
        ``(y, size, eta, d, out)`` fills `out` (n_dispersion,) with the derivatives of the log
        density in the dispersion parameters.
    eta_derivatives, eta_dispersion_gradient : compiled function
        The same of that part of the log density that depends on eta, which is all that changes
        from node to node of a quadrature.
    rest : compiled function
        ``(y, size, d) -> float``: the part that depends on d but not on eta. The log density of
        `derivatives` is that of `eta_derivatives` plus `rest`.
    rest_gradient : compiled function
        ``(y, size, d, out)`` fills `out` (n_dispersion,) with the derivatives of `rest`.
    """

    name: str
    link: str
    dispersion: tuple[str, ...]
    size_name: str | None
    additive: bool
    discrete: bool
    check_target: Callable[[Float, Any], None]
    log_density: Callable[[Any, Any, Any, Dispersion], Any]
    mean: Callable[[Any, Any, Dispersion], Any]
    variance: Callable[[Any, Any, Dispersion], Any]
    cdf: Callable[[Any, Any, Any, Dispersion], Any]
    draw: Callable[[np.random.Generator, Any, Any, Dispersion], Any]
    observed_information: Callable[[Any, Any, Any, Dispersion], Any]
    expected_information: Callable[[Any, Any, Dispersion], Any]
    panjer: Callable[[Any, Any, Dispersion], tuple[Any, Any]] | None
    derivatives: Callable[..., Any]
    dispersion_gradient: Callable[..., Any]
    eta_derivatives: Callable[..., Any]
    eta_dispersion_gradient: Callable[..., Any]
    rest: Callable[..., Any]
    rest_gradient: Callable[..., Any]

    def inverse_link(self, eta: Any) -> Any:
        """Return the mean of y of size 1, whose linear predictor is eta."""
        return INVERSE_LINKS[self.link](eta)

    def apply_link(self, mean: Any) -> Any:
        """Return the linear predictor of a y of size 1 with this mean."""
        return LINKS[self.link](mean)
