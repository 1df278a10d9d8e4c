"""Fits of simulated rows: ranks of what was drawn, and whether intervals hold held-out rows."""

from __future__ import annotations

import warnings
from unittest import mock

import numpy as np
from generative import (
    COEF_SD,
    INTERCEPT_SD,
    LOG_MEAN_SD,
    LOG_SD_SCALE,
    SIGMA_SCALE,
    TAU_SCALES,
    draw_groups,
    draw_hyperparameters,
    draw_target,
    make_rows,
    quantities,
)
from sklearn.exceptions import ConvergenceWarning

from skhbm import HierarchicalNormalRegressor, Prior

NOMINAL = (0.5, 0.8, 0.95)
KINDS = ("known", "new")
#: Times that each row to predict is drawn, given the parameters. New groups are new each time.
REPLICATES = 100


#: Negative controls: parameters whose draws are multiplied, and by what, in a right fit. The
#: coarser two are for the few data sets of the tests.
CONTROLS = {
    "effects x 0.8": ("effect_", 0.8),
    "tau x 1.2": ("tau_", 1.2),
    "effects x 0.6": ("effect_", 0.6),
    "tau x 2": ("tau_", 2.0),
}


def falsify(draws, prefix, factor):
    """Return wrong draws, to be found out."""
    return {
        name: factor * values if name.startswith(prefix) else values
        for name, values in draws.items()
    }


def make_estimator(structure, solver, **settings):
    """Return the estimator whose model, with its priors, is that of `generative`."""
    terms = {term for factor in structure.sizes for term in structure.terms(factor)}
    priors = {
        "intercept": Prior("Normal", mu=0, sigma=INTERCEPT_SD),
        "coef": Prior("Normal", mu=0, sigma=COEF_SD),
        "tau": {term: Prior("HalfNormal", sigma=TAU_SCALES[term]) for term in terms},
        "corr": Prior("LKJCorr", eta=2),
        "sigma": Prior("HalfNormal", sigma=SIGMA_SCALE),
    }
    if structure.by_group:
        del priors["sigma"]  # an explicit one would make the scales independent
    return HierarchicalNormalRegressor(
        varying_slopes={factor: list(slopes) for factor, slopes in structure.slopes.items()},
        residual_scale="by_group" if structure.by_group else "shared",
        priors=priors,
        solver=solver,
        n_jobs=1,
        **settings,
    )


def fixed_priors(design):
    """Stand in for the hierarchical prior of residual scales by group, which y scales."""
    del design
    mean = Prior("Normal", mu=0.0, sigma=LOG_MEAN_SD)
    return [mean, Prior("HalfNormal", sigma=LOG_SD_SCALE)]


def fit(estimator, rows, y, **metadata):
    """Fit under fixed priors, without a word of convergence, which is counted instead."""
    with (
        mock.patch("skhbm._density.assemble.hierarchical_priors", fixed_priors),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", ConvergenceWarning)
        # Rows of crossed factors look, in one data set of a hundred or so, like nested ones.
        warnings.filterwarnings("ignore", "The labels of .* look as if numbered anew")
        return estimator.fit(rows.X, y, groups=rows.labels(), **metadata)


def thinned(estimator, n):
    """Return n draws of all parameters of ``posterior_``, as far apart as can be.

    Ranks among draws that depend on one another are not uniform, and those of a chain
    hardly do so ten draws apart.
    """
    posterior = estimator.posterior_["posterior"]
    draws = {}
    for name, variable in posterior.data_vars.items():
        values = variable.transpose("chain", "draw", ...).to_numpy()
        flat = values.reshape(-1, *values.shape[2:])
        draws[name] = flat[:: len(flat) // n][:n]
    return draws


def rank(truth, draws, rng):
    """Return the rank of the truth among draws, at random among its equals.

    Importance resampling repeats draws.
    """
    ties = np.count_nonzero(draws == truth)
    return int(np.count_nonzero(draws < truth) + rng.integers(ties + 1))


def inside(estimator, X, groups, y):
    """Return the share (3,) of y (n, n_rows) within intervals of each nominal coverage."""
    bounds = [
        estimator.predict_interval(X, groups=groups, coverage=coverage).T
        for coverage in NOMINAL
    ]
    return np.array([np.mean((lower <= y) & (y <= upper)) for lower, upper in bounds])


def simulate(structure, solver, seed, n_draws, *, twice=False, **settings):
    """Draw parameters and rows, fit, and return ranks, coverage and diagnostics.

    Parameters
    ----------
    structure : Structure
    solver : str
    seed : int
        Of the parameters, the rows and the fit: they are the same for all solvers.
    n_draws : int
        Number of draws that the truth is ranked among.
    twice : bool, default=False
        Whether to count each row twice: a negative control.
    **settings
        Of the estimator.

    Returns
    -------
    dict
        "ranks", a dict from quantities to an int; "wrong", one such dict for each negative
        control; "inside", a dict from kinds of rows to shares (3,); "diagnostics".
    """
    rng = np.random.default_rng(seed)
    rows = make_rows(structure)
    hyperparameters = draw_hyperparameters(structure, rng)
    truth = draw_groups(hyperparameters, structure, 1, rng)
    y = draw_target(truth, structure, rows["fit"], 1, rng)[0]
    estimator = make_estimator(structure, solver, random_state=seed, **settings)
    weight = {"sample_weight": np.full(len(y), 2.0)} if twice else {}
    fit(estimator, rows["fit"], y, **weight)
    true = quantities(truth, structure, rows["fit"], y)

    def ranks(draws):
        drawn = quantities(draws, structure, rows["fit"], y)
        return {name: rank(true[name][0], drawn[name], rng) for name in true}

    def shares(kind):
        own, new = rows[kind], kind == "new"
        given = draw_groups(hyperparameters, structure, REPLICATES, rng) if new else truth
        drawn = draw_target(given, structure, own, REPLICATES, rng)
        return inside(estimator, own.X, own.labels("new " if new else ""), drawn)

    draws = thinned(estimator, n_draws)
    return {
        "ranks": ranks(draws),
        "wrong": {name: ranks(falsify(draws, *how)) for name, how in CONTROLS.items()},
        "inside": {kind: shares(kind) for kind in KINDS},
        "diagnostics": estimator.diagnostics_,
    }
