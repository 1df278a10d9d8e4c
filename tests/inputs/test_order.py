"""Rows are matched by position: another order of the same labels of pandas is warned of."""

import time
import warnings

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS

from skhbm import DataWarning, GroupedStatistics, HierarchicalNormalRegressor, metrics
from skhbm._inputs.order import warn_of_order

pytestmark = FEW_DRAWS

N = 24
RNG = np.random.default_rng(8)
INDEX = pd.Index([f"row {i}" for i in range(N)])
X = pd.DataFrame({"x": RNG.standard_normal(N)}, index=INDEX)
GROUPS = pd.Series(np.repeat(list("abcd"), N // 4), index=INDEX, name="site")
Y = pd.Series(RNG.standard_normal(N) + np.repeat([0.0, 2.0, 4.0, 6.0], N // 4), index=INDEX)
ROWS = {"X": X, "y": Y, "groups": GROUPS}
WEIGHT = pd.Series(np.ones(N), index=INDEX)

IN_ANOTHER_ORDER = r"The index of `{}` has the labels of the index of `{}` in another order"


def estimator(**parameters):
    return HierarchicalNormalRegressor(draws=50, tune=50, random_state=0, **parameters)


@pytest.fixture(scope="module")
def fitted():
    return estimator().fit(**ROWS)


def warned_of(name, reference="X"):
    return pytest.warns(DataWarning, match=IN_ANOTHER_ORDER.format(name, reference))


@pytest.mark.parametrize("name", ["y", "groups", "sample_weight"])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_fit_warns_of_rows_in_another_order(name, method):
    rows = {**ROWS, "sample_weight": WEIGHT}
    rows[name] = rows[name][::-1]
    with warned_of(name):
        getattr(estimator(), method)(**rows)


def test_a_fit_warns_of_known_errors_in_another_order():
    with warned_of("y_err"):
        estimator(residual_scale="known").fit(**ROWS, y_err=WEIGHT[::-1])


def test_all_that_are_in_another_order_are_named_in_one_warning():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator().fit(X[::-1], Y, groups=GROUPS)
    found = [warning for warning in caught if warning.category is DataWarning]
    assert len(found) == 1
    assert str(found[0].message).startswith("The index of `y`, `groups` has the labels of")
    assert found[0].filename == __file__


def test_statistics_of_arrays_warn():
    with warned_of("groups"):
        GroupedStatistics.from_arrays(X, Y, GROUPS[::-1])


CALLS = {
    "predict": lambda model, X, _, groups: model.predict(X, groups),
    "predict_interval": lambda model, X, _, groups: model.predict_interval(X, groups),
    "predict_quantiles": lambda model, X, _, groups: model.predict_quantiles(X, groups),
    "sample_y": lambda model, X, _, groups: model.sample_y(X, groups),
    "log_predictive_density": lambda m, X, y, groups: m.log_predictive_density(X, y, groups),
    "score": lambda model, X, y, groups: model.score(X, y, groups),
    "condition_on": lambda model, X, y, groups: model.condition_on(X, y, groups),
    "log_score": lambda model, X, y, groups: metrics.log_score(model, X, y, groups=groups),
    "r2": lambda model, X, y, groups: metrics.r2(model, X, y, groups=groups),
}


@pytest.mark.parametrize("call", CALLS)
def test_methods_warn_of_groups_in_another_order(fitted, call):
    new = slice(0, 2)
    with warned_of("groups"):
        CALLS[call](fitted, X[new], Y[new], GROUPS[new][::-1])


@pytest.mark.parametrize(
    "call", ["log_predictive_density", "score", "condition_on", "log_score", "r2"]
)
def test_methods_that_take_a_target_warn_of_its_order(fitted, call):
    new = slice(0, 2)
    with warned_of("y"):
        CALLS[call](fitted, X[new], Y[new][::-1], GROUPS[new])


def test_loo_warns_of_a_target_in_another_order(fitted):
    with warned_of("y"), pytest.raises(ValueError, match="The rows are not those of fit"):
        fitted.loo(X, Y[::-1], GROUPS)


def test_without_X_the_target_is_compared_with_the_groups(fitted):
    with warned_of("groups", "y"):
        estimator().fit(None, Y, groups=GROUPS[::-1])


def test_an_entry_of_a_dict_of_groups_is_named():
    with warned_of(r"groups\['a'\]"):
        warn_of_order(X=X, groups={"a": GROUPS[::-1], "b": GROUPS})


SILENT = {
    "the same index": GROUPS,
    "an equal index": GROUPS.set_axis(list(INDEX)),
    "other labels": GROUPS.reset_index(drop=True),
    "some of the labels": GROUPS.set_axis([*INDEX[1:], "new"]),
    "repeated labels": GROUPS.set_axis([*INDEX[1:], INDEX[1]]),
    "an array": GROUPS.to_numpy()[::-1],
    "a list": list(GROUPS),
}


@pytest.mark.parametrize("groups", SILENT.values(), ids=SILENT)
def test_what_has_no_other_order_is_left_alone(groups):
    warn_of_order(X=X, groups=groups)


@pytest.mark.parametrize(
    "index",
    [
        pd.MultiIndex.from_product([range(6), list("abcd")]),
        pd.date_range("2020-01-01", periods=N),
        pd.Index([1, "a", None, 2.5] * 6, dtype=object),
        pd.Index(np.repeat(range(12), 2)),
        pd.CategoricalIndex(list("abcdef") * 4),
    ],
    ids=["several levels", "dates", "objects", "repeated", "categories"],
)
def test_indices_of_any_kind_are_compared(index):
    first, second = X.set_axis(index), GROUPS.set_axis(index)
    warn_of_order(X=first, groups=second)
    with warned_of("groups"):
        warn_of_order(X=first, groups=second.iloc[np.roll(np.arange(N), 1)])


def test_a_million_rows_in_another_order_cost_little():
    n = 1_000_000
    here = pd.Series(np.zeros(n))
    there = here[::-1]
    started = time.process_time()
    with warned_of("groups"):
        warn_of_order(X=here, groups=there)
    assert time.process_time() - started < 1
