"""Simulation-based calibration in small: `python benchmarks/calibration` is the long run.

Parameters are drawn from the priors and rows given parameters, by code that does not know the
package. If the posterior is right, the truth is like one more draw (Talts et al. 2018,
https://arxiv.org/abs/1804.06788): its ranks among the draws are uniform, and an interval holds
a new row as often as it says.

Seeds are fixed. With others, about one run in seventy would fail by chance: some hundred ranks
are tested at a level of 1e-4, and 48 shares at 4.5 standard errors.
"""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

sys.path.append(str(Path(__file__).parents[2] / "benchmarks" / "calibration"))

from fitting import KINDS, NOMINAL, simulate
from generative import STRUCTURES, draw_correlations
from unequal import CASES
from unequal import simulate as simulate_unequal
from uniform import coverage, p_value, uniform_ranks

N_DRAWS = 30
#: Bands of this probability less than one are what ranks may not leave.
LEVEL = 1e-4
#: Data sets. Importance sampling takes longer than so few draws of NUTS.
N = {"nuts": 50, "laplace": 20}
#: The solvers have data sets of their own.
FIRST = {"nuts": 0, "laplace": 50}
SETTINGS = {
    "nuts": {"draws": 300, "tune": 200, "chains": 1},
    "laplace": {"draws": 1000, "chains": 1},
}


@cache
def outcomes(model, solver):
    """Return ranks and more for small data sets of a model."""
    first = 1000 * list(STRUCTURES).index(model) + FIRST[solver]
    return [
        simulate(STRUCTURES[model], solver, first + i, N_DRAWS, **SETTINGS[solver])
        for i in range(N[solver])
    ]


def p_values(ranks):
    """The p-value of each quantity, of a dict of ranks for each data set."""
    return {
        name: p_value(uniform_ranks([rank[name] for rank in ranks], N_DRAWS))
        for name in ranks[0]
    }


@pytest.mark.parametrize("solver", SETTINGS)
@pytest.mark.parametrize("model", STRUCTURES)
def test_ranks_of_the_truth_among_draws_are_uniform(model, solver):
    found = p_values([outcome["ranks"] for outcome in outcomes(model, solver)])
    assert {name: p for name, p in found.items() if p < LEVEL} == {}


@pytest.mark.parametrize(
    ("solver", "control"),
    # Of twenty data sets the latter would not be told apart.
    [("nuts", "effects x 0.6"), ("laplace", "effects x 0.6"), ("nuts", "tau x 2")],
)
@pytest.mark.parametrize("model", STRUCTURES)
def test_ranks_among_wrong_draws_are_not_uniform(model, solver, control):
    found = p_values([outcome["wrong"][control] for outcome in outcomes(model, solver)])
    assert min(found.values()) < LEVEL


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", SETTINGS)
@pytest.mark.parametrize("model", STRUCTURES)
def test_predictive_intervals_hold_as_many_rows_as_they_say(model, solver, kind):
    shares, error = coverage([outcome["inside"][kind] for outcome in outcomes(model, solver)])
    assert np.all(np.abs(shares - NOMINAL) < 4.5 * error)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:Pareto k:sklearn.exceptions.ConvergenceWarning")
def test_intervals_under_default_priors_hold_whatever_one_group_outweighs(case):
    n = 25
    held = [simulate_unequal(CASES[case], "laplace", seed) for seed in range(n)]
    shares, error = coverage(held)
    # True values are not drawn from the priors, which allow for more spread than there is.
    right = np.abs(shares - NOMINAL) < 0.04 + 4.5 * error
    assert not right[1].any() if CASES[case].control else right.all()


def test_correlations_that_are_simulated_have_the_marginals_of_lkj():
    """With eta 2 and three terms (r + 1) / 2 ~ Beta(5/2, 5/2): Lewandowski et al. 2009."""
    rng = np.random.default_rng(0)
    drawn = np.array([draw_correlations(3, rng) for _ in range(1000)])
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert stats.kstest((drawn[:, i, j] + 1) / 2, stats.beta(2.5, 2.5).cdf).pvalue > 1e-3


def test_p_values_of_uniform_ranks_are_uniform():
    rng = np.random.default_rng(0)
    ranks = rng.integers(N_DRAWS + 1, size=(1000, 60))
    found = np.array(
        [
            p_value(uniform_ranks(of_data_set, N_DRAWS, seed))
            for seed, of_data_set in enumerate(ranks)
        ]
    )
    for level in (0.01, 0.1, 0.5):
        error = np.sqrt(level * (1 - level) / len(found))
        assert abs(np.mean(found <= level) - level) < 4 * error
