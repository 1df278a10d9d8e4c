"""Tables of engines in this process: the same statistics as of arrays."""

import datetime as dt
import sys

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from marks import FEW_DRAWS
from table_rows import CASES, ENGINES, FEATURES, ROWS, TABLES, TARGET, as_relation, assert_exact

from skhbm import GroupedStatistics
from skhbm._inputs.tables import cells as _reducing
from skhbm._inputs.tables.engines import kept

pytestmark = FEW_DRAWS


def reduce(table, **case):
    return GroupedStatistics.from_table(table, target=TARGET, features=FEATURES, **case)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", TABLES)
def test_statistics_are_those_of_exact_arithmetic(kind, case, tmp_path):
    statistics = reduce(TABLES[kind](ROWS, tmp_path), **CASES[case])
    assert_exact(statistics, ROWS, CASES[case])
    assert statistics.feature_names == tuple(FEATURES)
    assert statistics.known_errors == ("y_err" in CASES[case])


@pytest.mark.parametrize("kind", ENGINES)
def test_columns_that_are_constant_in_a_cell_have_no_spread(kind, tmp_path):
    statistics = reduce(TABLES[kind](ROWS, tmp_path), groups="site", y_err="se")
    assert np.all(statistics.cross[:, 2] == 0)
    assert np.all(statistics.cross[:, :, 2] == 0)
    assert np.all(statistics.cross[list(statistics.levels.labels).index("lone")] == 0)
    assert np.all(statistics.cross[statistics.n > 1][:, 0, 0] > 0)


DAYS = [dt.date(2026, 1, 1), dt.date(2025, 5, 5), dt.date(2026, 3, 3)]

LABELS = {
    "strings": ["b", "a", "b"],
    "integers": [3, -1, 3],
    "bools": [True, False, True],
    "dates": DAYS,
    "times": [dt.datetime.combine(day, dt.time(7, 30)) for day in DAYS],
    "numbers": [0.5, -1.5, 0.5],
    "categories": pd.Categorical(["b", "a", "b"], categories=["z", "b", "a"]),
}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("kind", TABLES)
def test_labels_are_those_of_the_column_in_memory(kind, labels, tmp_path):
    rows = pd.DataFrame({"g": LABELS[labels], "y": [1.0, 2.0, 4.0]})
    table = TABLES[kind](rows, tmp_path)
    column = pd.Series(LABELS[labels], name="g") if kind == "pandas" else None
    if column is None:
        # Engines give back columns of arrow or of polars.
        column = (pl.from_pandas(rows) if "polars" in kind else pa.Table.from_pandas(rows))["g"]
    expected = GroupedStatistics.from_arrays(None, rows["y"], {"g": column})
    actual = GroupedStatistics.from_table(table, target="y", groups="g")
    assert actual.levels.name == "g"
    assert actual.levels.labels.dtype == expected.levels.labels.dtype
    assert actual.levels.labels.tolist() == expected.levels.labels.tolist()
    assert actual.n.tolist() == expected.n.tolist()
    assert actual.mean.tolist() == expected.mean.tolist()
    assert (actual + expected).n.tolist() == (2 * expected.n).tolist()


@pytest.mark.parametrize("kind", TABLES)
def test_numbers_may_be_of_any_type(kind, tmp_path):
    rows = pd.DataFrame({
        "i": np.array([1, 2, 5], dtype=np.int8),
        "f": np.array([0.5, 0.25, 1.0], dtype=np.float32),
        "b": [True, False, True],
        "y": [3, 4, 5],
    })  # fmt: skip
    names = ["i", "f", "b"]
    actual = GroupedStatistics.from_table(
        TABLES[kind](rows, tmp_path), target="y", features=names
    )
    expected = GroupedStatistics.from_arrays(rows[names], rows["y"])
    np.testing.assert_allclose(actual.cross, expected.cross, rtol=1e-14)


def test_columns_may_have_the_names_that_queries_use():
    rows = pd.DataFrame({"g0": [1, 1, 2], "x1": [1.0, 3.0, 5.0], "x0": [2.0, 2.5, 4.0], "p": 1})
    arguments = {"target": "x0", "features": ["x1", "g0"], "groups": "g0", "weight": "p"}
    for table in (pl.from_pandas(rows), as_relation(rows)):
        actual = GroupedStatistics.from_table(table, **arguments)
        assert actual.mean.tolist() == [[2.0, 1.0, 2.25], [5.0, 2.0, 4.0]]


@pytest.mark.parametrize("kind", TABLES)
def test_statistics_of_tables_and_arrays_add(kind, tmp_path):
    """The rows have no offsets: a mean of 1e8 loses digits that differences would need."""
    rows = ROWS.assign(far=ROWS["far"] - 1e8, y=ROWS["y"] + 3e8)
    first, other = rows[:100], rows[100:]
    both = ["team", "site"]
    here = GroupedStatistics.from_arrays(other[FEATURES], other[TARGET], other[both])
    total = reduce(TABLES[kind](first, tmp_path), groups=both) + here
    assert_exact(total, rows, {"groups": both})


def test_a_folder_of_partitions_is_a_table(tmp_path):
    pq.write_to_dataset(pa.Table.from_pandas(ROWS), tmp_path, partition_cols=["team"])
    assert_exact(reduce(tmp_path, groups="team"), ROWS, {"groups": "team"})


@pytest.fixture
def answers(monkeypatch):
    """The numbers of rows of all answers that have come to this process."""
    heights = []
    collect = _reducing.collect

    def recording(query):
        table = collect(query)
        heights.append(len(table))
        return table

    class Kept:
        def __init__(self, *query):
            self.inner = kept(*query)

        def __enter__(self):
            here, there = self.inner.__enter__()
            heights.append(len(here))
            return here, there

        def __exit__(self, *error):
            return self.inner.__exit__(*error)

    monkeypatch.setattr(_reducing, "collect", recording)
    monkeypatch.setattr(_reducing, "kept", Kept)
    return heights


@pytest.mark.parametrize("kind", ["polars", *ENGINES, "glob"])
def test_only_cells_come_here(kind, answers, tmp_path):
    statistics = reduce(TABLES[kind](ROWS, tmp_path), groups=["team", "site"])
    assert answers == [len(statistics.n)] * 2
    assert len(statistics.n) < len(ROWS) / 10


@pytest.mark.parametrize("kind", ENGINES)
def test_other_engines_may_run_the_first_query_again(kind, monkeypatch, tmp_path):
    """An engine need not know how to keep an answer."""
    monkeypatch.setattr(_reducing, "kept", lambda _, query: kept("another", query))
    assert_exact(reduce(TABLES[kind](ROWS, tmp_path), **CASES["all"]), ROWS, CASES["all"])


def test_a_lazy_frame_of_polars_is_not_collected(monkeypatch):
    collect, heights = pl.LazyFrame.collect, []

    def recording(frame, *args, **options):
        heights.append((collect(frame, *args, **options).height, options.get("engine")))
        return collect(frame, *args, **options)

    monkeypatch.setattr(pl.LazyFrame, "collect", recording)
    statistics = reduce(pl.from_pandas(ROWS).lazy(), groups="site")
    assert heights == [(len(statistics.n), "streaming")] * 2


def test_a_database_is_left_as_it_was():
    connection = duckdb.connect()
    connection.register("rows", ROWS)
    # A name that a query might have taken.
    connection.execute("CREATE TABLE cells AS SELECT 1 AS g0")
    before = connection.sql("SHOW TABLES").fetchall()
    assert_exact(reduce(connection.sql("FROM rows"), groups="site"), ROWS, {"groups": "site"})
    assert connection.sql("SHOW TABLES").fetchall() == before


def with_value(column, value):
    rows = ROWS.copy()
    rows[column] = rows[column].astype(object if isinstance(value, str) else rows[column].dtype)
    rows.loc[3, column] = value
    return rows


TWO = {"groups": ["site", "team"]}

#: Rows, more arguments, and what the sentence says.
FAULTS = {
    "NaN in a feature": (with_value("far", np.nan), {}, "X contains NaN: the column 'far' has"),
    "NaN in the target": (with_value("y", np.nan), {}, "y contains NaN: the column 'y' has 1"),
    "infinity": (with_value("tiny", -np.inf), {}, "X contains infinity: the column 'tiny' ha"),
    "missing label": (
        with_value("site", None), {"groups": "site"}, "`groups` has 1 missing labels of 240",
    ),
    "missing label of two": (
        with_value("site", None), TWO, r"`groups\['site'\]` has 1 missing labels of 240",
    ),
    "NaN as a label": (
        with_value("se", np.nan), {"groups": "se"}, "`groups` has 1 missing labels of 240",
    ),
    "negative weight": (
        ROWS.assign(times=ROWS["times"] - 1), {"weight": "times"}, "not be negative: .* -1",
    ),
    "no weight": (ROWS.assign(times=0), {"weight": "times"}, "`weight` is zero for every row"),
    "missing weight": (with_value("se", np.nan), {"weight": "se"}, "weight contains NaN"),
    "NaN where the weight is zero": (
        with_value("far", np.nan).assign(times=[*[0] * 5, *[1] * 235]), {"weight": "times"},
        "X contains NaN",
    ),
    "zero error": (with_value("se", 0.0), {"y_err": "se"}, "`y_err` must be positive: .* 1 of"),
    "missing error": (with_value("se", np.nan), {"y_err": "se"}, "y_err contains NaN"),
    "tiny error": (with_value("se", 1e-80), {"y_err": "se"}, "must lie between 1e-60 and 1e"),
    "no rows": (ROWS[:0], {"groups": "site"}, "0 rows"),
    "no rows, no groups": (ROWS[:0], {}, "0 rows"),
    "no such feature": (ROWS.drop(columns="far"), {}, r"`features` names \['far'\], which the"),
    "no such group": (ROWS, {"groups": "sites"}, r"`groups` names \['sites'\], which the"),
    "feature of words": (ROWS.assign(far="a"), {}, "`features` must be numeric. The column"),
    "target of words": (ROWS.assign(y="a"), {}, "`target` must be numeric. The column 'y' is"),
    "factor named twice": (
        ROWS, {"groups": ["site", "site"]}, r"`groups` names a column twice: \['site'\]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["pandas", *ENGINES])
def test_rows_that_cannot_be_used_are_refused_with_a_sentence(kind, fault, tmp_path):
    rows, arguments, message = FAULTS[fault]
    with pytest.raises(ValueError, match=message):
        reduce(TABLES[kind](rows, tmp_path), **arguments)


@pytest.mark.parametrize("kind", ENGINES)
def test_sums_that_overflow_are_refused(kind, tmp_path):
    table = TABLES[kind](ROWS.assign(y=ROWS["y"] * 1e200), tmp_path)
    with pytest.raises(ValueError, match=r"overflow\. Change the units"):
        reduce(table)


def test_a_table_that_changes_between_the_queries_is_refused():
    connection = duckdb.connect()
    connection.register("rows", ROWS)
    changing = connection.sql("FROM rows WHERE random() < 0.5")
    with pytest.raises(ValueError, match="changed while it was read"):
        reduce(changing, groups="site")


def test_times_that_are_equal_in_python_are_refused():
    times = pl.Series("g", [0, 1], dtype=pl.Int64).cast(pl.Datetime("ns"))
    table = pl.LazyFrame({"g": times, "y": [1.0, 2.0]})
    with pytest.raises(ValueError, match="2 combinations of labels in the table are only 1"):
        GroupedStatistics.from_table(table, target="y", groups="g")


@pytest.mark.parametrize(
    ("table", "arguments", "message"),
    [
        ([[1.0]], {"target": "y"}, "`table` must be a DataFrame of pandas, polars .* Got list"),
        (ROWS, {"target": None}, "`target` must be the name of a column. Got None"),
        (ROWS, {"target": ["y"]}, r"`target` must be the name of a column. Got \['y'\]"),
        (ROWS, {"target": "y", "features": [0]}, r"`features` must be names of columns. Got"),
        (
            pl.DataFrame({"g": [[1], [2]], "y": [1.0, 2.0]}),
            {"target": "y", "groups": "g"},
            r"`groups` must hold hashable labels .* 'g' is of type List",
        ),
    ],
    ids=["no table", "no target", "two targets", "positions", "lists as labels"],
)
def test_other_types_are_refused_with_a_sentence(table, arguments, message):
    with pytest.raises(TypeError, match=message):
        GroupedStatistics.from_table(table, **arguments)


@pytest.mark.parametrize("lazy", [False, True])
def test_the_target_is_no_feature(lazy):
    table = pl.DataFrame({"a": [1.0, 2.0], "y": [1.0, 3.0]})
    with pytest.raises(ValueError, match="`features` names 'y', which is the target"):
        GroupedStatistics.from_table(
            table.lazy() if lazy else table.to_pandas(), target="y", features=["a", "y"]
        )


def test_columns_of_one_name_are_refused():
    table = pd.DataFrame(np.ones((2, 3)), columns=["a", "a", "y"])
    with pytest.raises(ValueError, match="must have different names"):
        GroupedStatistics.from_table(table, target="y", features="a")


def test_a_path_without_a_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a Parquet file, a folder or a glob\. Got"):
        reduce(tmp_path / "nothing.parquet")


def test_a_path_without_duckdb_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ImportError, match=r"Install it with `pip install skhbm\[duckdb\]`"):
        reduce(tmp_path / "rows.parquet")
