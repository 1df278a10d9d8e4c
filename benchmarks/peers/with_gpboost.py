"""gpboost's mixed model: maximum likelihood; effects of a group are independent."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.draws import Estimate


def prepare(case, *, cores, draws):
    del draws
    import gpboost

    exog = np.column_stack([np.ones(len(case.y)), case.X])
    slopes = {}
    if case.q > 1:
        slopes = {
            "group_rand_coef_data": case.X[:, 0],
            "ind_effect_group_rand_coef": [1],
        }

    def fit(seed):
        del seed
        model = gpboost.GPModel(
            group_data=case.groups, likelihood="gaussian", num_parallel_threads=cores, **slopes
        )
        model.fit(y=case.y, X=exog)
        return model

    return fit


def extract(case, model):
    variances = np.asarray(model.get_cov_pars()).ravel()
    coef = np.asarray(model.get_coef()).ravel()
    taus = np.sqrt(variances[1:])
    corr = [np.nan] if case.q > 1 else []
    return Estimate(np.r_[coef, taus, np.sqrt(variances[0]), corr])
