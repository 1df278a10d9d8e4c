"""Statistics of tables in files against the engine's own sums of products.

    python benchmarks/tables.py

writes 10,000,000 rows in 100,000 groups, of 3 features, as Parquet into a temporary folder,
reduces them by `GroupedStatistics.from_table`, and has the same engine compute the raw sums and
sums of products in one query. Each in a process of its own: medians of three calls after one
that is not counted, and the largest resident memory. See README.md.
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


def measure(case: str, path: str) -> None:
    """Print seconds of wall and CPU of each call, and the largest memory of this process."""
    call, seconds, work = globals()[case], [], []
    for _ in range(1 + REPEATS):
        started, before = time.perf_counter(), cpu()
        call(path)
        seconds.append(time.perf_counter() - started)
        work.append(cpu() - before)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall": seconds[1:], "cpu": work[1:], "peak": peak}))


def in_process(case: str, path: Path) -> dict[str, float]:
    """Measure one case in a fresh process."""
    command = [sys.executable, __file__, "--case", case, "--path", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return {name: statistics.median(np.atleast_1d(value)) for name, value in found.items()}


def main() -> None:
    """Measure all, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--groups", type=int, default=100_000)
    parser.add_argument("--case")
    parser.add_argument("--path")
    given = parser.parse_args()
    if given.case:
        measure(given.case, given.path)
        return
    print("| rows | engine | | its own sums | from_table | ratio |")
    print("|---|---|---|---|---|---|")
    for n_rows in given.rows:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.parquet"
            write_rows(path, n_rows, given.groups)
            for engine in ("duckdb", "polars"):
                own, our = (in_process(f"{who}_{engine}", path) for who in ("own", "ours"))
                for what, unit in (("wall", "s"), ("cpu", "s"), ("peak", "MiB")):
                    print(
                        f"| {n_rows:,} | {engine} | {what} | {own[what]:.2f} {unit} "
                        f"| {our[what]:.2f} {unit} | {our[what] / own[what]:.2f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
