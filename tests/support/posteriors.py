"""Comparisons of posteriors: within Monte Carlo error, or to rounding."""

import numpy as np
from reference import mcse


def dataset(model):
    return model.posterior_["posterior"].to_dataset()


def assert_same_posterior(one, other, *, names=None, slack=0.0):
    """Compare means and sds within five standard errors of both.

    `names` maps variables of the first to those of the other, dims in the same order.
    """
    first, second = dataset(one), dataset(other)
    for name in names or first.data_vars:
        a, b = first[name].to_numpy(), second[(names or {}).get(name, name)].to_numpy()
        error = np.hypot(mcse(a), mcse(b))
        difference = np.abs(a.mean(axis=(0, 1)) - b.mean(axis=(0, 1)))
        assert np.all(difference <= 5 * error + slack), name
        # The diagonal of a matrix of correlations has no sd, and no error of it.
        varies = a.std(axis=(0, 1)) > 1e-12
        if not varies.all():
            a, b = a[:, :, varies], b[:, :, varies]
        error = np.hypot(mcse(a, "sd"), mcse(b, "sd"))
        difference = np.abs(a.std(axis=(0, 1)) - b.std(axis=(0, 1)))
        assert np.all(difference <= 5 * error + slack), name
