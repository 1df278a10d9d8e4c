"""Log densities of all rows and their derivatives, as C callbacks: in lanes, or row by row.

A callback is called as a marginal likelihood is: see `skhbm._likelihood.interface`. Inputs are
the predictors of rows, filled up to whole blocks of `LANES`, and the dispersion parameters.
Outputs are the log density and its derivatives in the inputs, which are filled in whether asked
for or not. Rows that fill up blocks have weight 0.
Families whose names are in `IN_LANES` have a callback of their own; others are done row by row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from skhbm._families.negative_binomial import NEGATIVE_BINOMIAL
from skhbm._families.student_t import STUDENT_T
from skhbm._numba.elementary import exp, log
from skhbm._numba.jit import JIT_INNER, njit
from skhbm._numba.lanes import LANES, at_least, load, splat, store, total
from skhbm._numba.pointers import as_pointer
from skhbm._numba.records import fields

__all__ = ["IN_LANES", "ROWS", "row_by_row"]

#: What the callbacks read: y, size and weight (n_blocks, LANES), and `counts` (n_values,), the
#: weights of rows that share `values` (n_values,) of y.
ROWS = fields(
    *("n_blocks", "n_dispersion", "n_values", "y", "size", "weight", "values", "counts")
)

#: Times this a positive predictor is at least 1, unless its exponential is 1.
HUGE = 1e18

COUNT_REST, COUNT_REST_SLOPE = NEGATIVE_BINOMIAL.rest, NEGATIVE_BINOMIAL.rest_gradient
T_REST, T_REST_SLOPE = STUDENT_T.rest, STUDENT_T.rest_gradient


@njit(**JIT_INNER)
def blocks_of(table, inputs_, outputs_):
    """Return y, size, weight, predictors, and where their derivatives go, in lanes."""
    shape = table.n_blocks, LANES
    return (
        carray(as_pointer(table.y), shape, np.float64),
        carray(as_pointer(table.size), shape, np.float64),
        carray(as_pointer(table.weight), shape, np.float64),
        carray(as_pointer(inputs_), shape, np.float64),
        carray(as_pointer(outputs_ + 8), shape, np.float64),
    )


@njit(**JIT_INNER)
def rest_of(table, inputs_, outputs_):
    """Return the dispersion parameters, where their derivatives go, values and counts."""
    n, m, n_values = table.n_blocks * LANES, table.n_dispersion, table.n_values
    return (
        carray(as_pointer(inputs_ + 8 * n), (m,), np.float64),
        carray(as_pointer(outputs_ + 8 * (n + 1)), (m,), np.float64),
        carray(as_pointer(table.values), (n_values,), np.float64),
        carray(as_pointer(table.counts), (n_values,), np.float64),
    )


def _logit(table_, inputs_, outputs_, with_gradient):  # noqa: ARG001  # as it is called
    """Fill in what successes among trials say, with the logit link."""
    table = carray(as_pointer(table_), (1,), ROWS)[0]
    y, size, weight, eta, d_eta = blocks_of(table, inputs_, outputs_)
    logp = splat(0.0)
    for b in range(table.n_blocks):
        x, events, trials = load(eta, (b,)), load(y, (b,)), load(size, (b,))
        w, e = load(weight, (b,)), exp(at_least(x, x * -1.0) * -1.0)
        positive = at_least(x, splat(0.0))
        # log(1 + exp(x)) is that of e = exp(-|x|), and x where this is positive.
        logp += w * (events * x - trials * (positive + log(e + 1.0)))
        # The probability is 1 / (1 + e) where x is positive, e / (1 + e) where it is not.
        sign = at_least(positive * -HUGE, splat(-1.0)) * -1.0
        store(d_eta, (b,), w * (events - trials * (at_least(e, sign) / (e + 1.0))))
    carray(as_pointer(outputs_), (1,), np.float64)[0] = total(logp)


def _poisson(table_, inputs_, outputs_, with_gradient):  # noqa: ARG001  # as it is called
    """Fill in what counts say whose variance is their mean."""
    table = carray(as_pointer(table_), (1,), ROWS)[0]
    y, size, weight, eta, d_eta = blocks_of(table, inputs_, outputs_)
    logp = splat(0.0)
    for b in range(table.n_blocks):
        x, count, w = load(eta, (b,)), load(y, (b,)), load(weight, (b,))
        mean = load(size, (b,)) * exp(x)
        logp += w * (count * x - mean)
        store(d_eta, (b,), w * (count - mean))
    carray(as_pointer(outputs_), (1,), np.float64)[0] = total(logp)


def _negative_binomial(table_, inputs_, outputs_, with_gradient):  # noqa: ARG001  # as it is called
    """Fill in what counts say whose variance is larger than their mean."""
    table = carray(as_pointer(table_), (1,), ROWS)[0]
    y, size, weight, eta, d_eta = blocks_of(table, inputs_, outputs_)
    dispersion, d_dispersion, values, counts = rest_of(table, inputs_, outputs_)
    alpha = dispersion[0]
    logp, slope = splat(0.0), splat(0.0)
    for b in range(table.n_blocks):
        x, count, w = load(eta, (b,)), load(y, (b,)), load(weight, (b,))
        ratio = load(size, (b,)) * exp(x) / alpha
        left, log_ratio = 1.0 / (ratio + 1.0), log(ratio + 1.0)
        logp += w * (count * x - (count + alpha) * log_ratio)
        store(d_eta, (b,), w * (left * (count - ratio * alpha)))
        slope += w * (ratio * left * (count / alpha + 1.0) - log_ratio)
    of_all, d_all, of_value = total(logp), total(slope), np.empty(1)
    for i in range(len(values)):
        of_all += counts[i] * COUNT_REST(values[i], 1.0, dispersion)
        COUNT_REST_SLOPE(values[i], 1.0, dispersion, of_value)
        d_all += counts[i] * of_value[0]
    carray(as_pointer(outputs_), (1,), np.float64)[0] = of_all
    d_dispersion[0] = d_all


def _student_t(table_, inputs_, outputs_, with_gradient):  # noqa: ARG001  # as it is called
    """Fill in what values with outliers say."""
    table = carray(as_pointer(table_), (1,), ROWS)[0]
    y, _, weight, eta, d_eta = blocks_of(table, inputs_, outputs_)
    dispersion, d_dispersion, _, counts = rest_of(table, inputs_, outputs_)
    sigma, nu = dispersion
    logs, shares = splat(0.0), splat(0.0)
    for b in range(table.n_blocks):
        z, w = (load(y, (b,)) - load(eta, (b,))) / sigma, load(weight, (b,))
        squared = z * z / nu
        near = 1.0 / (squared + 1.0)
        logs += w * log(squared + 1.0)
        shares += w * (squared * near)
        store(d_eta, (b,), w * (near * z) * ((1.0 + 1.0 / nu) / sigma))
    log_total, share, n, of_value = total(logs), total(shares), np.sum(counts), np.empty(2)
    logp = n * T_REST(0.0, 1.0, dispersion) - 0.5 * (nu + 1.0) * log_total
    carray(as_pointer(outputs_), (1,), np.float64)[0] = logp
    T_REST_SLOPE(0.0, 1.0, dispersion, of_value)
    d_dispersion[0] = n * of_value[0] + (nu + 1.0) * share / sigma
    d_dispersion[1] = n * of_value[1] + 0.5 * (share + share / nu - log_total)


#: The callbacks in lanes, by name of the family.
IN_LANES = {
    "bernoulli": _logit,
    "binomial": _logit,
    "poisson": _poisson,
    "negative_binomial": _negative_binomial,
    "student_t": _student_t,
}


def row_by_row(derivatives: Any, dispersion_gradient: Any) -> Any:
    """Return the callback of a family, given its functions of one row.

    numba looks compiled code up by the names of these: see `skhbm._numba.jit.Kernel`.
    """

    def rows(table_, inputs_, outputs_, with_gradient):  # noqa: ARG001  # as it is called
        table = carray(as_pointer(table_), (1,), ROWS)[0]
        n, m = table.n_blocks * LANES, table.n_dispersion
        y, size, weight, eta, d_eta = blocks_of(table, inputs_, outputs_)
        dispersion, d_dispersion, _, _ = rest_of(table, inputs_, outputs_)
        of_row, logp = np.empty(m), 0.0
        d_dispersion[:] = 0.0
        for i in range(n):
            b, l = i // LANES, i % LANES
            d_eta[b, l] = 0.0
            if weight[b, l] > 0.0:
                row = y[b, l], size[b, l], eta[b, l]
                value, slope, _ = derivatives(*row, dispersion)
                logp += weight[b, l] * value
                d_eta[b, l] = weight[b, l] * slope
                if m > 0:
                    dispersion_gradient(*row, dispersion, of_row)
                    d_dispersion += weight[b, l] * of_row
        carray(as_pointer(outputs_), (1,), np.float64)[0] = logp

    return rows
