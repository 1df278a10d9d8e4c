"""Conditioning with several factors and known errors, against dense densities and refits."""

import pickle

import numpy as np
import pandas as pd
import pytest
from posteriors import assert_same_weighted_posterior
from reference import dense_log_density
from sklearn.base import clone
from structures import (
    EXPLICIT,
    SEVERAL_FACTORS,
    crossed_rows,
    draws_of_several_factors,
    fit_several_factors,
)

from skhbm import HierarchicalNormalRegressor

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:.*(R-hat|diverged):sklearn.exceptions.ConvergenceWarning"
    ),
]
quiet = pytest.mark.filterwarnings("ignore:Pareto k:sklearn.exceptions.ConvergenceWarning")

SMALL = {"draws": 20, "tune": 30, "chains": 2}

#: Levels that no row of the first fit has: of schools, of towns, of both.
NEW = {"known levels": "", "a new school": "c", "a new town": "t", "both new": "cet"}


def split(rows, new, every=6):
    """Return rows to fit, and rows to condition on: new levels are in the latter only."""
    groups = rows[2]
    later = groups.isin([*new]).any(axis=1) | (np.arange(len(groups)) % every == 0)
    if not new:
        later &= groups.groupby(["school"]).cumcount() > 0
    later = later.to_numpy()
    return [a[~later] for a in rows], [a[later] for a in rows], later


def condition(model, rows):
    X, y, groups, *errors = rows
    return model.condition_on(X, y, groups, y_err=errors[0] if errors else None)


def all_codes(groups):
    return np.column_stack([pd.factorize(groups[name])[0] for name in groups])


@quiet
@pytest.mark.parametrize("structure", SEVERAL_FACTORS)
@pytest.mark.parametrize("new", NEW)
def test_weights_are_ratios_of_marginal_densities(structure, new):
    rows = crossed_rows(1, errors=structure == "known errors")
    first, second, later = split(rows, NEW[new])
    model = fit_several_factors(structure, first, **SMALL)
    X, y, groups, *errors = rows
    codes = all_codes(groups)
    actual = condition(model, second)._origin.log_weights
    for s, draw in draws_of_several_factors(model, every=7):
        mean, cov = draw.marginal(structure, X, codes, errors)
        expected = dense_log_density(y - mean, cov)
        expected -= dense_log_density((y - mean)[~later], cov[np.ix_(~later, ~later)])
        if errors:
            # Weights are ratios of densities of y over its errors: both have this factor.
            expected += np.log(errors[0][later]).sum()
        assert actual[s] == pytest.approx(expected, abs=1e-7)


#: Structure, new levels, number of steps.
REFITS = {
    "known levels": ("intercepts", "", 1),
    "a new school": ("intercepts", "c", 1),
    "a new town": ("intercepts", "t", 1),
    "both new": ("intercepts", "ct", 1),
    "both new, in two steps": ("intercepts", "ct", 2),
    "slopes, both new": ("slopes of both", "ct", 1),
    "a sampled coefficient": ("a sampled coefficient", "ct", 1),
    "known errors, both new": ("known errors", "ct", 1),
}


@pytest.mark.parametrize("case", REFITS)
def test_conditioning_equals_a_refit(case):
    structure, new, n_steps = REFITS[case]
    known = structure == "known errors"
    rows = crossed_rows(4, n=120, n_schools=9, n_towns=8, errors=known)
    first, second, _ = split(rows, new, every=20)
    actual = fit_several_factors(structure, first, draws=1000)
    for step in range(n_steps):
        actual = condition(actual, [a[step::n_steps] for a in second])
    expected = fit_several_factors(structure, rows, draws=1000)
    assert actual.diagnostics_["pareto_k"] < 0.7
    for name, labels in expected.groups_.items():
        np.testing.assert_array_equal(actual.groups_[name], labels)
    np.testing.assert_allclose(actual._statistics.n, expected._statistics.n)
    np.testing.assert_allclose(actual._posterior.design.n, expected._posterior.design.n)
    assert_same_weighted_posterior(actual, expected)
    X, _, groups = rows[:3]
    for labels in (groups, groups.assign(town="z"), groups.assign(school="z")):
        (m, s), (m_0, s_0) = (e.predict(X, labels, return_std=True) for e in (actual, expected))
        error = s_0 / np.sqrt(actual.diagnostics_["min_ess"])
        assert np.all(np.abs(m - m_0) <= 6 * error + 0.01)
        np.testing.assert_allclose(s, s_0, rtol=0.08, atol=1e-3)


@pytest.fixture(scope="module")
def plain():
    rows = crossed_rows(1)
    return fit_several_factors("intercepts", rows, draws=200, tune=200), rows


NEW_ROWS = (
    np.array([[0.5, 1.0], [-1.0, 0.3]]),
    np.array([2.5, 1.0]),
    pd.DataFrame({"school": ["z", "a"], "town": ["s", "z"]}),
)


@quiet
def test_everything_works_afterwards(plain):
    model, (X, y, groups) = plain
    before = pickle.dumps(model)
    new = model.condition_on(*NEW_ROWS)
    assert pickle.dumps(model) == before
    assert new.n_groups_ == {"school": 8, "town": 5}
    table = new.shrinkage_.set_index(["factor", "group"])["n"]
    assert table["school", "z"] == table["town", "z"] == 1
    assert len(new.variance_components_) == 3
    posterior = new.posterior_["posterior"]
    assert posterior["effect_school"].shape == (4, 200, 8, 1)
    assert posterior["effect_town"].shape == (4, 200, 5, 1)
    assert np.all(np.isfinite(new.predict(X, groups, return_std=True)))
    assert new.sample_y(*NEW_ROWS[::2], n_samples=3).shape == (2, 3)
    assert list(new.model_.coords["town"]) == [*"stuvz"]
    everything = [np.concatenate([X, NEW_ROWS[0]]), np.concatenate([y, NEW_ROWS[1]])]
    labels = pd.concat([groups, NEW_ROWS[2]])
    for unit in ("row", "school", "town"):
        new.log_likelihood(*everything, labels, unit=unit)
    copy = pickle.loads(pickle.dumps(new))
    np.testing.assert_array_equal(copy.predict(X, groups), new.predict(X, groups))
    again = copy.condition_on(*NEW_ROWS[:2], NEW_ROWS[2].assign(town="y"))
    assert again.n_groups_ == {"school": 8, "town": 6}
    same = model.condition_on(*NEW_ROWS).posterior_["posterior"]
    for name, values in posterior.data_vars.items():
        np.testing.assert_array_equal(same[name], values)


@quiet
def test_labels_of_other_types_keep_their_draws():
    """Labels of the fit may come in another order once new labels are sorted among them."""
    X, y, groups = crossed_rows(1)
    numbers = groups["town"].map({"s": 2, "t": 10, "u": 3, "v": 30}).to_numpy(copy=True)
    numbers[0] = next(number for number in (2, 10) if number != numbers[0])
    model = fit_several_factors("intercepts", (X, y, groups.assign(school=numbers)), **SMALL)
    later = pd.DataFrame({"school": [2, 10, "x"], "town": ["s", "t", "z"]})
    new_rows = np.vstack([NEW_ROWS[0], [[0.0, 0.0]]]), np.append(NEW_ROWS[1], 2.0), later
    with pytest.warns(UserWarning, match="Labels like 'x' cannot be groups"):
        new = model.condition_on(*new_rows)
    assert list(new.groups_["school"]) == [10, 2, 3, 30, "x"]
    # Each label keeps its rows.
    n = new.shrinkage_.query("factor == 'school'").set_index("group")["n"]
    assert n["x"] == 1
    for label in (2, 3, 10, 30):
        assert n[label] == np.sum(numbers == label) + (label in {2, 10})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": NEW_ROWS[2][["school"]]}, r"`groups` has no labels of \['town'\]"),
        ({"groups": None}, r"`groups` has no labels of \['school', 'town'\]"),
        ({"groups": NEW_ROWS[2].assign(town=["s", None])}, "1 missing labels of 2"),
        ({"groups": NEW_ROWS[2].assign(village="s")}, r"named .*'village'"),
        ({"y_err": np.ones(2)}, "`y_err` must be given for a model with .* and for no other"),
        ({"y": NEW_ROWS[1] * 1e200}, "Change the units"),
    ],
)
def test_bad_rows_are_an_error(plain, change, message):
    model, _ = plain
    arguments = {**dict(zip(("X", "y", "groups"), NEW_ROWS, strict=True)), **change}
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message):
        model.condition_on(**arguments)


def test_known_errors_of_one_factor():
    """Two studies join a meta-analysis, of a new label and of a label of the fit."""
    rng = np.random.default_rng(0)
    errors = rng.uniform(0.3, 1.2, size=12)
    groups = np.append(np.arange(11), 3)
    y = 1 + rng.standard_normal(11)[groups] + errors * rng.standard_normal(12)
    model = HierarchicalNormalRegressor(
        random_state=0, residual_scale="known", draws=1000,
        priors={k: EXPLICIT[k] for k in ("intercept", "tau")},
    )  # fmt: skip
    expected = clone(model).fit(None, y, groups=groups, y_err=errors)
    first = model.fit(None, y[:10], groups=groups[:10], y_err=errors[:10])
    actual = first.condition_on(None, y[10:], groups[10:], y_err=errors[10:])
    assert_same_weighted_posterior(actual, expected)
    for wrong in (None, errors[:1], -errors[10:]):
        with pytest.raises(ValueError, match="`y_err` must"):
            first.condition_on(None, y[10:], groups[10:], y_err=wrong)
