"""The marginal likelihood with several grouping factors: all effects integrated out, in numba.

`skhbm._likelihood.blocked_kernels` has the factorisation. Given relative covariances of the
effects, it gives log|M| and the cross-products K of D = [X y], whatever sigma is:

    log p(y | w) = -n log sigma - log|M| / 2 - v'K v / (2 sigma^2),    v = (w, -1).

Normally distributed coefficients are integrated out as with one factor: derivation (9).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import carray

from skhbm._design.blocks import Blocks
from skhbm._likelihood.blocked_gradient import relative_gradient, through_root
from skhbm._likelihood.blocked_kernels import Addresses, factorise, new_factor
from skhbm._likelihood.kernels import integrate
from skhbm._likelihood.large_kernels import integrate_large
from skhbm._likelihood.marginal import MANY
from skhbm._numba.jit import JIT_INNER, c_callback, njit
from skhbm._numba.lapack import LAPACK, lapack_addresses
from skhbm._numba.pointers import as_pointer
from skhbm._numba.records import fields, make_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._design.blocks import Layout
    from skhbm._likelihood.interface import MarginalLikelihood
    from skhbm._types import Float, Int

__all__ = ["Blocked", "addresses", "make_blocked", "relative_roots", "stacked_roots"]

#: Sizes that the callbacks read.
SIZES = (
    *("n_factors", "n_others", "n_terms", "width", "n_first", "n_rest", "n_columns"),
    *("n_entries", "n_gram", "n_pairs", "n_rows", "n_below", "n_head", "n_integrated"),
    *("order", "sizes", "mean"),
)
TABLE = np.dtype([*fields(*SIZES, *Blocks._fields, *LAPACK).descr, ("count", np.float64)])


@dataclass(frozen=True, slots=True, eq=False)
class Blocked:
    """The marginal likelihood of a design with several factors.

    Parameters
    ----------
    blocks : Blocks
        Its columns D are those of coefficients g ~ Normal(-mean, I), which are integrated out,
        those of coefficients that are given, and the response.
    order : ndarray of int of shape (n_factors,)
        Positions of the factors in the user's order, the first eliminated first.
    sizes : ndarray of int of shape (n_factors,)
        Number of terms of each factor, in the user's order.
    mean : ndarray of shape (k,)
    count : float
        Number of rows, or 0 if errors are known.
    """

    blocks: Blocks
    order: Int
    sizes: Int
    mean: Float
    count: float

    @property
    def n_integrated(self) -> int:
        """Number of coefficients that are integrated out."""
        return len(self.mean)

    @property
    def n_within(self) -> int:
        """Number of residual scales."""
        return 1

    @property
    def n_moments(self) -> int:
        """Length of U among the outputs."""
        return (self.n_integrated + 1) ** 2

    @property
    def n_columns(self) -> int:
        """Number of columns of D."""
        return len(self.blocks.C)

    @property
    def work(self) -> float:
        """Nanoseconds of CPU of a value, as predicted; a gradient takes 2.6 times that."""
        return self.blocks.work

    def table(self) -> Any:
        """Return the record that the callbacks read; valid as long as this object lives."""
        blocks = self.blocks
        J, q, m = blocks.E.shape
        return make_record(
            TABLE,
            n_factors=len(self.order),
            n_others=len(blocks.widths),
            n_terms=q,
            width=blocks.pairs.shape[1],
            n_first=J,
            n_rest=len(blocks.head),
            n_columns=m,
            n_entries=len(blocks.column),
            n_gram=len(blocks.gram_column),
            n_pairs=len(blocks.pairs),
            n_rows=len(blocks.row_column),
            n_below=len(blocks.column_row),
            n_head=len(blocks.column_start) - 1,
            n_integrated=self.n_integrated,
            order=self.order,
            sizes=self.sizes,
            mean=self.mean,
            count=self.count,
            **blocks._asdict(),
            **lapack_addresses(),
        )

    def callback(self) -> Any:
        """Return the callback of the log density and its gradient."""
        return blocked_callback()

    def relative_callback(self) -> Any:
        """Return the callback of log|M| and K, given relative covariances.

        ``callback(table, inputs, outputs, 0)``: inputs are the relative covariances of all
        factors in the user's order, outputs log|M|, infinite where there is no factor, and
        K (m, m).
        """
        return relative_callback()

    def value_and_gradient(
        self, covs: list[Float], sigma: float, given: Float
    ) -> tuple[float, list[Float], float, Float]:
        """Return the log density and its derivatives in covs, (q, q) each, sigma and given."""
        inputs = np.concatenate([*(cov.ravel() for cov in covs), [sigma], given])
        outputs = np.empty(1 + len(inputs) + self.n_moments)
        table = self.table()
        self.callback().ctypes(*(a.ctypes.data for a in (table, inputs, outputs)), 1)
        ends = np.cumsum([*(cov.size for cov in covs), 1, len(given)])
        *d_covs, d_sigma, d_given = np.split(outputs[1 : 1 + len(inputs)], ends[:-1])
        shaped = [d.reshape(cov.shape) for d, cov in zip(d_covs, covs, strict=True)]
        return float(outputs[0]), shaped, float(d_sigma[0]), d_given


if TYPE_CHECKING:
    _: type[MarginalLikelihood] = Blocked


def make_blocked(
    blocks: Blocks, layout: Layout, columns: Float, mean: Float, count: float
) -> Blocked:
    """Return the likelihood of blocks whose fixed terms and response are changed to `columns`.

    `columns` (m, m') are the new columns of D in terms of the old.
    """
    order = np.array([layout.first, *layout.others], dtype=np.int64)
    sizes = np.array(layout.widths, dtype=np.int64)
    return Blocked(blocks.in_columns(columns), order, sizes, mean, count)


def addresses() -> Addresses:
    """Return the addresses of BLAS and LAPACK in this process."""
    return Addresses(**lapack_addresses())


@cache
def blocked_callback() -> Any:
    """Return `_blocked` as a C callback, compiled once and cached on disk."""
    return c_callback("void(int64, int64, int64, int64)", _blocked)


@cache
def relative_callback() -> Any:
    """Return `_relative` as a C callback, compiled once and cached on disk."""
    return c_callback("void(int64, int64, int64, int64)", _relative)


def _relative(table_, inputs_, outputs_, _with_gradient):
    """Fill log|M| and K from relative covariances."""
    table = carray(as_pointer(table_), (1,), TABLE)[0]
    m = table.n_columns
    sizes = carray(as_pointer(table.sizes), (table.n_factors,), np.int64)
    inputs = carray(as_pointer(inputs_), (np.sum(sizes * sizes),), np.float64)
    outputs = carray(as_pointer(outputs_), (1 + m * m,), np.float64)
    blocks = open_blocks(table)
    T, rest = relative_roots(table, inputs, 1.0)
    factor = new_factor(blocks)
    K = outputs[1:].reshape((m, m))
    outputs[0] = factorise(blocks, open_addresses(table), T, rest, factor, K)


def _blocked(table_, inputs_, outputs_, with_gradient):
    """Integrate effects and coefficients out.

    Inputs: the covariance of the effects of each factor, in the user's order, sigma, given
    coefficients. Outputs: the log density; its gradient, in the order of the inputs; U.
    """
    table = carray(as_pointer(table_), (1,), TABLE)[0]
    m, k = table.n_columns, table.n_integrated
    sizes = carray(as_pointer(table.sizes), (table.n_factors,), np.int64)
    mean = carray(as_pointer(table.mean), (k,), np.float64)
    n_cov = np.sum(sizes * sizes)
    n_inputs = n_cov + m - k
    inputs = carray(as_pointer(inputs_), (n_inputs,), np.float64)
    outputs = carray(as_pointer(outputs_), (1 + n_inputs + (k + 1) ** 2,), np.float64)
    gradient, U = outputs[1 : 1 + n_inputs], outputs[1 + n_inputs :].reshape((k + 1, k + 1))
    sigma = inputs[n_cov]
    given, d_given = inputs[n_cov + 1 :], gradient[n_cov + 1 :]
    blocks, lapack = open_blocks(table), open_addresses(table)
    T, rest = relative_roots(table, inputs, sigma)
    factor = new_factor(blocks)
    K, F = np.empty((m, m)), np.empty((m, m))
    logdet = factorise(blocks, lapack, T, rest, factor, K)
    if not np.isfinite(logdet):
        outputs[:] = np.nan
        outputs[0] = -np.inf
        return
    K /= sigma * sigma
    logp = -table.count * np.log(sigma) - 0.5 * logdet
    if m > MANY:
        outputs[0] = logp - integrate_large(lapack, K, mean, given, U, F, d_given)
    else:
        outputs[0] = logp - integrate(K, mean, given, U, F, d_given)
    if with_gradient == 0:
        return
    d_sigma = -table.count
    for c in range(m):
        for d in range(m):
            d_sigma += F[c, d] * K[c, d]
    F /= sigma * sigma
    gap, gaps = np.empty(T.shape), np.empty(rest.shape)
    relative_gradient(blocks, lapack, factor, F, gap, gaps)
    order = carray(as_pointer(table.order), (table.n_factors,), np.int64)
    for f in range(table.n_factors):
        first, q = start_of(sizes, order[f]), sizes[order[f]]
        d_cov = gradient[first : first + q * q].reshape((q, q))
        if f == 0:
            d_sigma += through_root(T, gap, d_cov)
        else:
            d_sigma += through_root(rest[f - 1], gaps[f - 1], d_cov)
        d_cov /= sigma * sigma
    gradient[n_cov] = d_sigma / sigma


@njit(**JIT_INNER)
def start_of(sizes, f):
    """Return where the covariance of factor f begins among those of all."""
    return np.sum(sizes[:f] * sizes[:f])


@njit(**JIT_INNER)
def relative_roots(table, covs, sigma):
    """Return the roots of covariances over sigma^2, of the first and of the other factors."""
    sizes = carray(as_pointer(table.sizes), (table.n_factors,), np.int64)
    order = carray(as_pointer(table.order), (table.n_factors,), np.int64)
    T = np.zeros((table.n_terms, table.n_terms))
    rest = np.zeros((table.n_others, table.width, table.width))
    for f in range(table.n_factors):
        first, q = start_of(sizes, order[f]), sizes[order[f]]
        cov = covs[first : first + q * q].reshape((q, q))
        root = T if f == 0 else rest[f - 1]
        for a in range(q):
            for b in range(a + 1):
                t = cov[a, b] / (sigma * sigma)
                for c in range(b):
                    t -= root[a, c] * root[b, c]
                if a == b:
                    root[a, a] = np.sqrt(max(t, 0.0))
                else:
                    root[a, b] = t / root[b, b] if root[b, b] > 0.0 else 0.0
    return T, rest


def stacked_roots(order: Sequence[int], width: int, roots: list[Float]) -> tuple[Float, Float]:
    """Return roots (q, q) of factors in the user's order as the kernels take them."""
    rest = np.zeros((len(roots) - 1, width, width))
    for place, f in zip(rest, order[1:], strict=True):
        place[: len(roots[f]), : len(roots[f])] = roots[f]
    return np.ascontiguousarray(roots[order[0]]), rest


@njit(**JIT_INNER)
def open_addresses(table):
    """Return the addresses that the record holds."""
    return Addresses(table.dgemm, table.dpotrf, table.dtrtri, table.dpotri, table.dtrtrs)


@njit(**JIT_INNER)
def doubles(address, shape):
    """Return the array of doubles at an address."""
    return carray(as_pointer(address), shape, np.float64)


@njit(**JIT_INNER)
def integers(address, n):
    """Return the array of integers at an address."""
    return carray(as_pointer(address), (n,), np.int64)


@njit(**JIT_INNER)
def open_blocks(table):
    """Return the blocks whose sizes and addresses the record holds."""
    J, R, q, m = table.n_first, table.n_rest, table.n_terms, table.n_columns
    n, w = table.n_entries, table.width
    return Blocks(
        doubles(table.A, (J, q, q)),
        doubles(table.E, (J, q, m)),
        doubles(table.B, (R, m)),
        doubles(table.C, (m, m)),
        integers(table.start, J + 1),
        integers(table.column, n),
        doubles(table.value, (n, q)),
        integers(table.by_column, R + 1),
        integers(table.level, n),
        integers(table.entry, n),
        integers(table.gram_start, R + 1),
        integers(table.gram_column, table.n_gram),
        integers(table.gram_pair, table.n_gram),
        doubles(table.pairs, (table.n_pairs, w, w)),
        doubles(table.largest, (1,)),
        integers(table.widths, table.n_others),
        integers(table.factor, R),
        integers(table.term, R),
        integers(table.head, R),
        integers(table.row_start, R + 1),
        integers(table.row_column, table.n_rows),
        integers(table.column_start, table.n_head + 1),
        integers(table.column_row, table.n_below),
    )
