"""Statistics that do not belong together do not merge."""

import numpy as np
import pytest
from marks import FEW_DRAWS

from skhbm import GroupedStatistics

pytestmark = FEW_DRAWS


MERGES = {
    "other names": ({"school": "a", "town": "b"}, {"school": "a", "year": "b"}),
    "another order": ({"school": "a", "year": "b"}, {"year": "b", "school": "a"}),
    "more factors": ({"school": "a", "year": "b"}, {"school": "a"}),
    "none": ({"school": "a", "year": "b"}, None),
}


@pytest.mark.parametrize("case", MERGES)
def test_statistics_of_other_factors_do_not_merge(case):
    X, y = np.zeros((3, 1)), np.arange(3.0)
    first, other = (
        GroupedStatistics.from_arrays(
            X, y, None if g is None else {name: [label] * 3 for name, label in g.items()}
        )
        for g in MERGES[case]
    )
    with pytest.raises(ValueError, match="same grouping factors, in the same order"):
        first + other


def test_statistics_with_errors_do_not_merge_with_those_without(schools):
    first, other = (
        GroupedStatistics.from_arrays(schools.X, schools.y, schools.groups, y_err=errors)
        for errors in (None, schools.errors)
    )
    with pytest.raises(ValueError, match="Give `y_err` for all rows or for none"):
        first + other
