"""The marginal likelihood with one varying term and a shared residual scale, from tables.

With one varying term the likelihood is a function of two numbers: nu = sigma^2 and the ratio
t = tau^2 / sigma^2. For a fixed t one eigenvalue decomposition of a k x k matrix, k being the
number of coefficients, gives it for all nu; for a fixed nu one of a J x J matrix, J being the
number of groups, gives it for all t: derivation (15) and (16). The smaller of the two is
decomposed, once, at the nodes of `skhbm._likelihood.panels`. As a function of the other number
the likelihood is analytic but on the negative axis, and is interpolated between the nodes, with
an error near rounding. An evaluation costs 16 min(k, J) divisions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skhbm._likelihood.nodes import by_ratio_tables, by_variance_tables
from skhbm._likelihood.panels import WIDEST, interpolation, make_panels, single_panel
from skhbm._likelihood.tabulated_kernel import TABLE, tabulated_callback
from skhbm._numba.lanes import LANES
from skhbm._numba.records import make_record

if TYPE_CHECKING:
    from skhbm._likelihood.interface import MarginalLikelihood
    from skhbm._likelihood.marginal import Marginal
    from skhbm._likelihood.nodes import Groups, Tables
    from skhbm._likelihood.panels import Panels
    from skhbm._types import Float

__all__ = ["Tabulated", "make_tabulated"]

#: Squared roots of groups may differ by this factor where a J x J matrix is decomposed.
UNEQUAL = 1e6
#: Panels reach this factor beyond the ratio and the variance that the data suggest.
BEYOND = 100.0
#: Ratios and variances that chains may start at, in working units.
RATIOS, VARIANCES = 50.0, (0.05, 50.0)


class Tabulated(NamedTuple):
    """The likelihood, ready to be called from compiled code.

    Attributes
    ----------
    exact : Marginal
        The same likelihood, evaluated where there are no panels.
    exact_table : ndarray
        Its table, kept alive.
    groups : Groups
    by_ratio : bool
        Whether nodes are values of t, and not of nu.
    panels : Panels
    tables : Tables
        Nodes in lanes: (n_panels, n_blocks, LANES) and (n_panels, n_blocks, rank, LANES).
    coefficients : (n_nodes, n_blocks, LANES), the matrix of `interpolation`
    """

    exact: Marginal
    exact_table: Any
    groups: Groups
    by_ratio: bool
    panels: Panels
    tables: Tables
    coefficients: Float

    @property
    def n_integrated(self) -> int:
        """Number of coefficients that are integrated out."""
        return len(self.groups.mean)

    @property
    def work(self) -> float:
        """Nanoseconds of CPU of a value: next to none."""
        return 0.0

    @property
    def n_within(self) -> int:
        """Number of residual scales."""
        return 1

    @property
    def n_moments(self) -> int:
        """Length of the moments of coefficients among the outputs: there are none."""
        return 0

    def table(self) -> Any:
        """Return the record that the callback reads; valid as long as this object lives."""
        n_panels, n_nodes = self.panels.nodes.shape
        rank = self.tables.poles.shape[2]
        return make_record(
            TABLE,
            n_terms=self.exact.roots.shape[1],
            n_panels=n_panels,
            n_nodes=n_nodes,
            n_blocks=self.coefficients.shape[1],
            rank=rank,
            by_ratio=int(self.by_ratio),
            from_zero=int(self.panels.from_zero),
            **self.tables._asdict(),
            coefficients=self.coefficients,
            exact=self.exact.callback().address,
            exact_table=self.exact_table,
            n_exact=self.exact.n_moments,
            first=self.panels.first,
            last=self.panels.last,
            count=self.groups.log_count - (rank if self.by_ratio else 0),
        )

    def callback(self) -> Any:
        """Return the callback that reads the table."""
        return tabulated_callback()

    def value_and_gradient(
        self, cov: Float, sigma: Float, given: Float
    ) -> tuple[float, Float, Float, Float]:
        """Return the log density and its derivatives in cov (q, q), sigma and given (0,)."""
        inputs = np.concatenate([cov.ravel(), sigma])
        outputs, table = np.empty(1 + len(inputs)), self.table()
        self.callback().ctypes(*(a.ctypes.data for a in (table, inputs, outputs)), 1)
        d_cov, d_sigma = np.split(outputs[1:], [cov.size])
        return float(outputs[0]), d_cov.reshape(cov.shape), d_sigma, np.zeros(len(given))


if TYPE_CHECKING:
    _: type[MarginalLikelihood] = Tabulated


def make_tabulated(groups: Groups, exact: Marginal, variance: float | None) -> Tabulated:
    """Choose the nodes and fill the tables; with known errors there is one variance nu."""
    by_ratio = decomposes_coefficients(groups)
    plausible = variance or _plausible_variance(groups)
    if by_ratio:
        # Without a varying term the ratio is always zero.
        panels = _ratio_panels(groups, plausible) if len(groups.n) else single_panel(0.0)
        tables = by_ratio_tables(groups, panels.nodes)
    else:
        panels = single_panel(variance) if variance else _variance_panels(plausible)
        tables = by_variance_tables(groups, panels.nodes)
    n_nodes = panels.nodes.shape[1]
    coefficients = _to_lanes(interpolation(n_nodes).T[None])[0]
    return Tabulated(
        exact,
        exact.table(),
        groups,
        by_ratio,
        panels,
        type(tables)(*map(_to_lanes, tables)),
        np.ascontiguousarray(np.moveaxis(coefficients, 1, 0)),
    )


def decomposes_coefficients(groups: Groups) -> bool:
    """Return whether k x k matrices are decomposed, and not J x J."""
    n = groups.n
    few = len(n) < len(groups.mean)
    return not few or bool(np.max(n, initial=0.0) >= UNEQUAL * np.min(n, initial=np.inf))


def _plausible_variance(groups: Groups) -> float:
    """Return the residual variance of least squares within groups."""
    left_over = groups.log_count - len(groups.n) - np.count_nonzero(groups.d)
    return float(groups.rest / max(left_over, 1.0))


def _ratio_panels(groups: Groups, variance: float) -> Panels:
    """Cover all ratios t that are plausible; down to zero it is all of them."""
    spread = np.mean(groups.E[:, -1] ** 2 / groups.n)
    lowest = 0.5 / np.max(groups.n)
    highest = max(BEYOND * spread / variance, RATIOS)
    return make_panels(float(lowest), float(highest), from_zero=True)


def _variance_panels(variance: float) -> Panels:
    """Cover all variances nu that are plausible."""
    lowest = max(min(variance / BEYOND, VARIANCES[0]), VARIANCES[1] / WIDEST)
    return make_panels(lowest, VARIANCES[1], from_zero=False)


def _to_lanes(nodes: Float) -> Float:
    """Put the nodes (n_panels, n_nodes, ...) last: (n_panels, n_blocks, ..., LANES).

    Lanes that fill up the last block are one: their logarithms are zero.
    """
    n_panels, n_nodes, *shape = nodes.shape
    n_blocks = -(-n_nodes // LANES)
    padded = np.ones((n_panels, n_blocks * LANES, *shape))
    padded[:, :n_nodes] = nodes
    blocks = padded.reshape(n_panels, n_blocks, LANES, *shape)
    return np.ascontiguousarray(np.moveaxis(blocks, 2, -1))
