"""The quadrature at inputs far from any posterior: it has a value, or -inf, and never fails.

Compiled code checks no index. A grid whose size was computed from a number beyond all integers
once wrote where it should not.
"""

import numpy as np
import pytest

from skhbm._families.table import FAMILIES
from skhbm._likelihood.grouped_rows import GroupedRows
from skhbm._likelihood.quadrature import make_quadrature
from skhbm._posterior.effects_by_quadrature import (
    Given,
    GivenRows,
    draw_effects,
    log_group_densities,
    log_left_out,
)

N_INPUTS = 60


def rows_of(name, q, n, size, rng):
    """Return n rows, in three groups unless there is a single one."""
    starts = np.linspace(0, n, 2 if n < 3 else 4).astype(np.int64)
    x = np.column_stack([np.ones(n), rng.standard_normal(n)])
    sizes = np.full(n, size if FAMILIES[name].link == "log" else 1.0)
    if name == "binomial":
        sizes = np.full(n, max(size, 1.0))
    y = {
        "student_t": lambda: size * rng.standard_normal(n),
        "bernoulli": lambda: rng.integers(2, size=n).astype(float),
        "binomial": lambda: np.floor(rng.random(n) * (sizes + 1)),
    }.get(name, lambda: rng.poisson(size, n).astype(float))()
    return GroupedRows(y, sizes, np.ones(n), x, x[:, :q], starts)


def extreme_inputs(name, q, rng):
    """Return draws of hyperparameters, over all orders of magnitude, zero and not numbers."""
    n_dispersion = len(FAMILIES[name].dispersion)
    tau = 10.0 ** rng.uniform(-10, 10, (N_INPUTS, q, 1))
    tau[: N_INPUTS // 5] **= 10
    tau[N_INPUTS // 5 : N_INPUTS // 4] = 0.0
    L = tau * np.tril(rng.standard_normal((N_INPUTS, q, q)))
    dispersion = 10.0 ** rng.uniform(-10, 10, (N_INPUTS, n_dispersion))
    if name == "student_t":
        dispersion[:, 1] = 10.0 ** rng.uniform(-1, 8, N_INPUTS)
    dispersion[-8:] **= 15
    coefficients = rng.uniform(-50, 50, (N_INPUTS, 2))
    coefficients[-1] = np.nan
    with np.errstate(over="ignore"):
        return Given(L @ L.transpose(0, 2, 1), dispersion, coefficients)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("q", [0, 1, 2])
@pytest.mark.parametrize("name", FAMILIES)
def test_extreme_inputs_have_a_value_or_none(name, q, size):
    rng = np.random.default_rng(q)
    for n in (1, 60, 300):
        likelihood = make_quadrature(FAMILIES[name], rows_of(name, q, n, size, rng))
        for draw in zip(*extreme_inputs(name, q, rng), strict=True):
            logp, *gradient = likelihood.value_and_gradient(*draw)
            assert np.isfinite(logp) or logp == -np.inf
            assert [g.shape for g in gradient] == [part.shape for part in draw]


@pytest.mark.parametrize("q", [1, 2])
@pytest.mark.parametrize("name", FAMILIES)
def test_visits_with_extreme_inputs_come_to_an_end(name, q):
    rng = np.random.default_rng(q)
    rows = rows_of(name, q, 24, 1.0, rng)
    likelihood, given = make_quadrature(FAMILIES[name], rows), extreme_inputs(name, q, rng)
    # The constants of dispersion parameters beyond the range of doubles warn.
    given = Given(*(part[:-8] for part in given))
    codes = np.arange(3)
    assert draw_effects(likelihood, given, codes, seed=0).shape == (N_INPUTS - 8, 3, q)
    densities = log_group_densities(likelihood, given, codes)
    assert np.all(np.isfinite(densities) | (densities == -np.inf))
    single = GivenRows(*rows[:2], *rows[3:5], np.repeat(codes, np.diff(rows.starts)))
    assert log_left_out(likelihood, given, single).shape == (N_INPUTS - 8, 24)
