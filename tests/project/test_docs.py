"""The pages of the documentation: their code runs, their words are those of the package."""

import doctest
import re
import sys
import tomllib
from pathlib import Path

import pytest

import skhbm

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: Templates, and what is written when the site is built.
NO_PAGES = ("_build", "_templates", "auto_examples", "generated", "api.rst")
PAGES = {
    str(path.relative_to(DOCS)): path.read_text(encoding="utf-8")
    for path in sorted(DOCS.rglob("*.rst"))
    if path.relative_to(DOCS).parts[0] not in NO_PAGES
}
WITH_CODE = [page for page, text in PAGES.items() if ">>> " in text]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.REPORT_NDIFF


def named_modules(page):
    """Private folders and modules on a page: ``_folder`` or ``_folder/module``."""
    return set(re.findall(r"``((?:_[a-z]\w*|metrics)(?:/\w+)*)``", PAGES[page]))


@pytest.mark.parametrize("page", WITH_CODE)
def test_code_of_the_page_prints_what_the_page_says(page):
    examples = doctest.DocTestParser().get_doctest(PAGES[page], {}, page, page, 0)
    report = []
    failed, tried = doctest.DocTestRunner(optionflags=FLAGS).run(examples, out=report.append)
    assert tried > 0
    assert failed == 0, "".join(report)


@pytest.mark.parametrize("page", PAGES)
def test_page_has_no_python_that_is_not_run(page):
    languages = re.findall(r"\.\. (?:code-block|code|sourcecode):: *(\S*)", PAGES[page])
    assert set(languages) <= {"console"}
    # Nor a literal block, which a paragraph with two colons at its end begins.
    assert not re.search(r"^(?! *\.\. ).*::$", PAGES[page], flags=re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_page_has_a_description(page):
    assert len(re.findall(r"^\.\. meta::\n   :description: \S", PAGES[page], re.MULTILINE)) == 1


@pytest.mark.parametrize("page", PAGES)
def test_page_names_no_absolute_path(page):
    assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users)/", PAGES[page])


def test_front_page_has_ten_lines_of_code():
    assert len(re.findall(r"^>>> ", PAGES["index.rst"], re.MULTILINE)) == 10


def test_warnings_that_the_guide_explains_are_those_of_the_code():
    table = PAGES["user_guide/diagnostics.rst"].split("What warnings say")[1]
    quoted = re.findall(r"^   \* - \*(.+)\*", table, flags=re.MULTILINE)
    files = (ROOT / "skhbm").rglob("*.py")
    source = "".join(path.read_text(encoding="utf-8") for path in files)
    # Messages are wrapped over adjacent strings.
    source = re.sub(r'"\s+f?"', "", source)
    assert len(quoted) == 16
    assert [words for words in quoted if words not in source] == []


@pytest.mark.parametrize("page", ["architecture.rst", "user_guide/derivation.rst"])
def test_modules_that_the_page_names_exist(page):
    package = ROOT / "skhbm"
    modules = {str(path.relative_to(package).with_suffix("")) for path in package.rglob("*")}
    assert named_modules(page)
    assert named_modules(page) <= modules


def test_every_public_name_is_on_the_page_of_the_api(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    from api_page import write_api_page

    write_api_page(tmp_path / "api.rst")
    page = (tmp_path / "api.rst").read_text(encoding="utf-8")
    modules = [name for name in skhbm.__all__ if hasattr(getattr(skhbm, name), "__all__")]
    names = set(skhbm.__all__) - set(modules)
    names |= {f"{name}.{member}" for name in modules for member in getattr(skhbm, name).__all__}
    assert set(re.findall(r"^   (\w[\w.]+)$", page, flags=re.MULTILINE)) == names
    sys.modules.pop("api_page")


def test_newest_changes_are_of_the_version():
    version = re.search(r"^(\d+\.\d+\.\d+)\b.*\n-+$", PAGES["whats_new.rst"], re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert version.group(1) == project["version"]
