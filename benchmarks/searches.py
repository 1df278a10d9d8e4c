"""What scikit-learn does with the estimator: searches, and its own checks."""

from __future__ import annotations

import os
import statistics
import time
import warnings


def time_searches(X, y, groups, model, n_jobs):
    """Return the seconds of searches, one after the other, with these numbers of jobs.

    Five folds of three points, and the best one again on all rows. Imports that the first fit
    of a process makes count, and so does the start of workers.
    """
    import numpy as np
    from sklearn.model_selection import GridSearchCV

    table = np.column_stack([X, groups])
    grid = {"varying_slopes": [None, [0], [0, 1]]}
    seconds = []
    for n in n_jobs:
        started = time.perf_counter()
        GridSearchCV(model, grid, cv=5, n_jobs=n).fit(table, y)
        seconds.append(time.perf_counter() - started)
    return seconds


def compare_jobs(X, y, groups, model, repeat):
    """Alternate one job and two, after a first search with two, whose workers start."""
    first, _, *seconds = time_searches(X, y, groups, model, [2, 1] + [2, 1] * repeat)
    two, one = seconds[::2], seconds[1::2]
    note = (
        f"n_jobs=1 {statistics.median(one):.2f} s; the first, workers starting, {first:.2f} s"
    )
    return {"seconds": two, "note": note}


def time_checks():
    """Run scikit-learn's checks of the estimator's contract on the default constructor."""
    os.environ.setdefault("SCIPY_ARRAY_API", "1")
    from sklearn.utils.estimator_checks import check_estimator

    from skhbm import HierarchicalNormalRegressor

    warnings.simplefilter("ignore")
    started = time.perf_counter()
    results = check_estimator(HierarchicalNormalRegressor(), on_fail=None)
    seconds = [time.perf_counter() - started]
    passed = sum(result["status"] == "passed" for result in results)
    return {"seconds": seconds, "note": f"{passed} of {len(results)} checks passed"}
