"""Statistics of tables in files against the engine's own sums of products.

    python benchmarks/tables.py

writes 10,000,000 rows in 100,000 groups, of 3 features, as Parquet into a temporary folder,
reduces them by `GroupedStatistics.from_table`, and has the same engine compute the raw sums and
sums of products in one query. Medians of three calls each, in turn in one process, after one
that is not counted; the largest resident memory in processes of their own. See README.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np

FEATURES = ["x0", "x1", "x2"]
VALUES = [*FEATURES, "y"]
PAIRS = list(combinations_with_replacement(VALUES, 2))
BATCH = 1_000_000
REPEATS = 3


def write_rows(path: Path, n_rows: int, n_groups: int) -> None:
    """Write rows of groups whose means differ, batch by batch."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    effects = rng.standard_normal(n_groups)
    writer = None
    for start in range(0, n_rows, BATCH):
        n = min(BATCH, n_rows - start)
        group = rng.integers(0, n_groups, n)
        X = rng.standard_normal((n, 3)) + np.array([0.0, 10.0, 1000.0])
        y = X @ [1.0, -1.0, 0.5] + effects[group] + rng.standard_normal(n)
        columns = {"group": group, **dict(zip(FEATURES, X.T, strict=True)), "y": y}
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


def own_duckdb(path: str) -> int:
    """Sum products in DuckDB's SQL."""
    import duckdb

    sums = [f"sum({v})" for v in VALUES] + [f"sum({a} * {b})" for a, b in PAIRS]
    query = f'SELECT "group", count(*), {", ".join(sums)} FROM \'{path}\' GROUP BY "group"'
    return duckdb.connect().sql(query).to_arrow_table().num_rows


def own_polars(path: str) -> int:
    """Sum products in an expression of polars, by its streaming engine."""
    import polars as pl

    products = [(pl.col(a) * pl.col(b)).sum().alias(f"{a}{b}") for a, b in PAIRS]
    sums = [pl.len(), *(pl.col(v).sum() for v in VALUES), *products]
    return pl.scan_parquet(path).group_by("group").agg(sums).collect(engine="streaming").height


def ours_duckdb(path: str) -> int:
    """Reduce a file, which DuckDB reads."""
    return ours(path)


def ours_polars(path: str) -> int:
    """Reduce a lazy frame of polars."""
    import polars as pl

    return ours(pl.scan_parquet(path))


def ours(table: object) -> int:
    """Reduce a table, and return its number of groups."""
    from skhbm import GroupedStatistics

    found = GroupedStatistics.from_table(table, target="y", features=FEATURES, groups="group")
    return len(found.n)


def cpu() -> float:
    """Return seconds of CPU that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(cases: list[str], path: str, repeats: int) -> None:
    """Print seconds of wall and CPU of calls in turn, and the peak memory of this process."""
    found = {case: {"wall": [], "cpu": []} for case in cases}
    for i in range(1 + repeats):
        for case, times in found.items():
            started, before = time.perf_counter(), cpu()
            globals()[case](path)
            if i:
                times["wall"].append(time.perf_counter() - started)
                times["cpu"].append(cpu() - before)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"calls": found, "peak": peak}))


def in_process(cases: list[str], path: Path, repeats: int) -> dict:
    """Measure calls in a fresh process."""
    command = [sys.executable, __file__, "--path", str(path), "--repeats", str(repeats)]
    command += ["--cases", *cases]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def report(n_rows: int, engine: str, path: Path) -> None:
    """Print the lines of one engine."""
    cases = [f"own_{engine}", f"ours_{engine}"]
    calls = in_process(cases, path, REPEATS)["calls"]
    lines = {
        what: [statistics.median(calls[case][what]) for case in cases]
        for what in ("wall", "cpu")
    }
    lines["peak"] = [in_process([case], path, 1)["peak"] for case in cases]
    for what, (own, our) in lines.items():
        unit = "MiB" if what == "peak" else "s"
        print(
            f"| {n_rows:,} | {engine} | {what} | {own:.2f} {unit} | {our:.2f} {unit} "
            f"| {our / own:.2f} |",
            flush=True,
        )


def main() -> None:
    """Measure all, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--groups", type=int, default=100_000)
    parser.add_argument("--cases", nargs="+")
    parser.add_argument("--path")
    parser.add_argument("--repeats", type=int)
    given = parser.parse_args()
    if given.cases:
        measure(given.cases, given.path, given.repeats)
        return
    print("| rows | engine | | its own sums | from_table | ratio |")
    print("|---|---|---|---|---|---|")
    for n_rows in given.rows:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.parquet"
            write_rows(path, n_rows, given.groups)
            for engine in ("duckdb", "polars"):
                report(n_rows, engine, path)


if __name__ == "__main__":
    main()
