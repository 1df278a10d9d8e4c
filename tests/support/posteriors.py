"""Comparisons of posteriors: within Monte Carlo error, or to rounding."""

import numpy as np
from reference import assert_equal_to_rounding, mcse


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
        # The diagonal of a matrix of correlations has an sd of zero, without an error.
        varies = a.std(axis=(0, 1)) > 1e-12
        if not varies.all():
            a, b = a[:, :, varies], b[:, :, varies]
        error = np.hypot(mcse(a, "sd"), mcse(b, "sd"))
        difference = np.abs(a.std(axis=(0, 1)) - b.std(axis=(0, 1)))
        assert np.all(difference <= 5 * error + slack), name


def assert_same_weighted_posterior(actual, expected):
    """Compare draws that were weighted and drawn again with other draws."""
    n_effective = actual.diagnostics_["min_ess"]
    ours, theirs = dataset(actual), dataset(expected)
    for name in theirs.data_vars:
        a, b = ours[name].to_numpy(), theirs[name].to_numpy()
        assert a.shape == b.shape
        if name.startswith("corr_"):
            a, b = a[..., 0, 1], b[..., 0, 1]
        sd = b.std(axis=(0, 1))
        error = np.hypot(sd / np.sqrt(n_effective), mcse(b))
        assert np.all(np.abs(a.mean(axis=(0, 1)) - b.mean(axis=(0, 1))) <= 5 * error)
        error = np.hypot(sd / np.sqrt(n_effective), mcse(b, "sd"))
        assert np.all(np.abs(a.std(axis=(0, 1)) - sd) <= 6 * error)


def assert_same_draws(actual, expected, *, scale=1.0, shift=0.0, rtol=1e-6):
    """Compare all draws to rounding, the expected ones in a unit and from an origin of y."""
    ours, theirs = dataset(actual), dataset(expected)
    assert ours.data_vars.keys() == theirs.data_vars.keys()
    for name, values in theirs.data_vars.items():
        moved = scale * values + shift * (name == "intercept")
        assert_equal_to_rounding(ours[name], moved, rtol=rtol)
