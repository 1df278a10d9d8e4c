"""Coordinates of standard deviations between groups, near zero and far above."""

import numpy as np
import pytest
from reference import differentiate

from skhbm import HierarchicalNormalRegressor, Prior
from skhbm._density.spreads import log_of_spread

RNG = np.random.default_rng(0)
GROUPS = np.repeat(np.arange(8), 10)
Y = RNG.standard_normal(8)[GROUPS] + RNG.standard_normal(80)


@pytest.mark.parametrize("z", [-30.0, -3.0, -0.1, 0.0, 2.0, 45.0])
def test_derivatives_of_the_coordinate_are_its_differences(z):
    log_tau, slope, curvature = log_of_spread.function(z, 0.5)
    expected, error = differentiate(
        lambda x: log_of_spread.function(x[0], 0.5)[0], np.array([z])
    )
    assert abs(slope - expected[0]) <= 5 * error[0]
    expected, error = differentiate(
        lambda x: np.log(log_of_spread.function(x[0], 0.5)[1]), np.array([z])
    )
    assert abs(curvature - expected[0]) <= 5 * error[0]
    assert log_tau <= z


def test_without_an_elbow_the_coordinate_is_the_log():
    assert log_of_spread.function(-700.0, -np.inf) == (-700.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("prior", "quantiles"),
    [
        (Prior("HalfNormal", sigma=1e-9), [0.1257e-9, 0.6745e-9, 1.6449e-9]),
        (Prior("Exponential", lam=1e8), [0.1054e-8, 0.6931e-8, 2.3026e-8]),
        (Prior("LogNormal", mu=-20.0, sigma=0.1), np.exp([-20.1282, -20.0, -19.8718])),
    ],
    ids=["HalfNormal", "Exponential", "LogNormal"],
)
def test_scales_that_only_their_prior_knows_have_its_quantiles(prior, quantiles):
    """The 10, 50 and 90 % quantiles; far below what the data can tell from zero."""
    model = HierarchicalNormalRegressor(random_state=0, priors={"tau": prior})
    tau = model.fit(None, Y, groups=GROUPS).posterior_["posterior"]["tau_group"].to_numpy()
    for p, expected in zip((0.1, 0.5, 0.9), quantiles, strict=True):
        below = np.mean(tau <= expected)
        assert abs(below - p) <= 5 * np.sqrt(p * (1 - p) / model.diagnostics_["min_ess"])
