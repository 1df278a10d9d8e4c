"""One `random_state`, one posterior: in any process, thread, order, and state of the caches."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.base import clone

from skhbm import HierarchicalNormalRegressor, Prior

#: What is compiled differs between these: the kernels, and the priors that PyTensor compiles.
STRUCTURES = {
    "intercepts": {},
    "correlated slopes": {"varying_slopes": "all"},
    "by group": {"residual_scale": "by_group"},
    "other priors": {
        "priors": {
            "coef": Prior("StudentT", nu=4, mu=0, sigma=2),
            "tau": Prior("Gamma", alpha=2, beta=1),
            "sigma": Prior("HalfCauchy", beta=2),
        }
    },
}

SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from test_reproducibility import STRUCTURES, digest, fit, make_rows
print(json.dumps({name: digest(fit(make_rows(), **p)) for name, p in STRUCTURES.items()}))
"""


def make_rows(seed=51, n_groups=7):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, n_groups, 140)
    X = rng.standard_normal((140, 2))
    slopes = rng.normal([1, -1], 0.6, size=(n_groups, 2))
    y = rng.standard_normal(n_groups)[codes] + np.sum(slopes[codes] * X, axis=1)
    return X, y + rng.standard_normal(140), codes


def fit(rows, **parameters):
    X, y, codes = rows
    return HierarchicalNormalRegressor(random_state=9, **parameters).fit(X, y, groups=codes)


def draws(model):
    posterior = model.posterior_["posterior"].to_dataset()
    return {name: variable.to_numpy() for name, variable in posterior.data_vars.items()}


def digest(model):
    """Hash all draws, those of effects included, bit by bit."""
    total = hashlib.sha256()
    for name, values in sorted(draws(model).items()):
        total.update(name.encode() + np.ascontiguousarray(values).tobytes())
    return total.hexdigest()


@pytest.fixture(scope="module", params=STRUCTURES, ids=str)
def structure(request):
    return request.param


@pytest.fixture(scope="module")
def rows():
    return make_rows()


@pytest.fixture(scope="module")
def model(rows, structure):
    return fit(rows, **STRUCTURES[structure])


def digests_in_another_process(folder=None):
    """Fit every structure in a fresh process; with caches in an empty folder if given."""
    environment = dict(os.environ)
    if folder is not None:
        flags = [f for f in environment.get("PYTENSOR_FLAGS", "").split(",") if f]
        environment["PYTENSOR_FLAGS"] = ",".join(
            [*flags, f"base_compiledir={folder / 'pytensor'}"]
        )
        environment["NUMBA_CACHE_DIR"] = str(folder / "numba")
    command = [sys.executable, "-c", SCRIPT, os.path.dirname(__file__)]
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    folder = tmp_path_factory.mktemp("caches")
    first = digests_in_another_process(folder)
    assert any((folder / "numba").rglob("*.nbi")), "the folder of caches was not used"
    return first, digests_in_another_process(folder)


@pytest.fixture(scope="module")
def warm():
    return digests_in_another_process()


def test_draws_are_those_of_a_process_with_cold_caches(model, structure, cold):
    assert cold[0][structure] == digest(model)


def test_draws_are_those_of_a_process_with_caches_made_by_another(model, structure, cold):
    assert cold[1][structure] == digest(model)


def test_draws_are_those_of_a_process_with_warm_caches(model, structure, warm):
    assert warm[structure] == digest(model)


def test_refit_gives_the_same_draws(model, structure, rows):
    before = digest(model)
    X, y, codes = rows
    assert digest(model.fit(X, y, groups=codes)) == before


def test_refit_after_other_data_gives_the_same_draws(model, structure, rows):
    other = clone(model)
    X, y, codes = make_rows(52, n_groups=11)
    other.fit(X, y, groups=codes)
    X, y, codes = rows
    assert digest(other.fit(X, y, groups=codes)) == digest(model)


def test_clone_gives_the_same_draws(model, structure, rows):
    X, y, codes = rows
    assert digest(clone(model).fit(X, y, groups=codes)) == digest(model)


@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_number_of_threads_does_not_change_draws(model, structure, rows, n_jobs):
    assert digest(fit(rows, n_jobs=n_jobs, **STRUCTURES[structure])) == digest(model)


def test_progress_bar_does_not_change_draws(rows, capsys):
    assert digest(fit(rows, verbose=1)) == digest(fit(rows))


def test_reading_results_does_not_change_draws(rows):
    read, other = fit(rows), fit(rows)
    read.shrinkage_, read.variance_components_, read.predict(rows[0], rows[2], return_std=True)
    read.sample_y(rows[0], rows[2], n_samples=3)
    assert digest(read) == digest(other)


def test_global_random_state_is_neither_read_nor_changed(rows):
    state = np.random.get_state()[1].copy()  # noqa: NPY002  # what is tested
    first = digest(fit(rows))
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002  # what is tested
    np.random.random_sample(5)  # noqa: NPY002  # what is tested
    assert digest(fit(rows)) == first


def test_another_random_state_gives_other_draws(rows):
    X, y, codes = rows
    other = HierarchicalNormalRegressor(random_state=10).fit(X, y, groups=codes)
    assert digest(other) != digest(fit(rows))


def test_no_random_state_gives_other_draws_each_time(rows):
    X, y, codes = rows
    first, other = (HierarchicalNormalRegressor().fit(X, y, groups=codes) for _ in range(2))
    assert digest(first) != digest(other)


def test_a_random_state_instance_is_used_up(rows):
    X, y, codes = rows
    state = np.random.RandomState(3)
    first, other = (
        HierarchicalNormalRegressor(random_state=state).fit(X, y, groups=codes)
        for _ in range(2)
    )
    assert digest(first) != digest(other)


def test_chains_differ(model):
    tau = draws(model)["tau_group"]
    assert len(np.unique(tau[:, 0, 0])) == len(tau)


def test_samples_repeat_by_default(model, rows):
    X, _, codes = rows
    first, other = (model.sample_y(X, codes, n_samples=5) for _ in range(2))
    assert np.array_equal(first, other)


def test_samples_differ_with_another_random_state(model, rows):
    X, _, codes = rows
    first, other = (model.sample_y(X, codes, n_samples=5, random_state=s) for s in (0, 1))
    assert not np.array_equal(first, other)


def test_fits_in_threads_at_once_are_those_of_one_after_another():
    """Of different sizes and structures, started together."""
    tasks = [
        (make_rows(seed, n_groups), parameters)
        for seed, n_groups in ((61, 5), (62, 13))
        for parameters in STRUCTURES.values()
    ]
    expected = [digest(fit(rows, **parameters)) for rows, parameters in tasks]
    together = threading.Barrier(2)

    def run(task):
        together.wait(timeout=60)
        return digest(fit(task[0], **task[1]))

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(run, tasks))
    assert found == expected


def test_predictions_in_threads_are_those_of_one_after_another(rows):
    X, _, codes = rows
    fitted = fit(rows, varying_slopes="all")
    expected = clone(fitted).fit(*rows[:2], groups=codes).predict(X, codes, return_std=True)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: fitted.predict(X, codes, return_std=True), range(8)))
    for mean, std in found:
        assert np.array_equal(mean, expected[0])
        assert np.array_equal(std, expected[1])


def test_first_compilation_in_threads_is_right(rows):
    """Two threads that ask for a prior no one has compiled yet."""
    prior = {"tau": Prior("Weibull", alpha=1.5, beta=2)}
    together = threading.Barrier(2)

    def run(_):
        together.wait(timeout=60)
        return digest(fit(rows, priors=prior))

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(run, range(2)))
    assert found == [digest(fit(rows, priors=prior))] * 2
