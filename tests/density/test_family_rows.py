"""Rows in lanes against the families' functions of one row."""

import numpy as np
import pytest
from reference import differentiate

from skhbm._density.family_rows import in_lanes, make_family_rows
from skhbm._density.family_rows_kernel import row_by_row
from skhbm._families.table import FAMILIES
from skhbm._numba.jit import c_callback
from skhbm._numba.lanes import LANES

DISPERSION = {"negative_binomial": [(0.3,), (1e4,)], "student_t": [(0.7, 3.0), (50.0, 1e4)]}
CASES = [(name, d) for name in FAMILIES for d in DISPERSION.get(name, [()])]


def make_rows(name, reach, n=3 * LANES + 5):
    rng = np.random.default_rng(4)
    family = FAMILIES[name]
    size = {None: np.ones(n), "trials": rng.integers(1, 9, n) * 1.0}.get(family.size_name)
    size = 10 ** rng.uniform(-2, 2, n) if size is None else size
    y = np.floor(size * rng.random(n)) if family.discrete else 5 * rng.standard_normal(n)
    eta = reach * np.concatenate([[-1.0, 0.0, 1.0], rng.uniform(-1, 1, n - 3)])
    return make_family_rows(family, y, size, rng.integers(1, 4, n) * 1.0), eta


@pytest.mark.parametrize("reach", [0.01, 3.0, 40.0, 690.0])
@pytest.mark.parametrize(("name", "dispersion"), CASES)
def test_rows_in_lanes_are_rows_one_by_one(name, dispersion, reach):
    if FAMILIES[name].link == "log":
        reach = min(reach, 40.0)
    rows, eta = make_rows(name, reach)
    n = rows.n_blocks * LANES
    inputs, out = np.zeros(n + len(dispersion)), np.empty(1 + n + len(dispersion))
    inputs[: len(eta)], inputs[n:] = eta, dispersion
    table, family = rows.table(), rows.family
    function = row_by_row(family.derivatives, family.dispersion_gradient)
    callback = c_callback("void(int64, int64, int64, int64)", function)
    callback.ctypes(table.ctypes.data, inputs.ctypes.data, out.ctypes.data, 1)
    value, slope, d_dispersion = rows.derivatives(eta, np.array(dispersion))
    size = np.sum(rows.weight * np.abs(eta) * (rows.size + rows.y)) + np.abs(out[0])
    assert abs(value - out[0]) <= 1e-11 * (1 + size)
    np.testing.assert_allclose(slope, out[1 : 1 + len(eta)], rtol=1e-9, atol=1e-9)
    assert np.all(np.abs(d_dispersion - out[1 + n :]) <= 1e-8 * (1 + size))


@pytest.mark.parametrize(("name", "dispersion"), CASES)
def test_derivatives_are_differences_of_the_log_density(name, dispersion):
    rows, eta = make_rows(name, 2.0)
    value, slope, d_dispersion = rows.derivatives(eta, np.array(dispersion))

    def log_density(x):
        parts = rows.y, rows.size, x[: len(eta)], tuple(x[len(eta) :])
        return np.sum(rows.weight * rows.family.log_density(*parts))

    at = np.concatenate([eta, dispersion])
    expected, error = differentiate(log_density, at)
    found = np.concatenate([slope, d_dispersion])
    assert np.all(np.abs(found - expected) <= 5 * error)
    # Constants in eta and in the dispersion are left out.
    other = at + 0.01 * np.random.default_rng(0).standard_normal(len(at))
    moved = rows.derivatives(other[: len(eta)], other[len(eta) :])[0] - value
    assert moved == pytest.approx(log_density(other) - log_density(at), abs=1e-6)


def test_rows_are_filled_up_to_whole_blocks():
    values = np.arange(3.0 * (LANES + 1)).reshape(LANES + 1, 3)
    lanes = in_lanes(values, filled=-1.0)
    assert lanes.shape == (2, 3, LANES)
    flat = np.moveaxis(lanes, -1, 1).reshape(2 * LANES, 3)
    np.testing.assert_array_equal(flat[: LANES + 1], values)
    assert np.all(flat[LANES + 1 :] == -1.0)
