"""Effective draws a second of skhbm and its peers, from the stored results."""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt

sys.path.insert(0, "../..")
from benchmarks.peers.cases import KINDS, SIZES
from benchmarks.peers.table import KIND_NAMES, NAMES, get, seconds

results = json.loads(Path("../../benchmarks/peers/results.json").read_text(encoding="utf-8"))
# Point estimates have no draws.
methods = {m: name for m, name in NAMES.items() if "(point)" not in name}
limit = max(result["limit"] for result in results.values())
UNFINISHED = 1.2  # a strip below all rates

fig, axes = plt.subplots(1, 2, figsize=(7.4, 4.4), sharey=True, layout="constrained")
for ax, kind in zip(axes, KINDS, strict=True):
    for k, (method, name) in enumerate(methods.items()):
        found = [get(results, method, size, kind) for size in SIZES]
        rates = [one["ess"] / seconds(one) for one in found if "ess" in one]
        ours = name.startswith("skhbm")
        ax.plot(rates, "o-", color=f"C{k}", lw=2.2 if ours else 1.2, ms=5, label=name)
        if len(rates) < len(SIZES):
            aside = len(rates) + 0.12 * (k - 3.5)
            ax.plot(aside, UNFINISHED, "x", color=f"C{k}", ms=7, mew=2)
    ax.axhspan(0.5, 3, color="0.93", lw=0, zorder=0)
    ax.text(-0.3, UNFINISHED, f"x: no fit\nwithin {limit:.0f} s", va="center", color="0.3")
    sizes = [f"{name}\n{size.rows:,}\n{size.groups:,}" for name, size in SIZES.items()]
    ax.set_xticks(range(len(SIZES)), sizes)
    ax.set_xlabel("size, rows, groups")
    ax.set_xlim(-0.4, len(SIZES) - 0.6)
    ax.set_title(KIND_NAMES[kind], fontsize="medium")
    ax.grid(axis="y", color="0.9")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_yscale("log")
axes[0].set_ylim(0.5, 2e5)
axes[0].set_yticks([10.0**power for power in range(1, 6)])
axes[0].set_ylabel("effective draws a second")
handles = axes[0].get_legend_handles_labels()
fig.legend(*handles, ncol=3, loc="outside lower center", frameon=False)
