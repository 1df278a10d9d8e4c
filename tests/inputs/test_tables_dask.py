"""Dask: two worker processes reduce the rows, and one of them may die."""

import os
import signal
import threading
import time

import dask.dataframe as dd
import numpy as np
import pytest
from distributed import Client, LocalCluster
from marks import FEW_DRAWS
from table_rows import CASES, FEATURES, ROWS, TARGET, assert_exact

from skhbm import GroupedStatistics, HierarchicalNormalRegressor

pytestmark = FEW_DRAWS

FEW = {"draws": 60, "tune": 60, "chains": 2}


@pytest.fixture(scope="module")
def client():
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with cluster, Client(cluster) as client:
        yield client


def in_parts(rows=ROWS, n=5):
    return dd.from_pandas(rows, npartitions=n, sort=False)


def reduce(table, **case):
    return GroupedStatistics.from_table(table, target=TARGET, features=FEATURES, **case)


@pytest.mark.parametrize("case", ["no groups", "two factors", "all"])
def test_statistics_are_those_of_exact_arithmetic(case, client):
    assert len(client.scheduler_info()["workers"]) == 2
    assert_exact(reduce(in_parts(), **CASES[case]), ROWS, CASES[case])


@pytest.mark.parametrize("column", ["words", "categories", "integers", "days"])
def test_labels_are_those_of_the_column_in_memory(column, client):
    rows = ROWS.assign(
        words=ROWS["site"],
        categories=ROWS["site"].astype("category"),
        integers=ROWS["team"],
        days=np.datetime64("2026-01-01") + ROWS["team"].to_numpy().astype("timedelta64[D]"),
    )
    statistics = GroupedStatistics.from_table(in_parts(rows), target="tiny", groups=column)
    expected = GroupedStatistics.from_arrays(None, rows["tiny"], rows[column])
    assert statistics.levels.labels.dtype == expected.levels.labels.dtype
    assert statistics.levels.labels.tolist() == expected.levels.labels.tolist()
    assert statistics.n.tolist() == expected.n.tolist()


def test_rows_that_cannot_be_used_are_refused_with_a_sentence(client):
    rows = ROWS.copy()
    rows.loc[3, "site"] = None
    with pytest.raises(ValueError, match="`groups` has 1 missing labels of 240"):
        reduce(in_parts(rows), groups="site")
    rows.loc[7, "far"] = np.nan
    with pytest.raises(ValueError, match="X contains NaN: the column 'far' has 1 missing"):
        reduce(in_parts(rows), groups="site")


def slowly(part, folder):
    """Say which process is at work, and give it time to be killed."""
    (folder / str(os.getpid())).touch()
    time.sleep(0.3)
    return part


def kill_one(folder, killed):
    """Kill the first process that is at work on a part."""
    for _ in range(1500):
        at_work = [int(path.name) for path in folder.iterdir()]
        if at_work:
            os.kill(at_work[0], signal.SIGKILL)
            killed.append(at_work[0])
            return
        time.sleep(0.02)


def test_a_worker_that_dies_in_mid_fit_does_not_matter(client, tmp_path):
    before = set(client.run(os.getpid).values())
    table = in_parts(n=6).map_partitions(slowly, tmp_path, meta=in_parts()._meta)
    killed = []
    killer = threading.Thread(target=kill_one, args=(tmp_path, killed))
    killer.start()
    model = HierarchicalNormalRegressor(**FEW, random_state=0)
    arguments = {"target": "y", "features": ["tiny", "of site"], "groups": "team"}
    model.fit_table(table, **arguments)
    killer.join()
    assert killed[0] in before
    # The process that died was at work, and the other one did its work.
    assert {int(path.name) for path in tmp_path.iterdir()} > set(killed)
    assert killed[0] not in set(client.run(os.getpid).values())
    undisturbed = GroupedStatistics.from_table(in_parts(n=6), **arguments)
    np.testing.assert_allclose(model._statistics.mean, undisturbed.mean, rtol=1e-15)
    np.testing.assert_allclose(model._statistics.cross, undisturbed.cross, rtol=1e-12)
    expected = HierarchicalNormalRegressor(**FEW, random_state=0).fit_statistics(undisturbed)
    np.testing.assert_allclose(model.group_intercept_, expected.group_intercept_, rtol=1e-9)


def test_predictions_come_partition_by_partition(client):
    model = HierarchicalNormalRegressor(**FEW, random_state=0)
    model.fit(ROWS[["tiny"]], ROWS["y"], groups=ROWS["team"])
    reader = model.predict_table(in_parts(), batch_size=30)
    found = reader.read_all().to_pandas()
    expected = model.predict(ROWS[["tiny"]], groups=ROWS["team"])
    np.testing.assert_allclose(found["prediction"], expected, rtol=1e-12)
    assert found["site"].tolist() == ROWS["site"].tolist()
