"""Cross-validation and its curves: labels reach every fold, or a warning says how."""

import numpy as np
import pytest
from by_hand import CVS, GRID, folds_by_hand, log_score, scores_by_hand
from marks import FEW_DRAWS
from paths import FRAME, SITE, TABLE, Y, assert_same, by_column, by_keyword
from sklearn.metrics import make_scorer, mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import (
    KFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)

pytestmark = FEW_DRAWS

ONCE = "Fitted without groups"
ABSENT = "asked to predict without: .* give the labels as a column of X"

#: Scorers, and the score of true and predicted values that they are.
SCORERS = {
    "none": (None, r2_score),
    "a name": ("neg_root_mean_squared_error", lambda y, m: -root_mean_squared_error(y, m)),
    "made of a metric": (make_scorer(mean_absolute_error), mean_absolute_error),
}


@pytest.mark.parametrize("name", CVS)
def test_cross_val_predict_is_the_loop_by_hand(name):
    expected = np.empty(len(Y))
    for _, test, mean in folds_by_hand(name):
        expected[test] = mean
    assert_same(cross_val_predict(by_column(), TABLE, Y, **CVS[name]), expected)


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("name", CVS)
def test_cross_val_score_is_the_loop_by_hand(name, scorer):
    scoring, score = SCORERS[scorer]
    scores = cross_val_score(by_column(), TABLE, Y, scoring=scoring, **CVS[name])
    assert_same(scores, scores_by_hand(score, folds_by_hand(name)))


def test_cross_val_score_by_a_callable_is_the_loop_by_hand():
    scores = cross_val_score(by_column(), TABLE, Y, cv=KFold(3), scoring=log_score)
    expected = [
        np.mean(model.log_predictive_density(FRAME.iloc[rows], Y[rows], groups=SITE[rows]))
        for model, rows, _ in folds_by_hand()
    ]
    assert_same(scores, expected)


def test_cross_validate_scores_by_several_and_returns_the_models_by_hand():
    scoring = {"r2": "r2", "error": make_scorer(mean_absolute_error), "log": log_score}
    result = cross_validate(
        by_column(), TABLE, Y, cv=KFold(3), scoring=scoring, return_estimator=True
    )
    folds = folds_by_hand()
    assert_same(result["test_r2"], scores_by_hand(r2_score, folds))
    assert_same(result["test_error"], scores_by_hand(mean_absolute_error, folds))
    for model, (hand, _, _) in zip(result["estimator"], folds, strict=True):
        assert_same(model.group_intercept_, hand.group_intercept_)


def test_held_out_groups_are_an_error_if_asked_for():
    model = by_column(new_groups="error")
    with pytest.raises(ValueError, match="1 of 1 groups were not seen in fit"):
        cross_val_predict(model, TABLE, Y, **CVS["LeaveOneGroupOut"])


def test_cross_val_predict_cannot_carry_groups_and_says_so():
    with pytest.warns(UserWarning, match=ABSENT):
        mean = cross_val_predict(by_keyword(), FRAME, Y, cv=KFold(3), params={"groups": SITE})
    for model, test, _ in folds_by_hand():
        with pytest.warns(UserWarning, match=ABSENT):
            assert_same(mean[test], model.predict(FRAME.iloc[test]))


@pytest.mark.parametrize("scorer", SCORERS)
def test_scorers_cannot_carry_groups_and_say_so(scorer):
    with pytest.warns(UserWarning, match=ABSENT):
        cross_val_score(
            by_keyword(),
            FRAME,
            Y,
            cv=KFold(3),
            scoring=SCORERS[scorer][0],
            params={"groups": SITE},
        )


@pytest.mark.parametrize("function", [cross_val_score, cross_val_predict, learning_curve])
def test_groups_of_the_splitter_do_not_reach_fit_and_fit_says_so(function):
    with pytest.warns(UserWarning, match=f"{ONCE}.* column of X that holds the labels"):
        function(by_keyword(), FRAME, Y, **CVS["GroupKFold"])


def test_weights_are_those_of_the_rows_of_each_fold():
    weight = np.arange(len(Y)) % 3 + 1.0
    params = {"sample_weight": weight}
    mean = cross_val_predict(by_column(), TABLE, Y, cv=KFold(3), params=params)
    for train, test in KFold(3).split(TABLE):
        model = by_keyword().fit(
            FRAME.iloc[train], Y[train], groups=SITE[train], sample_weight=weight[train]
        )
        assert_same(mean[test], model.predict(FRAME.iloc[test], groups=SITE[test]))


def test_known_errors_are_those_of_the_rows_of_each_fold():
    errors = 1 + np.arange(len(Y)) % 4 / 4
    model = by_column(residual_scale="known")
    mean = cross_val_predict(model, TABLE, Y, cv=KFold(3), params={"y_err": errors})
    for train, test in KFold(3).split(TABLE):
        hand = by_keyword(residual_scale="known").fit(
            FRAME.iloc[train], Y[train], groups=SITE[train], y_err=errors[train]
        )
        assert_same(mean[test], hand.predict(FRAME.iloc[test], groups=SITE[test]))


SIZES = [20, 40]


@pytest.fixture(scope="module")
def learned():
    """Scores of the first rows of each fold, fitted by hand."""
    scores = np.empty((2, 3))
    for k, (train, test) in enumerate(KFold(3).split(FRAME)):
        for i, size in enumerate(SIZES):
            first = train[:size]
            model = by_keyword().fit(FRAME.iloc[first], Y[first], groups=SITE[first])
            scores[i, k] = model.score(FRAME.iloc[test], Y[test], groups=SITE[test])
    return scores


@pytest.mark.parametrize("incremental", [False, True])
def test_learning_curve_is_the_loop_by_hand(incremental, learned):
    sizes, _, scores = learning_curve(
        by_column(), TABLE, Y, cv=KFold(3), train_sizes=SIZES,
        exploit_incremental_learning=incremental,
    )  # fmt: skip
    assert list(sizes) == SIZES
    assert_same(scores, learned)


@pytest.mark.parametrize("parameter", GRID)
def test_validation_curve_is_the_loop_by_hand(parameter):
    values = GRID[parameter]
    _, scores = validation_curve(
        by_column(), TABLE, Y, cv=KFold(3), param_name=parameter, param_range=values
    )
    for score, value in zip(scores, values, strict=True):
        folds = folds_by_hand(**{parameter: value})
        assert_same(score, scores_by_hand(r2_score, folds))


def test_validation_curve_that_gives_groups_to_the_splitter_says_so():
    with pytest.warns(UserWarning, match=ONCE):
        validation_curve(
            by_keyword(),
            FRAME,
            Y,
            **CVS["GroupKFold"],
            param_name="draws",
            param_range=[50],
        )
