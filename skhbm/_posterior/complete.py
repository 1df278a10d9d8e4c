"""From draws of what is sampled to a posterior: integrated coefficients are drawn, exactly.

Only fits import this module, which calls the compiled likelihood: predictions need neither.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skhbm._likelihood.tabulated import Tabulated
from skhbm._likelihood.tabulated_draws import draw_coefficients, n_innovations
from skhbm._numba.jit import JIT, njit
from skhbm._numba.pointers import call_marginal
from skhbm._numba.threads import in_slices
from skhbm._posterior.hierarchical import Scales, flat
from skhbm._posterior.joint_draws import draw_jointly
from skhbm._posterior.points import Points, make_points
from skhbm._posterior.posterior import Posterior, innovations
from skhbm._priors.distributions import prior_draws
from skhbm._priors.prior import is_normal

if TYPE_CHECKING:
    from skhbm._density.assemble import Density
    from skhbm._density.basis import Basis
    from skhbm._design.design import Design
    from skhbm._likelihood.interface import MarginalLikelihood
    from skhbm._priors.prior import Priors
    from skhbm._sampling.draws import Draws
    from skhbm._types import Float

__all__ = ["make_posterior"]

#: Draws of coefficients made at a time.
BATCH = 512


class _Sampled(NamedTuple):
    """Draws of what is sampled, chains first.

    Attributes
    ----------
    scales : list of Scales
        Of each factor, in the user's order.
    sigma : ndarray of shape (n_chains, n_draws, 1 or n_groups)
    log_sigma : ndarray of shape (n_chains, n_draws, 2) or None
        As in `Posterior`.
    coefficients : ndarray of shape (n_chains, n_draws, s)
        Natural coefficients that are not integrated out.
    """

    scales: list[Scales]
    sigma: Float
    log_sigma: Float | None
    coefficients: Float


def make_posterior(
    design: Design, density: Density, draws: Draws, seed: int, threads: int
) -> Posterior:
    """Split the sampler's natural values and draw the integrated coefficients."""
    sampled = _split(design, density, draws.values)
    rng = np.random.default_rng([seed, 0])
    shape = draws.values.shape[:2]
    points = None if design.several_factors is None else _points(density.basis, sampled, draws)
    n_normals = len(density.basis.mean)
    if isinstance(density.likelihood, Tabulated):
        n_normals = n_innovations(density.likelihood)
    z = flat(innovations(rng, (*shape, n_normals)))
    posterior = Posterior(
        design=design,
        scales=tuple(sampled.scales),
        coef=np.empty((*shape, 1 + len(design.terms.features))),
        working=np.empty((*shape, design.terms.n_fixed)),
        seed=seed,
        sigma=sampled.sigma,
        sigma_new=np.empty(shape),
        log_sigma=sampled.log_sigma,
        points=points,
    )
    if points is not None:
        working = draw_jointly(posterior, draws.cross_products, z)
    else:
        working = _draw_alone(density, posterior, sampled, draws, z, threads)
    _give_known_means(design, density.priors, working)
    coef = design.scaling.natural(working, design.terms).reshape(posterior.coef.shape)
    if points is not None:
        # Sampled coefficients are as a file has them, to the last digit.
        points = make_points(design, density.priors, points.index, coef)
    return replace(
        posterior,
        sigma_new=_new_scales(design, density, sampled, rng, seed),
        coef=coef,
        working=working.reshape(posterior.working.shape),
        points=points,
    )


def _points(basis: Basis, sampled: _Sampled, draws: Draws) -> Points:
    """Return what brings effects and coefficients of several factors back."""
    shape = draws.values.shape[:2]
    index = np.arange(shape[0] * shape[1]) if draws.points is None else draws.points
    return Points(
        index.reshape(shape),
        sampled.coefficients,
        basis.base,
        basis.rotated,
        basis.slope,
        basis.mean,
    )


def _draw_alone(
    density: Density,
    posterior: Posterior,
    sampled: _Sampled,
    draws: Draws,
    z: Float,
    threads: int,
) -> Float:
    """Draw the working coefficients (n_draws, n_fixed) of a model with one factor."""
    likelihood, given = density.likelihood, flat(sampled.coefficients)
    cov, sigma = posterior.covariances()[0], posterior.residual_scales()
    cov = cov.reshape(len(cov), cov.shape[1] ** 2)
    if isinstance(likelihood, Tabulated):
        return _draw_from_tables(density.basis, likelihood, cov, sigma[:, 0], z, threads)
    inputs = np.hstack([cov, sigma, given])
    return _draw_coefficients(
        density.basis, likelihood, inputs, given, z, draws.moments, threads
    )


def _give_known_means(design: Design, priors: Priors, working: Float) -> None:
    """Shift draws of coefficients of constant features to their exact mean, in place.

    The data say nothing of such a feature, and the intercept at the mean takes nothing up, so
    that the mean is that of the prior.
    """
    if not (design.terms.intercept and priors.intercept_at_mean):
        return
    units = design.scaling.x_scale / design.scaling.y_scale
    for k in np.flatnonzero(design.constant):
        if is_normal(priors.coef[k]):
            mean = units[k] * float(priors.coef[k].parameters.get("mu", 0.0))
            working[:, 1 + k] += mean - working[:, 1 + k].mean()


def _split(design: Design, density: Density, values: Float) -> _Sampled:
    """Tell apart the natural values (n_chains, n_draws, n_dim) of a density."""
    *of_factors, sigma, coefficients = (
        np.ascontiguousarray(part)
        for part in np.split(values, np.cumsum(density.sizes)[:-1], axis=2)
    )
    log_sigma = None
    if sigma.shape[2] == design.n_groups + 2:
        log_sigma, sigma = sigma[:, :, :2], np.ascontiguousarray(sigma[:, :, 2:])
    if design.terms.known:
        sigma = np.ones((*values.shape[:2], 1))
    scales = [Scales(*pair) for pair in zip(of_factors[::2], of_factors[1::2], strict=True)]
    return _Sampled(scales, sigma, log_sigma, coefficients)


def _draw_from_tables(
    basis: Basis, likelihood: Tabulated, cov: Float, sigma: Float, z: Float, threads: int
) -> Float:
    """Draw the working coefficients (s, n_fixed) exactly, given cov (s, q) and sigma (s,)."""
    variance = sigma**2
    ratio = cov.sum(axis=1) / variance
    working = np.empty((len(z), len(basis.base)))

    def draw(some: slice) -> None:
        g = draw_coefficients(likelihood, basis.rotation, ratio[some], variance[some], z[some])
        working[some] = basis.base + g @ basis.rotated.T

    in_slices(draw, len(z), threads)
    return working


def _draw_coefficients(
    basis: Basis,
    likelihood: MarginalLikelihood,
    inputs: Float,
    given: Float,
    z: Float,
    moments: Float | None,
    threads: int,
) -> Float:
    """Draw the working coefficients (s, n_fixed) exactly, given each draw of all else.

    inputs (s, n_inputs) are those of the likelihood, given (s, m - 1 - k) among them the
    sampled coefficients, z (s, k) standard normals, moments (s, k + 1, k + 1) U of the
    likelihood, if the sampler has kept it. The root of the covariance is the Cholesky factor
    in the order of the coefficients, whatever the rotation, which among equal eigenvalues is
    arbitrary.
    """
    n_draws, k = z.shape
    working = basis.base + given @ basis.slope.T
    table = likelihood.table()

    def draw(some: slice) -> None:
        for first in range(some.start, some.stop, BATCH):
            batch = slice(first, min(first + BATCH, some.stop))
            if moments is None:
                U = _moments(likelihood, table, inputs[batch], k)
            else:
                U = moments[batch]
            # U'U is the covariance of g, so R'R is that of rotation @ g for the R of this QR.
            root = np.linalg.qr(U[:, :k, :k] @ basis.rotation.T, mode="r")
            sign = np.sign(np.einsum("sii->si", root))
            noise = np.einsum("si,sij->sj", z[batch] * sign, root) @ basis.rotation
            working[batch] += (U[:, k, :k] + noise) @ basis.rotated.T  # derivation (9)

    in_slices(draw, n_draws, threads)
    return working


def _moments(likelihood: MarginalLikelihood, table: Any, inputs: Float, k: int) -> Float:
    """Return U (n, k + 1, k + 1) of a likelihood at inputs (n, n_inputs)."""
    n, n_inputs = inputs.shape
    outputs = np.empty((n, 1 + n_inputs + (k + 1) ** 2))
    _evaluate_marginals(likelihood.callback().address, table.ctypes.data, inputs, outputs)
    return outputs[:, 1 + n_inputs :].reshape(n, k + 1, k + 1)


@njit(**JIT)
def _evaluate_marginals(address, table, inputs, outputs):
    """Fill outputs (n, n_outputs) with those of a likelihood at inputs (n, n_inputs).

    Gradients are left out.
    """
    for i in range(len(inputs)):
        call_marginal(address, table, inputs[i].ctypes.data, outputs[i].ctypes.data, 0)


def _new_scales(
    design: Design, density: Density, sampled: _Sampled, rng: np.random.Generator, seed: int
) -> Float:
    """Draw the residual scale of a group that was not seen, one per draw."""
    sigma, log_sigma = sampled.sigma, sampled.log_sigma
    if design.terms.known:
        return np.zeros(sigma.shape[:2])
    if log_sigma is not None:
        z = rng.standard_normal(log_sigma.shape[:2])
        return np.exp(log_sigma[:, :, 0] + log_sigma[:, :, 1] * z)
    if not design.terms.by_group:
        return sigma[:, :, 0].copy()
    # Independent scales of other groups say nothing of this one.
    return np.asarray(prior_draws(density.priors.sigma, sigma.shape[:2], seed))
