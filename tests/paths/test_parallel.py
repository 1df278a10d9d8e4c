"""Searches in other processes and threads, and what is pickled of them."""

import io
import os
import pickle

import joblib
import nutpie
import pytest
from by_hand import CVS, GRID, folds_by_hand, scores_by_hand
from marks import FEW_DRAWS
from paths import FRAME, SITE, TABLE, Y, assert_same, by_column, by_keyword
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.inspection import permutation_importance
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skhbm._numba.threads import n_threads

pytestmark = FEW_DRAWS


@pytest.fixture(autouse=True)
def shared():
    """Arrays of any size are shared with other processes as files, which cannot be written."""
    with joblib.parallel_config("loky", max_nbytes=1):
        yield


@pytest.fixture(params=["loky", "threading"])
def two_jobs(request, shared):
    """Two jobs at once, in processes and in threads."""
    with joblib.parallel_config(request.param, n_jobs=2, max_nbytes=1):
        yield


def search(**parameters):
    grid = {"varying_slopes": GRID["varying_slopes"]}
    return GridSearchCV(by_column(), grid, cv=KFold(3), **parameters)


def expected_scores():
    """Mean scores of the points of the search, in loops by hand."""
    slopes = GRID["varying_slopes"]
    folds = [folds_by_hand(varying_slopes=value) for value in slopes]
    return [scores_by_hand(r2_score, fold).mean() for fold in folds]


def test_search_with_two_jobs_is_the_loop_by_hand(two_jobs):
    found = search().fit(TABLE, Y)
    assert_same(found.cv_results_["mean_test_score"], expected_scores())


def test_search_with_n_jobs_is_the_loop_by_hand():
    found = search(n_jobs=2).fit(TABLE, Y)
    assert_same(found.cv_results_["mean_test_score"], expected_scores())


@pytest.mark.parametrize("name", CVS)
def test_cross_validation_with_n_jobs_is_the_loop_by_hand(name):
    scores = cross_val_score(by_column(), TABLE, Y, n_jobs=2, **CVS[name])
    assert_same(scores, scores_by_hand(r2_score, folds_by_hand(name)))


def test_rows_that_workers_share_are_the_same_rows(two_jobs):
    numbers = TABLE.assign(site=SITE.astype("category").cat.codes).to_numpy()
    scores = cross_val_score(by_column(group_features=2), numbers, Y, cv=KFold(3))
    assert_same(scores, scores_by_hand(r2_score, folds_by_hand()))


def test_routing_reaches_workers(two_jobs):
    with config_context(enable_metadata_routing=True):
        scores = cross_val_score(by_keyword(), FRAME, Y, cv=KFold(3), params={"groups": SITE})
    assert_same(scores, scores_by_hand(r2_score, folds_by_hand()))


def test_fitted_estimator_predicts_in_workers(two_jobs):
    model = by_column().fit(TABLE, Y)
    given = {"n_repeats": 2, "random_state": 0}
    drops = permutation_importance(model, TABLE, Y, **given).importances
    assert_same(drops, permutation_importance(model, TABLE, Y, n_jobs=1, **given).importances)


def test_chains_of_a_worker_take_turns(two_jobs):
    threads = joblib.Parallel()(joblib.delayed(n_threads)(None, 4) for _ in range(4))
    assert threads == [1] * 4


def test_chains_that_no_worker_runs_use_the_cpus():
    limit = os.environ.get("OMP_NUM_THREADS", "")
    cpus = min(joblib.cpu_count(), int(limit) if limit.isdigit() else 64)
    assert n_threads(None, 64) == min(64, cpus)
    assert n_threads(None, 1) == 1


def test_number_of_chains_at_once_is_taken_as_told_in_a_worker(two_jobs):
    threads = joblib.Parallel()(joblib.delayed(n_threads)(1, 4) for _ in range(2))
    assert threads == [1, 1]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_search_never_asks_for_more_threads_than_cpus(n_jobs, monkeypatch):
    asked, sample = [], nutpie.sample

    def counting(*arguments, cores, **others):
        asked.append(cores)
        return sample(*arguments, cores=cores, **others)

    monkeypatch.setattr(nutpie, "sample", counting)
    with joblib.parallel_config("threading", n_jobs=n_jobs):
        search(refit=False).fit(TABLE, Y)
    assert len(asked) == 6
    assert set(asked) == ({1} if n_jobs == 2 else {n_threads(None, 4)})


def fitted_pipeline():
    transformer = make_column_transformer(
        (StandardScaler(), ["age", "dose"]), remainder="passthrough"
    )
    return make_pipeline(transformer, by_column(group_features=-1)).fit(TABLE, Y)


FITTED = {"search": lambda: search().fit(TABLE, Y), "pipeline": fitted_pipeline}


def through_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


COPIES = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "joblib": through_joblib,
    "clone": lambda model: clone(model).fit(TABLE, Y),
}


@pytest.fixture(scope="module", params=FITTED)
def fitted(request):
    return FITTED[request.param]()


@pytest.mark.parametrize("way", COPIES)
def test_copies_predict_the_same(way, fitted):
    copy = COPIES[way](fitted)
    new = TABLE[:3].assign(site=["east", "elsewhere", None])
    assert_same(copy.predict(new), fitted.predict(new))
