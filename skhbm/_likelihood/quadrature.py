"""The marginal likelihood of one grouping factor, its effects integrated out by quadrature.

For each group j the effects u ~ Normal(0, Sigma) are integrated out,

    p(y_j | w, Sigma, phi) = int prod_i p(y_i | x_i'w + z_i'u, phi)^weight_i N(u; 0, Sigma) du,

by the trapezoidal rule about the mode of the integrand, with nodes in units of its width. With
u = L v, L L' = Sigma and v ~ Normal(0, I), a Sigma near or at zero is nothing special. The
derivatives are expectations over the same nodes (Fisher's identity), that in Sigma being

    L^-T E[v g'] / 2,   g = sum_i z_i d log p(y_i) / d eta_i.

Nodes are added until what lies beyond is negligible, and their distance is halved until even
and odd nodes agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skhbm._families.table import FAMILIES
from skhbm._likelihood.grouped_rows import GroupedRows
from skhbm._likelihood.quadrature_exponential import (
    logit_rows,
    negative_binomial_rows,
    poisson_rows,
)
from skhbm._likelihood.quadrature_general import make_general_rows
from skhbm._likelihood.quadrature_kernels import (
    TABLE,
    no_term_callback,
    one_term_callback,
    two_terms_callback,
)
from skhbm._likelihood.quadrature_student import student_t_rows
from skhbm._numba.jit import c_callback
from skhbm._numba.lanes import LANES
from skhbm._numba.records import make_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from skhbm._families.family import Family
    from skhbm._likelihood.interface import MarginalLikelihood
    from skhbm._types import Float, Int

__all__ = ["MOST_TERMS", "QuadratureLikelihood", "make_quadrature"]

#: With more varying terms a grid of nodes is too large.
MOST_TERMS = 2


class Vectors(NamedTuple):
    """A kernel that works on vectors of rows or nodes.

    Attributes
    ----------
    rows : callable
    linear : bool
        Whether it leaves y eta to the quadrature.
    squares : bool
        Whether it takes squares of residuals, and not exp(eta).
    rest_of_rows : bool
        Whether `Family.rest` depends on y.
    uniform : bool
        Whether all rows of size and weight 1 have the same c.
    """

    rows: Callable[[Any], None]
    linear: bool = True
    squares: bool = False
    rest_of_rows: bool = True
    uniform: bool = True


#: Kernels of vectors by the name of the family. A family needs none.
VECTORS = {
    "bernoulli": Vectors(logit_rows),
    "binomial": Vectors(logit_rows),
    "poisson": Vectors(poisson_rows),
    "negative_binomial": Vectors(negative_binomial_rows, uniform=False),
    "student_t": Vectors(student_t_rows, linear=False, squares=True, rest_of_rows=False),
}
#: The log density of these is concave in eta.
CONCAVE = ("bernoulli", "binomial", "poisson", "negative_binomial")
#: Beyond this dispersion 1 + s of the kernels of vectors has too few digits.
LARGEST_DISPERSION = 1e5


@dataclass(frozen=True, slots=True, eq=False)
class QuadratureLikelihood:
    """The likelihood, ready to be called from compiled code.

    Rows are arranged in vectors of `LANES`, in which each group begins anew. Those that fill up
    have weight zero.

    Parameters
    ----------
    family : Family
    y, size, log_size, weight, weighted_y : ndarray of shape (n_blocks, LANES)
    fixed, varying : ndarray of shape (k, n_blocks, LANES), (max(q, 1), n_blocks, LANES)
    first : ndarray of int of shape (n_groups + 1,)
        Vectors first[j] to first[j + 1] are those of group j.
    counts : ndarray of int of shape (n_groups,)
        Numbers of rows.
    levels : ndarray of shape (3, n_levels)
        Distinct y and size, and their weights.
    n_terms : int
        Number q of varying terms.
    """

    family: Family
    y: Float
    size: Float
    log_size: Float
    weight: Float
    weighted_y: Float
    fixed: Float
    varying: Float
    first: Int
    counts: Int
    levels: Float
    n_terms: int

    @property
    def n_integrated(self) -> int:
        """Number of coefficients that are integrated out: none."""
        return 0

    @property
    def n_within(self) -> int:
        """Number of dispersion parameters."""
        return len(self.family.dispersion)

    @property
    def n_moments(self) -> int:
        """Length of the moments of coefficients among the outputs: there are none."""
        return 0

    @property
    def n_fixed(self) -> int:
        """Number of coefficients."""
        return len(self.fixed)

    def table(self) -> Any:
        """Return the record that the callback reads; valid as long as this object lives."""
        vectors = VECTORS.get(self.family.name)
        general = _general(self.family.name)
        rows = _vectors(self.family.name) if vectors else general
        ones = self.varying[0].ravel()[self.weight.ravel() > 0]
        c = self.weight if vectors and vectors.squares else self.weight * self.size
        same = c[self.weight > 0] if not vectors or vectors.uniform else np.zeros(1)
        return make_record(
            TABLE,
            n_terms=self.n_terms,
            n_fixed=self.n_fixed,
            n_within=self.n_within,
            n_groups=len(self.counts),
            n_blocks=len(self.y),
            n_longest=int(np.max(np.diff(self.first), initial=1)),
            n_levels=self.levels.shape[1],
            vectors=int(vectors is not None),
            linear=int(vectors is not None and vectors.linear),
            squares=int(vectors is not None and vectors.squares),
            exponential=int(self.family.link in ("log", "logit")),
            concave=int(self.family.name in CONCAVE),
            constant=int(self.n_terms == 1 and bool(np.all(ones == 1.0))),
            uniform=int(bool(np.all(same == 1.0))),
            **{name: getattr(self, name) for name in ARRAYS},
            rows=rows.address,
            general=general.address,
            largest_y=float(np.max(np.abs(self.y), initial=0.0)),
            largest_dispersion=LARGEST_DISPERSION,
        )

    def callback(self) -> Any:
        """Return the callback that reads the table."""
        return (no_term_callback, one_term_callback, two_terms_callback)[self.n_terms]()

    def rows_of(self, group: int) -> GroupedRows:
        """Return the rows of a group."""
        some = slice(self.first[group], self.first[group + 1])
        rows = self.weight[some].ravel() > 0
        flat = [array[some].ravel()[rows] for array in (self.y, self.size, self.weight)]
        terms = [
            array[:, some].reshape(len(array), -1).T[rows]
            for array in (self.fixed, self.varying)
        ]
        starts = np.array([0, np.count_nonzero(rows)])
        y, size, weight = flat
        return GroupedRows(y, size, weight, terms[0], terms[1][:, : self.n_terms], starts)

    def general(self) -> Any:
        """Return the general kernel of the family."""
        return _general(self.family.name)

    @property
    def work(self) -> float:
        """Predicted cost of a value, in nanoseconds of a machine of 2025."""
        n, q = float(np.sum(self.counts)), self.n_terms
        by_product = self.family.name in ("bernoulli", "poisson")
        row = (6.0, 14.0 if by_product else 40.0, 160.0)[q]
        group = (0.0, 350.0, 2000.0)[q]
        slow = 1.0 if self.family.name in VECTORS else 20.0
        return slow * (row + 0.7 * self.n_fixed) * n + group * len(self.counts) + 1000.0

    def value_and_gradient(
        self, cov: Float, dispersion: Float, coef: Float
    ) -> tuple[float, Float, Float, Float]:
        """Return the log density and its derivatives in cov (q, q), dispersion and coef."""
        inputs = np.concatenate([cov.ravel(), dispersion, coef])
        outputs, table = np.empty(1 + len(inputs)), self.table()
        self.callback().ctypes(*(a.ctypes.data for a in (table, inputs, outputs)), 1)
        ends = np.cumsum([cov.size, len(dispersion)])
        d_cov, d_dispersion, d_coef = np.split(outputs[1:], ends)
        return float(outputs[0]), d_cov.reshape(cov.shape), d_dispersion, d_coef


if TYPE_CHECKING:
    _: type[MarginalLikelihood] = QuadratureLikelihood

#: Arrays that the table has the addresses of.
ARRAYS = (
    *("y", "size", "log_size", "weight", "weighted_y", "fixed", "varying", "first", "counts"),
    "levels",
)


def make_quadrature(family: Family, rows: GroupedRows) -> QuadratureLikelihood:
    """Arrange the rows in vectors; without a varying term all rows are one group."""
    q = rows.varying.shape[1]
    if q > MOST_TERMS:
        msg = f"Quadrature has at most {MOST_TERMS} varying terms. Got {q}."
        raise ValueError(msg)
    n = len(rows.y)
    starts = rows.starts if q else np.array([0, n])
    counts = np.diff(starts)
    first = np.concatenate([[0], np.cumsum(-(-counts // LANES))])
    place = np.arange(n) + np.repeat(LANES * first[:-1] - starts[:-1], counts)
    varying = rows.varying if q else np.zeros((n, 1))

    def arrange(values: Float, empty: float = 0.0) -> Float:
        """Put rows (n, ...) in vectors (..., n_blocks, LANES)."""
        shape = (*values.shape[1:], LANES * int(first[-1]))
        out = _aligned(shape)
        out[:] = empty
        out[..., place] = np.moveaxis(values, 0, -1)
        return out.reshape(*values.shape[1:], -1, LANES)

    return QuadratureLikelihood(
        family,
        arrange(rows.y),
        arrange(rows.size, 1.0),
        arrange(np.log(rows.size)),
        arrange(rows.weight),
        arrange(rows.weight * rows.y),
        arrange(rows.fixed),
        arrange(varying),
        first.astype(np.int64),
        counts.astype(np.int64),
        _levels(family, rows),
        q,
    )


def _aligned(shape: tuple[int, ...]) -> Float:
    """Return an array that begins with a cache line."""
    line = 8 * LANES
    room = np.empty(int(np.prod(shape)) + LANES)
    skip = -room.ctypes.data % line // 8
    return room[skip : skip + room.size - LANES].reshape(shape)


def _levels(family: Family, rows: GroupedRows) -> Float:
    """Return the distinct y and size, and their weights (3, n_levels)."""
    vectors = VECTORS.get(family.name)
    if not family.dispersion:
        return np.empty((3, 0))
    if vectors is not None and not vectors.rest_of_rows:
        return np.array([[0.0], [1.0], [np.sum(rows.weight)]])
    pairs = np.stack([rows.y, rows.size], axis=1)
    levels, which = np.unique(pairs, axis=0, return_inverse=True)
    return np.ascontiguousarray(np.vstack([levels.T, np.bincount(which.ravel(), rows.weight)]))


@cache
def _vectors(name: str) -> Any:
    """Return the kernel of vectors of a family as a C callback, cached on disk."""
    return c_callback("void(int64)", VECTORS[name].rows)


@cache
def _general(name: str) -> Any:
    """Return the general kernel of a family as a C callback, cached on disk."""
    return make_general_rows(FAMILIES[name])
