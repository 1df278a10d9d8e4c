"""Searches over the parameters of the model: every point is scored as by hand."""

import numpy as np
import pytest
from by_hand import CVS, GRID, folds_by_hand, log_score, scores_by_hand
from marks import FEW_DRAWS
from paths import FRAME, SITE, TABLE, Y, assert_same, by_column, by_keyword
from sklearn.compose import ColumnTransformer
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  # sklearn's switch
from sklearn.metrics import make_scorer, mean_absolute_error, r2_score
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, KFold, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skhbm import metrics

pytestmark = FEW_DRAWS


def negative_error(y, mean):
    return -mean_absolute_error(y, mean)


#: Scorers, and the score of true and predicted values that they are.
SCORERS = {
    "none": (None, r2_score),
    "a name": ("neg_mean_absolute_error", negative_error),
    "made of a metric": (
        make_scorer(mean_absolute_error, greater_is_better=False),
        negative_error,
    ),
    "a function": (lambda model, X, y: negative_error(y, model.predict(X)), negative_error),
}


def scores_of(results, n_folds=3):
    """Return the scores (n_points, n_folds) of a search."""
    return np.column_stack([results[f"split{k}_test_score"] for k in range(n_folds)])


def refit_by_hand(parameters):
    return by_keyword(**parameters).fit(FRAME, Y, groups=SITE)


@pytest.mark.parametrize(
    ("parameter", "scorer"),
    [*((p, "none") for p in GRID), *(("varying_slopes", s) for s in SCORERS if s != "none")],
)
def test_grid_search_is_the_loop_by_hand(parameter, scorer):
    scoring, score = SCORERS[scorer]
    search = GridSearchCV(
        by_column(), {parameter: GRID[parameter]}, cv=KFold(3), scoring=scoring
    ).fit(TABLE, Y)
    expected = [
        scores_by_hand(score, folds_by_hand(**point)) for point in search.cv_results_["params"]
    ]
    assert_same(scores_of(search.cv_results_), expected)
    best = search.cv_results_["params"][np.argmax(np.mean(expected, axis=1))]
    assert search.best_params_ == best
    hand = refit_by_hand(best)
    assert_same(search.predict(TABLE), hand.predict(FRAME, groups=SITE))
    assert_same(search.best_estimator_.group_coef_, hand.group_coef_)


@pytest.mark.parametrize("name", CVS)
def test_grid_search_hands_groups_to_the_splitter(name):
    cv, groups = CVS[name]["cv"], CVS[name].get("groups")
    search = GridSearchCV(by_column(), {"varying_slopes": [["dose"]]}, cv=cv)
    search.fit(TABLE, Y, groups=groups)
    folds = folds_by_hand(name, varying_slopes=["dose"])
    assert_same(scores_of(search.cv_results_, len(folds)), [scores_by_hand(r2_score, folds)])


@pytest.mark.parametrize("scoring", [log_score, metrics.log_score], ids=["own", "skhbm's"])
def test_grid_search_by_a_density_is_the_loop_by_hand(scoring):
    grid = {"residual_scale": ["shared", "by_group"]}
    search = GridSearchCV(by_column(), grid, cv=KFold(3), scoring=scoring).fit(TABLE, Y)
    for scores, point in zip(
        scores_of(search.cv_results_), search.cv_results_["params"], strict=True
    ):
        expected = [
            np.mean(model.log_predictive_density(FRAME.iloc[rows], Y[rows], groups=SITE[rows]))
            for model, rows, _ in folds_by_hand(**point)
        ]
        assert_same(scores, expected)


def test_grid_search_refits_by_the_scorer_that_is_named():
    scoring = {"r2": "r2", "error": SCORERS["made of a metric"][0]}
    search = GridSearchCV(
        by_column(), {"varying_slopes": [None, "all"]}, cv=KFold(3), scoring=scoring, refit="r2"
    ).fit(TABLE, Y)
    folds = [folds_by_hand(**point) for point in search.cv_results_["params"]]
    r2 = [np.mean(scores_by_hand(r2_score, fold)) for fold in folds]
    error = [np.mean(scores_by_hand(negative_error, fold)) for fold in folds]
    assert_same(search.cv_results_["mean_test_r2"], r2)
    assert_same(search.cv_results_["mean_test_error"], error)
    assert search.best_index_ == np.argmax(r2)


def test_grid_search_reaches_the_model_in_a_pipeline():
    transformer = ColumnTransformer(
        [("num", StandardScaler(), ["age", "dose"])], remainder="passthrough"
    )
    model = make_pipeline(transformer, by_column(group_features="remainder__site"))
    grid = {"hierarchicalnormalregressor__varying_slopes": [None, ["num__dose"]]}
    search = GridSearchCV(model.set_output(transform="pandas"), grid, cv=KFold(3)).fit(TABLE, Y)
    expected = np.empty((2, 3))
    for k, (train, test) in enumerate(KFold(3).split(FRAME)):
        scale = StandardScaler().fit(FRAME.iloc[train])
        rows, new = scale.transform(FRAME.iloc[train]), scale.transform(FRAME.iloc[test])
        for i, slopes in enumerate([None, [1]]):
            hand = by_keyword(varying_slopes=slopes).fit(rows, Y[train], groups=SITE[train])
            expected[i, k] = hand.score(new, Y[test], groups=SITE[test])
    assert_same(scores_of(search.cv_results_), expected)


@pytest.mark.parametrize("scoring", ["r2", log_score], ids=["a name", "a function"])
def test_grid_search_that_gives_groups_to_the_splitter_says_so(scoring):
    search = GridSearchCV(
        by_keyword(), {"draws": [50]}, cv=CVS["GroupKFold"]["cv"], scoring=scoring
    )
    with pytest.warns(UserWarning, match="Fitted without groups.* which reaches fit on every"):
        search.fit(FRAME, Y, groups=SITE)


def test_randomized_search_is_the_loop_by_hand():
    search = RandomizedSearchCV(by_column(), GRID, n_iter=4, cv=KFold(3), random_state=0)
    search.fit(TABLE, Y)
    expected = [
        scores_by_hand(r2_score, folds_by_hand(**point))
        for point in search.cv_results_["params"]
    ]
    assert_same(scores_of(search.cv_results_), expected)
    hand = refit_by_hand(search.best_params_)
    assert_same(search.predict(TABLE), hand.predict(FRAME, groups=SITE))


def last_points(search):
    """Return the parameters and the scores of the last iteration."""
    last = search.cv_results_["iter"] == search.n_iterations_ - 1
    points = np.array(search.cv_results_["params"])[last]
    return points, scores_of(search.cv_results_)[last]


def test_halving_search_ends_with_all_rows():
    search = HalvingGridSearchCV(
        by_column(), {"varying_slopes": [None, "all"]}, cv=KFold(3), factor=2,
        min_resources=30, random_state=0,
    ).fit(TABLE, Y)  # fmt: skip
    assert search.n_resources_ == [30, 60]
    (point,), scores = last_points(search)
    # All rows of each fold, in another order.
    assert_same(scores, [scores_by_hand(r2_score, folds_by_hand(**point))])
    hand = refit_by_hand(search.best_params_)
    assert_same(search.predict(TABLE), hand.predict(FRAME, groups=SITE))


def test_halving_search_may_spend_draws():
    search = HalvingGridSearchCV(
        by_column(), {"varying_slopes": [None, "all"]}, cv=KFold(3), factor=2,
        resource="draws", min_resources=20, max_resources=40,
    ).fit(TABLE, Y)  # fmt: skip
    (point,), scores = last_points(search)
    assert point["draws"] == 40
    assert_same(scores, [scores_by_hand(r2_score, folds_by_hand(**point))])
    assert search.best_estimator_.draws == 40
