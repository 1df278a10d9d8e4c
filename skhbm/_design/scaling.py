"""The units that the algebra works in.

Features and target are centred and scaled, so that every later step sees numbers near one
whatever the units and the origins. The features among a factor's varying terms are centred,
too, if the priors of its scales hold at the means of the features. If they hold at x = 0, it is
the origin of the varying terms. Effects at one origin are a linear map of effects at another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skhbm._inputs.numbers import LARGEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skhbm._design.terms import Terms
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float


__all__ = ["Scaling", "check_range", "feature_units", "make_scaling", "spread_between"]

#: A column whose standard deviation is less than this share of its mean is constant.
CONSTANT = 1e-14


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Working coordinates: (x - x_mean) / x_scale and (y - y_mean) / y_scale.

    The means are zero when the model has no intercept to take them up.
    """

    x_mean: Float
    x_scale: Float
    y_mean: float
    y_scale: float

    @property
    def origin(self) -> Float:
        """Means of the features and, last, of the target (p + 1,)."""
        return np.append(self.x_mean, self.y_mean)

    @property
    def unit(self) -> Float:
        """Scales of the features and, last, of the target (p + 1,)."""
        return np.append(self.x_scale, self.y_scale)

    def standardised(self, cross: Float, out: Float | None = None) -> Float:
        """Return cross-products (n, p + 1, p + 1) of features and target in working units."""
        return np.divide(cross, np.outer(self.unit, self.unit), out=out)

    def features(self, X: Float, terms: Terms) -> tuple[Float, Float]:
        """Return the rows of the fixed (n, n_fixed) and of the varying terms (n, q)."""
        ones = np.ones((len(X), 1))
        fixed = (X - self.x_mean) / self.x_scale
        varying = (X[:, terms.slopes] - self.origin_of(terms)) / self.x_scale[terms.slopes]
        return (
            np.hstack([ones, fixed]) if terms.intercept else fixed,
            np.hstack([ones, varying]) if terms.varying_intercept else varying,
        )

    def natural(self, working: Float, terms: Terms) -> Float:
        """Return (intercept at x = 0, coefficients) of working ones (..., n_fixed).

        The intercept is zero if the model has none.
        """
        slopes = working[..., int(terms.intercept) :] * (self.y_scale / self.x_scale)
        intercept = np.zeros(working.shape[:-1])
        if terms.intercept:
            intercept = self.y_mean + self.y_scale * working[..., 0] - slopes @ self.x_mean
        return np.concatenate([intercept[..., None], slopes], axis=-1)

    def origin_of(self, terms: Terms) -> Float:
        """Return the origin of the features whose slopes vary by a factor (n_slopes,)."""
        mean = self.x_mean[terms.slopes]
        return mean if terms.centred else np.zeros_like(mean)

    def natural_effects(self, working: Float, terms: Terms) -> Float:
        """Return the effects at x = 0 on the natural scale of working ones (..., q)."""
        natural = working * self.effect_units(terms)
        if terms.centred:
            # derivation (13)
            natural[..., 0] -= natural[..., 1:] @ self.origin_of(terms)
        return natural

    def effect_units(self, terms: Terms) -> Float:
        """Return the natural size of one working unit of each varying term (q,)."""
        units = self.y_scale / self.x_scale[terms.slopes]
        return np.concatenate([[self.y_scale], units]) if terms.varying_intercept else units


def make_scaling(statistics: GroupedStatistics, *, centred: bool) -> Scaling:
    """Find the overall means and standard deviations (about zero if not centred)."""
    origin, scale, constant = _column_units(statistics, centred=centred)
    if constant[-1]:
        msg = (
            f"`y` is constant ({statistics.mean[0, -1]:g} in all rows), so there is no "
            "residual scale to estimate. Check that this is the target you mean."
        )
        raise ValueError(msg)
    return Scaling(origin[:-1], scale[:-1], float(origin[-1]), float(scale[-1]))


def feature_units(statistics: GroupedStatistics, *, centred: bool) -> tuple[Float, Float]:
    """Return the origins and scales of the features (p,), which those of y do not matter to."""
    origin, scale, _ = _column_units(statistics, centred=centred)
    return origin[:-1], scale[:-1]


def _column_units(
    statistics: GroupedStatistics, *, centred: bool
) -> tuple[Float, Float, NDArray[np.bool_]]:
    """Return origin and scale of the features and y (p + 1,), and which of them are constant.

    A constant column has no spread, and its size becomes its unit.
    """
    share = statistics.weight / statistics.weight.sum()
    origin = share @ statistics.mean
    size = np.abs(origin)
    if not centred:
        origin = np.zeros_like(origin)
    shift = statistics.mean - origin
    within = np.einsum("jkk->k", statistics.cross) / statistics.weight.sum()
    scale = np.sqrt(within + share @ shift**2)
    constant = scale <= CONSTANT * size
    return origin, np.where(constant, np.where(size > 0, size, 1.0), scale), constant


def spread_between(means: Float, noise: Float, *, centred: bool) -> float:
    """Return the standard deviation between groups of these means, each of which counts once.

    It is about zero if not centred. `noise` (n_groups,) is the variance of each mean given its
    group, which is taken off.
    """
    square = np.var(means) if centred else np.mean(means**2)
    return float(np.sqrt(max(square - np.mean(noise), 0.0)))


def check_range(statistics: GroupedStatistics) -> None:
    """Raise ValueError where squares or ratios of columns would leave the range of doubles."""
    spread = np.sqrt(np.einsum("jkk->k", statistics.cross) / statistics.weight.sum())
    size = np.maximum(np.abs(statistics.mean).max(axis=0), spread)
    wrong = ~(size <= LARGEST) | ((size > 0) & (size < 1 / LARGEST))
    if not np.any(wrong):
        return
    k, names = int(np.flatnonzero(wrong)[0]), statistics.feature_names
    what = f"Column {k} of `X`" if names is None else f"The column {names[k : k + 1]} of `X`"
    what = "`y`" if k == statistics.n_features else what
    msg = (
        f"{what} has values of about {size[k]:g}, whose squares leave the range of doubles: "
        f"sizes must be zero or between {1 / LARGEST:g} and {LARGEST:g}. Change the units, or "
        "look for an error in the data."
    )
    raise ValueError(msg)
