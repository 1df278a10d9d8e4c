"""The examples and the README run as printed."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda path: path.stem)
def run(request, tmp_path_factory):
    pytest.importorskip("matplotlib")  # an extra: the examples plot
    folder = tmp_path_factory.mktemp(request.param.stem)
    finished = subprocess.run(
        [sys.executable, request.param],
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "Agg"},
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


def test_example_runs_without_errors_and_warnings(run):
    _, _, finished = run
    assert (finished.returncode, finished.stderr) == (0, "")


def test_example_saves_the_plot_that_it_names(run):
    path, folder, finished = run
    plot = folder / f"{path.stem}.png"
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert finished.stdout.endswith(f"Saved {plot.name}\n")


def test_example_has_at_most_120_lines(run):
    path, _, _ = run
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 120


def test_readme_runs_and_prints_what_it_says():
    names = {}
    for code, stated in blocks():
        lines = printed_by(code, names).splitlines()
        assert [line.rstrip() for line in lines] == [s.rstrip() for s in stated.splitlines()]
    assert names["model"].n_groups_ == 85


def test_readme_names_no_absolute_path():
    assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users)/", README)
