"""The rows of a table, batch by batch, as record batches of arrow."""

from __future__ import annotations

from itertools import batched, chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from skhbm._inputs.tables.frames import is_here

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["record_batches"]


def record_batches(frame: Any, batch_size: int) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return the schema of a table and its rows in order, some at a time in this process.

    Parameters
    ----------
    frame : DataFrame or LazyFrame of narwhals
        The table, with all its columns.
    batch_size : int
        The most rows of a batch.
    """
    native, kind = frame.to_native(), frame.implementation
    if kind.is_duckdb():
        reader = native.to_arrow_reader(batch_size)
        return reader.schema, (batch for batch in reader if len(batch))
    tables: Iterator[pa.Table]
    if is_here(frame):
        tables = iter([frame.to_arrow()])
    elif kind.is_polars():
        parts = native.collect_batches(chunk_size=batch_size)
        # A table without rows has no batches: the first part is there for the schema.
        tables = (part.to_arrow() for part in chain([native.limit(0).collect()], parts))
    elif kind.is_dask():
        parts = (native.get_partition(i).compute() for i in range(native.npartitions))
        tables = (pa.Table.from_pandas(part, preserve_index=False) for part in parts)
    elif kind.is_pyspark() or kind.is_pyspark_connect():
        tables = _of_spark(native, batch_size)
    else:
        tables = iter([frame.collect(backend="pyarrow").to_arrow()])
    first = next(tables)
    # A column of nulls only, in a later partition, gets the type that the first one has.
    later = (table.cast(first.schema) for table in tables)
    split = (table.to_batches(batch_size) for table in chain([first], later))
    return first.schema, (batch for some in split for batch in some if len(batch))


def _of_spark(frame: Any, batch_size: int) -> Iterator[pa.Table]:
    """Return rows of Spark, which come partition by partition, as tables."""
    from pyspark.sql.pandas.types import to_arrow_schema

    schema = to_arrow_schema(frame.schema)
    rows = (row.asDict() for row in frame.toLocalIterator())
    yield schema.empty_table()
    for some in batched(rows, batch_size):
        yield pa.Table.from_pylist(list(some), schema=schema)
