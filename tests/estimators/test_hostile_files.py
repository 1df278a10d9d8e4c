"""Files whose contents are made with malice: refused, or of use without harm."""

import copy
import json
import zipfile
from io import BytesIO

import numpy as np
import pytest
from hostile import CALL, HUGE, OBJECTS, archive_of, header, members_of, npy, rewritten
from refused_files import FACTOR, REFUSED, is_refused, use


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
    """The words of the array decide how long its entries are, not its dtype."""
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


VALUES = [
    None, True, False, 0, 1, -1, 2, 10**6, 2**63, -(2**70), 0.0, -1.5, 1e308, float("nan"),
    float("inf"), "", "x", "intercept", "by_group", "known", [], [0], [[]], [1, 2], ["x", "y"],
    {}, {"tuple": [1]}, {"dict": [[1, 2]]}, {"a": 1}, {"Prior": ["Normal", {"mu": 0}]},
    "\ud800",
]  # fmt: skip


def places(value, path=()):
    """Yield the path of each entry of a description, at any depth."""
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
    """Other parameters, names and diagnostics do no damage; what indexes arrays does."""
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
