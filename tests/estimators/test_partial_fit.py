"""Fits add up: batches, sites and files give the posterior of one fit on all rows."""

import pickle
from functools import reduce
from itertools import permutations
from operator import add

import joblib
import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS
from posteriors import assert_same_draws, dataset
from reference import assert_equal_to_rounding

from skhbm import GroupedStatistics, HierarchicalNormalRegressor

pytestmark = FEW_DRAWS

N, N_GROUPS = 240, 12
RNG = np.random.default_rng(41)
#: Rows are in the order of their groups, so that later batches bring new labels.
CODES = np.sort(RNG.integers(0, N_GROUPS, N))
GROUPS = pd.Series([f"g{code:02d}" for code in CODES], name="site")
X = pd.DataFrame(RNG.standard_normal((N, 2)), columns=["u", "v"])
Y = X.to_numpy() @ [1.0, -0.5] + RNG.normal(0, 2, N_GROUPS)[CODES] + RNG.standard_normal(N)
BATCHES = [slice(0, 90), slice(90, 100), slice(100, N)]


def estimator(**parameters):
    return HierarchicalNormalRegressor(
        **{"draws": 100, "tune": 200, "random_state": 0} | parameters
    )


def rows(batch):
    return X[batch], Y[batch], GROUPS[batch]


def statistics_of(batch=slice(None)):
    return GroupedStatistics.from_arrays(*rows(batch))


def assert_same_fit(actual, expected):
    assert_same_draws(actual, expected)
    assert list(actual.groups_) == list(expected.groups_)
    assert actual.n_features_in_ == expected.n_features_in_
    assert list(actual.feature_names_in_) == list(expected.feature_names_in_)
    for mean, other in zip(
        actual.predict(X, GROUPS, return_std=True),
        expected.predict(X, GROUPS, return_std=True),
        strict=True,
    ):
        assert_equal_to_rounding(mean, other)


@pytest.fixture(scope="module")
def whole():
    return estimator().fit(X, Y, groups=GROUPS)


def in_batches(order, **parameters):
    model = estimator(**parameters)
    for batch in order:
        model.partial_fit(*rows(batch))
    return model


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_batches_in_any_order_give_the_posterior_of_all_rows(order, whole):
    assert_same_fit(in_batches([BATCHES[i] for i in order]), whole)


def test_batches_of_varying_slopes():
    parameters = {"varying_slopes": ["u"], "correlated": False}
    batches = in_batches(BATCHES, **parameters)
    assert_same_fit(batches, estimator(**parameters).fit(X, Y, groups=GROUPS))


@pytest.mark.parametrize(
    "as_labels", [list, np.array, pd.Categorical, lambda labels: pd.Series(labels.to_numpy())]
)
def test_labels_of_a_batch_may_come_in_any_container(as_labels, whole):
    model = estimator()
    for batch in BATCHES:
        model.partial_fit(X[batch], Y[batch], groups=as_labels(GROUPS[batch]))
    assert_equal_to_rounding(model.coef_, whole.coef_)
    assert list(model.groups_) == list(whole.groups_)


def test_a_factor_may_get_its_name_later(whole):
    model = estimator().partial_fit(X[:90], Y[:90], groups=list(GROUPS[:90]))
    model.partial_fit(X[90:], Y[90:], groups=GROUPS[90:])
    assert_equal_to_rounding(model.coef_, whole.coef_)


def test_labels_as_a_column_come_in_batches_too(whole):
    table = X.assign(site=GROUPS)
    model = estimator(group_features="site")
    for batch in BATCHES:
        model.partial_fit(table[batch], Y[batch])
    assert_equal_to_rounding(model.coef_, whole.coef_)
    assert_equal_to_rounding(model.predict(table), whole.predict(X, GROUPS))


def test_weights_of_batches(whole):
    """The first half counts twice, by its weight or by a second batch."""
    half = slice(0, N // 2)
    twice = estimator().fit(X, Y, GROUPS).partial_fit(*rows(half))
    weighted = estimator().fit(X, Y, GROUPS, sample_weight=1 + (np.arange(N) < N // 2))
    assert_same_fit(twice, weighted)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_statistics_of_sites_give_the_posterior_of_all_rows(order, whole):
    total = reduce(add, (statistics_of(BATCHES[i]) for i in order))
    assert_same_fit(estimator().fit_statistics(total), whole)


@pytest.mark.filterwarnings("ignore:.*could be read back:UserWarning")
def test_saved_statistics_of_sites_give_the_posterior_of_all_rows(whole, tmp_path):
    for i, batch in enumerate(BATCHES):
        statistics_of(batch).save(tmp_path / str(i))
    total = reduce(add, (GroupedStatistics.load(tmp_path / str(i)) for i in range(3)))
    assert_same_fit(estimator().fit_statistics(total), whole)


def test_rows_may_follow_statistics(whole):
    model = estimator().fit_statistics(statistics_of(BATCHES[2]))
    model.partial_fit(*rows(BATCHES[0])).partial_fit(*rows(BATCHES[1]))
    assert_same_fit(model, whole)


def test_the_first_partial_fit_is_a_fit(whole):
    first = estimator().partial_fit(X, Y, groups=GROUPS)
    assert dataset(first).equals(dataset(whole))


def test_fit_after_partial_fit_forgets(whole):
    model = in_batches(BATCHES[:2]).fit(X, Y, groups=GROUPS)
    assert dataset(model).equals(dataset(whole))


def test_partial_fit_goes_on_after_pickling(whole):
    model = pickle.loads(pickle.dumps(in_batches(BATCHES[:2])))
    assert_same_fit(model.partial_fit(*rows(BATCHES[2])), whole)


def test_partial_fit_without_groups():
    with pytest.warns(UserWarning, match="Fitted without groups"):
        parts = estimator().partial_fit(X[:90], Y[:90]).partial_fit(X[90:], Y[90:])
    with pytest.warns(UserWarning, match="Fitted without groups"):
        whole = estimator().fit(X, Y)
    assert_equal_to_rounding(parts.coef_, whole.coef_)


def nan_at(values):
    changed = np.array(values, dtype=float)
    changed[3] = np.nan
    return changed


#: Arguments of a partial fit, and what the error says.
BATCH = {
    "NaN in X": ({"X": X.mask(X.eq(X["u"][3]))}, "Input X contains NaN"),
    "NaN in y": ({"y": nan_at(Y)}, "Input y contains NaN"),
    "missing label": ({"groups": [None, *GROUPS[1:]]}, "has 1 missing labels of 240"),
    "more features": ({"X": X.assign(w=0.0)}, "Feature names unseen at fit time:\n- w"),
    "other features": (
        {"X": X.rename(columns={"u": "w"})}, "Feature names unseen at fit time:\n- w",
    ),
    "features in another order": ({"X": X[["v", "u"]]}, "must be in the same order"),
    "more features without names": (
        {"X": np.zeros((N, 3))}, "X has 3 features, but .* expecting 2 features",
    ),
    "no features": ({"X": None}, "X is None, but the model was fitted with 2 columns"),
    "more factors": (
        {"groups": pd.DataFrame({"site": GROUPS, "year": CODES})},
        r"grouping factors \['site'\]. Got 2 factors named .*'year'",
    ),
    "another factor": (
        {"groups": GROUPS.rename("year")},
        "fitted with the grouping factor 'site'. Got 'year': pass `groups` named as in fit",
    ),
    "no groups": ({"groups": None}, r"The labels of \['site'\] are missing"),
    "known errors": (
        {"y_err": np.ones(N)}, "cannot be merged with statistics without",
    ),
    "wrong length of errors": ({"y_err": np.ones(3)}, r"`y_err` must have shape \(240,\)"),
    "wrong length of groups": ({"groups": GROUPS[:-1]}, "has 239 entries but `X` has 240"),
    "wrong length of weights": ({"sample_weight": [1.0]}, r"must have shape \(240,\)"),
    "no y": ({"y": None}, "the target y is None"),
}  # fmt: skip


def state(model):
    """Return all that is fitted, in three ways."""
    return joblib.hash(model), pickle.dumps(model), model.predict(X, GROUPS, return_std=True)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("case", BATCH)
def test_failed_partial_fit_leaves_the_estimator_as_it_was(case):
    arguments, message = BATCH[case]
    model = in_batches(BATCHES[:2])
    before = state(model)
    with pytest.raises(ValueError, match=message):
        model.partial_fit(**{"X": X, "y": Y, "groups": GROUPS, **arguments})
    after = state(model)
    assert after[:2] == before[:2]
    assert all(np.array_equal(a, b) for a, b in zip(after[2], before[2], strict=True))


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("case", BATCH)
def test_partial_fit_goes_on_after_a_failed_one(case, whole):
    arguments, message = BATCH[case]
    model = in_batches(BATCHES[:2])
    with pytest.raises(ValueError, match=message):
        model.partial_fit(**{"X": X, "y": Y, "groups": GROUPS, **arguments})
    model.partial_fit(*rows(BATCHES[2]))
    assert_equal_to_rounding(model.coef_, whole.coef_)


NOT_STATISTICS = {
    "rows": ((X, Y), TypeError, "must be GroupedStatistics, .* Got tuple"),
    "None": (None, TypeError, "must be GroupedStatistics, .* Got NoneType"),
    "a class": (GroupedStatistics, TypeError, "must be GroupedStatistics, .* Got type"),
    "one row": (
        GroupedStatistics.from_arrays(None, [1.0], ["a"]), ValueError,
        "A fit needs at least 2 rows. The statistics are of 1",
    ),
    "constant target": (
        GroupedStatistics.from_arrays(None, [1.0] * 4, [*"aabb"]), ValueError,
        "`y` is constant",
    ),
    "known errors": (
        GroupedStatistics.from_arrays(None, Y, GROUPS, y_err=np.ones(N)), ValueError,
        "`y_err` was given, but residual_scale='shared' estimates",
    ),
    "a group for each row": (
        GroupedStatistics.from_arrays(None, Y, np.arange(N)), ValueError,
        r"as many levels as there are rows \(240\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_STATISTICS)
def test_what_are_no_statistics_to_fit_is_said_and_changes_nothing(case):
    statistics, error, message = NOT_STATISTICS[case]
    model = in_batches(BATCHES[:1])
    before = state(model)
    with pytest.raises(error, match=message):
        model.fit_statistics(statistics)
    assert state(model)[:2] == before[:2]


def test_statistics_have_no_column_of_labels():
    with pytest.raises(ValueError, match="`group_features` names columns of X, but statistics"):
        estimator(group_features="site").fit_statistics(statistics_of())
