"""New rows of another response: their linear predictors, and whether their means exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._inputs.warning import DataWarning, warn
from skhbm._prediction.response_blocks import LinearPredictors

if TYPE_CHECKING:
    from skhbm._design.responses import ResponseDesign
    from skhbm._inputs.rows import Rows
    from skhbm._posterior.response_effects import DrawnEffects
    from skhbm._priors.prior import Priors

__all__ = ["predictors_of", "warn_of_infinite_means"]

#: Threads that compute blocks of rows.
THREADS = 2
#: The sum of (s z)^2 from which on rates of new groups have no variance.
LARGEST_FOR_SD = 0.25
#: Priors of bounded support leave a finite mean; the scale of half-normal ones decides.
BOUNDED = ("Uniform", "Triangular", "TruncatedNormal", "Beta", "Kumaraswamy")


def predictors_of(effects: DrawnEffects, rows: Rows) -> LinearPredictors:
    """Return what the linear predictors of rows are made of; effects are drawn if need be."""
    posterior = effects.posterior
    design = posterior.design
    codes = [rows.codes(f) for f in range(len(design.factors))]
    return LinearPredictors(
        design.scaling.features(rows.X, design.terms)[0],
        np.ascontiguousarray(posterior.coefficients().T),
        [design.scaling.features(rows.X, factor.terms)[1] for factor in design.factors],
        codes,
        [effects.of_factor(f, codes[f]) for f in range(len(design.factors))],
        posterior.covariances(),
        THREADS,
    )


def warn_of_infinite_means(
    design: ResponseDesign, priors: Priors, rows: Rows, *, with_sd: bool = False
) -> None:
    """Warn of rows of new groups whose mean rate, or its sd, does not exist, given the priors.

    With a log link the mean is E exp(eta + z'Sigma z / 2). Under tau_a ~ HalfNormal(s_a) it is
    finite if and only if sum_a (s_a z_a)^2 < 1 (by the Cauchy-Schwarz inequality, whatever the
    correlations), and the variance if it is below 1/4. Exponential tails leave none.
    """
    if design.family.link != "log":
        return
    exponent = np.zeros(len(rows))
    for f, factor in enumerate(design.factors):
        units = design.scaling.effect_units(factor.terms)
        pairs = zip(priors.tau[f], units, strict=True)
        scales = np.array([_gaussian_scale(prior) / unit for prior, unit in pairs])
        z = design.scaling.features(rows.X, factor.terms)[1]
        new = rows.codes(f) < 0
        terms = np.where(z[new] != 0, scales * z[new], 0.0)
        exponent[new] += np.sum(terms**2, axis=1)
    n_wrong = int(np.sum(exponent >= (LARGEST_FOR_SD if with_sd else 1.0)))
    if with_sd and n_wrong and not np.any(exponent >= 1.0):
        warn(
            f"The standard deviation of {n_wrong} of {len(rows)} rows, of groups that were not "
            "seen in fit, does not exist under the prior of tau: E exp(2 tau^2) is infinite, "
            "whatever a finite number of draws gives. Use predict_quantiles or "
            "predict_interval.",
            DataWarning,
        )
    elif n_wrong:
        warn(
            f"The mean rate of {n_wrong} of {len(rows)} rows, of groups that were not seen in "
            "fit, does not exist under the prior of tau: E exp(tau^2 / 2) is infinite, "
            "whatever a finite number of draws gives. Use predict_quantiles or "
            "predict_interval, or priors of tau as Prior('HalfNormal', sigma=s), where the sum "
            "of (s z)^2 over the terms z of new groups is below 1.",
            DataWarning,
        )


def _gaussian_scale(prior: Any) -> float:
    """Return s if a density falls like exp(-tau^2 / (2 s^2)): 0 if it ends, inf if slower."""
    if prior.distribution in BOUNDED:
        return 0.0
    if prior.distribution == "HalfNormal":
        parameters = prior.parameters
        tau = parameters.get("tau")
        return float(parameters.get("sigma", 1.0) if tau is None else float(tau) ** -0.5)
    return np.inf
