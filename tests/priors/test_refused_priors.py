"""Priors: each mistake is named in a sentence, and nothing fitted changes by it."""

import numpy as np
import pytest
from marks import FEW_DRAWS
from three_sites import GROUPS, N, X, Y, estimator, fit

from skhbm import Prior

pytestmark = FEW_DRAWS


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


def test_a_prior_of_a_scale_that_is_known_is_an_error():
    priors = {"sigma": Prior("HalfNormal", sigma=1)}
    with pytest.raises(ValueError, match="prior for sigma, but residual_scale='known'"):
        estimator(residual_scale="known", priors=priors).fit(
            X, Y, groups=GROUPS, y_err=np.ones(N)
        )
