"""
Reliability: failures of pumps
==============================

A pump that failed once in a thousand hours is not the same as one that failed 14 times in 126
thousand. Counts have an exposure, and rates of short times are uncertain: partial pooling moves
them towards the other pumps, and leaves those of long times where they are.

Gaver and O'Muircheartaigh [1]_ report failures of ten pumps of a nuclear power plant. George,
Makov and Smith [2]_ made them an example of hierarchical Bayesian models.
"""

# %%
# One row for each pump: number of failures, and thousands of hours of operation.
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import gamma

from skhbm import HierarchicalPoissonRegressor
from skhbm.datasets import load_pumps

pumps = load_pumps(as_frame=True)
model = HierarchicalPoissonRegressor(random_state=0)
model.fit(None, pumps.target, groups=pumps.groups, exposure=pumps.hours)
table = model.shrinkage_.set_index("group")
table = table.assign(failures=pumps.target.to_numpy(), hours=pumps.hours.to_numpy())
table["raw"] = table["failures"] / table["hours"]
columns = [
    "failures",
    "hours",
    "raw",
    "response",
    "response_lower",
    "response_upper",
    "pooling",
]
print(table[columns].round(2).to_string())

# %%
# The pooling factor is the share of the other pumps in an estimate of the log rate: a tenth
# where five failures or more were seen, and half for one failure in a thousand hours.
long, short = table["hours"] > 50, table["hours"] < 2
assert table.loc[long, "pooling"].max() < 0.2 < table.loc[short, "pooling"].min()

# %%
# Which pumps will fail in the next thousand hours? Intervals are of counts: whole numbers, with
# the chance of the next failures in them. A pump that was never seen may be any of these, or
# worse.
labels = [1, 4, 10, None]
coming = model.predict_interval(None, groups=labels, exposure=1.0)
none = np.exp(model.log_predictive_density(None, np.zeros(4), groups=labels, exposure=1.0))
for label, (lower, upper), p in zip(labels, coming, none, strict=True):
    name = "a new pump" if label is None else f"pump {label}"
    print(
        f"{name:11} 90 % in {lower:.0f} to {upper:2.0f} failures, none with probability {p:.2f}"
    )

# %%
# Raw rates with exact 90 % intervals of a Poisson rate (grey), and partially pooled ones. Where
# many failures were seen the two agree; where few were, partial pooling is narrower, and nearer
# to the others.
order = table.sort_values("hours")
row = np.arange(10)
k, t = order["failures"], order["hours"]
bounds = np.array([gamma.ppf(0.05, k) / t, gamma.ppf(0.95, k + 1) / t])
figure, ax = plt.subplots(figsize=(7.5, 4), layout="constrained")
ax.hlines(row + 0.15, *bounds, color="0.7")
ax.plot(order["raw"], row + 0.15, "o", color="0.55", mfc="white", label="each pump alone")
ax.hlines(row - 0.15, order["response_lower"], order["response_upper"], color="C0")
ax.plot(order["response"], row - 0.15, "o", color="C0", label="partial pooling")
ax.set_yticks(row, [f"{n:.0f} in {h:g}" for n, h in zip(k, t, strict=True)])
ax.set_ylabel("Failures in thousands of hours")
ax.set_xlabel("Failures per thousand hours")
ax.set_xscale("log")
ax.set_xticks([0.03, 0.1, 0.3, 1, 3, 10], ["0.03", "0.1", "0.3", "1", "3", "10"])
ax.minorticks_off()
ax.legend(frameon=False, loc="upper left")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# **Try next**: ``model.predict_quantiles(None, groups=[None], quantiles=[0.05, 0.5, 0.95],
# kind="mean")`` is the rate of a new pump; its mean is far above the median.
#
# .. [1] D. P. Gaver and I. G. O'Muircheartaigh (1987). Robust empirical Bayes analyses of event
#    rates. Technometrics 29(1), 1-15. https://doi.org/10.1080/00401706.1987.10488178
# .. [2] E. I. George, U. E. Makov and A. F. M. Smith (1993). Conjugate likelihood
#    distributions. Scandinavian Journal of Statistics 20(2), 147-156.
