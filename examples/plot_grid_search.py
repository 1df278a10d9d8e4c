"""
Which slopes vary? A grid search in a Pipeline
==============================================

The log score of rows that were held out finds the feature whose coefficient differs between
groups, and gives nothing for one whose coefficient does not.

The data are simulated, so that the answer is known: 40 shops change the price of an article on
twelve days each. Customers react to the price more in some shops than in others; to
advertisements and to the weather they react alike everywhere.
"""

# %%
# Simulate 480 rows with three features and the label of the shop.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import sem
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skhbm import HierarchicalNormalRegressor
from skhbm.metrics import log_score

rng = np.random.default_rng(0)
shop = np.repeat(np.arange(40), 12)
level, slope = rng.normal(100, 10, 40), rng.normal(-4, 2, 40)
X = pd.DataFrame(
    {
        "price": rng.normal(10, 2, 480),
        "advertised": rng.integers(0, 2, 480),
        "temperature": rng.normal(15, 8, 480),
        "shop": [f"shop {j}" for j in shop],
    }
)
y = level[shop] + slope[shop] * (X["price"] - 10) + 8 * X["advertised"]
y += 0.5 * X["temperature"] + rng.normal(0, 8, 480)

# %%
# Scale the features and pass the label through. The model finds it by its name, and
# ``varying_slopes`` names features, since the transformer gives data frames.
numbers = ["price", "advertised", "temperature"]
scale = ColumnTransformer(
    [("scale", StandardScaler(), numbers)],
    remainder="passthrough",
    verbose_feature_names_out=False,
).set_output(transform="pandas")
model = HierarchicalNormalRegressor(group_features="shop", draws=1000, tune=500, random_state=0)
pipeline = Pipeline([("scale", scale), ("model", model)])

# %%
# Search over what varies, from simple to complex; each candidate is fitted to four fifths of
# the rows, five times. A candidate may be preferred to a simpler one only if it is better by
# more than a standard error, fold by fold: folds differ more than candidates do.
names = ["none", "advertised", "price", "price and advertised"]
candidates = [None, ["advertised"], ["price"], ["price", "advertised"]]


def folds(results):
    """Return the scores of all folds and candidates."""
    return np.array([results[f"split{k}_test_score"] for k in range(5)])


def simplest(results):
    """Return the first candidate within a standard error of the best."""
    behind = folds(results)[:, [np.argmax(results["mean_test_score"])]] - folds(results)
    return np.argmax(behind.mean(axis=0) <= sem(behind))


search = GridSearchCV(
    pipeline,
    {"model__varying_slopes": candidates},
    scoring=log_score,
    refit=simplest,
    cv=KFold(5, shuffle=True, random_state=0),
)
search.fit(X, y)

# %%
# The gain over a model whose slopes are common to all shops.
gain = folds(search.cv_results_) - folds(search.cv_results_)[:, [0]]
table = pd.DataFrame(
    {
        "log score": search.cv_results_["mean_test_score"],
        "gain": gain.mean(axis=0),
        "standard error": sem(gain),
    },
    index=pd.Index(names, name="varying"),
)
print(table.to_string(float_format="{:.4f}".format))
print(f"chosen: {search.best_params_}")
chosen = search.best_estimator_["model"]
print(chosen.variance_components_[["coefficient", "sd"]].round(1).to_string(index=False))
assert search.best_params_ == {"model__varying_slopes": ["price"]}

# %%
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
row = np.arange(len(names))
ax.axvline(0, color="0.7", linewidth=1)
ax.plot(gain.T, row, "o", color="0.6", mfc="white", ms=5)
ax.errorbar(gain.mean(axis=0), row, xerr=sem(gain), fmt="o", color="C0", ms=8)
ax.set_yticks(row, names)
ax.set_ylim(3.4, -0.4)
ax.set_xlabel("Gain in log score per row; folds, and their mean ± standard error")
ax.set_ylabel("Slopes that vary")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# **Try next**: ``model.loo`` compares two models without folds; search over
# ``model__residual_scale`` as well, for shops whose sales are harder to predict than others'.
