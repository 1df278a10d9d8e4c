"""Statistics of several grouping factors, and of rows with known errors."""

from functools import reduce
from itertools import pairwise, permutations
from operator import add

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import EPS

from skhbm import GroupedStatistics

LETTERS = np.array(list("dbca"))


def numbers(low=-1e3):
    return st.floats(low, 1e3).map(lambda x: round(x, 3))


@st.composite
def tables(draw, n_features=2):
    """Rows (X, y, groups, weights, errors) of two or three factors, of labels of two kinds."""
    n = draw(st.integers(1, 30))
    F = draw(st.integers(2, 3))
    X = draw(hnp.arrays(np.float64, (n, n_features), elements=numbers()))
    y = draw(hnp.arrays(np.float64, n, elements=numbers()))
    codes = draw(hnp.arrays(np.int64, (n, F), elements=st.integers(0, 3)))
    groups = {"letter": LETTERS[codes[:, 0]], "number": codes[:, 1] - 2}
    if F == 3:
        groups["half"] = codes[:, 2] / 2
    weights = draw(st.none() | hnp.arrays(np.int64, n, elements=st.integers(1, 3)))
    errors = draw(st.none() | hnp.arrays(np.float64, n, elements=numbers(0.1)))
    return X, y, groups, weights, errors


def rows(table, index):
    """Some rows of a table."""
    X, y, groups, *others = table
    chosen = {name: labels[index] for name, labels in groups.items()}
    return X[index], y[index], chosen, *(o if o is None else o[index] for o in others)


class Oracle:
    """Cells by a dict from combinations to rows, moments by their definitions."""

    def __init__(self, X, y, groups, weights, errors):
        frequency = np.ones(len(y)) if weights is None else weights
        precision = frequency if errors is None else frequency / errors**2
        cells = {}
        for i, combination in enumerate(zip(*groups.values(), strict=True)):
            cells.setdefault(combination, []).append(i)
        self.labels = [sorted(set(column.tolist())) for column in groups.values()]
        self.names = list(groups)
        self.combinations = sorted(cells)
        rows_of_cells = [cells[c] for c in self.combinations]
        Z = np.column_stack([X, y])
        self.n = np.array([frequency[i].sum() for i in rows_of_cells])
        self.weight = np.array([precision[i].sum() for i in rows_of_cells])
        self.mean = np.array(
            [np.average(Z[i], axis=0, weights=precision[i]) for i in rows_of_cells]
        )
        apart = [Z[i] - m for i, m in zip(rows_of_cells, self.mean, strict=True)]
        self.cross = np.array(
            [(d.T * precision[i]) @ d for i, d in zip(rows_of_cells, apart, strict=True)]
        )
        self.size = np.abs(Z).max(axis=0) + np.finfo(float).tiny
        #: Of the updates, n EPS of each sum; weights of different size do not add to it.
        self.bound = 8 * len(y) * EPS

    def assert_same(self, actual):
        assert [levels.name for levels in actual.factors] == self.names
        assert [levels.labels.tolist() for levels in actual.factors] == self.labels
        levels = [levels.labels.tolist() for levels in actual.factors]
        cells = [
            tuple(v[c] for v, c in zip(levels, code, strict=True)) for code in actual.codes
        ]
        assert cells == self.combinations
        assert actual.n.tolist() == self.n.tolist()
        np.testing.assert_allclose(actual.weight, self.weight, rtol=self.bound)
        assert np.all(np.abs(actual.mean - self.mean) <= self.bound * self.size)
        scale = self.weight[:, None, None] * np.outer(self.size, self.size)
        assert np.all(np.abs(actual.cross - self.cross) <= 4 * self.bound * scale)
        assert np.array_equal(actual.cross, actual.cross.mT)


@given(tables())
def test_one_pass_gives_the_moments_of_each_combination(table):
    statistics = GroupedStatistics.from_arrays(*table)
    Oracle(*table).assert_same(statistics)
    assert statistics.known_errors == (table[-1] is not None)


@given(tables(), st.lists(st.integers(1, 29), max_size=4), st.randoms(use_true_random=False))
def test_batches_in_any_order_give_the_statistics_of_all_rows(table, cuts, random):
    n = len(table[1])
    bounds = [0, *sorted(c for c in set(cuts) if c < n), n]
    parts = [
        GroupedStatistics.from_arrays(*rows(table, slice(a, b))) for a, b in pairwise(bounds)
    ]
    random.shuffle(parts)
    Oracle(*table).assert_same(reduce(add, parts))


@given(tables())
def test_cells_of_one_factor_are_those_of_a_pass_with_it_alone(table):
    X, y, groups, weights, errors = table
    statistics = GroupedStatistics.from_arrays(*table)
    for f, name in enumerate(groups):
        alone = Oracle(X, y, {name: groups[name]}, weights, errors)
        alone.assert_same(statistics.of_factor(f))


@given(tables())
def test_the_first_factor_has_the_levels(table):
    statistics = GroupedStatistics.from_arrays(*table)
    assert statistics.levels is statistics.factors[0]


@given(tables())
def test_order_of_rows_changes_nothing_but_rounding(table):
    backwards = GroupedStatistics.from_arrays(*rows(table, slice(None, None, -1)))
    Oracle(*table).assert_same(backwards)


def test_of_factor_of_one_factor_or_none_is_itself():
    first = GroupedStatistics.from_arrays(None, [1.0, 2.0], ["a", "b"])
    none = GroupedStatistics.from_arrays(None, [1.0, 2.0])
    assert first.of_factor(0) is first
    assert none.of_factor(0) is none


def test_more_combinations_than_integers_count():
    """Codes of five factors of 20,000 levels do not fit into one integer of 64 bits."""
    rng = np.random.default_rng(11)
    n = 20_000
    groups = np.column_stack([rng.permutation(n) for _ in range(5)])
    y = rng.standard_normal(n)
    half = slice(0, n // 2), slice(n // 2, n)
    total = reduce(add, (GroupedStatistics.from_arrays(None, y[h], groups[h]) for h in half))
    order = np.lexsort(groups.T[::-1])
    assert np.array_equal(total.codes, groups[order])
    assert np.array_equal(total.mean[:, 0], y[order])


def test_known_errors_weigh_by_their_squares_and_count_as_rows():
    statistics = GroupedStatistics.from_arrays(
        None, [1.0, 4.0], ["a", "a"], sample_weight=[1, 2], y_err=[0.5, 2.0]
    )
    assert statistics.n.tolist() == [3.0]
    assert statistics.weight.tolist() == [4.0 + 2 / 4]
    assert statistics.mean[0, 0] == pytest.approx((4 * 1.0 + 0.5 * 4.0) / 4.5)


def test_rows_of_weight_zero_are_no_cells():
    groups = {"a": ["x", "x", "y"], "b": [1, 2, 3]}
    statistics = GroupedStatistics.from_arrays(
        None, [1.0, 2.0, 3.0], groups, sample_weight=[1, 0, 2], y_err=[1.0, 1.0, 2.0]
    )
    assert statistics.codes.tolist() == [[0, 0], [1, 1]]
    assert statistics.factors[1].labels.tolist() == [1, 3]


def test_kinds_of_labels_that_are_equal_meet_in_the_sum():
    def part(labels):
        groups = {"a": ["x", "y"], "b": labels}
        return GroupedStatistics.from_arrays(None, [1.0, 2.0], groups)

    kinds = [
        [1, 2],
        np.array([1.0, 2.0]),
        np.array([1, 2], dtype=np.uint8),
        pd.array([1, 2], dtype="Int64"),
        pl.Series([1, 2]),
        pd.Categorical([1, 2], categories=[2, 1]),
    ]
    for first, second in permutations(kinds, 2):
        total = part(first) + part(second)
        assert total.n.tolist() == [2.0, 2.0]
        assert total.factors[1].labels.tolist() == [1, 2]


@pytest.mark.parametrize("units", [("D", "D"), ("D", "ns"), ("s", "D")])
def test_dates_stay_dates_in_the_sum(units):
    days = np.array(["2020-01-01", "2021-01-01", "2020-01-02"], dtype="M8[D]")
    parts = days[:2].astype(f"M8[{units[0]}]"), days[1:].astype(f"M8[{units[1]}]")
    first, second = (GroupedStatistics.from_arrays(None, [1.0, 2.0], days) for days in parts)
    labels = (first + second).levels.labels
    assert labels.dtype.kind == "M"
    assert np.array_equal(labels, np.sort(days))


SCHOOLS, CLASSES = ["n", "n", "s", "s", "s"], [1, 2, 1, 2, 2]
X, Y = np.arange(10.0).reshape(5, 2), np.array([1.0, 4.0, 2.0, 8.0, 5.0])
PAIRS = [[s, c] for s, c in zip(SCHOOLS, CLASSES, strict=True)]
FRAME = pd.DataFrame({"school": SCHOOLS, "class": CLASSES})
#: Ways to give two factors, and their names.
CHANNELS = {
    "array": (np.array(PAIRS, dtype=object), ["group0", "group1"]),
    "Fortran array": (np.array(PAIRS, dtype=object, order="F"), ["group0", "group1"]),
    "list of lists": (PAIRS, ["group0", "group1"]),
    "tuple of lists": (tuple(PAIRS), ["group0", "group1"]),
    "pandas": (FRAME, ["school", "class"]),
    "pandas, other index": (FRAME.set_index(np.arange(5) + 3), ["school", "class"]),
    "pandas, extension types": (FRAME.convert_dtypes(), ["school", "class"]),
    "pandas, categories": (FRAME.astype("category"), ["school", "class"]),
    "pandas, numbered": (FRAME.set_axis([0, 1], axis=1), ["0", "1"]),
    "polars": (pl.DataFrame(FRAME.to_dict("list")), ["school", "class"]),
    "dict of lists": ({"school": SCHOOLS, "class": CLASSES}, ["school", "class"]),
    "dict of arrays": (
        {"school": np.array(SCHOOLS), "class": np.array(CLASSES)},
        ["school", "class"],
    ),
    "dict of Series of other names": (
        {"school": pd.Series(SCHOOLS, name="x"), "class": pl.Series("y", CLASSES)},
        ["school", "class"],
    ),
}


@pytest.mark.parametrize("channel", CHANNELS)
def test_channels_of_several_factors(channel):
    groups, names = CHANNELS[channel]
    statistics = GroupedStatistics.from_arrays(X, Y, groups)
    assert [levels.name for levels in statistics.factors] == names
    assert [list(levels.labels) for levels in statistics.factors] == [["n", "s"], [1, 2]]
    assert statistics.codes.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert statistics.n.tolist() == [1, 1, 1, 2]
    assert statistics.mean[-1].tolist() == [7.0, 8.0, 6.5]


LONE = {
    "list": (SCHOOLS, "group"),
    "array": (np.array(SCHOOLS), "group"),
    "(n, 1) array": (np.array(SCHOOLS)[:, None], "group"),
    "list of lists of one": ([[s] for s in SCHOOLS], "group"),
    "Series": (pd.Series(SCHOOLS), "group"),
    "named Series": (pd.Series(SCHOOLS, name="school"), "school"),
    "polars Series": (pl.Series("school", SCHOOLS), "school"),
    "frame": (FRAME[["school"]], "school"),
    "polars frame": (pl.DataFrame({"school": SCHOOLS}), "school"),
    "dict": ({"school": SCHOOLS}, "school"),
}


@pytest.mark.parametrize("channel", LONE)
def test_channels_of_one_factor(channel):
    groups, name = LONE[channel]
    statistics = GroupedStatistics.from_arrays(X, Y, groups)
    assert [levels.name for levels in statistics.factors] == [name]
    assert statistics.n.tolist() == [2, 3]


def test_tuples_are_labels_of_one_factor():
    statistics = GroupedStatistics.from_arrays(X, Y, [tuple(pair) for pair in PAIRS])
    assert [list(levels.labels) for levels in statistics.factors] == [
        [("n", 1), ("n", 2), ("s", 1), ("s", 2)]
    ]


def test_names_of_features_are_taken_as_scikit_learn_does():
    named = pd.DataFrame(X, columns=["u", "v"])
    assert GroupedStatistics.from_arrays(named, Y).feature_names == ("u", "v")
    assert GroupedStatistics.from_arrays(pd.DataFrame(X), Y).feature_names is None


def with_missing(value):
    return {"school": SCHOOLS, "class": [1, value, 1, 2, 2]}


GROUPS = {
    "dict of different lengths": (
        {"school": SCHOOLS, "class": CLASSES[:-1]}, ValueError,
        r"`groups\['class'\]` has 4 entries but `X` has 5 rows; they must be equal",
    ),
    "list of arrays": (
        [np.array(SCHOOLS), np.array(CLASSES)], TypeError,
        "one row per sample. Got a list of 2 objects of type ndarray: give several factors as "
        "a dict",
    ),
    "tuple of Series of different lengths": (
        (pd.Series(SCHOOLS), pd.Series(CLASSES[:-1])), TypeError,
        "one row per sample. Got a tuple of 2 objects of type Series: give",
    ),
    "factors as rows": (
        np.array(PAIRS, dtype=object).T, ValueError,
        r"must have shape \(n_samples, n_factors\), with n_samples=5. Got shape \(2, 5\): "
        "transpose it",
    ),
    "factors as lists": (
        [SCHOOLS, CLASSES], ValueError, r"Got shape \(2, 5\): transpose it",
    ),
    "rows of different lengths": (
        [["n", 1], ["n"], ["s"], ["s", 2], ["s", 2]], TypeError,
        r"must hold hashable labels, or as many of them in each row .* of lengths \[1, 2\]",
    ),
    "columns of one name": (
        FRAME.set_axis(["school", "school"], axis=1), ValueError,
        r"several columns named \['school'\]. Give each factor its own name",
    ),
    "columns 1 and '1'": (
        {1: SCHOOLS, "1": CLASSES}, ValueError, r"several columns named \['1'\]",
    ),
    "frame without columns": (
        FRAME[[]], ValueError, "`groups` has no columns. Leave it out to fit without groups",
    ),
    "polars frame without columns": (pl.DataFrame(), ValueError, "`groups` has no columns"),
    "array without columns": (np.empty((5, 0)), ValueError, "`groups` has no columns"),
    "empty dict": ({}, ValueError, "`groups` has no columns"),
    "lazy frame": (
        pl.LazyFrame(FRAME.to_dict("list")), TypeError,
        "must hold labels in memory: .* Got polars LazyFrame; collect it first",
    ),
    "no labels of a factor": (
        {"school": SCHOOLS, "class": None}, ValueError,
        r"The labels of \['class'\] are missing. Pass them in `groups`",
    ),
    "one label for all": (
        {"school": SCHOOLS, "class": "x"}, ValueError,
        r"`groups\['class'\]` must be one label per row, of shape \(5,\). Got shape \(\)",
    ),
    "two columns in a dict": (
        {"school": SCHOOLS, "class": np.array(PAIRS)}, ValueError,
        r"`groups\['class'\]` must be one label per row, of shape \(5,\). Got shape \(5, 2\)",
    ),
    "three dimensions": (
        np.zeros((5, 2, 2)), ValueError, r"must be one label per row, .* shape \(5, 2, 2\)",
    ),
    "missing labels": (
        with_missing(None), ValueError,
        r"`groups\['class'\]` has 1 missing labels of 5. Drop these rows, or give them a label",
    ),
    "NaN": (with_missing(np.nan), ValueError, r"`groups\['class'\]` has 1 missing labels of 5"),
    "NA": (
        pd.DataFrame(with_missing(None)).convert_dtypes(), ValueError,
        r"`groups\['class'\]` has 1 missing labels of 5",
    ),
    "null": (
        pl.DataFrame(with_missing(None)), ValueError,
        r"`groups\['class'\]` has 1 missing labels of 5",
    ),
    "labels that cannot be hashed": (
        with_missing({2}), TypeError,
        r"`groups\['class'\]` must hold hashable labels .*unhashable type: 'set'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GROUPS)
def test_groups_that_cannot_be_are_named(case):
    groups, error, message = GROUPS[case]
    with pytest.raises(error, match=message):
        GroupedStatistics.from_arrays(X, Y, groups)


def with_error(value):
    return [1.0, value, 1.0, 1.0, 1.0]


KNOWN_ERRORS = {
    "zero": (with_error(0), "must be positive: .* Got 1 of 5 that are zero or negative, .* 0"),
    "negative": (with_error(-2.5), "Got 1 of 5 that are zero or negative, the least -2.5"),
    "NaN": (with_error(np.nan), "Input y_err contains NaN"),
    "None": (with_error(None), "Input y_err contains NaN"),
    "infinite": (with_error(np.inf), "Input y_err contains infinity"),
    "words": (with_error("x"), "`y_err` must be numeric: it holds standard errors"),
    "too short": (np.ones(4), r"must have shape \(5,\). Got \(4,\); give one standard error"),
    "two columns": (np.ones((5, 2)), r"must have shape \(5,\). Got \(5, 2\)"),
    "one for all": (1.0, r"must have shape \(5,\). Got 1.0; give one per row"),
    "so small that weights overflow": (with_error(1e-200), "must lie between 1e-60 and 1e"),
    "so large that weights vanish": (with_error(1e200), "must lie between 1e-60 and 1e"),
}


@pytest.mark.parametrize("case", KNOWN_ERRORS)
def test_known_errors_that_cannot_be_are_named(case):
    errors, message = KNOWN_ERRORS[case]
    with pytest.raises(ValueError, match=message):
        GroupedStatistics.from_arrays(X, Y, FRAME, y_err=errors)


def statistics_of(X=X, groups=FRAME, **arguments):
    return GroupedStatistics.from_arrays(X, Y, groups, **arguments)


NAMED = pd.DataFrame(X, columns=["u", "v"])
UNLIKE = {
    "number of features": (
        {}, {"X": X[:, :1]}, "the same features .* Got 2 and 1 features. Give X the same",
    ),
    "names of features": (
        {"X": NAMED}, {"X": NAMED.set_axis(["u", "w"], axis=1)},
        r"Got \['u', 'v'\] and \['u', 'w'\]. Give X the same columns, in the same order",
    ),
    "order of features": (
        {"X": NAMED}, {"X": NAMED[["v", "u"]]},
        r"in the same order, can be merged. Got \['u', 'v'\] and \['v', 'u'\]",
    ),
    "names of factors": (
        {}, {"groups": FRAME.set_axis(["school", "form"], axis=1)},
        r"same grouping factors, .* Got \['school', 'class'\] and \['school', 'form'\]. Pass",
    ),
    "order of factors": (
        {}, {"groups": FRAME[["class", "school"]]},
        r"Got \['school', 'class'\] and \['class', 'school'\]. Pass `groups` with the same",
    ),
    "number of factors": (
        {}, {"groups": FRAME["school"]}, r"Got \['school', 'class'\] and \['school'\]",
    ),
    "no factors": ({}, {"groups": None}, r"Got \['school', 'class'\] and \[\]"),
    "known errors": (
        {}, {"y_err": np.ones(5)},
        r"known errors \(`y_err`\) cannot be merged .* Give `y_err` for all rows or for none",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNLIKE)
def test_statistics_that_are_not_alike_do_not_merge(case):
    first, second, message = UNLIKE[case]
    first, second = statistics_of(**first), statistics_of(**second)
    before = [(s.n.copy(), s.mean.copy(), s.cross.copy()) for s in (first, second)]
    with pytest.raises(ValueError, match=message):
        first + second
    with pytest.raises(ValueError, match="merged"):
        second + first
    for statistics, kept in zip((first, second), before, strict=True):
        now = statistics.n, statistics.mean, statistics.cross
        assert all(np.array_equal(a, b) for a, b in zip(now, kept, strict=True))


def test_names_of_features_are_kept_from_the_part_that_has_them():
    assert (statistics_of() + statistics_of(NAMED)).feature_names == ("u", "v")
    assert (statistics_of(NAMED) + statistics_of()).feature_names == ("u", "v")


def test_statistics_add_to_statistics_only():
    with pytest.raises(TypeError, match="unsupported operand"):
        statistics_of() + 1


def test_statistics_of_sites_are_summed():
    X, y, groups = np.arange(12.0).reshape(6, 2), np.arange(6.0), list("aabbcc")
    parts = [GroupedStatistics.from_arrays(X[i::2], y[i::2], groups[i::2]) for i in (0, 1)]
    total = sum(parts)
    np.testing.assert_array_equal(total.n, (parts[0] + parts[1]).n)
    with pytest.raises(TypeError, match="unsupported operand"):
        1 + parts[0]


def test_representation_shows_no_values():
    statistics = GroupedStatistics.from_arrays(
        np.array([[1.25], [2.5], [7.75]]), [3.5, 4.25, 8.5], {"site": ["a", "a", "b"]}
    )
    expected = "<GroupedStatistics: 3 rows in 2 cells, groups: 2 of 'site', 1 features>"
    assert repr(statistics) == expected
