"""
New groups: what a few rows tell
================================

A group that was never seen is predicted from the population, with the spread between groups in
its interval. A few of its rows make the prediction its own, and ``condition_on`` adds them in
milliseconds, without sampling again, with the result of a new fit.

Two subjects of a study of reaction times are held back: one whom lack of sleep slowed down
much, and one whom it did not slow down at all.
"""

# %%
# Fit to the other sixteen. Nothing is known of subjects 337 and 335 but that they are people.
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skhbm import HierarchicalNormalRegressor
from skhbm.datasets import load_sleepstudy

X, y, subject = load_sleepstudy(return_X_y=True, as_frame=True)
new = [337, 335]
seen = ~subject.isin(new)
model = HierarchicalNormalRegressor(varying_slopes=["Days"], random_state=0)
model.fit(X[seen], y[seen], groups=subject[seen])

# %%
# Condition on the first two, four and seven days of both.
first_days = [0, 2, 4, 7]
models, seconds = {0: model}, {0: 0.0}
for n in first_days[1:]:
    more = ~seen & (X["Days"] < n)
    started = time.perf_counter()
    models[n] = model.condition_on(X[more], y[more], groups=subject[more])
    seconds[n] = time.perf_counter() - started

# %%
# How wide are 90 % intervals for the last day, and how far are they from those of a new fit?
last_day = pd.DataFrame({"Days": [9.0, 9.0]})
table = pd.DataFrame(index=pd.Index(first_days, name="days known"))
for n, conditioned in models.items():
    rows = seen | (X["Days"] < n)
    again = HierarchicalNormalRegressor(varying_slopes=["Days"], random_state=1)
    again.fit(X[rows], y[rows], groups=subject[rows])
    interval = conditioned.predict_interval(last_day, groups=new)
    apart = np.abs(interval - again.predict_interval(last_day, groups=new))
    table.loc[n, "width, ms"] = np.diff(interval).mean()
    table.loc[n, "apart from a new fit, ms"] = apart.max()
    table.loc[n, "effective draws"] = conditioned.diagnostics_["min_ess"]
print(table.to_string(float_format="{:.1f}".format))
print(f"Conditioning on seven days took {1000 * seconds[7]:.0f} ms.")
assert table["width, ms"].iloc[-1] < 0.65 * table["width, ms"].iloc[0]
assert (table["apart from a new fit, ms"] < 0.03 * table["width, ms"]).all()

# %%
# Black days are known, white ones are still to come.
days = pd.DataFrame({"Days": np.linspace(0, 9, 19)})
figure, axes = plt.subplots(
    2, 4, figsize=(10, 5), sharex=True, sharey=True, layout="constrained"
)
for row, name in zip(axes, new, strict=True):
    mine = subject == name
    for ax, n in zip(row, first_days, strict=True):
        labels = [name] * len(days)
        known = mine & (X["Days"] < n)
        lower, upper = models[n].predict_interval(days, groups=labels).T
        ax.fill_between(days["Days"], lower, upper, color="C0", alpha=0.2, linewidth=0)
        ax.plot(days["Days"], models[n].predict(days, groups=labels), "C0", lw=2)
        ax.plot(X["Days"][mine], y[mine], "o", color="black", mfc="white", ms=5)
        ax.plot(X["Days"][known], y[known], "o", color="black", ms=5)
        ax.spines[["top", "right"]].set_visible(False)
for ax, n in zip(axes[0], first_days, strict=True):
    ax.set_title(f"{n} days known" if n else "never seen", fontsize=10)
for ax, name in zip(axes[:, 0], new, strict=True):
    ax.set_ylabel(f"Subject {name}")
figure.supxlabel("Days with three hours in bed")
figure.supylabel("Reaction time, ms; 90 % intervals")
plt.show()

# %%
# **Try next**: condition on one day at a time, ``m = m.condition_on(...)``, which is as good as
# all at once; or give the label of a known subject, for more rows of the same.
