"""The methods of an estimator of another response that take tables of an engine or in files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from sklearn.utils.validation import check_is_fitted

from skhbm._estimators.response_fitting import ResponseFitting
from skhbm._estimators.table_columns import (
    check_there,
    columns_of_labels,
    names_of_fit,
    rows_of_batch,
    split_features,
)
from skhbm._inputs.parameters import as_count, as_list, check_parameters, has_noise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

__all__ = ["ResponseTables"]

#: Names of the columns of predictions.
PREDICTION, STD = "prediction", "prediction_std"
#: Rows of a table that become patterns at a time.
BATCH = 250_000


class ResponseTables(ResponseFitting):
    """Fits of and predictions on tables whose rows need not fit into memory."""

    def fit_table(
        self,
        table: Any,
        target: str,
        features: str | Sequence[str] | None = None,
        groups: str | Sequence[str] | None = None,
        weight: str | None = None,
        **size: Any,
    ) -> Self:
        """Sample the posterior given the rows of a table, which are read batch by batch.

        Rows that are alike are kept once: memory grows with the number of different rows.

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
        **size : dict of array-like
            SIZE

        Returns
        -------
        object
            The fitted estimator, the same as by :meth:`fit` on the rows.

        Raises
        ------
        ImportError, TypeError, ValueError
            If a parameter or the table cannot be used; the message says what to do.
        """
        from skhbm._inputs.tables import open_table, record_batches

        started = time.perf_counter()
        check_parameters(self)
        names, factors = as_list(features), as_list(groups)
        if self.group_features is not None:
            split_features(self.group_features, names, groups)
        frame = open_table(table)
        lone = {"weight": weight, **size}
        wanted = [target, *names, *factors, *(name for name in lone.values() if name)]
        check_there(wanted, frame.collect_schema().names(), ())
        fitted, labels = self._unfitted_copy(), {name: name for name in factors}
        given = self._known_of_target(frame, target)
        parts: list[Any] = []
        for batch in record_batches(frame.select(list(dict.fromkeys(wanted))), BATCH)[1]:
            X, groups_of_batch = rows_of_batch(batch, names, labels)
            sizes = {key: batch.column(name) for key, name in size.items() if name}
            weights = None if weight is None else batch.column(weight)
            rows = X, batch.column(target), groups_of_batch, weights, {**sizes, **given}
            parts.append(self._reduce(fitted, rows, parts[0] if parts else None))
        if not parts:
            msg = "The table has no rows. A fit needs at least 2."
            raise ValueError(msg)
        while len(parts) > 1:
            # Pairs of parts are merged, so that no row is merged many times.
            pairs = zip(parts[::2], parts[1::2], strict=False)
            parts = [a + b for a, b in pairs] + parts[len(parts) // 2 * 2 :]
        return self._fit(fitted, parts[0], started, {})

    def predict_table(
        self,
        table: Any,
        groups: str | Sequence[str] | None = None,
        return_std: bool = False,
        batch_size: int = 100_000,
        *,
        kind: str = "response",
        **size: Any,
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
            Whether standard deviations are those of y, or of its expectation given its group.
        **size : dict of array-like
            SIZE

        Returns
        -------
        pyarrow.RecordBatchReader
            All columns of the table, in order, and "prediction", of a classifier the
            probability of the second class; "prediction_std" if `return_std`.

        Raises
        ------
        NotFittedError
            Before fit.
        ImportError, TypeError, ValueError
            If the table cannot be used, or lacks a column, or there is no such `kind`.
        """
        import pyarrow as pa

        from skhbm._inputs.tables import open_table, record_batches

        check_is_fitted(self)
        length = as_count(batch_size, "batch_size")
        has_noise(kind)
        names, labels = names_of_fit(self), columns_of_labels(self, groups)
        frame = open_table(table)
        wanted = [*names, *labels.values(), *(name for name in size.values() if name)]
        made = (PREDICTION, STD)[: 1 + return_std]
        check_there(wanted, frame.collect_schema().names(), made)
        schema, batches = record_batches(frame, length)
        for name in made:
            schema = schema.append(pa.field(name, pa.float64()))

        def predicted() -> Iterator[pa.RecordBatch]:
            for batch in batches:
                rows = rows_of_batch(batch, names, labels)
                sizes = {key: batch.column(name) for key, name in size.items() if name}
                found = self._predict(*rows, return_std, False, kind, sizes)
                columns = found if return_std else (found,)
                yield pa.record_batch([*batch.columns, *map(pa.array, columns)], schema=schema)

        return pa.RecordBatchReader.from_batches(schema, predicted())

    def _known_of_target(self, frame: Any, target: str) -> dict[str, Any]:
        """Return what must be known of the whole target before a batch is read: nothing."""
        del frame, target
        return {}

    def _predict(
        self,
        X: Any,
        groups: Any,
        return_std: bool,
        return_cov: bool,
        kind: str,
        size: dict[str, Any],
    ) -> Any:
        """Return predictions; see `ResponsePredicting`."""
        raise NotImplementedError
