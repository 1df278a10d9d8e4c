"""bambi with its defaults, but for the prior of sigma; PyMC samples by nutpie where it can."""

from __future__ import annotations

import logging

import numpy as np

from benchmarks.peers.draws import Draws


def prepare(case, *, cores, draws):
    import bambi
    import pandas as pd

    logging.disable(logging.INFO)
    features = [f"x{k}" for k in range(case.X.shape[1])]
    table = pd.DataFrame(case.X, columns=features)
    table["y"], table["g"] = case.y, pd.Categorical(case.groups)
    varying = "1 + x0 | g" if case.q > 1 else "1 | g"
    formula = " + ".join(["y ~ 1", *features, f"({varying})"])
    priors = {"sigma": bambi.Prior("HalfNormal", sigma=case.priors["sigma"])}

    def fit(seed):
        model = bambi.Model(formula, table, priors=priors)
        return model.fit(
            draws=draws,
            tune=draws,
            chains=4,
            cores=cores,
            random_seed=seed,
            progressbar=False,
        )

    return fit


def extract(case, tree):
    values = {k: v.to_numpy() for k, v in tree["posterior"].data_vars.items()}
    terms = ["1", "x0"][: case.q]
    population = ["Intercept", "x0"][: case.q]
    names = ["Intercept", *(f"x{k}" for k in range(case.X.shape[1]))]
    names += [*(f"{term}|g_sigma" for term in terms), "sigma"]
    hyper = [values[name] for name in names]
    if case.q > 1:
        hyper.append(np.full_like(hyper[0], np.nan))
    b = [
        values[p][..., None] + values[f"{t}|g"][..., case.judged]
        for p, t in zip(population, terms, strict=True)
    ]
    diverging = tree["sample_stats"]["diverging"].sum()
    return Draws(np.stack(hyper, -1), np.stack(b, -1), int(diverging))
