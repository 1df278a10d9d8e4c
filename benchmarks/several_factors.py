"""Measure fits with several grouping factors, and what is computed after them.

    python benchmarks/several_factors.py [--only CASE ...] [--solver SOLVER] [--lme4]

Each case runs in a fresh process, one at a time. ``README.md`` here says what is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from importlib.metadata import version
from pathlib import Path

import designs
import numpy as np

HERE = Path(__file__).resolve()
MARK = "RESULT "
MEGABYTE = 1e6
#: Rows that are predicted.
N_NEW = 10_000

# fmt: off
#: Case -> (what, goal).
CASES = {
    "insteval": ("InstEval: 73,421 rows, 2,972 x 1,128 x 14", "8 s, ESS 400"),
    "star": ("star: 24,578 rows, 10,732 x 1,374 x 80", "15 s"),
    "films": ("MovieLens 1M: 1,000,000 rows, 6,040 x 3,706", "90 s, ESS 40, 3 GB"),
    "crossed": ("10,000 rows, 200 x 300", "1 s, ESS 1500"),
    "slopes": ("the same with a correlated slope in each", "3 s, ESS 1000"),
    "schools": ("30,000 rows, 2,400 schools in 130 areas", "0.7 s, ESS 2000"),
    "classes": ("200,000 rows, 30,000 classes in 2,400 schools in 130 areas", "3 s"),
    "neighbourhoods": ("200,000 rows, 100,000 pupils, 3,000 schools x 2,000", "15 s"),
}
# fmt: on
COLUMNS = ["case", "goal", "fit", "CPU", "solver", "min ESS", "Pareto k", "memory", "pickle"]
COLUMNS += ["predict", "new levels", "posterior_", "memory", "loo", "lme4", "gpboost", "note"]

#: Each prints seconds of wall time and of CPU.
LME4 = """
suppressMessages(library(lme4))
rows <- read.csv(commandArgs(TRUE)[1])
spent <- system.time(lmer(FORMULA, rows, control = lmerControl(calc.derivs = FALSE)))
cat(spent["elapsed"], spent["user.self"] + spent["sys.self"])
"""
GPBOOST = """
import sys, time
import gpboost, numpy as np
rows = np.loadtxt(sys.argv[1], delimiter=",", skiprows=1)
n_factors = int(sys.argv[2])
groups, y, X = rows[:, :n_factors], rows[:, n_factors], rows[:, n_factors + 1 :]
started, before = time.perf_counter(), time.process_time()
model = gpboost.GPModel(group_data=groups.astype(int), likelihood="gaussian")
model.fit(y=y, X=np.column_stack([np.ones(len(y)), X]))
print(time.perf_counter() - started, time.process_time() - before)
"""


def make_rows(case, given):
    """Return X or None, y, groups, and parameters of the estimator."""
    if case == "insteval":
        rows = read_insteval(given.insteval) if given.insteval else None
        return (*(rows or (None, *designs.make_evaluations())), {})
    if case == "star":
        return (*(read_star(given.star) if given.star else designs.make_star()), {})
    if case == "films":
        return None, *designs.make_films(), {}
    if case == "slopes":
        return *designs.make_crossed(n_slopes=1), {"varying_slopes": [0]}
    return *getattr(designs, f"make_{case}")(), {}


def read_insteval(path):
    """Read lme4's InstEval from a CSV file: y ~ service + (1 | s) + (1 | d) + (1 | dept)."""
    import pandas as pd

    table = pd.read_csv(path)
    codes = [pd.factorize(table[name])[0] for name in ("s", "d", "dept")]
    return table[["service"]].to_numpy(float), table["y"].to_numpy(float), np.array(codes).T


def read_star(path):
    """Read mlmRev's star from a CSV file: math ~ gr + sx + eth + cltype, by id, tch and sch."""
    import pandas as pd

    features, factors = ["gr", "sx", "eth", "cltype"], ["id", "tch", "sch"]
    table = pd.read_csv(path).dropna(subset=["math", *features, *factors])
    X = pd.get_dummies(table[features].astype(str), drop_first=True).to_numpy(float)
    codes = [pd.factorize(table[name])[0] for name in factors]
    return X, table["math"].to_numpy(float), np.array(codes).T


def regressor(**parameters):
    from skhbm import HierarchicalNormalRegressor

    return HierarchicalNormalRegressor(**{"random_state": 0, **parameters})


def compile_structure(n_features, n_factors, parameters, given):
    """Compile all that will be called, on 400 rows of the same structure."""
    rng = np.random.default_rng(0)
    groups = np.column_stack([rng.integers(0, 20, 400) for _ in range(n_factors)])
    X, y = rng.standard_normal((400, n_features)), rng.standard_normal(400)
    X = X if n_features else None
    for each in {given.solver, "nuts", "laplace"} - {None}:
        try:
            model = regressor(draws=50, tune=50, solver=each, **parameters)
            model.fit(X, y, groups=groups)
        except ValueError:  # A version may refuse a solver with several factors.
            continue
        model.predict(X, groups=groups, return_std=True)
        _ = model.posterior_
        if not given.no_loo:
            model.loo(X, y, groups=groups)


def measure(case, given):
    """Measure a fit, and predictions, draws and leaving out of rows after it."""
    X, y, groups, parameters = make_rows(case, given)
    n_features = 0 if X is None else X.shape[1]
    compile_structure(n_features, groups.shape[1], parameters, given)
    if given.solver:
        parameters["solver"] = given.solver
    model = regressor(**parameters)
    fit, cpu = timed(lambda: model.fit(X, y, groups=groups))
    solver = model.diagnostics_.get("solver", model.solver)
    found = {"fit": fit, "cpu": cpu, "solver": solver, "fit_memory": peak()}
    found |= {name: model.diagnostics_[name] for name in ("min_ess", "pareto_k")}
    found["pickle"] = len(pickle.dumps(model))
    print(MARK + json.dumps(found), flush=True)
    rows = None if X is None else X[:N_NEW]
    known = groups[:N_NEW]
    unseen = np.random.default_rng(1).random(known.shape) < 0.3
    new = np.where(unseen, known + 10**9, known)
    for name, labels in (("predict", known), ("new", new)):
        found[name], found[f"{name}_cpu"] = timed(partial(predict, model, rows, labels))
    print(MARK + json.dumps(found), flush=True)
    found["draws"], found["draws_cpu"] = timed(lambda: model.posterior_)
    found["memory"] = peak()
    print(MARK + json.dumps(found), flush=True)
    if case in given.repeats:
        found["note"] = judge_effects(model, X, y, groups, given.repeats[case])
    if not given.no_loo:
        found["loo"], found["loo_cpu"] = timed(lambda: model.loo(X, y, groups=groups))
    print(MARK + json.dumps(found), flush=True)


def predict(model, X, groups):
    """Predict rows with their standard deviations."""
    return model.predict(X, groups=groups, return_std=True)


def judge_effects(model, X, y, groups, repeats):
    """Compare means of all effects with those of a run that is longer by a factor."""
    draws = model.posterior_["posterior"]
    factors = [f"group{f}" for f in range(groups.shape[1])]
    sd = np.concatenate(
        [draws[f"effect_{name}"].std(("chain", "draw")).to_numpy()[:, 0] for name in factors]
    )
    more = 0.0
    for seed in range(1, 1 + repeats):
        again = regressor(solver=model.solver, random_state=seed).fit(X, y, groups=groups)
        more = more + effects(again) / repeats
    error = np.abs(effects(model) - more) / sd
    return f"means of effects within {error.max():.4f} sd, rms {np.sqrt(np.mean(error**2)):.4f}"


def effects(model):
    """Return the posterior means of the effects of all groups on the intercept."""
    return np.concatenate([*model.group_intercept_.values()]) - model.intercept_


def run_peers(case, given):
    """Time point estimates of other packages; what they take, or nothing if not asked for."""
    if not given.lme4 and not given.gpboost:
        return {}
    X, y, groups, parameters = make_rows(case, given)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/rows.csv"
        columns = [*groups.T, y, *(() if X is None else X.T)]
        factors = [f"g{f}" for f in range(groups.shape[1])]
        features = [f"x{k}" for k in range(len(columns) - 1 - len(factors))]
        header = ",".join([*factors, "y", *features])
        np.savetxt(path, np.column_stack(columns), "%.17g", ",", header=header, comments="")
        if given.lme4:
            left = "1 + x0" if parameters else "1"
            terms = ["1", *features, *(f"({left} | {name})" for name in factors)]
            script = LME4.replace("FORMULA", f"y ~ {' + '.join(terms)}")
            found["lme4"] = run_peer(["Rscript", "-e", script, path], given.limit)
        if given.gpboost and not parameters:
            command = [given.gpboost, "-c", GPBOOST, path, str(len(factors))]
            found["gpboost"] = run_peer(command, given.limit)
    return found


def run_peer(command, limit):
    """Return what a peer takes, in words."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return f"> {limit:.0f} s"
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1:]}"
    wall, cpu = map(float, done.stdout.split()[-2:])
    return f"{wall:.2f} s, CPU {cpu:.2f} s"


def timed(function):
    """Call a function; return seconds of wall time and of CPU of all threads."""
    started, before = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function()
    return time.perf_counter() - started, time.process_time() - before


def peak():
    """Largest resident memory of this process so far, in bytes (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run_process(case, given):
    """Run one case in a process of its own; what it found until it ended or was stopped."""
    command = [sys.executable, str(HERE), "--measure", case, *sys.argv[1:]]
    note = ""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=given.limit, check=False
        )
        output = done.stdout
        if done.returncode:
            note = f"failed: {done.stderr.strip().splitlines()[-1:]}"
    except subprocess.TimeoutExpired as stopped:
        output, note = (stopped.stdout or b"").decode(), f"stopped after {given.limit} s"
    lines = [line for line in output.splitlines() if line.startswith(MARK)]
    found = json.loads(lines[-1].removeprefix(MARK)) if lines else {}
    return {**found, "note": "; ".join(filter(None, [found.get("note"), note]))}


def row(case, found):
    """Format one line of the table."""

    def show(name, form, unit=1.0):
        return "" if found.get(name) is None else form.format(found[name] / unit)

    steps = {
        name: show(name, "{:.2f} s") + show(f"{name}_cpu", ", CPU {:.2f} s")
        for name in ("predict", "new", "draws", "loo")
    }
    cells = [
        *CASES[case],
        show("fit", "{:.2f} s"),
        show("cpu", "{:.2f} s"),
        found.get("solver", ""),
        show("min_ess", "{:.0f}"),
        show("pareto_k", "{:.2f}"),
        show("fit_memory", "{:.0f} MB", MEGABYTE),
        show("pickle", "{:.1f} MB", MEGABYTE),
        steps["predict"],
        steps["new"],
        steps["draws"],
        show("memory", "{:.0f} MB", MEGABYTE),
        steps["loo"],
        found.get("lme4", ""),
        found.get("gpboost", ""),
        found["note"],
    ]
    return "| " + " | ".join(cells) + " |"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--solver", help="instead of the default")
    parser.add_argument("--insteval", metavar="CSV", help="lme4's data, instead of their shape")
    parser.add_argument("--star", metavar="CSV", help="mlmRev's data, instead of their shape")
    parser.add_argument("--repeats", type=int, default=8, help="fits that judge InstEval's")
    parser.add_argument("--no-loo", action="store_true", help="leave no rows out")
    parser.add_argument("--lme4", action="store_true", help="time R's lme4, too")
    parser.add_argument("--gpboost", metavar="PYTHON", help="time gpboost of this Python, too")
    parser.add_argument("--limit", type=float, default=900, help="seconds of a process")
    parser.add_argument("--measure", choices=CASES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.repeats = {"insteval": given.repeats} if given.repeats else {}
    return given


def main():
    given = parse()
    if given.measure:
        measure(given.measure, given)
        return
    names = ["skhbm", "nutpie", "numba", "scipy"]
    print(", ".join(f"{n} {version(n)}" for n in names))
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}\n")
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for case in given.only:
        print(row(case, {**run_process(case, given), **run_peers(case, given)}), flush=True)


if __name__ == "__main__":
    main()
