"""What the default priors of probabilities and rates imply, and what wide ones do."""

import matplotlib.pyplot as plt
import numpy as np
import pymc as pm
from scipy.special import expit

from skhbm import HierarchicalLogisticRegression, HierarchicalPoissonRegressor, Prior
from skhbm.datasets import load_contraception, load_epilepsy

WIDE = {
    "intercept": Prior("Normal", mu=0, sigma=10),
    "coef": Prior("Normal", mu=0, sigma=10),
    "tau": Prior("HalfNormal", sigma=10),
}


def linear_predictors(model, X, codes):
    """Return prior draws (4000, n) of the linear predictor of rows, from the PyMC model."""
    factor = next(name for name in model.model_.named_vars if name.startswith("effect_"))
    names = ["intercept", "coef", factor]
    prior = pm.sample_prior_predictive(4000, model.model_, names, random_seed=0)["prior"]
    intercept, coef, effect = (prior[name].to_numpy()[0] for name in names)
    return intercept[:, None] + coef @ X.T + effect[:, codes, 0]


def prior_of_rows(estimator, X, y, groups):
    """Yield the draws under the default and under wide priors, each row once."""
    codes = np.unique(groups, return_inverse=True)[1]
    for priors in (None, WIDE):
        model = estimator(priors=priors, solver="laplace", random_state=0)
        yield linear_predictors(model.fit(X, y, groups=groups), X, codes).ravel()


women, use, district = load_contraception(return_X_y=True)
seizures = load_epilepsy()
history = np.log(seizures.data[:, :1])
X = np.hstack([history - history.mean(), seizures.data[:, 1:]])
style = [
    {"color": "#e07b00", "alpha": 0.75, "label": "default priors"},
    {"color": "0.35", "histtype": "step", "lw": 1.3, "label": "Normal(0, 10), HalfNormal(10)"},
]
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.4), layout="constrained")
draws = prior_of_rows(HierarchicalLogisticRegression, women, use, district)
for eta, look in zip(draws, style, strict=True):
    left.hist(expit(eta), np.linspace(0, 1, 41), density=True, **look)
left.set_xlabel("probability that a woman uses contraception")
draws = prior_of_rows(HierarchicalPoissonRegressor, X, seizures.target, seizures.groups)
for eta, look in zip(draws, style, strict=True):
    right.hist(np.clip(eta / np.log(10), -8, 8), np.linspace(-8, 8, 65), density=True, **look)
right.set_xticks([-7.9, -4, 0, 4, 7.9], ["less", "0.0001", "1", "10,000", "more"])
right.set_xlabel("expected seizures in two weeks")
for ax in (left, right):
    ax.set_yticks([])
    ax.spines[["top", "right", "left"]].set_visible(False)
left.legend(frameon=False, fontsize=9, loc="upper center")
