"""Coverage under the default priors where groups tell very different amounts.

    python benchmarks/calibration/unequal.py --simulations 500

Parameters are fixed numbers. Default priors are scaled by y, so that there is no distribution
which parameters and rows could be drawn from together. docs/user_guide/calibration.rst shows
the table that is written to docs/figures.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import norm
from uniform import coverage

from skhbm import HierarchicalNormalRegressor, Prior

TABLE = Path(__file__).parents[2] / "docs" / "figures" / "calibration_unequal.csv"
NOMINAL = (0.5, 0.8, 0.95)
KINDS = ("known", "new")
N_GROUPS = 12
#: True values: the intercept of the population, and the standard deviations.
INTERCEPT, TAU, SIGMA = 2.0, 1.0, 1.0


class Case(NamedTuple):
    """The number of rows of each group, known errors of the groups' rows, and a control.

    Priors of a control are scaled by the standard deviation of all rows alone, weighted by
    their precision, as the default priors were once. They are wrong on purpose.
    """

    sizes: np.ndarray
    errors: np.ndarray | None = None
    control: bool = False


ONE_ROW = np.ones(N_GROUPS, dtype=int)
ERRORS = np.linspace(0.2, 0.4, N_GROUPS)
ONE_PRECISE = np.append(0.003, ERRORS[1:])
ONE_HUGE = np.append(3_000, np.full(N_GROUPS - 1, 3))
CASES = {
    "12 studies, errors of 0.2 to 0.4": Case(ONE_ROW, ERRORS),
    "the same, but one error is 0.003": Case(ONE_ROW, ONE_PRECISE),
    "the same, control": Case(ONE_ROW, ONE_PRECISE, control=True),
    "12 groups of 5 rows": Case(np.full(N_GROUPS, 5)),
    "12 groups of 1, 2, 4, ... 2,048 rows": Case(2 ** np.arange(N_GROUPS)),
    "11 groups of 3 rows, one of 3,000": Case(ONE_HUGE),
}


def simulate(case, solver, seed):
    """Draw effects and rows, fit, and return the shares (2, 3) that intervals hold.

    The first line is of the groups of the fit, the second of a new one. For known errors they
    are shares of true values of studies, else of rows to come. The probability that an interval
    holds a row to come, or a value of a new group, is computed, not drawn.
    """
    rng = np.random.default_rng(seed)
    truth = rng.normal(INTERCEPT, TAU, N_GROUPS)
    codes = np.repeat(np.arange(N_GROUPS), case.sizes)
    shared = case.errors is None
    noise = np.full(len(codes), SIGMA) if shared else case.errors[codes]
    y = rng.normal(truth[codes], noise)
    estimator = HierarchicalNormalRegressor(
        residual_scale="shared" if shared else "known",
        priors=narrow_priors(y, noise) if case.control else None,
        solver=solver,
        random_state=seed,
        n_jobs=1,
    ).fit(None, y, groups=codes, y_err=None if shared else noise)
    sigma = SIGMA if shared else 0.0
    shares = np.empty((len(KINDS), len(NOMINAL)))
    for k, probability in enumerate(NOMINAL):
        labels = [*range(N_GROUPS), -1]
        bounds = estimator.predict_interval(None, groups=labels, coverage=probability)
        shares[0, k] = np.mean(held(bounds[:-1], truth, sigma))
        shares[1, k] = held(bounds[-1], INTERCEPT, np.hypot(TAU, sigma))
    return shares


def narrow_priors(y, errors):
    """Return priors as wide as the sd of all rows, weighted by their precision."""
    weight = errors**-2 / np.sum(errors**-2)
    mean = np.sum(weight * y)
    scale = 2.5 * np.sqrt(np.sum(weight * (y - mean) ** 2))
    return {
        "intercept": Prior("Normal", mu=mean, sigma=scale),
        "tau": Prior("HalfNormal", sigma=scale),
    }


def held(bounds, mean, sd):
    """Return the probability of a normal variable to be within bounds (..., 2)."""
    lower, upper = np.asarray(bounds).T
    if sd == 0:
        return (lower <= mean) & (mean <= upper)
    return norm.cdf(upper, mean, sd) - norm.cdf(lower, mean, sd)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=500, help="data sets of a case")
    parser.add_argument("--solver", default="laplace", choices=("nuts", "laplace"))
    parser.add_argument("--jobs", type=int, default=-1, help="processes")
    arguments = parser.parse_args()
    rows = [["data", "groups", *(f"{100 * c:g} %" for c in NOMINAL)]]
    with Parallel(n_jobs=arguments.jobs) as parallel:
        for name, case in CASES.items():
            seeds = range(arguments.simulations)
            shares = parallel(delayed(simulate)(case, arguments.solver, s) for s in seeds)
            rows += lines(name, np.array(shares))
            print(*rows[-len(KINDS) :], sep="\n", flush=True)
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def lines(name, shares):
    """Return the two lines of a case in the table, from shares (n, 2, 3)."""
    for kind, of_kind in zip(KINDS, shares.swapaxes(0, 1), strict=True):
        mean, error = coverage(of_kind)
        cells = [f"{100 * m:.1f} ± {100 * e:.1f}" for m, e in zip(mean, error, strict=True)]
        yield [name, kind, *cells]


if __name__ == "__main__":
    main()
