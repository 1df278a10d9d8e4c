"""Effects of three factors, whatever the order of their sizes, against the dense normal."""

import numpy as np
import pytest
from random_parts import random_codes
from reference import dense_covariance

from skhbm import HierarchicalNormalRegressor, Prior

PRIORS = {
    "intercept": Prior("Normal", mu=1, sigma=1),
    **{f"tau_group{f}": Prior("HalfNormal", sigma=1) for f in range(3)},
    "sigma": Prior("HalfNormal", sigma=1),
}


@pytest.mark.parametrize("sizes", [(4, 5, 9), (9, 4, 5), (4, 4, 9), (5, 9, 4)], ids=str)
def test_effects_are_those_of_the_dense_normal(sizes):
    rng = np.random.default_rng(3)
    codes = random_codes(rng, 60, *sizes)
    y = 1.0 + 0.5 * rng.standard_normal(len(codes))
    for code, size in zip(codes.T, sizes, strict=True):
        y += np.linspace(-1, 1, size)[code]
    model = HierarchicalNormalRegressor(
        priors=PRIORS, solver="laplace", draws=200, random_state=0
    ).fit(None, y, groups=codes)
    posterior = model.posterior_["posterior"].to_dataset()
    means = list(conditional_means(posterior, codes, y))
    for f, size in enumerate(sizes):
        effects = posterior[f"effect_group{f}"].to_numpy().reshape(-1, size)
        expected = np.mean([part[f] for part in means], axis=0)
        sd = effects.std(axis=0)
        found = model.group_intercept_[f"group{f}"] - model.intercept_
        assert np.all(np.abs(found - expected) <= 0.05 * sd)
        # 5 Monte Carlo errors, at an effective sample size of half the draws.
        error = sd * np.sqrt(2 / len(effects))
        assert np.all(np.abs(effects.mean(axis=0) - expected) <= 5 * error)


def conditional_means(posterior, codes, y):
    """Yield the means of all effects given the scales of each draw."""
    tau = np.stack([posterior[f"tau_group{f}"].to_numpy().ravel() for f in range(3)], axis=1)
    sigma, ones = posterior["sigma"].to_numpy().ravel(), np.ones((len(y), 1))
    for t, s in zip(tau, sigma, strict=True):
        # The prior of the intercept has mean 1 and variance 1.
        cov = np.ones((len(y), len(y))) + s**2 * np.eye(len(y))
        for f in range(3):
            one = np.array([[t[f] ** 2]])
            cov += dense_covariance(ones, codes[:, f], one, np.zeros(len(y)))
        weighted = np.linalg.solve(cov, y - 1.0)
        yield [t[f] ** 2 * np.bincount(codes[:, f], weighted) for f in range(3)]
