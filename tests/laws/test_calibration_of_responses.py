"""Simulation-based calibration of responses that are not normal, in small.

Parameters are drawn from the priors and rows given parameters, by code that does not know the
package (Talts et al. 2018, https://arxiv.org/abs/1804.06788). Some forty ranks are tested at a
level of 1e-4, with fixed seeds.
"""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

import skhbm
from skhbm import Prior

sys.path.append(str(Path(__file__).parents[2] / "benchmarks" / "calibration"))

from uniform import p_value, uniform_ranks

N_DRAWS, LEVEL = 30, 1e-4
N_GROUPS, N_ROWS = 8, 6
N = {"nuts": 30, "laplace": 50}
SETTINGS = {
    "nuts": {"draws": 300, "tune": 300, "chains": 1},
    "laplace": {"draws": 1000, "chains": 1},
}
PRIORS = {
    "intercept": Prior("Normal", mu=0.3, sigma=0.8),
    "coef": Prior("Normal", mu=0, sigma=0.7),
    "tau": Prior("HalfNormal", sigma=0.8),
}
OF_T = {"sigma": Prior("HalfNormal", sigma=0.7), "nu": Prior("Gamma", alpha=2, beta=0.3)}
RESPONSES = {
    "logistic": ("HierarchicalLogisticRegression", {}),
    "poisson": ("HierarchicalPoissonRegressor", {}),
    "student t": ("HierarchicalStudentTRegressor", OF_T),
}
#: Probabilities of the intervals of known and of new groups.
NOMINAL = np.array([0.5, 0.8])


def draw_truth(rng, response):
    """Draw parameters from the priors."""
    truth = {
        "intercept": rng.normal(0.3, 0.8),
        "coef": rng.normal(0, 0.7),
        "tau": abs(rng.normal(0, 0.8)),
    }
    if response == "student t":
        truth |= {"sigma": abs(rng.normal(0, 0.7)), "nu": rng.gamma(2, 1 / 0.3)}
    return truth


def draw_rows(rng, response, truth, eta):
    """Draw a response given its linear predictor."""
    if response == "logistic":
        return (rng.random(len(eta)) < expit(eta)).astype(int)
    if response == "poisson":
        return rng.poisson(np.exp(eta))
    return eta + truth["sigma"] * rng.standard_t(truth["nu"], len(eta))


def one_outcome(response, solver, seed):
    """Return ranks of the truth, ranks among wrong draws, and what intervals hold."""
    rng = np.random.default_rng([seed, list(RESPONSES).index(response)])
    truth = draw_truth(rng, response)
    codes = np.repeat(np.arange(N_GROUPS), N_ROWS)
    x = rng.standard_normal((len(codes), 1))
    effects = truth["tau"] * rng.standard_normal(N_GROUPS + 1)
    eta = truth["intercept"] + truth["coef"] * x[:, 0]
    y = draw_rows(rng, response, truth, eta + effects[codes])
    if response == "logistic" and len(np.unique(y)) == 1:
        return None
    name, more = RESPONSES[response]
    model = getattr(skhbm, name)(
        solver=solver, priors={**PRIORS, **more}, random_state=seed, **SETTINGS[solver]
    )
    draws = model.fit(x, y, groups=codes).posterior_["posterior"]
    step = draws.sizes["draw"] // N_DRAWS
    thinned = {k: v.to_numpy()[0, ::step][:N_DRAWS] for k, v in draws.data_vars.items()}
    of_truth = {**truth, "effect": effects[0]}
    found = {
        "intercept": thinned["intercept"], "coef": thinned["coef"][:, 0],
        "tau": thinned["tau_group"][:, 0], "effect": thinned["effect_group"][:, 0, 0],
        **{k: thinned[k] for k in ("sigma", "nu") if k in thinned},
    }  # fmt: skip
    ranks = {k: int(np.sum(found[k] < of_truth[k])) for k in found}
    wrong = int(np.sum(found["effect"] * 0.5 < of_truth["effect"]))
    inside = []
    # Expectations of the first group, and of one that is new.
    for label, effect in ((0, effects[0]), (99, effects[-1])):
        value = truth["intercept"] + truth["coef"] * 0.5 + effect
        held = [
            model.predict_interval([[0.5]], groups=[label], coverage=c, kind="mean")[0]
            for c in NOMINAL
        ]
        links = {"logistic": expit, "poisson": np.exp, "student t": float}
        inside.append([low <= links[response](value) <= high for low, high in held])
    return ranks, wrong, inside


@cache
def outcomes(response, solver):
    found = [one_outcome(response, solver, seed) for seed in range(N[solver])]
    return [outcome for outcome in found if outcome is not None]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:The mean rate")
@pytest.mark.parametrize("solver", SETTINGS)
@pytest.mark.parametrize("response", RESPONSES)
class TestCalibration:
    def test_ranks_of_the_truth_are_uniform(self, response, solver):
        """A data set of one class only is no data set: the others' ranks are slightly off."""
        ranks = [of_set for of_set, _, _ in outcomes(response, solver)]
        found = {
            name: p_value(uniform_ranks([rank[name] for rank in ranks], N_DRAWS))
            for name in ranks[0]
        }
        assert {name: p for name, p in found.items() if p < LEVEL} == {}

    def test_intervals_hold_as_often_as_they_say(self, response, solver):
        inside = np.array([held for _, _, held in outcomes(response, solver)], dtype=float)
        shares = inside.mean(axis=0)
        for of_kind in shares:
            for share, nominal in zip(of_kind, NOMINAL, strict=True):
                # The probability of so many or fewer, or so many or more.
                n = len(inside)
                test = stats.binomtest(round(share * n), n, nominal)
                assert test.pvalue > 1e-4


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("response", RESPONSES)
def test_ranks_among_wrong_draws_are_not_uniform(response):
    """Effects that are halved leave the truth at the ends."""
    wrong = [rank for s in SETTINGS for _, rank, _ in outcomes(response, s)]
    assert p_value(uniform_ranks(wrong, N_DRAWS)) < LEVEL
