"""Measure skhbm and its peers on the same data, and write the table of the documentation.

    python -m benchmarks.peers [--only METHOD ...] [--sizes SIZE ...] [--kinds KIND ...]

``benchmarks/README.md`` says what is measured. Results are added to ``results.json`` after each
fit and the table is written from all that is there, so that an ended run leaves one, and single
rows can be measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.peers.cases import KINDS, SIZES
from benchmarks.peers.measure import MARK
from benchmarks.peers.table import write_table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
#: Method -> packages whose versions matter.
METHODS = {
    "skhbm": ["skhbm", "nutpie", "numba"],
    "laplace": ["skhbm", "numba"],
    "pymc": ["pymc", "pytensor", "nutpie"],
    "bambi": ["bambi", "pymc", "nutpie"],
    "numpyro": ["numpyro", "jax"],
    "stanli": ["stanli"],
    "statsmodels": ["statsmodels"],
    "gpboost": ["gpboost"],
}
#: These keep compiled code on disk that other rows of the same structure can use.
CACHED = ("skhbm", "laplace", "pymc", "bambi")
#: These run one thread in each chain.
CHAINS = ("skhbm", "laplace", "pymc", "bambi", "numpyro", "stanli")
#: The rest of a process, beside its fits: making rows, judging draws.
GRACE = 120.0


def run(arguments):
    results = json.loads(arguments.results.read_text()) if arguments.results.exists() else {}
    filled = set()
    for size in arguments.sizes:
        for kind in arguments.kinds:
            for method in arguments.only:
                key = f"{method} {size} {kind}"
                reason = hopeless(results, method, size, kind, arguments.limit)
                if reason:
                    result = {"status": "not run", "note": reason}
                else:
                    if (
                        method in CACHED
                        and (structure := (method, size == "S", kind)) not in filled
                    ):
                        filled.add(structure)
                        print(f"{key}: filling caches ...", file=sys.stderr, flush=True)
                        run_process(method, size, kind, arguments, "--small")
                    print(f"{key} ...", file=sys.stderr, flush=True)
                    result = described(run_process(method, size, kind, arguments), method)
                print(f"    {brief(result)}", file=sys.stderr, flush=True)
                results[key] = {**result, "limit": arguments.limit, "cores": arguments.cores}
                arguments.results.write_text(json.dumps(results, indent=1) + "\n")
                write_table(results, arguments.table)


def hopeless(results, method, size, kind, limit):
    """Say why a fit cannot end within the limit, going by smaller ones; None if it may."""
    for other_size in list(SIZES)[: list(SIZES).index(size) + 1]:
        for other_kind in KINDS[: KINDS.index(kind) + 1]:
            other = results.get(f"{method} {other_size} {other_kind}", {})
            if (other_size, other_kind) == (size, kind) or not other:
                continue
            if other["status"] in ("did not finish", "failed"):
                return f"{other['status']} {other_kind} at {other_size}"
    # Time grows at least as the rows do, once it is seconds and not compiling.
    smaller = results.get(f"{method} L {kind}", {}) if size == "XL" else {}
    seconds = min([smaller.get("fresh", 0.0), *smaller.get("again", [])])
    if method in CHAINS[2:] and 10 * seconds > limit:
        return f"took {seconds:.0f} s at L, which has a tenth of the rows"
    return None


def run_process(method, size, kind, arguments, *options):
    """Measure in a process of its own; return what it reported last, and how it ended."""
    command = [sys.executable, "-m", "benchmarks.peers.measure", method, size, kind]
    command += ["--cores", str(arguments.cores), "--limit", str(arguments.limit), *options]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(method, arguments.cores, folder),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        try:
            out, _ = process.communicate(timeout=arguments.limit + GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, _ = process.communicate()
        errors.seek(0)
        said = errors.read()
    lines = [line.removeprefix(MARK) for line in out.splitlines() if line.startswith(MARK)]
    result = json.loads(lines[-1]) if lines else {}
    ended = process.returncode == 0 or bool(result)
    late = "Timeout (" in said or process.returncode == -signal.SIGKILL
    status = "ok" if ended else "did not finish" if late else "failed"
    if status == "failed":
        result["note"] = (said.strip().splitlines() or ["no message"])[-1][:200]
    return {"status": status, "load": load, **result}


def environment(method, cores, folder):
    """One thread in each chain, all cores for point estimates, an empty cache for XLA."""
    threads = "1" if method in CHAINS else str(cores)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {
        **os.environ,
        **dict.fromkeys(names, threads),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": folder,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def described(result, method):
    """Add when it was measured, and of what."""
    versions = {}
    for name in METHODS[method]:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    machine = f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    return {**result, "date": date, "versions": versions, "machine": machine}


def brief(result):
    """Return one line for who watches."""
    if "fresh" not in result:
        return f"{result['status']} {result.get('note', '')}"
    again = ", ".join(f"{s:.2f}" for s in result.get("again", []))
    ess = f", ESS {result['ess']:.0f}" if "ess" in result else ""
    return f"fresh {result['fresh']:.1f} s, again {again} s{ess}"


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--only", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument(
        "--limit", type=float, default=180.0, help="seconds for all fits of a row"
    )
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--results", type=Path, default=HERE / "results.json")
    parser.add_argument("--table", type=Path, default=ROOT / "docs" / "tables" / "peers.txt")
    parser.add_argument("--table-only", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    arguments.table.parent.mkdir(exist_ok=True)
    if arguments.table_only:
        write_table(json.loads(arguments.results.read_text()), arguments.table)
        return
    started = time.perf_counter()
    run(arguments)
    print(f"{(time.perf_counter() - started) / 60:.1f} minutes", file=sys.stderr)


if __name__ == "__main__":
    main()
