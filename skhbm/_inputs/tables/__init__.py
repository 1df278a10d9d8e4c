"""Have any engine sum its table cell by cell; only these modules know narwhals."""

from skhbm._inputs.tables.batches import record_batches
from skhbm._inputs.tables.cells import TableCells, arrays_of_table, reduce_table
from skhbm._inputs.tables.faults import raise_fault
from skhbm._inputs.tables.frames import Columns, as_columns, is_here, open_table

__all__ = [
    "Columns",
    "TableCells",
    "arrays_of_table",
    "as_columns",
    "is_here",
    "open_table",
    "raise_fault",
    "record_batches",
    "reduce_table",
]
