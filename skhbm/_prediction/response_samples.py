"""Joint draws of rows of another response, and their covariance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from skhbm._inputs.rows import Rows
    from skhbm._posterior.response_effects import DrawnEffects
    from skhbm._types import Float, Int

__all__ = ["covariance", "samples"]


def samples(
    effects: DrawnEffects,
    rows: Rows,
    sizes: Float,
    n_samples: int,
    rng: np.random.RandomState,
    *,
    with_noise: bool = True,
) -> Float:
    """Draw y (n, n_samples), or its expectation, with equal effects in all rows of a unit."""
    posterior = effects.posterior
    family = posterior.design.family
    rounds = -(-n_samples // posterior.n_draws)
    chosen = np.concatenate([rng.permutation(posterior.n_draws) for _ in range(rounds)])
    chosen = chosen[:n_samples]
    generator = np.random.default_rng(rng.randint(2**31 - 1))
    eta = joint_predictors(effects, rows, chosen, generator)
    dispersion = tuple(draws[chosen] for draws in posterior.dispersions())
    if not with_noise:
        return np.asarray(family.mean(sizes[:, None], eta, dispersion))
    return np.asarray(family.draw(generator, sizes[:, None], eta, dispersion))


def covariance(
    effects: DrawnEffects, rows: Rows, sizes: Float, *, with_noise: bool = True
) -> Float:
    """Return the joint predictive covariance (n, n), from a joint draw for each draw of all.

    It is the covariance of the expectations given a draw plus, of rows themselves, the mean of
    their variances. Effects of groups that were not seen are drawn, always from the same seed.
    """
    posterior = effects.posterior
    family, dispersion = posterior.design.family, posterior.dispersions()
    generator = np.random.default_rng([posterior.seed, 5])
    eta = joint_predictors(effects, rows, np.arange(posterior.n_draws), generator)
    mean = family.mean(sizes[:, None], eta, dispersion)
    total = np.atleast_2d(np.cov(mean, bias=True))
    if with_noise:
        total = total + np.diag(family.variance(sizes[:, None], eta, dispersion).mean(axis=1))
    return np.asarray(total)


def joint_predictors(
    effects: DrawnEffects, rows: Rows, chosen: Int, rng: np.random.Generator
) -> Float:
    """Return linear predictors (n, n_chosen) in some draws, effects of new units drawn."""
    posterior = effects.posterior
    design = posterior.design
    fixed = design.scaling.features(rows.X, design.terms)[0]
    out = fixed @ posterior.coefficients()[chosen].T
    for f, (factor, root) in enumerate(
        zip(design.factors, posterior.covariance_roots(), strict=True)
    ):
        varying = design.scaling.features(rows.X, factor.terms)[1]
        unit, codes = rows.units(f)
        drawn = effects.of_factor(f, codes)
        u = np.empty((len(codes), *drawn.shape[2:], len(chosen)))
        u[codes >= 0] = np.moveaxis(drawn[chosen][:, codes[codes >= 0]], 0, -1)
        z = rng.standard_normal((int(np.sum(codes < 0)), len(chosen), varying.shape[1]))
        u[codes < 0] = np.einsum("sab,jsb->jas", root[chosen], z)
        for a in range(varying.shape[1]):
            out += varying[:, a, None] * u[unit, a]
    return np.asarray(out)
