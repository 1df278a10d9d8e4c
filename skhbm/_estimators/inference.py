"""Design and priors -> posterior: the steps of a fit that need PyMC."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._density.basis import make_basis
from skhbm._density.coefficients import make_coefficients
from skhbm._density.one_factor import initial_point, make_target
from skhbm._density.several_factors import make_crossed_target, start_at_reference
from skhbm._posterior.posterior import make_posterior
from skhbm._priors.distributions import prior_draws
from skhbm._sampling.laplace import laplace
from skhbm._sampling.nuts import Draws, finite_start, prepare, sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._density.basis import Basis
    from skhbm._density.coefficients import Coefficients
    from skhbm._density.one_factor import Evaluated
    from skhbm._design.design import Design
    from skhbm._posterior.posterior import Posterior
    from skhbm._priors.prior import Priors
    from skhbm._sampling.nuts import Watcher

__all__ = ["infer"]

#: PyTensor is not made for threads, and what is compiled is shared.
COMPILING = threading.Lock()

#: Below this many groups the log density of tau has a cliff to the left of its mode, where the
#: between-group variance would vanish, and steps must be smaller than they are on average.
FEW_GROUPS = 10


def infer(
    design: Design, priors: Priors, seed: int, solver: str, **settings: Any
) -> tuple[Posterior, dict[str, Any], tuple[float, float] | None]:
    """Draw from the posterior; return it with the statistics of draws.

    If draws were weighted, also Pareto k and the effective number of the weights.
    """
    coefficients = make_coefficients(design, priors)
    basis = make_basis(design, coefficients)
    with COMPILING:
        target, start = _target(design, priors, coefficients, basis)
        finite = finite_start(target, start)
        model = prepare(target, start) if solver == "nuts" else None
    if solver == "nuts":
        draws, weights = _run_nuts(design, model, seed=seed, **settings), None
    else:
        draws, weights = _run_laplace(target, finite, seed=seed, **settings)
    posterior = make_posterior(design, basis, target, draws, seed, settings["threads"])
    if design.terms.by_group and priors.sigma is not None:
        scale = prior_draws(priors.sigma, posterior.sigma_new.shape, seed)
        posterior = replace(posterior, sigma_new=scale)
    return posterior, draws.statistics, weights


def _run_nuts(design: Design, model: Any, *, target_accept: float, **settings: Any) -> Draws:
    if design.terms.varying:
        # Where effects are sampled each of the terms needs as many.
        sampled = [other.n_groups / len(other.terms.varying) for other in design.others]
        fewest = min(design.n_groups, *sampled, FEW_GROUPS)
        target_accept = 1 - (1 - target_accept) * fewest / FEW_GROUPS
    return sample(model, target_accept=target_accept, **settings)


def _run_laplace(
    target: Evaluated,
    start: Any,
    *,
    draws: int,
    tune: int,
    chains: int,
    seed: int,
    threads: int,
    watchers: Sequence[Watcher],
    target_accept: float,  # noqa: ARG001  # a setting of NUTS
) -> tuple[Draws, tuple[float, float]]:
    """Return draws in the shape of those of chains, and what their weights were like."""
    found = laplace(target, start, n=chains * draws, seed=seed, threads=threads)
    values = found.values.reshape(chains, draws, -1)
    logp = found.logp.reshape(chains, draws)
    for watcher in watchers:
        watcher([tune + draws] * chains, 0)
    statistics = {"logp": logp, "diverging": np.zeros(logp.shape, bool)}
    moments = found.moments if len(found.moments) else None
    return Draws(values, statistics, moments), (found.k, found.effective)


def _target(
    design: Design, priors: Priors, coefficients: Coefficients, basis: Basis
) -> tuple[Evaluated, Any]:
    """Return the density and where its chains start."""
    target = make_target(design, priors, coefficients, basis)
    if not design.others:
        return target, initial_point(target, priors)
    crossed = make_crossed_target(design, priors, target, basis)
    return crossed, start_at_reference(crossed, priors)
