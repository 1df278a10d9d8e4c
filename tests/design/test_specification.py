"""What varies by a factor: each mistake is named in a sentence."""

import pytest
from marks import FEW_DRAWS
from three_sites import FRAME, WITH_GROUPS, fit

pytestmark = FEW_DRAWS


SLOPES = {
    "unknown name": ({"X": FRAME}, "w", ValueError, "names 'w', which is not a column of X"),
    "unknown index": ({}, [9], ValueError, "has the index 9, but X has 2 columns"),
    "named twice": ({}, [0, 0], ValueError, "`varying_slopes` names a column twice"),
    "unknown factor": (
        {},
        {"site": "all"},
        ValueError,
        r"`varying_slopes` has entries for \['site'\], but the only grouping factor is 'group'",
    ),
    "a fraction": ({}, 1.5, TypeError, "must hold names, indices or a mask. Got 1.5"),
    "the column of groups": (
        {"X": WITH_GROUPS, "groups": None, "group_features": "site"},
        ["site"],
        ValueError,
        "`varying_slopes` names the column of group labels; name features only",
    ),
}


@pytest.mark.parametrize("case", SLOPES)
def test_varying_slopes_that_cannot_be_are_named(case):
    arguments, slopes, error, message = SLOPES[case]
    with pytest.raises(error, match=message):
        fit(**arguments, varying_slopes=slopes)


@pytest.mark.filterwarnings("ignore:Fitted without groups")
@pytest.mark.parametrize(
    "parameters", [{"varying_slopes": "all"}, {"residual_scale": "by_group"}]
)
def test_terms_by_group_need_groups(parameters):
    with pytest.raises(ValueError, match=r"need groups. Pass `groups=` to fit"):
        fit(groups=None, **parameters)


def test_something_must_vary_by_group():
    with pytest.raises(
        ValueError, match=r"Nothing varies by group. Set varying_intercept=True"
    ):
        fit(varying_intercept=False)
