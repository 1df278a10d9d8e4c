"""Log densities of rows and their derivatives in predictors, as C callbacks."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numba import carray

from skhbm._numba.jit import JIT_INNER, c_callback, njit
from skhbm._numba.pointers import as_pointer
from skhbm._numba.records import fields

__all__ = ["ROWS", "rows_callback"]

#: What the callbacks read.
ROWS = fields("n_rows", "n_dispersion", "y", "size", "weight", "kind")


@cache
def rows_callback(name: str) -> Any:
    return c_callback("void(int64, int64, int64, int64)", _rows)


@njit(**JIT_INNER)
def binomial(y, size, eta, d):
    e = np.exp(-abs(eta))
    p = 1.0 / (1.0 + e) if eta >= 0 else e / (1.0 + e)
    value = y * eta - size * (max(eta, 0.0) + np.log1p(e))
    return value, y - size * p, -size * p * (1.0 - p)


@njit(**JIT_INNER)
def poisson(y, size, eta, d):
    mu = size * np.exp(eta)
    return y * eta - mu, y - mu, -mu


@njit(**JIT_INNER)
def negative_binomial(y, size, eta, d):
    mu, alpha = size * np.exp(eta), d[0]
    value = (
        math.lgamma(y + alpha)
        - math.lgamma(alpha)
        + alpha * np.log(alpha / (alpha + mu))
        + y * (eta + np.log(size) - np.log(alpha + mu))
    )
    s = alpha + mu
    return value, alpha * (y - mu) / s, -alpha * mu * (y + alpha) / (s * s)


@njit(**JIT_INNER)
def digamma(x):
    out = 0.0
    while x < 10.0:
        out -= 1.0 / x
        x += 1.0
    f = 1.0 / (x * x)
    return (
        out
        + np.log(x)
        - 0.5 / x
        - f * (1 / 12 - f * (1 / 120 - f * (1 / 252 - f * (1 / 240 - f / 132))))
    )


@njit(**JIT_INNER)
def negative_binomial_d(y, size, eta, d, out):
    mu, a = size * np.exp(eta), d[0]
    out[0] = (
        digamma(y + a) - digamma(a) + np.log(a / (a + mu)) + 1.0 - (a + y) / (a + mu)
    )


@njit(**JIT_INNER)
def student_t(y, size, eta, d):
    sigma, nu = d[0], d[1]
    r = (y - eta) / sigma
    q = r * r / nu
    value = (
        math.lgamma(0.5 * (nu + 1.0))
        - math.lgamma(0.5 * nu)
        - 0.5 * np.log(nu)
        - np.log(sigma)
        - 0.5 * (nu + 1.0) * np.log1p(q)
    )
    c = (nu + 1.0) / nu / (1.0 + q) / sigma
    return value, c * r, -c / sigma * (1.0 - q) / (1.0 + q)


@njit(**JIT_INNER)
def student_t_d(y, size, eta, d, out):
    sigma, nu = d[0], d[1]
    r = (y - eta) / sigma
    q = r * r / nu
    out[0] = -1.0 / sigma + (nu + 1.0) * q / (1.0 + q) / sigma
    out[1] = (
        0.5 * digamma(0.5 * (nu + 1.0))
        - 0.5 * digamma(0.5 * nu)
        - 0.5 / nu
        - 0.5 * np.log1p(q)
        + 0.5 * (nu + 1.0) * q / (1.0 + q) / nu
    )


KINDS = {
    "bernoulli": (0, 0),
    "binomial": (0, 0),
    "poisson": (1, 0),
    "negative_binomial": (2, 1),
    "student_t": (3, 2),
}


def _rows(table_, inputs_, outputs_, with_gradient):
    """Sum log densities of rows and fill derivatives in the inputs.

    Inputs are predictors and dispersion parameters.
    """
    t = carray(as_pointer(table_), (1,), ROWS)[0]
    n, m = t.n_rows, t.n_dispersion
    inputs = carray(as_pointer(inputs_), (n + m,), np.float64)
    out = carray(as_pointer(outputs_), (1 + n + m,), np.float64)
    eta, d = inputs[:n], inputs[n:]
    d_eta, d_d = out[1 : 1 + n], out[1 + n :]
    y = carray(as_pointer(t.y), (n,), np.float64)
    size = carray(as_pointer(t.size), (n,), np.float64)
    weight = carray(as_pointer(t.weight), (n,), np.float64)
    logp = 0.0
    d_d[:] = 0.0
    row = np.empty(m)
    if t.kind == 0:
        for i in range(n):
            v, g, _ = binomial(y[i], size[i], eta[i], d)
            logp += weight[i] * v
            d_eta[i] = weight[i] * g
    elif t.kind == 1:
        for i in range(n):
            v, g, _ = poisson(y[i], size[i], eta[i], d)
            logp += weight[i] * v
            d_eta[i] = weight[i] * g
    elif t.kind == 2:
        for i in range(n):
            v, g, _ = negative_binomial(y[i], size[i], eta[i], d)
            logp += weight[i] * v
            d_eta[i] = weight[i] * g
            negative_binomial_d(y[i], size[i], eta[i], d, row)
            d_d[0] += weight[i] * row[0]
    elif t.kind == 3:
        for i in range(n):
            v, g, _ = student_t(y[i], size[i], eta[i], d)
            logp += weight[i] * v
            d_eta[i] = weight[i] * g
            student_t_d(y[i], size[i], eta[i], d, row)
            d_d[0] += weight[i] * row[0]
            d_d[1] += weight[i] * row[1]
    out[0] = logp
