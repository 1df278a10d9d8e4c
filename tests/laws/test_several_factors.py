"""Laws of a whole fit with several factors."""

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS
from posteriors import assert_same_draws, assert_same_posterior, dataset
from schools_and_years import SHORT, STRUCTURES, Data, fit, known_scale, table_of

from skhbm import GroupedStatistics, HierarchicalNormalRegressor, Prior

pytestmark = FEW_DRAWS


@pytest.mark.parametrize("parameters", [{}, {"varying_slopes": {"school": ["x0"]}}], ids=str)
def test_order_of_factors_does_not_matter(schools, parameters):
    """Both have five groups: that of the first is eliminated first."""
    frame = pd.DataFrame(schools.X, columns=["x0", "x1"])
    named = Data(frame, schools.y, schools.school, schools.year, schools.errors)
    first = fit(named, **parameters)
    other = fit(named, dict(reversed(schools.groups.items())), **parameters)
    assert [*other.groups_] == ["year", "school"]
    assert_same_posterior(first, other)


def test_an_outer_factor_without_variance_is_none(schools):
    """Priors are explicit, so that both fits have the same."""
    wide = {"tau_year": Prior("HalfNormal", sigma=2.0)}
    nested = {"area": np.array(["n", "s", "s", "n", "s"])[schools.year], "year": schools.year}
    both = fit(schools, nested, priors={**wide, "tau_area": known_scale(1e-5)})
    alone = fit(schools, {"year": schools.year}, priors=wide)
    shared = ["intercept", "coef", "sigma", "tau_year", "effect_year"]
    # Effects of 1e-5 move estimates by as much.
    assert_same_posterior(alone, both, names={name: name for name in shared}, slack=1e-4)
    assert np.abs(dataset(both)["effect_area"].to_numpy()).max() < 1e-4


@pytest.mark.parametrize("parameters", [{}, {"residual_scale": "known"}], ids=str)
def test_a_weight_is_how_often_a_row_counts(schools, parameters):
    weight = np.random.default_rng(5).integers(1, 4, len(schools.y))
    model = HierarchicalNormalRegressor(random_state=0, **parameters, **SHORT)
    known = bool(parameters)
    errors = schools.errors if known else None
    model.fit(schools.X, schools.y, groups=schools.groups, sample_weight=weight, y_err=errors)
    repeated = fit(schools[np.repeat(np.arange(len(schools.y)), weight)], **parameters, **SHORT)
    assert_same_draws(model, repeated)
    for f in schools.groups:
        assert np.array_equal(table_of(model, f)["n"], table_of(repeated, f)["n"])


@pytest.mark.parametrize("parameters", [{}, {"residual_scale": "known"}], ids=str)
def test_batches_are_one_fit(schools, parameters):
    """The second batch has new groups and combinations, and its factors in another order."""
    whole = fit(schools, **parameters, **SHORT)
    late = (schools.school == 2) | (schools.year == 3)
    model = HierarchicalNormalRegressor(random_state=0, **parameters, **SHORT)
    for at in (~late, late):
        batch = schools[at]
        errors = batch.errors if parameters else None
        groups = batch.groups if at is not late else dict(reversed(batch.groups.items()))
        model.partial_fit(batch.X, batch.y, groups=groups, y_err=errors)
    assert_same_draws(model, whole)


@pytest.mark.parametrize("parameters", [{}, {"residual_scale": "known"}], ids=str)
def test_statistics_of_parts_are_one_fit(schools, parameters):
    whole = fit(schools, **parameters, **SHORT)
    parts = [
        GroupedStatistics.from_arrays(
            part.X, part.y, part.groups, y_err=part.errors if parameters else None
        )
        for part in (schools[:40], schools[40:70], schools[70:])
    ]
    model = HierarchicalNormalRegressor(random_state=0, **parameters, **SHORT)
    model.fit_statistics(parts[2] + (parts[0] + parts[1]))
    assert_same_draws(model, whole)


def test_order_of_rows_does_not_matter(schools, school_structure):
    parameters = {**STRUCTURES[school_structure], **SHORT}
    order = np.random.default_rng(7).permutation(len(schools.y))
    frame = pd.DataFrame(schools.X, columns=["x0", "x1"])
    first = fit(
        Data(frame, schools.y, schools.school, schools.year, schools.errors), **parameters
    )
    shuffled = schools[order]
    frame = pd.DataFrame(shuffled.X, columns=["x0", "x1"])
    other = fit(Data(frame, shuffled.y, shuffled.school, shuffled.year, shuffled.errors),
                **parameters)  # fmt: skip
    assert_same_draws(other, first, rtol=1e-5)


@pytest.mark.parametrize("parameters", [{}, {"residual_scale": "known"}], ids=str)
@pytest.mark.parametrize("scale", [1e-6, 250.0])
def test_draws_follow_the_unit_of_y(schools, parameters, scale):
    """Known errors are in the same unit as y."""
    first = fit(schools, **parameters, **SHORT)
    moved = Data(
        schools.X, scale * schools.y, schools.school, schools.year, scale * schools.errors
    )
    other = fit(moved, **parameters, **SHORT)
    assert_same_draws(other, first, scale=scale)


@pytest.mark.parametrize("parameters", [{}, {"residual_scale": "known"}], ids=str)
def test_draws_follow_a_shift_of_y(schools, parameters):
    first = fit(schools, **parameters, **SHORT)
    shifted = Data(schools.X, schools.y + 1e3, schools.school, schools.year, schools.errors)
    other = fit(shifted, **parameters, **SHORT)
    assert_same_draws(other, first, shift=1e3)
