"""What a display of fitted lines shows, computed from a fitted estimator and rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._displays.of_groups import find, with_groups
from skhbm._inputs.new_rows import read_new_rows, read_observed
from skhbm._inputs.parameters import as_list, as_probability, is_number
from skhbm._inputs.pipelines import unwrapped
from skhbm._inputs.rows import Rows

if TYPE_CHECKING:
    from skhbm._types import Float, Int


__all__ = ["fitted_lines"]

#: Points of a line, and lines that are shown if groups are not chosen.
POINTS, DOZEN = 40, 12


def fitted_lines(
    estimator: Any,
    X: Any,
    y: Any,
    groups: Any,
    display: str,
    feature: Any,
    shown: Any,
    factor: Any,
    at: Any,
    ci_prob: float,
) -> dict[str, Any]:
    """Return the parameters of a `FittedLinesDisplay`."""
    tail = (1 - as_probability(ci_prob, "ci_prob")) / 2
    model = with_groups(estimator, display)
    design = model._posterior.design
    f = find("factor", "grouping factors", [g.levels.name for g in design.factors], factor)
    names = list(design.terms.features)
    if not names:
        msg = f"{display} shows lines over a feature, and the model has none."
        raise ValueError(msg)
    k = find("feature", "features of the model", names, feature)
    rows = read_new_rows(model, unwrapped(estimator, X, groups)[1], groups)
    target = None if y is None else read_observed(model, len(rows), model._encoded(y), None)[0]
    grid = np.linspace(rows.X[:, k].min(), rows.X[:, k].max(), POINTS)
    held = np.tile(_held(rows.X, names, at), (POINTS, 1))
    held[:, k] = grid
    levels = design.factors[f].levels
    codes = _chosen(model, f, levels.labels, shown, held)
    lines, bounds = _lines(model, f, np.append(codes, -1), held, [tail, 1 - tail])
    positions = np.full(design.factors[f].n_groups + 1, -1)
    positions[codes] = np.arange(len(codes))
    of_row = positions[rows.codes(f)]
    with_line = of_row >= 0
    return {
        "groups": levels.labels[codes],
        "grid": grid,
        "lines": lines[:-1],
        "lower": bounds[:-1, :, 0],
        "upper": bounds[:-1, :, 1],
        "alone": _alone(model, levels.name, names, codes, held),
        "population": lines[-1],
        "x": rows.X[with_line, k],
        "y": None if target is None else target[with_line],
        "positions": of_row[with_line],
        "feature": names[k],
        "factor": levels.name,
        "ci_prob": ci_prob,
    }


def _held(X: Float, names: list[str], at: Any) -> Float:
    """Return the values that features are held at (n_features,): means, unless given."""
    held = X.mean(axis=0)
    if at is not None and not isinstance(at, dict):
        msg = f"`at` must be a dict from a feature to its value, or None. Got {at!r}."
        raise TypeError(msg)
    for name, value in (at or {}).items():
        if not is_number(value) or not np.isfinite(value):
            msg = (
                f"`at` must have a finite number for each feature. Got {value!r} for {name!r}."
            )
            raise ValueError(msg)
        held[find("at", "features of the model", names, name)] = value
    return held


def _chosen(model: Any, factor: int, labels: Any, shown: Any, held: Float) -> Int:
    """Return the codes of the groups to show.

    A dozen is spread evenly over the groups, which are put in the order of the means of their
    lines.
    """
    if shown is None:
        middle = held[[0, -1]].mean(axis=0, keepdims=True)
        level = _lines(model, factor, np.arange(len(labels)), middle, [])[0][:, 0]
        order = np.argsort(level, kind="stable")
        taken = np.linspace(0, len(order) - 1, min(DOZEN, len(order)))
        return order[np.rint(taken).astype(np.int64)]
    import pandas as pd

    wanted = as_list(shown)
    codes = pd.Index(labels, tupleize_cols=False).get_indexer(
        pd.Index(wanted, tupleize_cols=False)
    )
    unknown = [label for label, code in zip(wanted, codes, strict=True) if code < 0]
    if unknown or not wanted:
        msg = (
            f"`shown` must be labels of groups of the fit, as {list(labels[:5])}. Got "
            f"{unknown[:5] if unknown else 'none'}."
        )
        raise ValueError(msg)
    return np.asarray(codes, dtype=np.int64)


def _lines(
    model: Any, factor: int, codes: Int, held: Float, probabilities: list[float]
) -> tuple[Float, Float]:
    """Return means (n, n_points) and quantiles (n, n_points, n_quantiles) of groups.

    Labels of other factors are missing, as the label of a code of -1.
    """
    design = model._posterior.design
    n = len(codes) * len(held)
    keys = [np.full(n, -1) for _ in design.factors]
    keys[factor] = np.repeat(codes, len(held))
    rows = Rows(np.tile(held, (len(codes), 1)), tuple(keys))
    mean, bounds = model._expected(rows, np.array(probabilities))
    shape = len(codes), len(held)
    return mean.reshape(shape), bounds.reshape(*shape, len(probabilities))


def _alone(model: Any, factor: str, names: list[str], codes: Int, held: Float) -> Float:
    """Return the lines of groups by their rows alone (n_groups, n_points), NaN if too few.

    What does not vary by the factor is at its posterior mean.
    """
    table = model.shrinkage_
    table = table[table["factor"] == factor]
    coefficients = np.tile(np.append(model.intercept_, model.coef_), (len(codes), 1))
    for term, of_term in table.groupby("coefficient", sort=False):
        position = 0 if term == "intercept" else 1 + names.index(term)
        coefficients[:, position] = of_term["no_pooling"].to_numpy()[codes]
    return np.asarray(model._as_mean(coefficients[:, :1] + coefficients[:, 1:] @ held.T))
