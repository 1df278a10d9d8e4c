"""The package as such: public names, docstrings, files."""

import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from numpydoc.validate import validate

import skhbm

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

#: All of numpydoc's checks but these.
SKIPPED = {
    "GL01": "a summary starts on the line of the quotes: ruff checks the opposite of this one",
    "ES01": "a summary that says all needs no extension",
    "SA01": "methods are documented beside one another",
    "EX01": "examples are with the class, not with each of its methods",
    "PR01": "checked below, parameters that share a line and *unnamed being told apart",
    "PR04": "parameters that refer to another method have their types there",
}


def public():
    """Yield names like skhbm.Class.method with their objects."""
    for name in skhbm.__all__:
        thing = getattr(skhbm, name)
        if inspect.ismodule(thing):
            for member in thing.__all__:
                yield f"{thing.__name__}.{member}"
            continue
        yield f"{thing.__module__}.{name}"
        ours = [kind for kind in thing.__mro__ if kind.__module__.startswith("skhbm.")]
        for member, value in [item for kind in ours for item in vars(kind).items()]:
            if not member.startswith("_") and (
                callable(value) or isinstance(value, classmethod)
            ):
                yield f"{thing.__module__}.{name}.{member}"


PUBLIC = sorted(set(public()))


def resolve(name):
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for part in parts[n:]:
            thing = getattr(thing, part)
        return thing
    raise AssertionError(name)


def test_public_names_are_sorted_and_exist():
    assert list(skhbm.__all__) == sorted(skhbm.__all__)
    assert all(getattr(skhbm, name) is not None for name in skhbm.__all__)


def test_public_names_are_complete():
    assert set(dir(skhbm)) - {"__version__"} == set(skhbm.__all__)
    assert {"HierarchicalNormalRegressor", "Prior", "GroupedStatistics"} <= set(skhbm.__all__)
    assert {"datasets", "metrics"} <= set(skhbm.__all__)


def test_names_of_the_data_sets_are_sorted_and_complete():
    loaders = {name for name in vars(skhbm.datasets) if name.startswith("load_")}
    assert list(skhbm.datasets.__all__) == sorted(loaders)


def test_names_of_the_metrics_are_sorted_and_complete():
    """Scorers, and functions that make scorers."""
    scorers = [
        name
        for name, thing in vars(skhbm.metrics).items()
        if callable(thing) and getattr(thing, "__module__", None) == "skhbm.metrics"
    ]
    assert list(skhbm.metrics.__all__) == sorted(scorers)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'skhbm' has no attribute 'Foo'"):
        skhbm.Foo  # noqa: B018  # what is tested


def test_star_import_gives_the_public_names():
    code = "from skhbm import *; import skhbm; assert set(skhbm.__all__) <= set(dir())"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_is_valid(name):
    errors = [(code, text) for code, text in validate(name)["errors"] if code not in SKIPPED]
    assert errors == []


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_names_every_parameter_in_order(name):
    thing = resolve(name)
    signature = inspect.signature(thing)
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    taken = [
        p.name
        for p in signature.parameters.values()
        if p.name != "self" and p.kind not in kinds
    ]
    assert [n for n in documented(thing) if not n.startswith("*")] == taken


def documented(thing):
    """Names in the section Parameters; several may share a line."""
    from numpydoc.docscrape import NumpyDocString

    section = NumpyDocString(inspect.getdoc(thing))["Parameters"]
    return [name for parameter in section for name in parameter.name.split(", ")]


def test_docstring_of_the_estimator_names_every_attribute():
    from numpydoc.docscrape import NumpyDocString

    text = inspect.getdoc(skhbm.HierarchicalNormalRegressor)
    attributes = {a.name for a in NumpyDocString(text)["Attributes"]}
    model = skhbm.HierarchicalNormalRegressor(draws=4, tune=4, random_state=0)
    with pytest.warns(UserWarning, match=r"R-hat|diverged|Fitted without groups"):
        model.fit([[1.0], [2.0], [4.0], [3.0]], [1.0, 2.5, 3.5, 3.0])
    properties = {
        n
        for kind in type(model).__mro__
        for n, v in vars(kind).items()
        if isinstance(v, property) and n.endswith("_")
    }
    fitted = {n for n in vars(model) if n.endswith("_") and not n.startswith("_")}
    assert fitted | {n for n in properties if not n.startswith("_")} <= attributes
    assert attributes <= fitted | properties | {"feature_names_in_"}


@pytest.mark.parametrize("file", ["LICENSE", "README.md", "docs", "examples", "benchmarks"])
def test_project_has(file):
    assert (ROOT / file).exists()


def test_source_archive_holds_what_the_tests_read():
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    include = tool["hatch"]["build"]["targets"]["sdist"]["include"]
    included = {path.strip("/") for path in include}
    included |= {"LICENSE", "README.md", "pyproject.toml"}  # are in any archive of hatchling's
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")]
    read = set(re.findall(r'(?:ROOT|parents\[2\])\)? / "([\w.-]+)"', "".join(sources)))
    assert {"docs", "benchmarks", ".python-version"} <= read
    assert {"conftest.py", "skhbm", "tests", *read} <= included


def test_license_is_bsd():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["license"] == "BSD-3-Clause"
    assert text.startswith("BSD 3-Clause License")
    assert "Neither the name of the copyright holder" in text


def test_version_is_that_of_the_project():
    assert skhbm.__version__ == PROJECT["version"]


def test_python_of_the_project_satisfies_its_requirement():
    pinned = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    assert pinned == "3.13"
    assert PROJECT["requires-python"] == ">=3.12"
