"""Design and priors -> posterior: the steps of a fit that need PyMC."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skhbm._coefficients import make_coefficients
from skhbm._distributions import prior_draws
from skhbm._posterior import make_posterior
from skhbm._sampling import sample
from skhbm._target import initial_point, make_target

if TYPE_CHECKING:
    from skhbm._design import Design
    from skhbm._posterior import Posterior
    from skhbm._priors import Priors

__all__ = ["infer"]


def infer(
    design: Design, priors: Priors, seed: int, **settings: Any
) -> tuple[Posterior, dict[str, Any]]:
    """Sample the posterior; return it with the sampler's statistics."""
    coefficients = make_coefficients(design, priors)
    target = make_target(design, priors, coefficients)
    draws = sample(target, initial_point(target, priors), seed=seed, **settings)
    posterior = make_posterior(design, coefficients, target, draws.values, seed)
    if design.terms.by_group and priors.sigma is not None:
        scale = prior_draws(priors.sigma, posterior.sigma_new.shape, seed)
        posterior = replace(posterior, sigma_new=scale)
    return posterior, draws.statistics
