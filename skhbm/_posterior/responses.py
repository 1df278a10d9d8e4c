"""The posterior of a model whose response is not normal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._posterior.hierarchical import HierarchicalDraws, Scales, flat

if TYPE_CHECKING:
    from collections.abc import Callable

    from skhbm._design.responses import ResponseDesign
    from skhbm._sampling.draws import Draws
    from skhbm._types import Float

__all__ = ["ResponsePosterior", "make_response_posterior"]


@dataclass(frozen=True, slots=True, eq=False)
class ResponsePosterior(HierarchicalDraws):
    """Posterior draws, chains first, and the design they belong to.

    Parameters
    ----------
    design, scales, coef, working, seed
        As in `HierarchicalDraws`, with a `ResponseDesign`. Working coefficients are those of
        standardised features.
    dispersion : ndarray of shape (n_chains, n_draws, n_dispersion)
        Other parameters of the response, in the order of its family.
    effects : tuple of ndarray of shape (n_chains, n_draws, n_groups, q), or None
        Effects of each factor in working units, if they were sampled. Otherwise they are drawn
        given the rest when they are asked for.
    """

    dispersion: Float
    effects: tuple[Float, ...] | None = None

    def response_variables(self) -> tuple[dict[str, Any], dict[str, list[str]]]:
        """Return draws (n_chains, n_draws) of the parameters of the response, and no dims."""
        names = self.design.family.dispersion
        return {name: self.dispersion[:, :, i] for i, name in enumerate(names)}, {}

    def dispersions(self) -> tuple[Float, ...]:
        """Return the draws of each parameter of the response (n_draws,)."""
        return tuple(np.ascontiguousarray(flat(self.dispersion).T))

    def thinned(self, step: int) -> ResponsePosterior:
        """Return the posterior with the first of each `step` draws of a chain."""
        return self.taken(lambda draws: draws[:, ::step])

    def taken(self, take: Callable[[Any], Any]) -> ResponsePosterior:
        """Return the posterior of some draws; `take` chooses them from an array."""
        return replace(
            self,
            scales=tuple(Scales(take(s.tau), take(s.corr)) for s in self.scales),
            coef=take(self.coef),
            working=take(self.working),
            dispersion=take(self.dispersion),
            effects=None if self.effects is None else tuple(map(take, self.effects)),
        )


def make_response_posterior(
    design: ResponseDesign,
    density: Any,
    to_working: Float,
    draws: Draws,
    seed: int,
    effects: tuple[Float, ...] | None = None,
) -> ResponsePosterior:
    """Tell apart the natural values of the draws.

    `to_working` (n_fixed, n_fixed) is the map from natural to working coefficients. `effects`
    are those that were sampled, if they were.
    """
    # Sampled effects come after the coefficients.
    sizes = density.sizes[: 2 * len(design.factors) + 2]
    *of_factors, dispersion, given = (
        np.ascontiguousarray(part)
        for part in np.split(draws.values, np.cumsum(sizes), axis=2)[: len(sizes)]
    )
    scales = tuple(
        Scales(*pair) for pair in zip(of_factors[::2], of_factors[1::2], strict=True)
    )
    working = given @ to_working.T
    return ResponsePosterior(
        design=design,
        scales=scales,
        coef=design.scaling.natural(working, design.terms),
        working=working,
        seed=seed,
        dispersion=dispersion,
        effects=effects,
    )
