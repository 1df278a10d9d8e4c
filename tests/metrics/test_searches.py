"""Searches, cross-validation and curves hand labels to scorers."""

import numpy as np
import pytest
from marks import FEW_DRAWS
from scored import CV, GRID, GROUPS, ROUTING, SCORERS, TABLE, WEIGHTS, X, Y, by_hand, estimator
from sklearn import config_context
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  # what it is for
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    cross_val_score,
    cross_validate,
    learning_curve,
)

from skhbm.metrics import log_score, neg_crps, r2

pytestmark = [
    *FEW_DRAWS,
    pytest.mark.filterwarnings("ignore:Fitted without groups:UserWarning"),
]


def test_search_with_routing_hands_labels_to_fit_and_scorer(scorer):
    with config_context(**ROUTING):
        search = GridSearchCV(estimator(), GRID, scoring=scorer, cv=CV, error_score="raise")
        search.fit(X, Y, groups=GROUPS)
        again = search.score(X, Y, groups=GROUPS)
    rows = {"groups": GROUPS}
    expected = [
        np.mean(by_hand(estimator(varying_slopes=s), scorer, CV, rows)) for s in (None, [0])
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], expected, rtol=1e-9)
    assert again == pytest.approx(scorer(search.best_estimator_, X, Y, groups=GROUPS))


def test_search_in_the_column_needs_no_routing(predictive):
    search = GridSearchCV(
        estimator(group_features="site"), {"fit_intercept": [True]}, scoring=predictive, cv=CV
    )
    found = search.fit(TABLE, Y).cv_results_["mean_test_score"]
    expected = np.mean(by_hand(estimator(), predictive, CV, {"groups": GROUPS}))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("routing", [False, True])
def test_several_metrics_at_once_are_those_one_by_one(routing):
    labels = {"groups": GROUPS} if routing else {}
    chosen, table = (estimator(), X) if routing else (estimator(group_features="site"), TABLE)
    with config_context(enable_metadata_routing=routing):
        search = GridSearchCV(
            chosen, {"fit_intercept": [True]}, scoring=SCORERS, refit="neg_crps", cv=CV
        )
        search.fit(table, Y, **labels)
        validated = cross_validate(
            chosen, table, Y, scoring=SCORERS, cv=CV, return_train_score=True, params=labels
        )
    for name, scorer in SCORERS.items():
        expected = by_hand(estimator(), scorer, CV, {"groups": GROUPS})
        np.testing.assert_allclose(validated[f"test_{name}"], expected, rtol=1e-9)
        mean = search.cv_results_[f"mean_test_{name}"]
        np.testing.assert_allclose(mean, np.mean(expected), rtol=1e-9)
        assert np.all(np.isfinite(validated[f"train_{name}"]))
    assert search.best_score_ == search.cv_results_["mean_test_neg_crps"][0]


def test_strings_and_scorers_mix():
    scoring = {"r2": "r2", "own": r2}
    chosen = estimator(group_features="site")
    found = cross_validate(chosen, TABLE, Y, scoring=scoring, cv=CV)
    assert np.array_equal(found["test_r2"], found["test_own"])


def test_new_groups_are_scored_by_leaving_groups_out():
    with config_context(**ROUTING):
        scores = cross_val_score(
            estimator(),
            X,
            Y,
            scoring=log_score,
            cv=GroupKFold(3),
            params={"groups": GROUPS},
            error_score="raise",
        )
    known = cross_val_score(
        estimator(group_features="site"), TABLE, Y, scoring=log_score, cv=CV
    )
    # Groups differ by far more than rows of one.
    assert scores.max() < known.min()


@pytest.mark.parametrize("scorer", [log_score, r2])
def test_labels_of_the_splitter_are_not_those_of_a_model_of_columns(scorer):
    with config_context(**ROUTING):
        found, expected = (
            cross_val_score(
                model, data, Y, scoring=scorer, cv=GroupKFold(3), params={"groups": GROUPS}
            )
            for model, data in ((estimator(group_features="site"), TABLE), (estimator(), X))
        )
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_learning_curve_with_routing():
    with config_context(**ROUTING):
        _, train, test = learning_curve(
            estimator(),
            X,
            Y,
            scoring=neg_crps,
            cv=CV,
            train_sizes=[1.0],
            params={"groups": GROUPS},
            error_score="raise",
        )
    expected = by_hand(estimator(), neg_crps, CV, {"groups": GROUPS})
    np.testing.assert_allclose(test[0], expected, rtol=1e-9)
    assert train.mean() > test.mean()


def test_permutation_importance_of_groups_is_their_share_in_the_score(by_column):
    found = permutation_importance(
        by_column, TABLE, Y, scoring=log_score, n_repeats=3, random_state=0
    )
    assert np.all(found.importances_mean > 0.5)


def test_halving_search_with_routing():
    with config_context(**ROUTING):
        search = HalvingGridSearchCV(
            estimator(), GRID, scoring=log_score, cv=CV, min_resources=36, random_state=0
        )
        search.fit(X, Y, groups=GROUPS)
    assert search.best_score_ == search.cv_results_["mean_test_score"][search.best_index_]


def test_scores_in_two_processes_are_those_in_one(by_column):
    frozen = FrozenEstimator(by_column)
    tables = [
        cross_validate(frozen, TABLE, Y, scoring=SCORERS, cv=CV, n_jobs=n) for n in (1, 2)
    ]
    for name in SCORERS:
        assert np.array_equal(*(table[f"test_{name}"] for table in tables))


def test_weights_are_handed_on_if_requested(scorer):
    weights = WEIGHTS + 1
    with config_context(**ROUTING):
        chosen = estimator().set_fit_request(sample_weight=False)
        asked = scorer.set_score_request(sample_weight=True)
        search = GridSearchCV(chosen, {"fit_intercept": [True]}, scoring=asked, cv=CV)
        search.fit(X, Y, groups=GROUPS, sample_weight=weights)
    expected = []
    for train, test in CV.split(X):
        fitted = estimator().fit(X[train], Y[train], groups=GROUPS[train])
        rows = X[test], Y[test], GROUPS[test]
        expected.append(scorer(fitted, *rows, sample_weight=weights[test]))
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], np.mean(expected), rtol=1e-9
    )


def test_weights_that_are_not_requested_are_an_error_that_names_the_scorer():
    with config_context(**ROUTING):
        chosen = estimator().set_fit_request(sample_weight=True)
        search = GridSearchCV(chosen, {}, scoring=log_score)
        with pytest.raises(UnsetMetadataPassedError, match=r"log_score\.set_score_request"):
            search.fit(X, Y, groups=GROUPS, sample_weight=WEIGHTS)


@pytest.mark.parametrize(
    "scoring", [log_score, {"a": log_score, "b": r2}], ids=["one", "several"]
)
def test_weights_of_a_search_without_routing_reach_the_scorers(scoring):
    """As they reach those of scikit-learn, since 1.9."""
    several = isinstance(scoring, dict)
    weights = WEIGHTS + 1
    search = GridSearchCV(
        estimator(group_features="site"),
        {"fit_intercept": [True]},
        scoring=scoring,
        refit=False,
        cv=CV,
    )
    search.fit(TABLE, Y, sample_weight=weights)
    rows = {"groups": GROUPS, "sample_weight": weights}
    expected = np.mean(by_hand(estimator(), log_score, CV, rows))
    found = search.cv_results_["mean_test_a" if several else "mean_test_score"]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
