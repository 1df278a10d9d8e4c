"""The observed node of the PyMC model: the statistics of y, their density and simulation.

With one grouping factor they are the columns of E and W that belong to y. With several factors
`skhbm._density.pymc_cells` has the statistics of cells.
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

from skhbm._likelihood.marginal import make_marginal

if TYPE_CHECKING:
    from collections.abc import Callable

    from skhbm._design.design import Design
    from skhbm._types import Float


__all__ = ["observe", "observe_groups", "simulate_within"]


class StatisticsLogp(Op):
    """A log density of the observed statistics and its gradient, as a PyTensor Op.

    Parameters
    ----------
    evaluate : callable
        From the parameters, which are a matrix and vectors, and the statistics to the log
        density and its derivatives in the parameters.
    """

    __props__ = ("evaluate",)

    def __init__(self, evaluate: Callable[..., Any]) -> None:
        self.evaluate = evaluate

    def make_node(self, *inputs: Any) -> Apply:
        """Take the parameters and, last, the statistics."""
        variables = [pt.as_tensor(value) for value in inputs]
        gradients = [variable.type() for variable in variables[:-1]]
        return Apply(self, variables, [pt.dscalar(), *gradients])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        """Evaluate with the compiled kernel."""
        del node
        for storage, value in zip(output_storage, self.evaluate(*inputs), strict=True):
            storage[0] = np.asarray(value)

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """Use the gradients that come with the value."""
        del inputs
        gradients = [cotangents[0] * gradient for gradient in outputs[1:]]
        return [*gradients, DisconnectedType()()]

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        """Only the value depends, differentiably, on the parameters."""
        n = len(node.inputs)
        return [[i < n - 1, *[False] * (n - 1)] for i in range(n)]


def _run_perform(op: Any, node: Any = None, **kwargs: Any) -> Any:
    """Let PyTensor's numba backend call `perform` without its warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return generate_fallback_impl(op, node, **kwargs), None


register_funcify_and_cache_key(StatisticsLogp)(_run_perform)


def observe_groups(design: Design, cov: Any, sigma: Any, working: Any) -> None:
    """Observe the columns of E and W that belong to the response."""
    e_y, w_y = design.roots[:, :, -1], design.W[:, :, -1]

    def evaluate(cov: Float, sigma: Float, w: Float, value: Float) -> Any:
        roots, W = design.roots.copy(), design.W.copy()
        roots[:, :, -1] = value[: e_y.size].reshape(e_y.shape)
        W[:, :, -1] = W[:, -1, :] = value[e_y.size :].reshape(w_y.shape)
        ones = np.ones(len(roots))
        marginal = make_marginal(np.zeros(0), roots, ones, W, design.log_counts)
        return marginal.value_and_gradient(cov, sigma, w)

    def simulate(rng: np.random.Generator, cov: Float, sigma: Float, w: Float) -> Float:
        return _simulate_groups(design, cov, sigma, w, rng)

    observed = np.concatenate([e_y.ravel(), w_y.ravel()])
    observe(evaluate, simulate, observed, "(q,q),(s),(p),(k)->(k)", cov, sigma, working)


def observe(
    evaluate: Callable[..., Any],
    simulate: Callable[..., Float],
    observed: Float,
    signature: str,
    *parameters: Any,
) -> None:
    """Add the observed node; the length of its last argument is that of a draw."""
    op = StatisticsLogp(evaluate)

    def logp(value: Any, *arguments: Any) -> Any:
        return op(*arguments[:-1], value)[0]

    def random(*arguments: Any, rng: np.random.Generator, size: Any = None) -> Float:
        del size
        return simulate(rng, *arguments[:-1])

    pm.CustomDist(
        "statistics", *parameters, np.zeros_like(observed), logp=logp, random=random,
        signature=signature, observed=observed,
    )  # fmt: skip


def _simulate_groups(
    design: Design, cov: Float, sigma: Float, w: Float, rng: np.random.Generator
) -> Float:
    """Simulate the statistics of rows with these X and groups.

    In an orthonormal basis rows have independent noise, so that E_y = E_x w + R u + noise where
    a group spans something.
    """
    q = len(cov)
    R, E = np.split(design.roots, [q], axis=2)
    scale = np.broadcast_to(sigma, len(R))
    effects = rng.multivariate_normal(np.zeros(q), cov, size=len(R), method="eigh")
    noise = scale[:, None] * rng.standard_normal((len(R), q))
    spanned = np.any(R != 0, axis=2) | np.any(E != 0, axis=2)
    e_y = np.where(spanned, E[:, :, :-1] @ w + np.einsum("jab,jb->ja", R, effects) + noise, 0.0)
    ranks = spanned.sum(axis=1).astype(float)
    rows = design.rows - (ranks if len(design.W) > 1 else ranks.sum())
    return np.concatenate([e_y.ravel(), simulate_within(design.W, rows, sigma, w, rng)])


def simulate_within(
    within: Float, rows: Float, sigma: Float, w: Float, rng: np.random.Generator
) -> Float:
    """Simulate the response's column of cross-products (n, m, m) of so many rows (n,).

    W_xy = W_xx w + root(W_xx) noise. What is left of the sum of squares is chi-square. The
    coefficients w are (m - 1,) or, if they differ, (n, m - 1).
    """
    xx = within[:, :-1, :-1]
    values, vectors = np.linalg.eigh(xx)
    # Eigenvalues of what a group does not span are rounding, relative to all groups.
    root = np.sqrt(np.where(values > 1e-12 * np.max(values, initial=0.0), values, 0.0))
    z = rng.standard_normal(root.shape) * (root > 0)
    degrees = np.maximum(rows - (root > 0).sum(axis=1), 0.0)
    rest = rng.chisquare(np.maximum(degrees, 1e-9)) * (degrees > 0) + (z**2).sum(axis=1)
    xe = np.einsum("jab,jb->ja", vectors, root * z) * sigma[:, None]
    fitted = np.einsum("jab,jb->ja", xx, np.broadcast_to(w, root.shape))
    xy = fitted + xe
    yy = np.sum((fitted + 2 * xe) * w, axis=1) + sigma**2 * rest
    return np.column_stack([xy, yy]).ravel()
