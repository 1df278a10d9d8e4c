"""Labels and terms of several factors: each mistake is named in a sentence."""

import pickle

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS
from posteriors import dataset
from schools_and_years import N_ROWS, SHORT, fit, pair

from skhbm import GroupedStatistics, HierarchicalNormalRegressor, Prior

pytestmark = FEW_DRAWS


BAD_FITS = {
    "one level": (
        {"groups": lambda d: pair(d, year=np.zeros(N_ROWS, int))},
        r"The grouping factor 'year' has one level only \(0\), so .* \(tau_year\) is not "
        "identified",
    ),
    "as many levels as rows": (
        {"groups": lambda d: pair(d, year=np.arange(N_ROWS))},
        r"'year' has as many levels as there are rows \(110\).*\(tau_year\) and the residual",
    ),
    "slopes of an unknown factor": (
        {"varying_slopes": {"yaer": [0]}},
        r"`varying_slopes` has entries for \['yaer'\], but the grouping factors are "
        r"\['school', 'year'\]",
    ),
    "an intercept of an unknown factor": (
        {"varying_intercept": {"class": False}}, r"`varying_intercept` has entries for",
    ),
    "independence of an unknown factor": (
        {"correlated": {"class": False}}, r"`correlated` has entries for \['class'\]",
    ),
    "a prior of an unknown factor": (
        {"priors": {"tau_class": Prior("HalfNormal", sigma=1)}},
        r"`priors` has unknown keys: \['tau_class'\]. .*'tau_school', 'tau_year'",
    ),
    "a prior of a term that does not vary by the factor": (
        {
            "priors": {"tau_year": {"x0": Prior("HalfNormal", sigma=1)}},
            "varying_slopes": {"school": [0]},
        },
        r"`priors\['tau_year'\]` has unknown entries: \['x0'\]",
    ),
    "a prior of a term that varies by none": (
        {"priors": {"tau": {"x1": Prior("HalfNormal", sigma=1)}}},
        r"`priors\['tau'\]` has unknown entries: \['x1'\]",
    ),
    "nothing varies by one": (
        {"varying_intercept": {"year": False}}, "Nothing varies by 'year'",
    ),
    "an intercept that is no bool": (
        {"varying_intercept": {"year": 0}}, "must be a bool or a dict from a factor to a bool",
    ),
    "an unknown feature": ({"varying_slopes": {"year": [7]}}, "has the index 7, but X has 2"),
    "a missing label": (
        {"groups": lambda d: pair(d, year=[None, *d.groups["year"][1:]])}, "1 missing label",
    ),
    "too few labels": (
        {"groups": lambda d: pair(d, year=d.groups["year"][1:])}, "109 entries .* 110 rows",
    ),
    **{
        f"a factor named {name}": (
            {"groups": lambda d, name=name: pair(d, **{name: d.school % 2})},
            f"The labels are named '{name}', which cannot be the name of a dimension",
        )
        for name in (
            "intercept", "coef", "sigma", "chain", "feature", "cell", "tau_year",
            "effect_school", "corr_year", "year_term", "school_term_bis", "year_of_cell", "a/b",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FITS)
def test_mistakes_of_factors_are_named(schools, case):
    parameters, message = BAD_FITS[case]
    parameters = dict(parameters)
    groups = parameters.pop("groups", lambda d: d.groups)(schools)
    unfitted = HierarchicalNormalRegressor(random_state=0, **parameters, **SHORT)
    with pytest.raises(ValueError, match=message):
        unfitted.fit(schools.X, schools.y, groups=groups)
    assert not hasattr(unfitted, "groups_")


@pytest.mark.parametrize("name", ["intercept", "year_term", "cell"])
def test_statistics_cannot_have_such_names_either(schools, name):
    statistics = GroupedStatistics.from_arrays(
        schools.X, schools.y, pair(schools, **{name: schools.year})
    )
    with pytest.raises(ValueError, match=f"named '{name}', which cannot be the name"):
        HierarchicalNormalRegressor(**SHORT).fit_statistics(statistics)


@pytest.mark.parametrize("name", ["cell", "tau_year", "a_term"])
def test_a_lone_factor_may_have_the_name_that_another_would_give(schools, name):
    model = fit(schools, {name: schools.school}, **SHORT)
    assert dataset(model)[f"effect_{name}"].dims[2:] == (name, f"{name}_term")


BAD_ROWS = {
    "labels without a name": (
        lambda d: d.groups["school"],
        r"fitted with the grouping factors \['school', 'year'\]. Got 1 factor",
    ),
    "a factor too many": (
        lambda d: pair(d, town=d.school), r"Got 3 factors named .*'town'",
    ),
    "another factor": (
        lambda d: {"school": d.groups["school"], "town": d.school},
        r"Got 2 factors named .*'town'",
    ),
    "three columns": (
        lambda _: np.zeros((N_ROWS, 3)), "fitted with the grouping factors .* Got 3 factors",
    ),
    "too few labels": (
        lambda d: pair(d, year=d.groups["year"][1:]), "109 entries .* 110 rows",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ROWS)
@pytest.mark.parametrize("method", ["predict", "sample_y", "predict_interval"])
def test_factors_to_predict_that_are_not_those_of_fit_are_named(
    schools, short_school_model, case, method
):
    groups, message = BAD_ROWS[case]
    with pytest.raises(ValueError, match=message):
        getattr(short_school_model, method)(schools.X, groups=groups(schools))


@pytest.mark.parametrize("case", ["labels without a name", "another factor", "three columns"])
def test_batches_of_other_factors_are_refused(schools, case):
    model = fit(schools, **SHORT)
    before = pickle.dumps(model)
    groups, message = BAD_ROWS[case]
    with pytest.raises(ValueError, match=message):
        model.partial_fit(schools.X, schools.y, groups=groups(schools))
    assert pickle.dumps(model) == before


@pytest.mark.parametrize("groups", [{}, {"year": None}, None], ids=str)
def test_a_batch_needs_the_labels_of_every_factor(schools, groups):
    model = fit(schools, **SHORT)
    if groups is not None:
        groups = {"school": schools.groups["school"], **groups}
    with pytest.raises(ValueError, match=r"labels of .*'year'\] are missing"):
        model.partial_fit(schools.X, schools.y, groups=groups)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"year": [1999] * 110}, r"1 of 1 groups of 'year' were not seen in fit: \[1999\]"),
        ({"school": ["x", "y"] * 55}, r"2 of 2 groups of 'school' were not seen in fit: \['x'"),
        ({"year": [None] * 110}, "110 of 110 labels of 'year' are missing"),
    ],
)
def test_groups_that_were_not_seen_are_an_error_if_asked_for(schools, changed, message):
    strict = fit(schools, new_groups="error", **SHORT)
    strict.predict(schools.X, schools.groups)
    with pytest.raises(ValueError, match=message):
        strict.predict(schools.X, {**schools.groups, **changed})
    if changed.get("year") == [None] * 110:
        with pytest.raises(ValueError, match=message):
            strict.predict(schools.X, {"school": schools.groups["school"]})


def test_factors_of_the_same_groups_are_an_error():
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 6, 60)
    groups = pd.DataFrame({"id": codes, "name": [f"store {c}" for c in codes]})
    model = HierarchicalNormalRegressor(random_state=0)
    with pytest.raises(ValueError, match=r"'id' and 'name' have the same groups .* Leave one"):
        model.fit(None, rng.standard_normal(60), groups=groups)
