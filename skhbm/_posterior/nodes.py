"""A few values of the hyperparameters in the place of all draws, each of which costs time.

Moments of effects and predictions, given the hyperparameters, are smooth functions of them.
Over a posterior that is close to normal, in coordinates in which scales may be zero, 2 d points
at the mean plus and minus sqrt(d) standard deviations along each axis integrate polynomials of
the third degree exactly (Stroud 1957, https://doi.org/10.1090/S0025-5718-1957-0096377-2).
Whether that is good enough is checked by typical levels of each factor, whose moments over all
draws cost next to nothing. If not, some of the draws are taken, evenly spread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from skhbm._posterior.effects import covariance_roots
from skhbm._posterior.effects_blocked import BlockedEffects
from skhbm._posterior.factors_at_nodes import Nodes

if TYPE_CHECKING:
    from skhbm._posterior.posterior import Posterior
    from skhbm._types import Float

__all__ = ["all_nodes", "condensed", "condensed_for_ratios", "joint_effects", "moment_nodes"]

#: Nanoseconds of CPU for the nodes of one question, and bounds for their number.
BUDGET, FEWEST, MOST = 1.0e9, 64, 1000
#: The same for importance ratios, and nanoseconds that a row takes at each node.
RATIO_BUDGET, FEWEST_RATIOS, ROW = 4.0e9, 200, 300.0
#: A node is factorised, inverted and solved with: that takes so many times what a value takes.
INVERTED = 2.6
#: Differences that nodes may make: of means in sds, and of variances relative to themselves.
#: 0.1 is the Monte Carlo error of the variance of 200 draws, and 0.02 of the mean of 2500.
MEANS, VARIANCES = 0.02, 0.1
#: Levels whose pooling factors are compared: quantiles of their numbers of rows.
LEVELS = (0.0, 0.5, 1.0)


def joint_effects(posterior: Posterior, nodes: Nodes | None = None) -> BlockedEffects:
    """Return coefficients and effects of several factors, given nodes.

    Nodes are those for means and variances, unless they are given.
    """
    several, points = posterior.design.several_factors, posterior.points
    assert several is not None, "there are several factors"
    assert points is not None, "there are several factors"
    nodes = moment_nodes(posterior) if nodes is None else nodes
    blocks = several.blocks.in_columns(points.columns)
    return BlockedEffects(blocks, several.layout, points, nodes)


def condensed(posterior: Posterior) -> Posterior:
    """Return no more draws than can be factorised for one question to the posterior.

    With one factor they are all draws. With several they are some, evenly spread, as many as
    the design can afford, whatever the clock says. The coefficients are integrated out of what
    is asked, so that hundreds of draws say as much as thousands.
    """
    return _some(posterior, BUDGET, 0, FEWEST)


def condensed_for_ratios(posterior: Posterior, n_rows: int) -> Posterior:
    """Return draws as `condensed` does, for importance ratios of so many rows.

    The tails of ratios need more draws than averages do.
    """
    return _some(posterior, RATIO_BUDGET, n_rows, FEWEST_RATIOS)


def _some(posterior: Posterior, budget: float, n_rows: int, fewest: int) -> Posterior:
    """Return as many draws as the budget allows, within bounds."""
    several = posterior.design.several_factors
    if several is None:
        return posterior
    affordable = int(budget / (INVERTED * several.blocks.work + ROW * n_rows))
    most = min(max(affordable, fewest), MOST)
    return posterior.thinned(-(-posterior.n_draws // most))


def all_nodes(posterior: Posterior) -> Nodes:
    """Return the draws as nodes of equal weight."""
    n = posterior.n_draws
    sigma = posterior.residual_scales()[:, 0]
    points = posterior.points
    assert points is not None, "there are several factors"
    sampled = points.sampled.reshape(n, points.sampled.shape[2])
    # Draws of one point have equal roots and sampled coefficients, to the last digit.
    _, first, which = np.unique(points.index, return_index=True, return_inverse=True)
    taken = first[which.ravel()]
    roots = tuple(
        (covariance_roots(cov) / sigma[:, None, None])[taken] for cov in posterior.covariances()
    )
    return Nodes(roots, sigma, sampled[taken], np.full(n, 1.0 / n))


def moment_nodes(posterior: Posterior) -> Nodes:
    """Return nodes for posterior means and variances."""
    some = condensed(posterior)
    if some.n_draws == posterior.n_draws:
        return all_nodes(posterior)
    every = all_nodes(posterior)
    cubature = _cubature(every)
    if cubature is not None and _agree(posterior, cubature, every):
        return cubature
    return all_nodes(some)


def _cubature(draws: Nodes) -> Nodes | None:
    """Return 2 d nodes with the mean and covariance of draws, None if these do not vary."""
    coordinates = _Coordinates(draws)
    x = coordinates.of_nodes(draws)
    n, d = x.shape
    center = x.mean(axis=0)
    cov = (x - center).T @ (x - center) / n
    if n <= 2 * d or not np.all(np.diag(cov) > 0):
        return None
    try:
        root = np.linalg.cholesky(cov)
    except np.linalg.LinAlgError:
        return None
    steps = np.sqrt(d) * root.T
    return coordinates.nodes(np.concatenate([center + steps, center - steps]))


def _agree(posterior: Posterior, nodes: Nodes, draws: Nodes) -> bool:
    """Tell whether nodes do as well as draws for effects of typical levels.

    An effect of a level with n rows has about the mean (1 - p) m and the variance
    tau^2 p given scales, with the pooling factor p = 1 / (1 + n theta^2). Their averages, and
    the variance of the mean for m = tau, are compared in units of the posterior variance.
    """
    for factor, ours, theirs in zip(
        posterior.design.factors, nodes.roots, draws.roots, strict=True
    ):
        theta, expected = (np.einsum("sab,sab->sa", root, root) for root in (ours, theirs))
        tau, drawn = theta * nodes.sigma[:, None] ** 2, expected * draws.sigma[:, None] ** 2
        for n in np.quantile(factor.n, LEVELS):
            p, q = 1.0 / (1.0 + n * theta), 1.0 / (1.0 + n * expected)
            variance, unit = np.mean(drawn * q, axis=0), np.mean(drawn, axis=0)
            shift = (nodes.weight @ p - np.mean(q, axis=0)) * np.sqrt(unit / variance)
            spread = (nodes.weight @ (p - nodes.weight @ p) ** 2 - np.var(q, axis=0)) * unit
            change = nodes.weight @ (tau * p) - variance
            off = np.abs([spread / variance, change / variance])
            if not (np.all(np.abs(shift) <= MEANS) and np.all(off <= VARIANCES)):
                return False
    return True


class _Coordinates:
    """Coordinates of nodes on the real line: scales, correlations, sampled coefficients, sigma.

    Standard deviations are s T(Phi(z)) with the quantiles T of the half-t distribution with two
    degrees of freedom, as in `skhbm._sampling.half_t`; s is their median.
    """

    def __init__(self, draws: Nodes) -> None:
        self.medians = [
            np.median(np.sqrt(np.einsum("sab,sab->sa", root, root)), axis=0)
            for root in draws.roots
        ]
        # Without correlations, roots are diagonal.
        self.correlated = [
            bool(np.any(root[:, np.tri(root.shape[1], k=-1, dtype=bool)]))
            for root in draws.roots
        ]
        self.with_sigma, self.sigma = bool(np.ptp(draws.sigma)), draws.sigma[:1]

    def of_nodes(self, nodes: Nodes) -> Float:
        """Return the coordinates (n, d) of nodes."""
        parts = []
        for root, median, correlated in zip(
            nodes.roots, self.medians, self.correlated, strict=True
        ):
            theta = np.sqrt(np.einsum("sab,sab->sa", root, root))
            t = theta / median
            share = np.clip(t / np.sqrt(2.0 + t * t), 1e-15, 1 - 1e-15)
            parts.append(ndtri(share))
            if correlated:
                parts.append(_partials(root / np.maximum(theta, 1e-300)[:, :, None]))
        parts.append(nodes.sampled)
        if self.with_sigma:
            parts.append(np.log(nodes.sigma)[:, None])
        return np.hstack(parts)

    def nodes(self, x: Float) -> Nodes:
        """Return nodes of equal weight at coordinates (n, d)."""
        n, at = len(x), 0
        roots = []
        for median, correlated in zip(self.medians, self.correlated, strict=True):
            q = len(median)
            share = ndtr(x[:, at : at + q])
            theta = median * share * np.sqrt(2.0 / ((1.0 - share) * (1.0 + share)))
            at += q
            r = q * (q - 1) // 2 if correlated else 0
            root = _correlation_roots(x[:, at : at + r], q)
            at += r
            roots.append(theta[:, :, None] * root)
        last = x.shape[1] - self.with_sigma
        sigma = np.exp(x[:, -1]) if self.with_sigma else np.tile(self.sigma, n)
        return Nodes(tuple(roots), sigma, x[:, at:last], np.full(n, 1.0 / n))


def _partials(root: Float) -> Float:
    """Return canonical partial correlations, on the atanh scale, of roots (n, q, q)."""
    out = []
    for i in range(1, root.shape[1]):
        left = np.ones(len(root))
        for j in range(i):
            share = np.clip(root[:, i, j] / np.sqrt(left), -1 + 1e-15, 1 - 1e-15)
            out.append(np.arctanh(share))
            left = np.maximum(left - root[:, i, j] ** 2, 1e-300)
    return np.column_stack(out)


def _correlation_roots(z: Float, q: int) -> Float:
    """Return Cholesky factors (n, q, q) of correlations; an empty z is independence."""
    root = np.tile(np.eye(q), (len(z), 1, 1))
    if not z.shape[1]:
        return root
    at = 0
    for i in range(1, q):
        rest = np.ones(len(z))
        for j in range(i):
            root[:, i, j] = rest * np.tanh(z[:, at])
            rest = rest / np.cosh(z[:, at])
            at += 1
        root[:, i, i] = rest
    return root
