"""
Ecology: radon in the counties of Minnesota
===========================================

Homes that were left out of a fit are predicted no better from the average of their own county
than from one average for all of Minnesota. Partial pooling predicts them better than both: it
trusts a county as far as its number of homes allows.

Radon was measured in 919 homes of 85 counties [1]_. Some counties have one home, some more than
a hundred.
"""

# %%
# Fit an intercept for each county, and a coefficient of the floor where radon was measured (0
# basement, 1 first floor). Gelman and Hill print the same model, fitted by lme4.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skhbm import HierarchicalNormalRegressor, PosteriorPredictiveDisplay, ShrinkageDisplay
from skhbm.datasets import load_radon

radon = load_radon(as_frame=True)
X, y = radon.frame[["floor", "county"]], radon.target
model = HierarchicalNormalRegressor(group_features="county", random_state=0).fit(X, y)

print("log(pCi/L)           here  published")
print(f"intercept            {model.intercept_:5.2f}       1.46")
print(f"floor                {model.coef_[0]:5.2f}      -0.69")
print(f"sd between counties  {model.group_scale_[0]:5.2f}       0.33")
print(f"sd within counties   {model.residual_scale_:5.2f}       0.76")

# %%
# What pooling did to the counties. ``pooling`` is the share of the other counties in an
# estimate: 0 is the county alone, 1 is no difference between counties.
table = model.shrinkage_.set_index("group").astype({"n": int})
shown = ["n", "no_pooling", "partial_pooling", "sd", "pooling"]
some = table.loc[["LAC QUI PARLE", "WATONWAN", "ST LOUIS", "HENNEPIN"], shown]
print(some.to_string(float_format="{:.2f}".format))

# %%
# Now leave out a fifth of the homes at a time, and predict them from the others. Labels that
# are a column of X go wherever scikit-learn takes X.
dummies = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["county"]),
    remainder="passthrough",
)
floor = make_column_transformer(("passthrough", ["floor"]))
models = {
    "county alone": make_pipeline(dummies, LinearRegression()),
    "one for all": make_pipeline(floor, LinearRegression()),
    "partial pooling": model,
}
folds = KFold(5, shuffle=True, random_state=0)
squared = pd.DataFrame(
    {name: (cross_val_predict(m, X, y, cv=folds) - y) ** 2 for name, m in models.items()}
)
sizes = pd.cut(
    X["county"].map(table["n"]), [0, 5, 20, 200], labels=["1 to 5", "6 to 20", "more"]
)
errors = np.sqrt(squared.groupby(sizes, observed=True).mean())
errors.loc["all"] = np.sqrt(squared.mean())
print("Root mean squared error of homes left out, by number of homes in the county")
print(errors.rename_axis("homes").to_string(float_format="{:.3f}".format))
alone, one, partial = errors.loc["all"]
assert alone > one > partial

# %%
# On the left each county between its own estimate and that of all of Minnesota; the more homes
# it has, the nearer it stays to its own. On the right the errors of the last table.
figure, (left, right) = plt.subplots(
    1, 2, figsize=(10, 4.6), width_ratios=[5, 3], layout="constrained"
)
display = ShrinkageDisplay.from_estimator(
    model, ax=left, scatter_kwargs={"c": table["n"], "cmap": "viridis_r", "norm": "log"}
)
figure.colorbar(display.partial_pooling_, ax=left, label="Homes", format="{x:.0f}", pad=0)
left.set_ylabel("Radon in a basement, log(pCi/L)")
for name, color in zip(models, ["C7", "C1", "C0"], strict=True):
    right.plot(errors[name].drop("all"), "o-", color=color, label=name)
right.set(xlabel="Homes measured in the county", ylabel="Error in homes left out, log(pCi/L)")
right.legend()
plt.show()

# %%
# Data drawn from the model are like those that were observed, but for a bump on the left:
# readings of zero, which had been set to 0.1 pCi/L.
PosteriorPredictiveDisplay.from_estimator(model, X, y)
plt.show()

# %%
# **Try next**: add the uranium in the county's soil, ``radon.data["log_uranium"]``, to X. It
# tells counties apart: ``group_scale_`` falls to a half.
#
# .. [1] A. Gelman and J. Hill (2007). Data Analysis Using Regression and
#    Multilevel/Hierarchical Models. Cambridge University Press. Chapter 12; the fit is printed
#    on page 259.
