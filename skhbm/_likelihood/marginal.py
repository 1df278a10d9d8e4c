"""The marginal likelihood of the hyperparameters, its gradient, in numba.

Group effects and normally distributed population coefficients are integrated out. Nothing here
knows about priors of scales, PyMC, or rows of data.

The data come as the roots of `skhbm._design.roots`, derivation (2): for each group j a q x q
matrix R_j with R_j'R_j = Z_j'Z_j, and the q x m matrix E_j = Q_j'[X y], where Q_j is an
orthonormal basis of the span of Z_j. The rest of the cross-products of [X y], the within part
W, does not involve the effects. R_j and E_j stand side by side in `roots`. With residuals of
scale sigma_j and effects of covariance `cov`, derivation (4) and (5) are

    B_j = I + R_j cov R_j' / sigma_j^2 = F_j F_j',
    V_j = F_j^-1 R_j / sigma_j,         Y_j = F_j^-1 E_j / sigma_j,
    K   = sum_j Y_j'Y_j + sum_j W_j / sigma_j^2,

    log p(y | w) = -sum_j n_j log sigma_j - sum_j log|B_j| / 2 - v'K v / 2,  v = (w, -1).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import carray

from skhbm._likelihood.kernels import (
    add_crossproduct,
    between_gradient,
    integrate,
    products,
    whiten,
)
from skhbm._likelihood.large_kernels import (
    add_large_crossproduct,
    integrate_large,
    large_products,
    rows_of_lanes,
)
from skhbm._numba.jit import JIT_INNER, c_callback, njit
from skhbm._numba.lanes import LANES
from skhbm._numba.lapack import LAPACK, lapack_addresses
from skhbm._numba.pointers import as_pointer
from skhbm._numba.records import fields, make_record

if TYPE_CHECKING:
    from skhbm._likelihood.interface import MarginalLikelihood
    from skhbm._types import Float


__all__ = ["TABLE", "Marginal", "make_marginal", "marginal_callback", "split_inputs"]

#: What the callback reads.
TABLE = fields(
    *("n_terms", "n_columns", "n_integrated", "n_within", "n_blocks"),
    *("mean", "roots", "response", "weight", "W", "counts"),
    *LAPACK,
)
#: With more columns matrices are left to LAPACK, a call of which takes longer than small loops.
MANY = 24


class Marginal(NamedTuple):
    """The marginal likelihood of one design, ready to be called from compiled code.

    Of the m columns of X and y the first k are those of coefficients g ~ Normal(-mean, I),
    which are integrated out, the last is the response, and the others have coefficients that
    are given: w = (g, given).

    Attributes
    ----------
    mean : (k,)
    roots : (n_blocks, q, q + m - 1, LANES), R and E side by side, without the response
    response : (n_blocks, q, LANES), the column of E that belongs to y
    weight : (n_blocks, LANES), how many groups each stands for
    W : (1, m, m) or (n_groups, m, m)
    counts : (1,) or (n_groups,)
    """

    mean: Float
    roots: Float
    response: Float
    weight: Float
    W: Float
    counts: Float

    @property
    def n_integrated(self) -> int:
        """Number of coefficients that are integrated out."""
        return len(self.mean)

    @property
    def work(self) -> float:
        """Nanoseconds of CPU of a value: next to none."""
        return 0.0

    @property
    def n_within(self) -> int:
        """Number of residual scales."""
        return len(self.W)

    @property
    def n_moments(self) -> int:
        """Length of U among the outputs."""
        return (self.n_integrated + 1) ** 2

    def table(self) -> Any:
        """Return the record that the callback reads; valid as long as the arrays live."""
        n_blocks, q, _, _ = self.roots.shape
        return make_record(
            TABLE,
            n_terms=q,
            n_columns=self.W.shape[1],
            n_integrated=self.n_integrated,
            n_within=self.n_within,
            n_blocks=n_blocks,
            **self._asdict(),
            **lapack_addresses(),
        )

    def callback(self) -> Any:
        """Return the callback that reads the table."""
        return marginal_callback()

    def value_and_gradient(
        self, cov: Float, sigma: Float, given: Float
    ) -> tuple[float, Float, Float, Float]:
        """Return the log density and its derivatives in cov (q, q), sigma and given."""
        inputs = np.concatenate([cov.ravel(), sigma, given])
        outputs = np.empty(1 + len(inputs) + (len(self.mean) + 1) ** 2)
        table = self.table()
        marginal_callback().ctypes(*(a.ctypes.data for a in (table, inputs, outputs)), 1)
        gradients = np.split(outputs[1:], np.cumsum([cov.size, len(sigma), len(given)]))
        return float(outputs[0]), gradients[0].reshape(cov.shape), gradients[1], gradients[2]


if TYPE_CHECKING:
    _: type[MarginalLikelihood] = Marginal


def make_marginal(
    mean: Float, roots: Float, weight: Float, W: Float, counts: Float
) -> Marginal:
    """Arrange the roots (n_groups, q, q + m) and weights (n_groups,) in lanes."""
    rest, response = _to_lanes(roots[..., :-1]), _to_lanes(roots[..., -1])
    return Marginal(mean, rest, response, _to_lanes(weight), np.ascontiguousarray(W), counts)


def _to_lanes(per_group: Float) -> Float:
    """Move the group axis (n_groups, ...) last, in blocks: (n_blocks, ..., LANES).

    The groups that fill up the last block are zero, and add nothing.
    """
    n_groups, *shape = per_group.shape
    n_blocks = -(-n_groups // LANES)
    padded = np.zeros((n_blocks * LANES, *shape))
    padded[:n_groups] = per_group
    blocks = padded.reshape(n_blocks, LANES, *shape)
    return np.ascontiguousarray(np.moveaxis(blocks, 1, -1))


@cache
def marginal_callback() -> Any:
    """Return `_marginal` as a C callback, compiled once and cached on disk.

    Called by address, it is not compiled again into each of its callers.
    """
    return c_callback("void(int64, int64, int64, int64)", _marginal)


def _marginal(table_, inputs_, outputs_, with_gradient):
    """Integrate effects and coefficients out.

    Inputs: cov (q, q), sigma (1,) or (n_groups,), given (m - 1 - k,), one after another.
    Outputs: the log density; its gradient, in the order of the inputs; U (k + 1, k + 1) of
    `integrate`, of which the conditional mean and covariance of g are made.
    """
    table = carray(as_pointer(table_), (1,), TABLE)[0]
    q, m, k = table.n_terms, table.n_columns, table.n_integrated
    n_within, n_blocks = table.n_within, table.n_blocks
    n_inputs = q * q + n_within + m - 1 - k
    mean = carray(as_pointer(table.mean), (k,), np.float64)
    roots = carray(as_pointer(table.roots), (n_blocks, q, q + m - 1, LANES), np.float64)
    response = carray(as_pointer(table.response), (n_blocks, q, LANES), np.float64)
    weight = carray(as_pointer(table.weight), (n_blocks, LANES), np.float64)
    W = carray(as_pointer(table.W), (n_within, m, m), np.float64)
    counts = carray(as_pointer(table.counts), (n_within,), np.float64)
    inputs = carray(as_pointer(inputs_), (n_inputs,), np.float64)
    outputs = carray(as_pointer(outputs_), (1 + n_inputs + (k + 1) ** 2,), np.float64)
    cov, sigma, given = split_inputs(inputs, q, n_within)
    d_cov, d_sigma, d_given = split_inputs(outputs[1 : 1 + n_inputs], q, n_within)
    U = outputs[1 + n_inputs :].reshape((k + 1, k + 1))

    Y = np.empty((n_blocks, q, q + m, LANES))
    K, F = np.zeros((m, m)), np.zeros((m, m))
    logp = -whiten(cov, sigma, roots, response, weight, Y)
    large = m > MANY
    rows = rows_of_lanes(Y, m if large else 0)
    if large:
        add_large_crossproduct(table.dgemm, rows, K)  # derivation (4)
    else:
        add_crossproduct(Y, K)  # derivation (4)
    logp = add_within(W, counts, sigma, K, logp)
    # derivation (5)
    if large:
        outputs[0] = logp - integrate_large(table, K, mean, given, U, F, d_given)
    else:
        outputs[0] = logp - integrate(K, mean, given, U, F, d_given)
    if with_gradient == 0:
        return
    S = np.empty((n_blocks, q, q, LANES))
    if large:
        large_products(table.dgemm, rows, F, weight, S)
    else:
        products(F, weight, Y, S)
    d_cov[:] = 0.0
    d_sigma[:] = 0.0
    between_gradient(cov, S, weight, Y, d_cov, d_sigma)
    within_gradient(W, counts, sigma, F, d_sigma)


@njit(**JIT_INNER)
def split_inputs(values, q, n_within):
    """Return views of what values hold of cov (q, q), sigma and given, or of derivatives."""
    size = q * q
    return (
        values[:size].reshape((q, q)),
        values[size : size + n_within],
        values[size + n_within :],
    )


@njit(**JIT_INNER)
def add_within(W, counts, sigma, K, logp):
    """Add the within parts to K; return logp less counts times log sigma."""
    m = len(K)
    for j in range(len(W)):
        logp -= counts[j] * np.log(sigma[j])
        precision = 1.0 / (sigma[j] * sigma[j])
        for a in range(m):
            for b in range(m):
                K[a, b] += W[j, a, b] * precision  # derivation (4)
    return logp


@njit(**JIT_INNER)
def within_gradient(W, counts, sigma, F, d_sigma):
    """Turn derivatives through the B_j in log sigma into the whole derivatives in sigma."""
    m = len(F)
    for j in range(len(W)):
        d_sigma[j] -= counts[j]
        for a in range(m):
            for b in range(m):
                d_sigma[j] += F[a, b] * W[j, a, b] / (sigma[j] * sigma[j])
        d_sigma[j] /= sigma[j]
