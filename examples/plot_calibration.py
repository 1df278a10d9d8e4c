"""
Calibration: do intervals keep their promise?
=============================================

Intervals of 90 % hold 90 % of new rows, of groups that were in the fit and of groups that were
not. A linear model with dummy variables keeps the promise for groups that it knows; of new
groups its intervals hold less than 80 %, since it knows no spread between groups.
"""

# %%
# Simulate ten rows of each of 400 groups, which differ in level and slope. Fit to five rows of
# half of the groups; predict their other rows, and rows of the other groups.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import BayesianRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skhbm import CalibrationDisplay, HierarchicalNormalRegressor

rng = np.random.default_rng(0)
group = np.repeat(np.arange(400), 10)
level, slope = rng.normal(2, 1, 400), rng.normal(1, 0.5, 400)
X = pd.DataFrame({"x": rng.normal(size=4000), "group": group})
y = level[group] + slope[group] * X["x"] + rng.normal(0, 1, 4000)
in_fit, first = group < 200, np.arange(4000) % 10 < 5
train = in_fit & first
held_out = {"known groups": in_fit & ~first, "new groups": ~in_fit & first}

# %%
# Both models have the label as a column of X.
hierarchical = HierarchicalNormalRegressor(
    group_features="group", varying_slopes=["x"], draws=500, random_state=0
)
encoder = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["group"]),
    remainder="passthrough",
)
models = {
    "hierarchical": hierarchical.fit(X[train], y[train]),
    "dummy variables": make_pipeline(encoder, BayesianRidge()).fit(X[train], y[train]),
}

# %%
# Curves are the share of rows inside central intervals of any probability; calibrated ones are
# in the band.
figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
share = pd.DataFrame(index=list(held_out), columns=list(models), dtype=float)
for ax, (kind, rows) in zip(axes, held_out.items(), strict=True):
    curves = []
    for (name, model), color in zip(models.items(), ["C0", "C1"], strict=True):
        style = {"color": color, "linewidth": 2}
        display = CalibrationDisplay.from_estimator(
            model, X[rows], y[rows], ax=ax, name=name, line_kwargs=style
        )
        share.loc[kind, name] = np.interp(0.9, display.nominal, display.observed)
        curves.append(display.line_)
    ax.legend(handles=[*curves, display.band_], loc="upper left", frameon=False)
    ax.set_title(kind)

print("Share of rows inside intervals of 90 %")
print(share.to_string(float_format="{:.2f}".format))
assert share["hierarchical"].between(0.88, 0.92).all()
assert share.loc["new groups", "dummy variables"] < 0.8
plt.show()

# %%
# **Try next**: residuals with heavy tails, ``rng.standard_t(3, 4000)``: intervals of 50 % then
# hold more than that; ``kind="pit"`` tells whether predictions are too high.
