"""Memory and time of statistics and fits as the number of groups and features grows.

    python benchmarks/cells.py [--groups N ...] [--features P ...] [--slopes] [--solver laplace]

Each size in a process of its own: statistics of groups of about ten rows are simulated, as an
engine would send them, and fitted with the default settings. See README.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

MEBIBYTE = 2**20


def simulate(n_groups: int, n_features: int):
    """Return statistics of ten rows a group on average: y = x1 - x2 + ... + effect + noise."""
    from skhbm import GroupedStatistics
    from skhbm._inputs.levels import Levels

    rng = np.random.default_rng(0)
    n = 1.0 + rng.poisson(9, n_groups)
    d = n_features + 1
    beta = np.resize([1.0, -1.0], n_features)
    # Cross-products of n - 1 independent normal rows, added one at a time.
    mean, cross = np.zeros((n_groups, d)), np.zeros((n_groups, d, d))
    mean[:, :-1] = rng.standard_normal((n_groups, n_features)) / np.sqrt(n)[:, None]
    noise = rng.standard_normal(n_groups) / np.sqrt(n)
    mean[:, -1] = mean[:, :-1] @ beta + rng.standard_normal(n_groups) + noise
    for i in range(1, int(n.max())):
        rows = np.flatnonzero(n > i)
        row = rng.standard_normal((len(rows), d))
        row[:, -1] += row[:, :-1] @ beta
        for a in range(d):
            cross[rows, a] += row[:, [a]] * row
    codes = np.arange(n_groups)
    names = tuple(f"x{i}" for i in range(n_features))
    levels = (Levels(codes, "group"),)
    return GroupedStatistics(levels, codes[:, None], n, n.copy(), mean, cross, names)


def peak() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(n_groups: int, n_features: int, *, slopes: bool, solver: str) -> None:
    """Print what one size costs."""
    from skhbm import HierarchicalNormalRegressor

    small = simulate(100, n_features)
    model = HierarchicalNormalRegressor(
        varying_slopes=["x0"] if slopes else None, solver=solver, random_state=0
    )
    # Imports and compiling are not of this size.
    model.fit_statistics(small)
    statistics = simulate(n_groups, n_features)
    arrays = (
        statistics.codes,
        statistics.n,
        statistics.weight,
        statistics.mean,
        statistics.cross,
    )
    started, before = time.perf_counter(), time.process_time()
    model.fit_statistics(statistics)
    found = {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - before,
        "cells": sum(array.nbytes for array in arrays) / MEBIBYTE,
        "peak": peak(),
        "ess": model.diagnostics_["min_ess"],
        "r_hat": model.diagnostics_["max_rhat"],
    }
    print(json.dumps(found))


def main() -> None:
    """Measure all, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, nargs="+", default=[10**k for k in range(3, 8)])
    parser.add_argument("--features", type=int, nargs="+", default=[0, 3, 10])
    parser.add_argument("--slopes", action="store_true")
    parser.add_argument("--solver", default="nuts")
    parser.add_argument("--one", action="store_true")
    given = parser.parse_args()
    if given.one:
        measure(given.groups[0], given.features[0], slopes=given.slopes, solver=given.solver)
        return
    print("| groups | features | cells | fit | CPU | peak of the process | min ESS |")
    print("|---|---|---|---|---|---|---|")
    for n_features in given.features:
        for n_groups in given.groups:
            size = ["--groups", str(n_groups), "--features", str(n_features), "--one"]
            size += ["--solver", given.solver, *(["--slopes"] if given.slopes else [])]
            command = [sys.executable, __file__, *size]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                why = (done.stderr.splitlines() or [f"signal {-done.returncode}"])[-1]
                print(f"| {n_groups:,} | {n_features} | {why} |", flush=True)
                continue
            one = json.loads(done.stdout.splitlines()[-1])
            print(
                f"| {n_groups:,} | {n_features} | {one['cells']:.0f} MiB "
                f"| {one['seconds']:.1f} s | {one['cpu']:.1f} s | {one['peak']:.0f} MiB "
                f"| {one['ess']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
