"""The joint mode of effects and coefficients given their covariances, and the curvature there.

Factors are in the order of elimination, the one with the most effects first. The precision of
its effects is a block for each level, and they are eliminated level by level. So are those of
the factors that follow, as long as their levels are independent given what comes after them:
classes are, once pupils are eliminated. What is left is a dense matrix over the effects of the
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

__all__ = [
    "EffectRows",
    "Gaussian",
    "Stage",
    "find_joint_mode",
    "on_diagonal",
    "predictors",
]

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

    def columns(self) -> Any:
        """Return what effects, factor by factor, and coefficients are multiplied by, sparse."""
        n = len(self.fixed)
        out = []
        for f, (z, J) in enumerate(zip(self.terms, self.n_levels, strict=True)):
            q = z.shape[1]
            column = self.codes[:, f, None] * q + np.arange(q)
            entries = z.ravel(), column.ravel(), np.arange(n + 1) * q
            out.append(sparse.csr_array(entries, shape=(n, J * q)))
        return sparse.hstack([*out, sparse.csr_array(self.fixed)]).tocsr()


class Stage(NamedTuple):
    """The effects of a factor given what comes after it, independent from level to level.

    Attributes
    ----------
    precision, covariance : ndarray of shape (J, q, q)
    cross : sparse array of shape (J q, m)
        Entries of the precision matrix of these effects and what comes after them.
    gain : sparse array of shape (J q, m)
        Regression of these effects on what comes after them, with the sign changed.
    """

    precision: Float
    covariance: Float
    cross: Any
    gain: Any


class Gaussian(NamedTuple):
    """A normal approximation of the posterior.

    Attributes
    ----------
    mode : ndarray of shape (n_effects + k,)
        Effects, factor by factor, and coefficients after them.
    weight, working : ndarray of shape (n,)
        Weights and working responses of the rows.
    stages : tuple of Stage
        Of the first factors.
    left : ndarray of shape (m, m)
        Precision of all else, their effects integrated out.
    """

    mode: Float
    weight: Float
    working: Float
    stages: tuple[Stage, ...]
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
    columns = rows.columns()

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
        step = _solve(found, columns.T @ slope - precision @ (mode - mean))
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


def _eliminate(rows: EffectRows, columns: Any, prior: Any, weight: Float) -> Gaussian:
    """Integrate effects out, as far as levels are independent. There is no mode yet."""
    left = (columns.T @ (sparse.diags_array(weight) @ columns) + prior).tocsr()
    stages: list[Stage] = []
    for z, size in zip(rows.terms, rows.sizes, strict=True):
        head = left[:size, :size].tocoo()
        q = z.shape[1]
        row, column = head.coords
        if np.any(row // q != column // q):
            break
        precision = np.zeros((size // q, q, q))
        precision[row // q, row % q, column % q] = head.data
        covariance = np.linalg.inv(precision)
        cross = left[:size, size:]
        gain = (on_diagonal(covariance) @ cross).tocsr()
        left = (left[size:, size:] - cross.T @ gain).tocsr()
        stages.append(Stage(precision, covariance, cross, gain))
    nothing = np.empty(0)
    return Gaussian(nothing, weight, nothing, tuple(stages), left.toarray())


def on_diagonal(blocks: Float) -> Any:
    """Return a sparse matrix with these blocks (J, q, q) on its diagonal."""
    J, q, _ = blocks.shape
    return sparse.bsr_array((blocks, np.arange(J), np.arange(J + 1)), shape=(J * q, J * q))


def _solve(found: Gaussian, gradient: Float) -> Float:
    """Return the Newton step of all effects and coefficients."""
    heads, rest = [], gradient
    for stage in found.stages:
        size = stage.gain.shape[0]
        heads.append(rest[:size])
        rest = rest[size:] - stage.gain.T @ rest[:size]
    step = linalg.solve(found.left, rest, assume_a="pos")
    for stage, head in zip(found.stages[::-1], heads[::-1], strict=True):
        alone = on_diagonal(stage.covariance) @ head - stage.gain @ step
        step = np.concatenate([alone, step])
    return step
