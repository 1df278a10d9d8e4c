"""Metadata routing: `groups` reach fit, predict and score, unless X has the labels."""

import contextlib

import numpy as np
import pytest
from by_hand import CVS, GRID, folds_by_hand, scores_by_hand
from marks import FEW_DRAWS
from paths import FRAME, SITE, TABLE, Y, assert_same, by_column, by_keyword
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, StackingRegressor, VotingRegressor
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  # sklearn's switch
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

ABSENT = "asked to predict without: .* give the labels as a column of X"
GROUPS = {"groups": SITE}


@pytest.fixture(autouse=True)
def routing():
    with config_context(enable_metadata_routing=True):
        yield


pytestmark = FEW_DRAWS


@pytest.fixture(scope="module")
def hand():
    return by_keyword().fit(FRAME, Y, groups=SITE)


def splitter(name):
    return CVS[name]["cv"]


def requests(model):
    routing = model.get_metadata_routing()
    methods = ("fit", "partial_fit", "predict", "score")
    return [getattr(routing, method).requests["groups"] for method in methods]


def test_groups_are_requested_by_default():
    assert requests(by_keyword()) == [True] * 4


def test_groups_are_not_requested_if_x_has_the_labels():
    assert requests(by_column()) == [False] * 4


def test_groups_can_be_refused():
    model = by_keyword().set_fit_request(groups=False)
    assert requests(model) == [False, True, True, True]
    with pytest.warns(UserWarning, match="Fitted without groups"):
        cross_validate(
            model.set_score_request(groups=False), FRAME, Y, cv=splitter("GroupKFold"),
            params=GROUPS,
        )  # fmt: skip


@pytest.mark.parametrize("name", CVS)
def test_groups_reach_each_fold_and_its_score(name):
    scores = cross_val_score(by_keyword(), FRAME, Y, cv=splitter(name), params=GROUPS)
    assert_same(scores, scores_by_hand(r2_score, folds_by_hand(name)))


@pytest.mark.parametrize("name", ["GroupKFold", "LeaveOneGroupOut"])
def test_groups_are_for_the_splitter_if_x_has_the_labels(name):
    scores = cross_val_score(by_column(), TABLE, Y, cv=splitter(name), params=GROUPS)
    assert_same(scores, scores_by_hand(r2_score, folds_by_hand(name)))
    means = cross_val_predict(by_column(), TABLE, Y, cv=splitter(name), params=GROUPS)
    for _, test, mean in folds_by_hand(name):
        assert_same(means[test], mean)


def test_groups_are_for_the_splitter_of_a_pipeline_if_x_has_the_labels():
    model = make_pipeline(FunctionTransformer(), by_column())
    scores = cross_val_score(model, TABLE, Y, cv=splitter("GroupKFold"), params=GROUPS)
    assert_same(scores, scores_by_hand(r2_score, folds_by_hand("GroupKFold")))


def test_groups_that_nothing_asks_for_are_an_error_of_scikit_learn():
    with pytest.raises(TypeError, match=r"argument\(s\) {'groups'}, which are not routed"):
        cross_val_score(by_column(), TABLE, Y, cv=KFold(3), params=GROUPS)


def test_labels_given_by_hand_beside_those_of_x_are_still_an_error():
    with pytest.raises(ValueError, match="Group labels were given twice"):
        by_column().fit(TABLE, Y, groups=SITE)


def test_cross_val_predict_cannot_carry_groups_and_says_so():
    with pytest.warns(UserWarning, match=ABSENT):
        mean = cross_val_predict(by_keyword(), FRAME, Y, cv=KFold(3), params=GROUPS)
    for model, test, _ in folds_by_hand():
        with pytest.warns(UserWarning, match=ABSENT):
            assert_same(mean[test], model.predict(FRAME.iloc[test]))


def test_scorers_by_name_cannot_carry_groups_and_say_so():
    with pytest.warns(UserWarning, match=ABSENT):
        cross_val_score(by_keyword(), FRAME, Y, cv=KFold(3), scoring="r2", params=GROUPS)


@pytest.mark.parametrize("scoring", [None, "r2"])
def test_scorers_find_the_labels_in_x(scoring):
    scores = cross_val_score(by_column(), TABLE, Y, cv=KFold(3), scoring=scoring)
    assert_same(scores, scores_by_hand(r2_score, folds_by_hand()))


def test_other_metadata_must_be_requested():
    params = {**GROUPS, "sample_weight": np.ones(len(Y))}
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        cross_val_score(by_keyword(), FRAME, Y, cv=KFold(3), params=params)


def test_weights_and_groups_are_those_of_the_rows_of_each_fold():
    weight = np.arange(len(Y)) % 3 + 1.0
    model = (
        by_keyword().set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
    )
    params = {**GROUPS, "sample_weight": weight}
    scores = cross_val_score(model, FRAME, Y, cv=KFold(3), params=params)
    for score, (train, test) in zip(scores, KFold(3).split(FRAME), strict=True):
        fold = by_keyword().fit(FRAME.iloc[train], Y[train], SITE[train], weight[train])
        assert_same(score, fold.score(FRAME.iloc[test], Y[test], groups=SITE[test]))


SLOPES = {"varying_slopes": GRID["varying_slopes"]}
SEARCHES = {
    "grid": GridSearchCV(by_keyword(), SLOPES, cv=KFold(3)),
    "random": RandomizedSearchCV(by_keyword(), SLOPES, n_iter=2, cv=KFold(3), random_state=0),
    "halving": HalvingGridSearchCV(
        by_keyword(), SLOPES, cv=KFold(3), resource="draws", max_resources=50, factor=2
    ),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_groups_reach_each_point_of_a_search(name):
    search = SEARCHES[name].fit(FRAME, Y, groups=SITE)
    results = search.cv_results_
    for i, point in enumerate(results["params"]):
        expected = scores_by_hand(r2_score, folds_by_hand(**{"draws": 50, **point}))
        assert_same([results[f"split{k}_test_score"][i] for k in range(3)], expected)
    best = by_keyword(**{"draws": 50, **search.best_params_}).fit(FRAME, Y, groups=SITE)
    mean = best.predict(FRAME, groups=SITE)
    assert_same(search.best_estimator_.predict(FRAME, groups=SITE), mean)
    assert_same(search.score(FRAME, Y, groups=SITE), r2_score(Y, mean))


def test_search_cannot_carry_groups_to_predict_and_says_so():
    search = GridSearchCV(by_keyword(), {"draws": [50]}, cv=2).fit(FRAME, Y, groups=SITE)
    with pytest.warns(UserWarning, match=ABSENT):
        search.predict(FRAME)


def test_search_gives_groups_to_the_splitter_if_x_has_the_labels():
    search = GridSearchCV(by_column(), {"draws": [50]}, cv=splitter("GroupKFold"))
    search.fit(TABLE, Y, groups=SITE)
    expected = scores_by_hand(r2_score, folds_by_hand("GroupKFold"))
    assert_same(search.cv_results_["mean_test_score"], expected.mean())


def test_groups_pass_through_a_pipeline(hand):
    model = make_pipeline(StandardScaler(), by_keyword()).fit(FRAME, Y, groups=SITE)
    # Scaling is an affine map of the features, so the posterior is the same.
    mean = model.predict(FRAME, groups=SITE)
    np.testing.assert_allclose(mean, hand.predict(FRAME, groups=SITE), rtol=1e-6)
    assert_same(model.score(FRAME, Y, groups=SITE), r2_score(Y, mean))


def test_groups_reach_a_pipeline_in_a_search():
    model = make_pipeline(FunctionTransformer(), by_keyword())
    grid = {f"hierarchicalnormalregressor__{k}": v for k, v in SLOPES.items()}
    search = GridSearchCV(model, grid, cv=KFold(3)).fit(FRAME, Y, groups=SITE)
    expected = [
        scores_by_hand(r2_score, folds_by_hand(varying_slopes=slopes)).mean()
        for slopes in SLOPES["varying_slopes"]
    ]
    assert_same(search.cv_results_["mean_test_score"], expected)


@pytest.mark.parametrize("incremental", [False, True])
def test_groups_reach_a_learning_curve(incremental):
    _, _, scores = learning_curve(
        by_keyword(), FRAME, Y, cv=KFold(3), train_sizes=[20, 40], params=GROUPS,
        exploit_incremental_learning=incremental,
    )  # fmt: skip
    assert_same(scores[1], scores_by_hand(r2_score, folds_by_hand()))


def test_groups_reach_a_validation_curve():
    _, scores = validation_curve(
        by_keyword(), FRAME, Y, cv=KFold(3), params=GROUPS, param_name="varying_slopes",
        param_range=[["dose"]],
    )  # fmt: skip
    expected = scores_by_hand(r2_score, folds_by_hand(varying_slopes=["dose"]))
    assert_same(scores, [expected])


def test_groups_pass_through_a_transformed_target(hand):
    model = TransformedTargetRegressor(by_keyword(), transformer=StandardScaler())
    model.fit(FRAME, Y, groups=SITE)
    assert_same(model.predict(FRAME, groups=SITE), hand.predict(FRAME, groups=SITE))


def test_groups_reach_the_fits_of_a_vote_but_no_prediction():
    model = VotingRegressor([("groups", by_keyword())]).fit(FRAME, Y, groups=SITE)
    assert list(model.estimators_[0].groups_) == sorted(set(SITE))
    with pytest.warns(UserWarning, match=ABSENT):
        model.predict(FRAME)


def test_groups_reach_bagging():
    model = BaggingRegressor(by_keyword(), n_estimators=2, random_state=0)
    model.fit(FRAME, Y, groups=SITE)
    means = []
    for rows, member in zip(model.estimators_samples_, model.estimators_, strict=True):
        fold = by_keyword(random_state=member.random_state)
        fold.fit(FRAME.iloc[rows], Y[rows], groups=SITE[rows])
        means.append(fold.predict(FRAME, groups=SITE))
    assert_same(model.predict(FRAME, groups=SITE), np.mean(means, axis=0))


def test_stacking_cannot_carry_groups_and_says_so():
    model = StackingRegressor([("groups", by_keyword())], cv=3)
    # scikit-learn hands groups to the final estimator too, which fails.
    with pytest.warns(UserWarning, match=ABSENT), contextlib.suppress(TypeError):
        model.fit(FRAME, Y, groups=SITE)


def test_stacking_finds_the_labels_in_x():
    model = StackingRegressor([("groups", by_column())], cv=KFold(3)).fit(TABLE, Y)
    with config_context(enable_metadata_routing=False):
        expected = clone(model).fit(TABLE, Y).predict(TABLE)
    assert_same(model.predict(TABLE), expected)
