"""The log posterior density of the unconstrained hyperparameters, as a C callback.

The density is that of the PyMC model of `skhbm._density.pymc_model` with its normally
distributed coefficients integrated out: PyMC's log priors and transforms, compiled in
`skhbm._priors.compiled` and called by address, plus the marginal likelihood. Other coordinates
than PyMC's are used where those would be correlated. One compiled callback serves every model
and data set: all that it needs is behind one pointer.

The unconstrained vector holds, in this order,

    for each grouping factor the standard deviations tau of its effects, in the coordinates of
        `skhbm._density.spreads`, and their canonical partial correlations, on the atanh scale,
    residual scales: 1 shared, or n_groups independent ones, or, for the hierarchical prior,
        the standardised mean and the sd of log sigma_j and n_groups standardised log sigma_j,
        or none if errors are known: sigma is 1 then, and rows are weighted by their precision,
    the coefficients that cannot be integrated out,

and after these independent standard normals, the companions of `skhbm._sampling.nuts`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray

from skhbm._density.correlations_kernel import corr_cholesky, corr_gradient
from skhbm._density.residual_scales_kernel import (
    FIRST_GROUP,
    LOG_RESIDUAL,
    MEAN,
    SPREAD,
    group_scales,
    hierarchical_gradient,
    mean_moments,
)
from skhbm._density.spreads import log_of_spread
from skhbm._numba.jit import JIT_INNER, c_callback, njit
from skhbm._numba.pointers import as_pointer, call_marginal, call_prior
from skhbm._numba.records import fields
from skhbm._priors.prior import SCALAR

__all__ = [
    "FACTOR",
    "HIERARCHICAL",
    "INDEPENDENT",
    "KNOWN",
    "SHARED",
    "TABLE",
    "density_callback",
    "expand_callback",
    "fill_covariances",
    "likelihood_inputs",
    "natural_values",
]

#: Kinds of residual scale.
SHARED, INDEPENDENT, HIERARCHICAL, KNOWN = 0, 1, 2, 3
#: What the callbacks read of a factor: its numbers of standard deviations and of correlations,
#: and where the former begin among all standard deviations and in the vector, and where its
#: covariance begins among the inputs of the likelihood.
FACTOR = fields("n_terms", "n_correlations", "first_tau", "first", "first_entry")
#: What the callbacks read. `factors` is the address of the records of the factors, `n_tau` and
#: `n_entries` are their numbers of standard deviations and of entries of covariances, and
#: `n_effects` that of standard deviations and correlations. `priors` are the addresses of the
#: compiled priors of the univariate parameters, `parameters` the parameters of these, `places`
#: the positions in the vector of those that are no coefficients. `likelihood` and
#: `likelihood_table` are the address of a marginal likelihood and of its table; its gradient is
#: left out where `with_gradient` is 0. `moments` is 0, or where U of
#: `skhbm._likelihood.marginal` goes. `eta` is the parameter of the LKJ prior, `response_unit`
#: the size of the response's working unit.
TABLE = np.dtype(
    [
        *fields(
            *("kind", "n_dim", "n_factors", "n_tau", "n_effects", "n_entries", "n_groups"),
            *("n_sampled", "n_within", "n_scalars", "n_parameters", "n_moments", "factors"),
            *("units", "priors", "parameters", "places", "log_residual", "elbows", "center"),
            *("rotation",),
            *("likelihood", "likelihood_table", "with_gradient", "moments"),
        ).descr,
        ("eta", np.float64),
        ("response_unit", np.float64),
    ]
)


@cache
def density_callback() -> Any:
    """Return `_density` as a C callback, compiled once and cached on disk."""
    signature = "int64(uint64, CPointer(double), CPointer(double), CPointer(double), voidptr)"
    return c_callback(signature, _density)


@cache
def expand_callback() -> Any:
    """Return `_expand` as a C callback, compiled once and cached on disk."""
    signature = "int64(uint64, uint64, CPointer(double), CPointer(double), voidptr)"
    return c_callback(signature, _expand)


def _density(n_dim, x_, grad_, logp_, table_):
    """Evaluate log density and gradient, in the form that nutpie's `LogpFunc` calls."""
    table = carray(table_, (1,), TABLE)[0]
    s, size = table.n_sampled, table.n_entries
    first_scale, first_coef = table.n_effects, table.n_dim - s
    x, grad, out = carray(x_, (n_dim,)), carray(grad_, (n_dim,)), carray(logp_, (1,))
    natural = np.empty(table.n_dim)
    scalars = np.empty(table.n_scalars, SCALAR)
    C = np.zeros(size)
    logp = natural_values(x, table, natural, scalars, C)
    for i in range(len(natural), n_dim):
        logp -= 0.5 * x[i] * x[i]
        grad[i] = -x[i]
    inputs = np.empty(size + table.n_within + s)
    outputs = np.zeros(1 + len(inputs) + table.n_moments)
    likelihood_inputs(table, natural, scalars, C, inputs)
    call_marginal(
        table.likelihood,
        table.likelihood_table,
        inputs.ctypes.data,
        outputs.ctypes.data,
        table.with_gradient,
    )
    logp += outputs[0]
    if table.moments != 0:
        U = carray(as_pointer(table.moments), (table.n_moments,), np.float64)
        # An assignment of slices would have numba compile the formatting of an error.
        for i in range(table.n_moments):
            U[i] = outputs[1 + len(inputs) + i]
    cov, sigma, _ = split(inputs, size, table.n_within)
    d_cov, d_sigma, d_given = split(outputs[1 : 1 + len(inputs)], size, table.n_within)
    factors = carray(as_pointer(table.factors), (table.n_factors,), FACTOR)
    for f in range(len(factors)):
        logp += effects_gradient(table, factors[f], x, scalars, C, cov, d_cov, grad)
    logp += residual_gradient(
        table, x[first_scale:], scalars, sigma, d_sigma, grad[first_scale:]
    )
    coefficient_gradient(table, scalars, d_given, grad[first_coef:])
    out[0] = logp
    finite = np.isfinite(logp)
    for i in range(n_dim):
        finite = finite and np.isfinite(grad[i])
    return 0 if finite else 1


def _expand(n_dim, n_natural, x_, natural_, table_):
    """Evaluate the natural values, in the form that nutpie's `ExpandFunc` calls.

    The last value is what the companions add to the log density.
    """
    table = carray(table_, (1,), TABLE)[0]
    scalars = np.empty(table.n_scalars, SCALAR)
    C = np.zeros(table.n_entries)
    x, natural = carray(x_, (n_dim,)), carray(natural_, (n_natural,))
    last = n_natural - 1
    natural_values(x, table, natural[:last], scalars, C)
    natural[last] = 0.0
    for i in range(last, n_dim):
        natural[last] -= 0.5 * x[i] * x[i]
    return 0


@njit(**JIT_INNER)
def natural_values(x, table, natural, scalars, C):
    """Fill the natural values of x and return the log prior of the univariate parameters.

    `scalars` is filled with what the priors say of these, C with the Cholesky factors of the
    correlations of each factor, one after another.
    """
    q, s, n_scalars = table.n_tau, table.n_sampled, table.n_scalars
    factors = carray(as_pointer(table.factors), (table.n_factors,), FACTOR)
    places = carray(as_pointer(table.places), (n_scalars - s,), np.int64)
    log_residual = carray(as_pointer(table.log_residual), (table.n_groups,), LOG_RESIDUAL)
    priors = carray(as_pointer(table.priors), (n_scalars,), np.int64)
    shape = (n_scalars, table.n_parameters)
    parameters = carray(as_pointer(table.parameters), shape, np.float64)
    center = carray(as_pointer(table.center), (s,), np.float64)
    rotation = carray(as_pointer(table.rotation), (s, s), np.float64)
    elbows = carray(as_pointer(table.elbows), (q,), np.float64)
    first_scale, first_coef = table.n_effects, len(natural) - s
    hierarchical = table.kind == HIERARCHICAL
    logp = 0.0
    # Backwards, as the coordinate of the mean of log sigma_j depends on their sd.
    for i in range(n_scalars - 1, -1, -1):
        c = i - (n_scalars - s)
        if c < 0:
            at = places[i]
            t = x[at]
        else:
            at = first_coef + c
            t = center[c]
            for b in range(s):
                t += rotation[c, b] * x[first_coef + b]
        if hierarchical and i == q + MEAN:
            spread = scalars[q + SPREAD].value
            mean, size, _, _ = mean_moments(log_residual, parameters[i], spread)
            t = mean + size * t
            logp += np.log(size)
        slope, curvature = 1.0, 0.0
        if i < q:
            t, slope, curvature = log_of_spread(t, elbows[i])
        call_prior(priors[i], t, parameters[i].ctypes.data, scalars[i:].ctypes.data)
        natural[at] = scalars[i].value
        logp += scalars[i].logp + np.log(slope)
        scalars[i].gradient = scalars[i].gradient * slope + curvature
        scalars[i].derivative *= slope
    for f in range(len(factors)):
        first, last = correlations(factors[f])
        corr_cholesky(
            x[first:last], factors[f].n_terms, block(factors[f], C), natural[first:last]
        )
    if hierarchical:
        group_scales(log_residual, scalars[q:], x[first_scale:], natural[first_scale:])
    return logp


@njit(**JIT_INNER)
def correlations(factor):
    """Return where the correlations of a factor begin in the vector, and where they end."""
    first = factor.first + factor.n_terms
    return first, first + factor.n_correlations


@njit(**JIT_INNER)
def block(factor, entries):
    """Return a view of the matrix (q, q) of a factor in the entries of all."""
    q, first = factor.n_terms, factor.first_entry
    return entries[first : first + q * q].reshape((q, q))


@njit(**JIT_INNER)
def split(values, size, n_within):
    """Return views of what values hold of covariances, sigma and given, or of derivatives."""
    return values[:size], values[size : size + n_within], values[size + n_within :]


@njit(**JIT_INNER)
def likelihood_inputs(table, natural, scalars, C, inputs):
    """Fill the inputs of the likelihood, in working units: cov, sigma, given coefficients."""
    s = table.n_sampled
    cov, sigma, given = split(inputs, table.n_entries, table.n_within)
    fill_covariances(table, scalars, C, cov)
    first = table.n_effects + (FIRST_GROUP if table.kind == HIERARCHICAL else 0)
    for j in range(len(sigma)):
        sigma[j] = 1.0 / table.response_unit
        if table.kind != KNOWN:
            sigma[j] *= natural[first + j]
    for c in range(s):
        given[c] = natural[len(natural) - s + c]


@njit(**JIT_INNER)
def fill_covariances(table, scalars, entries_of_C, entries):
    """Fill the covariances of the effects of each factor, in working units."""
    factors = carray(as_pointer(table.factors), (table.n_factors,), FACTOR)
    units = carray(as_pointer(table.units), (table.n_tau,), np.float64)
    for f in range(len(factors)):
        C, cov = block(factors[f], entries_of_C), block(factors[f], entries)
        q, first = factors[f].n_terms, factors[f].first_tau
        for a in range(q):
            tau = scalars[first + a].value / units[first + a]
            for b in range(q):
                cov[a, b] = 0.0
                for c in range(q):
                    cov[a, b] += C[a, c] * C[b, c]
                cov[a, b] *= tau * (scalars[first + b].value / units[first + b])


@njit(**JIT_INNER)
def effects_gradient(table, factor, x, all_scalars, entries_of_C, entries, d_entries, grad):
    """Fill the gradient in a factor's tau and correlations; return the log prior of the latter.

    The covariance is D C C' D with D = diag(tau / unit).
    """
    q, place = factor.n_terms, factor.first
    units = carray(as_pointer(table.units), (table.n_tau,), np.float64)[factor.first_tau :]
    scalars = all_scalars[factor.first_tau :]
    C, cov, d_cov = (
        block(factor, entries_of_C), block(factor, entries), block(factor, d_entries)
    )  # fmt: skip
    dC = np.zeros((q, q))
    for a in range(q):
        d_log_tau = 0.0
        for b in range(q):
            d_log_tau += 2.0 * d_cov[a, b] * cov[a, b]
            scaled = 2.0 * d_cov[a, b] * scalars[a].value / units[a]
            scaled *= scalars[b].value / units[b]
            for c in range(b + 1):
                dC[a, c] += scaled * C[b, c]
        tau = scalars[a]
        grad[place + a] = tau.gradient + d_log_tau * tau.derivative / tau.value
    first, last = correlations(factor)
    if first == last:
        return 0.0
    return corr_gradient(x[first:last], q, table.eta, dC, grad[first:last])


@njit(**JIT_INNER)
def residual_gradient(table, x, scalars, sigma, d_sigma, grad):
    """Fill the gradient in the residual scales; return their log prior if it is hierarchical.

    x and grad begin with the parameters of the residual scales.
    """
    q, unit = table.n_tau, table.response_unit
    if table.kind == HIERARCHICAL:
        return hierarchical_gradient(table, x, scalars[q:], sigma, d_sigma, grad)
    if table.kind != KNOWN:
        for j in range(table.n_within):
            scale = scalars[q + j]
            grad[j] = scale.gradient + d_sigma[j] / unit * scale.derivative
    return 0.0


@njit(**JIT_INNER)
def coefficient_gradient(table, scalars, d_given, grad):
    """Fill the gradient in the sampled coefficients, in their rotated coordinates."""
    s = table.n_sampled
    rotation = carray(as_pointer(table.rotation), (s, s), np.float64)
    for b in range(s):
        grad[b] = 0.0
    for c in range(s):
        coef = scalars[table.n_scalars - s + c]
        d = coef.gradient + d_given[c] * coef.derivative
        for b in range(s):
            grad[b] += d * rotation[c, b]
