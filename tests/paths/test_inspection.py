"""Permutation importance and partial dependence, of features and of the labels themselves."""

import numpy as np
import polars as pl
import pytest
from marks import FEW_DRAWS
from paths import FRAME, SITE, TABLE, Y, assert_same, by_column, by_keyword
from sklearn.inspection import partial_dependence, permutation_importance

pytestmark = FEW_DRAWS

NUMBERS = SITE.astype("category").cat.codes
#: Tables whose labels are of another kind, and the column of labels.
TABLES = {
    "words": (TABLE, "site"),
    "categories": (TABLE.astype({"site": "category"}), "site"),
    "pyarrow's words": (TABLE.astype({"site": "string[pyarrow]"}), "site"),
    "integers": (TABLE.assign(site=NUMBERS), "site"),
    "nullable integers": (TABLE.assign(site=NUMBERS.astype("Int64")), "site"),
    "an array of numbers": (TABLE.assign(site=NUMBERS).to_numpy(), 2),
    "an array of objects": (TABLE.to_numpy(), 2),
}


@pytest.fixture(scope="module")
def hand():
    return by_keyword().fit(FRAME, Y, groups=SITE)


def fit(kind):
    table, column = TABLES[kind]
    return by_column(group_features=column).fit(table, Y), table


@pytest.fixture(scope="module")
def importances(hand):
    """Drops of the score at permuted columns (3, 2): labels are permuted as groups are."""
    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max + 1)
    base = hand.score(FRAME, Y, groups=SITE)
    drops = np.empty((3, 2))
    for k, name in enumerate(TABLE):
        rng, order = np.random.RandomState(seed), np.arange(len(Y))
        column = TABLE[name].to_numpy()
        for i in range(2):
            rng.shuffle(order)
            column = column[order]  # Permuted again, as it is left by the first time.
            permuted = TABLE.assign(**{name: column})
            drops[k, i] = base - hand.score(permuted[["age", "dose"]], Y, permuted["site"])
    return drops


@pytest.mark.parametrize("kind", TABLES)
def test_permutation_importance_is_the_loop_by_hand(kind, importances):
    model, table = fit(kind)
    result = permutation_importance(model, table, Y, n_repeats=2, random_state=0)
    assert_same(result.importances, importances)


# scikit-learn makes an array of a polars table.
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_permutation_importance_of_a_polars_table_is_the_loop_by_hand(importances):
    table = pl.from_pandas(TABLE)
    model = by_column().fit(table, Y)
    result = permutation_importance(model, table, Y, n_repeats=2, random_state=0)
    assert_same(result.importances, importances)


def test_permutation_importance_without_labels_warns(hand):
    with pytest.warns(UserWarning, match="give the labels as a column of X"):
        permutation_importance(hand, FRAME, Y, n_repeats=1)


def test_permutation_importance_takes_labels_from_a_scorer(hand, importances):
    def score(model, X, y):
        return model.score(X, y, groups=SITE)

    result = permutation_importance(hand, FRAME, Y, scoring=score, n_repeats=2, random_state=0)
    assert_same(result.importances, importances[:2])


@pytest.mark.parametrize("kind", TABLES)
def test_partial_dependence_of_a_feature_is_the_loop_by_hand(kind, hand):
    model, table = fit(kind)
    result = partial_dependence(model, table, [1], grid_resolution=4)
    expected = [
        hand.predict(FRAME.assign(dose=dose), groups=SITE).mean()
        for dose in result["grid_values"][0]
    ]
    assert_same(result["average"][0], expected)


@pytest.mark.parametrize("kind", TABLES)
def test_partial_dependence_of_the_labels_is_the_loop_by_hand(kind, hand):
    model, table = fit(kind)
    result = partial_dependence(model, table, [2], categorical_features=[2])
    assert list(result["grid_values"][0]) == list(model.groups_)
    expected = [
        hand.predict(FRAME, groups=[site] * len(Y)).mean() for site in sorted(set(SITE))
    ]
    assert_same(result["average"][0], expected)


def test_partial_dependence_by_group_is_that_of_each_row(hand):
    model, table = fit("words")
    result = partial_dependence(model, table, ["dose"], kind="individual", grid_resolution=3)
    expected = [
        hand.predict(FRAME.assign(dose=dose), groups=SITE) for dose in result["grid_values"][0]
    ]
    assert_same(result["individual"][0], np.transpose(expected))


def test_partial_dependence_without_labels_warns(hand):
    with pytest.warns(UserWarning, match="give the labels as a column of X"):
        partial_dependence(hand, FRAME, ["dose"], grid_resolution=2)
