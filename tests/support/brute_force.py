"""Predictions from the draws in `posterior_` alone: effects of new groups are drawn."""

import numpy as np
from posteriors import dataset
from reference import mcse
from scipy import stats


class BruteForce:
    """Draws of the expectation of each row given its groups, and of its residual scale.

    `labels` has the labels of each factor, in the order of the fit; a missing label is None.
    A new group has a residual scale from the hierarchical prior, or from HalfNormal(2).
    """

    def __init__(self, model, X, labels):
        posterior, rng = dataset(model), np.random.default_rng(47)
        draws = {name: values.to_numpy() for name, values in posterior.data_vars.items()}
        shape = draws["coef"].shape[:2]
        self.mean = draws["coef"] @ X.T
        if "intercept" in draws:
            self.mean += draws["intercept"][..., None]
        features = posterior["feature"].to_numpy().tolist()
        for f in labels:
            terms = posterior[f"{f}_term"].to_numpy()
            Z = np.column_stack(
                [
                    np.ones(len(X)) if t == "intercept" else X[:, features.index(t)]
                    for t in terms
                ]
            )
            tau, corr = draws[f"tau_{f}"], draws.get(f"corr_{f}", np.eye(len(terms)))
            cov = corr * tau[..., :, None] * tau[..., None, :]
            root = np.linalg.cholesky(cov)
            codes, new = codes_of(posterior, f), {}
            for i, label in enumerate(labels[f]):
                key = f"missing {i}" if label is None else label
                if key in codes:
                    effect = draws[f"effect_{f}"][:, :, codes[key]]
                else:
                    z = rng.standard_normal((*shape, len(terms), 1))
                    effect = new.setdefault(key, (root @ z)[..., 0])
                self.mean[..., i] += effect @ Z[i]
        first = next(iter(labels))
        self.sigma = scales(draws, codes_of(posterior, first), labels[first], rng)
        self.y = self.mean + self.sigma * rng.standard_normal(self.mean.shape)

    def below(self, x):
        """Return the probability of less than x in each draw; without noise it is 0 or 1."""
        with np.errstate(divide="ignore", invalid="ignore"):
            smooth = stats.norm.cdf((x - self.mean) / self.sigma)
        return np.where(self.sigma > 0, smooth, self.mean <= x)


def codes_of(posterior, factor):
    """Return the position of each label among the groups of a factor."""
    return {label: j for j, label in enumerate(posterior[factor].to_numpy().tolist())}


def scales(draws, codes, labels, rng):
    """Return draws of the residual scales of rows, zero with known errors."""
    shape = draws["coef"].shape[:2]
    if "sigma" not in draws:
        return np.zeros((*shape, len(labels)))
    sigma = draws["sigma"]
    if sigma.ndim == 2:
        return np.repeat(sigma[..., None], len(labels), axis=2)
    if "log_sigma_mean" in draws:
        z = rng.standard_normal(shape)
        new = np.exp(draws["log_sigma_mean"] + draws["log_sigma_sd"] * z)
    else:
        new = np.abs(2 * rng.standard_normal(shape))
    return np.stack(
        [sigma[..., codes[label]] if label in codes else new for label in labels], axis=2
    )


def average(values):
    """Return the mean over draws and its Monte Carlo error, that of other draws included."""
    return values.mean(axis=(0, 1)), np.sqrt(2) * mcse(values)
