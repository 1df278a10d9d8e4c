"""What partial pooling does to the counties of the radon data."""

import matplotlib.pyplot as plt
import numpy as np

from skhbm import HierarchicalNormalRegressor
from skhbm.datasets import load_radon

X, y, county = load_radon(return_X_y=True, as_frame=True)
model = HierarchicalNormalRegressor(random_state=0).fit(X, y, groups=county)

table = model.shrinkage_.sort_values(["n", "no_pooling"])
same = table.groupby("n")["n"]
aside = same.cumcount() - (same.transform("size") - 1) / 2
homes = table["n"] * np.exp(0.02 * aside)  # counties with equally many stand side by side
own, pooled = table["no_pooling"], table["partial_pooling"]

figure, ax = plt.subplots(figsize=(7.4, 3.9), layout="constrained")
ax.axhline(table["complete_pooling"].iloc[0], color="0.4", lw=1, ls="--", zorder=0)
ax.vlines(homes, own, pooled, color="0.8", lw=1, zorder=1)
ax.plot(homes, own, "o", ms=5, color="0.55", mfc="white", label="each county alone")
ax.errorbar(
    homes, pooled, table["sd"], fmt="o", ms=5, color="#e07b00", elinewidth=0.7,
    label="partially pooled, ± 1 sd",
)  # fmt: skip
ax.text(160, table["complete_pooling"].iloc[0], "all homes", color="0.3", va="center")
ax.set_xscale("log")
ax.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
ax.minorticks_off()
ax.set_xlim(0.8, 150)
ax.set_xlabel("homes measured in the county")
ax.set_ylabel("log radon in a basement, at 1 ppm uranium")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False, loc="upper right")
