"""The textbook model, centred, in NumPyro, in double precision on CPUs.

Each chain has a device of its own, so that they run at once; what is compiled is kept.
"""

from __future__ import annotations

import numpy as np

from benchmarks.peers.draws import Draws


def make_model(case):
    import numpyro
    import numpyro.distributions as dist

    priors, q, J = case.priors, case.q, case.n_groups

    def model(W, x, g, y):
        population = numpyro.sample(
            "population", dist.Normal(priors["mean"], priors["population"]).to_event(1)
        )
        sigma = numpyro.sample("sigma", dist.HalfNormal(priors["sigma"]))
        tau = numpyro.sample("tau", dist.HalfNormal(priors["population"]).to_event(1))
        if q == 1:
            effects = dist.Normal(population, tau).to_event(1)
        else:
            omega = numpyro.sample("omega", dist.LKJCholesky(2, concentration=2.0))
            effects = dist.MultivariateNormal(population, scale_tril=tau[:, None] * omega)
        with numpyro.plate("group", J):
            b = numpyro.sample("b", effects)
        mu = b[g, 0]
        if q > 1:
            mu = mu + b[g, 1] * x
        if W.shape[1]:
            coef = numpyro.sample("coef", dist.Normal(0.0, priors["coef"]).to_event(1))
            mu = mu + W @ coef
        numpyro.sample("y", dist.Normal(mu, sigma), obs=y)

    return model


def prepare(case, *, cores, draws):
    del cores  # XLA's threads share the CPUs that there are.
    import jax
    import numpyro
    from numpyro.infer import MCMC, NUTS

    numpyro.enable_x64()
    numpyro.set_host_device_count(4)
    # The same arrays in every call: what is compiled is kept for them.
    rows = (case.W, case.X[:, 0] if case.q > 1 else None, case.groups, case.y)
    mcmc = MCMC(
        NUTS(make_model(case)),
        num_warmup=draws,
        num_samples=draws,
        num_chains=4,
        chain_method="parallel",
        progress_bar=False,
    )

    def fit(seed):
        mcmc.run(jax.random.PRNGKey(seed), *rows)
        samples = mcmc.get_samples(group_by_chain=True)
        return jax.block_until_ready(samples), mcmc.get_extra_fields()["diverging"]

    return fit


def extract(case, fitted):
    samples, diverging = fitted
    values = {k: np.asarray(v) for k, v in samples.items()}
    coef = values.get("coef", np.empty((*values["sigma"].shape, 0)))
    hyper = [values["population"], coef, values["tau"], values["sigma"][..., None]]
    if case.q > 1:
        # The correlation of two terms is this entry of the Cholesky factor.
        hyper.append(values["omega"][..., 1, :1])
    b = values["b"][:, :, case.judged]
    return Draws(np.concatenate(hyper, -1), b, int(np.sum(diverging)))
