"""
Three groups: means and spreads
===============================

Sampling gives the exact posterior, even where three groups say little about the population that
they come from: means and standard deviations are those found by quadrature, to a few hundredths
of a standard deviation.

Groups of 20, 40 and 60 values were simulated with means 3, 5 and 7 and standard deviations 1, 2
and 3; both are estimated.
"""

# %%
# Load the data. There is no feature: X is None, and the model has an intercept for each group.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skhbm import HierarchicalNormalRegressor, Prior
from skhbm.datasets import load_three_groups

data = load_three_groups(as_frame=True)

# %%
# Fit with a residual standard deviation for each group, and these priors:
#
# .. code-block:: text
#
#     mean_j ~ Normal(mu, tau),  mu ~ Normal(0, 10),  tau ~ HalfNormal(10),
#     sd_j ~ HalfNormal(10).
#
# Three groups say little about tau. Short steps, a high ``target_accept``, follow its long
# tail.
model = HierarchicalNormalRegressor(
    residual_scale="by_group",
    priors={
        "intercept": Prior("Normal", mu=0, sigma=10),
        "tau": Prior("HalfNormal", sigma=10),
        "sigma": Prior("HalfNormal", sigma=10),
    },
    target_accept=0.97,
    random_state=0,
)
model.fit(None, data.target, groups=data.groups)

# %%
# Compare posterior means and standard deviations with the truth and with the exact posterior.
draws = model.posterior_["posterior"]
means = draws["intercept"] + draws["effect_group"].sel(group_term="intercept")
parameters = {"mu": draws["intercept"], "tau": draws["tau_group"].squeeze("group_term")}
parameters |= {f"mean[{j}]": means.sel(group=j) for j in model.groups_}
parameters |= {f"sd[{j}]": draws["sigma"].sel(group=j) for j in model.groups_}
truth = {f"mean[{j}]": data.true_mean[j] for j in model.groups_}
truth |= {f"sd[{j}]": data.true_sd[j] for j in model.groups_}

table = pd.DataFrame(
    {
        "true": pd.Series(truth),
        "mean": {name: float(values.mean()) for name, values in parameters.items()},
        "sd": {name: float(values.std()) for name, values in parameters.items()},
        "exact mean": {name: mean for name, (mean, _) in data.posterior.items()},
        "exact sd": {name: sd for name, (_, sd) in data.posterior.items()},
    }
).loc[list(parameters)]
print("Posterior, sampled and exact")
print(table.to_string(float_format="{:.2f}".format, na_rep=""))
apart = ((table["mean"] - table["exact mean"]) / table["exact sd"]).abs().max()
print(f"Means are at most {apart:.2f} standard deviations apart.")
assert apart < 0.1

# %%
# Predict a value of each group, and one of a group 3, which was not seen.
labels = [*model.groups_, 3]
mean, std = model.predict(None, groups=labels, return_std=True)
predictions = pd.DataFrame({"mean": mean, "std": std}, index=labels)
print("\nPredicted value")
print(predictions.to_string(float_format="{:.2f}".format))

# %%
# Bars are the exact posterior, its mean and two standard deviations to either side; points and
# lines are the draws' means and 95 % intervals.
rng = np.random.default_rng(0)
figure, (left, right) = plt.subplots(
    1, 2, figsize=(9, 4), layout="constrained", width_ratios=[3, 2]
)
aside = rng.uniform(-0.3, -0.05, len(data.groups))
left.plot(data.groups + aside, data.target, "o", color="0.75", ms=3, label="values")
panels = [(left, "mean", data.true_mean, 0.15), (right, "sd", data.true_sd, 0.0)]
for ax, name, true, shift in panels:
    draws_j = np.array([parameters[f"{name}[{j}]"] for j in model.groups_]).reshape(3, -1)
    lower, upper = np.quantile(draws_j, [0.025, 0.975], axis=1)
    centre, at = draws_j.mean(axis=1), model.groups_ + shift
    exact = table.loc[[f"{name}[{j}]" for j in model.groups_]]
    height = 2 * exact["exact sd"]
    ax.bar(
        at, 2 * height, 0.2, exact["exact mean"] - height, color="C1", alpha=0.3, label="exact"
    )
    ax.errorbar(at, centre, [centre - lower, upper - centre], fmt="o", label="sampled")
    ax.plot(at, true, "_", color="black", ms=22, label="true")
    sizes = np.bincount(data.groups)
    ax.set_xticks(range(3), [f"group {j}\nn = {size}" for j, size in enumerate(sizes)])
    ax.spines[["top", "right"]].set_visible(False)
    ax.margins(x=0.15)
left.set_ylabel("Values and group means")
right.set_ylabel("Standard deviation in the group")
right.set_ylim(0, None)
left.legend(frameon=False, loc="upper left")
plt.show()

# %%
# **Try next**: leave ``priors`` out. Standard deviations then share a prior whose spread is
# learned, which is what many small groups need.
