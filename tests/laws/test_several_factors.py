"""Laws of a whole fit with several factors."""

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS
from posteriors import assert_same_posterior, dataset
from reference import assert_equal_to_rounding
from schools_and_years import SHORT, STRUCTURES, Data, fit, known_scale, simulate, table_of

from skhbm import GroupedStatistics, HierarchicalNormalRegressor, Prior

pytestmark = FEW_DRAWS


@pytest.fixture(scope="module")
def data():
    return simulate()


@pytest.fixture(scope="module", params=STRUCTURES)
def structure(request):
    return request.param


@pytest.mark.parametrize("parameters", [{}, {"varying_slopes": {"school": ["x0"]}}], ids=str)
def test_order_of_factors_does_not_matter(data, parameters):
    """Both have five groups: the first is integrated out, the other one's effects sampled."""
    frame = pd.DataFrame(data.X, columns=["x0", "x1"])
    named = Data(frame, data.y, data.school, data.year, data.errors)
    one = fit(named, **parameters)
    other = fit(named, dict(reversed(data.groups.items())), **parameters)
    assert [*other.groups_] == ["year", "school"]
    assert_same_posterior(one, other)


def test_an_outer_factor_without_variance_is_none(data):
    """Priors are explicit: those of one factor are those of the other fit."""
    wide = {"tau_year": Prior("HalfNormal", sigma=2.0)}
    nested = {"area": np.array(["n", "s", "s", "n", "s"])[data.year], "year": data.year}
    both = fit(data, nested, priors={**wide, "tau_area": known_scale(1e-5)})
    alone = fit(data, {"year": data.year}, priors=wide)
    shared = ["intercept", "coef", "sigma", "tau_year", "effect_year"]
    # Effects of 1e-5 move estimates by as much.
    assert_same_posterior(alone, both, names={name: name for name in shared}, slack=1e-4)
    assert np.abs(dataset(both)["effect_area"].to_numpy()).max() < 1e-4


@pytest.mark.parametrize("parameters", [{}, {"residual_scale": "known"}], ids=str)
def test_a_weight_is_how_often_a_row_counts(data, parameters):
    weight = np.random.default_rng(5).integers(1, 4, len(data.y))
    model = HierarchicalNormalRegressor(random_state=0, **parameters, **SHORT)
    known = bool(parameters)
    errors = data.errors if known else None
    model.fit(data.X, data.y, groups=data.groups, sample_weight=weight, y_err=errors)
    repeated = fit(data[np.repeat(np.arange(len(data.y)), weight)], **parameters, **SHORT)
    for name, values in dataset(repeated).data_vars.items():
        assert_equal_to_rounding(dataset(model)[name], values)
    for f in data.groups:
        assert np.array_equal(table_of(model, f)["n"], table_of(repeated, f)["n"])


@pytest.mark.parametrize("parameters", [{}, {"residual_scale": "known"}], ids=str)
def test_batches_are_one_fit(data, parameters):
    """The second batch has groups and combinations that the first has not, by other order."""
    whole = fit(data, **parameters, **SHORT)
    late = (data.school == 2) | (data.year == 3)
    model = HierarchicalNormalRegressor(random_state=0, **parameters, **SHORT)
    for at in (~late, late):
        batch = data[at]
        errors = batch.errors if parameters else None
        groups = batch.groups if at is not late else dict(reversed(batch.groups.items()))
        model.partial_fit(batch.X, batch.y, groups=groups, y_err=errors)
    for name, values in dataset(whole).data_vars.items():
        assert_equal_to_rounding(dataset(model)[name], values)


@pytest.mark.parametrize("parameters", [{}, {"residual_scale": "known"}], ids=str)
def test_statistics_of_parts_are_one_fit(data, parameters):
    whole = fit(data, **parameters, **SHORT)
    parts = [
        GroupedStatistics.from_arrays(
            part.X, part.y, part.groups, y_err=part.errors if parameters else None
        )
        for part in (data[:40], data[40:70], data[70:])
    ]
    model = HierarchicalNormalRegressor(random_state=0, **parameters, **SHORT)
    model.fit_statistics(parts[2] + (parts[0] + parts[1]))
    for name, values in dataset(whole).data_vars.items():
        assert_equal_to_rounding(dataset(model)[name], values)


def test_order_of_rows_does_not_matter(data, structure):
    parameters = {**STRUCTURES[structure], **SHORT}
    order = np.random.default_rng(7).permutation(len(data.y))
    frame = pd.DataFrame(data.X, columns=["x0", "x1"])
    one = fit(Data(frame, data.y, data.school, data.year, data.errors), **parameters)
    shuffled = data[order]
    frame = pd.DataFrame(shuffled.X, columns=["x0", "x1"])
    other = fit(Data(frame, shuffled.y, shuffled.school, shuffled.year, shuffled.errors),
                **parameters)  # fmt: skip
    for name, values in dataset(one).data_vars.items():
        assert_equal_to_rounding(dataset(other)[name], values, rtol=1e-5)


@pytest.mark.parametrize("parameters", [{}, {"residual_scale": "known"}], ids=str)
@pytest.mark.parametrize("scale", [1e-6, 250.0])
def test_draws_follow_the_unit_of_y(data, parameters, scale):
    """The errors are in the same unit."""
    one = fit(data, **parameters, **SHORT)
    moved = Data(data.X, scale * data.y, data.school, data.year, scale * data.errors)
    other = fit(moved, **parameters, **SHORT)
    for name, values in dataset(one).data_vars.items():
        assert_equal_to_rounding(dataset(other)[name], scale * values)


@pytest.mark.parametrize("parameters", [{}, {"residual_scale": "known"}], ids=str)
def test_draws_follow_a_shift_of_y(data, parameters):
    one = fit(data, **parameters, **SHORT)
    shifted = Data(data.X, data.y + 1e3, data.school, data.year, data.errors)
    other = fit(shifted, **parameters, **SHORT)
    for name, values in dataset(one).data_vars.items():
        moved = values + 1e3 * (name == "intercept")
        assert_equal_to_rounding(dataset(other)[name], moved)
