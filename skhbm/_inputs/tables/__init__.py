"""Tables of any engine -> the statistics of their cells; only these modules know narwhals."""

from skhbm._tables._batches import record_batches
from skhbm._tables._faults import raise_fault
from skhbm._tables._reading import Columns, as_columns, is_here, open_table
from skhbm._tables._reducing import TableCells, arrays_of_table, reduce_table

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
