"""
Classification: many groups, few rows each
==========================================

A label with hundreds of values is a category that encoders struggle with: one-hot columns are
too many for the rows there are, and target encoding takes the mean of three rows for what it is
not. A hierarchical classifier pools the groups by how much they differ: its ranking is at least
as good, and its probabilities are the better calibrated ones.

The data are simulated, so that the answer is known: 600 customers were offered something 2 to 7
times each, and take it or not.
"""

# %%
# Customers differ, with a standard deviation of 2.5 on the scale of log odds. Two features are
# known of each offer.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.calibration import calibration_curve
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score, roc_curve
from sklearn.model_selection import KFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder

from skhbm import HierarchicalLogisticRegression

rng = np.random.default_rng(0)
customer = np.repeat(np.arange(600), rng.integers(2, 8, 600))
discount, price = rng.uniform(0, 30, len(customer)), rng.lognormal(3, 0.5, len(customer))
logit = -2.5 + 0.06 * discount - 0.02 * price + rng.normal(0, 2.5, 600)[customer]
taken = np.where(rng.random(len(customer)) < 1 / (1 + np.exp(-logit)), "taken", "left")
X = pd.DataFrame({"discount": discount, "price": price, "customer": customer.astype(str)})
X_train, X_test, y_train, y_test = train_test_split(X, taken, test_size=0.5, random_state=0)
print(f"{len(X_train)} rows of {X_train['customer'].nunique()} customers")

# %%
# Three Pipelines, which differ in what they do with the label of the customer. The hierarchical
# model finds it by its name; those of customers who are new in the test get the average over
# all there may be.
numbers = ["discount", "price"]


def encoded(how):
    """Return a transformer that scales numbers, and does something with labels."""
    return make_column_transformer(
        (StandardScaler(), numbers), (how, ["customer"]), verbose_feature_names_out=False
    )


pipelines = {
    "one-hot": make_pipeline(
        encoded(OneHotEncoder(handle_unknown="ignore")), LogisticRegression()
    ),
    "target encoding": make_pipeline(
        encoded(TargetEncoder(cv=KFold(5, shuffle=True, random_state=0))), LogisticRegression()
    ),
    "hierarchical": make_pipeline(
        encoded("passthrough").set_output(transform="pandas"),
        HierarchicalLogisticRegression(group_features="customer", random_state=0),
    ),
}
probability, table = {}, pd.DataFrame(index=["ROC AUC", "Brier score", "log loss"])
answer = y_test == "taken"
for name, pipeline in pipelines.items():
    p = pipeline.fit(X_train, y_train).predict_proba(X_test)[:, 1]
    probability[name] = p
    table[name] = roc_auc_score(answer, p), brier_score_loss(answer, p), log_loss(answer, p)
print(table.T.to_string(float_format="{:.4f}".format))
assert table.loc["log loss"].idxmin() == table.loc["Brier score"].idxmin() == "hierarchical"

# %%
# The spread between customers is estimated as well, and near to what it was simulated with.
model = pipelines["hierarchical"][-1]
print(model.variance_components_[["coefficient", "sd", "sd_lower", "sd_upper"]].round(2)[:1])
row = model.variance_components_.loc[0]
assert abs(row["sd"] - 2.5) < 0.75

# %%
# Left: of rows with a predicted probability of 30 %, 30 % should take the offer. One-hot
# columns with the default penalty are too timid at both ends. Right: the share of takers that
# is found, against the share of others that is asked in vain.
figure, (reliability, roc) = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
for (name, p), color in zip(probability.items(), ["C1", "C2", "C0"], strict=True):
    share, mean = calibration_curve(answer, p, n_bins=8, strategy="quantile")
    reliability.plot(mean, share, "o-", ms=4, color=color, label=name)
    false, true, _ = roc_curve(answer, p)
    roc.plot(false, true, color=color, label=f"{name}, {table.loc['ROC AUC', name]:.3f}")
for ax in (reliability, roc):
    ax.plot([0, 1], [0, 1], color="0.6", lw=1, ls="--", zorder=0)
    ax.set_aspect("equal")
    ax.legend(frameon=False, loc="lower right")
    ax.spines[["top", "right"]].set_visible(False)
reliability.set_xlabel("Predicted probability")
reliability.set_ylabel("Share that was taken")
roc.set_xlabel("False positives")
roc.set_ylabel("True positives, with area under the curve")
plt.show()

# %%
# **Try next**: ``GridSearchCV`` over ``C`` of ``LogisticRegression``, which helps the one-hot
# columns and is not needed for the hierarchical model; or fewer rows for each customer.
