"""Callbacks of scikit-learn are told of the chains of a fit."""

import _thread
import contextlib
import copy
import pickle
import re
import signal
import threading
from collections import Counter

import joblib
import numpy as np
import nutpie
import pytest
import rich
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from watched import GROUPS, N_CHAINS, Recorder, X, Y, estimator, fit, raising

from skhbm import GroupedStatistics
from skhbm._estimators.progress import BLOCKS

#: The names that scikit-learn gives to what it keeps on an estimator while it is fitted.
DURING_FIT = ("_callback_fit_ctx", "_parent_callback_ctx", "_skl_callbacks_to_teardown")

FITS = {
    "fit": lambda model: model.fit(X, Y, groups=GROUPS),
    "partial_fit": lambda model: model.partial_fit(X, Y, groups=GROUPS),
    "fit_statistics": lambda model: model.fit_statistics(
        GroupedStatistics.from_arrays(X, Y, GROUPS)
    ),
}


@pytest.fixture(scope="module")
def plain():
    return fit()


@pytest.fixture(scope="module")
def told():
    recorder = Recorder()
    return fit(recorder), recorder


def test_each_chain_is_a_task_of_the_fit(told):
    _, recorder = told
    fits, chains = recorder.of("begin", "fit"), recorder.of("begin", "chain")
    assert len(fits) == 1
    assert fits[0][2].max_subtasks == N_CHAINS
    assert sorted(context.task_id for _, _, context, _ in chains) == list(range(N_CHAINS))
    assert all(context.parent is fits[0][2] for _, _, context, _ in chains)


def test_blocks_of_draws_are_tasks_of_their_chain(told):
    _, recorder = told
    counts = Counter(context.parent.task_id for _, _, context, _ in recorder.of("end", "draws"))
    most = {context.max_subtasks for _, _, context, _ in recorder.of("begin", "chain")}
    assert counts == dict.fromkeys(range(N_CHAINS), *most)


def test_what_is_begun_is_ended_in_its_turn(told):
    _, recorder = told
    open_tasks = []
    for hook, _, context, _ in recorder.told[1:-1]:
        if hook == "begin":
            assert context.parent is None or context.parent in open_tasks
            open_tasks.append(context)
        else:
            assert not [task for task in open_tasks if task.parent is context]
            open_tasks.remove(context)
    assert open_tasks == []
    assert (recorder.told[0][0], recorder.told[-1][0]) == ("setup", "teardown")


@pytest.mark.parametrize(
    ("draws", "tune", "blocks"), [(5, 2, 7), (30, 20, 50), (40, 20, 30), (500, 500, 50)]
)
@pytest.mark.filterwarnings("ignore:.*R-hat")
def test_number_of_tasks_does_not_grow_with_the_draws(draws, tune, blocks):
    recorder = Recorder()
    fit(recorder, draws=draws, tune=tune, chains=1)
    assert len(recorder.of("end", "draws")) == blocks <= BLOCKS


def test_callbacks_do_not_change_draws(told, plain):
    model, _ = told
    assert np.array_equal(model.predict(X, GROUPS), plain.predict(X, GROUPS))
    assert model.posterior_["posterior"].equals(plain.posterior_["posterior"])


@pytest.mark.parametrize("method", FITS)
def test_every_way_to_fit_tells_callbacks(method):
    recorder = Recorder()
    FITS[method](estimator(recorder))
    assert [len(recorder.of(hook, "fit")) for hook in ("setup", "begin", "end")] == [1] * 3
    assert len(recorder.of("end", "chain")) == N_CHAINS
    assert len(recorder.of("teardown", "fit")) == 1


def test_callbacks_are_given_the_rows_and_their_metadata():
    recorder, weights = Recorder(), np.ones(len(Y))
    estimator(recorder).fit(X, Y, groups=GROUPS, sample_weight=weights)
    for _, _, _, given in recorder.told[1:-1]:
        assert given["X"] is X
        assert given["y"] is Y
        assert given["metadata"] == {"groups": GROUPS, "sample_weight": weights}


def test_callbacks_are_given_no_metadata_that_there_are_not():
    recorder = Recorder()
    estimator(recorder).fit_statistics(GroupedStatistics.from_arrays(X, Y, GROUPS))
    assert all(not any(given.values()) for _, _, _, given in recorder.told[1:-2])


def test_fitted_estimator_that_callbacks_are_given_is_that_of_the_end(told):
    model, recorder = told
    *before, (_, _, _, last) = recorder.told[1:-1]
    assert all(given["fitted"] is None for *_, given in before)
    assert np.array_equal(last["fitted"].predict(X, GROUPS), model.predict(X, GROUPS))


def test_scoring_monitor_scores_the_fit():
    def score(model, X, y, groups=None):
        return model.score(X, y, groups)

    monitor = ScoringMonitor(scoring={"r2": score})
    model = fit(monitor)
    (entry,) = monitor.get_logs().data
    assert entry["r2"] == pytest.approx(model.score(X, Y, GROUPS), rel=1e-12)


def test_what_a_callback_returns_does_not_stop_the_chains(plain):
    class Stopping(Recorder):
        def on_fit_task_end(self, estimator, context):
            return True

    assert np.array_equal(fit(Stopping()).predict(X, GROUPS), plain.predict(X, GROUPS))


MOMENTS = [
    ("setup", "fit"),
    ("begin", "fit"),
    ("begin", "chain"),
    ("end", "draws"),
    ("end", "chain"),
    ("end", "fit"),
    ("teardown", "fit"),
]


@pytest.mark.parametrize("at", MOMENTS, ids=" of ".join)
@pytest.mark.parametrize("error", [RuntimeError("so"), TimeoutError("so"), KeyboardInterrupt()])
def test_error_of_a_callback_leaves_the_estimator_as_it_was(at, error, plain):
    recorder = Recorder(at, raising(error))
    model = copy.copy(plain).set_callbacks(recorder)
    before = dict(vars(model))
    with pytest.raises(type(error)) as caught:
        model.fit(X[:60], Y[:60], groups=GROUPS[:60])
    assert caught.value is error
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is before[name] for name in before)
    assert len(recorder.of("teardown", "fit")) == 1


def test_error_of_a_callback_leaves_a_first_fit_undone():
    model = estimator(Recorder(("end", "draws"), raising(RuntimeError("so"))))
    before = dict(vars(model))
    with pytest.raises(RuntimeError, match="so"):
        model.fit(X, Y, groups=GROUPS)
    assert vars(model) == before


@pytest.fixture
def samplers(monkeypatch):
    """The samplers of nutpie that fits start."""
    started, sample = [], nutpie.sample

    def keep(*args, **kwargs):
        started.append(sample(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(nutpie, "sample", keep)
    return started


#: More draws than a minute has time for.
MANY = 2_000_000


def test_error_of_a_callback_stops_the_chains(samplers):
    model = estimator(Recorder(("begin", "chain"), raising(RuntimeError("so"))), draws=MANY)
    with pytest.raises(RuntimeError, match="so"):
        model.fit(X, Y, groups=GROUPS)
    assert samplers[0].is_finished


@pytest.fixture
def interruptible():
    """Interrupts are ignored by processes that a shell has started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_stops_watched_chains(samplers):
    def interrupt():
        threading.Timer(0.03, _thread.interrupt_main).start()

    recorder = Recorder(("begin", "chain"), interrupt)
    model = estimator(recorder, draws=MANY, chains=1)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, groups=GROUPS)
    assert samplers[0].is_finished
    assert recorder.told[-1][0] == "teardown"


def test_callbacks_are_told_while_chains_run(samplers):
    running = []

    def look():
        with contextlib.suppress(TimeoutError):
            running.append(samplers[0].is_finished)
            return
        running.append(False)

    fit(Recorder(("begin", "chain"), look), draws=20_000, chains=1)
    assert running == [False]


def test_chains_are_not_watched_without_callbacks(monkeypatch):
    asked, sample = [], nutpie.sample

    def ask(*args, progress_callback, **kwargs):
        asked.append(progress_callback)
        return sample(*args, progress_callback=progress_callback, **kwargs)

    monkeypatch.setattr(nutpie, "sample", ask)
    fit()
    assert asked == [None]


def test_nothing_of_a_fit_stays_on_the_estimator(told):
    model, recorder = told
    assert not [name for name in DURING_FIT if name in vars(model)]
    assert model._skl_callbacks == [recorder]


def test_clone_has_the_same_callbacks(told):
    model, _ = told
    assert clone(model)._skl_callbacks is model._skl_callbacks


def test_callbacks_can_be_taken_off(told):
    model, _ = told
    other = pickle.loads(pickle.dumps(clone(model).set_callbacks()))
    assert "_skl_callbacks" not in vars(other.fit(X, Y, groups=GROUPS))


def test_fitted_estimator_with_a_progress_bar_can_be_pickled(capsys):
    model = fit(ProgressBar())
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(X, GROUPS), model.predict(X, GROUPS))
    again.fit(X, Y, groups=GROUPS)


def bars(shown):
    """Return what a progress bar shows in the end: how often each task, spaces dropped."""
    return Counter(re.sub(r"[^\w #|-]+.*", "", line).strip() for line in shown.splitlines())


@pytest.fixture
def wide(monkeypatch):
    """A console that does not cut names."""
    monkeypatch.setattr(rich.get_console(), "_width", 150)


def test_progress_bar_shows_the_chains(wide, capsys):
    fit(ProgressBar())
    shown = capsys.readouterr().out
    name = "HierarchicalNormalRegressor"
    chains = {f"{name} - chain #{chain}": 1 for chain in range(N_CHAINS)}
    assert bars(shown) == {f"{name} - fit": 1, **chains}
    assert shown.count("100%") == 1 + N_CHAINS


TABLE = np.column_stack([X, GROUPS])


def search(**parameters):
    model = estimator(group_features=[2])
    return GridSearchCV(model, {"varying_slopes": [None, [0]]}, cv=2, **parameters)


@pytest.fixture(scope="module")
def scores():
    return search().fit(TABLE, Y).cv_results_["mean_test_score"]


@pytest.mark.parametrize(
    ("n_jobs", "backend"), [(1, "loky"), (2, "threading"), (2, "loky")], ids=str
)
def test_progress_bar_of_a_search_shows_the_chains(n_jobs, backend, scores, wide, capsys):
    model = search(n_jobs=n_jobs).set_callbacks(ProgressBar())
    with joblib.parallel_config(backend):
        model.fit(TABLE, Y)
    shown = capsys.readouterr().out
    counts = bars(shown)
    for chain in range(N_CHAINS):
        assert counts[f"HierarchicalNormalRegressor - chain #{chain}"] == 2 * 2 + 1
    assert shown.count("100%") == sum(counts.values())
    assert np.array_equal(model.cv_results_["mean_test_score"], scores)
    kept = vars(model.best_estimator_)
    assert not [name for name in (*DURING_FIT, "_skl_callbacks") if name in kept]


def test_progress_bar_of_a_pipeline_shows_the_chains(wide, capsys):
    pipeline = make_pipeline(StandardScaler(), estimator(group_features=[2]))
    pipeline.set_callbacks(ProgressBar()).fit(TABLE, Y)
    counts = bars(capsys.readouterr().out)
    assert counts["HierarchicalNormalRegressor - chain #0"] == 1
    assert not [name for name in DURING_FIT if name in vars(pipeline[-1])]
