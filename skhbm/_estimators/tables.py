"""The methods of an estimator that take tables of an engine or in files, of any size."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from sklearn.utils.validation import check_is_fitted

from skhbm._design.specification import terms_of_names
from skhbm._estimators.base import BaseHierarchicalEstimator
from skhbm._estimators.given_statistics import check_enough, set_columns
from skhbm._estimators.table_columns import (
    check_there,
    columns_of_labels,
    names_of_fit,
    rows_of_batch,
    split_features,
)
from skhbm._inputs.fit_rows import check_names
from skhbm._inputs.parameters import as_count, as_list, check_parameters, has_noise
from skhbm._statistics.grouped import GroupedStatistics

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

__all__ = ["OnTables"]

#: Names of the columns of predictions.
PREDICTION, STD = "prediction", "prediction_std"


class OnTables(BaseHierarchicalEstimator):
    """Fits of and predictions on tables whose rows need not fit into memory."""

    def fit_table(
        self,
        table: Any,
        target: str,
        features: str | Sequence[str] | None = None,
        groups: str | Sequence[str] | None = None,
        weight: str | None = None,
        y_err: str | None = None,
    ) -> Self:
        """Sample the posterior given the rows of a table, which stay where they are.

        The table's own engine reduces them to :class:`GroupedStatistics`; see
        :meth:`GroupedStatistics.from_table`.

        Parameters
        ----------
        table : DataFrame, LazyFrame, Table, relation, str or path-like
            A DataFrame of pandas, polars, Dask or PySpark, a LazyFrame of polars, a Table of
            pyarrow, a relation of DuckDB, any other table that narwhals knows, or the path of
            a Parquet file, a folder of them or a glob, which DuckDB reads.
        target : str
            Name of the target's column.
        features : str or list of str, default=None
            Names of the columns that X would have, in order. If `group_features` is set, those
            that it names are among them, by name or position in this list.
        groups : str or list of str, default=None
            Names of the columns of labels, one for each grouping factor, unless
            `group_features` names them.
        weight : str, default=None
            Name of a column of frequencies.
        y_err : str, default=None
            Name of a column of known standard errors, if ``residual_scale="known"``.

        Returns
        -------
        HierarchicalNormalRegressor
            The fitted estimator, the same as by :meth:`fit` on the rows.

        Raises
        ------
        ImportError, TypeError, ValueError
            If a parameter or the table cannot be used; the message says what to do.
        """
        started = time.perf_counter()
        check_parameters(self)
        columns = as_list(features)
        if self.group_features is None:
            names, factors = columns, groups
        else:
            names, factors = split_features(self.group_features, columns, groups)
        from skhbm._inputs.tables import as_columns, open_table

        frame = open_table(table)
        wanted = as_columns(frame, target, names, factors, weight, y_err)
        fitted = self._unfitted_copy()
        set_columns(fitted, len(columns), columns or None)
        # Mistakes that names alone show are refused before the engine is asked to sum.
        check_names(wanted.groups)
        terms_of_names(fitted, wanted.groups, known_errors=y_err is not None)
        statistics = GroupedStatistics._of_columns(frame, wanted)
        check_enough(statistics)
        return self._fit(fitted, statistics, started, {})

    def predict_table(
        self,
        table: Any,
        groups: str | Sequence[str] | None = None,
        return_std: bool = False,
        batch_size: int = 100_000,
        *,
        kind: str = "response",
    ) -> pa.RecordBatchReader:
        """Predict the rows of a table batch by batch, in memory that does not grow with them.

        Parameters
        ----------
        table : DataFrame, LazyFrame, Table, relation, str or path-like
            As in :meth:`fit_table`. Features are found by their names in the fit.
        groups : str or list of str, default=None
            Names of the columns of labels, in the order of the factors of the fit. None means
            columns named as these, or those of `group_features`.
        return_std : bool, default=False
            Whether standard deviations are wanted too.
        batch_size : int, default=100_000
            The most rows of a batch.
        kind : {"response", "mean"}, default="response"
            Whether standard deviations are those of y, or of its expectation given its group,
            as in :meth:`predict`.

        Returns
        -------
        pyarrow.RecordBatchReader
            All columns of the table, in order, and "prediction"; "prediction_std" if
            `return_std`. Iterate over its batches, or hand it to what writes Parquet,
            pyarrow, polars or DuckDB, which read it batch by batch.

        Raises
        ------
        NotFittedError
            Before fit.
        ImportError, TypeError, ValueError
            If the table cannot be used, or lacks a column, or there is no such `kind`.

        Notes
        -----
        Rows of Dask and Spark come here, partition by partition. A fitted estimator is small,
        so they can be predicted where they are, too, by ``map_partitions`` or
        ``mapInPandas``.
        """
        import pyarrow as pa

        from skhbm._inputs.tables import open_table, record_batches

        check_is_fitted(self)
        size = as_count(batch_size, "batch_size")
        has_noise(kind)
        names = names_of_fit(self)
        labels = columns_of_labels(self, groups)
        frame = open_table(table)
        check_there(
            [*names, *labels.values()], frame.collect_schema().names(), (PREDICTION, STD)
        )
        schema, batches = record_batches(frame, size)
        for name in (PREDICTION, STD)[: 1 + return_std]:
            schema = schema.append(pa.field(name, pa.float64()))

        def predicted() -> Iterator[pa.RecordBatch]:
            for batch in batches:
                found = self.predict(
                    *rows_of_batch(batch, names, labels), return_std=return_std, kind=kind
                )
                columns = found if return_std else (found,)
                yield pa.record_batch([*batch.columns, *map(pa.array, columns)], schema=schema)

        return pa.RecordBatchReader.from_batches(schema, predicted())
