"""
Crossed factors: wines and judges
=================================

Wines that met lenient judges have high averages. Estimating the judges together with the wines
takes out who happened to taste what: errors fall by a third against averages, and more than by
shrinking the averages alone.

The ratings are simulated, so that the truth is known: 40 wines, each rated by four of 25
judges.
"""

# %%
# Judges differ more (standard deviation 3) than wines do (2).
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skhbm import GroupEffectsDisplay, HierarchicalNormalRegressor

rng = np.random.default_rng(4)
quality, leniency = rng.normal(0, 2, 40), rng.normal(0, 3, 25)
wine = np.repeat(np.arange(40), 4)
judge = np.concatenate([rng.choice(25, size=4, replace=False) for _ in range(40)])
rating = 85 + quality[wine] + leniency[judge] + rng.normal(0, 2, 160)

# %%
# Labels of two factors are two columns. There are no features: X is None.
labels = pd.DataFrame({"wine": wine, "judge": judge})
crossed = HierarchicalNormalRegressor(random_state=0).fit(None, rating, groups=labels)
wines_only = HierarchicalNormalRegressor(random_state=0)
wines_only.fit(None, rating, groups=labels["wine"])
components = crossed.variance_components_.set_index("factor")[["sd", "sd_lower", "sd_upper"]]
components.insert(0, "true", [2.0, 3.0, 2.0])
print(components.to_string(float_format="{:.1f}".format))

# %%
# Errors of three estimates of the wines.
truth = 85 + quality
estimates = {
    "average of four ratings": pd.Series(rating).groupby(wine).mean().to_numpy(),
    "averages, shrunk": wines_only.group_intercept_,
    "wines and judges": crossed.group_intercept_["wine"],
}
errors = {name: np.sqrt(np.mean((e - truth) ** 2)) for name, e in estimates.items()}
for name, error in errors.items():
    print(f"root mean squared error of {name:24} {error:.2f}")
assert errors["wines and judges"] < 0.7 * errors["average of four ratings"]
assert errors["wines and judges"] < errors["averages, shrunk"]

# %%
# Colour tells how lenient a wine's four judges were. In the averages wines with lenient judges,
# in red, are too high; with the judges in the model they are not.
luck = pd.Series(leniency[judge] - leniency[judge].mean()).groupby(wine).mean()
figure, axes = plt.subplots(
    1, 3, figsize=(10, 3.8), sharex=True, sharey=True, layout="constrained"
)
for ax, (name, estimate) in zip(axes, estimates.items(), strict=True):
    ax.axline((85, 85), slope=1, color="0.7", linewidth=1, zorder=0)
    points = ax.scatter(
        truth, estimate, c=luck, cmap="coolwarm", vmin=-3, vmax=3, edgecolor="0.3"
    )
    ax.set_title(f"{name}: error {errors[name]:.1f}", fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
figure.supxlabel("True quality")
figure.supylabel("Estimate")
figure.colorbar(points, ax=axes, label="Leniency of the wine's judges")
plt.show()

# %%
# And these are the judges, from the strictest to the most lenient; crosses are the truth.
display = GroupEffectsDisplay.from_estimator(crossed, factor="judge")
row = np.argsort(np.argsort(display.estimate))
display.ax_.plot(leniency, row, "kx", label="true")
plt.show()

# %%
# **Try next**: predict what a judge would say of a wine that he did not taste,
# ``crossed.predict(None, groups=pd.DataFrame({"wine": [0], "judge": [0]}), return_std=True)``,
# or what an unknown judge would: leave out the column.
