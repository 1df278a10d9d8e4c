"""Residual scales by group under the hierarchical prior: coordinates and density, in numba."""

from __future__ import annotations

import numpy as np
from numba import carray

from skhbm._numba.jit import JIT_INNER, njit
from skhbm._numba.pointers import as_pointer

__all__ = [
    "FIRST_GROUP",
    "LOG_RESIDUAL",
    "MEAN",
    "SPREAD",
    "group_scales",
    "hierarchical_gradient",
    "mean_moments",
]

#: Positions of the parameters of hierarchical residual scales, from the first of them.
MEAN, SPREAD, FIRST_GROUP = 0, 1, 2
#: Positions of the parameters of a normal prior, which are in the order of their names.
MU, SIGMA = 0, 1
#: A group's own estimate of its log residual scale, and the variance of the estimate.
LOG_RESIDUAL = np.dtype([(name, np.float64) for name in ("estimate", "variance")])


@njit(**JIT_INNER)
def group_scales(log_residual, scalars, x, natural):
    """Fill the groups' hierarchical residual scales; see `hierarchical_gradient`.

    All but log_residual begin with the parameters of the residual scales.
    """
    mean, spread = scalars[MEAN].value, scalars[SPREAD].value
    for j in range(len(log_residual)):
        e = log_residual[j].variance
        share = spread * spread / (spread * spread + e)
        log_sigma = share * log_residual[j].estimate + (1.0 - share) * mean
        log_sigma += np.sqrt(share * e) * x[FIRST_GROUP + j]
        natural[FIRST_GROUP + j] = np.exp(log_sigma)


@njit(**JIT_INNER)
def mean_moments(log_residual, prior, spread):
    """Return mean M and sd V of the mean of log sigma_j given their sd, and derivatives.

    They are the moments of the mean if there were nothing but its prior, with sd p, and the
    groups' estimates l_j with variances e_j: 1 / V^2 = 1 / p^2 + sum 1 / (spread^2 + e_j). The
    mean then has a coordinate that is close to an independent standard normal, even where one
    large group pins it, the more the smaller the spread. The derivatives are in the log of the
    spread, of M and of log V.
    """
    precision = 1.0 / (prior[SIGMA] * prior[SIGMA])
    total, d_precision, d_total = precision * prior[MU], 0.0, 0.0
    for j in range(len(log_residual)):
        w = 1.0 / (spread * spread + log_residual[j].variance)
        dw = -2.0 * spread * spread * w * w
        precision += w
        total += w * log_residual[j].estimate
        d_precision += dw
        d_total += dw * log_residual[j].estimate
    mean = total / precision
    d_mean = (d_total - mean * d_precision) / precision
    return mean, 1.0 / np.sqrt(precision), d_mean, -0.5 * d_precision / precision


@njit(**JIT_INNER)
def hierarchical_gradient(table, x, scalars, sigma, d_sigma, grad):
    """Add log sigma_j ~ Normal(mean, spread) with its gradient; return its log density.

    The mean is M + V x_0, see `mean_moments`; `natural_values` adds its log Jacobian.

    log sigma_j = E_j + S_j x_j, where E_j and S_j^2 are the mean and variance that
    log sigma_j has given (mean, spread) if its likelihood were normal about the group's own
    estimate l_j with variance e_j: a = spread^2 / (spread^2 + e_j), E_j = a l_j + (1 - a)
    mean, S_j^2 = a e_j. The x_j are then close to independent standard normals whether groups
    are large (where the centred form is good) or small (where the non-centred form is).
    """
    log_residual = carray(as_pointer(table.log_residual), (table.n_groups,), LOG_RESIDUAL)
    shape = (table.n_scalars, table.n_parameters)
    parameters = carray(as_pointer(table.parameters), shape, np.float64)
    mean, spread = scalars[MEAN].value, scalars[SPREAD].value
    logp = 0.0
    d_mean, d_log_spread = 0.0, 0.0
    for j in range(len(log_residual)):
        estimate, e = log_residual[j].estimate, log_residual[j].variance
        share = spread * spread / (spread * spread + e)
        size = np.sqrt(share * e)
        log_sigma = np.log(sigma[j] * table.response_unit)
        r = (log_sigma - mean) / spread
        logp += np.log(size / spread) - 0.5 * r * r
        d = d_sigma[j] * sigma[j] - r / spread
        d_mean += d * (1.0 - share) + r / spread
        d_log_spread += r * r - share
        through_share = 2.0 * share * (estimate - mean) + size * x[FIRST_GROUP + j]
        d_log_spread += d * (1.0 - share) * through_share
        grad[FIRST_GROUP + j] = d * size
    d_mean = scalars[MEAN].gradient + d_mean * scalars[MEAN].derivative
    prior = parameters[table.n_tau + MEAN]
    _, size, through_mean, through_size = mean_moments(log_residual, prior, spread)
    d_log_spread += d_mean * (through_mean + size * x[MEAN] * through_size) + through_size
    grad[MEAN] = d_mean * size
    d_spread = d_log_spread / spread
    grad[SPREAD] = scalars[SPREAD].gradient + d_spread * scalars[SPREAD].derivative
    return logp
