"""A shift of the features changes nothing but what is said of x = 0.

Default priors hold at the means of the features. The density of what is sampled is then the
same to rounding, and so are draws wherever chains do not magnify rounding: of one slope, and of
`solver="laplace"`. Other chains part in time, and agree to Monte Carlo error.
"""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from internals import build, evaluate_density
from marks import FEW_DRAWS
from reference import Structure, make_table, mcse

from skhbm import HierarchicalNormalRegressor, Prior

pytestmark = [
    *FEW_DRAWS,
    pytest.mark.filterwarnings("ignore:Pareto k is above:UserWarning"),
]

N_GROUPS = 12
SHIFTS = [1.0, -37.5, 1e4]
ONE_FACTOR = {
    "a slope": {"varying_slopes": [0]},
    "two slopes": {"varying_slopes": "all"},
    "independent": {"varying_slopes": "all", "correlated": False},
    "by group": {"varying_slopes": [0], "residual_scale": "by_group"},
    "known errors": {"varying_slopes": [0], "residual_scale": "known"},
    "a prior of the slopes": {
        "varying_slopes": [0], "priors": {"tau": {"x0": Prior("HalfNormal", sigma=2)}},
    },
}  # fmt: skip
FEW = {"draws": 150, "tune": 150}


class Rows:
    """Rows of groups, and of towns that cross with them."""

    def __init__(self):
        rng = np.random.default_rng(7)
        self.groups = np.repeat(np.arange(N_GROUPS), 10)
        self.towns = rng.integers(0, 6, len(self.groups))
        self.X = rng.standard_normal((len(self.groups), 2)) * [1.0, 2.0]
        slopes = rng.normal([1.0, -0.5], 0.5, size=(N_GROUPS, 2))
        self.y = 3 + rng.standard_normal(N_GROUPS)[self.groups]
        self.y += np.sum(slopes[self.groups] * self.X, axis=1)
        self.y += 0.5 * rng.standard_normal(6)[self.towns]
        self.errors = np.exp(rng.normal(-0.5, 0.3, len(self.y)))
        self.y += self.errors * rng.standard_normal(len(self.y))

    def fit(self, shift=0.0, groups=None, **parameters):
        known = parameters.get("residual_scale") == "known"
        model = HierarchicalNormalRegressor(random_state=1, **{**FEW, **parameters})
        groups = self.groups if groups is None else groups
        errors = self.errors if known else None
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Slopes of")
            return model.fit(self.X + shift, self.y, groups=groups, y_err=errors)


@pytest.fixture(scope="module")
def rows():
    return Rows()


def answers(model, rows, shift, labels):
    """What does not refer to x = 0, by name; new groups have labels that were not seen."""
    X, new = rows.X[:20] + shift, [99] * 20
    table = model.shrinkage_.query("coefficient != 'intercept'")
    errors = rows.errors if model.residual_scale == "known" else None
    out = {
        "group slopes": table["partial_pooling"],
        "sds of group slopes": table["sd"],
        "no pooling": table["no_pooling"].fillna(0.0),
        "pooling": table["pooling"],
        "coef": model.coef_,
        "partition": model.variance_partition_,
        "R^2": model.bayesian_r2_,
        "interval": model.predict_interval(X[:3], groups=labels[:3]),
        "draws": model.sample_y(X[:3], groups=labels[:3], n_samples=2),
        "loo": model.loo(rows.X + shift, rows.y, groups=labels, y_err=errors).elpd_i,
    }
    for name, at in (
        ("known", labels[:20]),
        ("new", np.reshape(new * labels[0].size, labels[:20].shape)),
    ):
        out[name], out[f"{name} sd"] = model.predict(X, groups=at, return_std=True)
    if model.residual_scale != "known":
        out["sigma"] = model.residual_scale_
    return {name: np.asarray(value, dtype=float) for name, value in out.items()}


def assert_same_answers(model, other, rows, shift, labels, rtol):
    expected, actual = answers(model, rows, 0.0, labels), answers(other, rows, shift, labels)
    for name, value in expected.items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(
            actual[name], value, rtol=rtol, atol=rtol * scale, err_msg=name
        )


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("structure", ONE_FACTOR)
def test_importance_sampling_does_not_see_a_shift(rows, structure, shift):
    parameters = {**ONE_FACTOR[structure], "solver": "laplace"}
    model, shifted = rows.fit(**parameters), rows.fit(shift, **parameters)
    rtol = 1e-9 if abs(shift) < 1e3 else 1e-6
    assert_same_answers(model, shifted, rows, shift, rows.groups, rtol)
    assert shifted.diagnostics_["min_ess"] == pytest.approx(model.diagnostics_["min_ess"])


@pytest.mark.parametrize("shift", SHIFTS)
def test_chains_do_not_see_a_shift(rows, shift):
    """But for what rounding grows to in NUTS. With correlations chains part."""
    parameters = {"varying_slopes": [0], "correlated": False}
    model, shifted = rows.fit(**parameters), rows.fit(shift, **parameters)
    assert_same_answers(model, shifted, rows, shift, rows.groups, 1e-6)
    for name in ("max_rhat", "min_ess"):
        assert shifted.diagnostics_[name] == pytest.approx(model.diagnostics_[name], rel=1e-4)


def test_chains_of_two_factors_agree_after_a_shift(rows):
    """Within 5 Monte Carlo standard errors, as trajectories part."""
    groups = {"school": rows.groups, "town": rows.towns}
    slopes = {"school": "all", "town": [0]}
    models = {
        shift: rows.fit(shift, groups, varying_slopes=slopes, draws=500, tune=500)
        for shift in (0.0, 2000.0)
    }
    draws = {shift: model.posterior_["posterior"] for shift, model in models.items()}
    for name in ("coef", "tau_school", "tau_town", "effect_school", "sigma"):
        expected, actual = (draws[shift][name].to_numpy() for shift in (0.0, 2000.0))
        for i in np.ndindex(expected.shape[2:]):
            if i and i[-1] == 0 and name != "coef":
                continue  # the intercept's, at x = 0
            a, b = actual[:, :, *i], expected[:, :, *i]
            assert abs(a.mean() - b.mean()) <= 5 * np.hypot(mcse(a), mcse(b))
    at = {"school": rows.groups[:40], "town": rows.towns[:40]}
    mean, sd = models[0.0].predict(rows.X[:40], groups=at, return_std=True)
    other, other_sd = models[2000.0].predict(rows.X[:40] + 2000.0, groups=at, return_std=True)
    assert np.all(np.abs(other - mean) <= 0.1 * sd)
    np.testing.assert_allclose(other_sd, sd, rtol=0.05)


STRUCTURES = {
    "one slope": Structure((0,)),
    "two slopes": Structure((0, 1)),
    "independent": Structure((0, 1), correlated=False),
    "by group": Structure((1,), by_group=True),
    "known errors": Structure((0, 1), known=True),
    "two factors": [Structure((0, 1)), Structure((1,), correlated=False)],
}


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("name", STRUCTURES)
def test_density_does_not_see_a_shift(name, shift):
    """Not of the sampled parameters, whatever the structure."""
    structure = STRUCTURES[name]
    table = make_table(np.random.default_rng(3), (4, 9, 6, 12, 3), 2)
    if isinstance(structure, list):
        towns = np.random.default_rng(5).integers(0, 4, len(table.y))
        table = replace(table, codes=np.column_stack([table.codes, towns]))
    elif structure.known:
        table = replace(
            table, errors=np.exp(np.random.default_rng(6).normal(size=len(table.y)))
        )
    _, _, density = build(structure, table)
    _, _, shifted = build(structure, replace(table, X=table.X + shift))
    rtol = 1e-10 if abs(shift) < 1e3 else 1e-7
    for x in 0.3 * np.random.default_rng(4).standard_normal((5, density.n_dim)):
        value, gradient, *_ = evaluate_density(density, x)
        other, other_gradient, *_ = evaluate_density(shifted, x)
        assert other == pytest.approx(value, rel=rtol, abs=rtol)
        atol = rtol * np.abs(gradient).max()
        np.testing.assert_allclose(other_gradient, gradient, rtol=rtol, atol=atol)


def test_scales_at_zero_are_those_of_the_effects(rows):
    """Tau and correlations of posterior_ are the covariance of the drawn effects at x = 0."""
    model = rows.fit(25.0, varying_slopes=[0], draws=1000)
    posterior = model.posterior_["posterior"]
    tau, corr = (posterior[f"{name}_group"].to_numpy() for name in ("tau", "corr"))
    at_mean = model._posterior.scales[0]
    origin = np.average(rows.X[:, 0] + 25.0)
    T = np.array([[1.0, -origin], [0.0, 1.0]])
    expected = T @ at_mean.covariances(np.ones(2)).reshape(*tau.shape[:2], 2, 2) @ T.T
    cov = corr * tau[..., :, None] * tau[..., None, :]
    np.testing.assert_allclose(cov, expected, rtol=1e-9)
    effects = posterior["effect_group"].to_numpy()
    lines = effects[..., 0] + effects[..., 1] * origin
    spread = lines.std(axis=2).mean()
    assert spread == pytest.approx(at_mean.tau[..., 0].mean(), rel=0.2)


@pytest.mark.parametrize(
    ("priors", "at_means"),
    [
        (None, True),
        ({"tau": {"x0": Prior("HalfNormal", sigma=1)}}, True),
        ({"intercept": Prior("Normal", mu=0, sigma=9)}, True),
        ({"tau": {"intercept": Prior("HalfNormal", sigma=1)}}, False),
        ({"tau": Prior("HalfNormal", sigma=1)}, False),
        ({"tau_group": Prior("HalfNormal", sigma=1)}, False),
        ({"corr": Prior("LKJCorr", eta=2)}, False),
    ],
)
def test_explicit_priors_of_intercepts_and_correlations_are_for_zero(rows, priors, at_means):
    """Where they hold is where the default tau of intercepts is not widened by the distance."""
    model = HierarchicalNormalRegressor(
        random_state=0, varying_slopes=[0], solver="laplace", priors=priors, draws=100
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(rows.X + 60.0, rows.y, groups=rows.groups)
    assert model._posterior.design.terms.centred == at_means
    assert any("at x0 = 0" in str(w.message) for w in caught) != at_means


def test_a_prior_of_one_factor_leaves_the_other_at_the_means(rows):
    groups = {"school": rows.groups, "town": rows.towns}
    priors = {"tau_town": Prior("HalfNormal", sigma=1)}
    model = HierarchicalNormalRegressor(
        random_state=0, varying_slopes=[0], priors=priors, draws=30, tune=30, chains=1
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(rows.X, rows.y, groups=groups)
    factors = model._posterior.design.factors
    assert [factor.terms.centred for factor in factors] == [True, False]


# PyTensor says so of most installations, once in a process.
@pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS:UserWarning")
def test_model_in_pymc_has_both_scales(rows):
    """Its variables at the means are sampled, and those at x = 0 are the same as ours."""
    import pymc as pm

    model = rows.fit(25.0, varying_slopes="all", solver="laplace")
    drawn = pm.sample_prior_predictive(
        draws=20, model=model.model_, random_seed=0,
        var_names=["tau_group_at_mean", "corr_group_at_mean", "tau_group", "corr_group"],
    )["prior"]  # fmt: skip
    mean_tau, mean_corr, tau, corr = (
        drawn[name].to_numpy()[0]
        for name in ("tau_group_at_mean", "corr_group_at_mean", "tau_group", "corr_group")
    )
    T = np.eye(3)
    T[0, 1:] = -(rows.X + 25.0).mean(axis=0)
    expected = T @ (mean_corr * mean_tau[:, :, None] * mean_tau[:, None, :]) @ T.T
    actual = corr * tau[:, :, None] * tau[:, None, :]
    np.testing.assert_allclose(actual, expected, rtol=1e-9)
