"""What the long run keeps: ranks and coverage of all cases in one file, and its tables."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from fitting import KINDS, NOMINAL
from generative import STRUCTURES
from uniform import coverage, p_value, uniform_ranks

FOLDER = Path(__file__).parents[2] / "docs" / "figures"
FILE = FOLDER / "calibration.npz"
HEADER = "model", "solver", "data sets", "quantities", "least p", "of", "diverged", "k > 0.7"
#: Draws that a truth is ranked among.
N_DRAWS = 100


def keep(case, outcomes):
    """Add a case, (structure, solver, control), to the file, or replace it."""
    kept = dict(np.load(FILE)) if FILE.exists() else {}
    names = list(outcomes[0]["ranks"])
    ranks = [[outcome["ranks"][name] for name in names] for outcome in outcomes]
    shares = [[outcome["inside"][kind] for kind in KINDS] for outcome in outcomes]
    key = "|".join(case)
    kept[f"{key}|names"] = np.array(names)
    kept[f"{key}|ranks"] = np.array(ranks, dtype=np.uint8)
    kept[f"{key}|inside"] = np.array(shares, dtype=np.float32)
    found = [outcome["diagnostics"] for outcome in outcomes]
    k = [one["pareto_k"] if one["pareto_k"] is not None else np.nan for one in found]
    kept[f"{key}|pareto_k"] = np.array(k, dtype=np.float32)
    kept[f"{key}|divergences"] = np.array([one["n_divergences"] for one in found], np.uint16)
    np.savez_compressed(FILE, **kept)


def cases():
    """Return the cases of the file: by model, right fits before wrong ones, NUTS first."""
    made = [tuple(k.split("|")[:3]) for k in np.load(FILE).files if k.endswith("|names")]
    order = list(STRUCTURES)
    return sorted(made, key=lambda case: (order.index(case[0]), case[2], case[1] != "nuts"))


def load(case):
    """Return names, ranks (n, n_names), shares (n, 2, 3), Pareto k and divergences (n,)."""
    kept, key = np.load(FILE), "|".join(case)
    parts = ("names", "ranks", "inside", "pareto_k", "divergences")
    return tuple(kept[f"{key}|{part}"] for part in parts)


def p_values(case):
    """Return the p-value of each quantity of a case: how often chance strays as far."""
    names, ranks, *_ = load(case)
    return {
        str(name): p_value(uniform_ranks(own, N_DRAWS))
        for name, own in zip(names, ranks.T, strict=True)
    }


def write_tables():
    """Write the tables that the documentation shows."""
    right = [case for case in cases() if not case[2]]
    _write("calibration_ranks.csv", HEADER, [_rank_row(case) for case in right])
    header = ["model", "solver", "groups", *(f"{100 * c:g} %" for c in NOMINAL)]
    rows = [row for case in cases() if fitted(case) for row in _shares(case)]
    _write("calibration_coverage.csv", header, rows)


def _write(name, header, rows):
    with (FOLDER / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def fitted(case):
    """Whether predictions of a case are its own: draws of others are those of right fits."""
    return case[2] in ("", "rows twice")


def _rank_row(case):
    found = p_values(case)
    _, ranks, _, k, divergences = load(case)
    worst = min(found, key=found.get)
    unreliable = "" if case[1] == "nuts" else np.count_nonzero(k > 0.7)
    row = [*case[:2], len(ranks), len(found), f"{found[worst]:.2g}", f"``{worst}``"]
    return [*row, np.count_nonzero(divergences), unreliable]


def _shares(case):
    label = f"{case[0]}, {case[2]}" if case[2] else case[0]
    shares = load(case)[2]
    for i, kind in enumerate(KINDS):
        mean, error = coverage(shares[:, i].astype(float))
        cells = [f"{100 * m:.1f} ± {100 * e:.1f}" for m, e in zip(mean, error, strict=True)]
        yield [label, case[1], kind, *cells]
