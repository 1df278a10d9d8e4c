"""Rows become cells, once: what adds, what does not matter, and to how many digits."""

import dataclasses
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import EPS

from skhbm import GroupedStatistics, HierarchicalNormalRegressor

N_ROWS = 1237


def numbers(width=64):
    return st.floats(-1e3, 1e3, width=width).map(lambda x: round(x, 3))


@st.composite
def tables(draw, max_rows=40, n_features=2):
    """Rows (X, y, groups), of up to four groups."""
    n = draw(st.integers(1, max_rows))
    X = draw(hnp.arrays(np.float64, (n, n_features), elements=numbers()))
    y = draw(hnp.arrays(np.float64, n, elements=numbers()))
    groups = draw(hnp.arrays(np.int64, n, elements=st.integers(0, 3)))
    return X, y, groups


def assert_same(actual, expected, size):
    """Compare within what West's and Chan's updates lose: n EPS of each sum (1983, table 1).

    `size` (d,) is the largest number in each column.
    """
    assert list(actual.levels.labels) == list(expected.levels.labels)
    n = expected.n.sum()
    bound = 4 * n * EPS
    np.testing.assert_allclose(actual.n, expected.n, rtol=bound)
    assert np.all(np.abs(actual.mean - expected.mean) <= bound * size)
    cross = np.abs(actual.cross - expected.cross)
    assert np.all(cross <= 4 * bound * n * np.outer(size, size))


def sizes(X, y):
    return np.append(np.abs(X).max(axis=0), np.abs(y).max()) + np.finfo(float).tiny


@given(tables(), st.lists(st.integers(0, 40), max_size=4))
def test_statistics_of_disjoint_rows_add(table, cuts):
    X, y, groups = table
    bounds = [0, *sorted(c for c in set(cuts) if 0 < c < len(y)), len(y)]
    parts = [
        GroupedStatistics.from_arrays(X[a:b], y[a:b], groups[a:b]) for a, b in pairwise(bounds)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    assert_same(total, GroupedStatistics.from_arrays(X, y, groups), sizes(X, y))


@given(tables(), tables())
def test_merging_is_commutative(first, other):
    a, b = GroupedStatistics.from_arrays(*first), GroupedStatistics.from_arrays(*other)
    assert_same(a + b, b + a, np.maximum(sizes(*first[:2]), sizes(*other[:2])))


@given(tables(), tables(), tables())
def test_merging_is_associative(first, second, third):
    a, b, c = (GroupedStatistics.from_arrays(*t) for t in (first, second, third))
    size = np.max([sizes(*t[:2]) for t in (first, second, third)], axis=0)
    assert_same((a + b) + c, a + (b + c), size)


@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(table, random):
    X, y, groups = table
    order = list(range(len(y)))
    random.shuffle(order)
    shuffled = GroupedStatistics.from_arrays(X[order], y[order], groups[order])
    assert_same(shuffled, GroupedStatistics.from_arrays(X, y, groups), sizes(X, y))


@given(tables(), st.data())
def test_a_weight_is_how_often_a_row_counts(table, data):
    X, y, groups = table
    weights = data.draw(hnp.arrays(np.int64, len(y), elements=st.integers(1, 4)))
    repeated = (np.repeat(a, weights, axis=0) for a in (X, y, groups))
    weighted = GroupedStatistics.from_arrays(X, y, groups, weights)
    assert_same(weighted, GroupedStatistics.from_arrays(*repeated), sizes(X, y))


@given(tables())
def test_rows_of_weight_zero_are_as_if_not_given(table):
    X, y, groups = table
    more = np.vstack([X, np.full((1, X.shape[1]), 7.0)])
    weights = np.append(np.ones(len(y)), 0.0)
    weighted = GroupedStatistics.from_arrays(
        more, np.append(y, 9.0), np.append(groups, 99), weights
    )
    assert_same(weighted, GroupedStatistics.from_arrays(X, y, groups), sizes(X, y))


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def rows(rng):
    """The rows are enough for two chunks."""
    n = 70_001
    return rng.standard_normal((n, 3)), rng.standard_normal(n), rng.integers(0, 5, n)


def test_float32_input_accumulates_in_float64(rows):
    X, y, groups = rows
    X = (X + 1000).astype(np.float32)
    single = GroupedStatistics.from_arrays(X, y, groups)
    double = GroupedStatistics.from_arrays(X.astype(np.float64), y, groups)
    assert np.array_equal(single.cross, double.cross)
    assert np.array_equal(single.mean, double.mean)


@pytest.mark.parametrize(
    "arrange",
    [np.asfortranarray, lambda X: X[::-1][::-1], lambda X: np.repeat(X, 2, axis=1)[:, ::2]],
    ids=["Fortran order", "negative strides", "every second column"],
)
def test_memory_order_does_not_matter(rows, arrange):
    X, y, groups = rows
    arranged = GroupedStatistics.from_arrays(arrange(X), y, groups)
    assert np.array_equal(arranged.cross, GroupedStatistics.from_arrays(X, y, groups).cross)


def test_chunks_inside_one_call_are_one_pass(rows):
    X, y, groups = rows
    statistics = GroupedStatistics.from_arrays(X, y, groups)
    table = np.column_stack([X, y])
    for j in range(5):
        inside = table[groups == j]
        inside = inside - inside.mean(axis=0)
        np.testing.assert_allclose(
            statistics.cross[j],
            inside.T @ inside,
            rtol=1e-10,
            atol=len(inside) * EPS * len(inside),
        )


@pytest.mark.parametrize("n_parts", [1, 7])
def test_moments_keep_their_digits_far_from_zero(rng, n_parts):
    """Against exact rational arithmetic.

    Updating formulas lose n kappa EPS, kappa = |mean| / sd = 1e8 (Chan et al. 1983, table 1);
    sums of raw squares would lose n kappa^2 EPS, all digits.
    """
    n = 210
    X = 1e8 + rng.standard_normal((n, 1))
    y = -3e8 + 2 * rng.standard_normal(n)
    parts = np.array_split(np.arange(n), n_parts)
    total = GroupedStatistics.from_arrays(X[parts[0]], y[parts[0]])
    for part in parts[1:]:
        total = total + GroupedStatistics.from_arrays(X[part], y[part])
    columns = [[Fraction(float(v)) for v in column] for column in (X[:, 0], y)]
    means = [sum(column) / n for column in columns]
    bound = n * 3e8 * EPS
    for a in range(2):
        assert abs(total.mean[0, a] - float(means[a])) <= 4 * n * EPS * abs(float(means[a]))
        for b in range(2):
            exact = sum(
                (u - means[a]) * (v - means[b])
                for u, v in zip(columns[a], columns[b], strict=True)
            )
            scale = n * (1 + a) * (1 + b)
            assert abs(total.cross[0, a, b] - float(exact)) <= bound * scale


def test_groups_of_either_part_are_groups_of_the_sum():
    a = GroupedStatistics.from_arrays([[1.0], [2.0]], [1.0, 2.0], ["b", "c"])
    b = GroupedStatistics.from_arrays([[3.0], [4.0]], [3.0, 4.0], ["c", "a"])
    total = a + b
    assert list(total.levels.labels) == ["a", "b", "c"]
    assert total.n.tolist() == [1.0, 1.0, 2.0]
    assert total.mean.tolist() == [[4.0, 4.0], [1.0, 1.0], [2.5, 2.5]]
    assert total.cross[2].tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_labels_of_different_lengths_are_not_cut_in_the_sum():
    a = GroupedStatistics.from_arrays(None, [1.0], ["a"])
    b = GroupedStatistics.from_arrays(None, [2.0], ["abc"])
    assert list((b + a).levels.labels) == ["a", "abc"]


def test_labels_of_different_kinds_meet_in_the_sum():
    a = GroupedStatistics.from_arrays(None, [1.0, 2.0], [1, 2])
    b = GroupedStatistics.from_arrays(None, [3.0], np.array([2], dtype=np.int8))
    assert (a + b).n.tolist() == [1.0, 2.0]


def test_labels_beyond_64_bits_of_either_sign_stay_apart():
    """Integers below and above 2^63 have no common integer dtype in NumPy."""
    a = GroupedStatistics.from_arrays(None, [1.0, 2.0], [-1, 1])
    large = np.array([2**63 + 1, 2**63 + 2], dtype=np.uint64)
    b = GroupedStatistics.from_arrays(None, [3.0, 4.0], large)
    assert list((a + b).levels.labels) == [-1, 1, 2**63 + 1, 2**63 + 2]
    mixed = GroupedStatistics.from_arrays(None, [1.0, 2.0, 3.0], [0, 2**63 + 1, 2**63 + 2])
    assert list(mixed.levels.labels) == [0, 2**63 + 1, 2**63 + 2]


def test_merging_leaves_its_parts_as_they_were():
    a = GroupedStatistics.from_arrays([[1.0], [2.0]], [1.0, 5.0], ["a", "a"])
    before = a.cross.copy()
    a + a
    assert np.array_equal(a.cross, before)


def test_from_arrays_leaves_its_input_as_it_was(rng):
    X, y, w = rng.standard_normal((9, 2)), rng.standard_normal(9), 1 + rng.uniform(size=9)
    before = X.copy(), y.copy(), w.copy()
    GroupedStatistics.from_arrays(X, y, np.arange(9) % 2, w)
    assert all(np.array_equal(a, b) for a, b in zip((X, y, w), before, strict=True))


ONE = np.ones((3, 1))
Y = [1.0, 2.0, 3.0]
ERRORS = {
    "lengths of X and y": ((ONE, [1.0, 2.0]), ValueError, "3 rows but `y` has 2 entries"),
    "length of groups": (
        (ONE, Y, ["a", "b"]), ValueError,
        "`groups` has 2 entries but `X` has 3 rows",
    ),
    "NaN in X": (([[np.nan], [1.0], [2.0]], Y), ValueError, "X contains NaN"),
    "infinite X": (([[np.inf], [1.0], [2.0]], Y), ValueError, "X contains infinity"),
    "NaN in y": ((ONE, [1.0, np.nan, 3.0]), ValueError, "y contains NaN"),
    "infinite y": ((ONE, [1.0, np.inf, 3.0]), ValueError, "y contains infinity"),
    "y not numeric": ((ONE, ["a", "b", "c"]), ValueError, "`y` must be numeric"),
    "y with two columns": ((ONE, np.ones((3, 2))), ValueError, "y should be a 1d array"),
    "missing label": (
        (ONE, Y, ["a", None, "b"]), ValueError, "`groups` has 1 missing labels of 3",
    ),
    "labels that cannot be hashed": (
        (ONE, Y, [[1], [2, 3], [4]]), TypeError, "must hold hashable labels",
    ),
    "negative weight": (
        (ONE, Y, None, [1.0, -2.0, 1.0]), ValueError,
        "Got 1 negative weights, the least -2",
    ),
    "weights all zero": (
        (ONE, Y, None, [0.0, 0.0, 0.0]), ValueError, "is zero for every row",
    ),
    "NaN weight": (
        (ONE, Y, None, [1.0, np.nan, 1.0]), ValueError, "sample_weight contains NaN",
    ),
    "length of weights": (
        (ONE, Y, None, [1.0, 1.0]), ValueError, r"must have shape \(3,\). Got \(2,\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_bad_rows_are_refused_with_a_sentence(case):
    arguments, error, message = ERRORS[case]
    with pytest.raises(error, match=message):
        GroupedStatistics.from_arrays(*arguments)


def test_statistics_of_different_features_do_not_merge():
    a = GroupedStatistics.from_arrays(np.ones((2, 1)), [1.0, 2.0])
    b = GroupedStatistics.from_arrays(np.ones((2, 2)), [1.0, 2.0])
    with pytest.raises(ValueError, match="Got 1 and 2 features"):
        a + b


def arrays_of(thing, path="model", seen=None):
    """Yield every array that can be reached from an object, with where it is."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, str | bytes | int | float | complex | type(None)):
        return
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        yield path, thing.shape
        if thing.dtype == object:
            for i, value in enumerate(thing.flat):
                yield from arrays_of(value, f"{path}[{i}]", seen)
    elif isinstance(thing, pd.DataFrame | pd.Series | pd.Index):
        yield path, thing.shape
    elif isinstance(thing, xr.DataTree):
        for node in thing.subtree:
            for name, variable in node.to_dataset().variables.items():
                yield f"{path}.{node.path}.{name}", variable.shape
    elif isinstance(thing, dict):
        for key, value in thing.items():
            yield from arrays_of(value, f"{path}[{key!r}]", seen)
            yield from arrays_of(key, f"key of {path}", seen)
    elif isinstance(thing, list | tuple | set | frozenset):
        yield path, (len(thing),)
        for i, value in enumerate(thing):
            yield from arrays_of(value, f"{path}[{i}]", seen)
    else:
        state = dict(getattr(thing, "__dict__", {}))
        if dataclasses.is_dataclass(thing):
            state |= {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)}
        for name, value in state.items():
            yield from arrays_of(value, f"{path}.{name}", seen)


PARAMETERS = [
    {},
    {"varying_slopes": "all"},
    {"residual_scale": "by_group"},
    {"varying_slopes": {"group": "all", "batch": [0]}},
    {"residual_scale": "known"},
]


@pytest.fixture(scope="module", params=PARAMETERS, ids=str)
def fitted(request):
    rng = np.random.default_rng(8)
    codes = rng.integers(0, 7, N_ROWS)
    X = rng.standard_normal((N_ROWS, 2))
    noise = (0.5 + codes / 7) * rng.standard_normal(N_ROWS)
    y = X[:, 0] + rng.standard_normal(7)[codes] + noise
    model = HierarchicalNormalRegressor(random_state=0, **request.param)
    known = np.ones(N_ROWS) if model.residual_scale == "known" else None
    groups = codes
    if isinstance(model.varying_slopes, dict):
        groups = {"group": codes, "batch": rng.integers(0, 4, N_ROWS)}
    model.fit(X, y, groups=groups, sample_weight=np.ones(N_ROWS), y_err=known)
    return model, X, groups


def with_axis_of_rows(thing):
    return [(path, shape) for path, shape in arrays_of(thing) if N_ROWS in shape]


def test_walk_finds_arrays_with_an_axis_of_rows(fitted):
    model, X, _ = fitted
    kept = {"a": [model, (X,)]}
    assert with_axis_of_rows(kept) == [("model['a'][1][0]", X.shape)]


def test_no_array_of_a_fitted_estimator_has_an_axis_of_rows(fitted):
    model, X, groups = fitted
    model.predict(X, groups, return_std=True)
    found = list(arrays_of(model))
    assert len(found) > 20
    assert with_axis_of_rows(model) == []


@pytest.mark.parametrize(
    "name", ["posterior_", "shrinkage_", "variance_components_", "groups_"]
)
def test_no_table_of_a_fitted_estimator_has_an_axis_of_rows(fitted, name):
    assert with_axis_of_rows(getattr(fitted[0], name)) == []


def test_no_constant_of_the_pymc_model_has_an_axis_of_rows(fitted):
    from pytensor.graph.traversal import ancestors

    model = fitted[0].model_
    variables = ancestors([*model.basic_RVs, *model.deterministics, *model.potentials])
    constants = [v.data for v in variables if hasattr(v, "data")]
    assert len(constants) > 5
    assert with_axis_of_rows([np.asarray(c) for c in constants]) == []
    assert with_axis_of_rows(model.rvs_to_values[model["statistics"]].data) == []


def test_rows_of_wide_tables_are_summed_in_the_order_of_their_group(monkeypatch):
    """They are taken group by group, which changes no bit of any sum."""
    rng = np.random.default_rng(0)
    X, y = 1e3 + rng.standard_normal((400, 40)), rng.standard_normal(400)
    codes = rng.integers(0, 30, 400)
    sums = []
    for wide in (0, 1000):
        monkeypatch.setattr("skhbm._statistics.reduction.WIDE", wide)
        sums.append(GroupedStatistics.from_arrays(X, y, codes))
    for name in ("n", "mean", "cross"):
        np.testing.assert_array_equal(getattr(sums[0], name), getattr(sums[1], name))
