"""Who imports whom: a mark for each pair of folders, larger the more imports there are."""

import sys

import matplotlib.pyplot as plt
import numpy as np

sys.path.insert(0, "..")
from folders import folders, imports

names = folders()
counts = np.array([[imports()[here, there] for there in names] for here in names])
rows, columns = np.nonzero(counts)

fig, ax = plt.subplots(figsize=(7.0, 5.6), layout="constrained")
edge = np.arange(len(names))
ax.plot(edge, edge, color="0.75", lw=1, zorder=0)
ax.scatter(columns, rows, s=12 + 6 * counts[rows, columns], color="C0", zorder=2)
ax.set_xticks(edge, names, rotation=45, ha="left")
ax.set_yticks(edge, names)
ax.xaxis.tick_top()
ax.invert_yaxis()
ax.set_ylabel("modules of this folder ...")
ax.set_xlabel("... import from this one")
ax.xaxis.set_label_position("top")
ax.grid(color="0.93")
ax.tick_params(length=0)
ax.spines[:].set_visible(False)
