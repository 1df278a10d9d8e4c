"""From a design and priors to a posterior: the steps of a fit that need PyMC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skhbm._density.assemble import make_density
from skhbm._density.assemble_effects import make_effects_density, make_response_density
from skhbm._density.assemble_responses import working_map
from skhbm._density.effects_density import EffectsDensity, effects_of
from skhbm._numba.threads import single_threaded_blas
from skhbm._posterior.complete import make_posterior
from skhbm._posterior.responses import make_response_posterior
from skhbm._sampling.solvers import chains_seconds, draw

if TYPE_CHECKING:
    from skhbm._design.design import Design
    from skhbm._design.responses import ResponseDesign
    from skhbm._posterior.posterior import Posterior
    from skhbm._posterior.responses import ResponsePosterior
    from skhbm._priors.prior import Priors
    from skhbm._sampling.draws import Draws
    from skhbm._sampling.solvers import Settings

__all__ = ["infer", "infer_response"]

#: Seconds of CPU of chains above which effects are sampled rather than integrated out, if there
#: are two in a group, whose integrals take long, or if groups have so many rows on average that
#: effects are close to normal. Of small groups integrals make for better chains.
DEAR, MANY = 5.0, 20.0


def infer(
    design: Design, priors: Priors, solver: str, settings: Settings
) -> tuple[Posterior, Draws]:
    """Draw from the posterior; return it with the draws of the hyperparameters."""
    seed, threads = settings.seed, settings.threads
    with single_threaded_blas():
        density = make_density(design, priors)
        draws = draw(density, solver, settings)
        posterior = make_posterior(design, density, draws, seed, threads)
    return posterior, draws


def infer_response(
    design: ResponseDesign, priors: Priors, solver: str, settings: Settings
) -> tuple[ResponsePosterior, Draws]:
    """Draw from the posterior of a response that is not normal, as `infer` does."""
    with single_threaded_blas():
        density = make_response_density(design, priors)
        integrated = not isinstance(density, EffectsDensity)
        close_to_normal = design.patterns.n.sum() >= MANY * design.factors[0].n_groups
        sampled = len(design.terms.varying) > 1 or close_to_normal
        dear = integrated and sampled and solver == "nuts"
        if dear and chains_seconds(density, settings) > DEAR:
            density = make_effects_density(design, priors)
        draws = draw(density, solver, settings)
    # Effects that can be integrated out are drawn when they are asked for.
    effects = None
    if isinstance(density, EffectsDensity) and not integrated:
        effects = effects_of(density, draws.values)
    given = design, density, working_map(design, priors), draws, settings.seed, effects
    return make_response_posterior(*given), draws
