"""Rows that are awkward to sum, their statistics in exact arithmetic, and tables of them."""

from fractions import Fraction

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

#: Tolerance of the exact answer, relative to the spread of the columns.
CLOSE = 1e-9
FEATURES = ["far", "tiny", "of site"]
TARGET = "y"


def make_rows(n=240):
    """Return a DataFrame: large offsets, small units, constant columns, a lone row."""
    rng = np.random.default_rng(3)
    team = rng.integers(0, 5, n)
    # Not all combinations occur.
    site = np.array(list("abcdefg"), dtype="U4")[(team + rng.integers(0, 4, n)) % 7]
    site[0], team[0] = "lone", 17
    rows = pd.DataFrame({"site": site, "team": team})
    rows["far"] = 1e8 + rng.standard_normal(n)
    rows["tiny"] = 1e-8 * (3 + rng.standard_normal(n))
    rows["of site"] = rows["site"].map(lambda label: 0.1 * ord(label[0]))
    rows["y"] = -3e8 + 1e6 * team + 2 * rng.standard_normal(n)
    rows["times"] = rng.integers(0, 4, n)
    # All rows of one site have weight zero.
    rows.loc[rows["site"] == "c", "times"] = 0
    # Errors are eighths, whose squares are short fractions.
    rows["se"] = rng.integers(4, 17, n) / 8
    return rows


ROWS = make_rows()

#: Arguments of from_table beside the features and the target.
CASES = {
    "no groups": {},
    "one factor": {"groups": "site"},
    "two factors": {"groups": ["team", "site"]},
    "weights": {"groups": "site", "weight": "times"},
    "errors": {"groups": "team", "y_err": "se"},
    "all": {"groups": ["site", "team"], "weight": "times", "y_err": "se"},
}


def as_relation(rows):
    """Return a table of a database in memory."""
    connection = duckdb.connect()
    connection.register("registered", rows)
    connection.execute("CREATE TABLE kept AS FROM registered")
    return connection.sql("FROM kept")


def as_file(rows, folder):
    path = folder / "rows.parquet"
    rows.to_parquet(path, index=False)
    return path


def as_glob(rows, folder):
    for i, part in enumerate(np.array_split(np.arange(len(rows)), 3)):
        rows.iloc[part].to_parquet(folder / f"part{i}.parquet", index=False)
    return f"{folder}/part*.parquet"


#: Makers of a table in this process, of rows and an empty folder.
TABLES = {
    "pandas": lambda rows, _: rows,
    "polars": lambda rows, _: pl.from_pandas(rows),
    "polars, lazy": lambda rows, _: pl.from_pandas(rows).lazy(),
    "pyarrow": lambda rows, _: pa.Table.from_pandas(rows, preserve_index=False),
    "DuckDB": lambda rows, _: as_relation(rows),
    "file": as_file,
    "glob": as_glob,
}
#: Engines that work on the rows; the others leave it to `from_arrays`.
ENGINES = ["polars, lazy", "DuckDB"]


def exact_cells(rows, groups=None, weight=None, y_err=None):
    """Return n, weight, mean and cross of each cell, by its labels, in exact arithmetic."""
    keys = [groups] if isinstance(groups, str) else groups or []
    cells = {}
    labels = list(zip(*(rows[key] for key in keys), strict=True)) if keys else [()] * len(rows)
    for i, cell in enumerate(labels):
        frequency = Fraction(1) if weight is None else Fraction(float(rows[weight].iloc[i]))
        if frequency:
            error = Fraction(1) if y_err is None else Fraction(float(rows[y_err].iloc[i]))
            values = [Fraction(float(rows[name].iloc[i])) for name in (*FEATURES, TARGET)]
            cells.setdefault(cell, []).append((frequency, frequency / error**2, values))
    return {cell: _exact(cells[cell]) for cell in sorted(cells)}


def _exact(rows):
    n, weight = sum(row[0] for row in rows), sum(row[1] for row in rows)
    d = len(rows[0][2])
    mean = [sum(p * z[a] for _, p, z in rows) / weight for a in range(d)]
    cross = [
        [
            float(sum(p * (z[a] - mean[a]) * (z[b] - mean[b]) for _, p, z in rows))
            for b in range(d)
        ]
        for a in range(d)
    ]
    return float(n), float(weight), [float(m) for m in mean], cross


def assert_exact(statistics, rows, case):
    """Compare statistics with exact arithmetic: labels, order, and all moments."""
    expected = exact_cells(rows, **case)
    labels = [levels.labels for levels in statistics.factors]
    cells = [
        tuple(of[code] for of, code in zip(labels, codes, strict=True))
        for codes in statistics.codes
    ]
    assert cells == list(expected)
    n, weight, mean, cross = (np.array(part) for part in zip(*expected.values(), strict=True))
    np.testing.assert_array_equal(statistics.n, n)
    np.testing.assert_allclose(statistics.weight, weight, rtol=CLOSE)
    np.testing.assert_allclose(statistics.mean, mean, rtol=CLOSE)
    spread = np.sqrt(np.diagonal(cross, axis1=1, axis2=2))
    error = np.abs(statistics.cross - cross)
    assert np.all(error <= CLOSE * spread[:, :, None] * spread[:, None, :])
