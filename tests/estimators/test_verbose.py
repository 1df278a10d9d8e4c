"""What `verbose` shows of a fit: a line in a file, a bar in a terminal."""

import contextlib
import io
import os
import re
import subprocess
import sys
import types
from itertools import pairwise

import pytest
from watched import Recorder, fit, raising

CONCLUSION = r"4 x 1000 draws in \d+\.\d s: R-hat <= 1\.0\d\d, ESS >= \d{4,5}, 0 divergences"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def lines(shown):
    """Return what is seen at each moment: carriage returns write over."""
    return [line for row in shown.split("\n") for line in row.split("\r")]


def test_verbose_says_one_line_in_a_file(capsys):
    fit(verbose=1, chains=4)
    assert re.fullmatch(CONCLUSION + "\n", capsys.readouterr().out)


def test_verbose_says_what_diagnostics_say(capsys):
    found = fit(verbose=1, chains=4).diagnostics_
    shown = capsys.readouterr().out
    assert f"in {found['seconds']:.1f} s: R-hat <= {found['max_rhat']:.3f}, " in shown
    assert f"ESS >= {found['min_ess']:.0f}, " in shown


def test_verbose_shows_a_bar_in_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    fit(verbose=1, draws=20_000, chains=1)
    first, *between, last, nothing = lines(terminal.getvalue())
    assert first == "Compiling ..."
    shares = []
    for line in between:
        found = re.fullmatch(
            r"\[(#*)(\.*)\] +(\d+)%  0:00:\d\d, (0:00:\d\d left, )?0 divergences *", line
        )
        assert len(found[1] + found[2]) == 20
        assert len(found[1]) == int(found[3]) // 5
        shares.append(int(found[3]))
    assert shares == sorted(shares)
    assert len(shares) >= 2
    assert shares[-1] == 100
    assert re.fullmatch(r"1 x 20000 draws in .*divergences *", last)
    assert nothing == ""


def test_line_in_a_terminal_leaves_nothing_of_a_longer_one(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    fit(verbose=1)
    shown = lines(terminal.getvalue())[:-1]
    assert all(len(b) >= len(a.rstrip()) for a, b in pairwise(shown))
    assert max(map(len, shown)) < 80


def test_fit_that_fails_ends_its_line(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    with pytest.raises(RuntimeError, match="so"):
        fit(Recorder(("end", "draws"), raising(RuntimeError("so"))), verbose=1)
    assert terminal.getvalue().endswith("\n")


def test_fit_that_fails_says_nothing_in_a_file(capsys):
    with pytest.raises(RuntimeError, match="so"):
        fit(Recorder(("end", "draws"), raising(RuntimeError("so"))), verbose=1)
    assert capsys.readouterr() == ("", "")


def test_verbose_without_standard_output_says_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    fit(verbose=1)


def test_verbose_replaces_one_output_in_a_notebook(monkeypatch):
    """Its file keeps what was last shown, and no carriage returns."""
    outputs = {}

    class Handle:
        def update(self, bundle, *, raw):
            assert raw
            outputs["shown"].append(bundle["text/plain"])

    def display(bundle, *, raw, display_id):
        assert raw
        assert display_id
        assert not outputs
        outputs["shown"] = [bundle["text/plain"]]
        return Handle()

    stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    monkeypatch.setattr(sys, "stdout", stream)
    fit(verbose=1, chains=4)
    assert outputs["shown"][0] == "Compiling ..."
    assert re.fullmatch(CONCLUSION, outputs["shown"][-1])
    assert stream.getvalue() == ""


def test_verbose_in_a_terminal_of_a_process():
    pty = pytest.importorskip("pty")  # Terminals of this kind are of Unix only.
    script = """
import numpy as np
from skhbm import HierarchicalNormalRegressor
y, groups = np.random.default_rng(0).standard_normal(60), np.arange(60) % 6
HierarchicalNormalRegressor(random_state=0, verbose=1).fit(None, y, groups=groups)
"""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=theirs, stderr=theirs
    ) as child:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how the end of a terminal is told
            while block := os.read(ours, 65536):
                shown += block
        os.close(ours)
    assert child.returncode == 0
    first, *_, last, nothing = lines(shown.decode().replace("\r\n", "\n"))
    assert first == "Compiling ..."
    assert re.fullmatch(CONCLUSION, last.rstrip())
    assert nothing == ""
