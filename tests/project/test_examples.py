"""The examples and the README run as printed."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUPPORT = ROOT / "tests" / "support"
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

each_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda path: path.stem)
def run(request, tmp_path_factory):
    pytest.importorskip("matplotlib")  # Examples plot, and Matplotlib is an extra.
    folder = tmp_path_factory.mktemp(request.param.stem)
    finished = subprocess.run(
        [sys.executable, request.param],
        cwd=folder,
        # Figures are drawn and kept as if there were a screen.
        env={**os.environ, "MPLBACKEND": "module://saving_backend", "PYTHONPATH": str(SUPPORT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    return request.param, folder, finished


def blocks():
    """Return each block of Python with the text block that follows it, or None."""
    pattern = r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?"
    return re.findall(pattern, README, flags=re.DOTALL | re.MULTILINE)


def printed_by(code, names):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "README.md", "exec"), names)
    return output.getvalue()


def cells(path):
    """Return the text of the docstring and of each cell, and the code of each cell."""
    docstring, *rest = path.read_text(encoding="utf-8").split("\n# %%")
    return docstring, [re.match(r"((?:\n#[^\n]*)*)(.*)", c, re.DOTALL).groups() for c in rest]


def test_example_runs_without_errors_and_warnings(run):
    _, _, finished = run
    assert (finished.returncode, finished.stderr) == (0, "")


def test_example_shows_a_figure(run):
    _, folder, _ = run
    figure = folder / "figure_1.png"
    assert figure.read_bytes().startswith(b"\x89PNG")


@each_example
def test_example_has_at_most_120_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 120


@each_example
def test_example_has_a_title_and_a_claim(path):
    docstring, _ = cells(path)
    title = re.match(r'"""\n(?P<title>.+)\n(?P<rule>=+)\n\n\w', docstring)
    assert len(title["title"]) == len(title["rule"])


@each_example
def test_example_asserts_its_claim(path):
    _, rest = cells(path)
    assert any("\nassert " in code for _, code in rest)


@each_example
def test_example_ends_with_its_figure_and_what_to_try_next(path):
    _, rest = cells(path)
    assert rest[-2][1].endswith("plt.show()\n")
    assert rest[-1][0].startswith("\n# **Try next**: ")
    assert rest[-1][1] == "\n"


@each_example
def test_example_uses_public_names_only(path):
    assert not re.search(r"(?:skhbm|\w)\._[a-z]", path.read_text(encoding="utf-8"))


def test_readme_runs_and_prints_what_it_says():
    names = {}
    for code, stated in blocks():
        lines = printed_by(code, names).splitlines()
        assert [line.rstrip() for line in lines] == [s.rstrip() for s in stated.splitlines()]
    assert names["model"].n_groups_ == 85


def test_readme_names_no_absolute_path():
    assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users)/", README)
