"""Spark: a local session of two threads reduces the rows."""

import datetime as dt
import shutil
import sys

import numpy as np
import pytest
from marks import FEW_DRAWS
from table_rows import CASES, FEATURES, ROWS, TARGET, assert_exact

from skhbm import GroupedStatistics, HierarchicalNormalRegressor

pytestmark = [
    *FEW_DRAWS,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java"),
]

SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    # To compile takes longer than to run these queries.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.driver.memory": "1g",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.chdir(tmp_path_factory.mktemp("spark"))
        builder = SparkSession.builder.master("local[2]").appName("skhbm's tests")
        for name, value in SETTINGS.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
        yield session
        session.stop()


@pytest.fixture(scope="module")
def table(session, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("rows") / "rows.parquet")
    ROWS.assign(day=[dt.date(2026, 1, 1 + team) for team in ROWS["team"]]).to_parquet(path)
    return session.read.parquet(path).repartition(3).persist()


def reduce(table, **case):
    return GroupedStatistics.from_table(table, target=TARGET, features=FEATURES, **case)


def test_statistics_are_those_of_exact_arithmetic(table):
    """The table has two factors, weights and known errors."""
    assert_exact(reduce(table, **CASES["all"]), ROWS, CASES["all"])


def test_labels_are_those_of_the_columns_in_memory(table):
    both = ["day", "team"]
    statistics = GroupedStatistics.from_table(table, target="tiny", groups=both)
    rows = table.toArrow()
    expected = GroupedStatistics.from_arrays(None, rows["tiny"], rows.select(both))
    for ours, theirs in zip(statistics.factors, expected.factors, strict=True):
        assert ours.name == theirs.name
        assert ours.labels.dtype == theirs.labels.dtype
        assert ours.labels.tolist() == theirs.labels.tolist()


def test_rows_that_cannot_be_used_are_refused_with_a_sentence(table):
    from pyspark.sql import functions

    bad = table.withColumn("se", functions.when(table["team"] == 17, 0.0).otherwise(1.0))
    with pytest.raises(ValueError, match=r"`y_err` must be positive: .* Got 1 of 240"):
        reduce(bad, groups="site", y_err="se")
    missing = table.withColumn("far", functions.when(table["team"] != 17, table["far"]))
    with pytest.raises(ValueError, match="X contains NaN: the column 'far' has 1 missing"):
        reduce(missing, groups="site")


def test_fits_and_predictions_are_those_of_rows_in_memory(table):
    model = HierarchicalNormalRegressor(draws=60, tune=60, chains=2, random_state=0)
    model.fit_table(table, target="y", features=["tiny", "of site"], groups="team")
    rows = table.toArrow().to_pandas()
    expected = GroupedStatistics.from_arrays(rows[["tiny", "of site"]], rows["y"], rows["team"])
    np.testing.assert_allclose(model._statistics.mean, expected.mean, rtol=1e-9)
    found = model.predict_table(table, batch_size=50).read_all().to_pandas()
    predictions = model.predict(found[["tiny", "of site"]], groups=found["team"])
    np.testing.assert_allclose(found["prediction"], predictions, rtol=1e-12)
    assert sorted(found["far"]) == sorted(rows["far"])
