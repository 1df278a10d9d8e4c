"""Draws of the effects of groups under another response, made when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skhbm._likelihood.quadrature import make_quadrature
from skhbm._likelihood.response_rows import rows_of_groups
from skhbm._posterior.hierarchical import flat

if TYPE_CHECKING:
    from skhbm._likelihood.quadrature import QuadratureLikelihood
    from skhbm._posterior.effects_by_quadrature import Given
    from skhbm._posterior.responses import ResponsePosterior
    from skhbm._types import Float, Int

__all__ = ["DrawnEffects", "every_effect", "given_draws"]

#: Effects that are kept at most, and rows times draws that they are drawn from: of larger
#: models only every k-th draw has effects.
MOST_EFFECTS, MOST_WORK = 2e7, 4e8
#: Threads that draw effects.
THREADS = 2


class DrawnEffects:
    """Effects of the groups that were asked for, one draw given each draw of all else.

    Parameters
    ----------
    posterior : ResponsePosterior
    thinned : bool
        Whether of a large model every k-th draw is used.

    Attributes
    ----------
    posterior : ResponsePosterior
        The draws that are used.
    """

    def __init__(self, posterior: ResponsePosterior, *, thinned: bool = True) -> None:
        design = posterior.design
        n_effects = sum(f.n_groups * len(f.terms.varying) for f in design.factors)
        share = max(n_effects / MOST_EFFECTS, len(design.patterns.y) / MOST_WORK)
        drawn_here = thinned and posterior.effects is None
        step = int(posterior.n_draws * share) + 1 if drawn_here else 1
        self.posterior = posterior.thinned(step) if step > 1 else posterior
        n_groups = design.factors[0].n_groups
        self._known = np.zeros(n_groups, dtype=bool)
        self._drawn: Float = np.empty((0, 0, 0))
        if posterior.effects is None:
            shape = self.posterior.n_draws, n_groups, len(design.terms.varying)
            self._drawn = np.zeros(shape)

    def of_factor(self, factor: int, codes: Int | None = None) -> Float:
        """Return effects (n_draws, n_groups, q) in working units; of the coded groups or all.

        Those of groups that have not been asked for yet are zero.
        """
        if self.posterior.effects is not None:
            effects = self.posterior.effects[factor]
            return effects.reshape(self.posterior.n_draws, *effects.shape[2:])
        n_groups = len(self._known)
        wanted = np.arange(n_groups) if codes is None else np.unique(codes[codes >= 0])
        missing = wanted[~self._known[wanted]]
        if len(missing) and self._drawn.shape[2]:
            self._drawn[:, missing] = _draw(self.posterior, missing)
        self._known[missing] = True
        return self._drawn


def every_effect(posterior: ResponsePosterior) -> list[Float]:
    """Return draws of all effects of each factor (n_chains, n_draws, n_groups, q)."""
    if posterior.effects is not None:
        return list(posterior.effects)
    codes = np.arange(posterior.design.factors[0].n_groups)
    drawn = _draw(posterior, codes)
    return [drawn.reshape(*posterior.shape, *drawn.shape[1:])]


def _draw(posterior: ResponsePosterior, codes: Int) -> Float:
    """Draw the effects of groups of the only factor, given each draw (n_draws, n, q)."""
    from skhbm._posterior.effects_by_quadrature import draw_effects

    return draw_effects(*given_draws(posterior), codes, posterior.seed, THREADS)


def given_draws(posterior: ResponsePosterior) -> tuple[QuadratureLikelihood, Given]:
    """Return the likelihood by quadrature, and what it is given in each draw."""
    from skhbm._posterior.effects_by_quadrature import Given

    design = posterior.design
    likelihood = make_quadrature(design.family, rows_of_groups(design))
    cov, dispersion = posterior.covariances()[0], flat(posterior.dispersion)
    return likelihood, Given(cov, dispersion, posterior.coefficients())
