"""Coordinates in which sampled effects are close to independent standard normals.

Given all else, the effects of a factor are normal with the precision S + 1 / tau^2, S being
what the data say of them at a reference point. In an orthonormal basis of the groups in
which S is diagonal, with entries 1 / e_i and estimates l_i, every effect is normal with

    mean a_i l_i,    variance a_i e_i,    a_i = tau^2 / (tau^2 + e_i),

so that the coordinate z_i with effect a_i l_i + sqrt(a_i e_i) z_i is standard normal whatever
tau: it is centred where the data say much, non-centred where they say nothing
(Papaspiliopoulos, Roberts & Skold 2007). With several terms, of covariance LL', the diagonal of
S has a matrix A_i for each group, and the estimate a vector b_i in the place of l_i / e_i:

    I + L'A_i L = F F',    P = L F^-T,    effects P (P'b_i + z_i).

Both are equation (12) of the derivation.

The basis is that of the eigenvectors of S for up to `ROTATED` groups.
With more groups S is close to diagonal except for the mean of the effects, which is confounded
with the intercept: a reflection makes this mean one of the axes.

The density of z is exact whatever the reference; a poor reference only costs time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._density.several_factors_kernel import DENSE, REFLECTION
from skhbm._density.start import START

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from skhbm._design.design import Design
    from skhbm._likelihood.given_effects import GivenEffects
    from skhbm._types import Float, Int


__all__ = ["Coordinates", "Reference", "find_reference", "make_coordinates"]

#: Factors of up to this many groups are rotated to the eigenvectors of their information.
ROTATED = 256
#: Up to this many effects the information is computed in full.
FULL = 2_000
#: Sweeps of the mean-field iteration for the reference point.
SWEEPS = 30
#: Random vectors that the diagonal of a large information matrix is estimated with.
PROBES = 32
#: Smallest scale of the reference, in working units.
SMALLEST = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Plausible scales, in working units.

    Parameters
    ----------
    tau : tuple of ndarray of shape (q_f,)
        Standard deviations of the effects of each factor, the integrated factor first.
    sigma : float
        Residual scale.
    """

    tau: tuple[Float, ...]
    sigma: float


@dataclass(frozen=True, slots=True, eq=False)
class Coordinates:
    """Rotation, estimates and variances of the effects of one factor.

    Parameters
    ----------
    kind : int
        DENSE or REFLECTION.
    rotation : ndarray of shape (q, 2, K, K) or (q, 2, 1, K)
        The basis in its columns, and its transpose; or the axis of the reflection, twice.
    estimates : ndarray of shape (2, K), or (K, q, q + 1) of several terms
        The estimates l and the variances e; or A_i and b_i side by side.
    """

    kind: int
    rotation: Float
    estimates: Float


def find_reference(design: Design) -> Reference:
    """Find plausible scales by mean-field variational Bayes on the pseudo-rows."""
    several: Any = design.several_factors
    rows = several.pseudo_rows
    codes, terms = (rows.group, *rows.codes), (rows.integrated, *rows.terms)
    x, y = rows.xy[:, :-1], rows.xy[:, -1]
    rest = rows.rest.sum(axis=0)
    xx = x.T @ x + rest[:-1, :-1]
    xx = xx + np.diag(1e-9 * np.diag(xx) + 1e-300)
    sigma = 1 / design.scaling.y_scale if design.terms.known else START
    tau = [np.full(z.shape[1], START) for z in terms]
    square = [
        _sums(code, z[:, :, None] * z[:, None, :]) for code, z in zip(codes, terms, strict=True)
    ]
    shifts = [np.zeros(len(y)) for _ in terms]
    for _ in range(SWEEPS):
        beta = np.linalg.solve(xx, x.T @ (y - sum(shifts)) + rest[:-1, -1])
        residual = y - x @ beta - sum(shifts)
        spread = 0.0
        for f, (code, z) in enumerate(zip(codes, terms, strict=True)):
            residual += shifts[f]
            mean, cov = _mean_field(code, z, square[f], residual, tau[f], sigma)
            tau[f] = np.sqrt(np.mean(mean**2 + np.einsum("kaa->ka", cov), axis=0))
            tau[f] = np.maximum(tau[f], SMALLEST)
            shifts[f] = np.sum(z * mean[code], axis=1)
            residual -= shifts[f]
            spread += np.einsum("kab,kab->", square[f], cov)
        if not design.terms.known:
            left = rest[-1, -1] + beta @ (rest[:-1, :-1] @ beta - 2 * rest[:-1, -1])
            total = max(left, 0.0) + residual @ residual + spread
            sigma = max(float(np.sqrt(total / design.n.sum())), SMALLEST)
    return Reference(tuple(tau), sigma)


def _mean_field(
    code: Int, z: Float, square: Float, residual: Float, tau: Float, sigma: float
) -> tuple[Float, Float]:
    """Return mean (K, q) and covariance (K, q, q) of a factor's effects, all else given.

    square (K, q, q) are the cross-products of the terms z in each group.
    """
    cov = np.linalg.inv(square / sigma**2 + np.diag(tau**-2.0))
    score = _sums(code, z * residual[:, None]) / sigma**2
    return np.einsum("kab,kb->ka", cov, score), cov


def make_coordinates(
    likelihood: GivenEffects, sizes: Sequence[int], reference: Reference, given: Float
) -> list[Coordinates]:
    """Find the coordinates of each factor from the information at the reference.

    `sizes` are the numbers of groups of the factors.
    """
    score, information = _make_information(likelihood, reference, given)
    prior = np.concatenate(
        [np.tile(tau**-2.0, K) for tau, K in zip(reference.tau[1:], sizes, strict=True)]
    )
    S: Any = None
    if likelihood.n_effects <= FULL:
        S = np.array([information(e) for e in np.eye(likelihood.n_effects)])
        information = S.__matmul__
        mean = np.linalg.solve(S + np.diag(prior), score)
    else:
        mean = _solve(information, prior, score)
    out, first = [], 0
    for tau, K in zip(reference.tau[1:], sizes, strict=True):
        at = first + np.arange(K * len(tau)).reshape(K, -1).T
        if K <= ROTATED and S is not None:
            out.append(_eigenvectors(S, at, mean, tau))
        else:
            diagonals = None if S is None else (S[at, columns] for columns in at)
            out.append(_reflection(information, diagonals, at, mean, tau))
        first += at.size
    return out


def _make_information(
    likelihood: GivenEffects, reference: Reference, given: Float
) -> tuple[Float, Callable[[Float], Float]]:
    """Return the score at effects of zero, and the product of S with effects."""
    cov = np.diag(reference.tau[0] ** 2)
    sigma = np.full(len(likelihood.marginal.W), reference.sigma)

    def gradient(effects: Float) -> Float:
        return likelihood.value_and_gradient(cov, sigma, given, effects)[-1]

    score = gradient(np.zeros(likelihood.n_effects))
    return score, lambda effects: score - gradient(effects)


def _eigenvectors(S: Float, at: Any, mean: Float, tau: Float) -> Coordinates:
    """Rotate the groups to the eigenvectors of their information, summed over terms.

    `at` (q, K) are the positions of the effects.
    """
    blocks = S[at[:, None, :, None], at[None, :, None, :]]
    total = sum(blocks[a, a] / max(np.trace(blocks[a, a]), 1e-300) for a in range(len(at)))
    V = np.linalg.eigh(total)[1]
    A = np.einsum("ki,abkl,li->iab", V, blocks, V, optimize=True)
    rotation = np.tile(np.stack([V, V.T]), (len(at), 1, 1, 1))
    return Coordinates(DENSE, rotation, _estimates(A, mean[at] @ V, tau))


def _reflection(
    information: Callable[[Float], Float], diagonals: Any, at: Any, mean: Float, tau: Float
) -> Coordinates:
    """Put the mean of the effects on the first axis; other axes are as if S were diagonal.

    `at` (q, K) are the positions of the effects. `diagonals` (q, K) of the blocks of S in the
    columns of each term are estimated unless they are given.
    """
    q, K = at.shape
    v = np.full(K, 1 / np.sqrt(K))
    v[0] -= 1.0
    v /= np.linalg.norm(v)
    A = np.empty((K, q, q))
    for b, diagonal in enumerate(diagonals or _diagonals(information, at, len(mean))):
        padded = np.zeros(len(mean))
        padded[at[b]] = v
        for a, Sv in enumerate(information(padded)[at]):
            A[:, a, b] = diagonal[a] - 4 * v * Sv + 4 * v**2 * (v @ Sv)
    rotated = mean[at] - 2 * np.outer(mean[at] @ v, v)
    axes = np.broadcast_to(v, (q, 2, 1, K))
    return Coordinates(REFLECTION, np.ascontiguousarray(axes), _estimates(A, rotated, tau))


def _estimates(A: Float, rotated: Float, tau: Float) -> Float:
    """Return the estimates of which the mean at this tau is `rotated` (q, K)."""
    A = 0.5 * (A + A.mT)
    values, vectors = np.linalg.eigh(A)
    # Estimated diagonals need not be positive. The prior decides where nothing is spanned.
    least = 1e-10 * np.maximum(values.max(axis=(0, 1)), 1e-300)
    A = np.einsum("iak,ik,ibk->iab", vectors, np.maximum(values, least), vectors)
    b = np.einsum("iab,bi->ia", A + np.diag(tau**-2.0), rotated)
    if len(tau) == 1:
        # The share is bounded: where the data say nothing a mean is not made an estimate.
        share = np.maximum(A[:, 0, 0] / (A[:, 0, 0] + tau[0] ** -2.0), 1e-2)
        return np.stack([rotated[0] / share, 1 / A[:, 0, 0]])
    return np.concatenate([A, b[:, :, None]], axis=2)


def _diagonals(information: Callable[[Float], Float], at: Any, n: int) -> Iterator[Float]:
    """Estimate the diagonals (q, K) of the blocks of S in each term's columns.

    Bekas, Kokiopoulou & Saad (2007, https://doi.org/10.1016/j.apnum.2007.01.003).
    """
    rng = np.random.default_rng(0)
    for columns in at:
        total = np.zeros(at.shape)
        for _ in range(PROBES):
            probe = np.zeros(n)
            probe[columns] = rng.choice([-1.0, 1.0], size=len(columns))
            total += probe[columns] * information(probe)[at]
        yield total / PROBES


def _solve(information: Callable[[Float], Float], prior: Float, score: Float) -> Float:
    """Solve (S + prior) x = score by conjugate gradients."""
    from scipy.sparse.linalg import LinearOperator, cg

    n = len(score)
    operator = LinearOperator((n, n), matvec=lambda v: information(v) + prior * v)
    return np.asarray(cg(operator, score, rtol=1e-3, maxiter=200)[0])


def _sums(codes: Any, values: Float) -> Float:
    """Sum values (n, ...) by code."""
    flat = values.reshape(len(values), -1)
    n = int(codes.max()) + 1
    sums = [np.bincount(codes, column, minlength=n) for column in flat.T]
    return np.stack(sums, axis=1).reshape(n, *values.shape[1:])
