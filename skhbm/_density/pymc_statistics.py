"""The observed node of the PyMC model: the statistics of y, their density and simulation.

With one grouping factor they are the columns of E and W that belong to y, with several factors
the response of each pseudo-row (`skhbm._design.pseudo_rows`) and what pseudo-rows leave over.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
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

from skhbm._design.linear_forms import make_forms
from skhbm._likelihood.given_effects import GivenEffects
from skhbm._likelihood.marginal import make_marginal

if TYPE_CHECKING:
    from collections.abc import Callable

    from skhbm._design.design import Design
    from skhbm._types import Float


__all__ = ["observe_groups", "observe_rows"]


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
    _observe(evaluate, simulate, observed, "(q,q),(s),(p),(k)->(k)", cov, sigma, working)


def observe_rows(design: Design, cov: Any, sigma: Any, working: Any, effects: Any) -> None:
    """Observe the response of the pseudo-rows and what they leave over."""
    several: Any = design.several_factors
    pseudo_rows = several.pseudo_rows
    n_rows, rest = len(pseudo_rows.xy), pseudo_rows.rest[:, :, -1]
    sizes = [other.n_groups for other in design.others]
    seen: dict[str, Any] = {}

    def likelihood(value: Float) -> GivenEffects:
        # The statistics are the same in all evaluations until others are simulated.
        if not np.array_equal(seen.get("value", ()), value):
            y, w_y = value[:n_rows], value[n_rows:].reshape(rest.shape)
            seen["likelihood"] = _with_response(design, sizes, y, w_y)
            seen["value"] = value.copy()
        return seen["likelihood"]

    def evaluate(cov: Float, sigma: Float, w: Float, effects: Float, value: Float) -> Any:
        return likelihood(value).value_and_gradient(cov, sigma, w, effects)

    def simulate(
        rng: np.random.Generator, cov: Float, sigma: Float, w: Float, effects: Float
    ) -> Float:
        return _simulate_rows(design, cov, sigma, w, effects, rng)

    observed = np.concatenate([pseudo_rows.xy[:, -1], rest.ravel()])
    signature = "(q,q),(s),(p),(u),(k)->(k)"
    _observe(evaluate, simulate, observed, signature, cov, sigma, working, effects)


def _observe(
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


def _with_response(design: Design, sizes: list[int], y: Float, rest: Float) -> GivenEffects:
    """Return the likelihood of other responses of the same pseudo-rows."""
    several: Any = design.several_factors
    pseudo_rows = several.pseudo_rows
    q = pseudo_rows.Q.shape[1]
    roots, W = design.roots.copy(), design.W.copy()
    e_y = np.zeros((len(roots), q))
    np.add.at(e_y, pseudo_rows.group, pseudo_rows.Q * y[:, None])  # derivation (2)
    roots[:, :, -1] = e_y
    within = pseudo_rows.within.copy()
    within[:, -1] = y - np.sum(e_y[pseudo_rows.group] * pseudo_rows.Q, axis=1)
    part = pseudo_rows.group if len(W) > 1 else np.zeros_like(pseudo_rows.group)
    w_y = rest.copy()
    # What is within groups is orthogonal to what the groups span.
    np.add.at(w_y, part, np.column_stack([within[:, :-1], within[:, -1]]) * within[:, -1:])
    W[:, :, -1] = W[:, -1, :] = w_y
    marginal = make_marginal(np.zeros(0), roots, np.ones(len(roots)), W, design.log_counts)
    columns = np.eye(W.shape[1])
    replaced = replace(pseudo_rows, within=within)
    return GivenEffects(marginal, make_forms(replaced, sizes, len(roots), len(W), columns))


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
    return np.concatenate([e_y.ravel(), _simulate_within(design.W, rows, sigma, w, rng)])


def _simulate_rows(
    design: Design, cov: Float, sigma: Float, w: Float, effects: Float,
    rng: np.random.Generator,
) -> Float:  # fmt: skip
    """Simulate the responses of pseudo-rows, which have independent noise, and the rest."""
    several: Any = design.several_factors
    pseudo_rows = several.pseudo_rows
    zero, n_groups = np.zeros(len(cov)), design.n_groups
    integrated = rng.multivariate_normal(zero, cov, size=n_groups, method="eigh")
    scale = np.broadcast_to(sigma, design.n_groups)[pseudo_rows.group]
    of_group = integrated[pseudo_rows.group]
    y = pseudo_rows.xy[:, :-1] @ w + np.sum(pseudo_rows.integrated * of_group, axis=1)
    first = 0
    for code, z, other in zip(pseudo_rows.codes, pseudo_rows.terms, design.others, strict=True):
        size = other.n_groups * z.shape[1]
        of_factor = effects[first : first + size].reshape(other.n_groups, -1)
        y += np.sum(z * of_factor[code], axis=1)
        first += size
    y += scale * rng.standard_normal(len(y))
    part = pseudo_rows.group if len(pseudo_rows.rest) > 1 else np.zeros_like(pseudo_rows.group)
    rows = design.rows - np.bincount(part, minlength=len(pseudo_rows.rest))
    return np.concatenate([y, _simulate_within(pseudo_rows.rest, rows, sigma, w, rng)])


def _simulate_within(
    within: Float, rows: Float, sigma: Float, w: Float, rng: np.random.Generator
) -> Float:
    """Simulate the response's column of cross-products (n, m, m) of so many rows (n,).

    W_xy = W_xx w + root(W_xx) noise. What is left of the sum of squares is chi-square.
    """
    xx = within[:, :-1, :-1]
    values, vectors = np.linalg.eigh(xx)
    # Eigenvalues of what a group does not span are rounding, relative to all groups.
    root = np.sqrt(np.where(values > 1e-12 * np.max(values, initial=0.0), values, 0.0))
    z = rng.standard_normal(root.shape) * (root > 0)
    degrees = np.maximum(rows - (root > 0).sum(axis=1), 0.0)
    rest = rng.chisquare(np.maximum(degrees, 1e-9)) * (degrees > 0) + (z**2).sum(axis=1)
    xe = np.einsum("jab,jb->ja", vectors, root * z) * sigma[:, None]
    xy = xx @ w + xe
    yy = xx @ w @ w + 2 * xe @ w + sigma**2 * rest
    return np.column_stack([xy, yy]).ravel()
