"""Differences between engines: opening files, and keeping the result of a first query.

Users import an engine before they have a table of it. Only DuckDB is imported here, for files.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["kept", "open_parquet"]

#: The most cells that Spark sends to all its workers; to join more, it shuffles the rows.
BROADCAST = 1_000_000


def open_parquet(path: Any) -> Any:
    """Return Parquet files as a relation of DuckDB, which reads of them what a query needs.

    Parameters
    ----------
    path : str or path-like
        A file, a glob, or a folder, whose subfolders may be partitions (``year=2026``).

    Raises
    ------
    ImportError
        If DuckDB is not installed.
    ValueError
        If there is no such file, or it is not Parquet.
    """
    try:
        import duckdb
    except ImportError:
        msg = (
            "Tables in Parquet files are read by DuckDB, which is not installed. Install it "
            "with `pip install skhbm[duckdb]`, or pass a table of another engine."
        )
        raise ImportError(msg) from None
    try:
        # The connection is new, so that other users of DuckDB see nothing of it.
        connection = duckdb.connect()
        if Path(path).is_dir():
            return connection.read_parquet(f"{path}/**/*.parquet", hive_partitioning=True)
        return connection.read_parquet(str(path))
    except duckdb.Error as error:
        what = str(error).splitlines()[0]
        msg = f"`table` must be a Parquet file, a folder or a glob. Got {str(path)!r}: {what}"
        raise ValueError(msg) from None


@contextmanager
def kept(engine: str, query: Any) -> Iterator[tuple[Any, Any]]:
    """Run a query once; give its result in this process, and as a table of the engine.

    The result on a cluster stays there, and is released at the end.

    Parameters
    ----------
    engine : str
        The engine's name.
    query : object
        Its native lazy table.

    Yields
    ------
    here : object
        The result, a native table in memory.
    there : object
        The result as a native lazy table, to join others with.
    """
    if engine == "polars":
        here = query.collect(engine="streaming")
        yield here, here.lazy()
    elif engine == "duckdb":
        here = query.to_arrow_table()
        yield here, _as_relation(query, here)
    elif engine == "dask":
        # Rows need no shuffle to be joined with a single partition.
        there = query.repartition(npartitions=1).persist()
        yield there.compute(), there
    elif engine.startswith("pyspark"):
        from pyspark.sql.functions import broadcast

        there = query.persist()
        try:
            here = there.toArrow()
            yield here, broadcast(there) if len(here) <= BROADCAST else there
        finally:
            there.unpersist()
    else:
        yield None, query


def _as_relation(query: Any, skhbm_cells: Any) -> Any:  # noqa: ARG001  # DuckDB reads it by its name
    """Return an arrow table as a relation of the connection that a query belongs to.

    DuckDB finds it by the name of the variable, unless the database has a table of this name.
    """
    return query.limit(0).query("skhbm_query", "FROM skhbm_cells")
