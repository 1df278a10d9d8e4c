"""Implicit nesting: warned of where it is, and not where factors are crossed."""

import time
import warnings

import numpy as np
import pandas as pd
import pytest

from skhbm import GroupedStatistics
from skhbm._design.nesting import find_implicit_nesting, warn_of_implicit_nesting


def simulate(
    rng,
    n_schools=20,
    n_classes=4,
    n_rows=5,
    school=1.0,
    klass=1.0,
    both=0.0,
    missing=0.0,
    slope=0.0,
    flipped=False,
):
    """Cells of schools and classes, whose effects have these standard deviations.

    `klass` is of classes of the same label, `both` of each class of each school.
    """
    a, b = np.divmod(np.arange(n_schools * n_classes), n_classes)
    kept = rng.uniform(size=len(a)) >= missing
    a, b = a[kept], b[kept]
    mean = school * rng.standard_normal(n_schools)[a] + both * rng.standard_normal(len(a))
    mean += klass * rng.standard_normal(n_classes)[b]
    cell = np.repeat(np.arange(len(a)), rng.integers(1, 2 * n_rows, len(a)))
    X = rng.standard_normal((len(cell), 1)) + rng.standard_normal(len(a))[cell, None]
    y = mean[cell] + slope * X[:, 0] + rng.standard_normal(len(cell))
    names = ["class", "school"] if flipped else ["school", "class"]
    groups = {"school": a[cell], "class": b[cell] + 1}
    return GroupedStatistics.from_arrays(X, y, {name: groups[name] for name in names})


def share_found(pairs=((0, 1), (1, 0)), n=200, **parameters):
    rng = np.random.default_rng(13)
    found = [find_implicit_nesting(simulate(rng, **parameters)) for _ in range(n)]
    return np.mean([any(pair in pairs for pair in seen) for seen in found])


CROSSED = {
    "additive": {},
    "additive, no effect of class": {"klass": 0.0},
    "additive, no effect of either": {"school": 0.0, "klass": 0.0},
    "additive, a slope": {"slope": 3.0},
    "additive, few cells missing": {"missing": 0.03},
    "additive, half of the cells missing": {"missing": 0.5},
    "additive, many classes": {"n_schools": 6, "n_classes": 30},
    "with an interaction": {"both": 0.3},
    "with an interaction, few cells missing": {"both": 0.3, "missing": 0.03},
    "with an interaction, many classes": {"n_schools": 10, "n_classes": 12, "both": 0.3},
}


@pytest.mark.parametrize("case", CROSSED)
def test_crossed_factors_are_hardly_ever_warned_of(case):
    """Two tests at 0.01 give 2 % of false alarms at most, and 3 standard errors of a share."""
    n = 200
    bound = 0.02 + 3 * np.sqrt(0.02 * 0.98 / n)
    assert share_found(n=n, **CROSSED[case]) <= bound


NESTED = {
    "twenty schools": {},
    "a slope": {"slope": 3.0},
    "five schools, three classes": {"n_schools": 5, "n_classes": 3, "n_rows": 10},
}


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("case", NESTED)
def test_classes_numbered_anew_are_found_by_their_means(case, flipped):
    """A main effect is mistaken in 1 of 20, and an interaction of one sd is seen well."""
    parameters = {"klass": 0.0, "both": 1.0, "flipped": flipped, **NESTED[case]}
    assert share_found([(1, 0)] if flipped else [(0, 1)], **parameters) >= 0.88


def counted(sizes, name=str):
    """Three rows of each class, the classes of a school being numbered from 1."""
    school = np.repeat(np.arange(len(sizes)), sizes).repeat(3)
    klass = np.concatenate([np.arange(1, size + 1) for size in sizes]).repeat(3)
    return {
        "school": [f"school {s}" for s in school],
        "class": [name(int(k)) for k in klass],
    }


def statistics_of(groups):
    groups = pd.DataFrame(groups)
    y = np.random.default_rng(0).standard_normal(len(groups))
    return GroupedStatistics.from_arrays(None, y, groups)


SIZES = [2, 3, 12, 1, 5, 4]

NAMES = {
    "int": int,
    "float": float,
    "digits": str,
    "words with digits": "class {}".format,
    "digits of one length": "{:03d}".format,
    "letters": "?abcdefghijklmn".__getitem__,
    "long numbers": lambda k: f"{'9' * 5000}{k:02d}",
}


@pytest.mark.parametrize("name", NAMES)
def test_classes_numbered_anew_are_found_by_their_labels(name):
    assert find_implicit_nesting(statistics_of(counted(SIZES, NAMES[name]))) == [(0, 1)]


def test_order_of_factors_and_rows_does_not_matter_for_labels():
    groups = pd.DataFrame(counted(SIZES)).sample(frac=1, random_state=0)
    assert find_implicit_nesting(statistics_of(groups)) == [(0, 1)]
    assert find_implicit_nesting(statistics_of(groups[["class", "school"]])) == [(1, 0)]


@pytest.mark.parametrize("sizes", [[2, 3, 1], [4, 2, 1, 4]])
def test_one_warning_where_either_could_be_the_child(sizes):
    assert len(find_implicit_nesting(statistics_of(counted(sizes)))) == 1


@pytest.mark.parametrize("sizes", [[3, 2], [1, 2], [5, 5, 4, 5, 4, 4]])
def test_a_rare_last_label_is_not_numbering(sizes):
    assert find_implicit_nesting(statistics_of(counted(sizes))) == []


def test_pairs_of_members_of_one_set_are_not_nested():
    """The second of a pair (i < j) has the first members as partners: 1, 2, ... of them."""
    first, second = np.triu_indices(9, 1)
    groups = {"first": [f"{i:02d}" for i in first], "second": [f"{j:02d}" for j in second]}
    assert find_implicit_nesting(statistics_of(groups)) == []


def plots(n_blocks, n_varieties, n_rows=1, *, missing=(), names=("block", "variety")):
    """Statistics of blocks with a plot for each variety, which has its coefficient in X."""
    block, variety = np.divmod(np.arange(n_blocks * n_varieties).repeat(n_rows), n_varieties)
    keep = ~np.isin(block * n_varieties + variety, missing)
    block, variety = block[keep], variety[keep]
    y = np.random.default_rng(2).standard_normal(len(block))
    groups = dict(zip(("block", "variety"), (block, variety), strict=True))
    X = np.eye(n_varieties)[variety][:, 1:]
    return GroupedStatistics.from_arrays(X, y, {name: groups[name] for name in names})


@pytest.mark.parametrize("parameters", [{}, {"n_rows": 3}, {"missing": [1, 6]}], ids=str)
def test_labels_that_have_coefficients_are_of_combinations(parameters):
    assert find_implicit_nesting(plots(4, 5, **parameters)) == [(0, 1)]
    assert find_implicit_nesting(plots(5, 4, **parameters, names=("variety", "block"))) == [
        (1, 0)
    ]


def test_features_that_do_not_span_the_labels_say_nothing():
    rng = np.random.default_rng(0)
    a, b = np.divmod(np.arange(20), 5)
    X = np.column_stack([np.eye(5)[b][:, 1:4], rng.standard_normal(20)])
    statistics = GroupedStatistics.from_arrays(X, rng.standard_normal(20), {"a": a, "b": b})
    assert find_implicit_nesting(statistics) == []


def test_labels_within_several_factors_have_one_parent_each_and_one_warning():
    """The parent is the factor with the most levels."""
    row, plot = np.divmod(np.arange(60), 5)
    X = np.eye(5)[plot][:, 1:]
    groups = {"block": row // 4, "row": row, "plot": plot}
    statistics = GroupedStatistics.from_arrays(X, np.arange(60.0), groups)
    assert find_implicit_nesting(statistics) == [(1, 2)]


def test_two_children_are_in_one_warning():
    block, variety, dose = np.unravel_index(np.arange(24), (4, 3, 2))
    X = np.column_stack([np.eye(3)[variety][:, 1:], dose])
    groups = {"block": block, "variety": variety, "dose": dose}
    statistics = GroupedStatistics.from_arrays(X, np.arange(24.0) % 7, groups)
    assert find_implicit_nesting(statistics) == [(0, 1), (0, 2)]
    with pytest.warns(UserWarning, match="So do the labels of 'dose' within 'block'") as caught:
        warn_of_implicit_nesting(statistics)
    assert len(caught) == 1


def test_means_are_not_compared_where_a_third_factor_is_in_them():
    rng = np.random.default_rng(0)
    nested = simulate(rng, klass=0.0, both=1.0)
    assert find_implicit_nesting(nested) == [(0, 1)]
    a, b = np.divmod(np.arange(400) // 5, 4)
    y = rng.standard_normal((20, 4))[a, b] * 3 + rng.standard_normal(400)
    groups = {"school": a, "class": b, "year": np.arange(400) % 5}
    assert find_implicit_nesting(GroupedStatistics.from_arrays(None, y, groups)) == []


def explicit(groups):
    pairs = zip(groups["school"], groups["class"], strict=True)
    return {**groups, "class": [f"{s}/{c}" for s, c in pairs]}


def test_classes_with_names_of_their_own_are_not_warned_of():
    assert find_implicit_nesting(statistics_of(explicit(counted(SIZES)))) == []


def test_one_class_missing_from_the_middle_is_not_enough():
    groups = pd.DataFrame(counted(SIZES))
    gone = (groups["school"] == "school 2") & (groups["class"] == "2")
    assert find_implicit_nesting(statistics_of(groups[~gone])) == []


def test_one_row_per_cell_leaves_nothing_to_compare_with():
    rng = np.random.default_rng(0)
    a, b = np.divmod(np.arange(60), 3)
    groups = {"school": a, "class": b}
    y = rng.standard_normal(60) + 9 * rng.standard_normal(20)[a]
    assert find_implicit_nesting(GroupedStatistics.from_arrays(None, y, groups)) == []


def test_means_without_any_noise_are_compared():
    a, b = np.divmod(np.arange(120) // 2, 3)
    rng = np.random.default_rng(0)
    nested, crossed = rng.standard_normal((20, 3))[a, b], rng.standard_normal(3)[b] + a
    groups = {"school": a, "class": b}
    for y, found in [(nested, [(0, 1)]), (crossed, [])]:
        assert find_implicit_nesting(GroupedStatistics.from_arrays(None, y, groups)) == found


def test_constant_target_is_not_warned_of():
    groups = counted([3, 3, 3])
    statistics = GroupedStatistics.from_arrays(None, np.full(27, 0.1), groups)
    assert find_implicit_nesting(statistics) == []


def test_penicillin_is_crossed(cases_folder):
    data = pd.read_csv(cases_folder / "penicillin" / "data.csv")
    statistics = GroupedStatistics.from_arrays(
        None, data["diameter"], data[["plate", "sample"]]
    )
    assert find_implicit_nesting(statistics) == []


def test_pairs_of_three_factors():
    groups = counted(SIZES)
    n = len(groups["school"])
    year = np.random.default_rng(1).integers(2000, 2007, n)
    found = find_implicit_nesting(statistics_of({"year": year, **groups}))
    assert found == [(1, 2)]


@pytest.mark.parametrize("groups", [None, ["a", "b"] * 10, {"a": [1, 2] * 10, "b": ["x"] * 20}])
def test_fewer_than_two_factors_with_levels_have_no_pairs(groups):
    y = np.arange(20.0)
    assert find_implicit_nesting(GroupedStatistics.from_arrays(None, y, groups)) == []


def test_warning_names_factors_and_says_what_to_do():
    statistics = statistics_of(counted(SIZES, int))
    with pytest.warns(UserWarning, match="numbered anew") as caught:
        warn_of_implicit_nesting(statistics)
    assert [str(warning.message) for warning in caught] == [
        "The labels of 'class' look as if numbered anew within each level of 'school': 1 "
        "occurs in 6 of 6 levels of 'school', which now share its effect. If it does not mean "
        'the same in each, combine the labels: `groups["class"] = '
        'groups["school"].astype(str) + "/" + groups["class"].astype(str)`. If it means the '
        "same in all, nothing needs doing."
    ]


def test_advice_of_the_warning_ends_it():
    groups = pd.DataFrame(counted(SIZES, int))
    groups["class"] = groups["school"].astype(str) + "/" + groups["class"].astype(str)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_implicit_nesting(statistics_of(groups))


def test_a_hundred_thousand_cells_take_no_time():
    """About 0.1 s; the bound leaves room for a busy machine."""
    rng = np.random.default_rng(0)
    a, b = np.divmod(np.arange(200_000) // 2, 100)
    statistics = GroupedStatistics.from_arrays(
        None, rng.standard_normal(len(a)), {"a": a, "b": b}
    )
    started = time.perf_counter()
    find_implicit_nesting(statistics)
    assert time.perf_counter() - started < 2.0
