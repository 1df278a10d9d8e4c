"""
Ecology: radon in the counties of Minnesota
===========================================

Radon in Minnesota: how far is the estimate of a county to be trusted?

Radon was measured in 919 homes of 85 counties. Some counties have one home, some more than a
hundred. Partial pooling weighs what a county's own homes say against what the other counties
say: the fewer the homes, the nearer the estimate is to all of Minnesota.

Run it with ``python examples/radon.py``. It prints two tables and saves ``radon.png``.
"""

# %%
# Load the data, and fit one intercept for each county. The features are the floor of the
# measurement (0 basement, 1 first floor) and the uranium in the county's soil.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skhbm import HierarchicalNormalRegressor
from skhbm.datasets import load_radon

X, y, county = load_radon(return_X_y=True, as_frame=True)
model = HierarchicalNormalRegressor(random_state=0).fit(X, y, groups=county)

print(f"{len(y)} homes, {model.n_groups_} counties; all radon levels in log(pCi/L)\n")
for name, coefficient in zip(X.columns, model.coef_, strict=True):
    print(f"coefficient of {name:11} {coefficient:8.2f}")
print(f"sd between counties {model.group_scale_[0]:12.2f}")
print(f"sd within counties {model.residual_scale_:13.2f}")

# %%
# What shrinkage did to the counties. `pooling` is the share of the other counties in the
# estimate: 0 is the county alone, 1 is no difference between counties.
table = model.shrinkage_.set_index("group")
table["moved"] = table["partial_pooling"] - table["no_pooling"]
by_moved = table.reindex(table["moved"].abs().sort_values().index)
by_homes = table.sort_values("n")
columns = ["n", "no_pooling", "partial_pooling", "sd", "moved", "pooling"]


def show(title: str, rows: pd.DataFrame) -> None:
    """Print some rows of the table."""
    print(f"\n{title}")
    rows = rows[columns].astype({"n": int}).rename_axis(None)
    print(rows.to_string(float_format="{:.2f}".format))


show("First counties in the alphabet", table.head(4))
show("Counties that moved most", by_moved.tail(4)[::-1])
show("Counties with most homes", by_homes.tail(4)[::-1])

# %%
# Predict the basement of one more home in a county of 105 homes, in one of 2 homes, and in a
# county without any. The standard deviation has all that is uncertain: the home, the county
# and the parameters.
new = pd.DataFrame({"floor": [0.0, 0.0, 0.0], "log_uranium": [0.0, 0.0, 0.0]})
labels = ["HENNEPIN", "LAC QUI PARLE", "a new county"]
mean, std = model.predict(new, groups=labels, return_std=True)
lower, upper = np.exp(model.predict_interval(new, groups=labels, coverage=0.9)).T
predictions = pd.DataFrame(
    {"mean": mean, "std": std, "median pCi/L": np.exp(mean), "5 %": lower, "95 %": upper},
    index=labels,
)
print("\nOne more basement, where soil has 1 ppm uranium")
print(predictions.to_string(float_format="{:.2f}".format))

# %%
# Plot both estimates of each county against its number of homes. Counties with equally many
# homes stand side by side.
table = table.sort_values(["n", "no_pooling"])
same = table.groupby("n")["n"]
aside = same.cumcount() - (same.transform("size") - 1) / 2
homes = table["n"] * np.exp(0.02 * aside)
own, pooled, sd = table["no_pooling"], table["partial_pooling"], table["sd"]

figure, ax = plt.subplots(figsize=(7.5, 4.8), layout="constrained")
ax.vlines(homes, own, pooled, color="0.85", linewidth=1, zorder=1)
(alone,) = ax.plot(homes, own, "o", color="0.5", markerfacecolor="white", markersize=4.5)
partial = ax.errorbar(homes, pooled, sd, fmt="o", markersize=4.5, elinewidth=0.7)
complete = ax.axhline(
    table["complete_pooling"].iloc[0], color="black", linewidth=1, linestyle="--", zorder=1
)
for name, offset in (("LAC QUI PARLE", 7), ("FARIBAULT", -14), ("ST LOUIS", -16)):
    ax.annotate(
        name.title(),
        (homes[name], own[name]),
        (0, offset),
        textcoords="offset points",
        ha="center",
        fontsize=9,
    )
ax.set_xscale("log")
ax.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
ax.minorticks_off()
ax.set_ylim(0.2, 3.0)
ax.set_xlabel("Homes measured in the county")
ax.set_ylabel("Radon in a basement, at 1 ppm uranium, log(pCi/L)")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(
    [alone, partial, complete],
    [
        "county alone (no pooling)",
        "partial pooling, ± 1 standard deviation",
        "counties ignored (complete pooling)",
    ],
    frameon=False,
)
figure.savefig("radon.png", dpi=150)
print("\nSaved radon.png")
