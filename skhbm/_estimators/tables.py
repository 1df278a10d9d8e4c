"""The methods of an estimator that take tables of an engine or in files, of any size."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skhbm._design.specification import terms_of_names
from skhbm._estimators.base import BaseHierarchicalEstimator
from skhbm._estimators.given_statistics import check_enough, set_columns
from skhbm._inputs.columns import find_columns
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
            names, factors = _split(self.group_features, columns, groups)
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
        names = [] if self.n_features_in_ == 0 else self._names_of_fit()
        labels = self._columns_of_labels(groups)
        frame = open_table(table)
        _check_there([*names, *labels.values()], frame.collect_schema().names())
        schema, batches = record_batches(frame, size)
        for name in (PREDICTION, STD)[: 1 + return_std]:
            schema = schema.append(pa.field(name, pa.float64()))

        def predicted() -> Iterator[pa.RecordBatch]:
            for batch in batches:
                X = batch.select(names).to_pandas() if names else None
                given = {factor: batch.column(name) for factor, name in labels.items()}
                found = self.predict(X, given or None, return_std=return_std, kind=kind)
                columns = found if return_std else (found,)
                yield pa.record_batch([*batch.columns, *map(pa.array, columns)], schema=schema)

        return pa.RecordBatchReader.from_batches(schema, predicted())

    def _columns_of_labels(self, groups: Any) -> dict[str, str]:
        """Return the column of labels for each factor, unless features have them."""
        factors = [levels.name for levels in self._statistics.factors]
        given = as_list(groups) or factors
        if self.group_features is not None:
            return {}
        if len(given) != len(factors):
            msg = (
                "`groups` must name one column for each grouping factor of the fit, "
                f"{factors}. Got {given}."
            )
            raise ValueError(msg)
        return dict(zip(factors, given, strict=True))

    def _names_of_fit(self) -> list[str]:
        """Return the names of the columns of X in fit."""
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            msg = (
                "Columns of a table are found by their names, but the model was fitted to X "
                "without. Fit to a data frame or by fit_table."
            )
            raise ValueError(msg)
        return [str(name) for name in names]


def _split(group_features: Any, columns: list[str], groups: Any) -> tuple[list[str], list[str]]:
    """Return the names of features and of factors, which `group_features` tells apart."""
    if groups is not None:
        msg = (
            f"Group labels were given twice, as `groups` and as {group_features!r} of "
            "`features` (`group_features`). Give one of them."
        )
        raise ValueError(msg)
    found = find_columns("group_features", group_features, len(columns), columns)
    if not len(found):
        msg = "`group_features` must name at least one of `features`. Got none."
        raise ValueError(msg)
    names = np.array(columns, dtype=object)
    return list(np.delete(names, found)), list(names[found])


def _check_there(wanted: list[str], columns: list[str]) -> None:
    missing = [name for name in wanted if name not in columns]
    if missing:
        msg = (
            f"The table lacks the columns {missing[:5]}, which the model was fitted to. Its "
            f"columns are {columns[:20]}. Rename them, or name those of labels in `groups`."
        )
        raise ValueError(msg)
    taken = [name for name in (PREDICTION, STD) if name in columns]
    if taken:
        msg = f"The table has columns {taken} already, as predictions would. Rename them."
        raise ValueError(msg)
