"""The textbook model, centred, in Stan, by stanli, which interprets it."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.draws import Draws

DATA = """
data {
  int N; int K; int J;
  matrix[N, K] W; vector[N] x; vector[N] y; array[N] int g;
  vector[Q] prior_mean; vector[Q] prior_population; vector[K] prior_coef; real prior_sigma;
}
"""
PARAMETERS = """
parameters {
  vector[Q] population; vector[K] coef;
  vector<lower=0>[Q] tau; real<lower=0> sigma;
  GROUPS
}
"""
PRIORS = """
  population ~ normal(prior_mean, prior_population);
  coef ~ normal(0, prior_coef);
  tau ~ normal(0, prior_population);
  sigma ~ normal(0, prior_sigma);
"""
#: Number of varying terms -> declarations, prior, mean of a row without W.
GROUPS = {
    1: ("vector[J] b;", "b ~ normal(population[1], tau[1]);", "b[g]"),
    2: (
        "cholesky_factor_corr[2] L; array[J] vector[2] b;",
        "L ~ lkj_corr_cholesky(2); "
        "b ~ multi_normal_cholesky(population, diag_pre_multiply(tau, L));",
        "to_vector(b[g, 1]) + to_vector(b[g, 2]) .* x",
    ),
}


def program(q):
    declared, prior, mean = GROUPS[q]
    likelihood = f"y ~ normal_id_glm(W, {mean}, coef, sigma);"
    blocks = [DATA, PARAMETERS.replace("GROUPS", declared)]
    blocks.append(f"model {{ {PRIORS} {prior} {likelihood} }}\n")
    return "".join(blocks).replace("[Q]", f"[{q}]")


def prepare(case, *, cores, draws):
    import stanli

    priors = case.priors
    data = {
        "N": len(case.y),
        "K": case.W.shape[1],
        "J": case.n_groups,
        "W": case.W,
        "x": case.X[:, 0] if case.q > 1 else np.zeros(len(case.y)),
        "y": case.y,
        "g": case.groups + 1,
        "prior_mean": priors["mean"],
        "prior_population": priors["population"],
        "prior_coef": priors["coef"],
        "prior_sigma": float(priors["sigma"]),
    }
    model = stanli.Model(stan_code=program(case.q), data=data)

    def fit(seed):
        return model.sample(
            seed=seed, chains=4, warmup=draws, samples=draws, parallel_chains=cores, refresh=0
        )

    return fit


def extract(case, fit):
    shape = fit.draws("sigma").shape

    def get(name, *dims):
        # Draws of all chains in turn, in the declared shape.
        return fit[name].reshape(*shape, *dims)

    k = case.W.shape[1]
    coef = get("coef", k) if k else np.empty((*shape, 0))
    hyper = [get("population", case.q), coef, get("tau", case.q)]
    hyper.append(get("sigma", 1))
    if case.q > 1:
        hyper.append(get("L", 2, 2)[..., 1, :1])
    b = get("b", case.n_groups, case.q)[:, :, case.judged]
    return Draws(np.concatenate(hyper, -1), b, int(np.sum(fit.divergences)))
