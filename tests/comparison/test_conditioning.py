"""Conditioning on more rows against dense densities and refits."""

import pickle

import numpy as np
import pytest
from posteriors import assert_same_weighted_posterior, dataset
from reference import dense_log_density
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from structures import EXPLICIT, STRUCTURES, draws_of, fit, rows_of

from skhbm import HierarchicalNormalRegressor, Prior
from skhbm._sampling.psis import log_mean_exp

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:.*(R-hat|diverged):sklearn.exceptions.ConvergenceWarning"
    ),
]
quiet = pytest.mark.filterwarnings("ignore:Pareto k:sklearn.exceptions.ConvergenceWarning")

SMALL = {"draws": 20, "tune": 30, "chains": 2}


def split(rows, chosen):
    """Return the rows that are not chosen, and the chosen rows."""
    return [a[~chosen] for a in rows], [a[chosen] for a in rows]


def later(rows, *, new=()):
    """Choose every third row, and all rows of the groups that are to be new."""
    return (np.arange(len(rows[1])) % 3 == 0) & (rows[2] != "a") | np.isin(rows[2], new)


def dense_ratio(draw, rows, chosen, codes):
    """Return log p(chosen rows | the others), given a draw."""
    X, y, _ = rows
    parts = []
    for kept in (np.full(len(y), True), ~chosen):
        cov = draw.covariance(X[kept], codes[kept])
        parts.append(dense_log_density(y[kept] - draw.mean(X[kept]), cov))
    return parts[0] - parts[1]


@quiet
@pytest.mark.parametrize(
    ("structure", "new"),
    # The scale of a new group is drawn: the next test looks at such groups.
    [(s, "") for s in STRUCTURES] + [(s, "c") for s in STRUCTURES if "by group" not in s],
)
def test_weights_are_ratios_of_densities(structure, new):
    rows = rows_of(5)
    chosen = later(rows, new=list(new))
    first, second = split(rows, chosen)
    model = fit(first, **SMALL, **STRUCTURES[structure])
    codes = np.searchsorted(np.unique(rows[2]), rows[2])
    actual = model.condition_on(*second)._origin.log_weights
    for s, draw in draws_of(model, every=7):
        assert actual[s] == pytest.approx(dense_ratio(draw, rows, chosen, codes), abs=1e-8)


BY_GROUP = {"residual_scale": "by_group"}


@quiet
@pytest.mark.parametrize("prior", [None, Prior("HalfNormal", sigma=2)])
def test_weights_of_a_new_group_average_over_its_scale(prior):
    rows = rows_of(5)
    first, second = split(rows, rows[2] == "e")
    model = fit(first, priors=prior and {"sigma": prior}, **SMALL, **BY_GROUP)
    log_weights = model.condition_on(*second)._origin.log_weights
    X, y, _ = second
    log_sigma = model._posterior.log_sigma
    expected = []
    for s, draw in draws_of(model):
        if prior is None:
            mean, spread = log_sigma.reshape(-1, 2)[s]
            law = stats.lognorm(spread, scale=np.exp(mean))
        else:
            law = stats.halfnorm(scale=2)
        cov = draw.covariance(X, np.zeros(len(y), dtype=int))
        cov -= draw.sigma[0] ** 2 * np.eye(len(y))
        grid = law.ppf((np.arange(200) + 0.5) / 200)
        densities = [
            dense_log_density(y - draw.mean(X), cov + t**2 * np.eye(len(y))) for t in grid
        ]
        expected.append(log_mean_exp(np.array(densities)))
    ratio = np.exp(log_weights - expected)
    # A draw has 32 candidates: the average over 40 draws has the error of 1280 candidates.
    error = 5 * ratio.std() / np.sqrt(len(ratio)) + 0.01
    if prior is None:
        assert abs(ratio.mean() - 1) <= error
        assert ratio.std() < 0.15
    else:
        # The prior has 40 draws only.
        assert abs(ratio.mean() - 1) <= 0.5


REFITS = {
    "intercepts, known": ({}, ""),
    "intercepts, new": ({}, "c"),
    "slopes, known and new": ({"varying_slopes": [0]}, "e"),
    "by group, known": (BY_GROUP, ""),
    "by group, new": (BY_GROUP, "c"),
}


@pytest.mark.parametrize("case", REFITS)
def test_conditioning_equals_a_refit(case):
    parameters, new = REFITS[case]
    rows = rows_of(3, sizes=(12, 9, 5, 14, 6, 12, 10))
    X, y, groups = rows
    chosen = np.isin(groups, list(new)) if new else np.arange(len(y)) % 9 == 0
    if "known and" in case:
        chosen |= np.arange(len(y)) % 19 == 0
    priors = dict(EXPLICIT)
    if parameters == BY_GROUP:
        # The hierarchical prior is scaled by the data; an explicit one is not.
        priors["sigma"] = Prior("LogNormal", mu=0.0, sigma=0.4)
    parameters = {"priors": priors, "draws": 2000, **parameters}
    first, second = split(rows, chosen)
    actual = fit(first, **parameters).condition_on(*second)
    expected = fit(rows, **parameters)
    assert actual.diagnostics_["pareto_k"] < 0.7
    np.testing.assert_array_equal(actual.groups_, expected.groups_)
    np.testing.assert_allclose(actual._statistics.n, expected._statistics.n)
    n_effective = actual.diagnostics_["min_ess"]
    assert_same_weighted_posterior(actual, expected)
    for labels in (groups, np.full(len(y), "z")):
        (m, s), (m_0, s_0) = (e.predict(X, labels, return_std=True) for e in (actual, expected))
        assert np.all(np.abs(m - m_0) <= 6 * s_0 / np.sqrt(n_effective) + 0.01)
        np.testing.assert_allclose(s, s_0, rtol=0.08)


@quiet
@pytest.mark.parametrize("structure", ["intercepts", "a slope", "by group"])
def test_conditioning_twice_is_conditioning_once(structure):
    rows = rows_of(5)
    new = "" if structure == "by group" else "f"
    first, second = split(rows, later(rows, new=list(new)))
    model = fit(first, **SMALL, **STRUCTURES[structure])
    half = np.arange(len(second[1])) % 2 == 0
    once = model.condition_on(*second)
    twice = model
    for part in split(second, half):
        twice = twice.condition_on(*part)
    np.testing.assert_allclose(twice._origin.log_weights, once._origin.log_weights, atol=1e-9)
    np.testing.assert_array_equal(twice.groups_, once.groups_)
    for a, b in zip(
        twice.predict(*rows[::2], return_std=True),
        once.predict(*rows[::2], return_std=True),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-8)


def test_many_small_steps_do_not_wear_the_draws_out():
    rows = rows_of(3, sizes=(12, 9, 5, 14, 6, 12, 10))
    first, second = split(rows, np.arange(len(rows[1])) % 5 == 0)
    model = fit(first, priors=EXPLICIT)
    once = model.condition_on(*second)
    for i in range(len(second[1])):
        model = model.condition_on(*(a[i : i + 1] for a in second))
    draws, expected = (np.unique(dataset(m)["tau_group"]) for m in (model, once))
    assert len(draws) == len(expected)
    assert model.diagnostics_["min_ess"] == pytest.approx(
        once.diagnostics_["min_ess"], rel=1e-6
    )


@pytest.fixture(scope="module")
def plain():
    rows = rows_of(5)
    return fit(rows, draws=200, tune=200), rows


NEW = (np.array([[0.5, 1.0], [-1.0, 0.3]]), np.array([2.5, 1.0]))


@quiet
def test_the_old_estimator_stays_as_it_was(plain):
    model, (X, _, groups) = plain
    before = pickle.dumps(model)
    mean, std = model.predict(X, groups, return_std=True)
    new = model.condition_on(*NEW, ["z", "a"])
    assert new is not model
    assert pickle.dumps(model) == before
    np.testing.assert_array_equal(model.predict(X, groups), mean)
    assert new.get_params() == model.get_params()
    assert list(new.groups_) == ["a", "b", "c", "d", "e", "f", "z"]
    assert np.all(new.predict(X, groups, return_std=True)[1] != std)


@quiet
def test_everything_works_afterwards(plain):
    model, (X, y, groups) = plain
    new = model.condition_on(*NEW, ["z", "a"])
    assert new.n_groups_ == 7
    assert new.shrinkage_.set_index("group").loc["z", "n"] == 1
    assert new.shrinkage_.set_index("group").loc["a", "n"] == 2
    assert len(new.variance_components_) == 2
    assert new.posterior_["posterior"]["effect_group"].shape == (4, 200, 7, 1)
    assert "lp" not in new.posterior_["sample_stats"]
    assert new.sample_y(X, groups, n_samples=3).shape == (len(y), 3)
    assert new.predict_interval(*NEW[:1], ["z", "z"]).shape == (2, 2)
    assert new.model_.coords["group"] == ("a", "b", "c", "d", "e", "f", "z")
    everything = [np.concatenate(pair) for pair in zip((X, y), NEW, strict=True)]
    labels = [*groups, "z", "a"]
    new.log_likelihood(*everything, labels, unit="group")
    copy = pickle.loads(pickle.dumps(new))
    np.testing.assert_array_equal(copy.predict(X, groups), new.predict(X, groups))
    assert copy.condition_on(*NEW, ["y", "y"]).n_groups_ == 8
    clone(new).set_params(draws=20, tune=20).fit(X, y, groups=groups)


def test_pickles_are_larger_only_when_conditioned(plain):
    model, _ = plain
    assert model._origin is None


def test_same_call_gives_the_same_draws(plain):
    model, _ = plain
    a, b = (dataset(model.condition_on(*NEW, ["z", "z"])) for _ in range(2))
    assert a.equals(b)


@pytest.mark.parametrize("away", [0.03, 0.3, 3])
def test_contradiction_warns(plain, away):
    model, _ = plain
    X = np.random.default_rng(0).standard_normal((40, 2))
    y = model.predict(X, ["a"] * 40) + away * (50 * X[:, 0] - 300)
    with pytest.warns(ConvergenceWarning, match=r"Pareto k is .* `partial_fit`"):
        new = model.condition_on(X, y, ["a"] * 40)
    assert new.diagnostics_["pareto_k"] > 0.7
    assert new.diagnostics_["min_ess"] < 100


def test_labels_of_another_type_warn(plain):
    model, _ = plain
    with pytest.warns(UserWarning, match="Labels like 3 cannot be groups"):
        model.condition_on(*NEW, [3, 3])


@pytest.mark.parametrize(
    ("X", "y", "groups", "message"),
    [
        (NEW[0][:, :1], NEW[1], ["a", "z"], "expecting 2 features"),
        (None, NEW[1], ["a", "z"], "X is None"),
        (NEW[0], NEW[1], None, "`groups` has no labels of"),
        (NEW[0], NEW[1], ["a", None], "1 missing labels of 2"),
        (NEW[0], NEW[1], ["a"], "`groups` has 1 entries"),
        (NEW[0], [1.0, np.nan], ["a", "z"], "Input y contains NaN"),
        (NEW[0] * [np.inf, 1], NEW[1], ["a", "z"], "Input X contains infinity"),
        (NEW[0], NEW[1][:1], ["a", "z"], "inconsistent numbers"),
        (NEW[0], NEW[1] * 1e200, ["a", "z"], "so that squares do not overflow"),
    ],
)
def test_bad_rows_are_an_error(plain, X, y, groups, message):
    model, _ = plain
    before = pickle.dumps(model)
    with (
        np.errstate(all="ignore"),
        pytest.raises(ValueError, match=message),
    ):
        model.condition_on(X, y, groups)
    assert pickle.dumps(model) == before


@quiet
def test_without_groups():
    X, y, _ = rows_of(5)
    model = HierarchicalNormalRegressor(random_state=0, priors={**EXPLICIT}, draws=200)
    del model.priors["tau"]
    with pytest.warns(UserWarning, match="Fitted without groups"):
        model.fit(X[::2], y[::2])
    assert model.condition_on(X[1::2], y[1::2])._statistics.n == len(y)
    with pytest.raises(ValueError, match="fitted without groups"):
        model.condition_on(X, y, ["a"] * len(y))


def test_labels_in_a_column():
    import pandas as pd

    X, y, groups = rows_of(5)
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(school=groups)
    model = HierarchicalNormalRegressor(
        random_state=0, group_features="school", draws=100, tune=100
    ).fit(frame, y)
    new = model.condition_on(frame.head(2).assign(school="z"), y[:2])
    assert list(new.groups_) == [*"abcdef", "z"]
