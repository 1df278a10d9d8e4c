"""A callback that keeps what it is told, and fits that are watched by it."""

import numpy as np

from skhbm import HierarchicalNormalRegressor

N_CHAINS = 3


class Recorder:
    """A callback that keeps what it is told, and does something at a moment if asked to."""

    def __init__(self, at=None, action=None):
        self.told = []
        self.at, self.action = at, action

    def _tell(self, hook, estimator, context, **given):
        self.told.append((hook, context.task_name, context, given))
        if (hook, context.task_name) == self.at:
            self.action()

    def setup(self, estimator, context):
        self._tell("setup", estimator, context)

    def on_fit_task_begin(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self._tell(
            "begin", estimator, context, X=X, y=y, metadata=metadata, fitted=fitted_estimator
        )

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self._tell(
            "end", estimator, context, X=X, y=y, metadata=metadata, fitted=fitted_estimator
        )

    def teardown(self, estimator, context):
        self._tell("teardown", estimator, context)

    def of(self, hook, task):
        return [told for told in self.told if told[:2] == (hook, task)]


def raising(error):
    def action():
        raise error

    return action


def make_rows(seed=3, n_groups=12):
    rng = np.random.default_rng(seed)
    codes = np.arange(120) % n_groups
    X = rng.standard_normal((120, 2))
    y = X @ [1.0, -0.5] + rng.standard_normal(n_groups)[codes] + rng.standard_normal(120)
    return X, y, codes


X, Y, GROUPS = make_rows()


def estimator(*callbacks, **parameters):
    model = HierarchicalNormalRegressor(**{"random_state": 0, "chains": N_CHAINS, **parameters})
    return model.set_callbacks(*callbacks)


def fit(*callbacks, **parameters):
    return estimator(*callbacks, **parameters).fit(X, Y, groups=GROUPS)
