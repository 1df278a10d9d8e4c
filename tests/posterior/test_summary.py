"""`summary`: ArviZ's table of the posterior, without what is many or constant."""

import warnings

import arviz_stats
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from structures import crossed_rows, fit, fit_several_factors, rows_of

from skhbm import HierarchicalNormalRegressor
from skhbm._posterior.summary import KINDS

# Four groups, as here, say little of the spread between them.
pytestmark = pytest.mark.filterwarnings("ignore:There are . groups of:skhbm.DataWarning")


@pytest.fixture(scope="module")
def slopes():
    return fit(rows_of(5), varying_slopes="all")


@pytest.fixture(scope="module")
def by_group():
    return fit(rows_of(5), residual_scale="by_group")


@pytest.fixture(scope="module")
def several_factors():
    return fit_several_factors("slopes of both", crossed_rows(7))


def table_of_arviz(model, **options):
    """ArviZ's table of all that is in `posterior_`, constant diagonals included."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        return arviz_stats.summary(model.posterior_, round_to="none", **options)


@pytest.mark.parametrize("name", ["slopes", "by_group", "several_factors"])
@pytest.mark.parametrize(
    "options",
    [
        {"ci_prob": 0.9},
        {"ci_prob": None},
        {"kind": "stats", "ci_prob": 0.5, "ci_kind": "hdi"},
        {"kind": "all_median", "ci_prob": 0.9},
    ],
    ids=["default", "setting of ArviZ", "intervals", "median"],
)
def test_table_is_that_of_arviz(name, options, request):
    model = request.getfixturevalue(name)
    ours, theirs = model.summary(round_to="none", **options), table_of_arviz(model, **options)
    pd.testing.assert_frame_equal(ours, theirs.loc[ours.index], check_exact=True)


def test_intervals_are_of_90_percent(slopes):
    expected = slopes.summary(kind="stats", ci_prob=0.9)
    pd.testing.assert_frame_equal(slopes.summary(kind="stats"), expected)


def test_rows_are_those_of_the_population(slopes):
    assert list(slopes.summary().index) == [
        "intercept",
        "coef[x0]",
        "coef[x1]",
        "tau_group[intercept]",
        "tau_group[x0]",
        "tau_group[x1]",
        "corr_group[intercept, x0]",
        "corr_group[intercept, x1]",
        "corr_group[x0, x1]",
        "sigma",
    ]


def test_rows_of_several_factors_are_those_of_each(several_factors):
    assert list(several_factors.summary(["tau_town", "corr_school"]).index) == [
        "tau_town[intercept]",
        "tau_town[x0]",
        "tau_town[x1]",
        "corr_school[intercept, x0]",
    ]


def test_scales_of_groups_are_left_out_unless_they_are_asked_for(by_group):
    rows = list(by_group.summary().index)
    assert [row for row in rows if "sigma" in row] == ["log_sigma_mean", "log_sigma_sd"]
    assert len(by_group.summary("sigma")) == by_group.n_groups_


@pytest.mark.parametrize("name", ["slopes", "by_group", "several_factors"])
def test_table_has_neither_constants_nor_numbers_twice(name, request):
    table = request.getfixturevalue(name).summary(round_to="none")
    assert table["sd"].min() > 0
    assert table["r_hat"].notna().all()
    assert not table.duplicated().any()


def test_draws_of_effects_are_not_made_for_it():
    model = fit(rows_of(5))
    model.summary()
    assert "posterior" not in model._lazy


def test_effects_are_in_it_if_they_are_asked_for(slopes):
    table = slopes.summary(["effect_group", "sigma"], round_to="none")
    assert list(table.index[[0, -1]]) == ["effect_group[a, intercept]", "sigma"]
    means = slopes.posterior_["posterior"]["effect_group"].mean(("chain", "draw"))
    np.testing.assert_allclose(table["mean"].iloc[:-1], means.to_numpy().ravel(), rtol=1e-12)


def test_variables_after_a_tilde_are_left_out(slopes):
    left = slopes.summary("~corr_group").index
    assert list(left) == [row for row in slopes.summary().index if "corr" not in row]


def test_columns_are_those_of_the_kind(slopes):
    table = slopes.summary("sigma", kind="stats", ci_prob=0.5, ci_kind="hdi", round_to=3)
    assert list(table.columns) == ["mean", "sd", "hdi50_lb", "hdi50_ub"]
    assert table.loc["sigma", "mean"] == round(slopes.residual_scale_, 3)


def test_unknown_variables_are_named(slopes):
    message = (
        r"`var_names` has \['tau'\], which are not variables of the posterior. These are: "
        r"intercept, coef, tau_group, corr_group, sigma, effect_group\."
    )
    with pytest.raises(ValueError, match=message):
        slopes.summary(["coef", "tau"])


@pytest.mark.parametrize(("value", "hint"), [(95, r" Did you mean 0.95\?"), (0, "$")])
def test_probability_of_the_intervals_is_one(value, hint, slopes):
    with pytest.raises(
        ValueError, match=rf"`ci_prob` must lie in \(0, 1\). Got {value}.{hint}"
    ):
        slopes.summary(ci_prob=value)


def test_probability_of_the_intervals_is_a_number(slopes):
    with pytest.raises(TypeError, match=r"`ci_prob` must be a number in \(0, 1\). Got 'x'."):
        slopes.summary(ci_prob="x")


@pytest.mark.parametrize("option", ["kind", "ci_kind", "round_to"])
def test_other_options_are_named(option, slopes):
    with pytest.raises(ValueError, match=rf"`{option}` must be .*\. Got 'x'\."):
        slopes.summary(**{option: "x"})


def test_every_kind_of_table_is_one_of_arviz(slopes):
    for kind in KINDS:
        assert len(slopes.summary("sigma", kind=kind)) == 1


@pytest.mark.parametrize("names", [3, [3], [None], 1.5])
def test_names_of_variables_are_words(names, slopes):
    with pytest.raises(TypeError, match="`var_names` must be names of variables"):
        slopes.summary(names)


def test_there_is_none_before_fit():
    with pytest.raises(NotFittedError):
        HierarchicalNormalRegressor().summary()
