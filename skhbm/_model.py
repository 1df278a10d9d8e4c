"""Design and priors -> a `pm.Model` with named variables, dims and coords.

It is the model that is sampled: `skhbm._density` evaluates the same density, after
integrating out the coefficients whose prior is normal. Its observed node holds the
statistics of y in each group, and can be simulated.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import (
    generate_fallback_impl,
    register_funcify_and_cache_key,
)

from skhbm._coefficients import make_coefficients
from skhbm._likelihood import make_marginal
from skhbm._priors import hierarchical_priors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skhbm._design import Design
    from skhbm._priors import Priors

    Float = NDArray[np.float64]

__all__ = ["build_model"]


def build_model(design: Design, priors: Priors) -> pm.Model:
    """Build the model of the statistics, with the group effects integrated out."""
    terms, f = design.terms, design.levels.name
    coords = {
        "feature": list(terms.features),
        f: design.levels.labels,
        f"{f}_term": list(terms.varying),
        f"{f}_term_bis": list(terms.varying),
    }
    with pm.Model(coords=coords) as model:
        natural = _population(design, priors)
        sigma = _residual_scale(design, priors, f)
        cov = _effect_covariance(design, priors, f) if terms.varying else pt.zeros((0, 0))
        coefficients = make_coefficients(design, priors)
        working = coefficients.shift + (coefficients.matrix * natural).sum(axis=1)
        _observe(design, cov, pt.atleast_1d(sigma) / design.scaling.y_scale, working)
    return model


def _population(design: Design, priors: Priors) -> Any:
    """Return the natural coefficients, the intercept (where its prior is) first."""
    terms = design.terms
    parts = []
    coef: Any = None
    if terms.features:
        coef = _vector("coef", priors.coef, terms.features, "feature")
        parts.append(coef)
    if terms.intercept:
        shifted = priors.intercept_at_mean and coef is not None
        name = "intercept_at_mean" if shifted else "intercept"
        intercept = _rv(name, priors.intercept)
        if shifted:
            pm.Deterministic("intercept", intercept - (coef * design.scaling.x_mean).sum())
        parts.insert(0, intercept[None])
    return pt.concatenate(parts) if parts else pt.zeros(0)


def _rv(name: str, prior: Any, **kwargs: Any) -> Any:
    parameters = {**prior.parameters, **kwargs}
    return getattr(pm, prior.distribution)(name, **parameters)


def _vector(name: str, priors: tuple[Any, ...], entries: tuple[str, ...], dim: str) -> Any:
    """Make one vector variable, or one variable per entry if the families differ."""
    kinds = {(prior.distribution, *sorted(prior.parameters)) for prior in priors}
    if len(kinds) == 1:
        first = priors[0].parameters
        values = {key: np.array([float(p.parameters[key]) for p in priors]) for key in first}
        return getattr(pm, priors[0].distribution)(name, **values, dims=dim)
    scalars = [_rv(f"{name}[{entry}]", p) for entry, p in zip(entries, priors, strict=True)]
    return pm.Deterministic(name, pt.stack(scalars), dims=dim)


def _effect_covariance(design: Design, priors: Priors, f: str) -> Any:
    """Return the covariance of the effects in working units (q, q)."""
    terms = design.terms
    tau = _vector(f"tau_{f}", priors.tau, terms.varying, f"{f}_term")
    corr: Any = np.eye(len(terms.varying))
    if terms.n_correlations:
        corr = _correlations(f, len(terms.varying), priors.eta)
    scaled = tau / design.scaling.effect_units(terms)
    return corr * pt.outer(scaled, scaled)


def _correlations(f: str, q: int, eta: float) -> Any:
    root = pm.LKJCorr(f"corr_{f}_cholesky", n=q, eta=eta)
    return pm.Deterministic(f"corr_{f}", root @ root.T, dims=(f"{f}_term", f"{f}_term_bis"))


def _residual_scale(design: Design, priors: Priors, f: str) -> Any:
    dims = f if design.terms.by_group else None
    if priors.sigma is not None:
        return _rv("sigma", priors.sigma, dims=dims)
    mean, spread = hierarchical_priors(design)
    mu = _rv("log_sigma_mean", mean)
    return pm.LogNormal("sigma", mu=mu, sigma=_rv("log_sigma_sd", spread), dims=f)


class MarginalOp(Op):
    """The marginal log density of the statistics and its gradient, as a PyTensor Op."""

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        """Take cov, sigma, w, the target's columns of E and W, the roots, W and counts."""
        variables = [pt.as_tensor(value) for value in inputs]
        outputs = [pt.dscalar(), pt.dmatrix(), pt.dvector(), pt.dvector()]
        return Apply(self, variables, outputs)

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        """Evaluate with the compiled kernel."""
        del node
        for storage, value in zip(output_storage, _evaluate(*inputs), strict=True):
            storage[0] = np.asarray(value)

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """Use the gradients that come with the value."""
        gradients = [cotangents[0] * gradient for gradient in outputs[1:]]
        return [*gradients, *(DisconnectedType()() for _ in inputs[3:])]

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        """Only the value depends, differentiably, on the first three inputs."""
        return [[i < 3, False, False, False] for i in range(len(node.inputs))]


def _run_perform(op: Any, node: Any = None, **kwargs: Any) -> Any:
    """Let PyTensor's numba backend call `perform`, as it does by itself, but with a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return generate_fallback_impl(op, node, **kwargs), None


register_funcify_and_cache_key(MarginalOp)(_run_perform)


def _evaluate(
    cov: Float, sigma: Float, w: Float, e_y: Float, w_y: Float, roots: Float, W: Float,
    counts: Float,
) -> Any:  # fmt: skip
    roots, W = roots.copy(), W.copy()
    roots[:, :, -1] = e_y
    W[:, :, -1] = W[:, -1, :] = w_y
    marginal = make_marginal(np.zeros(0), roots, np.ones(len(roots)), W, counts)
    return marginal.value_and_gradient(cov, sigma, w)


def _observe(design: Design, cov: Any, sigma: Any, working: Any) -> None:
    """Add the observed node: the columns of E and W that belong to the target."""
    e_shape, w_shape = design.roots[:, :, -1].shape, design.W[:, :, -1].shape
    observed = np.concatenate([design.roots[:, :, -1].ravel(), design.W[:, :, -1].ravel()])
    split = int(np.prod(e_shape))
    constants = [np.ascontiguousarray(a) for a in (design.roots, design.W, design.counts)]

    def logp(value: Any, cov: Any, sigma: Any, working: Any, like: Any) -> Any:
        del like  # says how long a draw is
        e_y, w_y = value[:split].reshape(e_shape), value[split:].reshape(w_shape)
        return MarginalOp()(cov, sigma, working, e_y, w_y, *constants)[0]

    def random(
        cov: Float, sigma: Float, working: Float, like: Float, rng: np.random.Generator,
        size: Any = None,
    ) -> Float:  # fmt: skip
        del like, size
        return _simulate(design, cov, sigma, working, rng)

    pm.CustomDist(
        "statistics", cov, sigma, working, np.zeros_like(observed), logp=logp, random=random,
        signature="(q,q),(s),(p),(k)->(k)", observed=observed,
    )  # fmt: skip


def _simulate(
    design: Design, cov: Float, sigma: Float, w: Float, rng: np.random.Generator
) -> Float:
    """Simulate the statistics of y: what rows with these X and groups would give.

    In an orthonormal basis rows have independent noise, so E_y = E_x w + R u + noise
    where a group spans something, W_xy = W_xx w + root(W_xx) noise, and the sum
    of squares of the rest is chi-square.
    """
    q = len(cov)
    R, E = np.split(design.roots, [q], axis=2)
    scale = np.broadcast_to(sigma, len(R))
    effects = rng.multivariate_normal(np.zeros(q), cov, size=len(R), method="eigh")
    noise = scale[:, None] * rng.standard_normal((len(R), q))
    spanned = np.any(R != 0, axis=2) | np.any(E != 0, axis=2)
    e_y = np.where(spanned, E[:, :, :-1] @ w + np.einsum("jab,jb->ja", R, effects) + noise, 0.0)

    within = design.W[:, :-1, :-1]
    values, vectors = np.linalg.eigh(within)
    # What a group does not span is zero but for rounding, relative to all groups.
    root = np.sqrt(np.where(values > 1e-12 * np.max(values, initial=0.0), values, 0.0))
    z = rng.standard_normal(root.shape) * (root > 0)
    ranks = spanned.sum(axis=1).astype(float)
    rows = design.counts - (ranks if len(within) > 1 else ranks.sum())
    degrees = np.maximum(rows - (root > 0).sum(axis=1), 0.0)
    rest = rng.chisquare(np.maximum(degrees, 1e-9)) * (degrees > 0) + (z**2).sum(axis=1)
    xe = np.einsum("jab,jb->ja", vectors, root * z) * sigma[:, None]
    xy = within @ w + xe
    yy = within @ w @ w + 2 * xe @ w + sigma**2 * rest
    return np.concatenate([e_y.ravel(), np.column_stack([xy, yy]).ravel()])
