"""ArviZ's table of a posterior, without what is many or constant."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skhbm._inputs.parameters import as_list, check_choice, is_int
from skhbm._inputs.warning import DataWarning, warn
from skhbm._posterior.datatree import coordinates, effect_dims, hyperparameters

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from skhbm._posterior.hierarchical import HierarchicalDraws

__all__ = ["summarise", "warn_of_few_groups"]

#: From so many groups on, data say more of the spread between them than a weak prior.
ENOUGH = 5

#: The tables that ArviZ makes.
KINDS = (
    *("all", "stats", "diagnostics", "all_median", "stats_median", "diagnostics_median"),
    "mc_diagnostics",
)


def summarise(
    posterior: HierarchicalDraws, var_names: Any, effects: Callable[[str], Any], **options: Any
) -> pd.DataFrame:
    """Return ArviZ's table of some variables, or of all without an entry for each group.

    Draws of effects, which are made only if they are asked for, come from `effects`.
    """
    from arviz_base import from_dict
    from arviz_stats import summary

    _check_options(**options)
    variables, dims = hyperparameters(posterior)
    coords = coordinates(posterior)
    groups = {factor.levels.name for factor in posterior.design.factors}
    few = [name for name in variables if not groups & set(dims.get(name, []))]
    of_effects = effect_dims(posterior)
    chosen = _choose(var_names, few or list(variables), [*variables, *of_effects])
    for factor in posterior.design.factors:
        f, terms = factor.levels.name, factor.terms.varying
        if f"corr_{f}" in variables:
            # The matrix has each correlation twice, and a diagonal without R-hat.
            pairs = list(itertools.combinations(range(len(terms)), 2))
            rows, columns = zip(*pairs, strict=True)
            variables[f"corr_{f}"] = variables[f"corr_{f}"][:, :, rows, columns]
            dims[f"corr_{f}"] = [f"{f}_term_bis"]
            coords[f"{f}_term_bis"] = [f"{terms[i]}, {terms[j]}" for i, j in pairs]
    draws = {name: effects(name) if name in of_effects else variables[name] for name in chosen}
    tree = from_dict({"posterior": draws}, coords=coords, dims={**dims, **of_effects})
    table: pd.DataFrame = summary(tree, **options)
    return table


def warn_of_few_groups(posterior: HierarchicalDraws, priors: Any, table: pd.DataFrame) -> bool:
    """Warn of default priors of tau in a table that few groups tell little of; return True.

    The degrees of freedom of a standard deviation between J groups are J - 1 at most.
    """
    given = priors if isinstance(priors, Mapping) else {}
    for factor in posterior.design.factors:
        name, few = factor.levels.name, 1 < len(factor.levels) < ENOUGH
        shown = any(str(row).startswith(f"tau_{name}") for row in table.index)
        if few and shown and not {"tau", f"tau_{name}"} & set(given):
            warn(
                f"There are {len(factor.levels)} groups of {name!r} only: the standard "
                f"deviation between them (tau_{name}) is largely what its default prior says. "
                "Report it together with its prior or, if more is known of it, set the prior: "
                "priors={'tau': Prior('HalfNormal', sigma=...)}.",
                DataWarning,
            )
    return True


def _check_options(kind: Any, ci_kind: Any, round_to: Any, **_: Any) -> None:
    """Check what ArviZ does not check, or refuses without naming the value."""
    check_choice("kind", kind, KINDS)
    if ci_kind is not None and (not isinstance(ci_kind, str) or ci_kind not in ("eti", "hdi")):
        msg = f'`ci_kind` must be "eti", "hdi" or None. Got {ci_kind!r}.'
        raise ValueError(msg)
    word = isinstance(round_to, str) and round_to in ("auto", "none")
    if not is_int(round_to) and not word:
        msg = f'`round_to` must be an int, "auto" or "none". Got {round_to!r}.'
        raise ValueError(msg)


def _choose(var_names: Any, default: list[str], valid: list[str]) -> list[str]:
    """Return the variables that are asked for; names after "~" are left out."""
    if var_names is None:
        return default
    names = as_list(var_names)
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        msg = f"`var_names` must be names of variables of the posterior. Got {wrong[0]!r}."
        raise TypeError(msg)
    unknown = [name for name in names if name.removeprefix("~") not in valid]
    if unknown:
        msg = (
            f"`var_names` has {unknown[:5]}, which are not variables of the posterior. "
            f"These are: {', '.join(valid)}."
        )
        raise ValueError(msg)
    without = {name[1:] for name in names if name.startswith("~")}
    wanted = [name for name in names if not name.startswith("~")] or default
    return [name for name in wanted if name not in without]
