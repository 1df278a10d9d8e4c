"""Whatever a user may pass: strategies of hypothesis, and what may come of it.

``SKHBM_PROFILE=skhbm-long`` in the environment draws a hundred times as many examples, other
ones each time.

Rows are drawn as a table that could be fitted, and then spoiled in some of its parts: nearly
all of what is drawn blindly would be refused at the first check.
"""

import contextlib
import math
import traceback
import warnings
from collections import namedtuple
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from hypothesis import settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError


def examples(n):
    """Settings for n examples; as many times more as the profile has more than usual."""
    return settings(max_examples=n * settings.default.max_examples // 50)


#: Classes that may be raised, no subclasses: a LinAlgError, say, is a ValueError too.
ALLOWED = (ValueError, TypeError, NotFittedError, InvalidParameterError)

Pair = namedtuple("Pair", "left right")


class Opaque:
    """An object that is nothing in particular, and says so in a long repr."""

    __slots__ = ()


class NoTruth(Opaque):
    """An object whose comparisons have no truth value, as those of arrays."""

    __hash__ = Opaque.__hash__

    def __eq__(self, other):
        return np.array([True, False])


def outcome(call, *args, **kwargs):
    """Call; return what it returns, or the error if it is one that users may see.

    Any other error is raised, and so are warnings of NumPy. An error of these classes counts if
    the line that raises it is a ``raise`` of the package or of scikit-learn, with words.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return call(*args, **kwargs)
        except ALLOWED as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            said = type(error) in ALLOWED and len(str(error).split()) >= 4
            home = any(f"/{name}/" in last.filename for name in ("skhbm", "sklearn"))
            if not (said and home and last.line.lstrip().startswith("raise")):
                raise
            return error


# Numbers, and what is taken for them.

NUMBERS = [
    0.0, -0.0, 1.0, -1.0, 5e-324, 1e-308, 1e-160, 1e-8, 1e8, 1e15, 1e16, 1e154, 1e200, 1.7e308,
    math.nan, math.inf, -math.inf,
]  # fmt: skip
OBJECTS = [
    None, "a", "", "1", "nan", b"a", True, 2**70, -(2**63), 1 + 2j, Decimal("0.1"),
    Decimal("NaN"), Fraction(1, 3), date(2020, 1, 1), datetime(2020, 1, 1), timedelta(1),
    pd.NA, pd.NaT, np.datetime64("2020"), np.timedelta64(1, "D"), (1, 2), [1, 2], {"a": 1},
    {1}, Opaque(), NoTruth(), len, int, np.ones(2), np.ones((2, 2)), np.array(1.0),
    np.float32(1.5), np.int8(3), np.bool_(True), range(3), "é" * 1000, "\0", "\ud800",
]  # fmt: skip
anything = st.sampled_from([*NUMBERS, *OBJECTS, 0, 1, 2, -1, [], {}, (), "all", "x0", "group"])


def with_entry(array, position, value):
    """Return a copy with one entry changed, of objects if it must be."""
    changed = np.array(array, dtype=type(value) if isinstance(value, float) else object)
    place = np.unravel_index(position % max(changed.size, 1), changed.shape)
    if changed.size:
        changed[place] = value
    return changed


# Functions that ignore their argument are named by what they return instead.
WHOLE = {
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(a.tolist()),
    "float32": lambda a: a.astype(np.float32),
    "float16": lambda a: a.astype(np.float16),
    "longdouble": lambda a: a.astype(np.longdouble),
    "big endian": lambda a: a.astype(">f8"),
    "int64": lambda a: np.round(10 * a).astype(np.int64),
    "int8": lambda a: np.round(10 * a).astype(np.int8),
    "uint64": lambda a: np.round(10 * a).astype(np.int64).astype(np.uint64),
    "bool": lambda a: a > 0,
    "object": lambda a: a.astype(object),
    "complex": lambda a: a + 0j,
    "text": lambda a: a.astype(str),
    "words": lambda a: np.full(a.shape, "word"),
    "bytes": lambda a: a.astype("S"),
    "dates": lambda a: np.round(a).astype(np.int64).astype("M8[D]"),
    "durations": lambda a: np.round(a).astype(np.int64).astype("m8[s]"),
    "masked": lambda a: np.ma.masked_array(a, mask=a > 0),
    "read-only": lambda a: np.frombuffer(a.tobytes()).reshape(a.shape),
    "negative strides": lambda a: a[::-1],
    "record": lambda a: np.zeros(a.shape, dtype=[("a", float), ("b", int)]),
    "constant": lambda a: np.full(a.shape, 3.7),
    "zeros": lambda a: np.zeros(a.shape),
    "huge": lambda a: 1e300 * a,
    "large": lambda a: 1e155 * a,
    "tiny": lambda a: 1e-300 * a,
    "small": lambda a: 1e-160 * a,
    "subnormal": lambda a: 1e-320 * a,
    "far": lambda a: 1e12 + a,
    "too far": lambda a: 1e17 + a,
    "huge and constant": lambda a: np.full(a.shape, 1.5e308),
    "no rows": lambda a: a[:0],
    "one row": lambda a: a[:1],
    "two rows": lambda a: a[:2],
    "one too few": lambda a: a[:-1],
    "scalar": lambda a: 1.0,
    "one more axis": lambda a: a[..., None],
    "two more axes": lambda a: a[..., None, None],
    "flat": lambda a: a.ravel(),
    "transposed": lambda a: a.T,
    "None": lambda a: None,
    "a word": lambda a: "word",
    "an object": lambda a: Opaque(),
    "generator": lambda a: (x for x in a),
    "dict": lambda a: {"a": a, "b": a},
    "set": lambda a: {1.0, 2.0},
    "ragged": lambda a: [[1.0], [2.0, 3.0], *a[2:].tolist()],
    "sparse": lambda a: sparse.csr_array(np.atleast_2d(a)),
    "arrow": lambda a: pa.array(np.ravel(a)),
    "NaN only": lambda a: np.full(a.shape, np.nan),
    "one huge": lambda a: with_entry(a, 0, 1e300),
}
#: What is done to the columns of X.
TABLES = {
    "no columns": lambda a: a[:, :0],
    "one column": lambda a: a[:, :1],
    "one column more": lambda a: np.hstack([a, a[:, :1] ** 2]),
    "a constant column": lambda a: np.hstack([a[:, :1], np.ones((len(a), 1))]),
    "a column of zeros": lambda a: np.hstack([a[:, :1], np.zeros((len(a), 1))]),
    "a column twice": lambda a: np.hstack([a[:, :1], a[:, :1]]),
    "a column of 1e155": lambda a: a * [1.0, 1e155],
    "a column of 1e-155": lambda a: a * [1.0, 1e-155],
    "a column of 1e300": lambda a: a * [1.0, 1e300],
    "a column of 1e-300": lambda a: a * [1.0, 1e-300],
    "a column far off": lambda a: np.add(a, [0.0, 1e16]),
    "many columns": lambda a: np.tile(a, 20) ** np.arange(1, 41),
    "frame": lambda a: pd.DataFrame(a, columns=["u", "v"]),
    "frame, other names": lambda a: pd.DataFrame(a, columns=["v", "w"]),
    "frame, one name twice": lambda a: pd.DataFrame(a, columns=["u", "u"]),
    "frame, numbers for names": lambda a: pd.DataFrame(a),
    "frame, names of two kinds": lambda a: pd.DataFrame(a, columns=["u", 1]),
    "frame, names are pairs": lambda a: pd.DataFrame(
        a, columns=pd.MultiIndex.from_tuples([("u", 1), ("u", 2)])
    ),
    "frame, name is empty": lambda a: pd.DataFrame(a, columns=["", "intercept"]),
    "frame, reserved names": lambda a: pd.DataFrame(a, columns=["chain", "draw"]),
    "frame, slashes in names": lambda a: pd.DataFrame(a, columns=["a/b", "sigma"]),
    "frame, odd index": lambda a: pd.DataFrame(a, index=[7] * len(a)),
    "frame, nullable": lambda a: pd.DataFrame(a).astype("Float64"),
    "frame, missing": lambda a: pd.DataFrame(a).astype("Float64").where(a > 0),
    "frame, categories": lambda a: pd.DataFrame(np.round(a)).astype("category"),
    "frame, dates": lambda a: pd.DataFrame({"u": a[:, 0], "v": pd.Timestamp(0)}),
    "frame, words": lambda a: pd.DataFrame({"u": a[:, 0], "v": "word"}),
    "frame, no columns": lambda a: pd.DataFrame(index=range(len(a))),
    "frame, sparse": lambda a: pd.DataFrame(a).astype(pd.SparseDtype(float, 0.0)),
    "polars": lambda a: pl.DataFrame(a, schema=["u", "v"]),
    "polars, lazy": lambda a: pl.LazyFrame(a, schema=["u", "v"]),
    "polars, null": lambda a: pl.DataFrame({"u": a[:, 0], "v": [None] * len(a)}),
    "polars, words": lambda a: pl.DataFrame({"u": a[:, 0], "v": ["word"] * len(a)}),
    "arrow table": lambda a: pa.table({"u": a[:, 0], "v": a[:, 1]}),
    "series": lambda a: pd.Series(a[:, 0]),
}
#: What is done to arrays of one dimension: y, weights, errors.
VECTORS = {
    "series": lambda a: pd.Series(a, name="y", index=range(5, 5 + len(a))),
    "series, nullable": lambda a: pd.Series(a, dtype="Float64"),
    "series, missing": lambda a: pd.Series(a, dtype="Float64").where(a > a.min()),
    "series, categories": lambda a: pd.Series(np.round(a)).astype("category"),
    "series, words": lambda a: pd.Series(["word"] * len(a)),
    "frame": lambda a: pd.DataFrame({"y": a}),
    "frame, two columns": lambda a: pd.DataFrame({"y": a, "z": a}),
    "polars": lambda a: pl.Series(a),
    "polars frame": lambda a: pl.DataFrame({"y": a}),
    "negative": lambda a: -np.abs(a) - 0.1,
    "positive": lambda a: np.abs(a) + 0.1,
    "mostly zero": lambda a: np.where(np.arange(len(a)) < 2, 1.0, 0.0),
    "two values": lambda a: np.where(a > np.median(a), 1.0, 0.0),
    "all but one equal": lambda a: np.where(np.arange(len(a)) == 1, 1.0, 2.0),
    "far apart": lambda a: 10.0 ** np.linspace(-150, 150, len(a)),
}
LABELS = {
    "strings": lambda c: np.array([f"g{k}" for k in c]),
    "a list": lambda c: [f"g{k}" for k in c],
    "a tuple": lambda c: tuple(f"g{k}" for k in c),
    "series": lambda c: pd.Series([f"g{k}" for k in c], name="site"),
    "categories": lambda c: pd.Categorical(c, categories=[9, *range(8)]),
    "tuples": lambda c: [(int(k), "a") for k in c],
    "named tuples": lambda c: [Pair(int(k), 1) for k in c],
    "frozen sets": lambda c: [frozenset({int(k)}) for k in c],
    "mixed": lambda c: [[1, "1", 1.5, (1,), b"1", date(2020, 1, 1)][k % 6] for k in c],
    "nullable": lambda c: pd.array(c, dtype="Int64"),
    "bools": lambda c: c % 2 == 0,
    "floats": lambda c: c / 3,
    "complex": lambda c: c + 1j,
    "float16": lambda c: c.astype(np.float16),
    "longdouble": lambda c: c.astype(np.longdouble),
    "uint64": lambda c: c.astype(np.uint64) + np.uint64(2**63),
    "large ints": lambda c: [2**70 + int(k) for k in c],
    "bytes": lambda c: [b"g%d" % k for k in c],
    "dates": lambda c: np.datetime64("2020-01-01") + c,
    "dates, zoned": lambda c: pd.Series(pd.Timestamp("2020", tz="UTC") + pd.to_timedelta(c)),
    "durations": lambda c: c.astype("m8[D]"),
    "periods": lambda c: pd.period_range("2020", periods=8)[c],
    "intervals": lambda c: pd.interval_range(0, 8)[c],
    "unicode": lambda c: ["ümläut‮ẍ日本語🎉"[: 1 + k] for k in c],
    "very long": lambda c: ["x" * 10_000 + str(k) for k in c],
    "odd characters": lambda c: [["", " ", "\0", "\n", "a/b", "[x]", "\ud800"][k % 7] for k in c],
    "objects": lambda c: [OBJECT_LABELS[k % 3] for k in c],
    "classes": lambda c: [[int, float, str][k % 3] for k in c],
    "decimals": lambda c: [Decimal(int(k)) for k in c],
    "None and strings": lambda c: [None if k == 0 else f"g{k}" for k in c],
    "NaN and numbers": lambda c: np.where(c == 0, np.nan, c),
    "NA and strings": lambda c: pd.array([pd.NA if k == 0 else "g" for k in c], dtype="string"),
    "NaT and dates": lambda c: [pd.NaT if k == 0 else pd.Timestamp(2020, 1, 1) for k in c],
    "infinite": lambda c: np.where(c == 0, np.inf, c),
    "sets": lambda c: [{int(k)} for k in c],
    "lists": lambda c: [[int(k)] for k in c],
    "pairs of labels": lambda c: [[int(k), f"g{k % 2}"] for k in c],
    "ragged lists": lambda c: [[1] * (k % 3) for k in c],
    "arrays": lambda c: [np.array([k]) for k in c],
    "array of two columns": lambda c: np.column_stack([c, (c * 3 + np.arange(len(c))) % 3]),
    "array of no columns": lambda c: np.empty((len(c), 0)),
    "array of three axes": lambda c: np.zeros((len(c), 2, 2)),
    "transposed": lambda c: np.column_stack([c, c % 2]).T,
    "frame": lambda c: pd.DataFrame({"site": c}),
    "frame of two": lambda c: pd.DataFrame({"site": c, "year": np.arange(len(c)) % 3}),
    "frame of two, one name": lambda c: pd.DataFrame(np.column_stack([c, c]), columns=["a", "a"]),
    "frame, numbers for names": lambda c: pd.DataFrame(np.column_stack([c, np.arange(len(c)) % 3])),
    "frame, same column twice": lambda c: pd.DataFrame({"site": c, "place": c}),
    "frame, reserved name": lambda c: pd.DataFrame({"chain": c, "coef": np.arange(len(c)) % 3}),
    "dict of two": lambda c: {"site": c, "year": np.arange(len(c)) % 3},
    "dict of one": lambda c: {"site": c},
    "dict, a key missing": lambda c: {"site": c, "year": None},
    "dict, numbers for keys": lambda c: {1: c, 2: np.arange(len(c)) % 3},
    "dict, empty": lambda c: {},
    "dict, unequal": lambda c: {"site": c, "year": c[:-1]},
    "polars": lambda c: pl.Series("site", c),
    "polars, null": lambda c: pl.Series("site", [None if k == 0 else int(k) for k in c]),
    "polars frame": lambda c: pl.DataFrame({"site": c, "year": np.arange(len(c)) % 3}),
    "polars, lazy": lambda c: pl.LazyFrame({"site": c}),
    "polars, struct": lambda c: pl.DataFrame({"a": c, "b": c}).to_struct("site"),
    "arrow": lambda c: pa.array(c),
    "arrow, chunked": lambda c: pa.chunked_array([pa.array(c[:3]), pa.array(c[3:])]),
    "arrow table": lambda c: pa.table({"site": c}),
    "series, reserved name": lambda c: pd.Series(c, name="sigma"),
    "series, slash in name": lambda c: pd.Series(c, name="a/b"),
    "series, tuple for name": lambda c: pd.Series(c, name=("a", 1)),
    "series, number for name": lambda c: pd.Series(c, name=3),
    "series, empty name": lambda c: pd.Series(c, name=""),
    "each its own": lambda c: np.arange(len(c)),
    "each its own float": lambda c: np.arange(len(c)) + 0.5,
    "one for all": lambda c: np.zeros(len(c), dtype=int),
    "too few": lambda c: c[:-1],
    "none at all": lambda c: c[:0],
    "None": lambda c: None,
    "a word": lambda c: "group",
    "a number": lambda c: 3,
    "an object": lambda c: Opaque(),
    "a generator": lambda c: (k for k in c),
    "masked": lambda c: np.ma.masked_array(c, mask=c == 0),
    "record": lambda c: np.zeros(len(c), dtype=[("a", int), ("b", float)]),
}  # fmt: skip
OBJECT_LABELS = [Opaque(), Opaque(), Opaque()]


@st.composite
def spoiled(draw, array, kinds):
    """Return the array as it is, in another form, or with an entry that does not belong."""
    how = draw(st.sampled_from(["as it is", "form", "form", "form", "number", "object"]))
    if how == "as it is":
        return array, how
    if how == "form":
        kind = draw(st.sampled_from([*WHOLE, *kinds]))
        make = kinds.get(kind) or WHOLE[kind]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with np.errstate(all="ignore"):
                try:
                    return make(array), kind
                except (ValueError, TypeError, IndexError):
                    return array, "as it is"
    value = draw(st.sampled_from(NUMBERS if how == "number" else OBJECTS))
    position = draw(st.integers(0, 10**6))
    try:
        return with_entry(array, position, value), f"{value!r:.40} at {position}"
    except (ValueError, TypeError):
        return array, "as it is"


@st.composite
def rows(draw, spoil=("X", "y", "groups", "sample_weight", "y_err"), max_rows=24):
    """Return arguments of `fit` by name, and how they were spoiled."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(2, max_rows))
    codes = rng.integers(0, draw(st.integers(1, 6)), n)
    X = rng.standard_normal((n, 2)) + 1.0
    y = X @ [1.0, -0.5] + rng.standard_normal(6)[codes] + rng.standard_normal(n)
    given = {"X": X, "y": y, "groups": codes}
    if draw(st.booleans()):
        given["sample_weight"] = rng.integers(1, 4, n).astype(float)
    if draw(st.integers(0, 3)) == 0:
        given["y_err"] = rng.uniform(0.5, 2.0, n)
    how = {"n": n}
    parts = [name for name in spoil if name in given]
    chosen = draw(st.sets(st.sampled_from(parts), max_size=2)) if parts else set()
    for name in sorted(chosen):
        if name == "groups":
            kind = draw(st.sampled_from(list(LABELS)))
            with contextlib.suppress(ValueError, TypeError, IndexError):
                given[name], how[name] = LABELS[kind](codes), kind
        else:
            kinds = TABLES if name == "X" else VECTORS
            given[name], how[name] = draw(spoiled(given[name], kinds))
    return given, how


PARAMETERS = {
    "group_features": [None, None, 0, 1, "u", [True, False], [0, 1], -1, [], "w"],
    "varying_slopes": [None, "all", [0], [1, 0], ["u"], "v", {"group": "all"}, {}, []],
    "varying_intercept": [True, False, {"group": False}, {"site": True}],
    "correlated": [True, False, {"group": False}],
    "residual_scale": ["shared", "by_group", "known"],
    "fit_intercept": [True, False],
    "new_groups": ["population", "error"],
    "n_jobs": [None, 1, -1, 2],
    "verbose": [0],
    "target_accept": [0.5, 0.9, 0.999999],
    "random_state": [0, np.random.RandomState(1), None],
}


@st.composite
def parameters(draw, wrong=True):
    """Return parameters of the estimator, of which one may be anything."""
    names = draw(st.sets(st.sampled_from(list(PARAMETERS)), max_size=4))
    given = {name: draw(st.sampled_from(PARAMETERS[name])) for name in sorted(names)}
    if wrong and draw(st.integers(0, 5)) == 0:
        names = [*PARAMETERS, "priors", "solver", "draws", "tune", "chains"]
        # Large counts are right, and take long.
        # Objects without truth values are beyond scikit-learn, which compares parameters.
        few = anything.filter(lambda v: not (isinstance(v, int) and v > 10**6))
        value = draw(few.filter(lambda v: not isinstance(v, NoTruth)))
        given[draw(st.sampled_from(names))] = value
    return given
