"""Files that are damaged or made with malice: refused, and nothing is run or filled."""

import copy
import json
import re
import tracemalloc
import warnings
import zipfile
from contextlib import suppress
from functools import cache
from io import BytesIO

import numpy as np
import pytest
from hostile import (
    CALL,
    FOREIGN,
    HUGE,
    OBJECTS,
    archive_of,
    foreign,
    header,
    members_of,
    npy,
    rewritten,
)
from persisted import assert_same, fitted, predictions, tables

from skhbm import HierarchicalNormalRegressor

REFUSED = re.compile("does not hold a fitted estimator as HierarchicalNormalRegressor.save")
#: Bytes that may be allocated while a file of some 100 kB is read.
MOST = 16e6


@pytest.fixture(scope="module")
def bytes_of(tmp_path_factory):
    """Return a function from the name of a structure to the bytes of its file."""
    folder = tmp_path_factory.mktemp("sound")

    @cache
    def read(name):
        fitted(name).save(folder / "model")
        return (folder / "model").read_bytes()

    return read


@pytest.fixture
def load(tmp_path):
    """Return a function from the bytes of a file to the estimator in it."""

    def load(data):
        (tmp_path / "model").write_bytes(data)
        return HierarchicalNormalRegressor.load(tmp_path / "model")

    return load


def is_refused(load, data):
    """Return whether a file is refused; any other error than the proper one is raised."""
    try:
        load(data)
    except ValueError as error:
        if not REFUSED.search(str(error)):
            raise
        return True
    return False


@pytest.mark.parametrize("name", ["by group", "conditioned, two factors"])
def test_flipped_bytes_never_give_another_estimator(name, bytes_of, load):
    """Each is refused, or in a place without meaning."""
    data, rng, refused = bytes_of(name), np.random.default_rng(0), 0
    expected = predictions(fitted(name), name)
    for at in [*rng.choice(len(data), 60, replace=False), *range(len(data) - 40, len(data))]:
        damaged = bytearray(data)
        damaged[at] ^= int(rng.integers(1, 256))
        if is_refused(load, damaged):
            refused += 1
        else:
            assert_same(predictions(load(damaged), name), expected)
    assert refused > 80


@pytest.mark.parametrize("name", ["group column", "conditioned, two factors"])
def test_files_cut_anywhere_are_refused(name, bytes_of, load):
    data = bytes_of(name)
    ends = [info.header_offset for info in zipfile.ZipFile(BytesIO(data)).infolist()]
    sizes = {end + shift for end in ends for shift in (-1, 0, 1, 30)}
    sizes |= {*range(0, len(data), len(data) // 40), len(data) - 1, len(data) - 22}
    assert all(is_refused(load, data[:size]) for size in sizes if 0 <= size < len(data))


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_files_are_refused_and_run_nothing(name, tmp_path, load):
    assert is_refused(load, foreign(name, tmp_path))
    assert not (tmp_path / "ran").exists()


def test_later_versions_are_named(bytes_of, load):
    message = r"in version 2 of its format, but this skhbm reads version 1. Upgrade skhbm"
    with pytest.raises(ValueError, match=message):
        load(rewritten(bytes_of("by group"), about={"version": 2}))


def test_rewriting_a_file_does_not_make_it_wrong(bytes_of, load):
    loaded = load(rewritten(bytes_of("by group")))
    assert_same(tables(loaded), tables(fitted("by group")))


# Arrays


def others(name, array):
    """Yield arrays that cannot be this one."""
    yield None
    yield array[None]
    yield array.ravel() if array.ndim > 1 else array[:, None]
    yield array[:-1] if len(array) else np.ones(1)
    if array.ndim > 1:
        yield np.concatenate([array, np.zeros_like(array[..., :1])], axis=-1)
    yield array.astype("M8[s]")
    if "sample_stats" in name:
        return
    yield from (array.astype(kind) for kind in (np.float32, ">f8"))
    if array.dtype == np.float64 and array.size:
        for value in (np.nan, np.inf):
            yield np.where(np.arange(array.size).reshape(array.shape) == 0, value, array)


@pytest.mark.parametrize("name", ["by group", "two factors", "conditioned, two factors"])
def test_arrays_of_other_shapes_and_dtypes_are_refused(name, bytes_of, load):
    data = bytes_of(name)
    accepted = []
    for member, content in members_of(data).items():
        if member == "about.json":
            continue
        for other in others(member, np.load(BytesIO(content))):
            changed = None if other is None else npy(other)
            if changed != content and not is_refused(
                load, rewritten(data, **{member.removesuffix(".npy"): changed})
            ):
                accepted.append((member, None if other is None else (other.shape, other.dtype)))
    assert accepted == []


@pytest.mark.parametrize("name", ["known errors", "two factors", "conditioned, by group"])
def test_swapped_arrays_never_crash(name, bytes_of, load):
    """Those of one shape and meaning can be taken for each other, and no others."""
    data, rng = bytes_of(name), np.random.default_rng(1)
    members = members_of(data)
    arrays = [member for member in members if member != "about.json"]
    refused = 0
    for _ in range(30):
        one, other = rng.choice(arrays, 2, replace=False)
        swapped = {**members, one: members[other], other: members[one]}
        if is_refused(load, archive_of(swapped)):
            refused += 1
        else:
            use(load(archive_of(swapped)), name)
    assert refused > 10


def use(model, name):
    """Ask for what kernels compute: wrong numbers at worst."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for ask in (lambda: predictions(model, name), lambda: tables(model)):
            with suppress(ValueError, TypeError, IndexError):
                ask()


def put(member, at, value):
    """Return what changes one number of an array."""

    def change(arrays):
        array = arrays[member].copy()
        array[at] = value
        return {member: npy(array)}

    return change


def described(*path, value):
    """Return what changes one entry of the description."""

    def change(about):
        for key in path[:-1]:
            about = about[key]
        about[path[-1]] = value

    return {"about": change}


STATE = {"key": [1] * 624, "pos": 0, "has_gauss": 0, "gauss": 0.0}
FACTOR = {"slopes": [], "intercept": True, "correlated": True}

#: Structure, and what is wrong with its file.
HOSTILE = {
    "negative code": ("two factors", put("statistics/codes", (0, 0), -1)),
    "code past the end": ("two factors", put("statistics/codes", (0, 1), 4)),
    "negative count": ("by group", put("statistics/n", 0, -3.0)),
    "no rows": ("by group", put("statistics/n", 0, 0.0)),
    "negative tau": ("by group", put("posterior/tau0", (0, 0, 0), -1.0)),
    "negative sigma": ("by group", put("posterior/sigma", (0, 0, 0), -1.0)),
    "sigma of zero": ("by group", put("posterior/sigma", (0, 0, 0), 0.0)),
    "sigma out of proportion": ("by group", put("posterior/sigma", (0, 0, 0), 1e200)),
    "tau out of proportion": ("by group", put("posterior/tau0", (0, 0, 0), 1e200)),
    "coefficient of no draw": ("by group", put("posterior/coef", (0, 0, 1), 9.0)),
    "scale out of proportion": ("by group", described("design", "y_scale", value=1e308)),
    "negative spread": ("by group", put("posterior/log_sigma", (0, 0, 1), -1.0)),
    "correlation above one": ("two factors", put("posterior/corr1", (0, 0, 0), 1.5)),
    "no scale": ("by group", put("design/x_scale", 0, 0.0)),
    "negative scale": ("by group", put("design/x_scale", 0, -1.0)),
    "negative sums": ("conditioned", put("design/counts", 0, -1.0)),
    "means out of proportion": ("by group", put("statistics/mean", (0, 0), 1e308)),
    "truth that is neither": (
        "by group",
        {
            "sample_stats/diverging": header(
                "{'descr': '|b1', 'fortran_order': False, 'shape': (2, 50), }", bytes([2] * 100)
            )
        },
    ),
    "size of a terabyte": ("by group", {"posterior/coef": header(HUGE)}),
    "objects": ("by group", {"posterior/coef": header(OBJECTS, bytes(48))}),
    "a call in a header": ("by group", {"posterior/coef": header(CALL, bytes(48))}),
    "deep header": ("by group", {"posterior/coef": header("(" * 5000, bytes(48))}),
    "nothing in a member": ("by group", {"posterior/coef": b""}),
    "another member": ("by group", {"posterior/more": npy(np.ones(3))}),
    "a member of no folder": ("by group", {"more": npy(np.ones(3))}),
    "a member above the folder": ("by group", {"../../etc/passwd": npy(np.ones(3))}),
    "a member of the root": ("by group", {"/etc/passwd": npy(np.ones(3))}),
    "sums that were not added": ("by group", {"design/W": npy(np.ones((1, 4, 4)))}),
    "statistic of a strange name": ("by group", {"sample_stats/a b": npy(np.ones((2, 50)))}),
    "effects without factors": ("by group", {"posterior/tau1": npy(np.ones((2, 50, 1)))}),
    "origin that is not described": ("by group", {"origin/log_weights": npy(np.ones(100))}),
    "compressed": ("by group", {"compression": zipfile.ZIP_DEFLATED}),
    "another format": ("by group", {"about": {"format": "skhbm.GroupedStatistics"}}),
    "no version": ("by group", {"about": {"version": None}}),
    "version of a bool": ("by group", {"about": {"version": True}}),
    "no origin": ("conditioned", {"about": {"origin": None}}),
    "origin of nothing": ("by group", {"about": {"origin": {"efficiency": 1.0}}}),
    "efficiency of words": ("conditioned", described("origin", "efficiency", value="high")),
    "negative seed": ("by group", {"about": {"seed": -1}}),
    "seed of a float": ("by group", {"about": {"seed": 1.5}}),
    "fewer columns than features": ("by group", {"about": {"n_features_in": 1}}),
    "columns of a bool": ("by group", {"about": {"n_features_in": True}}),
    "names of numbers": ("by group", {"about": {"feature_names_in": [1, 2]}}),
    "names too many": ("by group", {"about": {"feature_names_in": ["a", "b", "c"]}}),
    "features too few": ("by group", described("design", "features", value=["dose"])),
    "features twice": ("by group", described("design", "features", value=["a", "a"])),
    "features of other names": ("by group", described("design", "features", value=["q", "r"])),
    "prior of a word": (
        "by group",
        described("priors", "coef", 0, value=["Normal", {"mu": 0.0, "sigma": "zz"}]),
    ),
    "prior of no number": (
        "by group",
        described("priors", "coef", 0, value=["Normal", {"mu": 0.0, "sigma": float("nan")}]),
    ),
    "features of numbers": ("by group", described("design", "features", value=[1, 2])),
    "slope past the end": (
        "two factors",
        described("design", "factors", 0, "slopes", value=[2]),
    ),
    "negative slope": ("two factors", described("design", "factors", 0, "slopes", value=[-1])),
    "slope twice": ("two factors", described("design", "factors", 0, "slopes", value=[0, 0])),
    "slope of a float": (
        "two factors",
        described("design", "factors", 0, "slopes", value=[0.0]),
    ),
    "slope of a bool": (
        "two factors",
        described("design", "factors", 0, "slopes", value=[True]),
    ),
    "slopes in two levels": (
        "two factors",
        described("design", "factors", 0, "slopes", value=[[0]]),
    ),
    "another slope": ("two factors", described("design", "factors", 0, "slopes", value=[0, 1])),
    "nothing varies": (
        "by group",
        described("design", "factors", value=[{**FACTOR, "intercept": False}]),
    ),
    "factors too many": ("by group", described("design", "factors", value=[FACTOR, FACTOR])),
    "no factors": ("by group", described("design", "factors", value=[])),
    "no factor to integrate": ("two factors", described("design", "integrated", value=2)),
    "negative factor": ("two factors", described("design", "integrated", value=-1)),
    "factor of a bool": ("two factors", described("design", "integrated", value=False)),
    "the other factor": ("two factors", described("design", "integrated", value=0)),
    "residuals of another kind": ("by group", described("design", "residual", value="shared")),
    "residuals of no kind": ("by group", described("design", "residual", value="none")),
    "errors that are not known": ("by group", described("design", "residual", value="known")),
    "correlated perhaps": (
        "two factors",
        described("design", "factors", 1, "correlated", value="perhaps"),
    ),
    "y without a scale": ("by group", described("design", "y_scale", value=0.0)),
    "scale of words": ("by group", described("design", "y_scale", value="1")),
    "mean that is not a number": (
        "by group",
        described("design", "y_mean", value=float("nan")),
    ),
    "an infinite scale": ("by group", described("design", "y_scale", value=float("inf"))),
    "no prior of the intercept": ("by group", described("priors", "intercept", value=None)),
    "priors too few": ("by group", described("priors", "coef", value=[])),
    "priors of tau too few": ("by group", described("priors", "tau", value=[])),
    "prior of sigma": (
        "by group",
        described("priors", "sigma", value=["HalfNormal", {"sigma": 1}]),
    ),
    "prior of a factor too many": (
        "by group",
        described("priors", "others", value=[[[], 2.0]]),
    ),
    "prior of a path": (
        "by group",
        described("priors", "intercept", value=["os.system", {"mu": 0}]),
    ),
    "prior of lists": (
        "by group",
        described("priors", "intercept", value=["Normal", {"mu": []}]),
    ),
    "eta of words": ("by group", described("priors", "eta", value="2")),
    "negative eta": ("by group", described("priors", "eta", value=-2.0)),
    "diagnostics of lists": ("by group", {"about": {"diagnostics": {"min_ess": [1]}}}),
    "no diagnostics": ("by group", {"about": {"diagnostics": {}}}),
    "requests of other methods": ("by group", {"about": {"requests": {"__init__": {"a": 1}}}}),
    "requests of other metadata": ("by group", {"about": {"requests": {"fit": {"a": True}}}}),
    "requests of lists": ("by group", {"about": {"requests": {"fit": {"groups": []}}}}),
    "no parameters": ("by group", {"about": {"parameters": None}}),
    "parameter of a class": (
        "by group",
        described("parameters", "priors", value={"os.system": "true"}),
    ),
    "parameter of two kinds": (
        "by group",
        described("parameters", "draws", value={"tuple": [], "range": []}),
    ),
    "prior with a name twice": (
        "by group",
        described("parameters", "priors", value={"Prior": ["Normal", {"distribution": 1}]}),
    ),
    "array of objects": (
        "by group",
        described("parameters", "draws", value={"array": {"dtype": "O", "values": [[]]}}),
    ),
    "array of long words": (
        "by group",
        described(
            "parameters", "draws", value={"array": {"dtype": "<U200000000", "values": [1]}}
        ),
    ),
    "array of records": (
        "by group",
        described("parameters", "draws", value={"array": {"dtype": "i8,O", "values": []}}),
    ),
    "range without end": (
        "by group",
        described("parameters", "draws", value={"range": [0, 10**15, 1]}),
    ),
    "random state past its end": (
        "by group",
        described("parameters", "draws", value={"RandomState": {**STATE, "pos": 10**6}}),
    ),
    "random state of nothing": (
        "by group",
        described("parameters", "draws", value={"RandomState": {**STATE, "key": []}}),
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_files_with_wrong_contents_are_refused(case, bytes_of, load):
    name, change = HOSTILE[case]
    data = bytes_of(name)
    if callable(change):
        arrays = members_of(data)
        change = change(
            {
                n.removesuffix(".npy"): np.load(BytesIO(c))
                for n, c in arrays.items()
                if n != "about.json"
            }
        )
    assert is_refused(load, rewritten(data, **change))


def test_long_words_of_an_array_take_no_room(bytes_of, load):
    """Its words are as long as they are, whatever the dtype says."""
    value = {"array": {"dtype": "<U200000000", "values": ["dose"]}}
    loaded = load(
        rewritten(bytes_of("by group"), **described("parameters", "draws", value=value))
    )
    assert loaded.draws.dtype == "U4"


@pytest.mark.parametrize("depth", [50, 3_000, 100_000])
def test_deep_json_is_refused(depth, bytes_of, load):
    members = members_of(bytes_of("by group"))
    assert is_refused(load, archive_of({**members, "about.json": "[" * depth}))
    about = members["about.json"].decode()
    closed = about.replace('"draws": 50', f'"draws": {"[" * depth}{"]" * depth}')
    assert len(closed) > len(about)
    assert is_refused(load, archive_of({**members, "about.json": closed}))


# Descriptions

VALUES = [
    None, True, False, 0, 1, -1, 2, 10**6, 2**63, -(2**70), 0.0, -1.5, 1e308, float("nan"),
    float("inf"), "", "x", "intercept", "by_group", "known", [], [0], [[]], [1, 2], ["x", "y"],
    {}, {"tuple": [1]}, {"dict": [[1, 2]]}, {"a": 1}, {"Prior": ["Normal", {"mu": 0}]},
    "\ud800",
]  # fmt: skip


def places(value, path=()):
    """Yield the path of each entry of a description, and of those in it."""
    entries = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, entry in entries:
        yield (*path, key)
        yield from places(entry, (*path, key))


def edited(about, rng):
    """Return a description with one entry changed, left out or exchanged."""
    about = copy.deepcopy(about)
    every = list(places(about))
    path = every[rng.integers(len(every))]
    parent = about
    for key in path[:-1]:
        parent = parent[key]
    kind = rng.integers(4)
    if kind == 0:
        del parent[path[-1]]
    elif kind == 1 and isinstance(parent, list):
        parent.append(parent[path[-1]])
    elif kind == 2:
        other = about
        for key in every[rng.integers(len(every))]:
            other = other[key]
        parent[path[-1]] = copy.deepcopy(other)
    else:
        parent[path[-1]] = VALUES[rng.integers(len(VALUES))]
    return about


@pytest.mark.parametrize("name", ["group column", "two factors", "conditioned, by group"])
def test_edited_descriptions_are_refused_or_can_be_used(name, bytes_of, load):
    """Other parameters, names and diagnostics are no damage; what indexes arrays is."""
    members, rng = members_of(bytes_of(name)), np.random.default_rng(2)
    about, refused = json.loads(members["about.json"]), 0
    for i in range(100):
        members["about.json"] = json.dumps(edited(about, rng)).encode()
        data = archive_of(members)
        try:
            loaded = load(data)
        except ValueError as error:
            assert REFUSED.search(str(error)) or "pgrade skhbm" in str(error)  # noqa: PT017  # either will do
            refused += 1
        else:
            if i % 10 == 0:
                use(loaded, name)
    assert refused > 25


# Memory


def zip_bombs(data):
    """Yield small files that say, or hold, that much is in them."""
    members = members_of(data)
    many = b"\x00" * 10**8
    yield archive_of({**members, "posterior/coef.npy": many}, zipfile.ZIP_DEFLATED)
    whole = bytearray(archive_of(members))
    # The uncompressed size in the first entry of the central directory.
    at = whole.index(b"PK\x01\x02")
    whole[at + 20 : at + 28] = (10**9).to_bytes(4, "little") * 2
    yield bytes(whole)
    # Every entry of the directory points to the same member.
    twice = bytearray(archive_of(members))
    start = 0
    while (start := twice.find(b"PK\x01\x02", start)) >= 0:
        twice[start + 42 : start + 46] = (0).to_bytes(4, "little")
        start += 4
    yield bytes(twice)
    for text in (
        HUGE,
        "{'descr': '<U1000000000', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 1000000000000), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -100), }",
        f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**62}, 4), }}",
    ):
        yield archive_of({**members, "posterior/coef.npy": header(text)})


def test_bombs_are_refused_and_fill_no_memory(bytes_of, load):
    for data in zip_bombs(bytes_of("two factors")):
        tracemalloc.start()
        assert is_refused(load, data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST


def test_terms_for_which_far_more_is_computed_than_was_read_are_refused(tmp_path, load):
    """One cell of many features, all of which vary by two factors: cubic, not quadratic."""
    from skhbm import GroupedStatistics
    from skhbm._posterior.file import unpack_design

    p = 700
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((3, p)), rng.standard_normal(3)
    statistics = GroupedStatistics.from_arrays(X, y, np.array([["a", "b"]] * 3))
    factor = {**FACTOR, "slopes": list(range(p))}
    about = {
        "features": [f"x{k}" for k in range(p)],
        "intercept": True,
        "residual": "shared",
        "factors": [factor, factor],
        "integrated": 0,
        "y_mean": 0.0,
        "y_scale": 1.0,
    }
    arrays = {"x_mean": np.zeros(p), "x_scale": np.ones(p)}
    with pytest.raises(ValueError, match="the number of terms"):
        unpack_design(about, arrays, statistics)
