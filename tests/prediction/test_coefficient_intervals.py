"""Intervals of coefficients of groups, population + effect."""

import numpy as np
import pytest
from marks import FEW_DRAWS
from posteriors import dataset
from reference import make_table, mcse
from structures import STRUCTURES, fit, rows_of

from skhbm import HierarchicalNormalRegressor
from skhbm._prediction import coefficient_intervals

pytestmark = FEW_DRAWS


@pytest.mark.parametrize("name", STRUCTURES)
def test_intervals_hold_nine_tenths_of_the_draws(name):
    model = fit(rows_of(3), **STRUCTURES[name], draws=500, tune=300)
    posterior = dataset(model)
    for term, table in model.shrinkage_.groupby("coefficient"):
        draws = posterior["effect_group"].sel(group_term=term).to_numpy()
        if term != "intercept":
            draws = draws + posterior["coef"].sel(feature=term).to_numpy()[..., None]
        elif "intercept" in posterior:
            draws = draws + posterior["intercept"].to_numpy()[..., None]
        for bound, probability in (("lower", 0.05), ("upper", 0.95)):
            below = (draws <= table[bound].to_numpy()).astype(float)
            # Bounds have an error, too, though draws of effects are not in them.
            error = np.sqrt(2) * mcse(below)
            assert np.all(np.abs(below.mean(axis=(0, 1)) - probability) <= 5 * error)


@pytest.mark.parametrize("evaluations", [10_000_000, 1])
def test_intervals_of_many_groups_are_nearly_exact(many_groups, monkeypatch, evaluations):
    """Their skewness comes from all draws, or from the fewest that are taken."""
    arguments = many_groups._posterior, many_groups._moments(), 0, 0.9
    monkeypatch.setattr(coefficient_intervals, "EXACT", 10_000)
    exact = coefficient_intervals.intervals(*arguments)
    monkeypatch.setattr(coefficient_intervals, "EXACT", 0)
    monkeypatch.setattr(coefficient_intervals, "EVALUATIONS", evaluations)
    approximate = coefficient_intervals.intervals(*arguments)
    sd = many_groups.shrinkage_["sd"].to_numpy().reshape(exact.shape[1:])
    # Some forty draws know the skewness of these mixtures to 0.1, or 0.03 sd.
    assert np.max(np.abs(approximate - exact) / sd) < (0.01 if evaluations > 1 else 0.04)


@pytest.fixture(scope="module", params=[{}, {"varying_slopes": [0]}], ids=["one", "two"])
def many_groups(request):
    table = make_table(np.random.default_rng(7), np.resize([2, 3, 5], 300), 1)
    model = HierarchicalNormalRegressor(
        solver="laplace", draws=500, random_state=0, **request.param
    )
    return model.fit(table.X, table.y, groups=table.codes)
