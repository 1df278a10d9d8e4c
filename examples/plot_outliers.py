"""
Psychology: a few bad days
==========================

Most reaction times of a tired subject lie within 15 ms of a line, and a few lie 100 ms off. A
normal response takes all days for equally good: its scale is 26 ms, and one bad day moves the
line of its subject. Student's t distribution takes the bad days for what they are, and predicts
better.

The data are those of Belenky et al. [1]_: 18 subjects on ten days with three hours in bed a
night.
"""

# %%
# The same lines for each subject, with either response.
import arviz_stats
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skhbm import HierarchicalNormalRegressor, HierarchicalStudentTRegressor
from skhbm.datasets import load_sleepstudy

X, y, subject = load_sleepstudy(return_X_y=True, as_frame=True)
models = {
    "normal": HierarchicalNormalRegressor(varying_slopes=["Days"], random_state=0),
    "Student-t": HierarchicalStudentTRegressor(varying_slopes=["Days"], random_state=0),
}
loo = {}
for name, model in models.items():
    model.fit(X, y, groups=subject)
    loo[name] = model.loo(X, y, groups=subject)
comparison = arviz_stats.compare(loo, round_to=1)
print(comparison[["elpd", "elpd_diff", "dse"]].to_string(float_format="{:.1f}".format))
assert comparison.index[0] == "Student-t"

# %%
# Three degrees of freedom are few: heavy tails. ``sigma_`` is the scale of what is usual, not
# the standard deviation.
robust = models["Student-t"]
print(f"nu {robust.nu_:.1f}, scale {robust.sigma_:.0f} ms, ", end="")
print(f"normal sd {models['normal'].residual_scale_:.0f} ms")
assert robust.sigma_ < 0.7 * models["normal"].residual_scale_

# %%
# Which days gain? The difference of the log densities that are predicted for each day from all
# others: most gain a little, and four bad ones two thirds of the difference.
gain = pd.Series(loo["Student-t"].elpd_i.to_numpy() - loo["normal"].elpd_i.to_numpy())
worst = gain.nlargest(4).index
table = pd.DataFrame({"subject": subject, "day": X["Days"], "gain": gain}).loc[worst]
print(table.round(1).to_string(index=False))
print(f"{gain[worst].sum():.0f} of {gain.sum():.0f} in sum")
assert gain[worst].sum() > gain.sum() / 2

# %%
# The two subjects with the worst days: lines, and the middle half of what is predicted for
# another such day. The normal model's middle half holds far more than half of the days.
days = pd.DataFrame({"Days": np.linspace(0, 9, 37)})
shown = subject[worst].drop_duplicates().iloc[:2]
for name, model in models.items():
    lower, upper = model.predict_interval(X, groups=subject, coverage=0.5).T
    print(f"{np.mean((lower < y) & (y < upper)):.0%} of all days in the middle half, {name}")
figure, axes = plt.subplots(1, 2, figsize=(9, 3.9), sharey=True, layout="constrained")
for ax, who in zip(axes, shown, strict=True):
    for (name, model), color in zip(models.items(), ["0.45", "C0"], strict=True):
        labels = [who] * len(days)
        lower, upper = model.predict_interval(days, groups=labels, coverage=0.5).T
        ax.fill_between(days["Days"], lower, upper, color=color, alpha=0.18, linewidth=0)
        ax.plot(days["Days"], model.predict(days, groups=labels), color=color, label=name)
    mine = subject == who
    bad = mine & mine.index.isin(worst)
    ax.plot(X["Days"][mine & ~bad], y[mine & ~bad], "o", color="black", ms=4)
    ax.plot(X["Days"][bad], y[bad], "o", color="C3", ms=7)
    ax.set_title(f"subject {who}", fontsize=11)
    ax.set_xlabel("Days with three hours in bed")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("Reaction time, ms")
axes[0].legend(frameon=False, loc="upper left")
plt.show()

# %%
# **Try next**: add 300 ms to one day of any subject, and see whose lines move; or give ``nu``
# another prior, ``priors={"nu": Prior("Gamma", alpha=2, beta=0.5)}``.
#
# .. [1] G. Belenky et al. (2003). Patterns of performance degradation and restoration during
#    sleep restriction and subsequent recovery: a sleep dose-response study. Journal of Sleep
#    Research 12(1), 1-12. https://doi.org/10.1046/j.1365-2869.2003.00337.x
