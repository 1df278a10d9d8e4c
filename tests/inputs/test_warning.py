"""Every warning names the line of the user, whatever lies between it and the package."""

import contextlib
import warnings

import numpy as np
import pytest
from sklearn.ensemble import BaggingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skhbm import GroupedStatistics, HierarchicalNormalRegressor, Prior
from skhbm.metrics import log_score

N = 60
RNG = np.random.default_rng(5)
X = RNG.standard_normal((N, 2))
GROUPS = np.array(list("abcdef"))[np.arange(N) % 6]
Y = X @ [1.0, -0.5] + RNG.standard_normal(6)[np.arange(N) % 6] + 0.5 * RNG.standard_normal(N)
#: Classes are numbered anew in each school.
CLASSES = np.column_stack([np.arange(N) // 10, np.arange(N) // 2 % 5])
#: Residual scales of many small groups are far from a Student-t distribution.
TAU = {"tau": Prior("HalfNormal", sigma=2)}
SIGMA = {"sigma": Prior("HalfNormal", sigma=2)}
ABSENT = "asked to predict without"
UNGROUPED = "Fitted without groups"


def estimator(**parameters):
    defaults = {"draws": 40, "chains": 2, "random_state": 0, "solver": "laplace"}
    return HierarchicalNormalRegressor(**{**defaults, **parameters})


def numbered():
    """Rows of classes whose effects have nothing to do with their numbers."""
    effects = 9 * np.random.default_rng(1).standard_normal((6, 5))[*CLASSES.T]
    return {"groups": CLASSES, "y": effects + 0.1 * Y}


def pairs():
    y = np.random.default_rng(7).standard_normal(100)
    return {"groups": np.repeat(np.arange(50), 2), "y": y}


FITS = {
    "no groups": (UNGROUPED, lambda: estimator().fit(X, Y)),
    "no groups, more to come": (UNGROUPED, lambda: estimator().partial_fit(X, Y)),
    "statistics without groups": (
        UNGROUPED,
        lambda: estimator().fit_statistics(GroupedStatistics.from_arrays(X, Y)),
    ),
    "one group": ("one group only", lambda: estimator().fit(X, Y, groups=["a"] * N)),
    "a feature": ("look like a feature", lambda: estimator().partial_fit(X, Y, X[:, 0])),
    "not identified": (
        "Or go on with more rows",
        lambda: estimator().partial_fit(X[:6], Y[:6], GROUPS[:6]),
    ),
    "far slopes": (
        "Subtract a typical value",
        lambda: estimator(varying_slopes="all", priors=TAU).fit(X + 999, Y, groups=GROUPS),
    ),
    "numbered classes": (
        "numbered anew",
        lambda: estimator().fit(None, **numbered()),
    ),
    "R-hat": (
        "R-hat",
        lambda: estimator(solver="nuts", draws=4, tune=2).fit(X, Y, groups=GROUPS),
    ),
    "Pareto k of a fit": (
        "Use solver='nuts'",
        lambda: estimator(residual_scale="by_group", priors=SIGMA).fit(None, **pairs()),
    ),
    "bagging": (UNGROUPED, lambda: BaggingRegressor(estimator(), n_estimators=1).fit(X, Y)),
    "search": (
        UNGROUPED,
        lambda: GridSearchCV(estimator(), {"correlated": [True]}, cv=2).fit(X, Y),
    ),
    "pipeline": (UNGROUPED, lambda: make_pipeline(StandardScaler(), estimator()).fit(X, Y)),
    "cross-validation": (UNGROUPED, lambda: cross_val_predict(estimator(), X, Y, cv=2)),
    "saved rows": (
        "could be read back",
        lambda: GroupedStatistics.from_arrays(X[:3], Y[:3]).save("/dev/null/no-folder"),
    ),
}

PREDICTIONS = {
    "predict": (ABSENT, lambda model: model.predict(X)),
    "predict_interval": (ABSENT, lambda model: model.predict_interval(X)),
    "predict_quantiles": (ABSENT, lambda model: model.predict_quantiles(X)),
    "sample_y": (ABSENT, lambda model: model.sample_y(X)),
    "log_predictive_density": (ABSENT, lambda model: model.log_predictive_density(X, Y)),
    "score": (ABSENT, lambda model: model.score(X, Y)),
    "a scorer": (ABSENT, lambda model: log_score(model, X, Y)),
    "another type": ("Labels like 1 cannot", lambda model: model.predict(X[:1], [1])),
    "another type, conditioned": (
        "Labels like 1 cannot",
        lambda model: model.condition_on(X[:1], Y[:1], [1]),
    ),
    "Pareto k of more rows": (
        "Use `partial_fit`",
        lambda model: model.condition_on(X, 50 * Y - 300, GROUPS),
    ),
    "Pareto k of rows left out": ("not reliable", lambda model: model.loo(X, Y, GROUPS)),
}


@pytest.fixture(scope="module")
def model():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator(residual_scale="by_group").fit(X, Y, groups=GROUPS)


def files_of(message, call, *arguments):
    """The files that warnings with these words name."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # There is no folder to write to.
        with contextlib.suppress(OSError):
            call(*arguments)
    return {w.filename for w in caught if message in str(w.message)}


@pytest.mark.parametrize("name", FITS)
def test_warnings_of_fits_name_the_line_of_the_user(name):
    assert files_of(*FITS[name]) == {__file__}


@pytest.mark.parametrize("name", PREDICTIONS)
def test_warnings_of_fitted_estimators_name_the_line_of_the_user(name, model):
    message, call = PREDICTIONS[name]
    assert files_of(message, call, model) == {__file__}
