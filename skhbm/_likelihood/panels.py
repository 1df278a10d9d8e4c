"""Interpolation in the logarithm of a positive number, panel by panel, at Chebyshev nodes.

A function of x = log v that is analytic in the strip |Im x| < pi is interpolated on panels of
half width `HALF`. The error falls as rho^-N_NODES, rho = pi / HALF + sqrt(1 + (pi / HALF)^2)
(Trefethen 2013, Approximation Theory and Approximation Practice, theorem 8.2). Where the
function is analytic in v itself about zero, a first panel reaches from v = 0 to the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from skhbm._types import Float, Int

__all__ = ["WIDEST", "Panels", "interpolation", "locate", "make_panels", "single_panel"]

#: Half the width of a panel in log v, and the nodes of a panel: an error of some 1e-14.
HALF = 0.8
N_NODES = 16
#: Panels at most, and the ratio of the ends of so many. What lies above is left out.
MOST = 24
WIDEST = np.exp(2 * HALF * MOST)


class Panels(NamedTuple):
    """Panels that cover the values from `first`, or from zero, to `last`.

    Attributes
    ----------
    first, last : float
        Ends of the panels in log v.
    from_zero : bool
        Whether a panel from v = 0 to `first` comes before the others.
    nodes : ndarray of shape (n_panels, n_nodes)
        The values v of the nodes.
    """

    first: float
    last: float
    from_zero: bool
    nodes: Float


def make_panels(lowest: float, highest: float, *, from_zero: bool) -> Panels:
    """Cover lowest < v < highest; `from_zero` if functions are analytic for |v| < 2 lowest."""
    first = np.log(lowest)
    n_panels = int(np.clip(np.ceil((np.log(highest) - first) / (2 * HALF)), 1, MOST))
    at = np.cos(np.pi * (np.arange(N_NODES) + 0.5) / N_NODES)
    logs = first + HALF * (2 * np.arange(n_panels)[:, None] + 1 + at)
    nodes = np.exp(logs)
    if from_zero:
        nodes = np.vstack([0.5 * lowest * (1 + at), nodes])
    return Panels(first, first + 2 * HALF * n_panels, from_zero, nodes)


def single_panel(value: float) -> Panels:
    """Return the panel of a function that is wanted at one value alone."""
    return Panels(-np.inf, np.inf, False, np.array([[value]]))


def interpolation(n_nodes: int) -> Float:
    """Return the matrix (n_nodes, n_nodes) of Chebyshev coefficients per value at the nodes."""
    degree, node = np.arange(n_nodes)[:, None], np.arange(n_nodes) + 0.5
    cosines = np.cos(np.pi * degree * node / n_nodes)
    return np.where(degree == 0, 1.0, 2.0) / n_nodes * cosines


def locate(panels: Panels, values: Float) -> tuple[Int, Float]:
    """Return the panels of values (s,), or -1, and their places -1 <= x <= 1 in the panels."""
    n_panels, n_nodes = panels.nodes.shape
    if n_nodes == 1:
        return np.zeros(len(values), dtype=np.int64), np.zeros(len(values))
    below = values < np.exp(panels.first)
    with np.errstate(divide="ignore"):
        place = (np.log(values) - panels.first) / (2 * HALF)
    panel = np.where(below, -1, np.clip(np.floor(place), -1, n_panels)).astype(np.int64)
    x = np.where(below, 2.0 * values / np.exp(panels.first) - 1.0, 2.0 * (place - panel) - 1.0)
    panel += panels.from_zero
    return np.where(panel < n_panels, panel, -1), x
