"""Compile all functions: ``python -m skhbm`` fills the cache, of a container's image say."""

from __future__ import annotations

import os
import sys
import time
import warnings
from typing import Any

import numpy as np

from skhbm import HierarchicalNormalRegressor
from skhbm.metrics import neg_crps

__all__ = ["main"]

#: Models that need all compiled functions between them: parameters, and numbers of levels.
MODELS: tuple[tuple[dict[str, Any], tuple[int, ...]], ...] = (
    ({}, (8,)),
    ({"varying_slopes": "all", "correlated": False}, (8,)),
    ({"varying_slopes": "all", "solver": "laplace"}, (8,)),
    ({"residual_scale": "by_group", "solver": "laplace"}, (8,)),
    ({"residual_scale": "known"}, (8,)),
    ({"varying_slopes": {"a": [0]}}, (12, 6)),
    ({"solver": "laplace"}, (12, 6, 5)),
)


def main() -> int:
    """Fit small models, ask them everything, and say how long that took."""
    started = time.perf_counter()
    with warnings.catch_warnings():
        # The draws are far too few, which is of no interest here.
        warnings.simplefilter("ignore")
        for parameters, sizes in MODELS:
            _use(parameters, sizes)
    folder = os.environ.get("NUMBA_CACHE_DIR", "the package or the user's cache folder")
    line = f"skhbm is compiled, in {folder}: {time.perf_counter() - started:.0f} s.\n"
    sys.stdout.write(line)
    return 0


def _use(parameters: dict[str, Any], sizes: tuple[int, ...]) -> None:
    """Fit a model and call its methods."""
    rng = np.random.default_rng(0)
    X, codes = rng.standard_normal((240, 2)), rng.integers(0, sizes, (240, len(sizes)))
    groups = dict(zip("abc"[: len(sizes)], codes.T, strict=True))
    y = X[:, 0] + np.sum(codes, axis=1) * 0.3 + rng.standard_normal(240)
    errors: dict[str, Any] = (
        {"y_err": np.ones(240)} if parameters.get("residual_scale") == "known" else {}
    )
    few = {name: labels[:20] for name, labels in groups.items()}
    few_errors: dict[str, Any] = {name: values[:20] for name, values in errors.items()}
    model = HierarchicalNormalRegressor(draws=20, tune=20, random_state=0, **parameters)
    model.fit(X, y, groups, **errors)
    model.predict(X, groups, return_std=True)
    model.predict(X[:20], few, return_cov=True)
    model.predict_interval(X, groups)
    model.sample_y(X, groups)
    model.log_predictive_density(X, y, groups, **errors)
    neg_crps(model, X, y, groups=groups, **errors)
    model.loo(X, y, groups, **errors)
    model.loo(X, y, groups, unit="group" if len(sizes) == 1 else "b", **errors)
    model.condition_on(X[:20], y[:20], few, **few_errors)
    _ = model.shrinkage_, model.variance_components_, model.bayesian_r2_, model.posterior_


if __name__ == "__main__":
    sys.exit(main())
