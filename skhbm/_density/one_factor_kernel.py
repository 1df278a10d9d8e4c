"""The log posterior density of the unconstrained hyperparameters, as a C callback.

The density is that of the PyMC model of `skhbm._density.pymc_model`, after its normally distributed
coefficients are integrated out: PyMC's own log-priors and transforms, compiled in
`skhbm._priors.distributions` and called by address, plus the marginal likelihood. One compiled
callback serves every model and data set: all it needs is behind one pointer.

The unconstrained vector holds, in this order,

    q standard deviations tau of the effects,
    n_correlations canonical partial correlations, on the atanh scale,
    residual scales: 1 shared, or n_groups independent ones, or, for the hierarchical prior,
        the standardised mean and the sd of log sigma_j and n_groups standardised log sigma_j,
        or none if errors are known: sigma is 1 then, and rows are weighted by their precision,
    the coefficients that cannot be integrated out,

and whatever comes after these is an independent standard normal, a companion: see
`skhbm._sampling.nuts`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray, cfunc, njit

from skhbm._numba.jit import JIT_CALLBACK, JIT_INNER
from skhbm._numba.pointers import as_pointer, call_marginal, call_prior

__all__ = [
    "HIERARCHICAL",
    "INDEPENDENT",
    "KNOWN",
    "SHARED",
    "SIZES",
    "density_callback",
    "expand_callback",
]

#: Kinds of residual scale.
SHARED, INDEPENDENT, HIERARCHICAL, KNOWN = 0, 1, 2, 3
#: Length of the table of sizes and addresses: see `Target.table`.
SIZES = 19


@cache
def density_callback() -> Any:
    """Return `_density.one_factor_kernel` as a C callback, compiled once and cached on disk."""
    signature = "int64(uint64, CPointer(double), CPointer(double), CPointer(double), voidptr)"
    return cfunc(signature, **JIT_CALLBACK)(_density)


@cache
def expand_callback() -> Any:
    """Return `_expand` as a C callback, compiled once and cached on disk."""
    signature = "int64(uint64, uint64, CPointer(double), CPointer(double), voidptr)"
    return cfunc(signature, **JIT_CALLBACK)(_expand)


@njit(**JIT_INNER)
def n_scales(kind, n_groups):
    """Return the number of parameters of the residual scales."""
    return (1, n_groups, n_groups + 2, 0)[kind]


@njit(**JIT_INNER)
def corr_cholesky(z, q, C, corr):
    """Fill C with the Cholesky factor of the correlations with partials tanh(z), and corr.

    An empty z is independence.
    """
    at = 0
    for i in range(q):
        rest = 1.0
        if len(z) > 0:
            for j in range(i):
                C[i, j] = rest * np.tanh(z[at + j])
                rest /= np.cosh(z[at + j])
        C[i, i] = rest
        if len(z) > 0:
            for j in range(i):
                corr[at + j] = 0.0
                for c in range(j + 1):
                    corr[at + j] += C[i, c] * C[j, c]
            at += i


@njit(**JIT_INNER)
def corr_gradient(z, q, eta, dC, grad):
    """Pull a gradient in C back to z, add that of the LKJ prior, return its log density.

    The partial of i and j given the first j variables has density (1 - w^2)^(b - 1),
    b = eta + (q - 2 - j) / 2 (Lewandowski, Kurowicka & Joe 2009, section 2.3); with the
    Jacobian of tanh, (1 - w^2)^b.
    """
    logp = 0.0
    at = 0
    for i in range(q):
        rest = np.ones(i + 1)
        for j in range(i):
            rest[j + 1] = rest[j] / np.cosh(z[at + j])
        d_rest = dC[i, i]
        for j in range(i - 1, -1, -1):
            w = np.tanh(z[at + j])
            sech = 1.0 / np.cosh(z[at + j])
            b = eta + 0.5 * (q - 2 - j)
            logp += 2.0 * b * np.log(sech)
            dw = dC[i, j] * rest[j] * sech * sech - d_rest * rest[j] * w * sech
            grad[at + j] = dw - 2.0 * b * w
            d_rest = dC[i, j] * w + d_rest * sech
        at += i
    return logp


def _density(n_dim, x_, grad_, logp_, table_):
    """Evaluate log density and gradient, in the form that nutpie's `LogpFunc` calls.

    If table[17] is 0 the gradient is not to be used: the likelihood's is left out. Where
    table[18] is an address, U of `_likelihood.marginal._marginal` is written there.
    """
    table = carray(table_, (SIZES,), np.int64)
    kind, q, r, n_groups, s = table[0], table[1], table[2], table[3], table[4]
    n_within, n_scalars = table[6], table[7]
    units = carray(as_pointer(table[10]), (q + 2,), np.float64)
    eta, sigma_unit = units[q], units[q + 1]
    log_residual = carray(as_pointer(table[13]), (n_groups, 2), np.float64)
    parameters = carray(as_pointer(table[12]), (n_scalars, table[5]), np.float64)
    rotation = carray(as_pointer(table[15]), (s, s), np.float64)
    n_own = q + r + s + n_scales(kind, n_groups)
    x = carray(x_, (n_dim,))
    grad = carray(grad_, (n_dim,))
    out = carray(logp_, (1,))
    first_scale, first_coef = q + r, n_own - s

    natural = np.empty(n_own)
    says = np.empty((n_scalars, 4))
    C = np.zeros((q, q))
    logp = natural_values(x, table, natural, says, C)
    for i in range(n_own, n_dim):
        logp -= 0.5 * x[i] * x[i]
        grad[i] = -x[i]
    size = q * q
    inputs = np.empty(size + n_within + s)
    outputs = np.zeros(1 + len(inputs) + table[9])
    cov = inputs[:size].reshape((q, q))
    sigma = inputs[size : size + n_within]
    for a in range(q):
        for b in range(q):
            cov[a, b] = 0.0
            for c in range(q):
                cov[a, b] += C[a, c] * C[b, c]
            cov[a, b] *= says[a, 0] / units[a] * (says[b, 0] / units[b])
    for j in range(n_within):
        sigma[j] = 1.0 / sigma_unit
        if kind != 3:
            sigma[j] *= natural[first_scale + (2 if kind == 2 else 0) + j]
    for c in range(s):
        inputs[size + n_within + c] = natural[first_coef + c]
    call_marginal(table[8], table[16], inputs.ctypes.data, outputs.ctypes.data, table[17])
    logp += outputs[0]
    if table[18] != 0:
        U = carray(as_pointer(table[18]), (table[9],), np.float64)
        U[:] = outputs[len(outputs) - table[9] :]
    d_cov = outputs[1 : 1 + size].reshape((q, q))
    d_sigma = outputs[1 + size : 1 + size + n_within]
    d_given = outputs[1 + size + n_within :]

    # cov = D C C' D, D = diag(tau / unit).
    dC = np.zeros((q, q))
    for a in range(q):
        d_log_tau = 0.0
        for b in range(q):
            d_log_tau += 2.0 * d_cov[a, b] * cov[a, b]
            scaled = 2.0 * d_cov[a, b] * says[a, 0] / units[a] * (says[b, 0] / units[b])
            for c in range(b + 1):
                dC[a, c] += scaled * C[b, c]
        grad[a] = says[a, 3] + d_log_tau * says[a, 1] / says[a, 0]
    if r > 0:
        logp += corr_gradient(x[q:first_scale], q, eta, dC, grad[q:first_scale])
    if kind < 2:
        for j in range(n_within):
            i = q + j
            grad[first_scale + j] = says[i, 3] + d_sigma[j] / sigma_unit * says[i, 1]
    elif kind == 2:
        logp += hierarchical_gradient(
            x[first_scale:],
            says[q:],
            parameters[q],
            log_residual,
            sigma,
            sigma_unit,
            d_sigma,
            grad[first_scale:],
        )
    for b in range(s):
        grad[first_coef + b] = 0.0
    for c in range(s):
        i = n_scalars - s + c
        d_t = says[i, 3] + d_given[c] * says[i, 1]
        for b in range(s):
            grad[first_coef + b] += d_t * rotation[c, b]

    out[0] = logp
    finite = np.isfinite(logp)
    for i in range(n_dim):
        finite = finite and np.isfinite(grad[i])
    return 0 if finite else 1


def _expand(n_dim, n_natural, x, natural, table_):
    """Evaluate the natural values, in the form that nutpie's `ExpandFunc` calls.

    And, as the last of them, what the companions add to the log density.
    """
    table = carray(table_, (SIZES,), np.int64)
    q = table[1]
    says, C = np.empty((table[7], 4)), np.zeros((q, q))
    unconstrained, out = carray(x, (n_dim,)), carray(natural, (n_natural,))
    n_own = n_natural - 1
    natural_values(unconstrained, table, out[:n_own], says, C)
    out[n_own] = 0.0
    for i in range(n_own, n_dim):
        out[n_own] -= 0.5 * unconstrained[i] * unconstrained[i]
    return 0


@njit(**JIT_INNER)
def natural_values(x, table, natural, says, C):
    """Fill the natural values of x and return the log prior of the univariate parameters.

    says (n_scalars, 4) is what each prior says of its parameter: natural value, its derivative,
    log density (Jacobian included), its derivative. C is the correlations' Cholesky factor.
    """
    kind, q, r, n_groups, s = table[0], table[1], table[2], table[3], table[4]
    n_scalars, width = table[7], table[5]
    log_residual = carray(as_pointer(table[13]), (n_groups, 2), np.float64)
    address = carray(as_pointer(table[11]), (n_scalars,), np.int64)
    center = carray(as_pointer(table[14]), (s,), np.float64)
    rotation = carray(as_pointer(table[15]), (s, s), np.float64)
    first_scale, first_coef = q + r, len(natural) - s
    logp = 0.0
    parameters = carray(as_pointer(table[12]), (n_scalars, width), np.float64)
    # Backwards, as the coordinate of the mean of log sigma_j depends on their sd.
    for i in range(n_scalars - 1, -1, -1):
        c = i - (n_scalars - s)
        if c < 0:
            at = i if i < q else i + r
            t = x[at]
        else:
            at = first_coef + c
            t = center[c]
            for b in range(s):
                t += rotation[c, b] * x[first_coef + b]
        if kind == 2 and i == q:
            mean, size, _, _ = mean_moments(log_residual, parameters[q], says[q + 1, 0])
            t = mean + size * t
            logp += np.log(size)
        call_prior(address[i], t, table[12] + 8 * width * i, says.ctypes.data + 32 * i)
        natural[at] = says[i, 0]
        logp += says[i, 2]
    corr_cholesky(x[q:first_scale], q, C, natural[q:first_scale])
    if kind == 2:
        mean, spread = says[q, 0], says[q + 1, 0]
        for j in range(n_groups):
            e = log_residual[j, 1]
            share = spread * spread / (spread * spread + e)
            log_sigma = share * log_residual[j, 0] + (1.0 - share) * mean
            log_sigma += np.sqrt(share * e) * x[first_scale + 2 + j]
            natural[first_scale + 2 + j] = np.exp(log_sigma)
    return logp


@njit(**JIT_INNER)
def mean_moments(log_residual, prior, spread):
    """Return mean M and sd V of the mean of log sigma_j given their sd, and derivatives.

    If the groups' own estimates l_j with variances e_j, and the prior of the mean, were all
    that is known of it: 1 / V^2 = 1 / prior[1]^2 + sum 1 / (spread^2 + e_j). The mean
    then has a coordinate that is close to an independent standard normal, even where one large
    group pins it, the more the smaller the spread. The derivatives are those of M and of log V
    in the log of the spread.
    """
    precision = 1.0 / (prior[1] * prior[1])
    total, d_precision, d_total = precision * prior[0], 0.0, 0.0
    for j in range(len(log_residual)):
        w = 1.0 / (spread * spread + log_residual[j, 1])
        dw = -2.0 * spread * spread * w * w
        precision += w
        total += w * log_residual[j, 0]
        d_precision += dw
        d_total += dw * log_residual[j, 0]
    mean = total / precision
    d_mean = (d_total - mean * d_precision) / precision
    return mean, 1.0 / np.sqrt(precision), d_mean, -0.5 * d_precision / precision


@njit(**JIT_INNER)
def hierarchical_gradient(x, says, prior, log_residual, sigma, sigma_unit, d_sigma, grad):
    """Add log sigma_j ~ Normal(mean, spread) with its gradient; return its log density.

    The mean is M + V x_0, see `mean_moments`, whose log Jacobian is added elsewhere.

    log sigma_j = E_j + S_j x_j, where E_j and S_j^2 are the mean and variance that
    log sigma_j has given (mean, spread) if its likelihood were normal about the group's own
    estimate l_j with variance e_j: a = spread^2 / (spread^2 + e_j), E_j = a l_j + (1 - a)
    mean, S_j^2 = a e_j. The x_j are then close to independent standard normals
    whether groups are large (where the centred form is good) or small (the non-centred).
    """
    mean, spread = says[0, 0], says[1, 0]
    logp = 0.0
    d_mean, d_log_spread = 0.0, 0.0
    for j in range(len(log_residual)):
        own, e = log_residual[j, 0], log_residual[j, 1]
        share = spread * spread / (spread * spread + e)
        size = np.sqrt(share * e)
        log_sigma = np.log(sigma[j] * sigma_unit)
        r = (log_sigma - mean) / spread
        logp += np.log(size / spread) - 0.5 * r * r
        d = d_sigma[j] * sigma[j] - r / spread
        d_mean += d * (1.0 - share) + r / spread
        d_log_spread += r * r - share
        d_log_spread += d * (1.0 - share) * (2.0 * share * (own - mean) + size * x[2 + j])
        grad[2 + j] = d * size
    d_mean = says[0, 3] + d_mean * says[0, 1]
    _, size, through_mean, through_size = mean_moments(log_residual, prior, spread)
    d_log_spread += d_mean * (through_mean + size * x[0] * through_size) + through_size
    grad[0] = d_mean * size
    grad[1] = says[1, 3] + d_log_spread / spread * says[1, 1]
    return logp
