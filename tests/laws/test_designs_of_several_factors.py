"""Odd designs of several factors, whose predictions are compared with the dense normal.

Given the scales of a draw, coefficients and effects are normal. With few draws all of them are
nodes (`skhbm._posterior.nodes`), so that predictions are averages over the draws in
`posterior_`, to rounding.
"""

import pickle

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS
from structures import EXPLICIT, draws_of_several_factors

from skhbm import HierarchicalNormalRegressor
from skhbm._posterior import factors_at_nodes

pytestmark = [
    *FEW_DRAWS,
    pytest.mark.filterwarnings("ignore:Pareto k:sklearn.exceptions.ConvergenceWarning"),
]

N = 40
RNG = np.random.default_rng(17)
A, B, C = (RNG.integers(0, k, N) for k in (5, 4, 3))
X = RNG.standard_normal((N, 2))
NOISE = 0.5 * RNG.standard_normal(N)
TWO = np.arange(N) % 2, np.arange(N) // 2 % 2

#: Features and codes of each factor.
DESIGNS = {
    "two levels": (X, TWO),
    "one huge level": (X, (np.where(np.arange(N) < 37, 0, np.arange(N)), B)),
    "nested in two": (X, (A, B, 4 * A + B)),
    "nested in one": (X, (A, 2 * A + TWO[0], B)),
    "disconnected": (X, (4 * TWO[0] + A % 2, 4 * TWO[0] + B)),
    "a level for almost each row": (X, (np.minimum(np.arange(N), N - 4), B)),
    "almost twice the same": (X, (A, np.where(np.arange(N) == 0, (A + 1) % 5, A))),
    "four factors": (X, (A, B, C, TWO[0])),
    "rank-deficient features": (X[:, [0, 0, 1]] @ [[1, 0, 0], [0, 1, 1], [0, 0, 1]], (A, B)),
    "more features than rows": (RNG.standard_normal((N, N + 5)), (A, B)),
}


def simulate(name):
    """Return features, responses and codes of the factors (N, n_factors)."""
    features, codes = DESIGNS[name]
    y = 2 + X[:, 0] + NOISE
    for code in codes:
        y = y + np.random.default_rng(3).standard_normal(N)[code]
    return features, y, np.column_stack(codes)


def fit(features, y, codes, **parameters):
    settings = {"solver": "laplace", "draws": 50, "chains": 2, "random_state": 0}
    model = HierarchicalNormalRegressor(priors=EXPLICIT, **{**settings, **parameters})
    return model.fit(features, y, groups=pd.DataFrame(codes).add_prefix("f"))


def predictions(model, features, y, codes):
    """Return means and variances of new responses in the rows of fit, from the dense normal."""
    means, variances = [], []
    for _, draw in draws_of_several_factors(model):
        mean, cov = draw.marginal("intercepts", features, codes)
        noise = draw.sigma[0] ** 2
        # Of the fitted values f = y - e: E[e | y] = s^2 V^-1 (y - mean).
        precision = np.linalg.inv(cov)
        means.append(y - noise * precision @ (y - mean))
        variances.append(2 * noise - noise**2 * np.diag(precision))
    means = np.array(means)
    return means.mean(axis=0), np.mean(variances, axis=0) + means.var(axis=0)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("solver", ["laplace", "nuts"])
@pytest.mark.parametrize("name", DESIGNS)
def test_predictions_are_those_of_the_dense_normal(name, solver):
    features, y, codes = simulate(name)
    model = fit(features, y, codes, solver=solver, tune=50)
    mean, variance = predictions(model, features, y, codes)
    groups = pd.DataFrame(codes).add_prefix("f")
    actual, std = model.predict(features, groups, return_std=True)
    np.testing.assert_allclose(actual, mean, rtol=1e-7, atol=1e-7 * np.std(y))
    np.testing.assert_allclose(std**2, variance, rtol=1e-6)
    covariance = model.predict(features, groups, return_cov=True)[1]
    np.testing.assert_allclose(np.diag(covariance), variance, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("solver", ["laplace", "nuts"])
def test_a_perfect_additive_fit_is_found(solver):
    """Effects and coefficients explain all; the residual scale is rounding."""
    features, _, codes = simulate("nested in one")
    effects = [np.linspace(-1, 1, 10)[code] for code in codes.T]
    y = 2 + features[:, 0] + sum(effects)
    model = fit(features, y, codes, solver=solver)
    groups = pd.DataFrame(codes).add_prefix("f")
    mean, std = model.predict(features, groups, return_std=True)
    assert np.all(np.abs(mean - y) <= 1e-3)
    assert np.all(std <= 1e-2)
    assert np.all(np.isfinite(model.posterior_["posterior"]["effect_f0"]))


@pytest.mark.parametrize("name", ["nested in two", "four factors"])
def test_the_order_of_factors_does_not_matter(name):
    """Given the same scales; those that are drawn agree within Monte Carlo error."""
    features, y, codes = simulate(name)
    model = fit(features, y, codes, draws=1000)
    other = fit(features, y, codes[:, ::-1], draws=1000)
    for f in range(codes.shape[1]):
        ours = model.posterior_["posterior"][f"tau_f{f}"].to_numpy()
        theirs = other.posterior_["posterior"][f"tau_f{codes.shape[1] - 1 - f}"].to_numpy()
        spread = np.hypot(ours.std(), theirs.std())
        n = min(model.diagnostics_["min_ess"], other.diagnostics_["min_ess"])
        assert abs(ours.mean() - theirs.mean()) <= 5 * spread / np.sqrt(n)
    means = [
        m.predict(features, pd.DataFrame(c).add_prefix("f"), return_std=True)
        for m, c in ((model, codes), (other, codes[:, ::-1]))
    ]
    (mean, std), (other_mean, other_std) = means
    assert np.all(np.abs(mean - other_mean) <= 5 * std * np.sqrt(2 / n))
    np.testing.assert_allclose(std, other_std, rtol=5 / np.sqrt(n))


def test_the_order_of_rows_does_not_matter():
    features, y, codes = simulate("nested in two")
    order = np.random.default_rng(1).permutation(N)
    first, other = fit(features, y, codes), fit(features[order], y[order], codes[order])
    for name, draws in first.posterior_["posterior"].data_vars.items():
        np.testing.assert_allclose(
            other.posterior_["posterior"][name], draws, rtol=1e-6, atol=1e-8
        )


def test_a_weight_is_a_number_of_rows():
    features, y, codes = simulate("four factors")
    weight = np.random.default_rng(2).integers(1, 4, N)
    groups = pd.DataFrame(codes).add_prefix("f")
    repeated = np.repeat(np.arange(N), weight)
    first = fit(features[repeated], y[repeated], codes[repeated])
    other = HierarchicalNormalRegressor(**first.get_params())
    other.fit(features, y, groups=groups, sample_weight=weight)
    for name, draws in first.posterior_["posterior"].data_vars.items():
        np.testing.assert_allclose(
            other.posterior_["posterior"][name], draws, rtol=1e-6, atol=1e-8
        )


@pytest.mark.parametrize("solver", ["laplace", "nuts"])
def test_numbers_of_threads_do_not_change_a_digit(solver, monkeypatch):
    features, y, codes = simulate("nested in two")
    groups = pd.DataFrame(codes).add_prefix("f")
    found = []
    for n in (1, 2):
        monkeypatch.setattr(factors_at_nodes, "THREADS", n)
        model = fit(features, y, codes, solver=solver, n_jobs=n)
        asked = {"X": features, "groups": groups}
        found.append(
            [
                *model.predict(**asked, return_cov=True),
                model.predict(**asked, return_std=True)[1],
                model.predict_interval(**asked),
                *model.posterior_["posterior"].to_dataset().data_vars.values(),
            ]
        )
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_residual_scales_by_group_are_refused():
    features, y, codes = simulate("two levels")
    with pytest.raises(ValueError, match=r"is for one grouping factor. Got 2: \['f0', 'f1'\]"):
        HierarchicalNormalRegressor(residual_scale="by_group").fit(
            features, y, groups=pd.DataFrame(codes).add_prefix("f")
        )


def test_copies_hold_no_draws_of_effects(tmp_path):
    """They would take 8 bytes for each draw of each of 1500 effects."""
    rng = np.random.default_rng(0)
    codes = np.column_stack([rng.permutation(np.arange(3000) % k) for k in (1000, 500)])
    y = rng.standard_normal(1000)[codes[:, 0]] + rng.standard_normal(3000)
    model = fit(None, y, codes, draws=500, chains=4)
    model.predict(None, pd.DataFrame(codes).add_prefix("f"), return_std=True)
    of_effects = 8 * 2000 * 1500
    assert model.posterior_["posterior"]["effect_f0"].nbytes > of_effects / 2
    assert len(pickle.dumps(model)) < of_effects / 20
    path = tmp_path / "model.skhbm"
    model.save(path)
    assert path.stat().st_size < of_effects / 20
