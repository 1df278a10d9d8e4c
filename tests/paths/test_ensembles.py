"""Estimators of estimators: transformed targets, stacking, voting, bagging."""

import numpy as np
import polars as pl
import pytest
from by_hand import CVS, folds_by_hand
from marks import FEW_DRAWS
from paths import FRAME, SITE, TABLE, Y, assert_same, by_column, by_keyword
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import BaggingRegressor, StackingRegressor, VotingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

pytestmark = FEW_DRAWS

NUMBERS = SITE.astype("category").cat.codes
ONCE = "Fitted without groups"
TABLES = {"pandas": TABLE, "polars": pl.from_pandas(TABLE)}


@pytest.fixture(scope="module")
def hand():
    return by_keyword().fit(FRAME, Y, groups=SITE)


def dummies():
    """Least squares with a column for each site."""
    encode = (OneHotEncoder(handle_unknown="ignore"), ["site"])
    transformer = make_column_transformer(encode, remainder="passthrough")
    return make_pipeline(transformer, LinearRegression())


@pytest.mark.parametrize("kind", TABLES)
def test_target_is_transformed_back(kind):
    model = TransformedTargetRegressor(by_column(), func=np.arcsinh, inverse_func=np.sinh)
    model.fit(TABLES[kind], Y)
    hand = by_keyword().fit(FRAME, np.arcsinh(Y), groups=SITE)
    assert_same(model.predict(TABLES[kind]), np.sinh(hand.predict(FRAME, groups=SITE)))


def test_target_that_is_scaled_gives_the_same_predictions(hand):
    model = TransformedTargetRegressor(by_column(), transformer=StandardScaler())
    model.fit(TABLE, Y)
    assert_same(model.predict(TABLE), hand.predict(FRAME, groups=SITE))


def test_groups_pass_through_a_transformed_target(hand):
    model = TransformedTargetRegressor(by_keyword(), transformer=StandardScaler())
    model.fit(FRAME, Y, groups=SITE)
    mean = model.predict(FRAME, groups=SITE)
    assert_same(mean, hand.predict(FRAME, groups=SITE))


@pytest.mark.parametrize("kind", TABLES)
def test_stacking_is_the_loop_by_hand(kind, hand):
    model = StackingRegressor(
        [("groups", by_column())], final_estimator=LinearRegression(), cv=CVS["KFold"]["cv"]
    ).fit(TABLES[kind], Y)
    held_out = np.empty(len(Y))
    for _, test, mean in folds_by_hand():
        held_out[test] = mean
    final = LinearRegression().fit(held_out[:, None], Y)
    expected = final.predict(hand.predict(FRAME, groups=SITE)[:, None])
    assert_same(model.predict(TABLES[kind]), expected)


def test_stacking_takes_other_estimators_beside(hand):
    model = StackingRegressor([("groups", by_column()), ("dummies", dummies())], cv=3)
    model.fit(TABLE, Y)
    expected = [hand.predict(FRAME, groups=SITE), dummies().fit(TABLE, Y).predict(TABLE)]
    assert_same(model.transform(TABLE), np.transpose(expected))


@pytest.mark.parametrize("kind", TABLES)
def test_voting_is_the_mean_of_the_predictions(kind, hand):
    other = by_keyword(varying_slopes="all").fit(FRAME, Y, groups=SITE)
    model = VotingRegressor(
        [("intercepts", by_column()), ("slopes", by_column(varying_slopes="all"))]
    ).fit(TABLES[kind], Y)
    expected = (hand.predict(FRAME, groups=SITE) + other.predict(FRAME, groups=SITE)) / 2
    assert_same(model.predict(TABLES[kind]), expected)


#: Tables of which bagging makes arrays without names.
BAGGED = {
    "words": TABLE,
    "integers": TABLE.assign(site=NUMBERS),
    "an array": TABLE.assign(site=NUMBERS).to_numpy(),
    "an array of objects": TABLE.to_numpy(),
    "polars": TABLES["polars"],
}


@pytest.mark.parametrize("kind", BAGGED)
def test_bagging_is_the_mean_over_rows_drawn_by_hand(kind):
    model = BaggingRegressor(by_column(group_features=2), n_estimators=2, random_state=0)
    model.fit(BAGGED[kind], Y)
    means = []
    # Bagging gives frequencies; by hand the rows come as often as they were drawn.
    for rows, member in zip(model.estimators_samples_, model.estimators_, strict=True):
        hand = by_keyword(random_state=member.random_state)
        hand.fit(FRAME.iloc[rows], Y[rows], groups=SITE[rows])
        means.append(hand.predict(FRAME, groups=SITE))
    assert_same(model.predict(BAGGED[kind]), np.mean(means, axis=0))


def test_bagging_drops_names_and_asks_for_the_index():
    model = BaggingRegressor(by_column(), n_estimators=1)
    with pytest.raises(ValueError, match=r"X has no column names. Give its index"):
        model.fit(TABLE, Y)


@pytest.mark.parametrize("kind", ["an array", "an array of objects"])
def test_bagging_that_moves_the_labels_is_warned_of(kind):
    rows = BAGGED["an array"].astype(BAGGED[kind].dtype)
    # Of the columns left the last is a feature.
    model = BaggingRegressor(
        by_column(group_features=-1), n_estimators=3, max_features=2, random_state=0
    )
    message = r"look like a feature: \d+ numbers with fractions in 60 rows. Check `groups` or"
    with pytest.warns(UserWarning, match=message):
        model.fit(rows, Y)
    assert any(features[-1] != 2 for features in model.estimators_features_)


def test_bagging_that_drops_the_labels_is_an_error():
    model = BaggingRegressor(by_column(group_features=2), n_estimators=1, max_features=2)
    with pytest.raises(ValueError, match="has the index 2, but X has 2 columns"):
        model.fit(TABLE, Y)


def test_labels_that_are_numbers_with_fractions_are_not_warned_of():
    by_keyword().fit(FRAME, Y, groups=NUMBERS + 0.5)


ENSEMBLES = {
    "stacking": StackingRegressor([("groups", by_keyword())], cv=3),
    "voting": VotingRegressor([("groups", by_keyword())]),
    "bagging": BaggingRegressor(by_keyword(), n_estimators=1),
}


@pytest.mark.parametrize("name", ENSEMBLES)
def test_ensembles_that_are_given_no_labels_warn(name):
    with pytest.warns(UserWarning, match=f"{ONCE}.* column of X that holds the labels"):
        ENSEMBLES[name].fit(FRAME, Y)
