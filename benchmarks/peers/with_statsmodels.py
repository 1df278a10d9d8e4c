"""MixedLM of statsmodels: restricted maximum likelihood."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.draws import Estimate


def prepare(case, *, cores, draws):
    del cores, draws
    from statsmodels.api import MixedLM

    exog = np.column_stack([np.ones(len(case.y)), case.X])

    def fit(seed):
        del seed
        return MixedLM(case.y, exog, groups=case.groups, exog_re=case.Z).fit()

    return fit


def extract(case, fitted):
    covariance = np.asarray(fitted.cov_re)
    taus = np.sqrt(np.diag(covariance))
    corr = [covariance[0, 1] / np.prod(taus)] if case.q > 1 else []
    return Estimate(np.r_[fitted.fe_params, taus, np.sqrt(fitted.scale), corr])
