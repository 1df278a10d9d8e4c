"""Settings of hypothesis, and fitted models that many tests read."""

import os
from pathlib import Path

import named_sites
import pytest
import schools_and_years
from hypothesis import settings

from skhbm import HierarchicalNormalRegressor
from skhbm.datasets import load_radon

HERE = Path(__file__).parent

# Compiling on the first call has no place in a deadline; `derandomize` makes runs repeat.
settings.register_profile(
    "skhbm", deadline=None, derandomize=True, database=None, max_examples=50
)
# A long run draws more examples, other ones each time: see `hostile_inputs`.
settings.register_profile(
    "skhbm-long", deadline=None, derandomize=False, database=None, max_examples=5000
)
settings.load_profile(os.environ.get("SKHBM_PROFILE", "skhbm"))


@pytest.fixture(scope="session")
def cases_folder():
    """The folder of data sets with reference posteriors, which lies beside the checkout."""
    folder = Path(os.environ.get("SKHBM_CASES", HERE.parents[1] / "shared" / "cases"))
    if not folder.is_dir():
        pytest.skip(f"no reference posteriors at {folder}: set SKHBM_CASES to their folder")
    return folder


@pytest.fixture(scope="session")
def radon_model():
    data = load_radon(as_frame=True)
    model = HierarchicalNormalRegressor(random_state=0)
    return model.fit(data.data, data.target, groups=data.groups)


@pytest.fixture(scope="module", params=named_sites.STRUCTURES)
def site_structure(request):
    return request.param


@pytest.fixture(scope="module")
def site_model(site_structure):
    return named_sites.fitted(site_structure)


@pytest.fixture(scope="module")
def site_terms(site_structure):
    return named_sites.terms_of(site_structure)


@pytest.fixture(scope="session")
def simple_site_model():
    return named_sites.fitted("intercepts")


@pytest.fixture(scope="session")
def schools():
    return schools_and_years.simulate()


@pytest.fixture(scope="session")
def short_school_model(schools):
    return schools_and_years.fit(schools, **schools_and_years.SHORT)


@pytest.fixture(scope="module", params=schools_and_years.STRUCTURES)
def school_structure(request):
    return request.param


@pytest.fixture(scope="module")
def school_model(school_structure):
    return schools_and_years.fitted(school_structure)


@pytest.fixture(scope="module")
def school_terms(school_structure):
    return schools_and_years.terms_of(school_structure)
