"""Measure a server that loads an estimator and predicts one row, in fresh processes.

    python benchmarks/serving.py [--repeat N] [--only CASE ...]

``README.md`` here says what is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from itertools import pairwise
from pathlib import Path

from designs import make_schools
from run import make_rows, regressor

GOAL = 1.5
MEGABYTE = 1e6

#: What a server does. Seconds of wall and of CPU: scikit-learn, skhbm, load, predict.
SERVER = """
import json, sys, time
def now():
    return time.perf_counter(), time.process_time()
times = [now()]
import sklearn.base
times.append(now())
from skhbm import HierarchicalNormalRegressor
times.append(now())
model = HierarchicalNormalRegressor.load(sys.argv[1])
times.append(now())
row, labels = json.loads(sys.argv[2])
model.predict([row], labels, return_std=True)
times.append(now())
assert not {"pymc", "pytensor", "nutpie"} & set(sys.modules)
print(json.dumps(times))
"""
STEPS = ("import scikit-learn", "import skhbm", "load", "predict")


def radon():
    """Fit the radon data; return the estimator, and a row with its label."""
    from skhbm.datasets import load_radon

    data = load_radon()
    model = regressor().fit(data.data, data.target, groups=data.groups)
    return model, data.data[0].tolist(), [str(data.groups[0])]


def many_groups():
    X, y, groups = make_rows(200_000, 10_000, 5, 1)
    model = regressor(varying_slopes=[0]).fit(X, y, groups=groups)
    return model, X[0].tolist(), [int(groups[0])]


def schools():
    X, y, groups = make_schools()
    return regressor().fit(X, y, groups=groups), X[0].tolist(), [groups[0].tolist()]


#: Case -> (what, function).
CASES = {
    "radon": ("919 rows, 85 counties", radon),
    "many-groups": ("200,000 rows, 10,000 groups, one varying slope", many_groups),
    "schools": ("30,000 rows, 2,400 schools in 130 areas", schools),
}


def serve(path, question, repeat):
    """Return wall and CPU seconds (repeat, steps, 2) of servers; caches are warm."""
    command = [sys.executable, "-W", "ignore", "-c", SERVER, str(path), json.dumps(question)]
    results = []
    for _ in range(repeat + 1):
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        times = json.loads(out)
        results.append(
            [[b - a for a, b in zip(*pair, strict=True)] for pair in pairwise(times)]
        )
    return results[1:]


def measure(case, repeat):
    """Return a line of the table and the split of the time."""
    what, make = CASES[case]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, row, labels = make()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        started = time.perf_counter()
        model.save(path)
        saved = time.perf_counter() - started
        size = path.stat().st_size / MEGABYTE
        results = serve(path, (row, labels), repeat)
    wall, cpu = (
        [statistics.median(run[step][kind] for run in results) for step in range(len(STEPS))]
        for kind in (0, 1)
    )
    total = statistics.median(sum(step[0] for step in run) for run in results)
    busy = statistics.median(sum(step[1] for step in run) for run in results)
    cells = [what, f"{size:.2f} MB", f"{1e3 * saved:.0f} ms", f"{total:.2f} s", f"{busy:.2f} s"]
    cells += [f"{1e3 * a:.0f} ({1e3 * b:.0f})" for a, b in zip(wall, cpu, strict=True)]
    return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--repeat", type=int, default=7, help="fresh processes of a case")
    arguments = parser.parse_args()
    print(
        f"Goal {GOAL} s; {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}. Milliseconds of"
    )
    print("wall time and (CPU) for each step.\n")
    print("| case | file | save | fresh process | CPU | " + " | ".join(STEPS) + " |")
    print("|" + "---|" * (5 + len(STEPS)))
    for case in arguments.only:
        print(measure(case, arguments.repeat), flush=True)


if __name__ == "__main__":
    main()
