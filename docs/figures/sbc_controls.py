"""Histograms of ranks among right draws and wrong ones."""

import sys

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import binom

sys.path.insert(0, "../../benchmarks/calibration")
from results import N_DRAWS, load
from uniform import uniform_ranks

CONTROLS = {
    "": "right",
    "effects x 0.8": r"effects $\times$ 0.8",
    "tau x 1.2": r"$\tau \times$ 1.2",
    "rows twice": "rows twice",
}
QUANTITIES = {
    "tau_group[intercept]": r"$\tau$",
    "sd of effect_group[:, intercept]": "sd of effects",
    "sigma": r"$\sigma$",
    "log likelihood": "log likelihood",
}
BINS = 20

fig, axes = plt.subplots(4, 4, figsize=(7, 7), sharex=True, sharey="row", layout="constrained")
for row, (control, label) in zip(axes, CONTROLS.items(), strict=True):
    names, ranks, *_ = load(("intercepts", "nuts", control))
    low, middle, high = binom.ppf([0.005, 0.5, 0.995], len(ranks), 1 / BINS)
    row[0].set_ylabel(label)
    for ax, (name, short) in zip(row, QUANTITIES.items(), strict=True):
        values = uniform_ranks(ranks[:, list(names).index(name)], N_DRAWS)
        ax.hist(values, bins=np.linspace(0, 1, BINS + 1), color="C0" if not control else "C3")
        ax.axhspan(low, high, color="k", alpha=0.15, lw=0)
        ax.axhline(middle, color="k", lw=0.6)
        if not control:
            ax.set_title(short, fontsize="medium")
for row in axes:
    row[0].set_yticks([])
fig.supxlabel("rank of the truth among draws, as a share")
