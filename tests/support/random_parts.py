"""Random covariances, points and group codes, and one structure for each of several factors."""

import numpy as np
from reference import Structure


def random_codes(rng, n, *sizes):
    """Return codes (n, n_factors) in which every group of every factor occurs."""
    codes = np.column_stack([rng.integers(0, J, n) for J in sizes])
    for f, J in enumerate(sizes):
        codes[:J, f] = np.arange(J)
    return codes


def structures_by(*varying, **shared):
    """Return a structure per factor from its slopes, before which None is for no intercept."""
    return [
        Structure(
            tuple(k for k in slopes if k is not None),
            varying_intercept=None not in slopes,
            **shared,
        )
        for slopes in varying
    ]


def random_covariance(rng, q):
    root = rng.standard_normal((q, q)) * np.exp(rng.normal(-0.5, 0.5, size=(q, 1)))
    return root @ root.T


def random_points(n_dim, n_points=6):
    return 0.5 * np.random.default_rng(5).standard_normal((n_points, n_dim))
