"""Mixtures of normals, and their ranked score as a sum over pairs of components."""

import numpy as np
from scipy.special import ndtr
from scipy.stats import norm

N_ROWS, N_DRAWS = 6, 300

#: Spread of the means, least and largest standard deviation. The last three are not worth a
#: series: components so narrow beside the mixture are summed one by one, or pair by pair.
KINDS = {
    "one normal": (0.0, 1.0, 1.0),
    "like a posterior": (0.1, 0.9, 1.1),
    "wide means": (4.0, 0.8, 1.5),
    "scales of all sizes": (0.5, 0.05, 5.0),
    "narrow": (20.0, 0.01, 0.02),
    "nearly points": (1.0, 1e-9, 1e-9),
    "points and a wide one": (1.0, 1e-8, 3.0),
}
#: Distances from the centre, in spreads: in the middle, and far out.
POSITIONS = [0.0, 0.3, -1.5, 4.0, -9.0, 50.0]


def mixtures(kind, n_draws=N_DRAWS):
    """Return means, standard deviations (n, n_draws) and positions (n,) of made mixtures."""
    rng = np.random.default_rng(83)
    spread, least, most = KINDS[kind]
    mean = 7.0 + spread * rng.standard_normal((N_ROWS, n_draws))
    sd = np.exp(rng.uniform(np.log(least), np.log(most), size=mean.shape))
    scale = np.sqrt(np.mean(sd**2, axis=1) + np.var(mean, axis=1))
    return mean, sd, mean.mean(axis=1) + scale * POSITIONS


def absolute(mean, sd):
    """Return E|X| of normals."""
    return mean * (2 * ndtr(mean / sd) - 1) + 2 * sd * norm.pdf(mean / sd)


def double_sum(mean, sd, y):
    """Grimit, Gneiting, Berrocal & Johnson (2006), eq. 5."""
    pairs = absolute(mean[:, None] - mean, np.hypot(sd[:, None], sd))
    return np.mean(absolute(y - mean, sd)) - np.mean(pairs) / 2
