"""Statistics in a file: exact, atomic, and nothing that could run."""

import os
import pickle
import re
import warnings
import zipfile
from dataclasses import fields
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hostile import CALL, FOREIGN, HUGE, OBJECTS, foreign, header, npy, rewritten

from skhbm import GroupedStatistics

pytestmark = pytest.mark.filterwarnings("ignore:.*could be read back:UserWarning")

N = 12
RNG = np.random.default_rng(5)
X = pd.DataFrame(RNG.standard_normal((N, 2)), columns=["u", "v"])
Y = RNG.standard_normal(N)


def repeated(labels):
    return [labels[i % len(labels)] for i in range(N)]


def mixed(labels):
    array = np.empty(N, dtype=object)
    array[:] = repeated(labels)
    return array


def assert_equal(actual, expected):
    """Assert equality to the last bit, in dtypes and types of labels too."""
    assert [f.name for f in actual.factors] == [f.name for f in expected.factors]
    for ours, theirs in zip(actual.factors, expected.factors, strict=True):
        assert ours.labels.dtype == theirs.labels.dtype
        assert ours.labels.tolist() == theirs.labels.tolist()
        assert [*map(type, ours.labels.tolist())] == [*map(type, theirs.labels.tolist())]
        assert ours._code_of == theirs._code_of
    for field in fields(expected):
        value, other = getattr(actual, field.name), getattr(expected, field.name)
        if isinstance(other, np.ndarray):
            assert value.dtype == other.dtype
            assert np.array_equal(value, other)
            assert value.flags.writeable
        elif field.name != "factors":
            assert value == other


LABELS = {
    "str": repeated(["b", "a", "ä\n", ""]),
    "int": repeated([3, 1, -(2**53) - 1]),
    "int beyond 64 bits": repeated([2**70, 1]),
    "small int": np.array(repeated([3, 1]), dtype=np.int8),
    "unsigned": np.array(repeated([3, 2**64 - 1]), dtype=np.uint64),
    "float": np.array(repeated([0.1, -0.5, np.inf])),
    "single": np.array(repeated([0.1, -0.5]), dtype=np.float32),
    "bool": repeated([True, False]),
    "dates": np.array(repeated(["2020-01-01", "1850-01-01"]), dtype="M8[D]"),
    "times": np.array(repeated(["2020-01-01T12:00:00.123456789", "2021"]), dtype="M8[ns]"),
    "durations": np.array(repeated([3, 1]), dtype="m8[s]"),
    "mixed": mixed(["1", 1, 1.5, "a"]),
    "bool and str": mixed([True, "True", False]),
    "str of NumPy": np.array(repeated(["b", "abc"])),
    "StringDType": np.array(repeated(["b", "abc"]), dtype=np.dtypes.StringDType()),
    "Int64": pd.array(repeated([3, 1]), dtype="Int64"),
    "Float64": pd.array(repeated([0.5, 1]), dtype="Float64"),
    "boolean": pd.array(repeated([True, False]), dtype="boolean"),
    "string": pd.array(repeated(["b", "a"]), dtype="string"),
    "category": pd.Categorical(repeated(["b", "a"])),
    "category of int": pd.Categorical(repeated([3, 1])),
    "int64[pyarrow]": pd.array(repeated([3, 1]), dtype="int64[pyarrow]"),
    "polars": pl.Series("site", repeated(["b", "a"])),
    "polars Categorical": pl.Series("site", repeated(["b", "a"]), dtype=pl.Categorical),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_read_as_they_were_saved(kind, tmp_path):
    statistics = GroupedStatistics.from_arrays(X, Y, LABELS[kind])
    statistics.save(tmp_path / "site")
    loaded = GroupedStatistics.load(tmp_path / "site")
    assert_equal(loaded, statistics)
    assert_equal(loaded + statistics, statistics + statistics)


SHAPES = {
    "no groups": {"groups": None},
    "no features": {"X": None},
    "features without names": {"X": X.to_numpy()},
    "several factors": {"groups": {"a": repeated([1, 2]), "b": repeated(["x", "y", "z"])}},
    "known errors": {"y_err": np.linspace(0.1, 1, N)},
    "weights": {"sample_weight": np.linspace(0, 1, N)},
    "one row": {"X": None, "y": [1.0], "groups": ["a"]},
}


def make(**arguments):
    return GroupedStatistics.from_arrays(
        **{"X": X, "y": Y, "groups": repeated(["a", "b"]), **arguments}
    )


@pytest.mark.parametrize("case", SHAPES)
def test_statistics_are_read_as_they_were_saved(case, tmp_path):
    statistics = make(**SHAPES[case])
    statistics.save(tmp_path / "site")
    assert_equal(GroupedStatistics.load(tmp_path / "site"), statistics)


def test_merged_statistics_are_read_as_they_were_saved(tmp_path):
    statistics = make() + make(y=Y + 1e6) + make(groups=repeated(["c", "d", "e"]))
    statistics.save(tmp_path / "site")
    assert_equal(GroupedStatistics.load(tmp_path / "site"), statistics)


@pytest.mark.parametrize("as_path", [str, Path, os.fspath])
def test_path_may_be_of_any_kind_and_keeps_its_suffix(as_path, tmp_path):
    make().save(as_path(tmp_path / "site.cells"))
    assert [p.name for p in tmp_path.iterdir()] == ["site.cells"]
    assert_equal(GroupedStatistics.load(as_path(tmp_path / "site.cells")), make())


def test_arrays_can_be_read_by_numpy(tmp_path):
    make().save(tmp_path / "site")
    with np.load(tmp_path / "site", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["mean"], make().mean)


OTHERS = {
    "tuple": (mixed([("a", 1), ("b", 2)]), r"builtins.tuple, such as \('a', 1\) of 'group'"),
    "Timestamp": (
        pd.Series(pd.to_datetime(repeated(["2020", "2021"])).tz_localize("UTC"), name="day"),
        "Timestamp, such as .* of 'day'",
    ),
    "date": (pl.Series("day", repeated(["2020-01-01"])).str.to_date(), "datetime.date, such"),
    "Decimal": (mixed([Decimal(1), Decimal(2)]), "decimal.Decimal, such as"),
    "bytes": (mixed([b"a", b"b"]), "builtins.bytes, such as"),
    "Period": (pd.period_range("2020", periods=N), "Period, such as"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_labels_of_other_types_are_refused_and_leave_the_older_file(kind, tmp_path):
    labels, message = OTHERS[kind]
    make().save(tmp_path / "site")
    with pytest.raises(TypeError, match=f"{message}.*Give the labels as strings"):
        make(groups=labels).save(tmp_path / "site")
    assert_equal(GroupedStatistics.load(tmp_path / "site"), make())
    assert len(list(tmp_path.iterdir())) == 1


def test_save_that_fails_midway_leaves_the_older_file(tmp_path, monkeypatch):
    make().save(tmp_path / "site")

    def fail(member, array, *args, **kwargs):
        member.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", fail)
    with pytest.raises(OSError, match="No space left"):
        make(y=2 * Y).save(tmp_path / "site")
    monkeypatch.undo()
    assert_equal(GroupedStatistics.load(tmp_path / "site"), make())
    assert len(list(tmp_path.iterdir())) == 1


def test_save_replaces_an_older_file(tmp_path):
    make(y=2 * Y).save(tmp_path / "site")
    make().save(tmp_path / "site")
    assert_equal(GroupedStatistics.load(tmp_path / "site"), make())


def test_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        GroupedStatistics.load(tmp_path / "none")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The bytes of a file, and the statistics in it."""
    path = tmp_path_factory.mktemp("sound") / "site"
    groups = {"a": repeated([1, 2]), "b": mixed(["x", 1, "z"])}
    statistics = make(groups=groups)
    statistics.save(path)
    return path.read_bytes(), statistics


REFUSED = re.compile("does not hold statistics as GroupedStatistics.save writes them")


def test_flipped_bytes_never_give_other_statistics(sound, tmp_path):
    """A damaged file is refused, or the byte is in a place without meaning."""
    data, statistics = sound
    rng = np.random.default_rng(0)
    path, refused = tmp_path / "site", 0
    for at in rng.choice(len(data), 400, replace=False):
        damaged = bytearray(data)
        damaged[at] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            loaded = GroupedStatistics.load(path)
        except ValueError as error:
            assert REFUSED.search(str(error))  # noqa: PT017  # or it is not damaged
            refused += 1
        else:
            assert_equal(loaded, statistics)
    assert refused > 300


def test_cut_files_are_refused(sound, tmp_path):
    data, _ = sound
    for size in [*range(0, len(data), 23), len(data) - 1]:
        (tmp_path / "site").write_bytes(data[:size])
        with pytest.raises(ValueError, match=REFUSED):
            GroupedStatistics.load(tmp_path / "site")


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_files_are_refused_and_run_nothing(name, tmp_path):
    (tmp_path / "site").write_bytes(foreign(name, tmp_path))
    with pytest.raises(ValueError, match=REFUSED):
        GroupedStatistics.load(tmp_path / "site")
    assert not (tmp_path / "ran").exists()


def test_the_bomb_would_run(tmp_path):
    pickle.loads(foreign("pickle", tmp_path)).close()
    assert (tmp_path / "ran").exists()


def changed(name):
    """Return a function from sound statistics to one array, changed, as a member."""

    def decorate(change):
        def member(statistics):
            array = getattr(statistics, name).copy()
            result = change(array)
            return {name: npy(array if result is None else result)}

        return member

    return decorate


def put(name, at, value):
    @changed(name)
    def change(array):
        array[at] = value

    return change


def labelled(labels):
    """Return a description of factors in which the second has other labels."""
    return {"about": {"factors": [{"name": "a"}, {"name": "b", "labels": labels}]}}


HOSTILE = {
    "code past the end": put("codes", (0, 0), 9),
    "negative code": put("codes", (0, 0), -1),
    "codes of another dtype": changed("codes")(lambda codes: codes.astype(np.int32)),
    "codes of another shape": changed("codes")(lambda codes: codes[:, 0]),
    "codes of floats": changed("codes")(lambda codes: codes.astype(float)),
    "cells out of order": changed("codes")(lambda codes: codes[::-1]),
    "cells twice": changed("codes")(lambda codes: codes[[0, 0, 2, 3, 4, 5]]),
    "fewer cells": changed("mean")(lambda mean: mean[:-1]),
    "NaN": put("mean", (0, 0), np.nan),
    "infinity": put("cross", (0, 0, 0), np.inf),
    "no rows": put("n", 0, 0.0),
    "negative weight": put("weight", 0, -1.0),
    "another weight": put("weight", 0, 5.0),
    "negative square": put("cross", (0, 1, 1), -1.0),
    "not symmetric": put("cross", (0, 0, 1), 0.123),
    "single precision": changed("mean")(lambda mean: mean.astype(np.float32)),
    "big-endian": changed("mean")(lambda mean: mean.astype(">f8")),
    "no target": changed("mean")(lambda mean: mean[:, :0]),
    "labels of a level that has no rows": {"labels0": npy(np.array([1, 2, 3]))},
    "labels twice": {"labels0": npy(np.array([1, 1]))},
    "labels of NaN": {"labels0": npy(np.array([1.0, np.nan]))},
    "labels of NaT": {"labels0": npy(np.array(["2020", "NaT"], dtype="M8[Y]"))},
    "labels of two dimensions": {"labels0": npy(np.array([[1], [2]]))},
    "no labels": {"labels0": None},
    "labels pickled": {"labels0": npy(np.array([1, None], dtype=object), allow_pickle=True)},
    "labels of records": {"labels0": npy(np.zeros(2, dtype=[("a", int)]))},
    "no mean": {"mean": None},
    "another member": {"more": npy(np.ones(3))},
    "size of a terabyte": {"mean": header(HUGE)},
    "objects": {"n": header(OBJECTS, bytes(48))},
    "a call in a header": {"n": header(CALL, bytes(48))},
    "nothing in a member": {"n": b""},
    "labels of lists": labelled(["x", 1, []]),
    "labels of dicts": labelled(["x", 1, {}]),
    "a missing label": labelled(["x", 1, None]),
    "labels equal across types": labelled(["x", 1, True]),
    "labels of NaN in JSON": labelled(["x", 1, float("nan")]),
    "labels too many": labelled(["x", 1, "z", "zz"]),
    "no factors": {"about": {"factors": []}},
    "factors of one name": {
        "about": {"factors": [{"name": "b"}, {"name": "b", "labels": ["x", 1, "z"]}]}
    },
    "factors of numbers": {"about": {"factors": [1, 2]}},
    "factor without a name": {"about": {"factors": [{}, {}]}},
    "feature names too few": {"about": {"feature_names": ["u"]}},
    "feature names of numbers": {"about": {"feature_names": [1, 2]}},
    "errors known perhaps": {"about": {"known_errors": "perhaps"}},
    "another format": {"about": {"format": "skhbm.Model"}},
    "no version": {"about": {"version": None}},
    "compressed": {"compression": zipfile.ZIP_DEFLATED},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_files_with_wrong_contents_are_refused(case, sound, tmp_path):
    change = HOSTILE[case]
    change = change(sound[1]) if callable(change) else change
    (tmp_path / "site").write_bytes(rewritten(sound[0], **change))
    with pytest.raises(ValueError, match=REFUSED):
        GroupedStatistics.load(tmp_path / "site")


def test_rewriting_a_file_does_not_make_it_wrong(sound, tmp_path):
    (tmp_path / "site").write_bytes(rewritten(sound[0]))
    assert_equal(GroupedStatistics.load(tmp_path / "site"), sound[1])


def test_deep_json_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "site", "w") as archive:
        archive.writestr("about.json", "[" * 100_000)
    with pytest.raises(ValueError, match=REFUSED):
        GroupedStatistics.load(tmp_path / "site")


def test_later_versions_are_named(sound, tmp_path):
    (tmp_path / "site").write_bytes(rewritten(sound[0], about={"version": 2}))
    message = r"in version 2 of its format, but this skhbm reads versions up to 1. Upgrade"
    with pytest.raises(ValueError, match=message):
        GroupedStatistics.load(tmp_path / "site")


P = 3


def cell(n, seed=0):
    """Rows (n, P + 1) of one cell, features and target."""
    return np.random.default_rng(seed).normal(2, 3, size=(n, P + 1))


def statistics_of(Z, **arguments):
    return GroupedStatistics.from_arrays(Z[:, :-1], Z[:, -1], **arguments)


def assert_same_file(statistics, others):
    """Assert equality to rounding: what is saved tells the same of the rows."""
    assert statistics.n.tolist() == others.n.tolist()
    np.testing.assert_allclose(statistics.mean, others.mean, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(statistics.cross, others.cross, rtol=1e-10, atol=1e-10)


def moved(Z, row):
    """Return rows of the same statistics, the first of which is `row`.

    The centred rows are C = U diag(s) V, and `row` is mean + u diag(s) V. With a vector q for
    which q'U = u, q'1 = 1 and q'q = 1, the reflection that swaps q and the first unit vector
    leaves ones alone, is orthogonal, and takes C to rows that start with q'C. There is such
    a q if u'u <= 1 - 1/n and a dimension is left beside ones and the columns of U.
    """
    n, mean = len(Z), Z.mean(axis=0)
    U, s, V = np.linalg.svd(Z - mean, full_matrices=False)
    u = V @ (row - mean) / s
    beside = np.linalg.qr(np.column_stack([np.ones(n), U]), mode="complete")[0][:, -1]
    v = 1 / n + U @ u + np.sqrt(1 - 1 / n - u @ u) * beside
    v[0] -= 1
    return Z - 2 * np.outer(v, v @ (Z - mean)) / (v @ v)


def inside(Z, rng):
    """Return a point within the ellipsoid of the docstring of `save`, uniformly."""
    d = Z.shape[1]
    u = rng.standard_normal(d)
    u *= np.sqrt(1 - 1 / len(Z)) * rng.uniform() ** (1 / d) / np.linalg.norm(u)
    _, s, V = np.linalg.svd(Z - Z.mean(axis=0), full_matrices=False)
    return Z.mean(axis=0) + u * s @ V


def targets_on_the_surface(statistics, x, n):
    """Solve for the two targets of features x with which a row is on the ellipsoid."""
    precision = np.linalg.inv(statistics.cross[0])
    z = np.append(x, 0.0) - statistics.mean[0]
    a, b = precision[-1, -1], 2 * precision[-1] @ z
    root = np.sqrt(b**2 - 4 * a * (z @ precision @ z - 1 + 1 / n))
    return (-b + np.array([-1, 1]) * root) / (2 * a)


LARGE = pytest.mark.parametrize("n", [P + 3, P + 4, 30])


@LARGE
def test_no_row_of_a_large_cell_can_be_read_back(n):
    """Wherever in the ellipsoid a row is said to be, there are data that say the same."""
    Z, rng = cell(n), np.random.default_rng(1)
    for _ in range(50):
        row = inside(Z, rng)
        other = moved(Z, row)
        np.testing.assert_allclose(other[0], row, atol=1e-10)
        assert_same_file(statistics_of(other), statistics_of(Z))


@LARGE
def test_target_of_a_large_cell_cannot_be_read_back_from_features(n):
    """Whoever knows the features of a row is left with an interval for its target."""
    Z = cell(n)
    low, high = targets_on_the_surface(statistics_of(Z), Z[0, :-1], n)
    assert low < Z[0, -1] < high
    for target in np.linspace(low, high, 12)[1:-1]:
        other = moved(Z, np.append(Z[0, :-1], target))
        np.testing.assert_allclose(other[0], [*Z[0, :-1], target], atol=1e-10)
        assert_same_file(statistics_of(other), statistics_of(Z))


def test_one_row_is_read_back():
    Z = cell(1)
    assert np.array_equal(statistics_of(Z).mean, Z)


def test_two_rows_are_read_back_but_for_their_order():
    Z = cell(2)
    statistics = statistics_of(Z)
    values, vectors = np.linalg.eigh(statistics.cross[0])
    half = vectors[:, -1] * np.sqrt(values[-1] / 2)
    read = statistics.mean[0] + np.outer([-1, 1], half)
    order = np.argsort(read[:, 0]), np.argsort(Z[:, 0])
    np.testing.assert_allclose(read[order[0]], Z[order[1]], atol=1e-10)


@pytest.mark.parametrize("n", range(1, P + 2))
def test_targets_of_a_small_cell_are_read_back_from_features(n):
    Z = cell(n)
    cross, mean = statistics_of(Z).cross[0], statistics_of(Z).mean[0]
    slopes = np.linalg.pinv(cross[:-1, :-1], rcond=1e-10, hermitian=True) @ cross[:-1, -1]
    read = mean[-1] + (Z[:, :-1] - mean[:-1]) @ slopes
    np.testing.assert_allclose(read, Z[:, -1], atol=1e-8)


def test_targets_of_the_next_cell_are_one_of_two():
    n = P + 2
    Z = cell(n)
    for row in Z:
        read = targets_on_the_surface(statistics_of(Z), row[:-1], n)
        assert np.abs(read - row[-1]).min() < 1e-8
        assert np.ptp(read) > 1e-3


def warnings_of_save(statistics, path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        statistics.save(path)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("n_features", [0, 1, P])
def test_save_warns_up_to_two_rows_more_than_features(n_features, tmp_path):
    for n in range(1, n_features + 6):
        Z = cell(n)[:, -n_features - 1 :]
        found = warnings_of_save(statistics_of(Z), tmp_path / "site")
        assert len(found) == (n <= n_features + 2)


def test_save_says_how_many_cells_and_what_to_do(tmp_path):
    sizes = [1, 2, P + 2, P + 3, 40]
    groups = np.repeat(np.arange(5), sizes)
    with pytest.warns(UserWarning, match="3 of 5 cells") as caught:
        statistics_of(cell(sum(sizes)), groups=groups).save(tmp_path / "site")
    assert str(caught[0].message) == (
        "3 of 5 cells have no more rows than there are features and 2 (5), or equal rows: "
        "these could be read back from the file. Merge small groups, drop features, or do "
        "not share the file."
    )
    assert caught[0].filename == __file__


def test_save_warns_of_rows_that_are_all_equal(tmp_path):
    Z = np.repeat(cell(1), 50, axis=0)
    assert len(warnings_of_save(statistics_of(Z), tmp_path / "site")) == 1
    Z[:25, -1] += 1
    assert not warnings_of_save(statistics_of(Z), tmp_path / "site")


def test_equal_statistics_are_equal_files(tmp_path):
    """A file tells neither when nor where it was written."""
    for name in "ab":
        make().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
