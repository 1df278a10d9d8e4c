"""
Education: eight schools
========================

Coaching for a test seems to have gained 28 points in school A and to have lost 3 in school C.
Yet the probability that A gained more than C is only two in three, and no school stands out:
the data are as one would expect if all schools gained some 8 points.

Each school has one estimate, with a standard error that is taken as known [1]_. Chapter 5.5 of
Bayesian Data Analysis [2]_ made it the best known hierarchical model; its figures are compared.
"""

# %%
# Fit with the book's priors, which are flat over all effects that are plausible.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import norm

from skhbm import HierarchicalNormalRegressor, Prior
from skhbm.datasets import load_eight_schools

data = load_eight_schools(as_frame=True)
model = HierarchicalNormalRegressor(
    residual_scale="known",
    priors={
        "intercept": Prior("Normal", mu=0, sigma=1000),
        "tau": Prior("Uniform", lower=0, upper=1000),
    },
    draws=4000,
    random_state=0,
)
model.fit(None, data.target, groups=data.groups, y_err=data.y_err)

# %%
# Draws of the schools' effects are the population's mean plus the deviations from it. Their
# medians are within a point of those in the book's table 5.3, which come from 200 draws.
draws = model.posterior_["posterior"]
effects = draws["intercept"] + draws["effect_school"].sel(school_term="intercept")
effects = effects.to_numpy().reshape(-1, 8)
quantiles = np.quantile(effects, [0.025, 0.25, 0.5, 0.75, 0.975], axis=0)
table = pd.DataFrame(
    quantiles[[0, 2, 4]].T, index=model.groups_, columns=["2.5 %", "median", "97.5 %"]
)
table["book's median"] = [10, 8, 7, 8, 5, 6, 10, 8]
table.insert(0, "estimate", data.target.to_numpy())
print(table.to_string(float_format="{:.0f}".format))

# %%
# The probability that one school gained more than another is the share of draws in which it
# did. The book has 141 of 200 draws for A and C, which has a standard error of 0.03.
larger = (effects[:, :, None] > effects[:, None, :]).mean(axis=0)
A, C = data.target[0], data.target[2]
alone = norm.cdf((A - C) / np.hypot(data.y_err[0], data.y_err[2]))
tau = draws["tau_school"].to_numpy().ravel()
weights = 1 / data.y_err**2
Q = np.sum(weights * (data.target - np.average(data.target, weights=weights)) ** 2)
print(f"Pr(A > C), each school alone  {alone:.2f}")
print(f"Pr(A > C), partial pooling    {larger[0, 2]:.2f}, book 0.705")
print(f"Pr(A > 28), partial pooling   {np.mean(effects[:, 0] > 28):.2f}")
print(f"Most certain difference       {larger.max():.2f}")
print(f"sd between schools, median    {np.median(tau):.1f}; below 2 in {np.mean(tau < 2):.0%}")
print(f"chi-square of equal gains     {Q:.1f}, where 7 are expected")
assert abs(larger[0, 2] - 141 / 200) < 2 * np.sqrt(0.7 * 0.3 / 200)
assert larger.max() < 0.8

# %%
# On the left what each school would say alone, and what the eight say together. On the right
# the probability that the school of the row gained more than that of the column.
figure, (left, right) = plt.subplots(
    1, 2, figsize=(10, 4.4), width_ratios=[6, 5], layout="constrained"
)
row = np.arange(8)
left.errorbar(
    data.target,
    row - 0.15,
    xerr=1.96 * data.y_err,
    fmt="o",
    color="C7",
    mfc="white",
    label="alone",
)
left.hlines(row + 0.15, quantiles[0], quantiles[4], color="C0")
left.hlines(row + 0.15, quantiles[1], quantiles[3], color="C0", linewidth=4)
left.plot(quantiles[2], row + 0.15, "o", color="C0", label="partial pooling")
left.axvline(model.intercept_, color="black", linewidth=1, linestyle="--", label="population")
left.set_yticks(row, model.groups_)
left.invert_yaxis()
left.set(xlabel="Gain, points; intervals of 95 % (bold 50 %)", ylabel="School")
left.spines[["top", "right"]].set_visible(False)
left.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))

np.fill_diagonal(larger, np.nan)
image = right.imshow(larger, cmap="RdBu_r", vmin=0, vmax=1)
for i, j in zip(*np.nonzero(~np.eye(8, dtype=bool)), strict=True):
    right.text(j, i, f"{larger[i, j]:.2f}"[1:], ha="center", va="center", fontsize=9)
right.set_xticks(row, model.groups_)
right.set_yticks(row, model.groups_)
right.set(xlabel="than school", ylabel="School gained more")
right.spines[:].set_visible(False)
figure.colorbar(image, ax=right, label="Probability", shrink=0.8)
plt.show()

# %%
# **Try next**: leave ``priors`` out, or take ``Prior("HalfCauchy", beta=5)`` for ``tau``, and
# see what of this depends on the prior; ask ``model.predict(None, groups=["I"],
# return_std=True)`` what a ninth school would gain.
#
# .. [1] D. B. Rubin (1981). Estimation in parallel randomized experiments. Journal of
#    Educational Statistics 6(4), 377-401. https://doi.org/10.3102/10769986006004377
# .. [2] A. Gelman, J. B. Carlin, H. S. Stern, D. B. Dunson, A. Vehtari and D. B. Rubin (2013).
#    Bayesian Data Analysis, third edition. Chapman & Hall/CRC.
