"""Labels of new rows: which effect they read, and which are refused."""

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS
from three_sites import N, fit, population

pytestmark = FEW_DRAWS


@pytest.fixture(scope="module")
def model():
    return fit()


@pytest.fixture(scope="module")
def strict():
    return fit(new_groups="error")


UNKNOWN = {
    "None": None,
    "NaN": np.nan,
    "NA": pd.NA,
    "NaT": pd.NaT,
    "another word": "d",
    "a longer word": "ab",
    "code -1": -1,
    "code 0": 0,
    "code 1": 1,
    "a code past the end": 10**6,
    "a code past 64 bits": 2**70,
    "a float": 1.0,
    "infinity": np.inf,
    "a bool": True,
    "bytes": b"a",
    "a tuple": ("a",),
    "a date": pd.Timestamp("2020-01-01"),
}


@pytest.mark.filterwarnings("ignore:Labels like")
@pytest.mark.parametrize("case", UNKNOWN)
def test_unknown_label_is_predicted_from_the_population(case, model):
    mean, std = model.predict(np.zeros((3, 2)), ["a", UNKNOWN[case], "c"], return_std=True)
    seen = model.predict(np.zeros((2, 2)), ["a", "c"])
    assert (mean[1], std[1]) == tuple(float(v[0]) for v in population(model))
    assert np.array_equal(mean[[0, 2]], seen)


@pytest.mark.parametrize("case", [c for c in UNKNOWN if c not in ("None", "NaN", "NA", "NaT")])
def test_unseen_label_is_an_error_if_asked_for(case, strict):
    with pytest.raises(
        ValueError, match=r"1 of 2 groups were not seen in fit: .* Pass new_groups="
    ):
        strict.predict(np.zeros((2, 2)), ["a", UNKNOWN[case]])


@pytest.mark.parametrize("label", [None, np.nan, pd.NA, pd.NaT], ids=str)
def test_missing_label_is_an_error_if_asked_for(label, strict):
    with pytest.raises(ValueError, match=r"1 of 2 labels are missing. Pass new_groups="):
        strict.predict(np.zeros((2, 2)), ["a", label])


@pytest.mark.filterwarnings("ignore:The model was fitted with groups")
def test_no_labels_at_all_are_an_error_if_asked_for(strict):
    with pytest.raises(ValueError, match="new_groups="):
        strict.predict(np.zeros((2, 2)))


def test_unseen_labels_are_listed_in_a_sentence(strict):
    labels = ["a", "DE", "FR", "b", "PL", "DE"]
    message = (
        "3 of 5 groups were not seen in fit: ['DE', 'FR', 'PL']. "
        'Pass new_groups="population" to predict them from the population.'
    )
    with pytest.raises(ValueError, match="not seen") as error:
        strict.predict(np.zeros((6, 2)), labels)
    assert str(error.value) == message


def test_at_most_five_unseen_labels_are_listed(strict):
    with pytest.raises(
        ValueError, match=r"7 of 8 groups .*: \['t', 'u', 'v', 'w', 'x'\]\. Pass"
    ):
        strict.predict(np.zeros((8, 2)), list("atuvwxyz"))


CODED = {
    "extra categories": pd.Categorical(["z", "a", "c"], categories=["z", "y", "c", "b", "a"]),
    "other order": pd.Categorical(["zz", "a", "c"], categories=["c", "zz", "a"]),
    "missing": pd.Categorical([None, "a", "c"], categories=["c", "b", "a"]),
    "series": pd.Series(["z", "a", "c"], dtype="category", index=[9, 7, 7]),
    "nullable": pd.array([pd.NA, "a", "c"], dtype="string"),
}


@pytest.mark.parametrize("case", CODED)
def test_codes_of_categories_are_not_those_of_fit(case, model):
    mean = model.predict(np.zeros((3, 2)), CODED[case])
    expected = [population(model)[0][0], *model.predict(np.zeros((2, 2)), ["a", "c"])]
    assert np.array_equal(mean, expected)


@pytest.fixture(scope="module")
def integers():
    return fit(groups=np.repeat([1, 2, 3], N // 3))


@pytest.mark.parametrize(
    "labels",
    [
        [-1, 0, 4],
        np.array([-1, 0, 4], dtype=np.int8),
        np.array([0, 4, 255], dtype=np.uint8),
        [0.5, 1.5, 1 + 1e-15],
        ["1", "2", "3"],
        np.array([2.0**64, -(2.0**63), np.inf]),
        [2**64 + 1, 2**65, -(2**70)],
        pd.Categorical([0, 4, 5]),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Labels like")
def test_numbers_that_are_no_label_read_no_effect(labels, integers):
    mean = integers.predict(np.zeros((3, 2)), labels)
    assert np.array_equal(mean, population(integers, 3)[0])


@pytest.mark.parametrize(
    "labels",
    [[3, 1], [3.0, 1.0], np.array([3, 1], dtype=np.uint8), pd.array([3, 1], dtype="Int64"),
     pd.Categorical([3, 1], categories=[9, 3, 1])],
    ids=str,
)  # fmt: skip
def test_equal_numbers_are_one_label_whatever_their_dtype(labels, integers):
    mean = integers.predict(np.zeros((2, 2)), labels)
    np.testing.assert_allclose(mean, integers.group_intercept_[[2, 0]], rtol=1e-12)


def test_labels_of_another_type_are_warned_of(integers):
    message = "Labels like '1' cannot be groups of the fit, whose labels are like 1: give both"
    with pytest.warns(UserWarning, match=message):
        integers.predict(np.zeros((3, 2)), ["1", "2", "3"])


def test_labels_that_a_missing_one_made_floats_are_not_warned_of(integers):
    """Labels 1 and 4, the second not seen, are 1.0 and 4.0 beside a NaN."""
    mean = integers.predict(np.zeros((3, 2)), pd.Series([1, 4, None]))
    expected = [integers.group_intercept_[0], *population(integers, 2)[0]]
    np.testing.assert_allclose(mean, expected, rtol=1e-12)


def test_prediction_without_labels_is_warned_of(model):
    with pytest.warns(UserWarning, match="fitted with groups, but asked to predict without"):
        mean = model.predict(np.zeros((1, 2)))
    assert mean == population(model)[0]
