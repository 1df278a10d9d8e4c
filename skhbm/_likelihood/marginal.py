"""The marginal likelihood of the hyperparameters, its gradient, in numba.

Group effects and normally distributed population coefficients are integrated
out. Nothing here knows about priors of scales, PyMC, or rows of data.

The data come as the roots of `skhbm._design.design`: per group j a q x q matrix R_j with
R_j'R_j = Z_j'Z_j and the q x m matrix E_j = Q_j'[X y], Q_j being an orthonormal
basis of the span of Z_j. What is left of the cross-products of [X y], the within
part W, does not involve the effects. R_j and E_j stand side by side in `roots`. With
residuals of scale sigma_j and effects of covariance `cov`,

    B_j = I + R_j cov R_j' / sigma_j^2 = F_j F_j',
    V_j = F_j^-1 R_j / sigma_j,         Y_j = F_j^-1 E_j / sigma_j,
    K   = sum_j Y_j'Y_j + sum_j W_j / sigma_j^2,

    log p(y | w) = -sum_j n_j log sigma_j - sum_j log|B_j| / 2 - v'K v / 2,  v = (w, -1).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import carray, cfunc

from skhbm._likelihood.kernels import (
    add_crossproduct,
    between_gradient,
    integrate,
    target_adjoint,
    whiten,
)
from skhbm._numba.jit import JIT_CALLBACK
from skhbm._numba.lanes import LANES
from skhbm._numba.pointers import as_pointer

if TYPE_CHECKING:
    from skhbm._types import Float, Int


__all__ = ["SIZES", "Marginal", "make_marginal", "marginal_callback"]

#: Length of the table of sizes and addresses: see `Marginal.table`.
SIZES = 12


class Marginal(NamedTuple):
    """The marginal likelihood of one design, ready to be called from compiled code.

    Of the m columns of X and y the first k are those of coefficients g ~ Normal(-mean, I),
    which are integrated out, the last is the target, and the others have coefficients that are
    given: w = (g, given).

    Attributes
    ----------
    mean : (k,)
    roots : (n_blocks, q, q + m - 1, LANES), R and E side by side, without the target
    target : (n_blocks, q, LANES), the target's column of E
    weight : (n_blocks, LANES), how many groups each stands for
    W : (1, m, m) or (n_groups, m, m)
    counts : (1,) or (n_groups,)
    """

    mean: Float
    roots: Float
    target: Float
    weight: Float
    W: Float
    counts: Float

    def table(self) -> Int:
        """Return sizes and addresses; valid as long as the arrays live."""
        n_blocks, q, _, _ = self.roots.shape
        sizes = [q, self.W.shape[1], len(self.mean), len(self.W), n_blocks]
        return np.array([*sizes, *(array.ctypes.data for array in self), 0], np.int64)

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


def make_marginal(
    mean: Float, roots: Float, weight: Float, W: Float, counts: Float
) -> Marginal:
    """Arrange the roots (n_groups, q, q + m) and weights (n_groups,) in lanes."""
    rest, target, weight = (_to_lanes(a) for a in (roots[..., :-1], roots[..., -1], weight))
    return Marginal(mean, rest, target, weight, np.ascontiguousarray(W), counts)


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
    return cfunc("void(int64, int64, int64, int64)", **JIT_CALLBACK)(_marginal)


def _marginal(table_, inputs_, outputs_, with_gradient):
    """Integrate effects and coefficients out.

    Inputs: cov (q, q), sigma (1,) or (n_groups,), given (m - 1 - k,), one after another.
    Outputs: the log density; its gradient, in the order of the inputs; U (k + 1, k + 1) of
    `integrate`, of which the conditional mean and covariance of g are made. At the address that
    is last in the table, unless it is 0: the derivative in the target's column of E, in
    lanes; the last column of F (m,), -F / 2 being that in K; and 1 / sigma^2 (n_within,).
    """
    table = carray(as_pointer(table_), (SIZES,), np.int64)
    q, m, k, n_within, n_blocks = table[0], table[1], table[2], table[3], table[4]
    s = m - 1 - k
    mean = carray(as_pointer(table[5]), (k,), np.float64)
    roots = carray(as_pointer(table[6]), (n_blocks, q, q + m - 1, LANES), np.float64)
    target = carray(as_pointer(table[7]), (n_blocks, q, LANES), np.float64)
    weight = carray(as_pointer(table[8]), (n_blocks, LANES), np.float64)
    W = carray(as_pointer(table[9]), (n_within, m, m), np.float64)
    counts = carray(as_pointer(table[10]), (n_within,), np.float64)
    at = 8 * q * q
    cov = carray(as_pointer(inputs_), (q, q), np.float64)
    sigma = carray(as_pointer(inputs_ + at), (n_within,), np.float64)
    given = carray(as_pointer(inputs_ + at + 8 * n_within), (s,), np.float64)
    logp = carray(as_pointer(outputs_), (1,), np.float64)
    d_cov = carray(as_pointer(outputs_ + 8), (q, q), np.float64)
    at += outputs_ + 8
    d_sigma = carray(as_pointer(at), (n_within,), np.float64)
    d_given = carray(as_pointer(at + 8 * n_within), (s,), np.float64)
    U = carray(as_pointer(at + 8 * (n_within + s)), (k + 1, k + 1), np.float64)

    Y = np.empty((n_blocks, q, q + m, LANES))
    K = np.zeros((m, m))
    logp[0] = -whiten(cov, sigma, roots, target, weight, Y)
    add_crossproduct(Y, K)
    for j in range(n_within):
        logp[0] -= counts[j] * np.log(sigma[j])
        precision = 1.0 / (sigma[j] * sigma[j])
        for a in range(m):
            for b in range(m):
                K[a, b] += W[j, a, b] * precision
    F = np.zeros((m, m))
    logp[0] -= integrate(K, mean, given, U, F, d_given)
    if with_gradient == 0:
        return
    for a in range(q):
        for b in range(q):
            d_cov[a, b] = 0.0
    for j in range(n_within):
        d_sigma[j] = 0.0
    between_gradient(cov, F, weight, Y, d_cov, d_sigma)
    for j in range(n_within):
        d_sigma[j] -= counts[j]
        for a in range(m):
            for b in range(m):
                d_sigma[j] += F[a, b] * W[j, a, b] / (sigma[j] * sigma[j])
        d_sigma[j] /= sigma[j]
    if table[11] != 0:
        d_target = carray(as_pointer(table[11]), (n_blocks, q, LANES), np.float64)
        last = carray(as_pointer(table[11] + 8 * d_target.size), (m,), np.float64)
        target_adjoint(cov, sigma, F, roots, target, Y, d_target)
        for a in range(m):
            last[a] = F[a, m - 1]
        at = table[11] + 8 * (d_target.size + m)
        precisions = carray(as_pointer(at), (n_within,), np.float64)
        for j in range(n_within):
            precisions[j] = 1.0 / (sigma[j] * sigma[j])
