"""The textbook model, centred, in PyMC, sampled by nutpie; what is compiled is kept."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.draws import Draws


def build(case):
    import pymc as pm

    priors, q, J = case.priors, case.q, case.n_groups
    W, x, g = case.W, case.X[:, 0] if q > 1 else None, case.groups
    with pm.Model() as model:
        population = pm.Normal("population", priors["mean"], priors["population"])
        sigma = pm.HalfNormal("sigma", priors["sigma"])
        if q == 1:
            tau = pm.HalfNormal("tau", priors["population"][0])
            b = pm.Normal("b", population[0], tau, shape=J)
            mu = b[g]
        else:
            sd = pm.HalfNormal.dist(priors["population"])
            chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=2, sd_dist=sd)
            b = pm.MvNormal("b", population, chol=chol, shape=(J, 2))
            mu = b[g, 0] + b[g, 1] * x
        if W.shape[1]:
            coef = pm.Normal("coef", 0, priors["coef"])
            mu = mu + W @ coef
        pm.Normal("y", mu, sigma, observed=case.y)
    return model


def prepare(case, *, cores, draws):
    import nutpie

    compiled = nutpie.compile_pymc_model(build(case))

    def fit(seed):
        return nutpie.sample(
            compiled,
            draws=draws,
            tune=draws,
            chains=4,
            cores=cores,
            seed=seed,
            save_warmup=False,
            progress_bar=False,
        )

    return fit


def extract(case, tree):
    values = {k: v.to_numpy() for k, v in tree["posterior"].data_vars.items()}
    shape = values["sigma"].shape
    if case.q > 1:
        taus, corr = values["chol_stds"], [values["chol_corr"][..., 0, 1:]]
    else:
        taus, corr = values["tau"][..., None], []
    coef = values.get("coef", np.empty((*shape, 0)))
    hyper = [values["population"], coef, taus, values["sigma"][..., None], *corr]
    b = values["b"].reshape(*shape, case.n_groups, case.q)[:, :, case.judged]
    diverging = tree["sample_stats"]["diverging"].sum()
    return Draws(np.concatenate(hyper, -1), b, int(diverging))
