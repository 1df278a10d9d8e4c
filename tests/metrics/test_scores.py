"""What scores are of predictive distributions."""

import numpy as np
import pandas as pd
import pytest
from marks import FEW_DRAWS
from mixture_oracle import KINDS, double_sum, mixtures
from scipy.special import logsumexp, ndtri
from scipy.stats import norm
from scored import ERRORS, GROUPS, POINT, TABLE, WEIGHTS, N, X, Y, estimator
from sklearn.linear_model import LinearRegression
from sklearn.metrics import get_scorer

from skhbm._prediction.mixtures import log_densities, quantiles, ranked_scores
from skhbm.metrics import (
    coverage,
    coverage_scorer,
    interval_scorer,
    log_score,
    neg_crps,
    neg_interval_score,
    r2,
)
from skhbm.metrics._scores import interval_scores

pytestmark = [
    *FEW_DRAWS,
    pytest.mark.filterwarnings("ignore:Fitted without groups:UserWarning"),
]


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
    by_row = logsumexp(norm.logpdf(rows["y"][:, None], mean, sd), axis=1) - np.log(
        mean.shape[1]
    )
    assert log_score(fitted, **rows) == pytest.approx(by_row.mean(), rel=1e-9)


def test_crps_is_that_of_the_mixture(plain):
    fitted, rows, mean, sd = plain
    by_row = [double_sum(*row) for row in zip(mean, sd, rows["y"], strict=True)]
    assert neg_crps(fitted, **rows) == pytest.approx(-np.mean(by_row), rel=1e-9)


@pytest.mark.parametrize("inside", [0.5, 0.9])
def test_interval_score_is_that_of_the_mixture(inside, plain):
    fitted, rows, mean, sd = plain
    by_row = interval_scores(rows["y"], *intervals(mean, sd, inside), inside)
    actual = interval_scorer(coverage=inside)(fitted, **rows)
    assert actual == pytest.approx(-by_row.mean(), rel=1e-9)


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
