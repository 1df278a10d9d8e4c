"""Patterns of rows against a dict of rows, and the laws of their sums."""

import pickle
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skhbm._families.table import FAMILIES
from skhbm._inputs.archive import Kind, read_archive, write_archive
from skhbm._inputs.levels import as_factors, split_factors
from skhbm._inputs.rows import FitRows
from skhbm._statistics import alike
from skhbm._statistics.patterns import Patterns, patterns_of_rows
from skhbm._statistics.patterns_file import pack_patterns, unpack_patterns

LETTERS = np.array(list("dbca"))
FIELDS = ("codes", "X", "y", "size", "weight", "n")


@st.composite
def tables(draw, max_rows=30):
    """Rows (X, y, size, factors, weights), many of them alike."""
    n = draw(st.integers(1, max_rows))
    few = st.sampled_from([-1.5, -0.0, 0.0, 2.0])
    X = draw(hnp.arrays(np.float64, (n, draw(st.integers(0, 2))), elements=few))
    y = draw(hnp.arrays(np.float64, n, elements=st.sampled_from([0.0, 1.0, 3.0])))
    size = draw(hnp.arrays(np.float64, n, elements=st.sampled_from([3.0, 5.5])))
    codes = draw(hnp.arrays(np.int64, (n, draw(st.integers(0, 2))), elements=st.integers(0, 3)))
    weights = draw(st.none() | hnp.arrays(np.float64, n, elements=st.integers(1, 3)))
    return X, y, size, codes, weights


def patterns(table, additive, index=slice(None)):
    X, y, size, codes, weights = (a if a is None else a[index] for a in table)
    labels = [("letter", LETTERS[codes[:, 0]])] if codes.shape[1] else []
    labels += [("number", codes[:, 1] - 2)] if codes.shape[1] == 2 else []
    return patterns_of_rows(FitRows(X, y, labels, weights), size, additive=additive)


def labelled(p):
    """Patterns as a dict from (labels, X, and y, size) to (sums or nothing, weight, n)."""
    out = {}
    for i in range(len(p)):
        labels = tuple(
            levels.labels.tolist()[c] for levels, c in zip(p.factors, p.codes[i], strict=True)
        )
        key, value = (labels, *p.X[i]), (p.y[i], p.size[i])
        key, value = (key, value) if p.additive else ((*key, *value), ())
        assert key not in out
        out[key] = (*value, p.weight[i], p.n[i])
    return out


def oracle(table, additive):
    X, y, size, codes, weights = table
    sums = defaultdict(lambda: np.zeros(3))
    for i in range(len(y)):
        w = 1.0 if weights is None else weights[i]
        labels = (LETTERS[codes[i, 0]].item(),) if codes.shape[1] else ()
        labels += (codes[i, 1].item() - 2,) if codes.shape[1] == 2 else ()
        key = (labels, *X[i]) if additive else (labels, *X[i], y[i], size[i])
        sums[key] += w * np.array([y[i], size[i], 1.0])
    if additive:
        return {key: (s[0], s[1], 1.0, s[2]) for key, s in sums.items()}
    return {key: (s[2], s[2]) for key, s in sums.items()}


def assert_same(first, second):
    assert [f.name for f in first.factors] == [f.name for f in second.factors]
    for ours, theirs in zip(first.factors, second.factors, strict=True):
        assert ours.labels.tolist() == theirs.labels.tolist()
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.additive == second.additive
    assert first.feature_names == second.feature_names


@given(tables(), st.booleans())
def test_rows_that_are_alike_are_one(table, additive):
    found = patterns(table, additive)
    assert labelled(found) == oracle(table, additive)
    steps = np.diff(found.codes, axis=0).tolist()
    assert all(next((s for s in step if s), 0) >= 0 for step in steps)
    assert found.n_features == table[0].shape[1]
    assert found.X.dtype == found.y.dtype == np.float64


@given(tables(), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(table, additive, random):
    order = list(range(len(table[1])))
    random.shuffle(order)
    assert_same(patterns(table, additive), patterns(table, additive, order))


@given(tables(), st.booleans(), st.lists(st.integers(1, 29), max_size=4))
def test_batches_add_to_the_whole(table, additive, cuts):
    n = len(table[1])
    bounds = [0, *sorted(c for c in set(cuts) if c < n), n]
    parts = [patterns(table, additive, slice(a, b)) for a, b in pairwise(bounds)]
    assert_same(sum(parts), patterns(table, additive))
    assert_same(sum(parts[::-1]), patterns(table, additive))


@given(tables(), st.booleans())
def test_a_weight_repeats_a_row(table, additive):
    X, y, size, codes, weights = table
    repeats = np.ones(len(y), int) if weights is None else weights.astype(int)
    index = np.repeat(np.arange(len(y)), repeats)
    repeated = (*(a[index] for a in (X, y, size, codes)), None)
    assert_same(patterns(table, additive), patterns(repeated, additive))
    extra = tuple(np.concatenate([a, a[:1]]) for a in (X, y, size, codes))
    zero = np.concatenate([repeats, [0.0]])
    extra[1][-1] = 3.0 if y[0] != 3.0 else 0.0
    assert_same(patterns(table, additive), patterns((*extra, zero), additive))


@given(tables(), st.booleans())
def test_orders_by_a_factor_bring_its_groups_together(table, additive):
    p = patterns(table, additive)
    for f in range(max(len(p.factors), 1)):
        order, starts = p.order_by(f), p.starts(f)
        assert sorted(order) == list(range(len(p)))
        assert starts[0] == 0
        assert starts[-1] == len(p)
        for group, (start, end) in enumerate(pairwise(starts)):
            some = order[start:end]
            assert len(some) > 0
            assert np.all(np.diff(some) > 0)
            assert not p.factors or np.all(p.codes[some, f] == group)


@given(tables(), st.booleans())
def test_rows_of_one_hash_are_told_apart(table, additive):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alike, "FIRST", np.uint64(0))
        assert labelled(patterns(table, additive)) == oracle(table, additive)


@pytest.mark.parametrize("name", ["binomial", "poisson", "negative_binomial"])
def test_the_likelihood_of_patterns_is_that_of_rows(name):
    family, rng, n = FAMILIES[name], np.random.default_rng(0), 200
    X = rng.integers(0, 2, (n, 2)).astype(float)
    group, weights = rng.integers(0, 5, n), rng.integers(1, 4, n).astype(float)
    size = rng.integers(1, 4, n).astype(float)
    dispersion = tuple(np.full(len(family.dispersion), 1.7))
    y = family.draw(rng, size, X.sum(axis=1), dispersion)
    rows = FitRows(X, y, [("g", group)], weights)
    p = patterns_of_rows(rows, size, additive=family.additive)
    assert len(p) == 20 if family.additive else 20 < len(p) < n

    def totals(coef, effects):
        eta, eta_p = X @ coef + effects[group], p.X @ coef + effects[p.codes[:, 0]]
        by_row = np.sum(weights * family.log_density(y, size, eta, dispersion))
        by_pattern = np.sum(p.weight * family.log_density(p.y, p.size, eta_p, dispersion))
        return by_row - by_pattern

    draws = [totals(rng.normal(size=2), rng.normal(size=5)) for _ in range(3)]
    np.testing.assert_allclose(draws, draws[0], rtol=1e-11, atol=1e-9)
    if not family.additive:
        assert draws[0] == pytest.approx(0.0, abs=1e-9)


def test_names_and_kinds_must_agree():
    def some(additive=True, features=2, name="g", names=None):
        rows = FitRows(np.ones((3, features)), np.ones(3), [(name, [1, 2, 2])], names=names)
        rows = rows._replace(factors=as_factors(split_factors({name: [1, 2, 2]}), 3))
        return patterns_of_rows(rows, additive=additive)

    with pytest.raises(ValueError, match="same response"):
        some() + some(additive=False)
    with pytest.raises(ValueError, match="Got 2 and 1 features"):
        some() + some(features=1)
    with pytest.raises(ValueError, match="same grouping factors"):
        some() + some(name="h")
    with pytest.raises(ValueError, match="in the same order"):
        some(names=("a", "b")) + some(names=("b", "a"))
    with pytest.raises(TypeError):
        add(some(), 1)
    assert (some() + some(names=("a", "b"))).feature_names == ("a", "b")
    assert repr(some()) == "<Patterns: 2 of 3 rows, groups: 2 of 'g', 2 features>"


def example(additive=True):
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 4, (50, 2))
    codes[:4] = np.arange(4)[:, None]
    table = (rng.integers(0, 2, (50, 2)).astype(float), np.ones(50), np.ones(50), codes, None)
    return replace(patterns(table, additive), feature_names=("a", "b"))


def test_patterns_survive_a_pickle_packed():
    p = example()
    assert_same(p, pickle.loads(pickle.dumps(p)))
    rng = np.random.default_rng(0)
    rows = FitRows(np.ones((20_000, 3)), np.ones(20_000), [("g", rng.permutation(20_000))])
    p = patterns_of_rows(rows, additive=True)
    assert len(pickle.dumps(p)) < 0.2 * sum(getattr(p, name).nbytes for name in FIELDS)
    assert_same(p, pickle.loads(pickle.dumps(p)))


KIND = Kind("test.patterns", 1, "patterns")


def through_a_file(path, about, arrays):
    write_archive(path, KIND, about, arrays)
    return read_archive(path, KIND, unpack_patterns)


@pytest.mark.parametrize("additive", [True, False])
def test_patterns_survive_a_file(tmp_path, additive):
    p = example(additive)
    assert_same(p, through_a_file(tmp_path / "a", *pack_patterns(p)))
    alone = patterns_of_rows(FitRows(np.ones((3, 1)), np.arange(3.0), []), additive=additive)
    assert_same(alone, through_a_file(tmp_path / "b", *pack_patterns(alone)))


def put(index, value):
    def change(array):
        array[index] = value
        return array

    return change


DAMAGED_ARRAYS = [
    ("codes", put((0, 0), -1)),
    ("codes", put((-1, 1), 4)),
    ("codes", put((0, 0), 3)),
    ("codes", lambda a: a[::-1]),
    ("codes", lambda a: a[:, :1]),
    ("codes", lambda a: a[:-1]),
    ("codes", lambda a: a.astype(np.int32)),
    ("codes", lambda a: a[:0]),
    ("X", put((0, 0), np.nan)),
    ("X", lambda a: a[:-1]),
    ("X", lambda a: a[:, 0]),
    ("X", lambda a: a[:, :1]),
    ("X", lambda a: a.astype(np.float32)),
    ("y", put(0, np.inf)),
    ("y", lambda a: a[:-1]),
    ("y", lambda a: a[:, None]),
    ("size", put(0, 0.0)),
    ("size", put(0, -1.0)),
    ("weight", put(0, 2.5)),
    ("n", put(0, 0.0)),
]
DAMAGED_WORDS = [
    {"additive": 1},
    {"additive": None},
    {"feature_names": ["a"]},
    {"feature_names": [1, 2]},
    {"factors": [{"name": "letter"}]},
    {"factors": {}},
]


@pytest.mark.parametrize("damage", range(len(DAMAGED_ARRAYS)))
def test_damaged_arrays_are_refused(tmp_path, damage):
    about, arrays = pack_patterns(example())
    name, change = DAMAGED_ARRAYS[damage]
    arrays[name] = change(arrays[name].copy())
    with pytest.raises(ValueError, match="does not hold patterns"):
        through_a_file(tmp_path / "a", about, arrays)


@pytest.mark.parametrize("damage", range(len(DAMAGED_WORDS)))
def test_damaged_descriptions_are_refused(tmp_path, damage):
    about, arrays = pack_patterns(example())
    with pytest.raises(ValueError, match="does not hold patterns"):
        through_a_file(tmp_path / "a", about | DAMAGED_WORDS[damage], arrays)


def test_all_members_are_needed_and_no_others(tmp_path):
    about, arrays = pack_patterns(example())
    for members in (
        {name: a for name, a in arrays.items() if name != "n"},
        arrays | {"more": np.ones(1)},
    ):
        with pytest.raises(ValueError, match="does not hold patterns"):
            through_a_file(tmp_path / "a", about, members)


def test_many_rows_in_float32():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(5000, 2)).astype(np.float32)
    group = rng.integers(0, 70, 5000)
    p = patterns_of_rows(FitRows(X, np.ones(5000), [("g", group)]), additive=True)
    assert isinstance(p, Patterns)
    assert len(p) == 5000
    order = np.lexsort([X[:, 0], group])
    ours = np.lexsort([p.X[:, 0], p.codes[:, 0]])
    np.testing.assert_array_equal(p.X[ours], X[order].astype(float))
