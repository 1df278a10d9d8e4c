"""Scorers: what they are of predictive distributions, and their life in scikit-learn."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from mixture_oracle import KINDS, double_sum, mixtures
from scipy.special import logsumexp, ndtri
from scipy.stats import norm
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import VotingRegressor
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  # what it is for
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skhbm import HierarchicalNormalRegressor, metrics
from skhbm._prediction.mixtures import log_densities, quantiles, ranked_scores
from skhbm.metrics import (
    coverage,
    coverage_scorer,
    interval_scorer,
    log_score,
    neg_crps,
    neg_interval_score,
    neg_root_mean_squared_error,
    r2,
)
from skhbm.metrics._scores import interval_scores

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*R-hat:sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*diverged:sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Fitted without groups:UserWarning"),
]

#: Of means, and of distributions.
POINT = {"r2": r2, "neg_root_mean_squared_error": neg_root_mean_squared_error}
PREDICTIVE = {
    "log_score": log_score,
    "neg_crps": neg_crps,
    "neg_interval_score": neg_interval_score,
    "coverage": coverage,
    "interval_scorer(coverage=0.5)": interval_scorer(coverage=0.5),
    "coverage_scorer(coverage=0.5)": coverage_scorer(coverage=0.5),
}
SCORERS = {**POINT, **PREDICTIVE}

RNG = np.random.default_rng(97)
N, J = 72, 6
GROUPS = np.array(list("abcdef"))[np.arange(N) % J]
X = RNG.normal(2, 3, size=(N, 1))
Y = X[:, 0] + 4 * ndtri((np.arange(J) + 0.5) / J)[np.arange(N) % J] + RNG.standard_normal(N)
TABLE = pd.DataFrame({"dose": X[:, 0], "site": GROUPS})
WEIGHTS = RNG.integers(0, 4, size=N)
ROUTING = {"enable_metadata_routing": True}


def estimator(**parameters):
    small = {"draws": 40, "tune": 60, "chains": 2, "n_jobs": 1, "random_state": 0}
    return HierarchicalNormalRegressor(**{**small, **parameters})


@pytest.fixture(scope="module")
def model():
    return estimator().fit(X, Y, groups=GROUPS)


@pytest.fixture(scope="module")
def by_column():
    return estimator(group_features="site").fit(TABLE, Y)


@pytest.fixture(params=SCORERS)
def scorer(request):
    return SCORERS[request.param]


@pytest.fixture(params=PREDICTIVE)
def predictive(request):
    return PREDICTIVE[request.param]


class Normal(RegressorMixin, BaseEstimator):
    """Another estimator of a distribution: one normal, whatever the features."""

    def fit(self, X, y):
        self.mean_, self.sd_ = np.mean(y), np.std(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)

    def log_predictive_density(self, X, y):
        return norm.logpdf(y, self.mean_, self.sd_)

    def predict_quantiles(self, X, quantiles):
        return np.tile(norm.ppf(quantiles, self.mean_, self.sd_), (len(X), 1))


# What scores are.


def intervals(mean, sd, inside=0.9):
    p = np.array([(1 - inside) / 2, (1 + inside) / 2])
    return quantiles(mean, sd, p, ndtri(p)).T


LOSSES = {
    "log score": lambda mean, sd, y: -log_densities(mean, sd, y),
    "CRPS": ranked_scores,
    "interval score": lambda mean, sd, y: interval_scores(y, *intervals(mean, sd), 0.9),
}
DISTORTIONS = {
    "shifted": lambda mean, sd: (mean + 0.3, sd),
    "wider": lambda mean, sd: (mean, 1.4 * sd),
    "narrower": lambda mean, sd: (mean, 0.7 * sd),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_expected_score_is_best_for_the_true_distribution(loss, distortion):
    rng = np.random.default_rng(101)
    n, n_draws = 4000, 20
    mean = np.tile(rng.normal(0, 0.5, size=n_draws), (n, 1))
    sd = np.tile(rng.uniform(0.7, 1.3, size=n_draws), (n, 1))
    drawn = rng.integers(n_draws, size=n)
    y = rng.normal(mean[0, drawn], sd[0, drawn])
    worse = LOSSES[loss](*DISTORTIONS[distortion](mean, sd), y) - LOSSES[loss](mean, sd, y)
    assert worse.mean() > 5 * worse.std() / np.sqrt(n)


def test_coverage_is_most_for_intervals_that_are_too_wide():
    """Why it is no score to maximise."""
    rng = np.random.default_rng(103)
    mean, sd, y = np.zeros((4000, 1)), np.ones((4000, 1)), rng.standard_normal(4000)
    shares = []
    for factor in (1, 3):
        low, high = intervals(mean, factor * sd)
        shares.append(np.mean((low <= y) & (y <= high)))
    assert shares[0] == pytest.approx(0.9, abs=5 * np.sqrt(0.9 * 0.1 / 4000))
    assert shares[1] > 0.99


@pytest.mark.parametrize("kind", list(KINDS)[:3])
def test_interval_score_is_twice_the_quantile_losses_over_alpha(kind):
    """Each bound is scored by its pinball loss: Gneiting & Raftery (2007), section 6."""
    mean, sd, y = mixtures(kind)
    low, high = intervals(mean, sd)
    pinball = sum(
        (y - q) * (p - (y < q)) for q, p in zip((low, high), (0.05, 0.95), strict=True)
    )
    np.testing.assert_allclose(interval_scores(y, low, high, 0.9), 2 / 0.1 * pinball)


ERRORS = RNG.uniform(0.5, 2.0, size=12)


@pytest.fixture(scope="module", params=["shared", "known"])
def plain(request):
    """A model without groups, new rows, and their mixtures: those of draws in `posterior_`."""
    known = request.param == "known"
    errors = ERRORS if known else None
    fitted = estimator(residual_scale=request.param).fit(X[:12], Y[:12], y_err=errors)
    posterior = fitted.posterior_["posterior"]
    intercept, coef = (posterior[k].to_numpy().ravel() for k in ("intercept", "coef"))
    mean = intercept + X[12:24] * coef
    sigma = ERRORS[:, None] if known else posterior["sigma"].to_numpy().ravel()
    rows = {"X": X[12:24], "y": Y[12:24], **({"y_err": ERRORS} if known else {})}
    return fitted, rows, mean, np.broadcast_to(sigma, mean.shape).copy()


def test_log_score_is_the_mean_log_density_of_the_mixture(plain):
    fitted, rows, mean, sd = plain
    each = logsumexp(norm.logpdf(rows["y"][:, None], mean, sd), axis=1) - np.log(mean.shape[1])
    assert log_score(fitted, **rows) == pytest.approx(each.mean(), rel=1e-9)


def test_crps_is_that_of_the_mixture(plain):
    fitted, rows, mean, sd = plain
    each = [double_sum(*row) for row in zip(mean, sd, rows["y"], strict=True)]
    assert neg_crps(fitted, **rows) == pytest.approx(-np.mean(each), rel=1e-9)


@pytest.mark.parametrize("inside", [0.5, 0.9])
def test_interval_score_is_that_of_the_mixture(inside, plain):
    fitted, rows, mean, sd = plain
    each = interval_scores(rows["y"], *intervals(mean, sd, inside), inside)
    actual = interval_scorer(coverage=inside)(fitted, **rows)
    assert actual == pytest.approx(-each.mean(), rel=1e-9)


@pytest.mark.parametrize("inside", [0.5, 0.9])
def test_coverage_is_that_of_the_mixture(inside, plain):
    fitted, rows, mean, sd = plain
    low, high = intervals(mean, sd, inside)
    expected = np.mean((low <= rows["y"]) & (rows["y"] <= high))
    assert coverage_scorer(coverage=inside)(fitted, **rows) == expected


def test_default_intervals_are_of_90_percent(model):
    rows = model, X, Y, GROUPS
    assert neg_interval_score(*rows) == interval_scorer(coverage=0.9)(*rows)
    assert coverage(*rows) == coverage_scorer(coverage=0.9)(*rows)
    low, high = model.predict_interval(X, GROUPS).T
    assert coverage(*rows) == np.mean(np.abs(Y - (low + high) / 2) <= (high - low) / 2)


def test_log_score_is_the_mean_of_the_method(model):
    expected = model.log_predictive_density(X, Y, GROUPS).mean()
    assert log_score(model, X, Y, GROUPS) == pytest.approx(expected, rel=1e-12)


def test_crps_is_the_mean_quantile_loss_over_all_probabilities(model):
    """Gneiting & Ranjan (2011), eq. 8, by the midpoint rule: an error of 1 / n^2."""
    p = (np.arange(400) + 0.5) / 400
    q = model.predict_quantiles(X, GROUPS, quantiles=p)
    loss = 2 * np.mean((Y[:, None] - q) * (p - (Y[:, None] < q)))
    assert neg_crps(model, X, Y, GROUPS) == pytest.approx(-loss, rel=1e-4)


@pytest.mark.parametrize("name", POINT)
def test_point_scores_are_those_of_strings(name, by_column):
    assert POINT[name](by_column, TABLE, Y) == get_scorer(name)(by_column, TABLE, Y)
    weighted = get_scorer(name)(by_column, TABLE, Y, sample_weight=WEIGHTS)
    assert POINT[name](by_column, TABLE, Y, sample_weight=WEIGHTS) == weighted


def test_r2_is_the_score_of_the_estimator(model):
    assert r2(model, X, Y, GROUPS) == model.score(X, Y, GROUPS)


@pytest.mark.parametrize("name", POINT)
def test_point_scores_are_of_any_regressor(name):
    fitted = LinearRegression().fit(X, Y)
    assert POINT[name](fitted, X, Y, groups=GROUPS) == get_scorer(name)(fitted, X, Y)


def test_weights_are_repetitions(scorer, model):
    again = np.repeat(np.arange(N), WEIGHTS)
    weighted = scorer(model, X, Y, groups=GROUPS, sample_weight=WEIGHTS)
    repeated = scorer(model, X[again], Y[again], groups=GROUPS[again])
    assert weighted == pytest.approx(repeated, rel=1e-12)


def test_labels_of_either_channel_give_the_same_score(scorer, model, by_column):
    by_keyword = scorer(model, X, Y, groups=GROUPS)
    assert scorer(by_column, TABLE, Y) == pytest.approx(by_keyword, rel=1e-12)


def test_scores_with_several_factors_are_those_of_rows_in_any_order(predictive):
    groups = pd.DataFrame({"site": GROUPS, "year": np.arange(N) % 5})
    fitted = estimator().fit(X, Y, groups=groups)
    order = np.random.default_rng(107).permutation(N)
    there = predictive(fitted, X, Y, groups=groups)
    back = predictive(fitted, X[order], Y[order], groups=groups.iloc[order])
    assert back == pytest.approx(there, rel=1e-12)


# Known errors.


def test_targets_with_known_errors_need_them(predictive):
    fitted = estimator(residual_scale="known").fit(X[:12], Y[:12], y_err=ERRORS)
    with pytest.raises(
        ValueError, match=r"residual_scale='known': `y` differs .*Pass `y_err=`"
    ):
        predictive(fitted, X[:12], Y[:12])


def test_errors_of_a_model_that_estimates_them_are_refused(predictive, model):
    with pytest.raises(ValueError, match="`y_err` was given, but the residual scale was est"):
        predictive(model, X, Y, groups=GROUPS, y_err=np.ones(N))


def test_known_errors_are_handed_on_by_searches():
    known = estimator(residual_scale="known")
    rows = {"groups": GROUPS, "y_err": RNG.uniform(0.5, 1.5, size=N)}
    cv = KFold(2)
    with config_context(**ROUTING):
        search = GridSearchCV(
            known.set_fit_request(y_err=True),
            {"fit_intercept": [True]},
            scoring=neg_crps,
            cv=cv,
        )
        found = search.fit(X, Y, **rows).cv_results_["mean_test_score"]
    assert found == pytest.approx([np.mean(by_hand(known, neg_crps, cv, rows))], rel=1e-12)


# In scikit-learn.


def by_hand(model, scorer, cv, rows):
    """Cross-validated scores of X, Y and more that is by row."""
    scores = []
    for train, test in cv.split(X):
        fitted = clone(model).fit(X[train], Y[train], **{k: v[train] for k, v in rows.items()})
        scores.append(scorer(fitted, X[test], Y[test], **{k: v[test] for k, v in rows.items()}))
    return scores


CV = KFold(2, shuffle=True, random_state=0)
GRID = {"varying_slopes": [None, [0]]}


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


# Estimators in estimators.


def scaled():
    return StandardScaler().fit(X)


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


def test_crps_is_of_mixtures_of_normals_only():
    with pytest.raises(
        TypeError, match=r"`neg_crps` needs a HierarchicalNorm.*Got Normal; use"
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


# Scorers as objects.


@pytest.mark.parametrize("name", SCORERS)
def test_repr_is_how_to_write_it(name):
    assert repr(SCORERS[name]) == name
    assert f"scoring={name}" in repr(GridSearchCV(estimator(), {}, scoring=SCORERS[name]))


@pytest.mark.parametrize(
    "copied",
    [lambda s: pickle.loads(pickle.dumps(s)), copy.deepcopy],
    ids=["pickle", "deepcopy"],
)
def test_copies_score_the_same(copied, scorer, model):
    twin = copied(scorer.set_score_request(sample_weight="w"))
    assert repr(twin) == repr(scorer)
    assert twin(model, X, Y, groups=GROUPS) == scorer(model, X, Y, groups=GROUPS)
    assert twin.get_metadata_routing().score.requests["sample_weight"] == "w"


@pytest.mark.parametrize("name", metrics.__all__)
def test_named_scorers_are_pickled_by_name(name):
    own = getattr(metrics, name)
    assert pickle.loads(pickle.dumps(own)) is own


def test_searches_are_cloned_with_their_scorers(scorer):
    search = clone(GridSearchCV(estimator(), {}, scoring=scorer))
    assert repr(search.scoring) == repr(scorer)


def test_request_is_that_of_another_scorer():
    other = log_score.set_score_request(sample_weight=True, groups=False)
    assert other.get_metadata_routing().score.requests == {
        "groups": False,
        "sample_weight": True,
        "y_err": True,
    }
    assert log_score.get_metadata_routing().score.requests == {
        "groups": True,
        "sample_weight": None,
        "y_err": True,
    }


def test_request_for_what_a_scorer_does_not_take_is_an_error():
    with pytest.raises(TypeError, match=r"r2 takes the metadata .*Got \['y_err'\]"):
        r2.set_score_request(y_err=True)


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


@pytest.mark.parametrize(
    "make", [interval_scorer, coverage_scorer], ids=["interval", "coverage"]
)
def test_coverage_of_a_scorer_is_a_probability(make):
    with pytest.raises(ValueError, match=r"`coverage` must lie in .*Got 95. Did you mean 0.95"):
        make(coverage=95)
    with pytest.raises(TypeError, match="`coverage` must be a number in"):
        make(coverage="wide")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(N - 1), r"`sample_weight` must have shape \(72,\)"),
        (-np.ones(N), "`sample_weight` must not be negative"),
        (np.zeros(N), "`sample_weight` is zero for every row"),
    ],
    ids=["short", "negative", "zero"],
)
def test_weights_that_cannot_be_are_named(weights, message, predictive, model):
    with pytest.raises(ValueError, match=message):
        predictive(model, X, Y, groups=GROUPS, sample_weight=weights)


def test_targets_of_another_length_are_named(predictive, model):
    with pytest.raises(ValueError, match="`X` has 72 rows but `y` has 71 entries"):
        predictive(model, X, Y[1:], groups=GROUPS)


def test_labels_that_are_forgotten_are_warned_of(scorer, model):
    with pytest.warns(UserWarning, match="fitted with groups, but asked to predict without"):
        scorer(model, X, Y)


def test_scoring_does_not_import_pymc(tmp_path, model):
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps((model, X, Y, GROUPS)))
    code = f"""
import pickle, sys
from skhbm import metrics
model, X, y, groups = pickle.loads(open({str(path)!r}, "rb").read())
for name in ("log_score", "neg_crps", "neg_interval_score", "coverage", "r2"):
    getattr(metrics, name)(model, X, y, groups=groups)
assert not {{"pymc", "pytensor", "nutpie", "arviz_base"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


@pytest.mark.parametrize("scorer", [log_score, neg_crps, r2])
def test_class_in_place_of_an_estimator_is_an_error(scorer):
    message = r"must be a fitted estimator. Got the class HierarchicalNormalRegressor; make an"
    with pytest.raises(TypeError, match=message):
        scorer(HierarchicalNormalRegressor, X, Y)
