"""Measure every line of the table of speed goals, and the textbook PyMC model beside it.

    python benchmarks/run.py [--only CASE ...] [--quick] [--repeat N]

Each measurement runs in a fresh process, one at a time. ``README.md`` here says what is
measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve()
MARK = "RESULT "
MEGABYTE = 1e6

# fmt: off
#: Case -> (what, goal, repeats of the process).
CASES = {
    "intercepts": ("5,000 rows, 100 groups, 5 features; compiled", "0.5 s, ESS 4000", 1),
    "slopes": ("the same with 2 correlated varying slopes; compiled", "1.5 s, ESS 3000", 1),
    "three-groups": ("three-group example, by_group; compiled", "0.5 s, 0 diverging", 1),
    "warm": ("fresh process, warm disk cache, imports included", "3 s", 3),
    "cold": ("first fit ever, empty caches, imports included", "10 s", 3),
    "million-rows": ("1,000,000 rows, 10 features, 10,000 groups", "2 s, + 300 MB", 1),
    "many-groups": ("200,000 rows, 10,000 groups, one varying slope", "10 s", 1),
    "laplace": ("5,000 rows, 100 groups, 5 features; compiled", "0.1 s, ESS 2000", 1),
    "laplace-million-rows": ("1,000,000 rows, 10 features, 10,000 groups", "5 x sums", 1),
    "laplace-many-groups": ("200,000 rows, 10,000 groups, one varying slope", "1 s", 1),
    "laplace-search": ("GridSearchCV, 5 folds x 3 points, second of the process", "3 s", 1),
    "columns-60": ("3,000 rows, 50 groups, 60 features; compiled; CPU", "1 s", 1),
    "columns-150": ("3,000 rows, 50 groups, 150 features; compiled; CPU", "2 s", 1),
    "columns-500": ("3,000 rows, 50 groups, 500 features; compiled; CPU", "10 s", 1),
    "columns-groups": ("20,000 rows, 2,000 groups, 150 features; compiled; CPU", "15 s", 1),
    "columns-trial": ("224 rows, 4 blocks, 55 varieties; compiled; CPU", "2 s", 1),
    "laplace-columns-60": ("3,000 rows, 50 groups, 60 features; compiled; CPU", "0.15 s", 1),
    "laplace-columns-150": ("3,000 rows, 50 groups, 150 features; compiled; CPU", "0.3 s", 1),
    "laplace-columns-500": ("3,000 rows, 50 groups, 500 features; compiled; CPU", "1.5 s", 1),
    "laplace-columns-groups": ("20,000 rows, 2,000 groups, 150 features; CPU", "2 s", 1),
    "eight-schools": ("eight schools, known errors; compiled", "0.5 s", 1),
    "partial-fit": ("partial_fit, 10,000 rows more, new labels; without sampling", "50 ms", 1),
    "predict-one": ("predict, one row, known group", "1 ms", 1),
    "predict-million": ("predict, 1,000,000 rows, return_std", "1 s, O(rows)", 1),
    "condition-on": ("condition_on, 5 rows of a new group, 100 groups", "10 ms", 1),
    "import": ("import skhbm, without PyMC, ArviZ, pandas ...", "none loaded", 3),
    "pickle": ("pickle of a fitted radon model; predict without PyMC", "2 MB", 1),
    "search": ("GridSearchCV, 5 folds x 3 points, fresh process, warm disk cache", "15 s", 3),
    "search-jobs": ("the same again with n_jobs=2", "n_jobs=1", 1),
    "checks": ("check_estimator on the default constructor", "120 s", 1),
    "textbook-warm": ("textbook PyMC + nutpie, 5,000 rows, fresh process, warm", "-", 3),
    "textbook-cold": ("textbook PyMC + nutpie, 5,000 rows, empty caches", "-", 1),
    "textbook-again": ("textbook PyMC + nutpie, 5,000 rows, second fit in the process", "-", 1),
}
# fmt: on

#: The textbook case that a ratio is to: the same situation of caches.
RIVAL = {"intercepts": "textbook-again", "warm": "textbook-warm", "cold": "textbook-cold"}


def make_rows(n_rows, n_groups, n_features, n_slopes=0, seed=0):
    """Simulate rows; varying slopes are those of the first features."""
    import numpy as np

    rng = np.random.default_rng(seed)
    groups = rng.integers(0, n_groups, n_rows)
    X = rng.standard_normal((n_rows, n_features))
    y = 2 + X @ np.linspace(-1, 1, n_features) + 0.7 * rng.standard_normal(n_groups)[groups]
    for k in range(n_slopes):
        y += 0.4 * rng.standard_normal(n_groups)[groups] * X[:, k]
    return X, y + rng.standard_normal(n_rows), groups


def regressor(**parameters):
    from skhbm import HierarchicalNormalRegressor

    return HierarchicalNormalRegressor(random_state=0, **parameters)


def peak():
    """Largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident():
    """Resident memory of this process now, in bytes (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def timed(function, repeat, clock=time.perf_counter):
    """Call a function several times; return seconds by the clock and the last result."""
    seconds = []
    for _ in range(repeat):
        started = clock()
        result = function()
        seconds.append(clock() - started)
    return seconds, result


def quality(posterior, divergences):
    """Return worst bulk ESS and R-hat over hyperparameters and all group coefficients."""
    import numpy as np
    from arviz_stats.base import array_stats

    draws = list(_scalars(posterior))
    values = np.concatenate(draws, axis=2)
    ess = [
        array_stats.ess(v, chain_axis=0, draw_axis=1, method="bulk")
        for v in np.moveaxis(values, 2, 0)
    ]
    rhat = [array_stats.rhat(v, chain_axis=0, draw_axis=1) for v in np.moveaxis(values, 2, 0)]
    return {
        "ess": float(np.min(ess)),
        "rhat": float(np.max(rhat)),
        "divergences": int(divergences),
    }


def _scalars(posterior):
    """Yield (chain, draw, n) of hyperparameters, and of population + effect in each group."""
    import numpy as np

    for name, variable in posterior.data_vars.items():
        values = variable.to_numpy()
        if name.startswith("effect_"):
            f = name.removeprefix("effect_")
            for k, term in enumerate(posterior[f"{f}_term"].to_numpy()):
                population = (
                    posterior["intercept"].to_numpy()
                    if term == "intercept"
                    else posterior["coef"].sel(feature=term).to_numpy()
                )
                yield population[:, :, None] + values[..., k]
            continue
        if name.startswith("corr_"):
            values = values[..., *np.triu_indices(values.shape[-1], 1)]
        yield values.reshape(*values.shape[:2], -1)


def quality_of(model, *, every=1):
    """Return the quality of a fitted model, of some of its groups only if they are many."""
    posterior = model.posterior_["posterior"].to_dataset()
    effects = [name for name in posterior.data_vars if name.startswith("effect_")]
    factors = {name.removeprefix("effect_"): slice(None, None, every) for name in effects}
    posterior = posterior.isel(factors)
    return quality(posterior, model.diagnostics_["n_divergences"])


def fit_compiled(rows, repeat, *, every=1, **parameters):
    """Fit once to compile, on other rows of the same structure, and then measure."""
    X, y, groups = rows
    regressor(**parameters).fit(X[: len(y) // 2], y[: len(y) // 2], groups[: len(y) // 2])
    seconds, model = timed(lambda: regressor(**parameters).fit(X, y, groups=groups), repeat)
    return {"seconds": seconds, **quality_of(model, every=every)}


def fit_large(rows, repeat, **parameters):
    """Fit with compiled structure; memory above that of the input and the imports."""
    X, y, groups = rows
    regressor(**parameters).fit(X[:2000], y[:2000], groups=groups[:2000] % 50)
    before = resident()
    seconds, model = timed(lambda: regressor(**parameters).fit(X, y, groups=groups), repeat)
    memory = peak() - before
    return {"seconds": seconds, "memory": memory, **quality_of(model, every=100)}


def intercepts(repeat):
    return fit_compiled(make_rows(5_000, 100, 5), repeat)


def slopes(repeat):
    return fit_compiled(make_rows(5_000, 100, 5, 2), repeat, varying_slopes=[0, 1])


def three_groups(repeat):
    import numpy as np

    from skhbm import Prior
    from skhbm.datasets import load_three_groups

    data = load_three_groups()
    priors = {
        "intercept": Prior("Normal", mu=0, sigma=10),
        "tau": Prior("HalfNormal", sigma=10),
        "sigma": Prior("HalfNormal", sigma=10),
    }
    parameters = {"residual_scale": "by_group", "priors": priors}
    y, groups = np.asarray(data.target), np.asarray(data.groups)
    regressor(**parameters).fit(None, y, groups=groups)
    seconds, model = timed(lambda: regressor(**parameters).fit(None, y, groups=groups), repeat)
    return {"seconds": seconds, **quality_of(model)}


def fresh(repeat):
    """Imports and one fit, the first of the process."""
    del repeat
    started = time.perf_counter()
    X, y, groups = make_rows(5_000, 100, 5)
    model = regressor().fit(X, y, groups=groups)
    seconds = [time.perf_counter() - started]
    return {"seconds": seconds, "memory": peak(), **quality_of(model)}


def million_rows(repeat):
    return fit_large(make_rows(1_000_000, 10_000, 10), repeat)


def many_groups(repeat):
    return fit_large(make_rows(200_000, 10_000, 1, 1), repeat, varying_slopes="all")


def laplace(repeat):
    return fit_compiled(make_rows(5_000, 100, 5), repeat, solver="laplace")


def laplace_million_rows(repeat):
    """Beside it: X'X, and a sum of each column by group, the least that any method needs."""
    import numpy as np

    rows = make_rows(1_000_000, 10_000, 10)
    X, y, groups = rows

    def sums():
        return X.T @ X, [np.bincount(groups, column) for column in (*X.T, y)]

    seconds, _ = timed(sums, 3 * repeat)
    found = fit_large(rows, 3 * repeat, solver="laplace")
    least = statistics.median(seconds)
    ratio = statistics.median(found["seconds"]) / least
    return {**found, "note": f"{ratio:.1f} x sums, {least:.3f} s"}


def laplace_many_groups(repeat):
    rows = make_rows(200_000, 10_000, 1, 1)
    return fit_large(rows, repeat, varying_slopes="all", solver="laplace")


def laplace_search(repeat):
    from searches import time_searches

    model = regressor(group_features=5, solver="laplace")
    rows = make_rows(5_000, 100, 5, 2)
    return {"seconds": time_searches(*rows, model, [None] * (1 + repeat))[1:]}


def columns(n_rows, n_groups, n_features, **parameters):
    """Return what measures the CPU of fits with many features: threads may only wait."""

    def measure(repeat):
        X, y, groups = make_rows(n_rows, n_groups, n_features)
        regressor(draws=10, tune=10, **parameters).fit(X[:, :30], y, groups=groups)
        seconds, model = timed(
            lambda: regressor(**parameters).fit(X, y, groups=groups), repeat, time.process_time
        )
        return {"seconds": seconds, **quality_of(model, every=10)}

    return measure


def columns_trial(repeat):
    """A field trial: each variety once in each block, one-hot encoded."""
    import numpy as np

    rng = np.random.default_rng(0)
    variety, blocks = np.tile(np.arange(56), 4), np.repeat(np.arange(4), 56)
    X = np.eye(56)[variety, 1:]
    y = rng.standard_normal(56)[variety] + rng.standard_normal(4)[blocks]
    y += rng.standard_normal(len(y))
    regressor(draws=10, tune=10).fit(X, y, groups=blocks)
    seconds, model = timed(
        lambda: regressor().fit(X, y, groups=blocks), repeat, time.process_time
    )
    return {"seconds": seconds, **quality_of(model)}


def eight_schools(repeat):
    from skhbm import Prior

    y, y_err = [28, 8, -3, 7, -1, 1, 18, 12], [15, 10, 16, 11, 9, 11, 10, 18]
    priors = {"intercept": Prior("Normal", mu=0, sigma=5), "tau": Prior("HalfCauchy", beta=5)}

    def fit():
        model = regressor(residual_scale="known", priors=priors)
        return model.fit(None, y, groups=list("ABCDEFGH"), y_err=y_err)

    fit()
    seconds, model = timed(fit, repeat)
    return {"seconds": seconds, **quality_of(model)}


def partial_fit(repeat):
    """What partial_fit does before it samples; labels are words, a hundredth of them new."""
    import numpy as np

    from skhbm import GroupedStatistics
    from skhbm._inputs.fit_rows import read_fit_rows
    from skhbm._statistics.grouped import statistics_of_rows

    X, y, groups = make_rows(1_000_000, 10_000, 10)
    labels = np.array([f"group {j}" for j in range(10_100)])
    known = GroupedStatistics.from_arrays(X, y, labels[groups])
    X, y, groups = make_rows(10_000, 10_100, 10, seed=1)
    model = regressor()
    model.n_features_in_ = 10

    def merge():
        rows = read_fit_rows(model, X, y, labels[groups], None, None, known.factors)
        return known + statistics_of_rows(rows)

    merge()
    seconds, _ = timed(merge, 10 * repeat)
    return {"seconds": seconds}


def predict_one(repeat):
    X, y, groups = make_rows(5_000, 100, 5)
    model = regressor().fit(X, y, groups=groups)
    rows, labels = X[:1], groups[:1]
    model.predict(rows, groups=labels)
    seconds, _ = timed(lambda: model.predict(rows, groups=labels), 100 * repeat)
    return {"seconds": seconds}


def predict_million(repeat):
    X, y, groups = make_rows(1_000_000, 100, 5)
    model = regressor().fit(X[:5_000], y[:5_000], groups=groups[:5_000])
    model.predict(X[:100], groups=groups[:100], return_std=True)
    before = resident()
    seconds, _ = timed(lambda: model.predict(X, groups=groups, return_std=True), repeat)
    return {"seconds": seconds, "memory": peak() - before}


def condition_on(repeat):
    X, y, groups = make_rows(5_000, 100, 5)
    model = regressor().fit(X, y, groups=groups)
    rows, target, labels = X[:5], y[:5] + 1, [1000] * 5
    model.condition_on(rows, target, groups=labels)
    seconds, known = timed(lambda: model.condition_on(rows, target, groups=labels), 30 * repeat)
    return {"seconds": seconds, "note": f"Pareto k {known.diagnostics_['pareto_k']:.2f}"}


def import_package(repeat):
    del repeat
    started = time.perf_counter()
    import skhbm  # noqa: F401  # its import is what is measured

    seconds = [time.perf_counter() - started]
    heavy = {"pymc", "pytensor", "arviz", "matplotlib", "pandas"} & set(sys.modules)
    return {"seconds": seconds, "note": f"loaded: {', '.join(sorted(heavy)) or 'none'}"}


def pickle_radon(repeat):
    import pickle

    from skhbm.datasets import load_radon

    data = load_radon()
    model = regressor().fit(data.data, data.target, groups=data.groups)
    file = Path(tempfile.mkdtemp()) / "radon.pickle"
    file.write_bytes(pickle.dumps(model))
    code = (
        "import pickle, sys, time; t = time.perf_counter()\n"
        "import numpy as np\n"
        f"m = pickle.load(open({str(file)!r}, 'rb')); "
        f"m.predict(np.zeros((1, 2)), [{str(data.groups[0])!r}], return_std=True)\n"
        "print(time.perf_counter() - t, sorted({'pymc', 'pytensor'} & set(sys.modules)))"
    )
    seconds, loaded = [], ""
    for _ in range(repeat):
        out = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        first, _, loaded = out.stdout.strip().partition(" ")
        seconds.append(float(first))
    note = f"{file.stat().st_size / MEGABYTE:.2f} MB; PyMC loaded: {loaded}"
    return {"seconds": seconds, "note": note}


def search(repeat):
    """The first search of a process."""
    del repeat
    from searches import time_searches

    seconds = time_searches(*make_rows(5_000, 100, 5, 2), regressor(group_features=5), [None])
    return {"seconds": seconds}


def search_jobs(repeat):
    from searches import compare_jobs

    return compare_jobs(*make_rows(5_000, 100, 5, 2), regressor(group_features=5), repeat)


def checks(repeat):
    del repeat
    from searches import time_checks

    return time_checks()


def textbook_model(X, y, groups):
    """Build the row-wise, non-centred model, with the same default priors."""
    import numpy as np
    import pymc as pm

    unit = 2.5 * y.std()
    with pm.Model(coords={"group": np.unique(groups), "feature": range(X.shape[1])}) as model:
        intercept = pm.Normal("intercept", y.mean(), unit)
        coef = pm.Normal("coef", 0, unit / X.std(axis=0), dims="feature")
        tau = pm.HalfNormal("tau", unit)
        sigma = pm.HalfNormal("sigma", unit)
        z = pm.Normal("z", 0, 1, dims="group")
        effect = pm.Deterministic("effect", tau * z, dims="group")
        mu = intercept + X @ coef + effect[groups]
        pm.Normal("y", mu, sigma, observed=y)
    return model


def fit_textbook(rows):
    import pymc as pm

    with textbook_model(*rows), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pm.sample(
            1000,
            tune=1000,
            chains=4,
            cores=2,
            nuts_sampler="nutpie",
            random_seed=0,
            progressbar=False,
        )


def quality_of_textbook(tree):
    posterior = tree["posterior"].to_dataset()
    posterior["z"] = posterior["intercept"] + posterior["effect"]
    return quality(posterior.drop_vars("effect"), tree["sample_stats"]["diverging"].sum())


def textbook(repeat):
    del repeat
    started = time.perf_counter()
    tree = fit_textbook(make_rows(5_000, 100, 5))
    seconds = [time.perf_counter() - started]
    return {"seconds": seconds, "memory": peak(), **quality_of_textbook(tree)}


def textbook_again(repeat):
    """The second and later fits of a process: nothing that is compiled is reused by PyMC."""
    rows = make_rows(5_000, 100, 5)
    fit_textbook(rows)
    seconds, tree = timed(lambda: fit_textbook(rows), repeat)
    return {"seconds": seconds, **quality_of_textbook(tree)}


MEASURES = {
    "intercepts": intercepts,
    "slopes": slopes,
    "three-groups": three_groups,
    "warm": fresh,
    "cold": fresh,
    "million-rows": million_rows,
    "many-groups": many_groups,
    "laplace": laplace,
    "laplace-million-rows": laplace_million_rows,
    "laplace-many-groups": laplace_many_groups,
    "laplace-search": laplace_search,
    "columns-60": columns(3_000, 50, 60),
    "columns-150": columns(3_000, 50, 150),
    "columns-500": columns(3_000, 50, 500),
    "columns-groups": columns(20_000, 2_000, 150),
    "columns-trial": columns_trial,
    "laplace-columns-60": columns(3_000, 50, 60, solver="laplace"),
    "laplace-columns-150": columns(3_000, 50, 150, solver="laplace"),
    "laplace-columns-500": columns(3_000, 50, 500, solver="laplace"),
    "laplace-columns-groups": columns(20_000, 2_000, 150, solver="laplace"),
    "eight-schools": eight_schools,
    "partial-fit": partial_fit,
    "predict-one": predict_one,
    "predict-million": predict_million,
    "condition-on": condition_on,
    "import": import_package,
    "pickle": pickle_radon,
    "search": search,
    "search-jobs": search_jobs,
    "checks": checks,
    "textbook-warm": textbook,
    "textbook-cold": textbook,
    "textbook-again": textbook_again,
}


def run_case(case, repeat, processes):
    """Measure in fresh processes, after one that fills the caches where they are to be warm."""
    if case in ("warm", "textbook-warm"):
        run_process(case, repeat, os.environ)
    results = []
    for _ in range(processes):
        if not case.endswith("cold"):
            results.append(run_process(case, repeat, os.environ))
            continue
        with tempfile.TemporaryDirectory() as folder:
            results.append(run_process(case, repeat, empty_caches(folder)))
    merged = {**results[-1], "seconds": [s for r in results for s in r["seconds"]]}
    if processes > 1 and "memory" in merged:
        merged["memory"] = max(r["memory"] for r in results)
    return merged


def empty_caches(folder):
    """Return an environment whose compilers keep nothing from before."""
    flags = [f for f in os.environ.get("PYTENSOR_FLAGS", "").split(",") if f]
    return {
        **os.environ,
        "PYTENSOR_FLAGS": ",".join([*flags, f"base_compiledir={folder}/pytensor"]),
        "NUMBA_CACHE_DIR": f"{folder}/numba",
    }


def run_process(case, repeat, environment):
    """Run one measurement in a process of its own and return what it found."""
    command = [sys.executable, str(HERE), "--measure", case, "--repeat", str(repeat)]
    finished = subprocess.run(
        command, env=dict(environment), capture_output=True, text=True, timeout=900, check=False
    )
    lines = [line for line in finished.stdout.splitlines() if line.startswith(MARK)]
    if not lines:
        return {"seconds": [], "note": f"failed: {finished.stderr.strip().splitlines()[-1:]}"}
    return json.loads(lines[-1].removeprefix(MARK))


def row(case, result, results):
    """Format one line of the table."""
    what, goal, _ = CASES[case]
    seconds = statistics.median(result["seconds"]) if result["seconds"] else float("nan")
    rival = results.get(RIVAL.get(case), {}).get("seconds")
    cells = [
        what,
        goal,
        f"{1e3 * seconds:.2f} ms" if seconds < 0.1 else f"{seconds:.2f} s",
        f"{result['ess']:.0f}" if "ess" in result else "",
        f"{result['rhat']:.4f}" if "rhat" in result else "",
        str(result.get("divergences", "")),
        f"{result['memory'] / MEGABYTE:.0f} MB" if "memory" in result else "",
        f"{statistics.median(rival) / seconds:.0f}x faster" if rival else "",
        result.get("note", ""),
    ]
    return "| " + " | ".join(cells) + " |"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", nargs="+", choices=CASES, metavar="CASE", help=", ".join(CASES)
    )
    parser.add_argument(
        "--quick", action="store_true", help="once each, no cold textbook model"
    )
    parser.add_argument("--repeat", type=int, default=3, help="measurements of a case")
    parser.add_argument("--measure", choices=CASES, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    arguments = parse()
    if arguments.measure:
        result = MEASURES[arguments.measure](arguments.repeat)
        print(MARK + json.dumps(result))
        return
    chosen = arguments.only or [
        c for c in CASES if not (arguments.quick and c == "textbook-cold")
    ]
    repeat = 1 if arguments.quick else arguments.repeat
    results = {}
    for case in chosen:
        print(f"{case} ...", file=sys.stderr, flush=True)
        results[case] = run_case(case, repeat, 1 if arguments.quick else CASES[case][2])
    names = ["skhbm", "pymc", "pytensor", "nutpie", "numba", "numpy"]
    print(", ".join(f"{n} {version(n)}" for n in names))
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    print(
        "\n| case | goal | median | min ESS | max R-hat | divergences | memory | textbook "
        "| note |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for case, result in results.items():
        print(row(case, result, results))


if __name__ == "__main__":
    main()
