"""Rows of several factors, their blocks, and their dense normal density."""

import numpy as np
from scipy.stats import multivariate_normal

from skhbm import GroupedStatistics
from skhbm._design import elimination
from skhbm._design.blocks import make_blocks
from skhbm._design.scaling import make_scaling
from skhbm._design.terms import Terms
from skhbm._likelihood.blocked import make_blocked

#: Slopes of each factor, and whether its intercepts vary.
DESIGNS = {
    "two factors": [((), True), ((), True)],
    "three factors": [((), True), ((), True), ((), True)],
    "slopes": [((0,), True), ((0, 1), True)],
    "slopes alone": [((1,), False), ((), True), ((0,), True)],
}


class Rows:
    """Rows of several factors, their blocks, and their dense density."""

    def __init__(self, seed, design, *, nested=False, weighted=False):
        rng = np.random.default_rng(seed)
        n, p = 60, 2
        sizes = rng.integers(2, 9, size=len(design))
        self.codes = np.column_stack(
            [
                rng.permutation(np.concatenate([np.arange(k), rng.integers(0, k, n - k)]))
                for k in sizes
            ]
        )
        if nested:
            self.codes[:, 1] = self.codes[:, 0] // 2
        self.X, self.y = rng.standard_normal((n, p)), rng.standard_normal(n)
        self.weight = rng.integers(1, 4, n).astype(float) if weighted else np.ones(n)
        statistics = GroupedStatistics.from_arrays(self.X, self.y, self.codes, self.weight)
        names = ("x0", "x1")
        self.terms = [
            Terms(names, np.array(slopes, dtype=int), True, varies, True, "shared", f % 2 == 0)
            for f, (slopes, varies) in enumerate(design)
        ]
        self.scaling = make_scaling(statistics.of_factor(0), centred=True)
        self.blocks, self.layout = make_blocks(statistics, self.scaling, self.terms)
        self.n_sparse = len(self.blocks.column_start) - 1
        self.columns = np.eye(p + 2)
        self.covs = [self.covariance(rng, len(part.varying)) for part in self.terms]
        self.sigma, self.w = rng.uniform(0.5, 1.5), rng.standard_normal(p + 1)

    @staticmethod
    def covariance(rng, q):
        root = rng.standard_normal((q, q))
        return root @ root.T + 0.1 * np.eye(q)

    def likelihood(self, mean=()):
        """Return the likelihood, the first coefficients of which are integrated out."""
        count = float(self.weight.sum())
        return make_blocked(self.blocks, self.layout, self.columns, np.array(mean), count)

    def dense(self, covs, sigma, w, prior=0):
        """Return the log density of the rows; the first `prior` coefficients are N(0, 1)."""
        times = self.weight.astype(int)
        X, codes = np.repeat(self.X, times, axis=0), np.repeat(self.codes, times, axis=0)
        y = (np.repeat(self.y, times) - self.scaling.y_mean) / self.scaling.y_scale
        fixed, _ = self.scaling.features(X, self.terms[0])
        V = sigma**2 * np.eye(len(y)) + fixed[:, :prior] @ fixed[:, :prior].T
        for f, cov in enumerate(covs):
            Z = self.scaling.features(X, self.terms[f])[1]
            V += (Z @ cov @ Z.T) * (codes[:, f, None] == codes[:, f])
        density = multivariate_normal.logpdf(y, fixed[:, prior:] @ w, V)
        return density + 0.5 * len(y) * np.log(2 * np.pi)


def choose_elimination(monkeypatch, kind):
    """Choose where L is sparse, whatever it costs."""
    if kind == "dense":
        return
    shares = {"sparse": 0.5, "natural": 0.4, "all sparse": 1.0}
    preferred = 0.0 if kind == "natural" else -1.0

    def split(_graph, order, _widths):
        in_order = np.array_equal(order, np.arange(len(order)))
        return preferred * (not in_order) - 1.0, round(shares[kind] * len(order))

    monkeypatch.setattr(elimination, "FEW", 0)
    monkeypatch.setattr(elimination, "CROWDED", np.inf)
    monkeypatch.setattr(elimination, "_cheapest_split", split)
