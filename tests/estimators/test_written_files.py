"""Files that 0.1.0 wrote can be read, and predict what they predicted then, to rounding.

`tests/data` holds an estimator with one factor, a slope and explicit priors; one with two
factors, conditioned on rows of a new group; and statistics of two factors.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skhbm import GroupedStatistics, HierarchicalNormalRegressor, Prior

DATA = Path(__file__).parents[1] / "data"
WRITTEN = json.loads((DATA / "written.json").read_text())
X = pd.DataFrame(WRITTEN["X"])
ROUNDING = {"rtol": 1e-9, "atol": 1e-12}


@pytest.mark.parametrize("name", ["one_factor", "two_factors"])
def test_estimators_predict_as_when_they_were_written(name):
    model, then = HierarchicalNormalRegressor.load(DATA / f"{name}.skhbm"), WRITTEN[name]
    mean, std = model.predict(X, then["groups"], return_std=True)
    np.testing.assert_allclose(mean, then["mean"], **ROUNDING)
    np.testing.assert_allclose(std, then["std"], **ROUNDING)
    intervals = model.predict_interval(X, then["groups"])
    np.testing.assert_allclose(intervals, then["interval"], rtol=1e-6)
    assert model.diagnostics_["pareto_k"] == then["pareto_k"]


def test_parameters_come_back():
    model = HierarchicalNormalRegressor.load(DATA / "one_factor.skhbm")
    assert model.varying_slopes == ["dose"]
    assert model.priors["coef"] == {"dose": Prior("Normal", mu=0, sigma=2)}
    assert list(model.feature_names_in_) == ["age", "dose"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_conditioned_estimator_can_be_conditioned_again():
    model = HierarchicalNormalRegressor.load(DATA / "two_factors.skhbm")
    again = model.condition_on(X[:1], [4.0], {"site": ["e"], "year": [2021]})
    assert list(again.groups_["site"]) == ["a", "b", "c", "d", "e"]


def test_statistics_are_as_they_were_written():
    statistics, then = GroupedStatistics.load(DATA / "statistics.skhbm"), WRITTEN["statistics"]
    assert [list(levels.labels) for levels in statistics.factors] == [
        then["site"],
        then["year"],
    ]
    assert statistics.codes.tolist() == then["codes"]
    assert statistics.n.tolist() == then["n"]
    assert statistics.mean[:, -1].tolist() == then["mean of y"]
    assert statistics.cross[:, -1, -1].tolist() == then["square of y"]
