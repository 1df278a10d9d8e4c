"""skhbm: default settings, which are the priors of the case."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.peers.draws import Draws


def prepare(case, *, cores, draws, solver="nuts"):
    from skhbm import HierarchicalNormalRegressor

    settings = {"solver": solver, "draws": draws, "tune": draws, "n_jobs": cores}
    slopes = [0] if case.q > 1 else None
    X = case.X if case.X.shape[1] else None

    def fit(seed):
        started = time.perf_counter()
        model = HierarchicalNormalRegressor(
            varying_slopes=slopes, random_state=seed, **settings
        ).fit(X, case.y, groups=case.groups)
        fitted = time.perf_counter() - started
        # The effects of the groups are drawn here, as all others have drawn them by now.
        posterior = model.posterior_["posterior"].to_dataset()
        return model, posterior, fitted

    return fit


def extract(case, fitted):
    model, posterior, seconds = fitted
    values = {name: variable.to_numpy() for name, variable in posterior.data_vars.items()}
    shape = values["intercept"].shape
    coef = values.get("coef", np.empty((*shape, 0)))
    hyper = [values["intercept"][..., None], coef, values["tau_group"]]
    hyper += [values["sigma"][..., None]]
    if case.q > 1:
        hyper += [values["corr_group"][..., 0, 1:]]
    population = np.concatenate([values["intercept"][..., None], coef[..., : case.q - 1]], -1)
    b = population[:, :, None] + values["effect_group"][:, :, case.judged]
    extra = {"fit_alone": seconds}
    effective = np.inf
    if model.diagnostics_["pareto_k"] is not None:
        extra["pareto_k"] = float(model.diagnostics_["pareto_k"])
        effective = model.diagnostics_["min_ess"]
    divergences = model.diagnostics_["n_divergences"]
    return Draws(np.concatenate(hyper, -1), b, divergences, effective, extra)
