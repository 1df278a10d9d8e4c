"""Distribution functions of ranks, less that of uniform ones, and simultaneous bands."""

import sys

import matplotlib.pyplot as plt

sys.path.insert(0, "../../benchmarks/calibration")
from results import N_DRAWS, cases, load
from uniform import POINTS, uniform_ranks

from skhbm._prediction.calibration import band, share_below

right = [case for case in cases() if not case[2]]
models = list(dict.fromkeys(case[0] for case in right))
solvers = list(dict.fromkeys(case[1] for case in right))

fig, axes = plt.subplots(
    len(models), len(solvers), figsize=(7, 7.4), sharex=True, sharey=True, squeeze=False,
    layout="constrained",
)  # fmt: skip
for model, solver, control in right:
    ax = axes[models.index(model), solvers.index(solver)]
    names, ranks, *_ = load((model, solver, control))
    lower, upper = band(len(ranks), POINTS, 0.95)
    ax.fill_between(POINTS, lower - POINTS, upper - POINTS, color="C0", alpha=0.2, lw=0)
    for name, own in zip(names, ranks.T, strict=True):
        difference = share_below(uniform_ranks(own, N_DRAWS), POINTS) - POINTS
        whole = name == "log likelihood"
        ax.plot(POINTS, difference, color="C1" if whole else "C0", lw=1.6 if whole else 0.7)
    ax.set_title(f"{model}, {solver}: {len(names)} quantities", fontsize="medium")
fig.supxlabel("rank of the truth among draws, as a share")
fig.supylabel("share of data sets with a lower rank, less what is expected")
