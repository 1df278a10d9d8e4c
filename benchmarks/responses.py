"""Measure fits of responses that are not normal, and predictions of them.

    python benchmarks/responses.py [--only CASE ...] [--peers]

Each case runs in a fresh process, one at a time: a first fit loads what is compiled, the second
is timed. ``--peers`` adds PyMC with nutpie, compiled once, and gpboost, where these are
installed. ``README.md`` here says what is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve()
MARK = "RESULT "
#: Case -> (what, goal of "laplace", goal of "nuts").
CASES = {
    "logistic": ("logistic, 5,000 x 100, 5 features", "0.3 s, ESS 2000", "3 s, ESS 4000"),
    "poisson": ("Poisson, 5,000 x 100, 5 features", "0.3 s, ESS 2000", "3 s, ESS 4000"),
    "logistic-slope": ("logistic, and a correlated slope", "1.5 s", "12 s"),
    "poisson-slope": ("Poisson, and a correlated slope", "1.5 s", "12 s"),
    "small": ("logistic, 500 groups of 3 to 10 rows", "1 s, ESS 2000", ""),
    "student-t": ("Student-t, 5,000 x 100, 5 features", "1 s", "10 s"),
    "negative-binomial": ("negative binomial, 5,000 x 100, 5 features", "", ""),
    "patterns": ("logistic, 1,000,000 rows of 1,000 patterns x 100", "5 s", ""),
    "million": ("logistic, 1,000,000 x 10,000, 5 features", "90 s", ""),
    "crossed": ("logistic, 7,584 rows, 316 x 24 crossed", "", "10 s, ESS 1000"),
}
CLASSES = {
    "logistic": "HierarchicalLogisticRegression",
    "poisson": "HierarchicalPoissonRegressor",
    "student": "HierarchicalStudentTRegressor",
    "negative": "HierarchicalNegativeBinomialRegressor",
}
#: Rows that are predicted.
N_NEW = 100_000


def simulate(case):
    """Return the kind of response, X, y, labels and the positions of varying slopes."""
    rng = np.random.default_rng(1)
    if case == "crossed":
        a, b = (grid.ravel() for grid in np.meshgrid(np.arange(316), np.arange(24)))
        eta = 0.2 + rng.standard_normal(316)[a] + 0.8 * rng.standard_normal(24)[b]
        y = (rng.random(len(eta)) < 1 / (1 + np.exp(-eta))).astype(int)
        return "logistic", rng.standard_normal((len(y), 2)), y, np.column_stack([a, b]), None
    n, J = {"million": (1_000_000, 10_000), "patterns": (1_000_000, 100)}.get(case, (5000, 100))
    codes = rng.integers(J, size=n)
    if case == "small":
        codes = np.repeat(np.arange(500), rng.integers(3, 11, size=500))
    X = rng.standard_normal((len(codes), 5))
    if case == "patterns":
        X = X[:10][rng.integers(10, size=n)]
    slopes = 0.4 * rng.standard_normal(J)
    eta = (
        -0.5
        + X @ [0.5, -0.3, 0.2, 0.0, 0.1]
        + 0.7 * rng.standard_normal(codes.max() + 1)[codes]
    )
    if case.endswith("slope"):
        eta += X[:, 0] * slopes[codes]
    kind = case.split("-")[0]
    kind = kind if kind in CLASSES else "logistic"
    y = {
        "logistic": lambda: (rng.random(len(eta)) < 1 / (1 + np.exp(-eta))).astype(int),
        "poisson": lambda: rng.poisson(np.exp(eta)),
        "student": lambda: eta + rng.standard_t(4, size=len(eta)),
        "negative": lambda: rng.poisson(np.exp(eta) * rng.gamma(2, 0.5, size=len(eta))),
    }[kind]()
    return kind, X, y, codes, [0] if case.endswith("slope") else None


def run(case, solver):
    """Fit twice, predict, and print what it took."""
    import skhbm

    warnings.simplefilter("ignore")
    kind, X, y, groups, slopes = simulate(case)
    rows = {"X": X, "y": y, "groups": groups}
    make = getattr(skhbm, CLASSES[kind])
    started = time.perf_counter()
    model = make(solver=solver, varying_slopes=slopes, random_state=0)
    if case != "million":
        model.fit(**rows)
    first = time.perf_counter() - started
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, cpu = time.perf_counter(), time.process_time()
    model.set_params(random_state=1).fit(**rows)
    out = {"first": first, "fit": time.perf_counter() - started}
    out["CPU"] = time.process_time() - cpu
    found = model.diagnostics_
    out |= {k: found[k] for k in ("solver", "min_ess", "pareto_k", "n_divergences", "n_points")}
    out["memory"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    if kind == "logistic" and case == "logistic":
        new = np.random.default_rng(2).standard_normal((N_NEW, 5))
        labels = np.random.default_rng(3).integers(100, size=N_NEW)
        model.predict_proba(new[:10], groups=labels[:10])
        started = time.perf_counter()
        model.predict_proba(new, groups=labels)
        out["predict"] = time.perf_counter() - started
    print(MARK + json.dumps(out))


def run_peer(case, peer):
    """Fit with another package and print what it took."""
    kind, X, y, groups, _ = simulate(case)
    if peer == "gpboost":
        import gpboost

        likelihood = {"logistic": "bernoulli_logit", "poisson": "poisson"}[kind]
        started, cpu = time.perf_counter(), time.process_time()
        model = gpboost.GPModel(group_data=groups, likelihood=likelihood)
        model.fit(y=y.astype(float), X=np.column_stack([np.ones(len(X)), X]))
        out = {"fit": time.perf_counter() - started, "CPU": time.process_time() - cpu}
        print(MARK + json.dumps(out))
        return
    import arviz_stats
    import nutpie
    import pymc as pm

    n_groups = int(groups.max()) + 1
    with pm.Model() as model:
        intercept, coef = pm.Normal("intercept", 0, 2.5), pm.Normal("coef", 0, 1.25, shape=5)
        tau = pm.HalfNormal("tau", 1.5)
        u = pm.Normal("u", 0, tau, shape=n_groups)
        eta = intercept + (X * coef).sum(axis=1) + u[groups]
        if kind == "logistic":
            pm.Bernoulli("y", logit_p=eta, observed=y)
        else:
            pm.Poisson("y", pm.math.exp(eta), observed=y)
    compiled = nutpie.compile_pymc_model(model)
    started, cpu = time.perf_counter(), time.process_time()
    trace = nutpie.sample(compiled, chains=4, seed=0, progress_bar=False, cores=os.cpu_count())
    out = {"fit": time.perf_counter() - started, "CPU": time.process_time() - cpu}
    ess = arviz_stats.ess(trace, var_names=["intercept", "coef", "tau"])
    out["min_ess"] = float(min(np.min(v.to_numpy()) for v in ess.data_vars.values()))
    out["n_divergences"] = int(trace["sample_stats"]["diverging"].sum())
    print(MARK + json.dumps(out))


def child(arguments):
    """Run a case in a process of its own; return what it printed, or its last words."""
    done = subprocess.run(
        [sys.executable, str(HERE), *arguments], capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    last = done.stderr.strip().splitlines()[-1:] or ["no result"]
    return json.loads(lines[-1][len(MARK) :]) if lines else {"error": last[0][:200]}


def report(what, result):
    numbers = {k: round(v, 2) if isinstance(v, float) else v for k, v in result.items()}
    print(what, numbers, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--run-peer", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        run(*given.run)
        return
    if given.run_peer:
        run_peer(*given.run_peer)
        return
    for case in given.only:
        what, of_laplace, of_nuts = CASES[case]
        solvers = {"laplace": of_laplace, "nuts": of_nuts}
        if case == "crossed":
            del solvers["laplace"]
        if case in ("million", "patterns"):
            del solvers["nuts"]
        for solver, goal in solvers.items():
            report(f"{what} | {solver} | goal {goal or '-'} |", child(["--run", case, solver]))
        if given.peers and case in ("logistic", "poisson", "small"):
            for peer in ("nutpie", "gpboost"):
                report(f"{what} | {peer} |", child(["--run-peer", case, peer]))


if __name__ == "__main__":
    main()
