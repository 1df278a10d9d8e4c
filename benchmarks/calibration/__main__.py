"""Simulation-based calibration, and the coverage of predictive intervals.

    python benchmarks/calibration --simulations 500 --solver nuts laplace

docs/user_guide/calibration.rst says what it does. What is found goes to docs/figures, case
by case.
"""

from __future__ import annotations

import argparse
import time

from fitting import CONTROLS, KINDS, simulate
from generative import STRUCTURES
from joblib import Parallel, delayed
from results import N_DRAWS, fitted, keep, load, p_values, write_tables
from uniform import coverage

#: Ranks are among a hundred draws: of a chain every tenth, and fewer of draws that importance
#: resampling repeats. Predictive intervals use all.
SETTINGS = {
    "nuts": {"draws": 250, "tune": 250, "chains": 4},
    "laplace": {"draws": 1000, "chains": 4},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=500, help="data sets of a model")
    parser.add_argument("--solver", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--model", nargs="+", default=list(STRUCTURES), choices=STRUCTURES)
    parser.add_argument("--jobs", type=int, default=-1, help="processes")
    arguments = parser.parse_args()
    with Parallel(n_jobs=arguments.jobs) as parallel:
        for model in arguments.model:
            for solver in arguments.solver:
                run(parallel, model, solver, arguments.simulations)
    write_tables()


def run(parallel, model, solver, n):
    """Simulate a model n times, and print and keep what comes of it and of the controls."""
    started = time.perf_counter()
    outcomes = collect(parallel, model, solver, n)
    keep((model, solver, ""), outcomes)
    report((model, solver, ""), started)
    if model != "intercepts":
        return
    for control in CONTROLS:
        keep((model, solver, control), [{**o, "ranks": o["wrong"][control]} for o in outcomes])
        report((model, solver, control))
    started = time.perf_counter()
    keep((model, solver, "rows twice"), collect(parallel, model, solver, n, twice=True))
    report((model, solver, "rows twice"), started)


def collect(parallel, model, solver, n, **options):
    """Return the outcomes of n data sets, from seeds of the model's own."""
    first = 100_000 * list(STRUCTURES).index(model)
    options |= SETTINGS[solver]
    return parallel(
        delayed(simulate)(STRUCTURES[model], solver, first + i, N_DRAWS, **options)
        for i in range(n)
    )


def report(case, started=None):
    """Print p-values and coverage of a case."""
    _, ranks, shares, k, divergences = load(case)
    seconds = f", {time.perf_counter() - started:.0f} s" if started else ""
    print(f"\n{', '.join(filter(None, case))}: {len(ranks)} data sets{seconds}")
    print(f"  {(divergences > 0).sum()} with divergences, {(k > 0.7).sum()} with k > 0.7")
    for name, p in p_values(case).items():
        print(f"  {name:35} p = {p:.2g}")
    for i, kind in enumerate(KINDS if fitted(case) else ()):
        mean, error = coverage(shares[:, i].astype(float))
        cells = [f"{100 * m:.2f} +- {100 * e:.2f} %" for m, e in zip(mean, error, strict=True)]
        print(f"  {kind:5} groups: {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
