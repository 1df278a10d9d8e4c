"""The density of the hyperparameters: design and priors as compiled code reads them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._density.along_sigma import AlongSigma
from skhbm._density.evaluation import WholeVector
from skhbm._density.hyperparameters_kernel import (
    HIERARCHICAL,
    INDEPENDENT,
    KNOWN,
    SHARED,
    TABLE,
    density_callback,
    expand_callback,
)
from skhbm._density.residual_scales_kernel import FIRST_GROUP, SPREAD
from skhbm._density.spreads import no_elbows
from skhbm._density.start import START, careful_acceptance, start_of_scales, toward_mode
from skhbm._density.target import TargetDensity
from skhbm._numba.records import make_record
from skhbm._priors.compiled import compiled_prior

if TYPE_CHECKING:
    from skhbm._density.target import PointDensity
    from skhbm._priors.prior import Prior, Priors
    from skhbm._types import Float, Int


__all__ = ["HyperparameterDensity"]


@dataclass(frozen=True, slots=True, eq=False)
class HyperparameterDensity(TargetDensity):
    """What the callback reads: arrays, kept alive here, behind one table.

    Parameters
    ----------
    kind : int
        Kind of residual scale.
    factors : ndarray of FACTOR of shape (n_factors,)
        Where the parameters of each grouping factor are, in the user's order.
    n_groups : tuple of int
        Number of groups of each factor.
    n_rows : float
        Number of rows, or 0 if errors are known.
    units : ndarray of shape (n_tau,)
        Natural size of a working unit of each effect, factor by factor.
    eta : float
        Parameter of the LKJ prior of the correlations.
    response_unit : float
        Natural size of a working unit of the response.
    address : ndarray of shape (n_scalars,)
        Compiled prior of each univariate parameter, in the order of the vector.
    parameters : ndarray of shape (n_scalars, n_parameters)
        Parameters of these priors.
    places : ndarray of int of shape (n_scalars - s,)
        Positions in the vector of those parameters that are no coefficients.
    log_residual : ndarray of LOG_RESIDUAL of shape (n_groups,)
        Log residual scale of each group, estimated from its rows alone, and the variance of
        this estimate.
    elbows : ndarray of shape (n_tau,)
        Where the coordinates of tau begin to be logs: `skhbm._density.spreads`.
    center, rotation : ndarray of shape (s,), (s, s)
        Sampled coefficients are ``center + rotation @ x``, before their transforms.
    tau : tuple of Prior
        Priors of the standard deviations, factor by factor.
    residual : tuple of Prior
        Priors of the residual scales that are independent, or of other parameters of the
        response in their place.
    typical : ndarray of shape (1,) or (n_scales,)
        Natural values of these at which chains start.
    start_tau : float or ndarray of shape (n_tau,)
        Where standard deviations of effects start, in working units.
    likelihood : MarginalLikelihood
    likelihood_table : ndarray
        The table of the likelihood, kept alive.
    basis : Basis or None
        Coordinates of the coefficients, if some are integrated out.
    priors : Priors
    """

    kind: int
    factors: Any
    n_groups: tuple[int, ...]
    n_rows: float
    units: Float
    eta: float
    response_unit: float
    address: Int
    parameters: Float
    places: Int
    log_residual: Any
    elbows: Float
    center: Float
    rotation: Float
    tau: tuple[Prior, ...]
    residual: tuple[Prior, ...]
    typical: Float
    start_tau: float | Float
    likelihood: Any
    likelihood_table: Any
    basis: Any
    priors: Priors

    @property
    def n_tau(self) -> int:
        """Number of standard deviations of effects."""
        return len(self.units)

    @property
    def n_effects(self) -> int:
        """Number of standard deviations and correlations of effects."""
        return sum(self.sizes[:-2])

    @property
    def n_scales(self) -> int:
        """Number of unconstrained parameters of the residual scales."""
        n_groups = len(self.log_residual)
        sizes = {SHARED: 1, INDEPENDENT: n_groups, HIERARCHICAL: FIRST_GROUP + n_groups}
        return sizes.get(self.kind, 0)

    @property
    def n_dim(self) -> int:
        """Length of the unconstrained vector, and of the vector of natural values."""
        return sum(self.sizes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of standard deviations and of correlations of each factor in turn.

        Those of residual scales and of coefficients come last.
        """
        pairs = zip(self.factors["n_terms"], self.factors["n_correlations"], strict=True)
        of_factors = [int(size) for pair in pairs for size in pair]
        return *of_factors, self.n_scales, len(self.center)

    @property
    def moments_shape(self) -> tuple[int, int]:
        """Shape of the matrix U of the likelihood."""
        size = self.likelihood.n_integrated + 1 if self.likelihood.n_moments else 0
        return size, size

    @property
    def start(self) -> Float:
        """Unconstrained point about which chains start (n_dim,)."""
        if len(self.factors) == 1:
            return self.plain_start
        # Of many groups and rows the posterior is narrow, and far from a start without data.
        logs = [prior.transform == "log" for prior in map(compiled_prior, self._scale_priors)]
        scales = self.places[: len(logs)][logs]
        return toward_mode(self, self.plain_start, scales)

    @property
    def _scale_priors(self) -> tuple[Prior, ...]:
        """Priors of the standard deviations and of a shared residual scale."""
        return (*self.tau, *self.residual[: int(self.kind == SHARED)])

    @property
    def plain_start(self) -> Float:
        """The point where working scales are START (n_dim,)."""
        x = np.zeros(self.n_dim)
        x[self.places[: self.n_tau]] = start_of_scales(self.tau, self.units, self.start_tau)
        scales = x[self.n_effects :][: self.n_scales]
        if self.kind == HIERARCHICAL:
            # The mean of the log sigma_j and they themselves have coordinates that begin at 0.
            scales[SPREAD] = np.log(START)
        elif self.kind != KNOWN:
            scales[:] = start_of_scales(self.residual, 1.0, self.typical)
        return x

    @property
    def spreads(self) -> Int:
        """Positions of the tau, and of the spread of the residual scales between groups."""
        between = [self.n_effects + SPREAD] * (self.kind == HIERARCHICAL)
        return np.array([*self.places[: self.n_tau], *between], dtype=np.int64)

    def in_logs(self) -> HyperparameterDensity:
        """Return the same density with logs of tau as coordinates."""
        return replace(self, elbows=no_elbows(self.n_tau))

    @property
    def scales(self) -> Float:
        """Rough standard deviations of the entries (n_dim,): of n normals 1 / sqrt(2 n)."""
        out = np.ones(self.n_dim)
        for factor, n in zip(self.factors, self.n_groups, strict=True):
            tau, corr = factor["n_terms"], factor["n_correlations"]
            of_factor = out[factor["first"] :]
            of_factor[:tau] = 1 / np.sqrt(2 * n)
            of_factor[tau : tau + corr] = 1 / np.sqrt(n)
        residual = out[self.n_effects :][: self.n_scales]
        if self.kind == SHARED:
            residual[:] = 1 / np.sqrt(2 * self.n_rows)
        elif self.kind == INDEPENDENT:
            residual[:] = np.minimum(np.sqrt(self.log_residual["variance"]), 1.0)
        elif self.kind == HIERARCHICAL:
            residual[SPREAD] = 1 / np.sqrt(2 * len(self.log_residual))
        return out

    @property
    def seconds(self) -> float:
        """Seconds that a value takes, 0 if next to none."""
        return 1e-9 * float(self.likelihood.work)

    def points_about(self, mode: Float) -> PointDensity:
        """Return the density for points; with several factors sigma is integrated out."""
        if len(self.factors) == 1 or self.kind != SHARED:
            return WholeVector(self)
        if any(compiled_prior(prior).transform != "log" for prior in self._scale_priors):
            return WholeVector(self)
        return AlongSigma(self, float(mode[self.n_effects]))

    def acceptance(self, rate: float) -> float:
        """Return the acceptance rate of steps: higher than asked for few groups."""
        return careful_acceptance(rate, self.n_groups) if self.n_tau else rate

    def table(self, *, gradient: bool = True) -> Any:
        """Return the record that the callbacks read; valid as long as this object lives."""
        likelihood = self.likelihood
        return make_record(
            TABLE,
            kind=self.kind,
            n_dim=self.n_dim,
            n_factors=len(self.factors),
            n_tau=self.n_tau,
            n_effects=self.n_effects,
            n_entries=int(np.sum(self.factors["n_terms"] ** 2)),
            n_groups=len(self.log_residual),
            n_sampled=len(self.center),
            n_within=likelihood.n_within,
            n_scalars=len(self.address),
            n_parameters=self.parameters.shape[1],
            n_moments=likelihood.n_moments,
            factors=self.factors,
            units=self.units,
            priors=self.address,
            parameters=self.parameters,
            places=self.places,
            log_residual=self.log_residual,
            elbows=self.elbows,
            center=self.center,
            rotation=self.rotation,
            likelihood=likelihood.callback().address,
            likelihood_table=self.likelihood_table,
            with_gradient=int(gradient),
            eta=self.eta,
            response_unit=self.response_unit,
        )

    def callbacks(self) -> tuple[Any, Any]:
        """Return the callbacks of the density and of the natural values."""
        return density_callback(), expand_callback()
