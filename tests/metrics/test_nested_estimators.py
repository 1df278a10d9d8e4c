"""Scores of estimators in pipelines, ensembles and other estimators."""

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS
from scipy.special import ndtri
from scipy.stats import norm
from scored import (
    CV,
    GROUPS,
    POINT,
    PREDICTIVE,
    ROUTING,
    TABLE,
    N,
    Normal,
    X,
    Y,
    estimator,
    scaled,
)
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import VotingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skhbm.metrics import coverage, log_score, neg_crps, neg_interval_score, r2

pytestmark = [
    *FEW_DRAWS,
    pytest.mark.filterwarnings("ignore:Fitted without groups:UserWarning"),
]


def test_pipeline_is_scored_as_its_last_step_on_transformed_rows(scorer):
    pipeline = make_pipeline(StandardScaler(), "passthrough", estimator())
    pipeline.fit(X, Y, hierarchicalnormalregressor__groups=GROUPS)
    alone = estimator().fit(scaled().transform(X), Y, groups=GROUPS)
    expected = scorer(alone, scaled().transform(X), Y, groups=GROUPS)
    assert scorer(pipeline, X, Y, groups=GROUPS) == expected


def test_pipeline_with_the_column_is_scored(predictive, by_column):
    columns = make_column_transformer(
        ("passthrough", ["dose"]), ("passthrough", ["site"]), verbose_feature_names_out=False
    ).set_output(transform="pandas")
    pipeline = make_pipeline(columns, estimator(group_features="site")).fit(TABLE, Y)
    assert predictive(pipeline, TABLE, Y) == predictive(by_column, TABLE, Y)


class Centred(TransformerMixin, BaseEstimator):
    """Takes the means of groups off, for which it must be told them."""

    __metadata_request__fit = {"groups": True}  # noqa: RUF012  # scikit-learn's
    __metadata_request__transform = {"groups": True}  # noqa: RUF012  # read by name only

    def fit(self, X, y=None, groups=None):
        self.means_ = pd.DataFrame(X).groupby(groups).mean()
        return self

    def fit_transform(self, X, y=None, groups=None):
        return self.fit(X, y, groups).transform(X, groups)

    def transform(self, X, groups=None):
        return X - self.means_.loc[groups].to_numpy()


def test_steps_before_the_last_get_the_labels_that_they_request(scorer):
    with config_context(**ROUTING):
        pipeline = make_pipeline(Centred(), estimator()).fit(X, Y, groups=GROUPS)
        centred = Centred().fit(X, groups=GROUPS).transform(X, groups=GROUPS)
        alone = estimator().fit(centred, Y, groups=GROUPS)
        actual = scorer(pipeline, X, Y, groups=GROUPS)
    assert actual == scorer(alone, centred, Y, groups=GROUPS)


def test_search_over_a_pipeline_with_routing(predictive):
    pipeline = Pipeline([("scale", StandardScaler()), ("model", estimator())])
    with config_context(**ROUTING):
        search = GridSearchCV(
            pipeline, {"model__fit_intercept": [True]}, scoring=predictive, cv=CV
        )
        search.fit(X, Y, groups=GROUPS)
        inside = predictive(search, X, Y, groups=GROUPS)
    alone = estimator().fit(scaled().transform(X), Y, groups=GROUPS)
    assert inside == predictive(alone, scaled().transform(X), Y, groups=GROUPS)


def test_frozen_estimator_is_scored_as_what_it_holds(scorer, model):
    frozen = make_pipeline(FrozenEstimator(FrozenEstimator(model)))
    assert scorer(frozen, X, Y, groups=GROUPS) == scorer(model, X, Y, groups=GROUPS)


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("name", POINT)
def test_means_of_a_transformed_target_are_scored(name, routing):
    inside = make_pipeline(StandardScaler(), estimator()) if routing else estimator()
    with config_context(enable_metadata_routing=routing):
        outer = TransformedTargetRegressor(inside, func=np.arcsinh, inverse_func=np.sinh)
        outer.fit(X, Y, groups=GROUPS)
        expected = get_scorer(name)._score_func(Y, outer.predict(X, groups=GROUPS))
        actual = POINT[name](outer, X, Y, groups=GROUPS)
    assert actual == get_scorer(name)._sign * expected


def test_distribution_of_a_transformed_target_is_not_scored(predictive):
    outer = TransformedTargetRegressor(estimator(group_features="site")).fit(TABLE, Y)
    message = "cannot score a TransformedTargetRegressor.*Score its `regressor_` on the tra"
    with pytest.raises(TypeError, match=message):
        predictive(outer, TABLE, Y)


@pytest.mark.parametrize("name", PREDICTIVE)
def test_estimators_without_a_distribution_are_named(name):
    method = "log_predictive_density" if name == "log_score" else "predict_quantiles"
    message = rf"`{name.split('(')[0]}` needs an estimator with the method `{method}`.*Got Lin"
    fitted = make_pipeline(StandardScaler(), LinearRegression()).fit(X, Y)
    with pytest.raises(TypeError, match=message):
        PREDICTIVE[name](fitted, X, Y)


def test_ensembles_have_no_distribution(by_column):
    fitted = VotingRegressor([("own", estimator(group_features="site"))]).fit(TABLE, Y)
    assert r2(fitted, TABLE, Y) == r2(by_column, TABLE, Y)
    with pytest.raises(TypeError, match="Got VotingRegressor, which has none"):
        log_score(fitted, TABLE, Y)


def test_estimators_that_do_not_predict_are_named():
    with pytest.raises(TypeError, match=r"`r2` needs a regressor. Got StandardScaler, which"):
        r2(scaled(), X, Y)


def test_other_estimators_of_distributions_are_scored():
    """A normal's scores have closed forms."""
    fitted, z = Normal().fit(X, Y), ndtri(0.95)
    mean, sd = fitted.mean_, fitted.sd_
    outside = np.maximum(np.abs(Y - mean) - z * sd, 0)
    assert log_score(fitted, X, Y, groups=GROUPS) == norm.logpdf(Y, mean, sd).mean()
    expected = -np.mean(2 * z * sd + 20 * outside)
    assert neg_interval_score(fitted, X, Y, groups=GROUPS) == pytest.approx(expected)
    assert coverage(fitted, X, Y) == np.mean(outside == 0)


def test_crps_is_of_mixtures_over_draws_only():
    with pytest.raises(
        TypeError, match=r"`neg_crps` needs an estimator of this.*Got Normal; use"
    ):
        neg_crps(Normal().fit(X, Y), X, Y)


@pytest.mark.parametrize("scorer", [log_score, coverage], ids=repr)
def test_known_errors_are_not_those_of_other_estimators(scorer):
    with pytest.raises(
        ValueError, match=r"was given `y_err`, which only Hierarc.*score Normal"
    ):
        scorer(Normal().fit(X, Y), X, Y, y_err=np.ones(N))


@pytest.mark.parametrize(
    "wrap",
    [lambda e: e, make_pipeline, lambda e: GridSearchCV(e, {})],
    ids=["alone", "pipeline", "search"],
)
def test_estimators_must_be_fitted(wrap, scorer):
    with pytest.raises(NotFittedError):
        scorer(wrap(estimator()), X, Y, groups=GROUPS)
