"""
Demography: contraception by district
=====================================

The share of women who use contraception differs between the districts of Bangladesh, but less
than it seems: of districts with few women the raw shares run from 0 to 100 %, and most of that
is chance. Partial pooling predicts the women of a second half of the sample better than raw
shares do, and better than one share for all.

Huq and Cleland [1]_ asked 1,934 women in 60 districts. Their answers are yes and no: a logistic
regression whose intercept varies by district, and so does the difference between city and
country.
"""

# %%
# Use rises and falls with age, and mothers use it more, whatever the number of their children.
# Does the difference between city and country vary? Leave-one-out cross-validation says yes.
import arviz_stats
import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import log_loss

from skhbm import HierarchicalLogisticRegression
from skhbm.datasets import load_contraception

X, y, district = load_contraception(return_X_y=True, as_frame=True)
X = X.assign(age_squared=X["age"] ** 2, mother=X.pop("children") > 0).astype(float)
same = HierarchicalLogisticRegression(random_state=0).fit(X, y, groups=district)
model = HierarchicalLogisticRegression(varying_slopes=["urban"], random_state=0)
model.fit(X, y, groups=district)
scores = {
    "one for all": same.loo(X, y, groups=district),
    "by district": model.loo(X, y, groups=district),
}
comparison = arviz_stats.compare(scores, round_to=1)
print(comparison[["elpd", "elpd_diff", "dse"]].to_string(float_format="{:.1f}".format))
assert comparison.index[0] == "by district"

# %%
# Coefficients are differences of log odds: their exponentials are odds ratios, of two women of
# the same district.
draws = model.posterior_["posterior"]
odds = np.exp(draws["coef"].quantile([0.05, 0.5, 0.95], dim=["chain", "draw"]))
print("odds ratio       5 %  median   95 %")
for name in ("urban", "mother"):
    print(f"{name:12}" + "".join(f"{v:8.2f}" for v in odds.sel(feature=name).to_numpy()))

# %%
# Half of the women predict the other half: by the share of their district, by the share of all,
# and by partial pooling. Shares of 0 and 1 would be punished infinitely; half a woman is added
# to each side.
half = np.arange(len(y)) % 2 == 0
pooled = HierarchicalLogisticRegression(random_state=0)
pooled.fit(None, y[half], groups=district[half])
counts = y[half].groupby(district[half]).agg(["sum", "size"])
share = (counts["sum"] + 0.5) / (counts["size"] + 1)
rest = district[~half].isin(share.index)
known, answers = district[~half][rest], y[~half][rest]
loss = {
    "share of the district": log_loss(answers, share.loc[known]),
    "share of all": log_loss(answers, np.full(len(answers), y[half].mean())),
    "partial pooling": log_loss(answers, pooled.predict_proba(None, groups=known)),
}
for name, value in loss.items():
    print(f"log loss, {name:22} {value:.4f}")
assert min(loss, key=loss.get) == "partial pooling"

# %%
# Probabilities of all districts, the fewest women first: raw shares, and 90 % intervals of
# partial pooling.
everyone = HierarchicalLogisticRegression(random_state=0).fit(None, y, groups=district)
table = everyone.shrinkage_.sort_values(["n", "response"]).reset_index(drop=True)
raw = y.groupby(district).mean().loc[table["group"]].to_numpy()
figure, ax = plt.subplots(figsize=(9, 4), layout="constrained")
ax.vlines(table.index, table["response_lower"], table["response_upper"], color="C0", lw=1)
ax.plot(table.index, raw, "o", color="0.55", mfc="white", ms=5, label="share of the district")
ax.plot(table.index, table["response"], "o", color="C0", ms=5, label="partial pooling")
ax.axhline(everyone.predict_proba(None, groups=[None])[0, 1], color="0.4", ls="--", lw=1)
ticks = np.arange(0, 60, 6)
ax.set_xticks(ticks, table["n"].iloc[ticks])
ax.set_xlabel("Women asked in the district")
ax.set_ylabel("Probability of contraception")
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# **Try next**: ``model.shrinkage_`` has the difference between city and country of each
# district; or ask ``model.bayesian_r2_`` how much of use the districts explain.
#
# .. [1] N. M. Huq and J. Cleland (1990). Bangladesh Fertility Survey 1989. Dhaka: National
#    Institute of Population Research and Training.
