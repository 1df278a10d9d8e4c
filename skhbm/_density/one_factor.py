"""Design and priors -> the compiled target density, and where its chains start."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._density.one_factor_kernel import (
    HIERARCHICAL,
    INDEPENDENT,
    KNOWN,
    LOG_RESIDUAL,
    SHARED,
    TABLE,
    density_callback,
    expand_callback,
)
from skhbm._likelihood.equal_groups import share_equal_work
from skhbm._likelihood.marginal import make_marginal
from skhbm._numba.records import make_record
from skhbm._priors.distributions import compiled_prior
from skhbm._priors.prior import hierarchical_priors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skhbm._density.basis import Basis
    from skhbm._density.coefficients import Coefficients
    from skhbm._design.design import Design
    from skhbm._design.terms import Terms
    from skhbm._likelihood.marginal import Marginal
    from skhbm._priors.prior import Prior, Priors
    from skhbm._types import Float, Int


__all__ = ["Evaluated", "Target", "as_table", "initial_point", "log_start", "make_target"]

#: Chains start at these working scales: neither all nor none of the variance.
START = 0.5
#: Variance of a log residual scale about which a group says nothing.
UNINFORMED = 1e8


class Evaluated:
    """A target density behind a table that a C callback reads."""

    __slots__ = ()

    if TYPE_CHECKING:  # At run time a dataclass would take these for defaults of its fields.

        @property
        def n_dim(self) -> int:
            """Length of the unconstrained vector, and of the vector of natural values."""

        @property
        def head(self) -> Target:
            """The part of the integrated factor."""

        @property
        def factors(self) -> tuple[Any, ...]:
            """The factors whose effects are sampled."""

        @property
        def likelihood(self) -> Any:
            """The marginal likelihood, which can draw the coefficients."""

    @property
    def n_integrated(self) -> int:
        """Number of coefficients that are integrated out."""
        return len(self.head.marginal.mean)

    def table(self, *, gradient: bool = True) -> Any:
        """Return the record that the callbacks read; valid as long as this object lives.

        Without `gradient` what the callback gives for one is not to be used. The field
        `moments` is 0, or is made the address that the conditional moments of the coefficients
        are written to.
        """
        raise NotImplementedError

    def callbacks(self) -> tuple[Any, Any]:
        """Return the callbacks of the density and of the natural values."""
        raise NotImplementedError

    def value_and_gradient(self, x: Float) -> tuple[float, Float]:
        """Evaluate the density at an unconstrained vector."""
        table, logp, grad = self.table(), np.empty(1), np.empty(len(x))
        pointers = [a.ctypes.data_as(ctypes.POINTER(ctypes.c_double)) for a in (x, grad, logp)]
        self.callbacks()[0].ctypes(len(x), *pointers, table.ctypes.data)
        return float(logp[0]), grad


@dataclass(frozen=True, slots=True, eq=False)
class Target(Evaluated):
    """What the callback reads: arrays, kept alive here, behind one table of integers.

    Parameters
    ----------
    kind : int
        Kind of residual scale.
    units : ndarray of shape (q + 2,)
        Natural sizes of a working unit of each effect; the parameter of the LKJ prior, 0 when
        effects are independent; the natural size of a working unit of the target.
    address : ndarray of shape (n_scalars,)
        Compiled prior of each univariate parameter, in the order of the vector.
    parameters : ndarray of shape (n_scalars, n_parameters)
        Parameters of these priors.
    log_residual : ndarray of LOG_RESIDUAL of shape (n_groups,)
        Each group's own log residual scale, and the variance of that estimate.
    center, rotation : ndarray of shape (s,), (s, s)
        Sampled coefficients are ``center + rotation @ x``, before their transforms.
    marginal : Marginal
    marginal_table : ndarray
        The record of the marginal likelihood, kept alive.
    """

    kind: int
    units: Float
    address: Int
    parameters: Float
    log_residual: Any
    center: Float
    rotation: Float
    marginal: Marginal
    marginal_table: Any

    @property
    def n_terms(self) -> int:
        """Number of varying terms."""
        return len(self.units) - 2

    @property
    def n_correlations(self) -> int:
        """Number of sampled correlations."""
        q = self.n_terms
        return q * (q - 1) // 2 if self.units[q] > 0 else 0

    @property
    def n_scales(self) -> int:
        """Number of unconstrained parameters of the residual scales."""
        n_groups = len(self.log_residual)
        sizes = {SHARED: 1, INDEPENDENT: n_groups, HIERARCHICAL: n_groups + 2, KNOWN: 0}
        return sizes[self.kind]

    @property
    def n_dim(self) -> int:
        """Length of the unconstrained vector, and of the vector of natural values."""
        return self.n_terms + self.n_correlations + self.n_scales + len(self.center)

    def table(self, *, gradient: bool = True) -> Any:
        """Return the record that the callbacks read; valid as long as this object lives."""
        marginal = self.marginal
        *_, eta, response_unit = self.units
        return make_record(
            TABLE,
            kind=self.kind,
            n_dim=self.n_dim,
            n_terms=self.n_terms,
            n_correlations=self.n_correlations,
            n_groups=len(self.log_residual),
            n_sampled=len(self.center),
            n_within=len(marginal.W),
            n_scalars=len(self.address),
            n_parameters=self.parameters.shape[1],
            n_moments=(len(marginal.mean) + 1) ** 2,
            units=self.units,
            priors=self.address,
            parameters=self.parameters,
            log_residual=self.log_residual,
            center=self.center,
            rotation=self.rotation,
            likelihood=marginal.callback().address,
            likelihood_table=self.marginal_table,
            with_gradient=int(gradient),
            eta=eta,
            response_unit=response_unit,
        )

    def callbacks(self) -> tuple[Any, Any]:
        """Return the callbacks of the density and of the natural values."""
        return density_callback(), expand_callback()

    @property
    def head(self) -> Target:
        """The part of the integrated factor: this."""
        return self

    @property
    def factors(self) -> tuple[Any, ...]:
        """The factors whose effects are sampled: none."""
        return ()

    @property
    def likelihood(self) -> Marginal:
        """The marginal likelihood."""
        return self.marginal


def make_target(
    design: Design, priors: Priors, coefficients: Coefficients, basis: Basis
) -> Target:
    """Collect what the compiled density reads."""
    terms, scaling = design.terms, design.scaling
    kind = _kind(terms, priors)
    scales = {
        SHARED: [priors.sigma],
        INDEPENDENT: [priors.sigma] * design.n_groups,
        HIERARCHICAL: hierarchical_priors(design),
        KNOWN: [],
    }[kind]
    address, parameters = as_table([*priors.tau, *scales, *coefficients.priors])
    transforms = [_compiled(prior).transform for prior in coefficients.priors]
    center, rotation = _whitening(design, coefficients, transforms)
    marginal = _marginal(design, basis)
    eta = priors.eta if terms.n_correlations else 0.0
    return Target(
        kind,
        np.append(scaling.effect_units(terms), [eta, scaling.y_scale]),
        address,
        parameters,
        _log_residuals(design, basis),
        center,
        rotation,
        marginal,
        marginal.table(),
    )


def as_table(priors: Sequence[Prior]) -> tuple[Int, Float]:
    """Compile univariate priors; return their addresses (n,) and parameters (n, width)."""
    width = max([1, *(len(prior.parameters) for prior in priors)])
    parameters = np.zeros((len(priors), width))
    for row, prior in zip(parameters, priors, strict=True):
        row[: len(prior.parameters)] = [prior.parameters[name] for name in _names(prior)]
    addresses = [_compiled(prior).function.address for prior in priors]
    return np.array(addresses, dtype=np.int64), parameters


def initial_point(
    target: Target, priors: Priors, tau: Any = START, sigma: float = START
) -> Float:
    """Return the unconstrained point about which chains start (n_dim,), at working scales."""
    x = np.zeros(target.n_dim)
    q = target.n_terms
    x[:q] = log_start(priors.tau, target.units, tau)
    scales = x[q + target.n_correlations :][: target.n_scales]
    if target.kind == HIERARCHICAL:
        # Their mean and log sigma_j themselves have coordinates that begin at 0.
        scales[1] = np.log(START)
    elif target.kind != KNOWN and _compiled(priors.sigma).transform == "log":
        scales[:] = np.log(sigma * target.units[-1])
    return x


def log_start(priors: Sequence[Prior], units: Float, working: Any) -> Float:
    """Return where scales start on PyMC's transform (q,): a log, or else its zero."""
    logs = np.log(np.broadcast_to(working, len(priors)) * units[: len(priors)])
    transforms = [_compiled(prior).transform for prior in priors]
    return np.where([transform == "log" for transform in transforms], logs, 0.0)


def _kind(terms: Terms, priors: Priors) -> int:
    if terms.known:
        return KNOWN
    if not terms.by_group:
        return SHARED
    return INDEPENDENT if priors.sigma else HIERARCHICAL


def _log_residuals(design: Design, basis: Basis) -> Any:
    """Estimate each group's log residual scale and the variance of that (n_groups,).

    From what its own terms and the pooled regression leave over. The log of a chi-square on d
    degrees has variance close to 2 / d; that of its root a quarter of it.
    """
    rss = np.broadcast_to(basis.within[:, -1, -1], design.n.shape)
    informed = design.degrees >= 1
    degrees = np.where(informed, design.degrees, 1.0)
    out = np.empty(len(degrees), LOG_RESIDUAL)
    out["estimate"] = np.log(design.scaling.y_scale) + 0.5 * np.log(rss / degrees)
    out["variance"] = np.where(informed, 0.5 / degrees, UNINFORMED)
    return out


def _marginal(design: Design, basis: Basis) -> Marginal:
    """Return the marginal likelihood, equal groups taken together where they can be."""
    q = len(design.terms.varying)
    R, E = np.split(design.roots, [q], axis=2)
    E, weight = E @ basis.columns, np.ones(design.n_groups)
    if q and not design.terms.by_group and not design.others:
        R, E, weight = share_equal_work(R, E)
    roots = np.concatenate([R, E], axis=2)
    return make_marginal(basis.mean, roots, weight, basis.within, design.log_counts)


def _compiled(prior: Any) -> Any:
    return compiled_prior(prior.distribution, _names(prior))


def _names(prior: Any) -> tuple[str, ...]:
    return tuple(sorted(prior.parameters))


def _whitening(
    design: Design, coefficients: Coefficients, transforms: list[str]
) -> tuple[Float, Float]:
    """Centre and rotate the sampled coefficients by their pooled least squares.

    Those with a transform (positive priors, say) are left as they are.
    """
    s = len(coefficients.priors)
    center, rotation = np.zeros(s), np.eye(s)
    real = np.array([transform == "identity" for transform in transforms], dtype=bool)
    if not real.any():
        return center, rotation
    pooled = design.pooled()
    slope = coefficients.slope[:, real]
    information = slope.T @ pooled[:-1, :-1] @ slope
    information += np.diag(1e-6 * np.diag(information) + np.finfo(float).tiny)
    rest = pooled[:-1, -1] - pooled[:-1, :-1] @ coefficients.offset
    center[real] = np.linalg.solve(information, slope.T @ rest)
    rotation[np.ix_(real, real)] = np.linalg.cholesky(np.linalg.inv(information))
    return center, rotation
