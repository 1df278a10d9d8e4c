"""Results as tables in reStructuredText."""

from __future__ import annotations

import statistics

from benchmarks.peers.cases import KINDS, SIZES

__all__ = ["write_table"]

NAMES = {
    "skhbm": "skhbm, NUTS",
    "laplace": 'skhbm, "laplace"',
    "pymc": "PyMC, nutpie",
    "bambi": "bambi",
    "numpyro": "NumPyro",
    "stanli": "stanli",
    "statsmodels": "MixedLM (point)",
    "gpboost": "gpboost (point)",
}
REFERENCE = "skhbm"
#: Means that differ by more Monte Carlo standard errors are of another model.
AGREE = 4.0
COLUMNS = (
    "method",
    "fresh, s",
    "again, s",
    "min ESS",
    "ESS/s",
    "ratio",
    "divergent",
    "R-hat",
    "MB",
    "means",
    "notes",
)
KIND_NAMES = {"intercepts": "varying intercepts", "slopes": "one varying slope as well"}


def write_table(results, path):
    """Write the summary and one table for each size and kind."""
    cases = [(s, k) for s in SIZES for k in KINDS if any(has(results, m, s, k) for m in NAMES)]
    lines = [".. Written by python -m benchmarks.peers.", "", *header(results), ""]
    lines += summary(results, cases)
    for size, kind in cases:
        lines += [
            "",
            f"**{size}, {KIND_NAMES[kind]}**: {SIZES[size].what}{extra(size, kind)}.",
            "",
        ]
        rows = [row(results, m, size, kind) for m in NAMES if has(results, m, size, kind)]
        lines += list_table(COLUMNS, rows)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def header(results):
    """Say when, with what, and on what kind of machine."""
    measured = [r for r in results.values() if "date" in r]
    if not measured:
        return []
    dates = sorted(r["date"] for r in measured)
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    versions = {k: v for r in measured for k, v in r["versions"].items()}
    cores = sorted({r["cores"] for r in measured})
    limits = sorted({r["limit"] for r in measured})
    load = max(r["load"] for r in measured)
    machines = "; ".join(sorted({r["machine"] for r in measured}))
    busy = ""
    if load > max(cores):
        busy = (
            f" **Other work ran at the same time** (load average up to {load:.0f}): take the "
            "seconds for orders of magnitude."
        )
    unfinished = (
        f"``> {limits[-1]:.0f} s`` stands where no fit ended within it, ``not run`` where a "
        "smaller fit of the same package left no hope."
    )
    return [
        f"Measured {when} UTC by ``python -m benchmarks.peers`` on "
        f"{' or '.join(map(str, cores))} cores ({machines}), with a limit of "
        f"{' or '.join(f'{v:.0f}' for v in limits)} s. {unfinished}{busy}",
        "",
        f"Versions: {', '.join(f'{k} {v}' for k, v in sorted(versions.items()))}.",
    ]


def summary(results, cases):
    """Return the table of ratios alone."""
    titles = ["", *(f"{size}{', slopes' if kind == 'slopes' else ''}" for size, kind in cases)]
    rows = [
        [NAMES[m], *(ratio(results, m, size, kind) for size, kind in cases)]
        for m in NAMES
        if any(has(results, m, size, kind) for size, kind in cases)
    ]
    return list_table(titles, rows)


def row(results, method, size, kind):
    """Return one line of a case's table."""
    result, reference = get(results, method, size, kind), get(results, REFERENCE, size, kind)
    notes = [result["note"]] if "note" in result else []
    if "fresh" not in result:
        return [NAMES[method], state(result), *[""] * 8, "; ".join(notes)]
    notes += said(result)
    means, different = agreement(result, reference)
    sampled = "ess" in result
    cells = [
        NAMES[method],
        number(result["fresh"]),
        number(seconds(result)) if "again" in result else "",
        f"{result['ess']:.0f}" if sampled else "",
        number(result["ess"] / seconds(result)) if sampled else "",
        ratio(results, method, size, kind),
        str(result["divergences"]) if sampled else "",
        f"{result['rhat']:.3f}" if sampled else "",
        f"{result['memory'] / 1e6:.0f}",
        "" if method == REFERENCE else means,
    ]
    return [*cells, "; ".join(notes + different)]


def said(result):
    """Return notes on one result."""
    notes = []
    if "again" not in result:
        notes.append("rates are those of the first fit: another had no time")
    if "fit_alone" in result:
        notes.append(f"``fit`` alone {number(result['fit_alone'])} s")
    if "pareto_k" in result:
        notes.append(f"Pareto k {result['pareto_k']:.2f}")
    return notes


def ratio(results, method, size, kind):
    """Return how many times the effective draws a second skhbm's NUTS gives; or times."""
    result, reference = get(results, method, size, kind), get(results, REFERENCE, size, kind)
    if "fresh" not in result:
        return state(result)
    if "fresh" not in reference:
        return ""
    if "ess" not in result:
        return f"{number(seconds(result) / seconds(reference))} (time)"
    rate = result["ess"] / seconds(result)
    return number(reference["ess"] / seconds(reference) / rate)


def state(result):
    if not result:
        return ""
    if result["status"] == "did not finish":
        return f"> {result['limit']:.0f} s"
    return result["status"]


def agreement(result, reference):
    """Return the largest difference of means from skhbm's NUTS, and what differs too much.

    In Monte Carlo standard errors; of point estimates, in posterior standard deviations.
    """
    if "fresh" not in reference:
        return "", []
    differences = {}
    for name, known in reference["hyper"].items():
        value = result["hyper"].get(name)
        if value is None or value != value:
            continue
        if isinstance(value, dict):
            error = (value["mcse"] ** 2 + known["mcse"] ** 2) ** 0.5
            differences[name] = abs(value["mean"] - known["mean"]) / error
        else:
            differences[name] = abs(value - known["mean"]) / known["sd"]
    worst = max(differences, key=differences.get)
    largest = f"{differences[worst]:.1f}"
    if "ess" not in result:
        return f"{largest} sd", [f"farthest: {worst}"] if differences[worst] > 1 else []
    far = [f"means differ: {worst}"] if differences[worst] > AGREE else []
    return f"{largest} se", far


def seconds(result):
    """Median of later fits, or the first one's seconds if there was none."""
    return statistics.median(result.get("again") or [result["fresh"]])


def number(value):
    """Format to three significant digits, without exponents."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def extra(size, kind):
    """S has no feature unless its slope varies."""
    return ", 1 feature" if size == "S" and kind == "slopes" else ""


def get(results, method, size, kind):
    return results.get(f"{method} {size} {kind}", {})


def has(results, method, size, kind):
    return bool(get(results, method, size, kind))


def list_table(titles, rows):
    """Return the lines of a list-table."""
    lines = [".. list-table::", "   :header-rows: 1", "   :class: benchmarks", ""]
    for cells in (titles, *rows):
        for k, cell in enumerate(cells):
            lines.append(f"   {'* -' if k == 0 else '  -'} {cell}".rstrip())
    return lines
