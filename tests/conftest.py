"""Makes what tests share (`support`) importable, and points hypothesis's database nowhere."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent
SUPPORT = str(HERE / "support")
if SUPPORT not in sys.path:
    sys.path.insert(0, SUPPORT)

# Compiling on the first call has no place in a deadline; `derandomize` makes runs repeat.
settings.register_profile(
    "skhbm", deadline=None, derandomize=True, database=None, max_examples=50
)
# Longer than the suite has time for, and never the same: see `hostile_inputs`.
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
