"""The observed node of the PyMC model with several factors: statistics of y in each cell.

These are the mean of y and its centred cross-products with the features and with itself, in
working units. The effects of all factors are integrated out of their density.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._density.pymc_statistics import observe, simulate_within
from skhbm._design.blocks import make_blocks
from skhbm._likelihood.blocked import make_blocked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._design.blocks import Blocks, Layout
    from skhbm._design.design import Design
    from skhbm._design.scaling import Scaling
    from skhbm._likelihood.blocked import Blocked
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float


__all__ = ["observe_cells"]


def observe_cells(
    design: Design,
    statistics: GroupedStatistics,
    covs: Sequence[Any],
    sigma: Any,
    working: Any,
) -> None:
    """Observe the means of y in cells and its cross-products."""
    several: Any = design.several_factors
    scaling, terms = design.scaling, [factor.terms for factor in design.factors]
    observed = _response(statistics, scaling)
    # The statistics are the same in all evaluations until others are simulated.
    first = _likelihood(design, several.blocks, several.layout)
    seen: dict[str, Any] = {"value": observed, "likelihood": first}

    def likelihood(value: Float) -> Blocked:
        if not np.array_equal(seen["value"], value):
            changed = _with_response(statistics, scaling, value)
            blocks, layout = make_blocks(changed, scaling, terms)
            seen["likelihood"] = _likelihood(design, blocks, layout)
            seen["value"] = value.copy()
        return seen["likelihood"]

    def evaluate(*arguments: Float) -> Any:
        *covs, sigma, w, value = arguments
        logp, d_covs, d_sigma, d_w = likelihood(value).value_and_gradient(covs, sigma[0], w)
        return logp, *d_covs, np.array([d_sigma]), d_w

    def simulate(rng: np.random.Generator, *arguments: Float) -> Float:
        *covs, sigma, w = arguments
        return _simulate(design, statistics, covs, sigma, w, rng)

    matrices = [f"(q{f},q{f})" for f in range(len(covs))]
    signature = ",".join([*matrices, "(s)", "(p)", "(k)->(k)"])
    observe(evaluate, simulate, observed, signature, *covs, sigma, working)


def _likelihood(design: Design, blocks: Blocks, layout: Layout) -> Blocked:
    """Return the likelihood of blocks, all coefficients given."""
    columns, count = np.eye(len(blocks.C)), float(design.log_counts[0])
    return make_blocked(blocks, layout, columns, np.zeros(0), count)


def _response(statistics: GroupedStatistics, scaling: Scaling) -> Float:
    """Return the statistics of y: all means, and all cross-products cell by cell."""
    mean = (statistics.mean[:, -1] - scaling.y_mean) / scaling.y_scale
    products = statistics.cross[:, :, -1] / (scaling.unit * scaling.y_scale)
    return np.concatenate([mean, products.ravel()])


def _with_response(
    statistics: GroupedStatistics, scaling: Scaling, value: Float
) -> GroupedStatistics:
    """Return statistics whose `_response` is the value."""
    mean, cross = statistics.mean.copy(), statistics.cross.copy()
    of_mean, products = np.split(value, [len(mean)])
    mean[:, -1] = scaling.y_mean + scaling.y_scale * of_mean
    natural = products.reshape(mean.shape) * (scaling.unit * scaling.y_scale)
    cross[:, :, -1] = cross[:, -1, :] = natural
    return replace(statistics, mean=mean, cross=cross)


def _simulate(
    design: Design,
    statistics: GroupedStatistics,
    covs: Sequence[Float],
    sigma: Float,
    w: Float,
    rng: np.random.Generator,
) -> Float:
    """Simulate the statistics of rows with these X and groups.

    Given the effects the rows of a cell have the same coefficients. The mean of their y is
    independent of the cross-products about it.
    """
    scaling, X = design.scaling, statistics.mean[:, :-1]
    fixed, _ = scaling.features(X, design.terms)
    mean = fixed @ w
    slopes = np.tile(w[int(design.terms.intercept) :], (len(X), 1))
    for factor, code, cov in zip(design.factors, statistics.codes.T, covs, strict=True):
        zero, terms = np.zeros(len(cov)), factor.terms
        effects = rng.multivariate_normal(zero, cov, size=factor.n_groups, method="eigh")[code]
        mean += np.sum(scaling.features(X, terms)[1] * effects, axis=1)
        slopes[:, terms.slopes] += effects[:, int(terms.varying_intercept) :]
    mean += sigma / np.sqrt(statistics.weight) * rng.standard_normal(len(mean))
    within = scaling.standardised(statistics.cross)
    products = simulate_within(within, statistics.n - 1, sigma, slopes, rng)
    return np.concatenate([mean, products])
