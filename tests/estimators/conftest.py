"""The bytes of sound files, and the estimator that bytes hold."""

from functools import cache

import pytest
from persisted import fitted

from skhbm import HierarchicalNormalRegressor


@pytest.fixture(scope="session")
def bytes_of(tmp_path_factory):
    """Return a function from the name of a structure to the bytes of its file."""
    folder = tmp_path_factory.mktemp("sound")

    @cache
    def read(name):
        fitted(name).save(folder / "model")
        return (folder / "model").read_bytes()

    return read


@pytest.fixture
def load(tmp_path):
    """Return a function from the bytes of a file to the estimator in it."""

    def load(data):
        (tmp_path / "model").write_bytes(data)
        return HierarchicalNormalRegressor.load(tmp_path / "model")

    return load
