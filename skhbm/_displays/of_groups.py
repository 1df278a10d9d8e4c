"""What displays of groups show, computed from a fitted estimator."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhbm._displays.terms import join_terms
from skhbm._estimators.fitted import Fitted
from skhbm._inputs.parameters import as_probability, check_choice
from skhbm._inputs.pipelines import unwrapped
from skhbm._prediction.coefficient_intervals import Coefficient

__all__ = ["find", "group_effects", "shrinkage", "with_groups"]


def group_effects(
    estimator: Any, display: str, factor: Any, coefficient: Any, kind: str, ci_prob: float
) -> dict[str, Any]:
    """Return the parameters of a `GroupEffectsDisplay`."""
    check_choice("kind", kind, ["effect", "coefficient"])
    as_probability(ci_prob, "ci_prob")
    tail = (1 - ci_prob) / 2
    model = with_groups(estimator, display)
    parts = []
    for which, names in _choose(model, factor, coefficient, kind == "coefficient"):
        estimate, population, bounds = model._intervals(which, np.array([tail, 1 - tail]))
        part = {"estimate": estimate, "lower": bounds[:, 0], "upper": bounds[:, 1]}
        parts.append({**names, **part, "population": population})
    joined = join_terms(parts, ("estimate", "lower", "upper", "population"))
    return {**joined, "kind": kind, "ci_prob": ci_prob}


def shrinkage(estimator: Any, display: str, factor: Any, coefficient: Any) -> dict[str, Any]:
    """Return the parameters of a `ShrinkageDisplay`."""
    model = with_groups(estimator, display)
    chosen = _choose(model, factor, coefficient, False)
    arrays = ("no_pooling", "partial_pooling", "pooling")
    whole, parts = model.shrinkage_, []
    for _, names in chosen:
        table = whole[whole["factor"] == names["factor"]]
        table = table[table["coefficient"] == names["coefficient"]]
        part = {name: table[name].to_numpy() for name in arrays}
        complete = float(table["complete_pooling"].iloc[0])
        parts.append({**names, **part, "complete_pooling": complete})
    return join_terms(parts, (*arrays, "complete_pooling"))


def with_groups(estimator: Any, display: str) -> Any:
    """Return an estimator or the last step of it, which must be fitted and have groups."""
    last = unwrapped(estimator)[0]
    if not isinstance(last, Fitted):
        msg = (
            "`estimator` must be a hierarchical model of skhbm, or a Pipeline or search that "
            f"ends in one. Got {type(last).__name__}."
        )
        raise TypeError(msg)
    if not last._statistics.factors:
        msg = f"{display} shows groups, and the model has none. Pass `groups=` to fit."
        raise ValueError(msg)
    return last


def _choose(
    model: Any, factor: Any, coefficient: Any, with_population: bool
) -> list[tuple[Coefficient, dict[str, Any]]]:
    """Return varying coefficients by the names of factor and term, and what names each.

    The factor may be None where there is only one to choose. A term of None means all terms.
    """
    factors = model._posterior.design.factors
    names = [of_factor.levels.name for of_factor in factors]
    f = find("factor", "grouping factors", names, factor)
    terms = list(factors[f].terms.varying)
    chosen = list(range(len(terms)))
    if coefficient is not None:
        what = f"coefficients that vary by {names[f]!r}"
        chosen = [find("coefficient", what, terms, coefficient)]
    labels = factors[f].levels.labels
    return [
        (
            Coefficient(f, t, with_population),
            {"groups": labels, "coefficient": terms[t], "factor": names[f]},
        )
        for t in chosen
    ]


def find(parameter: str, what: str, names: list[str], wanted: Any) -> int:
    """Return the position of a name among names, or of the only name if none is wanted."""
    if wanted is None and len(names) == 1:
        return 0
    if isinstance(wanted, str) and wanted in names:
        return names.index(wanted)
    advice = " Name the one to show." if wanted is None else ""
    msg = f"`{parameter}` must be one of the {what}: {names[:20]}. Got {wanted!r}.{advice}"
    raise ValueError(msg)
