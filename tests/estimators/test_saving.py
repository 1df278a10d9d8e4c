"""An estimator in a file: all of it comes back, to the last bit, and no sampler is loaded."""

import json
import subprocess
import sys
import zipfile
from dataclasses import fields, is_dataclass

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.random import PCG64, RandomState, default_rng
from persisted import (
    CONDITIONED,
    EVERY,
    FRAME,
    STRUCTURES,
    WORDS,
    Y,
    assert_same,
    fitted,
    more_rows,
    predictions,
    same_rows,
    structure_of,
    tables,
)
from sklearn import clone, config_context
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skhbm import GroupedStatistics, HierarchicalNormalRegressor, Prior

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*Pareto:UserWarning"),
    pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning"),
    pytest.mark.filterwarnings("ignore:Fitted without groups:UserWarning"),
]


def saved(model, folder):
    model.save(folder / "model")
    return type(model).load(folder / "model")


@pytest.mark.parametrize("name", EVERY)
def test_loaded_estimator_predicts_the_same_to_the_last_bit(name, tmp_path):
    model = fitted(name)
    assert_same(predictions(saved(model, tmp_path), name), predictions(model, name))


@pytest.mark.parametrize("name", EVERY)
def test_loaded_estimator_says_the_same_of_itself_to_the_last_bit(name, tmp_path):
    model = fitted(name)
    assert_same(tables(saved(model, tmp_path)), tables(model))


@pytest.mark.parametrize("name", EVERY)
def test_loaded_estimator_has_the_same_parameters(name, tmp_path):
    model = fitted(name)
    loaded = saved(model, tmp_path)
    assert_same(loaded.get_params(), model.get_params())
    assert_same(clone(loaded).get_params(), model.get_params())


@pytest.mark.parametrize("name", EVERY)
def test_loaded_estimator_is_saved_as_the_same_file(name, tmp_path):
    saved(fitted(name), tmp_path).save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


@pytest.mark.parametrize("name", EVERY)
def test_loaded_estimator_is_conditioned_the_same(name, tmp_path):
    model, rows = fitted(name), more_rows(structure_of(name), 5)
    ours, theirs = (m.condition_on(**rows) for m in (saved(model, tmp_path), model))
    for model in (ours, theirs):
        model.diagnostics_.pop("seconds")
    assert_same(predictions(ours, name), predictions(theirs, name))
    assert_same(tables(ours), tables(theirs))


LEFT_OUT = [
    "intercepts",
    "by group",
    "known errors",
    "two factors",
    "two factors, known errors",
]


@pytest.mark.parametrize("unit", ["row", "group"])
@pytest.mark.parametrize("name", LEFT_OUT)
def test_loaded_estimator_is_cross_validated_the_same(name, unit, tmp_path):
    model, rows = fitted(name), same_rows(name)
    ours, theirs = (m.loo(**rows, unit=unit) for m in (saved(model, tmp_path), model))
    assert ours.elpd == theirs.elpd
    assert np.array_equal(ours.elpd_i, theirs.elpd_i)


@pytest.mark.parametrize("name", ["slopes", "custom priors", "two factors", "conditioned"])
def test_loaded_estimator_takes_more_rows_as_the_same(name, tmp_path):
    model, rows = fitted(name), more_rows(structure_of(name), 7)
    ours, theirs = (saved(model, tmp_path) for _ in range(2))
    theirs.__dict__ = {**vars(model)}
    for model in (ours, theirs):
        model.partial_fit(**rows)
        model.diagnostics_.pop("seconds")
    assert_same(tables(ours), tables(theirs))


@pytest.mark.parametrize("name", ["custom priors", "two factors, known errors", "conditioned"])
def test_loaded_estimator_has_the_same_model(name, tmp_path):
    model = fitted(name)
    ours, theirs = saved(model, tmp_path).model_, model.model_
    assert ours.str_repr() == theirs.str_repr()
    assert_same(
        {k: list(v) for k, v in ours.coords.items()},
        {k: list(v) for k, v in theirs.coords.items()},
    )


@pytest.mark.parametrize("name", EVERY)
def test_design_is_computed_again_to_the_last_bit(name, tmp_path):
    """Return the design of the fit, or of all rows if some came later."""
    model = fitted(name)
    loaded = saved(model, tmp_path)
    assert_same(parts_of(loaded._posterior.design), parts_of(model._posterior.design))
    assert_same(parts_of(loaded._priors), parts_of(model._priors))


def parts_of(record):
    """Return the fields of a dataclass as a dict, at any depth."""
    if is_dataclass(record):
        names = [field.name for field in fields(record) if field.name != "_code_of"]
        return {name: parts_of(getattr(record, name)) for name in names}
    if isinstance(record, tuple):
        return tuple(map(parts_of, record))
    return record


@pytest.mark.parametrize("name", EVERY)
def test_file_is_as_large_as_its_arrays(name, tmp_path):
    """A file has neither draws of the integrated effects nor what statistics give."""
    model = fitted(name)
    tables(model)
    model.save(tmp_path / "model")
    posteriors = [model._posterior]
    if model._origin is not None:
        posteriors.append(model._origin.posterior)
    statistics = model._statistics
    total = sum(a.nbytes for a in (*arrays_of(statistics), *model._sample_stats.values()))
    for posterior in posteriors:
        total += sum(a.nbytes for a in arrays_of(posterior))
        total += sum(a.nbytes for s in posterior.scales for a in arrays_of(s))
        total += sum(a.nbytes for a in model._sample_stats.values())
    # Headers of members, description, labels.
    assert (tmp_path / "model").stat().st_size < total + 16_000


def arrays_of(record):
    values = (getattr(record, name) for name in record.__dataclass_fields__)
    return [value for value in values if isinstance(value, np.ndarray)]


def test_arrays_can_be_read_by_numpy(tmp_path):
    model = fitted("intercepts")
    model.save(tmp_path / "model")
    with np.load(tmp_path / "model", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["posterior/tau0"], model._posterior.scales[0].tau)


def test_description_is_json_of_a_format_and_version(tmp_path):
    fitted("intercepts").save(tmp_path / "model")
    with zipfile.ZipFile(tmp_path / "model") as archive:
        about = json.loads(archive.read("about.json"))
    assert about["format"] == "skhbm.HierarchicalNormalRegressor"
    assert about["version"] == 3


@pytest.mark.parametrize("as_path", [str, lambda path: path])
def test_path_may_be_of_any_kind_and_keeps_its_suffix(as_path, tmp_path):
    path = as_path(tmp_path / "radon.model")
    fitted("intercepts").save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["radon.model"]
    assert HierarchicalNormalRegressor.load(path).intercept_ == fitted("intercepts").intercept_


def test_unfitted_estimator_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        HierarchicalNormalRegressor().save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_missing_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        HierarchicalNormalRegressor.load(tmp_path / "none")


def test_save_that_fails_midway_leaves_the_older_file(tmp_path, monkeypatch):
    model = fitted("intercepts")
    model.save(tmp_path / "model")

    def fail(member, array, *args, **kwargs):
        member.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", fail)
    with pytest.raises(OSError, match="No space left"):
        fitted("slopes").save(tmp_path / "model")
    monkeypatch.undo()
    assert HierarchicalNormalRegressor.load(tmp_path / "model").coef_[0] == model.coef_[0]
    assert len(list(tmp_path.iterdir())) == 1


def with_parameter(name, value):
    """Return a fitted estimator, a parameter of which was set later."""
    model = fitted("intercepts")
    copy = object.__new__(type(model))
    copy.__dict__.update(vars(model))
    return copy.set_params(**{name: value})


PARAMETERS = {
    "name": ("group_features", "site"),
    "index": ("group_features", -1),
    "list of names": ("group_features", ["site", "town"]),
    "tuple": ("group_features", ("site", 2)),
    "mask": ("group_features", [True, False]),
    "array of a mask": ("group_features", np.array([True, False])),
    "array of indices": ("group_features", np.array([0, 2], dtype=np.int8)),
    "array of words": ("varying_slopes", np.array(["dose", "age"])),
    "array of objects": ("varying_slopes", np.array(["dose", 1], dtype=object)),
    "range": ("varying_slopes", range(0, 4, 2)),
    "dict": ("varying_slopes", {"site": ["dose"], "town": None}),
    "dict of tuples": ("varying_slopes", {"site": ("dose",), "town": (0, 1)}),
    "dict of bools": ("varying_intercept", {"site": True, "town": False}),
    "empty list": ("varying_slopes", []),
    "nothing": ("varying_slopes", None),
    "number of another kind": ("target_accept", 1),
    "infinity": ("target_accept", float("inf")),
    "large int": ("random_state", 2**80),
    "words of any script": ("group_features", "Ort\n\x00 ☃ \ud800"),
    "dict of other keys": ("varying_slopes", {1: 2, None: True, "dict": {"tuple": [1.5]}}),
    "priors": (
        "priors",
        {"tau": {"intercept": Prior("Gamma", alpha=2, beta=0.1)}, "corr": Prior("LKJ", eta=2)},
    ),
}


@pytest.mark.parametrize("case", PARAMETERS)
def test_parameters_come_back_with_their_types(case, tmp_path):
    model = with_parameter(*PARAMETERS[case])
    assert_same(saved(model, tmp_path).get_params(), model.get_params())


NUMPY = {
    "bool": ("fit_intercept", np.True_, True),
    "int": ("draws", np.int32(7), 7),
    "float": ("target_accept", np.float32(0.5), 0.5),
    "str": ("new_groups", np.str_("error"), "error"),
    "in a prior": (
        "priors",
        {"tau": Prior("HalfNormal", sigma=np.float64(0.5))},
        {"tau": Prior("HalfNormal", sigma=0.5)},
    ),
}


@pytest.mark.parametrize("case", NUMPY)
def test_scalars_of_numpy_come_back_as_those_of_python(case, tmp_path):
    name, value, expected = NUMPY[case]
    loaded = saved(with_parameter(name, value), tmp_path)
    assert repr(loaded.get_params()[name]) == repr(expected)


COLUMNS = {
    "Index": pd.Index(["dose", "age"]),
    "Series": pd.Series(["dose", "age"]),
    "polars": pl.Series(["dose", "age"]),
    "RangeIndex": pd.RangeIndex(2),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_array_likes_come_back_as_arrays(kind, tmp_path):
    columns = COLUMNS[kind]
    loaded = saved(with_parameter("varying_slopes", columns), tmp_path)
    assert isinstance(loaded.varying_slopes, np.ndarray)
    assert loaded.varying_slopes.tolist() == list(columns)


def test_random_state_goes_on_where_it_was(tmp_path):
    generator = RandomState(3)
    generator.standard_normal(5)
    loaded = saved(with_parameter("random_state", generator), tmp_path)
    assert isinstance(loaded.random_state, RandomState)
    assert loaded.random_state is not generator
    assert np.array_equal(loaded.random_state.normal(size=700), generator.normal(size=700))


OTHERS = {
    "Generator": ("random_state", default_rng(0)),
    "RandomState of another kind": ("random_state", RandomState(PCG64(0))),
    "function": ("priors", {"tau": max}),
    "prior of an array": ("priors", {"tau": Prior("HalfNormal", sigma=np.ones(3))}),
    "set": ("group_features", {"site"}),
    "array of two dimensions": ("varying_slopes", np.ones((2, 2))),
    "dates": ("varying_slopes", np.array(["2020"], dtype="M8[Y]")),
    "frame": ("priors", FRAME),
    "list of itself": ("varying_slopes", (lambda a: a.append(a) or a)([])),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_parameters_are_refused_and_leave_the_older_file(case, tmp_path):
    name, value = OTHERS[case]
    fitted("intercepts").save(tmp_path / "model")
    before = (tmp_path / "model").read_bytes()
    message = (
        rf"`{name}` cannot be saved: a file holds None, bools.*`set_params\({name}=\.\.\.\)`"
    )
    with pytest.raises(TypeError, match=message):
        with_parameter(name, value).save(tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_labels_of_other_types_are_refused_and_leave_the_older_file(tmp_path):
    labels = np.empty(len(Y), dtype=object)
    labels[:] = [("site", i % 6) for i in range(len(Y))]
    model = HierarchicalNormalRegressor(draws=10, tune=20, chains=1, random_state=0)
    model.fit(FRAME, Y, groups=labels)
    fitted("intercepts").save(tmp_path / "model")
    with pytest.raises(TypeError, match=r"builtins\.tuple.*Give the labels as strings"):
        model.save(tmp_path / "model")
    assert HierarchicalNormalRegressor.load(tmp_path / "model").n_groups_ == 6


def test_what_cannot_be_read_is_not_written(tmp_path):
    model = with_parameter("draws", 4)
    model.n_features_in_ = -1
    with pytest.raises(ValueError, match="cannot be saved: it is not as `fit` leaves it"):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_requests_of_metadata_come_back(tmp_path):
    with config_context(enable_metadata_routing=True):
        model = with_parameter("draws", 4).set_fit_request(sample_weight=True, groups="site")
        model.set_predict_request(return_std=False)
    loaded = saved(model, tmp_path)
    requests = loaded.get_metadata_routing()
    assert str(requests) == str(model.get_metadata_routing())
    assert requests.fit.requests == {"groups": "site", "sample_weight": True, "y_err": None}


class Tuned(HierarchicalNormalRegressor):
    """Has one more parameter."""

    def __init__(self, *, extra="a", draws=10, random_state=None):
        super().__init__(draws=draws, tune=20, chains=1, random_state=random_state)
        self.extra = extra


def test_subclass_is_loaded_as_itself(tmp_path):
    model = Tuned(extra=["b"], random_state=0).fit(FRAME, Y, groups=WORDS)
    loaded = saved(model, tmp_path)
    assert type(loaded) is Tuned
    assert loaded.get_params() == model.get_params()
    assert loaded.extra == ["b"]


def test_parameters_that_a_class_does_not_have_are_named(tmp_path):
    Tuned(random_state=0).fit(FRAME, Y, groups=WORDS).save(tmp_path / "model")
    message = (
        r"holds a .*Tuned, whose parameters \['extra'\] HierarchicalNormalRegressor does not "
        "have. Load it with its own class, or upgrade skhbm."
    )
    with pytest.raises(ValueError, match=message):
        HierarchicalNormalRegressor.load(tmp_path / "model")


def test_parameters_that_a_file_does_not_have_take_their_defaults(tmp_path):
    model = HierarchicalNormalRegressor(draws=10, tune=20, chains=1, random_state=0)
    model.fit(FRAME, Y, groups=WORDS).save(tmp_path / "model")

    parameters = model.get_params()
    with zipfile.ZipFile(tmp_path / "model") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(members["about.json"])
    del about["parameters"]["verbose"], parameters["verbose"]
    members["about.json"] = json.dumps(about).encode()
    with zipfile.ZipFile(tmp_path / "older", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    loaded = HierarchicalNormalRegressor.load(tmp_path / "older")
    assert loaded.get_params() == {**parameters, "verbose": 0}


def test_file_of_statistics_is_refused_by_name(tmp_path):
    GroupedStatistics.from_arrays(FRAME.to_numpy()[:, :0], Y).save(tmp_path / "site")
    with pytest.raises(ValueError, match=r"its format, 'skhbm\.GroupedStatistics'"):
        HierarchicalNormalRegressor.load(tmp_path / "site")


def test_estimator_in_a_pipeline_is_saved_as_a_part_of_it(tmp_path):
    model = clone(fitted("intercepts")).set_params(draws=10)
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(StandardScaler(), model).fit(FRAME, Y, groups=WORDS)
    loaded = saved(pipeline[-1], tmp_path)
    rows = pipeline[:-1].transform(FRAME[:3])
    expected = pipeline[-1].predict(rows, groups=WORDS[:3])
    assert np.array_equal(loaded.predict(rows, groups=WORDS[:3]), expected)


# A fresh process

HEAVY = ["pymc", "pytensor", "nutpie", "arviz", "arviz_base", "arviz_stats", "matplotlib"]
HEAVY += ["numba", "xarray"]

SERVE = """
import json, sys
from skhbm import HierarchicalNormalRegressor
model = HierarchicalNormalRegressor.load(sys.argv[1])
mean, std = model.predict([[0.5, 1.0]], json.loads(sys.argv[2]), return_std=True)
print(json.dumps([mean.tolist(), std.tolist(), sorted(sys.modules)]))
"""


@pytest.mark.parametrize(
    ("name", "label"), [("slopes", "oak"), ("conditioned", "oak"), ("two factors", ["b", "t"])]
)
def test_fresh_process_predicts_the_same_without_sampler(name, label, tmp_path):
    model = fitted(name)
    model.save(tmp_path / "model")
    arguments = [str(tmp_path / "model"), json.dumps([label])]
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SERVE, *arguments],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    mean, std, modules = json.loads(finished.stdout)
    expected = model.predict([[0.5, 1.0]], [label], return_std=True)
    assert [mean, std] == [a.tolist() for a in expected]
    # Effects of several factors come back from compiled code.
    compiled = {"numba"} if name == "two factors" else set()
    assert set(modules).isdisjoint({*HEAVY} - compiled)


def test_every_structure_is_tried():
    """Fits that keep other arrays than the rest are among them."""
    models = {name: fitted(name) for name in EVERY}
    assert {m._posterior.design.terms.residual for m in models.values()} == {
        "shared",
        "by_group",
        "known",
    }
    assert sum(m._origin is not None for m in models.values()) == len(CONDITIONED)
    assert len(STRUCTURES) + len(CONDITIONED) == len(models)


# So few draws do not converge.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_target_of_single_precision_refits_equal(tmp_path):
    y, groups = np.array([1.0, 2.5, 3.5, 3.0, 1.5, 2.0]), [0, 0, 1, 1, 2, 2]
    model = HierarchicalNormalRegressor(
        target_accept=np.float32(0.9), draws=50, tune=100, chains=1, random_state=0
    )
    model.fit(None, y, groups=groups).save(tmp_path / "model")
    again = HierarchicalNormalRegressor.load(tmp_path / "model").fit(None, y, groups=groups)
    assert np.array_equal(again.group_scale_, model.group_scale_)
