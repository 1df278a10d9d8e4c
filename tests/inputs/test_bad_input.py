"""Bad input: each mistake is said in a sentence, and nothing fitted changes by it."""

import warnings

import joblib
import numpy as np
import nutpie
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression

from skhbm import HierarchicalNormalRegressor, Prior

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*R-hat:sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*diverged:sklearn.exceptions.ConvergenceWarning"),
]

N, SEEN = 60, ["a", "b", "c"]
RNG = np.random.default_rng(71)
X = RNG.normal(1, 2, size=(N, 2))
GROUPS = np.repeat(SEEN, N // 3)
#: Groups lie far apart, so that reading the effect of another one shows.
Y = X @ [1.0, -0.5] + np.repeat([-9.0, 2.0, 30.0], N // 3) + RNG.standard_normal(N)
FRAME = pd.DataFrame(X, columns=["u", "v"])
WITH_GROUPS = FRAME.assign(site=GROUPS)


def with_value(values, value, at=0):
    changed = np.array(values, dtype=np.result_type(values, type(value)))
    changed[at] = value
    return changed


def estimator(**parameters):
    return HierarchicalNormalRegressor(
        **{"draws": 50, "tune": 50, "random_state": 0, **parameters}
    )


def fit(X=X, y=Y, groups=GROUPS, sample_weight=None, **parameters):
    return estimator(**parameters).fit(X, y, groups=groups, sample_weight=sample_weight)


def state(model):
    """Digest of all that is fitted, and predictions."""
    return joblib.hash(model), model.predict(X, GROUPS, return_std=True)


def assert_same_state(model, before):
    digest, (mean, std) = state(model)
    assert digest == before[0]
    assert np.array_equal(mean, before[1][0])
    assert np.array_equal(std, before[1][1])


@pytest.fixture
def model():
    return fit()


@pytest.fixture(scope="module")
def strict():
    return fit(new_groups="error")


@pytest.fixture(scope="module")
def column_model():
    return fit(WITH_GROUPS, groups=None, group_features="site")


ROWS = {
    "NaN in X": ({"X": with_value(X, np.nan)}, ValueError, "Input X contains NaN"),
    "infinity in X": ({"X": with_value(X, np.inf)}, ValueError, "Input X contains infinity"),
    "NaN in y": ({"y": with_value(Y, np.nan)}, ValueError, "Input y contains NaN"),
    "infinity in y": ({"y": with_value(Y, -np.inf)}, ValueError, "Input y contains infinity"),
    "missing in y of a nullable dtype": (
        {"y": pd.Series([pd.NA, *range(N - 1)], dtype="Int64")},
        ValueError,
        "Input y contains NaN",
    ),
    "no y": ({"y": None}, ValueError, "requires y to be passed, but the target y is None"),
    "y of two columns": (
        {"y": np.column_stack([Y, Y])},
        ValueError,
        r"y should be a 1d array, got an array of shape \(60, 2\)",
    ),
    "y of words": ({"y": GROUPS}, ValueError, "`y` must be numeric. Got an array of dtype <U1"),
    "y of dates": (
        {"y": np.arange(N).astype("M8[D]")},
        ValueError,
        r"`y` must be numeric. Got an array of dtype datetime64\[D\]",
    ),
    "y of complex numbers": ({"y": Y + 1j}, ValueError, "Complex data not supported"),
    "constant y": (
        {"y": np.full(N, 0.1)},
        ValueError,
        r"`y` is constant \(0.1 in all rows\), so there is no residual scale",
    ),
    "y of zeros": ({"y": np.zeros(N)}, ValueError, r"`y` is constant \(0 in all rows\)"),
    "X shorter than y": (
        {"X": X[:-1]},
        ValueError,
        "`X` has 59 rows but `y` has 60 entries; they must be equal",
    ),
    "groups shorter than X": (
        {"groups": GROUPS[:-1]},
        ValueError,
        "`groups` has 59 entries but `X` has 60 rows; they must be equal",
    ),
    "weights shorter than X": (
        {"sample_weight": np.ones(N - 1)},
        ValueError,
        r"`sample_weight` must have shape \(60,\). Got \(59,\); give one frequency per row",
    ),
    "negative weights": (
        {"sample_weight": with_value(np.ones(N), -1.0, at=[0, 3])},
        ValueError,
        "`sample_weight` must not be negative.* Got 2 negative weights, the least -1",
    ),
    "weights of zero": (
        {"sample_weight": np.zeros(N)},
        ValueError,
        "`sample_weight` is zero for every row; at least one must be positive",
    ),
    "NaN in weights": (
        {"sample_weight": with_value(np.ones(N), np.nan)},
        ValueError,
        "Input sample_weight contains NaN",
    ),
    "None among labels": (
        {"groups": [None, np.nan, *GROUPS[2:]]},
        ValueError,
        "`groups` has 2 missing labels of 60. Drop these rows, or give them a label",
    ),
    "NaN among float labels": (
        {"groups": with_value(np.arange(N) % 3, np.nan)},
        ValueError,
        "`groups` has 1 missing labels of 60",
    ),
    "NaT among dates": (
        {"groups": np.array(["NaT"] + ["2020-01-01"] * (N - 1), dtype="M8[D]")},
        ValueError,
        "`groups` has 1 missing labels of 60",
    ),
    "NA among nullable labels": (
        {"groups": pd.array([pd.NA, *[1, 2] * 29, 1], dtype="Int64")},
        ValueError,
        "`groups` has 1 missing labels of 60",
    ),
    "missing categories": (
        {"groups": pd.Categorical([None, *GROUPS[1:]])},
        ValueError,
        "`groups` has 1 missing labels of 60",
    ),
    "one label for all rows": (
        {"groups": "a"},
        ValueError,
        r"`groups` must be one label per row, of shape \(60,\). Got shape \(\)",
    ),
    "labels that do not hash": (
        {"groups": [{1, 2}] * N},
        TypeError,
        "`groups` must hold hashable labels",
    ),
    "words in X": (
        {"X": WITH_GROUPS},
        ValueError,
        "`X` must be numeric. If a column holds group labels, name it in `group_features`",
    ),
    "X of one dimension": ({"X": X[:, 0]}, ValueError, "Expected 2D array, got 1D array"),
    "X of three dimensions": ({"X": X[:, :, None]}, ValueError, "Found array with dim 3"),
    "one row": (
        {"X": X[:1], "y": Y[:1], "groups": GROUPS[:1]},
        ValueError,
        "minimum of 2 is required: one row says nothing about the residual scale",
    ),
    "no row": (
        {"X": X[:0], "y": Y[:0], "groups": GROUPS[:0]},
        ValueError,
        "0 sample",
    ),
}


@pytest.mark.parametrize("case", ROWS)
def test_rows_that_cannot_be_fitted_are_named(case):
    rows, error, message = ROWS[case]
    with pytest.raises(error, match=message):
        fit(**rows)


@pytest.mark.parametrize("case", ROWS)
def test_rows_that_cannot_be_fitted_change_nothing(case, model):
    rows, error, _ = ROWS[case]
    before = state(model)
    with pytest.raises(error):
        model.fit(**{"X": X, "y": Y, "groups": GROUPS, **rows})
    assert_same_state(model, before)


COLUMNS = {
    "a name that does not exist": (
        {"X": WITH_GROUPS, "group_features": "place"},
        ValueError,
        r"names 'place', which is not a column of X. Its columns are \['u', 'v', 'site'\]",
    ),
    "an index that does not exist": (
        {"X": WITH_GROUPS, "group_features": 3},
        ValueError,
        "`group_features` has the index 3, but X has 3 columns",
    ),
    "a negative index that does not exist": (
        {"X": WITH_GROUPS, "group_features": -4},
        ValueError,
        "`group_features` has the index -4, but X has 3 columns",
    ),
    "a name without names": (
        {"X": WITH_GROUPS.to_numpy(), "group_features": "site"},
        ValueError,
        "names the column 'site', but X has no column names. Give its index",
    ),
    "a name given twice": (
        {"X": WITH_GROUPS, "group_features": ["site", "site"]},
        ValueError,
        r"`group_features` names a column twice: \['site'\]",
    ),
    "an index given twice": (
        {"X": WITH_GROUPS, "group_features": [2, -1]},
        ValueError,
        "`group_features` names a column twice",
    ),
    "a feature among them": (
        {"X": WITH_GROUPS, "group_features": ["site", "u"]},
        ValueError,
        r"The grouping factor 'u' has as many levels as there are rows \(60\)",
    ),
    "no column": (
        {"X": WITH_GROUPS, "group_features": []},
        ValueError,
        "`group_features` must name at least one column of X. Got none",
    ),
    "a mask too short": (
        {"X": WITH_GROUPS, "group_features": [False, True]},
        ValueError,
        r"as a mask must have one entry per column of X \(3\). Got 2",
    ),
    "a number with a fraction": (
        {"X": WITH_GROUPS, "group_features": 1.5},
        TypeError,
        "`group_features` must hold names, indices or a mask. Got 1.5",
    ),
    "fractions in a list": (
        {"X": WITH_GROUPS, "group_features": [1.5]},
        TypeError,
        "`group_features` must hold names, indices or a mask. Got 1.5",
    ),
    "no X": (
        {"X": None, "group_features": "site"},
        ValueError,
        "`group_features` names a column of X, but X is None. Pass `groups=`",
    ),
    "labels in both channels": (
        {"X": WITH_GROUPS, "group_features": "site", "groups": GROUPS},
        ValueError,
        "given twice, as `groups=` and as the column 'site' of X .* Give one of them",
    ),
    "missing labels": (
        {"X": WITH_GROUPS.assign(site=[None, *GROUPS[1:]]), "group_features": "site"},
        ValueError,
        "`groups` has 1 missing labels of 60",
    ),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_group_columns_that_cannot_be_are_named(case):
    arguments, error, message = COLUMNS[case]
    with pytest.raises(error, match=message):
        fit(**{"groups": None, **arguments})


SLOPES = {
    "unknown name": ({"X": FRAME}, "w", ValueError, "names 'w', which is not a column of X"),
    "unknown index": ({}, [9], ValueError, "has the index 9, but X has 2 columns"),
    "named twice": ({}, [0, 0], ValueError, "`varying_slopes` names a column twice"),
    "unknown factor": (
        {},
        {"site": "all"},
        ValueError,
        r"`varying_slopes` has entries for \['site'\], but the only grouping factor is 'group'",
    ),
    "a fraction": ({}, 1.5, TypeError, "must hold names, indices or a mask. Got 1.5"),
    "the column of groups": (
        {"X": WITH_GROUPS, "groups": None, "group_features": "site"},
        ["site"],
        ValueError,
        "`varying_slopes` names the column of group labels; name features only",
    ),
}


@pytest.mark.parametrize("case", SLOPES)
def test_varying_slopes_that_cannot_be_are_named(case):
    arguments, slopes, error, message = SLOPES[case]
    with pytest.raises(error, match=message):
        fit(**arguments, varying_slopes=slopes)


@pytest.mark.filterwarnings("ignore:Fitted without groups")
@pytest.mark.parametrize(
    "parameters", [{"varying_slopes": "all"}, {"residual_scale": "by_group"}]
)
def test_terms_by_group_need_groups(parameters):
    with pytest.raises(ValueError, match=r"need groups. Pass `groups=` to fit"):
        fit(groups=None, **parameters)


def test_something_must_vary_by_group():
    with pytest.raises(
        ValueError, match=r"Nothing varies by group. Set varying_intercept=True"
    ):
        fit(varying_intercept=False)


PARAMETERS = {
    "residual_scale": (["foo", None, 3], "must be 'shared' or 'by_group' or 'known'. Got"),
    "solver": (["advi", None], "must be 'nuts' or 'laplace'. Got"),
    "new_groups": (["missing", None], "must be 'population' or 'error'. Got"),
    "draws": ([3, 0, -1, 50.0, "50", None, True], "must be an int of at least 4. Got"),
    "tune": ([0, -1, 50.0, None, True], "must be an int of at least 1. Got"),
    "chains": ([0, -1, 4.0, None, True], "must be an int of at least 1. Got"),
    "target_accept": (
        [0, 1, 1.5, -1, np.nan, "0.9", None],
        r"must be a float in the range \(0, 1\). Got",
    ),
    "fit_intercept": (["yes", 1, None], "must be a bool. Got"),
    "varying_intercept": (
        ["yes", 1, None, {"group": "yes"}],
        "must be a bool or a dict from a factor to a bool. Got",
    ),
    "correlated": (
        ["yes", 1, None, {"group": 3}],
        "must be a bool or a dict from a factor to a bool. Got",
    ),
    "n_jobs": (["all", 1.5, 0], "must be None or an int other than 0. Got"),
    "verbose": (["yes", None, -1], "must be an int of at least 0. Got"),
}


@pytest.mark.parametrize(
    ("parameter", "value"),
    [(name, value) for name, (values, _) in PARAMETERS.items() for value in values],
)
def test_parameters_that_cannot_be_are_named(parameter, value):
    message = f"The '{parameter}' parameter of HierarchicalNormalRegressor "
    with pytest.raises(ValueError, match=message + PARAMETERS[parameter][1]):
        fit(**{parameter: value})


@pytest.mark.parametrize("value", ["x", -1, 1.5, 2**32])
def test_seeds_that_cannot_be_are_refused(value):
    with pytest.raises(ValueError, match=r"`random_state` must be None, an int from 0 to"):
        fit(random_state=value)


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_parameters_that_cannot_be_change_nothing(parameter):
    model = fit().set_params(**{parameter: PARAMETERS[parameter][0][0]})
    before = state(model)
    with pytest.raises(ValueError, match=parameter):
        model.fit(X, Y, groups=GROUPS)
    assert_same_state(model, before)


def test_nothing_is_checked_before_fit():
    HierarchicalNormalRegressor(draws="many", priors=3, solver=None, group_features=1.5)


NORMAL = Prior("Normal", mu=0, sigma=1)
PRIORS = {
    "not a dict": (3, TypeError, "`priors` must be a dict from a name to a Prior, such as"),
    "an unknown key": (
        {"slope": NORMAL},
        ValueError,
        r"`priors` has unknown keys: \['slope'\]. The keys are \['intercept', 'coef', 'tau'",
    ),
    "tau of an unknown factor": (
        {"tau_site": Prior("HalfNormal", sigma=1)},
        ValueError,
        r"`priors` has unknown keys: \['tau_site'\]",
    ),
    "an unknown entry": (
        {"coef": {"x9": NORMAL}},
        ValueError,
        r"`priors\['coef'\]` has unknown entries: \['x9'\]. The entries are \['x0', 'x1'\]",
    ),
    "tau of a term that does not vary": (
        {"tau": {"x0": Prior("HalfNormal", sigma=1)}},
        ValueError,
        r"`priors\['tau'\]` has unknown entries: \['x0'\]. The entries are \['intercept'\]",
    ),
    "a number": (
        {"sigma": 3},
        TypeError,
        "The prior of sigma must be a Prior, such as .* Got 3",
    ),
    "None": ({"sigma": None}, TypeError, "The prior of sigma must be a Prior"),
    "a dict for a scalar": (
        {"intercept": {"a": NORMAL}},
        TypeError,
        "The prior of intercept must be a Prior",
    ),
    "an unknown distribution": (
        {"coef": Prior("Norml", mu=0, sigma=1)},
        ValueError,
        "must be a continuous PyMC distribution. Got 'Norml'. Did you mean Normal",
    ),
    "a discrete distribution": (
        {"coef": Prior("Poisson", mu=3)},
        ValueError,
        r"prior of coef\[x0\] must be a continuous PyMC distribution. Got 'Poisson'",
    ),
    "something else of PyMC": (
        {"coef": Prior("Model")},
        ValueError,
        "must be a continuous PyMC distribution. Got 'Model'",
    ),
    "an unknown argument": (
        {"coef": Prior("Normal", mean=0, sigma=1)},
        ValueError,
        r"Normal takes mu, sigma, tau. Got 'mean' for coef\[x0\]",
    ),
    "arguments missing": (
        {"sigma": Prior("Gamma", alpha=2)},
        ValueError,
        "PyMC cannot make Prior.'Gamma', alpha=2., the prior of sigma",
    ),
    "a negative sigma": (
        {"coef": Prior("Normal", mu=0, sigma=-1)},
        ValueError,
        r"The prior of coef\[x0\] must have sigma > 0. Got",
    ),
    "a sigma of zero": (
        {"tau": Prior("HalfNormal", sigma=0)},
        ValueError,
        r"The prior of tau\[intercept\] must have sigma > 0. Got",
    ),
    "a scale of zero": (
        {"sigma": Prior("HalfCauchy", beta=0)},
        ValueError,
        "the prior of sigma",
    ),
    "a negative shape": (
        {"sigma": Prior("Gamma", alpha=-2, beta=1)},
        ValueError,
        "PyMC cannot make .* the prior of sigma",
    ),
    "an argument of another distribution": (
        {"tau": Prior("HalfNormal", mu=1)},
        ValueError,
        r"HalfNormal takes sigma or tau. Got .* as the prior of tau\[intercept\]",
    ),
    "NaN": (
        {"coef": Prior("Normal", mu=0, sigma=np.nan)},
        ValueError,
        r"The prior of coef\[x0\] takes numbers only. Got {'sigma': nan}",
    ),
    "a word": (
        {"coef": Prior("Normal", mu="a", sigma=1)},
        ValueError,
        r"The prior of coef\[x0\] takes numbers only. Got {'mu': 'a'}",
    ),
    "an array": (
        {"coef": Prior("Normal", mu=[0, 1], sigma=1)},
        ValueError,
        r"The prior of coef\[x0\] takes numbers only. Got {'mu': \[0, 1\]}",
    ),
    "a vector": ({"coef": Prior("MvNormal", mu=0)}, ValueError, r"the prior of coef\[x0\]"),
    "tau that may be negative": (
        {"tau": NORMAL},
        ValueError,
        r"The prior of tau\[intercept\] must be on positive numbers",
    ),
    "sigma that may be negative": (
        {"sigma": Prior("Uniform", lower=-1, upper=1)},
        ValueError,
        "The prior of sigma must be on positive numbers.* Use HalfNormal, Exponential",
    ),
    "improper on the real line": (
        {"coef": Prior("Flat")},
        ValueError,
        r"Flat.*the prior of coef\[x0\]",
    ),
    "improper on positive numbers": (
        {"sigma": Prior("HalfFlat")},
        ValueError,
        "HalfFlat.*the prior of sigma",
    ),
    "corr of another distribution": (
        {"corr": NORMAL},
        ValueError,
        r"`priors\['corr'\]` must be Prior\('LKJCorr', eta=positive number\). Got",
    ),
    "corr with a negative eta": (
        {"corr": Prior("LKJCorr", eta=-1)},
        ValueError,
        r"`priors\['corr'\]` must be Prior\('LKJCorr', eta=positive number\). Got",
    ),
    "corr without eta": (
        {"corr": Prior("LKJCorr")},
        ValueError,
        r"`priors\['corr'\]` must be Prior\('LKJCorr', eta=positive number\). Got",
    ),
    "corr with another argument": (
        {"corr": Prior("LKJCorr", eta=2, n=3)},
        ValueError,
        r"`priors\['corr'\]` must be Prior\('LKJCorr', eta=positive number\). Got",
    ),
}


@pytest.mark.parametrize("case", PRIORS)
def test_priors_that_cannot_be_are_named(case):
    priors, error, message = PRIORS[case]
    with pytest.raises(error, match=message):
        fit(priors=priors)


@pytest.mark.parametrize("case", PRIORS)
def test_priors_that_cannot_be_change_nothing(case):
    priors, error, _ = PRIORS[case]
    model = fit().set_params(priors=priors)
    before = model.predict(X, GROUPS)
    with pytest.raises(error):
        model.fit(X, Y, groups=GROUPS)
    assert np.array_equal(model.predict(X, GROUPS), before)


def test_prior_takes_its_parameters_by_name():
    with pytest.raises(
        TypeError, match=r"takes parameters by name, as in Prior\('Normal', sigma=0\)"
    ):
        Prior("Normal", 0, 1)


def test_no_intercept_takes_no_prior_for_one():
    with pytest.raises(ValueError, match=r"but fit_intercept=False. Drop one"):
        fit(fit_intercept=False, priors={"intercept": NORMAL})


ERRORS = {
    "none": ({}, ValueError, "needs the standard error of each row. Pass `y_err=` to fit"),
    "too few": ({"y_err": np.ones(N - 1)}, ValueError, r"shape \(60,\). Got \(59,\)"),
    "one for all": ({"y_err": 2.0}, (TypeError, ValueError), "."),
    "two columns": ({"y_err": np.ones((N, 2))}, ValueError, r"Got \(60, 2\)"),
    "zero": (
        {"y_err": with_value(np.ones(N), 0.0)}, ValueError,
        "`y_err` must be positive: .* Got 1 of 60 that are zero or negative, the least 0",
    ),
    "negative": (
        {"y_err": with_value(np.ones(N), -2.0, at=[3, 5])}, ValueError,
        "Got 2 of 60 that are zero or negative, the least -2",
    ),
    "NaN": ({"y_err": with_value(np.ones(N), np.nan)}, ValueError, "y_err contains NaN"),
    "infinity": ({"y_err": with_value(np.ones(N), np.inf)}, ValueError, "contains infinity"),
    "words": ({"y_err": ["a"] * N}, ValueError, "could not convert"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_known_errors_that_cannot_be_are_named(case, method):
    arguments, error, message = ERRORS[case]
    unfitted = estimator(residual_scale="known")
    before = joblib.hash(unfitted)
    with pytest.raises(error, match=message):
        getattr(unfitted, method)(X, Y, groups=GROUPS, **arguments)
    assert joblib.hash(unfitted) == before


@pytest.mark.parametrize("residual_scale", ["shared", "by_group"])
def test_known_errors_are_not_accepted_in_silence(residual_scale):
    message = f"but residual_scale='{residual_scale}' estimates the residual scale"
    with pytest.raises(ValueError, match=message):
        estimator(residual_scale=residual_scale).fit(X, Y, groups=GROUPS, y_err=np.ones(N))


def test_a_prior_of_a_scale_that_is_known_is_an_error():
    priors = {"sigma": Prior("HalfNormal", sigma=1)}
    with pytest.raises(ValueError, match="prior for sigma, but residual_scale='known'"):
        estimator(residual_scale="known", priors=priors).fit(
            X, Y, groups=GROUPS, y_err=np.ones(N)
        )


def test_rows_without_errors_are_not_added_to_rows_with():
    model = estimator(residual_scale="known").fit(X, Y, groups=GROUPS, y_err=np.ones(N))
    before = joblib.hash(model)
    with pytest.raises(ValueError, match="Give `y_err` for all rows or for none"):
        model.partial_fit(X, Y, groups=GROUPS)
    assert joblib.hash(model) == before


@pytest.mark.parametrize("factor", [1e8, 1e-8])
def test_units_of_y_far_from_one_give_the_same_answer(factor):
    one, other = fit(draws=1000, tune=1000), fit(y=factor * Y, draws=1000, tune=1000)
    np.testing.assert_allclose(other.coef_, factor * one.coef_, rtol=1e-6)
    np.testing.assert_allclose(other.group_intercept_, factor * one.group_intercept_, rtol=1e-6)
    np.testing.assert_allclose(other.residual_scale_, factor * one.residual_scale_, rtol=1e-6)


@pytest.mark.parametrize("factor", [1e8, 1e-8])
def test_units_of_y_far_from_one_agree_with_least_squares(factor):
    dummies = np.equal.outer(GROUPS, SEEN)
    own = LinearRegression(fit_intercept=False).fit(np.hstack([X, dummies]), factor * Y)
    # Groups far apart in their noise are hardly pooled; coefficients are known to 1 / sqrt(N).
    np.testing.assert_allclose(fit(y=factor * Y).coef_, own.coef_[:2], atol=0.1 * factor)


def test_one_group_is_warned_of():
    with pytest.warns(
        UserWarning, match=r"one group only \('a'\): .* known from its prior alone"
    ):
        model = fit(groups=["a"] * N)
    assert model.group_scale_[0] > 0


DEGENERATE = {
    "constant": np.column_stack([X, np.full(N, 3.0)]),
    "zero": np.column_stack([X, np.zeros(N)]),
    "given twice": np.column_stack([X, X[:, 0]]),
    "sum of others": np.column_stack([X, X.sum(axis=1)]),
    "dummies of the groups": np.hstack([X, np.equal.outer(GROUPS, SEEN)]),
}


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("slopes", [None, [0, 2]], ids=["intercepts", "slopes"])
def test_columns_that_say_nothing_leave_a_proper_posterior(case, slopes):
    model = fit(DEGENERATE[case], draws=200, tune=200, varying_slopes=slopes)
    posterior = model.posterior_["posterior"]
    coef = posterior["coef"].to_numpy().reshape(-1, DEGENERATE[case].shape[1])
    assert np.all(np.isfinite(coef))
    # Default priors have 2.5 times the sd of y over that of the column, or its size.
    size = np.where(np.ptp(DEGENERATE[case], axis=0) > 0, DEGENERATE[case].std(axis=0), 3.0)
    size = np.where(np.any(DEGENERATE[case] != 0, axis=0), size, 1.0)
    assert np.all(coef.std(axis=0) > 0)
    assert np.all(coef.std(axis=0) < 1.5 * 2.5 * Y.std() / size)


def test_more_columns_than_rows_leave_a_proper_posterior():
    wide = np.random.default_rng(3).normal(size=(12, 15))
    model = fit(wide, Y[::5], groups=GROUPS[::5])
    coef = model.posterior_["posterior"]["coef"].to_numpy()
    assert np.all(np.isfinite(coef))
    assert np.all(coef.std(axis=(0, 1)) > 0)


def test_columns_that_say_nothing_do_not_change_predictions():
    """The sum of the two coefficients of a column given twice is known as before."""
    one, twice = fit(draws=1000), fit(DEGENERATE["given twice"], draws=1000)
    mean, std = one.predict(X, GROUPS, return_std=True)
    actual = twice.predict(DEGENERATE["given twice"], GROUPS)
    assert np.all(np.abs(actual - mean) < 0.1 * std)


def population(model, n=1):
    """Mean and std of rows of a group that was not seen, for X = 0."""
    return model.predict(np.zeros((n, 2)), groups=[None] * n, return_std=True)


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
    known = model.predict(np.zeros((2, 2)), ["a", "c"])
    assert (mean[1], std[1]) == tuple(float(v[0]) for v in population(model))
    assert np.array_equal(mean[[0, 2]], known)


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


NEW_ROWS = {
    "NaN": ((with_value(X, np.nan), GROUPS), ValueError, "Input X contains NaN"),
    "infinity": ((with_value(X, np.inf), GROUPS), ValueError, "Input X contains infinity"),
    "more features": (
        (np.zeros((N, 3)), GROUPS),
        ValueError,
        "X has 3 features, but HierarchicalNormalRegressor is expecting 2 features",
    ),
    "fewer features": ((X[:, :1], GROUPS), ValueError, "X has 1 features, but"),
    "no X": ((None, GROUPS), ValueError, "X is None, but the model was fitted with 2 columns"),
    "groups too short": (
        (X, GROUPS[:-1]),
        ValueError,
        "`groups` has 59 entries but `X` has 60 rows",
    ),
    "labels that do not hash": ((X, [{1}] * N), TypeError, "must hold hashable labels"),
    "words": ((np.full((N, 2), "a"), GROUPS), ValueError, "`X` must be numeric"),
}
METHODS = ["predict", "predict_interval", "predict_quantiles", "sample_y"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", NEW_ROWS)
def test_new_rows_that_cannot_be_are_named(case, method, model):
    rows, error, message = NEW_ROWS[case]
    before = state(model)
    with pytest.raises(error, match=message):
        getattr(model, method)(*rows)
    assert_same_state(model, before)


@pytest.fixture(scope="module")
def named():
    return fit(FRAME)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (FRAME.rename(columns={"u": "w"}), "Feature names unseen at fit time:\n- w"),
        (FRAME[["v", "u"]], "Feature names must be in the same order as they were in fit"),
        (FRAME.assign(w=0), "Feature names unseen at fit time:\n- w"),
        (FRAME[["u"]], "Feature names seen at fit time, yet now missing:\n- v"),
    ],
    ids=["renamed", "reordered", "extra", "missing"],
)
def test_wrong_feature_names_are_named(X, message, named):
    with pytest.raises(ValueError, match=message):
        named.predict(X, GROUPS)


def test_both_channels_at_once_are_an_error_at_predict(column_model):
    with pytest.raises(ValueError, match="given twice, as `groups=` and as the column 'site'"):
        column_model.predict(WITH_GROUPS, groups=GROUPS)


def test_column_of_groups_may_not_be_missing_at_predict(column_model):
    with pytest.raises(ValueError, match="yet now missing:\n- site"):
        column_model.predict(FRAME)


@pytest.mark.parametrize("value", [None, np.nan, pd.NA])
def test_column_of_missing_labels_is_predicted_from_the_population(value, column_model):
    rows = pd.DataFrame({"u": [0.0, 0.0], "v": [0.0, 0.0], "site": [value, value]})
    mean, std = column_model.predict(rows, return_std=True)
    others = rows.assign(site=["x", "a"])
    expected = column_model.predict(others, return_std=True)
    assert np.array_equal(mean, [expected[0][0]] * 2)
    assert np.array_equal(std, [expected[1][0]] * 2)


def test_column_of_labels_cannot_be_added_after_a_fit_without(model):
    with pytest.warns(UserWarning, match="Fitted without groups"):
        plain = fit(groups=None)
    with pytest.raises(
        ValueError, match="`groups` was given, but the model was fitted without"
    ):
        plain.predict(X, GROUPS)


@pytest.mark.parametrize("method", [*METHODS, "score", "log_predictive_density"])
def test_prediction_before_fit_is_an_error(method):
    arguments = (X, Y) if method in ("score", "log_predictive_density") else (X,)
    with pytest.raises(NotFittedError, match=r"is not fitted yet. Call 'fit'"):
        getattr(estimator(), method)(*arguments, groups=GROUPS)


@pytest.mark.parametrize(
    "attribute",
    [
        "shrinkage_",
        "variance_components_",
        "posterior_",
        "model_",
        "group_coef_",
        "group_intercept_",
    ],
)
def test_results_before_fit_are_an_error(attribute):
    with pytest.raises(NotFittedError, match=r"is not fitted yet. Call 'fit'"):
        getattr(estimator(), attribute)


def test_std_and_covariance_at_once_are_an_error(model):
    with pytest.raises(ValueError, match="At most one of `return_std` and `return_cov`"):
        model.predict(X, GROUPS, return_std=True, return_cov=True)


@pytest.mark.parametrize("coverage", [0, 1, -1, 95, np.nan])
def test_coverage_is_a_probability(coverage, model):
    hint = "Did you mean 0.95" if coverage == 95 else ""
    with pytest.raises(
        ValueError, match=rf"`coverage` must lie in \(0, 1\). Got {coverage}.*{hint}"
    ):
        model.predict_interval(X, GROUPS, coverage=coverage)


@pytest.mark.parametrize("coverage", ["x", None])
def test_coverage_is_a_number(coverage, model):
    with pytest.raises(TypeError, match="`coverage` must be a number"):
        model.predict_interval(X, GROUPS, coverage=coverage)


@pytest.mark.parametrize("quantiles", [[0, 0.5], [0.5, 1], [np.nan], [[0.5]], None])
def test_quantiles_are_probabilities(quantiles, model):
    with pytest.raises(ValueError, match=r"`quantiles` must be probabilities in \(0, 1\). Got"):
        model.predict_quantiles(X, GROUPS, quantiles=quantiles)


@pytest.mark.parametrize("n_samples", [0, -1, 1.5, "x", None])
def test_number_of_samples_is_a_positive_int(n_samples, model):
    with pytest.raises(ValueError, match=r"`n_samples` must be an int of at least 1. Got"):
        model.sample_y(X, GROUPS, n_samples=n_samples)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y[:-1], "`X` has 60 rows but `y` has 59 entries"),
        (with_value(Y, np.nan), "Input y contains NaN"),
        (np.column_stack([Y, Y]), "y should be a 1d array"),
    ],
    ids=["short", "NaN", "two columns"],
)
def test_targets_that_have_no_density_are_named(y, message, model):
    with pytest.raises(ValueError, match=message):
        model.log_predictive_density(X, y, GROUPS)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, MemoryError])
def test_interrupted_fit_leaves_the_estimator_as_it_was(interrupt, monkeypatch):
    model = fit()
    before = state(model)
    stop_sampling(monkeypatch, interrupt)
    with pytest.raises(interrupt):
        model.fit(X[:40], Y[:40], groups=GROUPS[:40])
    assert_same_state(model, before)


def test_interrupted_first_fit_leaves_the_estimator_unfitted(monkeypatch):
    model = estimator()
    before = dict(vars(model))
    stop_sampling(monkeypatch, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, groups=GROUPS)
    assert vars(model) == before


def test_interrupted_estimator_can_fit_again(monkeypatch, model):
    again = estimator()
    with monkeypatch.context() as patch:
        stop_sampling(patch, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            again.fit(X, Y, groups=GROUPS)
    again.fit(X, Y, groups=GROUPS)
    assert np.array_equal(again.predict(X, GROUPS), model.predict(X, GROUPS))


def test_interrupt_stops_the_chains(monkeypatch):
    stopped = stop_sampling(monkeypatch, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        fit()
    assert stopped == [True]


def test_failed_fit_on_other_columns_keeps_names_and_number(named):
    other = pd.DataFrame({"a": Y, "b": Y, "c": np.nan})
    before = joblib.hash(named)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        named.fit(other, Y, groups=GROUPS)
    assert list(named.feature_names_in_) == ["u", "v"]
    assert named.n_features_in_ == 2
    assert joblib.hash(named) == before


def test_inputs_are_not_changed():
    rows = (X.copy(), Y.copy(), GROUPS.copy())
    fit(*rows).predict(rows[0], rows[2], return_std=True)
    for given, kept in zip(rows, (X, Y, GROUPS), strict=True):
        assert np.array_equal(given, kept)


def test_warning_turned_error_leaves_the_estimator_as_it_was(model):
    """One group is warned of before sampling; as an error it ends the fit."""
    before = state(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="one group only"):
            model.fit(X, Y, groups=["a"] * N)
    assert_same_state(model, before)


def stop_sampling(monkeypatch, interrupt):
    """Let nutpie's sampler raise when waited for; return a list that is filled at its end."""
    sample, stopped = nutpie.sample, []

    class Interrupted:
        def __init__(self, sampler):
            self._sampler = sampler

        def wait(self, *args, **kwargs):
            raise interrupt

        def cancel(self):
            stopped.append(True)
            return self._sampler.cancel()

    monkeypatch.setattr(nutpie, "sample", lambda *a, **k: Interrupted(sample(*a, **k)))
    return stopped
