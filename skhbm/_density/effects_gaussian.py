"""The joint mode of effects and coefficients given their covariances, and the curvature there.

Factors are in the order of elimination, the one with the most effects first. The precision of
its effects is a block for each level. What is left is a dense matrix over the effects of the
other factors and the coefficients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import linalg, sparse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._density.family_rows import FamilyRows
    from skhbm._types import Float, Int

__all__ = ["EffectRows", "Gaussian", "find_joint_mode", "predictors"]

#: Newton steps at most, and halvings of a step.
STEPS, HALVINGS = 20, 12
#: An increase of the log density below this is the last.
ENOUGH = 1e-3
#: The information of a row is at least this share of the median: of outliers it is negative.
LEAST = 1e-3
#: A log density that is lower by this share is as high, but for rounding.
ROUNDING = 1e-12


class EffectRows(NamedTuple):
    """Rows in the order of the levels of the first factor.

    Attributes
    ----------
    fixed : ndarray of shape (n, k)
        What natural coefficients are multiplied by.
    terms : tuple of ndarray of shape (n, q)
        Varying terms of each factor, in the order of elimination.
    codes : ndarray of int of shape (n, n_factors)
    n_levels : tuple of int
    """

    fixed: Float
    terms: tuple[Float, ...]
    codes: Int
    n_levels: tuple[int, ...]

    @property
    def sizes(self) -> list[int]:
        """Number of effects of each factor."""
        return [J * z.shape[1] for J, z in zip(self.n_levels, self.terms, strict=True)]

    def columns(self, factor: int) -> Any:
        """Return what the effects of a factor are multiplied by, sparse (n, J q)."""
        z, n = self.terms[factor], len(self.fixed)
        q = z.shape[1]
        column = self.codes[:, factor, None] * q + np.arange(q)
        shape = n, self.n_levels[factor] * q
        return sparse.csr_array((z.ravel(), column.ravel(), np.arange(n + 1) * q), shape=shape)

    def others(self) -> Any:
        """Return the columns of the other effects and of the coefficients, sparse (n, m)."""
        columns = [self.columns(f) for f in range(1, len(self.terms))]
        return sparse.hstack([*columns, sparse.csr_array(self.fixed)]).tocsr()


class Gaussian(NamedTuple):
    """A normal approximation of the posterior.

    Attributes
    ----------
    mode : ndarray of shape (n_effects + k,)
        Effects, factor by factor, and coefficients after them.
    weight, working : ndarray of shape (n,)
        Weights and working responses of the rows.
    information : ndarray of shape (J, q, q)
        Information of the levels of the first factor, given all else.
    blocks : ndarray of shape (J, q, q)
        Covariances of their effects, given all else.
    gain : sparse array of shape (J q, m)
        Regression of these effects on all else, with the sign changed.
    left : ndarray of shape (m, m)
        Precision of all else, the effects of the first factor integrated out.
    """

    mode: Float
    weight: Float
    working: Float
    information: Float
    blocks: Float
    gain: Any
    left: Float


def predictors(rows: EffectRows, mode: Float) -> Float:
    """Return the linear predictors (n,)."""
    *effects, coef = np.split(mode, np.cumsum(rows.sizes))
    eta = rows.fixed @ coef
    for f, (z, v) in enumerate(zip(rows.terms, effects, strict=True)):
        eta += np.sum(z * v.reshape(-1, z.shape[1])[rows.codes[:, f]], axis=1)
    return eta


def find_joint_mode(
    rows: EffectRows,
    response: FamilyRows,
    prior: tuple[Float, Float],
    covariances: Sequence[Float],
    dispersion: Float,
    mode: Float,
) -> Gaussian:
    """Find the mode by Newton's method, from the given point on.

    `prior` are the means and precisions of the coefficients (k,).
    """
    mean, k = np.zeros(len(mode)), len(prior[0])
    mean[len(mode) - k :] = prior[0]
    inverses = [np.linalg.inv(cov) for cov in covariances]
    of_effects = [
        sparse.kron(sparse.eye_array(J), inverse)
        for J, inverse in zip(rows.n_levels, inverses, strict=True)
    ]
    precision = sparse.block_diag([*of_effects, sparse.diags_array(prior[1])]).tocsr()
    columns = rows.columns(0), rows.others()

    def look(at: Float) -> tuple[float, Float, Float, Float]:
        """Return log density, predictors, and slopes and information of rows."""
        eta = predictors(rows, at)
        value, slope, _ = response.derivatives(eta, dispersion)
        pull = precision @ (at - mean)
        value -= 0.5 * float((at - mean) @ pull)
        return value, eta, slope, response.information(eta, dispersion)

    now = look(mode)
    for _ in range(STEPS):
        before, _, slope, information = now
        weight = _weights(information)
        found = _eliminate(rows, columns, precision, weight)
        score = np.concatenate([part.T @ slope for part in columns])
        step = _solve(found, score - precision @ (mode - mean))
        for _ in range(HALVINGS):
            now = look(mode + step)
            if now[0] >= before - ROUNDING * abs(before):
                mode = mode + step
                break
            step = 0.5 * step
        else:
            now = look(mode)
        if not now[0] - before > ENOUGH:
            break
    _, eta, slope, information = now
    found = _eliminate(rows, columns, precision, _weights(information))
    return found._replace(mode=mode, working=eta + slope / found.weight)


def _weights(information: Float) -> Float:
    """Return positive weights of rows (n,)."""
    positive = information > 0
    usual = np.median(information[positive]) if positive.any() else 1.0
    return np.maximum(information, LEAST * usual)


def _eliminate(rows: EffectRows, columns: Any, precision: Any, weight: Float) -> Gaussian:
    """Integrate the effects of the first factor out. There is no mode yet."""
    first, others = columns
    J, z, n_first = rows.n_levels[0], rows.terms[0], rows.sizes[0]
    q = z.shape[1]
    information = np.zeros((J, q, q))
    np.add.at(information, rows.codes[:, 0], z[:, :, None] * (weight[:, None] * z)[:, None])
    blocks = np.linalg.inv(information + precision[:q, :q].toarray())
    weighted = sparse.diags_array(weight) @ others
    cross = (first.T @ weighted).tocsr()
    diagonal = sparse.bsr_array((blocks, np.arange(J), np.arange(J + 1)), shape=[n_first] * 2)
    gain = (diagonal @ cross).tocsr()
    left = (others.T @ weighted + precision[n_first:, n_first:] - cross.T @ gain).toarray()
    nothing = np.empty(0)
    return Gaussian(nothing, weight, nothing, information, blocks, gain, left)


def _solve(found: Gaussian, gradient: Float) -> Float:
    """Return the Newton step of all effects and coefficients."""
    J, q, _ = found.blocks.shape
    first, rest = gradient[: J * q], gradient[J * q :]
    rest = linalg.solve(found.left, rest - found.gain.T @ first, assume_a="pos")
    alone = np.einsum("jab,jb->ja", found.blocks, first.reshape(J, q)).ravel()
    return np.concatenate([alone - found.gain @ rest, rest])
